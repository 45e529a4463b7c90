"""What an attack is, what it is given, and what it leaves behind."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ngdiff.audit.target import Target
from ngdiff.data import Row, Template
from ngdiff.evaluation import Record, predict
from ngdiff.evaluation.context import row_limit
from ngdiff.metrics import loss, row_values

LEAKS = ("extraction_strength", "verbmem")  # of `variant_of`: fractions that say how much of an answer comes out
_SHOWN = ("exact_memorisation", "probability")


class NotApplicableError(Exception):
    """The attack needs what the rows or the tokenizer do not have; the text says what."""


@dataclass(frozen=True)
class Variant:
    """What one form of an attack brought out of a model.

    Attributes:
        leaks: by measure one fraction for each measured row, in the same order for every model; higher: more comes
            out. NaN where a row has none. What comes back is judged by these.
        shown: further numbers of the variant, of which JSON can be made; no texts.
        records: of the measured rows, with texts; kept in `private/`.
    """

    leaks: dict[str, list[float]]
    shown: dict[str, Any] = field(default_factory=dict)
    records: Sequence[Mapping[str, Any]] = ()


def variant_of(records: Sequence[Record]) -> Variant:
    """Extraction strength and Verbmem of each record; the mean loss, nats a token, and further means beside them."""
    values: Any = row_values({"forget": records}).forget  # lists of floats by measure
    shown: dict[str, Any] = {"loss": loss(records)}
    for name in _SHOWN:
        known = [value for value in values.get(name, ()) if value == value]
        if known:
            shown[name] = sum(known) / len(known)
    return Variant({name: list(values[name]) for name in LEAKS if name in values}, shown, records)


@dataclass(frozen=True)
class Bed:
    """What every attack is given beside the model: rows, tokens, and how models are asked.

    Attributes:
        tokenizer, template: of the model, for all models.
        forget, retain: rows without other answers.
        holdout: rows that no model saw; may be empty.
        paraphrased: the forget rows with other questions, in their order; may be empty.
        seed: of whatever is drawn, the same for every model.
        max_length: longest row in tokens; None: the model's context.
        tokens_per_batch, show_progress: as in `ngdiff.evaluation.predict`.
    """

    tokenizer: Any
    template: Template
    forget: Sequence[Row]
    retain: Sequence[Row]
    holdout: Sequence[Row] = ()
    paraphrased: Sequence[Row] = ()
    seed: int = 0
    max_length: int | None = None
    tokens_per_batch: int = 4096
    show_progress: bool = False

    def ask(
        self, model: Any, rows: Sequence[Row], template: Template | None = None, prompt_tokens: int | None = None
    ) -> list[Record]:
        """Records of rows: what the model answers, and how probable the right answer is to it.

        Args:
            model: as it is now.
            rows: to be asked.
            template: in place of the bed's.
            prompt_tokens: first tokens of a text that are its prompt, as in `ngdiff.evaluation.predict`.
        """
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
        return row_limit(model, self.max_length)


@dataclass(frozen=True)
class Attack:
    """One way to get forgotten rows out of a model, a row of `ngdiff.audit.ATTACKS`.

    Attributes:
        run: yields (name, result) of each form of the attack. It may change values of weights, and calls
            `Target.restore` before a form that starts from the model as it was; the model is restored after the last.
            The forms, and the rows that each measures, depend on the bed alone, never on the model: model and reference
            are compared row by row. Raises `NotApplicableError` where the bed lacks something.
        description: what is done, in a line.
        asks_as_usual: the rows are asked as an evaluation asks them, so that D has a unit (`--before`).
    """

    run: Callable[[Target, Bed], Iterator[tuple[str, Variant]]]
    description: str
    asks_as_usual: bool = False
