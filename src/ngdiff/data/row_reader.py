"""Convert a record (a mapping of column names to values) to a `Row`.

The formats are those of TRL (prompt/completion, text, messages), TOFU (question/answer with paraphrased
and perturbed answers), Alpaca and ShareGPT; `ngdiff.data.forms` tells which one a file has. Errors name the place and
the column, and the type found rather than the text: texts of a forget set do not belong in a terminal or a log.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ngdiff.data import shown
from ngdiff.data.conversations import question_of, read_turns
from ngdiff.data.forms import Columns, Found
from ngdiff.data.rows import Row
from ngdiff.data.tools import read_tools
from ngdiff.data.values import from_json, text_of, type_of
from ngdiff.errors import InputError

Record = tuple[str, Mapping[str, object]]  # (origin, columns)


class RowReader:
    """Converts records to rows.

    Args:
        columns: The columns to use; by default they are recognised by their names.

    Attributes:
        found: The form of the last record.
    """

    def __init__(self, columns: Columns | None = None) -> None:
        self.columns = columns or Columns()
        self.found: Found | None = None
        self._known: dict[tuple[str, ...], Found] = {}

    def row(self, record: Mapping[str, object], origin: str) -> Row:
        """One checked row. Columns that are not used are ignored.

        Raises:
            InputError: an unknown or an ambiguous column set, a wrong type or an empty answer.
        """
        if not isinstance(record, Mapping):
            raise InputError(f"{origin}: a row must be an object with named columns, found {type_of(record)}.")
        self.found = self._form(record, origin)
        return _READ[self.found.form](_Values(record, self.found.names, origin))

    def _form(self, record: Mapping[str, object], origin: str) -> Found:
        names = tuple(map(str, record))
        if names not in self._known:
            found = self.columns.choose(record, origin)
            if len(self.columns.candidates(names)) > 1:
                return found  # told by its values: the next row may have others
            self._known[names] = found
        return self._known[names]


def rows_from_records(records: Iterable[Record], columns: Columns | None = None) -> list[Row]:
    """All rows of one set; they must share one column set. Raises as `read_records`.

    >>> rows_from_records([("demo, row 1", {"question": "Who?", "answer": "Orla."})])[0].answer
    'Orla.'
    """
    return read_records(records, columns)[0]


def read_records(records: Iterable[Record], columns: Columns | None = None) -> tuple[list[Row], str]:
    """All rows of one set, and a description of how they were read; empty for the usual columns.

    Raises:
        InputError: an unknown or an ambiguous column set, a row that differs from the first one, a wrong type or an
            empty answer.
    """
    reader = RowReader(columns)
    rows: list[Row] = []
    for origin, record in records:
        row = reader.row(record, origin)
        if rows and row.kind != rows[0].kind:
            raise InputError(
                f"{origin}: a {row.kind} row with {shown.columns(record)}, but the first row of this "
                f"set ({rows[0].origin}) is a {rows[0].kind} row; one set must keep to one column set."
            )
        rows.append(row)
    return rows, "" if reader.found is None else reader.found.said()


class _Values:
    """Values of a record under the standard column names, with the file's names for messages."""

    def __init__(self, record: Mapping[str, object], names: Mapping[str, str], origin: str) -> None:
        self.record, self.names, self.origin = record, names, origin

    def __getitem__(self, own: str) -> object:
        return self.record[self.names[own]] if own in self.names else None

    def text(self, own: str, *, empty_allowed: bool = False) -> str:
        return text_of(self[own], self.names[own], self.origin, empty_allowed=empty_allowed)

    def turns(self, own: str) -> list[dict[str, Any]]:
        return read_turns(self[own], self.names[own], self.origin)

    def other_answers(self) -> tuple[str | None, tuple[str, ...]]:
        """The paraphrased answer and the perturbed ones."""
        paraphrased, perturbed = self["paraphrased_answer"], from_json(self["perturbed_answer"])
        if paraphrased is not None:
            paraphrased = self.text("paraphrased_answer")
        if perturbed is None:
            perturbed = []
        name = self.names.get("perturbed_answer", "perturbed_answer")
        if not isinstance(perturbed, list | tuple):
            raise InputError(f"{self.origin}: column '{name}' must be a list of strings, found {type_of(perturbed)}.")
        return paraphrased, tuple(text_of(item, name, self.origin) for item in perturbed)


def _completion(values: _Values) -> Row:
    if isinstance(values["prompt"], list):
        return _chat_completion(values)
    # A prompt may be empty (a completion of nothing); a question may not.
    prompt, answer = values.text("prompt", empty_allowed=True), values.text("completion")
    return Row(prompt, answer, None, *values.other_answers(), origin=values.origin, kind="completion")


def _question(values: _Values) -> Row:
    question, answer = values.text("question"), values.text("answer")
    return Row(question, answer, None, *values.other_answers(), origin=values.origin, kind="qa")


def _text(values: _Values) -> Row:
    return Row("", values.text("text"), None, *values.other_answers(), origin=values.origin, kind="text")


def _alpaca(values: _Values) -> Row:
    """Instruction and input, where there is one, with a blank line between them (Taori et al. 2023)."""
    question = values.text("instruction")
    if values["input"] is not None:
        given = values.text("input", empty_allowed=True)
        question += f"\n\n{given}" if given.strip() else ""
    return Row(question, values.text("output"), None, *values.other_answers(), origin=values.origin, kind="qa")


def _messages(values: _Values) -> Row:
    return _chat(values.turns("messages"), values)


def _sharegpt(values: _Values) -> Row:
    turns = values.turns("conversations")
    if values["system"] is not None and (system := values.text("system", empty_allowed=True)).strip():
        if turns[0]["role"] == "system":
            raise InputError(
                f"{values.origin}: there is a system turn both in the conversation and in column 'system'."
            )
        turns = [{"role": "system", "content": system}, *turns]
    return _chat(turns, values)


def _chat_completion(values: _Values) -> Row:
    """TRL's conversational prompt/completion: two lists of turns, the second of one assistant turn.

    TRL trains on every turn of a longer completion; here a row has one answer, so a longer one is refused.
    """
    prompt, completion = values.turns("prompt"), values.turns("completion")
    if len(completion) != 1:
        raise InputError(
            f"{values.origin}: column '{values.names['completion']}' must hold one assistant turn, found "
            f"{len(completion)} turns; move the earlier ones to '{values.names['prompt']}'."
        )
    return _chat(prompt + completion, values)


def _chat(turns: list[dict[str, Any]], values: _Values) -> Row:
    origin = values.origin
    *before, last = turns
    if last["role"] != "assistant":
        raise InputError(f"{origin}: the last turn must be the assistant's, found {shown.role(last['role'])}.")
    if not before:
        raise InputError(f"{origin}: a conversation needs at least one turn before the assistant's answer.")
    if "tool_calls" in last:
        raise InputError(f"{origin}: the final assistant turn calls tools; it must be a text, which can be forgotten.")
    if not last["content"].strip():
        raise InputError(f"{origin}: the final assistant turn is empty.")
    other, tools = values.other_answers(), read_tools(values["tools"], values.names.get("tools", "tools"), origin)
    return Row(question_of(before), last["content"], tuple(before), *other, origin=origin, kind="messages", tools=tools)


_READ = {
    "completion": _completion,
    "qa": _question,
    "messages": _messages,
    "text": _text,
    "alpaca": _alpaca,
    "sharegpt": _sharegpt,
}
