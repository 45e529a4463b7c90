"""What the trainer must know of language models and their rows; images have a file like this one."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn

from ngdiff.core.answers import Answers
from ngdiff.data import AnswerCollator, Row
from ngdiff.data.refusals import read_refusals
from ngdiff.errors import InputError
from ngdiff.modeling.answers import FusedLoss, forward_answers
from ngdiff.modeling.checks import (
    is_unobserved,
    says_the_same_when_cut,
    says_the_same_when_fused,
    says_the_same_when_packed,
)
from ngdiff.modeling.embedding import sparse_embedding
from ngdiff.modeling.further_inputs import check_further_inputs
from ngdiff.modeling.fused_loss import FusedLinearCrossEntropy, load_kernel
from ngdiff.modeling.head import depends_on_length, output_head
from ngdiff.modeling.reused_head import ReusedHead
from ngdiff.modeling.row_attention import NAME as ROW_ATTENTION
from ngdiff.modeling.row_attention import attention_of, set_attention
from ngdiff.training.alternates import AlternateRows
from ngdiff.training.config import UnlearnConfig
from ngdiff.training.pairing import without_labels
from ngdiff.training.rows import RowEncoder, Rows

logger = logging.getLogger(__name__)


class TextTask:
    """Causal language models: rows to tokens, batches to the losses of their answers.

    Args:
        model: The model.
        tokenizer: Its tokenizer; None where all rows come encoded.
        args: Options.
        data_collator: Makes a batch of encoded rows.

    Attributes:
        packing: Whether rows are packed now; not before `check_forward`, nor after training.
        tails: Whether the model is given what stands behind a row's labels: where the lengths of batches are the user's
            choice, or have a say in the model.
    """

    # Keys of a batch that the model is given, and those of a row that say what it is.
    inputs = ("input_ids", "attention_mask", "labels")
    hashed = ("input_ids", "labels")
    unit = "token"
    conditions = "model, template and rows"  # of which the losses must be those of its training
    same_in_evaluation = True  # but for dropout, training changes nothing in how the model answers

    def __init__(
        self, model: Any, tokenizer: Any, args: UnlearnConfig, data_collator: Callable[..., Any] | None = None
    ) -> None:
        self._encoder = RowEncoder(model, tokenizer, args)
        self.args = args
        self.collate = data_collator or AnswerCollator(self._encoder.pad_token_id)
        self._forget: Sequence[Row] | None = None
        self._cut = True  # logits of answer tokens alone
        self.tails = data_collator is not None or args.torch_compile or depends_on_length(model)
        self._rows = False  # gradients of the embedding as rows; while a model is trained
        self.packing = False
        self._fused_loss: FusedLoss | None = None  # not before it is checked
        self._reused_head: FusedLoss | None = None  # in place of that where there is none; while a model is trained

    @property
    def template_name(self) -> str | None:
        """Name of the template that put the questions; None where all rows came encoded."""
        return self._encoder.template_name

    def encode(self, source: Rows, role: str) -> Sequence[Mapping[str, Any]]:
        """Encoded rows of whatever a data set argument is. Raises as `RowEncoder`."""
        return self._encoder(source, role)

    def encode_holdout(self, source: Rows) -> Sequence[Mapping[str, Any]]:
        """Encoded rows that the model never saw; after `encode_pair`: none to forget. Raises as `RowEncoder`."""
        rows = self._encoder.read(source, "--holdout")
        self._encoder.refuse_overlap(self._forget, rows, "--holdout")
        return source if rows is None else self._encoder.encode(rows)

    def encode_pair(
        self, forget: Rows, retain: Rows
    ) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        """Both sets encoded, checked against each other. Raises as `RowEncoder.pair`."""
        self._forget = self._encoder.read(forget, "--forget")
        return self._encoder.pair(forget if self._forget is None else self._forget, retain)

    def alternates(self) -> AlternateRows:
        """The forget rows with other answers, for objectives that teach one.

        Raises:
            InputError: rows that came encoded, plain text, or an answer file that cannot be used.
        """
        if self._forget is None:
            raise InputError("--forget: another answer can be taught to rows of text only, not to encoded ones")
        bare = next((row for row in self._forget if not row.prompt.strip() and row.messages is None), None)
        if bare is not None:
            raise InputError(f"{bare.origin}: plain text has no question that another answer could be taught to")
        return AlternateRows(self._forget, read_refusals(self.args.idk_file), self._encoder.encode_answers)

    def length(self, row: Mapping[str, Any]) -> int:
        """Tokens of a row."""
        return len(row["input_ids"])

    def stand_in(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row from which nothing is learned."""
        return without_labels(row)

    @contextmanager
    def training(self, model: nn.Module) -> Iterator[None]:
        """While a model is trained; attention, packing and head are as before at the end."""
        self._rows = self._keeps_rows()
        try:
            yield
        finally:
            self._rows = False
            self._reused_head = None
            self.packing = False
            set_attention(model, by_rows=False)

    def may_pack(self, model: nn.Module) -> bool:
        """Whether rows are to be packed, if the model says the same of them then.

        By itself (`--packing auto`) only where that was measured to be faster: on a CPU, with `sdpa`, whose attention
        can be taken row by row.
        """
        if self.args.packing == "auto":
            return self._can_attend_by_rows(model) and self.args.device.type == "cpu"
        return self.args.packing == "on"

    def forward(
        self, model: nn.Module, batch: Mapping[str, Tensor], needs: Set[str] = frozenset(), layer: int | None = None
    ) -> Answers:
        """The losses of a batch's answer tokens, and what else is needed."""
        with sparse_embedding(model) if self._rows and torch.is_grad_enabled() else nullcontext():
            return forward_answers(
                model,
                batch,
                needs,
                layer=layer,
                cut=self._cut,
                tails=self.tails or not self._cut,
                packing=self.packing,
                fused_loss=self._fused_loss or self._reused_head,
            )

    def check_forward(self, model: nn.Module, batch: Mapping[str, Tensor]) -> None:
        """Before the first pass of a run: what would change the model's answers is left out.

        That is: logits of answer tokens alone and no tokens behind them, packed rows, a fused loss, each with a warning
        (where `--packing auto` chose to pack, at level INFO); without a word, the head in
        memory that is used again.
        """
        check_further_inputs(model, batch)
        difference = says_the_same_when_cut(model, batch, tails=self.tails)
        self._cut = not difference
        if difference:
            logger.warning(
                "The logits of all tokens are computed, not those of answer tokens alone, which takes longer: with "
                "this model the losses would not be the same (%s).",
                difference,
            )
        if self.may_pack(model):
            self._check_packing(model, batch)
        if self.args.fused_loss != "none":
            self._check_fused_loss(model, batch)
        elif self._spares_new_memory() and is_unobserved(output_head(model)):
            reused_head = FusedLinearCrossEntropy(ReusedHead())
            difference = says_the_same_when_fused(model, batch, reused_head, cut=self._cut)
            self._reused_head = None if difference else reused_head

    def _keeps_rows(self) -> bool:
        """Whether gradients of the embedding are kept as rows."""
        return self._spares_new_memory() and self.args.gradient_buffers == 2

    def _spares_new_memory(self) -> bool:
        """Whether this is one process on a CPU, where new memory is dear."""
        return self.args.device.type == "cpu" and self.args.world_size == 1 and not self.args.torch_compile

    def _can_attend_by_rows(self, model: nn.Module) -> bool:
        """A compiled model would be compiled anew for other numbers of rows."""
        return attention_of(model) in ("sdpa", ROW_ATTENTION) and not self.args.torch_compile

    def _check_packing(self, model: nn.Module, batch: Mapping[str, Tensor]) -> None:
        """Packed rows with attention by rows, else with transformers' own masks where that was asked for."""
        asked = self.args.packing == "on"
        differences = []
        for by_rows in (True, False):
            if (by_rows and not self._can_attend_by_rows(model)) or not (by_rows or asked):
                continue
            set_attention(model, by_rows=by_rows)
            differences.append(says_the_same_when_packed(model, batch, cut=self._cut))
            self.packing = not differences[-1]
            if self.packing:
                return
        set_attention(model, by_rows=False)
        logger.log(
            logging.WARNING if asked else logging.INFO,
            "--packing %s: the rows are padded, not packed: this model would say something else of packed rows (%s).",
            self.args.packing,
            differences[-1],
        )

    def _check_fused_loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> None:
        name = self.args.fused_loss
        fused_loss = FusedLinearCrossEntropy(load_kernel(name))
        difference = says_the_same_when_fused(model, batch, fused_loss, cut=self._cut)
        self._fused_loss = None if difference else fused_loss
        if difference:
            logger.warning("--fused-loss %s is not used: with this model %s.", name, difference)
            return
        for side, objective in self.args.resolve_objectives().items():
            if "logits" in objective.needs:
                logger.info("--fused-loss %s: the %s objective needs logits, and computes them.", name, side)

    def choices(self, model: nn.Module) -> int:
        """Number of tokens that the output head chooses from."""
        language_model = cast(Any, model)
        head = language_model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
        return int(language_model.config.vocab_size if head is None else head.weight.shape[0])
