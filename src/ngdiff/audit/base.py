"""The interface of an attack: its inputs and its results."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ngdiff.evaluation.batching import TOKENS_PER_BATCH
from ngdiff.metrics import loss, row_values

if TYPE_CHECKING:
    from ngdiff.audit.target import Target
    from ngdiff.data import Row, Template
    from ngdiff.evaluation import Record

LEAKS = ("extraction_strength", "verbmem")  # of `variant_of`: fractions of an answer that are recovered
_SHOWN = ("exact_memorisation", "probability")


class NotApplicableError(Exception):
    """The rows or the tokenizer lack something that the attack needs; the message says what."""


@dataclass(frozen=True)
class Variant:
    """What one form of an attack recovered from a model.

    Attributes:
        leaks: By measure, a fraction for each measured row, in the same order for every model; higher means that more
            is recovered; NaN if a row has none. These decide what comes back.
        shown: Further numbers, which JSON can store; no texts.
        records: Records of the measured rows, with texts; kept in `private/`.
    """

    leaks: dict[str, list[float]]
    shown: dict[str, Any] = field(default_factory=dict)
    records: Sequence[Mapping[str, Any]] = ()


def variant_of(records: "Sequence[Record]") -> Variant:
    """Extraction strength and Verbmem of each record, with the mean loss in nats per token and further means."""
    values: Any = row_values({"forget": records}).forget  # lists of floats by measure
    shown: dict[str, Any] = {"loss": loss(records)}
    for name in _SHOWN:
        known = [value for value in values.get(name, ()) if value == value]
        if known:
            shown[name] = sum(known) / len(known)
    return Variant({name: list(values[name]) for name in LEAKS if name in values}, shown, records)


@dataclass(frozen=True)
class Bed:
    """The inputs of every attack except the model: rows, tokenizer, and settings of the evaluation.

    Attributes:
        tokenizer, template: Used for all models.
        forget, retain: Rows without paraphrased or perturbed answers.
        holdout: Rows that no model saw; may be empty.
        paraphrased: The forget rows with paraphrased questions, in the same order; may be empty.
        canaries: Planted rows, their perturbed answers being other values of their secrets; may be empty.
        seed: Of all random draws, the same for every model.
        max_length: Longest row in tokens; None for the model's context.
        tokens_per_batch, show_progress: As in `ngdiff.evaluation.predict`.
    """

    tokenizer: Any
    template: "Template"
    forget: "Sequence[Row]"
    retain: "Sequence[Row]"
    holdout: "Sequence[Row]" = ()
    paraphrased: "Sequence[Row]" = ()
    canaries: "Sequence[Row]" = ()
    seed: int = 0
    max_length: int | None = None
    tokens_per_batch: int = TOKENS_PER_BATCH
    show_progress: bool = False

    def ask(
        self, model: Any, rows: "Sequence[Row]", template: "Template | None" = None, prompt_tokens: int | None = None
    ) -> "list[Record]":
        """Records of rows: the model's answers, and the likelihoods of the reference answers.

        Args:
            model: In its current state.
            rows: Rows to evaluate.
            template: Instead of `self.template`.
            prompt_tokens: Number of first tokens of a text that form its prompt, as in `ngdiff.evaluation.predict`.
        """
        from ngdiff.evaluation import predict

        return predict(
            model,
            self.tokenizer,
            rows,
            self.template if template is None else template,
            max_length=self.limit(model),
            set_name="forget",
            prompt_tokens=prompt_tokens,
            tokens_per_batch=self.tokens_per_batch,
            show_progress=self.show_progress,
        )

    def limit(self, model: Any) -> int:
        """Longest row in tokens."""
        from ngdiff.evaluation.context import row_limit

        return row_limit(model, self.max_length)


@dataclass(frozen=True)
class Attack:
    """An attack that tries to recover forgotten rows from a model, an entry of `ngdiff.audit.ATTACKS`.

    Attributes:
        run: Yields (name, result) of each form of the attack. It may change weights in place, and calls
            `Target.restore` before a form that starts from the original model, which is restored after the last one.
            The forms, and the rows that each measures, depend only on the bed, never on the model, because model and
            reference are compared row by row. Raises `NotApplicableError` if the bed lacks something.
        description: In one line.
        asks_as_usual: Whether rows are evaluated as in an evaluation, so that D has a unit (`--before`).
    """

    run: "Callable[[Target, Bed], Iterator[tuple[str, Variant]]]"
    description: str
    asks_as_usual: bool = False
