"""From a data set argument of the trainer to encoded rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.data import Row, Template, check_encoded_overlap, check_overlap, read_rows, resolve_template
from ngdiff.data.encode import encode_named
from ngdiff.errors import InputError
from ngdiff.evaluation.context import row_limit
from ngdiff.modeling.vocabulary import check_tokens, check_vocabulary, embedding_rows, pad_token_within
from ngdiff.tasks.base import Rows
from ngdiff.tasks.text_options import TextOptions


class RowEncoder:
    """Encodes the rows of data set arguments, all with one template.

    Args:
        model: Whose embeddings and context the rows must fit.
        tokenizer: Its tokenizer, or None.
        options: With the template and the greatest length.
        template: If it is resolved already; the sets are then taken to be checked against each other already.

    Attributes:
        show_progress: Show a bar on a terminal while many rows are encoded.
    """

    def __init__(self, model: Any, tokenizer: Any, options: TextOptions, template: Template | None = None) -> None:
        # Options of a trainer are more than those of texts.
        self.show_progress = not getattr(options, "disable_tqdm", False)
        self.tokenizer, self.options = tokenizer, options
        self._given = template
        self.template_name: str | None = None
        self.template_text: str | None = None
        self.max_length = row_limit(model, options.max_length)
        self._model = model

    @property
    def pad_token_id(self) -> int:
        """As of `ngdiff.modeling.vocabulary.pad_token_within`."""
        return pad_token_within(self.tokenizer, embedding_rows(self._model))

    def __call__(self, source: Rows, role: str) -> Sequence[Mapping[str, Any]]:
        """Encoded rows.

        Raises:
            InputError: no rows, rows that cannot be read or do not fit, or text without a tokenizer.
        """
        rows = self.read(source, role)
        return source if rows is None else self.encode(rows, self.template_for(rows), role)

    def pair(
        self, forget: Rows, retain: Rows, *, cut_forget: bool = False
    ) -> tuple[list[Row] | None, Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        """Both sets, read once, encoded with one template and checked against each other: no row may be in both.

        Args:
            forget, retain: What is to be forgotten, and what is to be kept.
            cut_forget: A long forget row of text loses its end, so that each is one encoded row.

        Returns:
            Forget rows of text, None where they came encoded; both sets, encoded.

        Raises:
            InputError: as above, or rows that are in both sets.
        """
        own, others = self.read(forget, "--forget"), self.read(retain, "--retain")
        texts = [*(own or ()), *(others or ())]
        if texts:
            template = self.template_for(texts)
            self.refuse_overlap(own, others, "--retain", template)
            if own is not None:
                answers = [row.answer for row in own] if cut_forget else None
                forget = self.encode(own, template, "--forget", answers)
            retain = retain if others is None else self.encode(others, template, "--retain")
        if own is None or others is None:
            check_encoded_overlap(forget, retain)
        return own, forget, retain

    def disjoint_from(self, forget: Sequence[Row] | None, source: Rows, role: str) -> Sequence[Mapping[str, Any]]:
        """Another set, encoded; no row of it may be in the forget set. Raises as `pair`."""
        rows = self.read(source, role)
        if rows is None:
            return source  # encoded, as it came
        template = self.template_for([*(forget or ()), *rows])
        self.refuse_overlap(forget, rows, role, template)
        return self.encode(rows, template, role)

    def refuse_overlap(
        self, forget: Sequence[Row] | None, others: Sequence[Row] | None, role: str, template: Template
    ) -> None:
        """Refuse rows of text that are in the forget set and in another, unless that was checked before.

        Raises:
            InputError: there are such rows.
        """
        if forget is not None and others is not None and self._given is None:
            names = ("--forget", role)
            check_overlap(forget, others, drop=False, tokenizer=self.tokenizer, template=template, names=names)

    def template_for(self, rows: Sequence[Row]) -> Template:
        """How these rows become text. Raises as `ngdiff.data.resolve_template`."""
        return self._given or resolve_template(self.options.template, self.tokenizer, rows)

    def read(self, source: Rows, role: str) -> list[Row] | None:
        """Rows of text; None where they are encoded already."""
        if _is_encoded(source):
            if len(source) == 0:
                raise InputError(f"{role}: no rows")
            empty = next((i for i in range(len(source)) if not len(source[i]["input_ids"])), None)
            if empty is not None:
                raise InputError(f"{role}: encoded row {empty} (from 0) has no tokens: its input_ids are empty")
            encoded = ((f"{role}: encoded row {i} (from 0)", source[i]["input_ids"]) for i in range(len(source)))
            check_tokens(self._model, self.tokenizer, encoded)
            return None
        if self.tokenizer is None:
            raise InputError(f"{role}: rows of text need a tokenizer; pass processing_class")
        return read_rows(source, role=role)

    def encode(
        self, rows: list[Row], template: Template, role: str, answers: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Tokens and labels of rows of text, as `ngdiff.data.encode_rows`.

        Raises:
            InputError: as there, or a token that has no embedding.
        """
        self.template_name, self.template_text = template.name, template.text
        return self._encoded(rows, template, role, answers)

    def encode_answers(self, rows: list[Row], answers: list[str]) -> list[dict[str, Any]]:
        """Tokens and labels of rows with other answers in place of their own, one for each row. Raises as `encode`."""
        return self._encoded(rows, self.template_for(rows), "other answers", answers)

    def _encoded(
        self, rows: list[Row], template: Template, role: str, answers: Sequence[str] | None
    ) -> list[dict[str, Any]]:
        named = encode_named(
            rows,
            self.tokenizer,
            template,
            max_length=self.max_length,
            answers=answers,
            role=role,
            show_progress=self.show_progress,
        )
        check_vocabulary(self._model, self.tokenizer)
        check_tokens(self._model, self.tokenizer, ((name, item["input_ids"]) for name, item in named))
        return [item for _, item in named]


def _is_encoded(source: Rows) -> bool:
    if isinstance(source, str | Mapping) or not hasattr(source, "__getitem__") or not hasattr(source, "__len__"):
        return False
    if hasattr(source, "iloc"):  # a pandas.DataFrame is indexed by columns; `read_rows` says what to give instead
        return False
    if len(source) == 0:
        return True
    first = source[0]
    return isinstance(first, Mapping) and "input_ids" in first
