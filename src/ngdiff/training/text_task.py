"""What the trainer must know of language models and their rows; images have a file like this one."""

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

from torch import Tensor, nn

from ngdiff.core.answers import Answers
from ngdiff.data import AnswerCollator, Row
from ngdiff.data.refusals import read_refusals
from ngdiff.errors import InputError
from ngdiff.modeling.answers import FusedLoss, forward_answers
from ngdiff.modeling.checks import says_the_same_when_cut, says_the_same_when_fused, says_the_same_when_packed
from ngdiff.modeling.fused_loss import FusedLinearCrossEntropy
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
        self._packing = False  # rows without padding; this and the next not before they are checked
        self._fused_loss: FusedLoss | None = None

    @property
    def template_name(self) -> str | None:
        """Name of the template that put the questions; None where all rows came encoded."""
        return self._encoder.template_name

    def encode(self, source: Rows, role: str) -> Sequence[Mapping[str, Any]]:
        """Encoded rows of whatever a data set argument is. Raises as `RowEncoder`."""
        return self._encoder(source, role)

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
        bare = next((row for row in self._forget if row.kind == "text"), None)
        if bare is not None:
            raise InputError(f"{bare.origin}: plain text has no question that another answer could be taught to")
        return AlternateRows(self._forget, read_refusals(self.args.idk_file), self._encoder.encode_answers)

    def length(self, row: Mapping[str, Any]) -> int:
        """Tokens of a row."""
        return len(row["input_ids"])

    def stand_in(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row from which nothing is learned."""
        return without_labels(row)

    def training(self, model: nn.Module) -> AbstractContextManager[None]:
        """What must hold of the model's modules while it is trained: nothing in particular."""
        return nullcontext()

    def forward(
        self, model: nn.Module, batch: Mapping[str, Tensor], needs: Set[str] = frozenset(), layer: int | None = None
    ) -> Answers:
        """The losses of a batch's answer tokens, and what else is needed."""
        return forward_answers(
            model,
            batch,
            needs,
            layer=layer,
            cut=self._cut,
            packing=self._packing,
            fused_loss=self._fused_loss,
        )

    def check_forward(self, model: nn.Module, batch: Mapping[str, Tensor]) -> None:
        """Before the first pass of a run: what would change the model's answers is left out, with a warning.

        That is: logits of answer tokens alone, packed rows, a fused loss.
        """
        difference = says_the_same_when_cut(model, batch)
        self._cut = not difference
        if difference:
            logger.warning(
                "The logits of all tokens are computed, not those of answer tokens alone, which takes longer: with "
                "this model the losses would not be the same (%s).",
                difference,
            )
        if self.args.packing:
            self._check_packing(model, batch)
        if self.args.fused_loss != "none":
            self._check_fused_loss(model, batch)

    def _check_packing(self, model: nn.Module, batch: Mapping[str, Tensor]) -> None:
        difference = says_the_same_when_packed(model, batch, cut=self._cut)
        self._packing = not difference
        if difference:
            logger.warning(
                "--packing: the rows are padded, not packed: this model would say something else of packed rows (%s).",
                difference,
            )

    def _check_fused_loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> None:
        name = self.args.fused_loss
        fused_loss = FusedLinearCrossEntropy(name)
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
