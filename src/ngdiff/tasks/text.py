"""Causal language models and rows of text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, cast

from torch import Tensor, nn

from ngdiff.core.answers import IGNORED
from ngdiff.data import AnswerCollator, Row, Template
from ngdiff.data.collate import LabelPositions
from ngdiff.data.encode import end_token_ids
from ngdiff.data.refusals import read_refusals
from ngdiff.errors import InputError
from ngdiff.evaluation.quick import QuickAnswers
from ngdiff.modeling.causality import check_causal
from ngdiff.modeling.further_inputs import check_further_inputs
from ngdiff.speed import Forward, Situation, choose_forward
from ngdiff.tasks.alternates import AlternateRows
from ngdiff.tasks.base import NO_ROW, Example, QuickMeasure, Rows, RunSettings, Task
from ngdiff.tasks.ngrams import NGrams
from ngdiff.tasks.sampled import SampledRows
from ngdiff.tasks.text_options import TextOptions
from ngdiff.tasks.text_rows import RowEncoder


class TextTask(Task):
    """Causal language models: rows to tokens, batches to the losses of their answers.

    Args:
        model: The model.
        tokenizer: Its tokenizer; None where all rows come encoded.
        options: How rows become tokens, and how passes are computed.
        data_collator: Makes a batch of encoded rows.
        template: If it is resolved already; the sets are then taken to be checked against each other already.

    Attributes:
        situation: What decides how forward passes are computed; after `prepare`.
        forward: `(model, batch, needs, layer) -> Answers`: losses of a batch's answer tokens, and what else is needed.
            The plain pass until `check_forward` has chosen savings.
    """

    inputs = ("input_ids", "attention_mask", "labels")
    hashed = ("input_ids", "labels")
    conditions = "model, template and rows"
    forward: Forward

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        options: TextOptions | None = None,
        data_collator: Callable[..., Any] | None = None,
        *,
        template: Template | None = None,
    ) -> None:
        self.options = options or TextOptions()
        self._encoder = RowEncoder(model, tokenizer, self.options, template)
        self.collate = LabelPositions(data_collator or AnswerCollator(self._encoder.pad_token_id))
        self._custom_collator = data_collator is not None
        self._forget: Sequence[Row] | None = None
        self._teaches_alternates = self._samples_alternates = False
        self.situation: Situation
        self.forward = Forward()

    def prepare(self, run: RunSettings) -> None:
        """Keep what decides how rows are encoded and passes computed."""
        self._teaches_alternates = "alternate" in run.objectives["forget"].needs  # to rows, not to windows
        self._samples_alternates = "sampled" in run.objectives["forget"].needs
        self.situation = Situation(
            device=run.device,
            processes=run.processes,
            speed=self.options.speed,
            packing=self.options.packing,
            fused_loss=self.options.fused_loss,
            compiled=run.compiled,
            custom_collator=self._custom_collator,
            gradient_buffers=run.gradient_buffers,
            need_logits=tuple(
                side
                for side, one in run.objectives.items()
                if "logits" in one.needs or (side == "retain" and run.protects)
            ),
        )

    @property
    def template_name(self) -> str | None:
        """Name of the template that put the questions; None where all rows came encoded."""
        return self._encoder.template_name

    @property
    def template_text(self) -> str | None:
        """The template in full; None where rows are running text or came encoded."""
        return self._encoder.template_text

    def encode(self, source: Rows, role: str) -> Sequence[Example]:
        """Encoded rows of whatever a data set argument is. Raises as `RowEncoder`."""
        return self._encoder(source, role)

    def encode_holdout(self, source: Rows) -> Sequence[Example]:
        """Encoded rows that the model never saw; after `encode_pair`: none to forget. Raises as `RowEncoder`."""
        return self._encoder.disjoint_from(self._forget, source, "--holdout")

    def encode_protected(self, source: Rows) -> Sequence[Example]:
        """Encoded rows whose predictions are to stay as they are: none to forget. Raises as `RowEncoder`."""
        return self._encoder.disjoint_from(self._forget, source, "--protect")

    def encode_pair(self, forget: Rows, retain: Rows) -> tuple[Sequence[Example], Sequence[Example]]:
        """Both sets encoded, checked against each other. Raises as `RowEncoder.pair`."""
        self._forget, own, others = self._encoder.pair(forget, retain, cut_forget=self._teaches_alternates)
        return own, others

    def alternates(self) -> AlternateRows:
        """The forget rows with other answers, for objectives that teach one: a list of refusals, or the model's own.

        Raises:
            InputError: rows that came encoded, plain text, or an answer file that cannot be used.
        """
        if self._forget is None:
            raise InputError("--forget: another answer can be taught to rows of text only, not to encoded ones")
        bare = next((row for row in self._forget if not row.prompt.strip() and row.messages is None), None)
        if bare is not None:
            raise InputError(f"{bare.origin}: plain text has no question that another answer could be taught to")
        refusals, encode = read_refusals(self.options.idk_file), self._encoder.encode_answers
        if not self._samples_alternates:
            return AlternateRows(self._forget, [refusals] * len(self._forget), encode)
        template = self._encoder.template_for(self._forget)
        return SampledRows(self._forget, refusals, encode, self._encoder.tokenizer, template)

    def familiarity(self, rows: Sequence[Example], known: Sequence[Example]) -> list[Tensor]:
        """How surprising the answer tokens are by the n-grams of known rows (`NGrams`).

        With a collator of the user's own, which may change labels, nothing is said about them.
        """
        if self._custom_collator:
            return super().familiarity(rows, known)
        ngrams = NGrams(known)
        return [ngrams.surprise(row) for row in rows]

    def quick_measure(self, forget: Sequence[Example], retain: Sequence[Example]) -> QuickMeasure:
        """Verbmem and Utility of a few rows.

        Raises:
            InputError: rows that came encoded, without a tokenizer, or several processes.
        """
        if self.situation.processes > 1:
            raise InputError(
                f"--eval-generate-steps, --utility-floor in {self.situation.processes} processes: answers are "
                "generated in one alone; leave it out, and use ngdiff evaluate after the run"
            )
        tokenizer = self._encoder.tokenizer
        if tokenizer is None:
            raise InputError("--eval-generate-steps, --utility-floor: answers need a tokenizer; pass processing_class")
        ends = end_token_ids(tokenizer, self._encoder.template_for(self._forget)) if self._forget else []
        return QuickAnswers(tokenizer, {"verbmem": forget, "utility": retain}, ends)

    def lengths(self, rows: Sequence[Example]) -> list[int]:
        """Tokens of each row."""
        return [len(row["input_ids"]) for row in rows]

    def placeholder(self, row: Example) -> Example:
        """The first tokens of a row, none of them a label."""
        ids = list(row["input_ids"])[:2]
        return {"input_ids": ids, "labels": [IGNORED] * len(ids), "row_id": NO_ROW}

    def check_forward(self, model: nn.Module, batch: Mapping[str, Tensor]) -> None:
        """Before the first pass of a run: choose the savings that do not change the losses of the batch.

        Raises:
            InputError: the model is not a causal language model, or needs inputs other than tokens.
        """
        check_further_inputs(model, batch)
        check_causal(model, batch["input_ids"][0][batch["attention_mask"][0].bool()].tolist())
        self.forward = choose_forward(model, batch, self.situation)
        self._attached.enter_context(self.forward.attached(model))

    @contextmanager
    def training(self, model: nn.Module) -> Iterator[None]:
        """A context in which the model is trained; afterwards its attention and head are as before."""
        with ExitStack() as self._attached:
            yield
        self.forward = self.forward.without_buffers()

    def choices(self, model: nn.Module) -> int:
        """Number of tokens that the output head chooses from."""
        language_model = cast(Any, model)
        head = language_model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
        return int(language_model.config.vocab_size if head is None else head.weight.shape[0])
