"""From a record (a mapping of column names to values) to a `Row`: the accepted column sets and their checks.

The formats are those of TRL (prompt/completion, text, messages) and TOFU (question/answer with paraphrased
and perturbed answers). Errors name the place and the column, and the type found rather than the text: texts
of a forget set do not belong in a terminal or a log.
"""

from collections.abc import Iterable, Mapping

from ngdiff.data import shown
from ngdiff.data.json_text import RepeatedKey
from ngdiff.data.rows import Kind, Row
from ngdiff.errors import InputError

Record = tuple[str, Mapping[str, object]]  # (origin, columns)

# A record that has the columns of several sets is read as the first of them in this order.
COLUMN_SETS: dict[Kind, tuple[str, ...]] = {
    "completion": ("prompt", "completion"),
    "qa": ("question", "answer"),
    "messages": ("messages",),
    "text": ("text",),
}
# Read where they are there, whatever the column set.
EXTRA_COLUMNS = ("paraphrased_answer", "perturbed_answer")
ACCEPTED = ", ".join("/".join(columns) for columns in COLUMN_SETS.values())


def rows_from_records(records: Iterable[Record]) -> list[Row]:
    """All rows of one set; they must share one column set.

    Raises:
        InputError: an unknown column set, a row that differs from the first one, a wrong type or an empty
        answer.

    >>> rows_from_records([("demo, row 1", {"question": "Who?", "answer": "Orla."})])[0].answer
    'Orla.'
    """
    rows: list[Row] = []
    for origin, record in records:
        row = row_from_record(record, origin)
        if rows and row.kind != rows[0].kind:
            raise InputError(
                f"{origin}: a {row.kind} row with {shown.columns(record)}, but the first row of this "
                f"set ({rows[0].origin}) is a {rows[0].kind} row; one set must keep to one column set."
            )
        rows.append(row)
    return rows


def row_from_record(record: Mapping[str, object], origin: str) -> Row:
    """One checked row. Columns that are not used are ignored."""
    if not isinstance(record, Mapping):
        raise InputError(f"{origin}: a row must be an object with named columns, found {type_of(record)}.")
    kind = next((kind for kind, columns in COLUMN_SETS.items() if all(c in record for c in columns)), None)
    if kind is None:
        header = "; a CSV file names them in its first line" if ".csv, line" in origin.lower() else ""
        raise InputError(f"{origin}: found {shown.columns(record)}; accepted column sets are {ACCEPTED}{header}.")
    if kind == "completion" and not isinstance(record["prompt"], str) and isinstance(record["prompt"], list):
        return _chat_completion(record, origin)
    if kind == "messages":
        return _chat(_turns(record["messages"], "messages", origin), record, origin)
    if kind == "text":
        prompt, answer = "", _text(record["text"], "text", origin)
    else:
        first, second = COLUMN_SETS[kind]
        # A prompt may be empty (a completion of nothing); a question may not.
        prompt = _text(record[first], first, origin, empty_allowed=kind == "completion")
        answer = _text(record[second], second, origin)
    return Row(prompt, answer, None, *_extra_answers(record, origin), origin=origin, kind=kind)


def _chat_completion(record: Mapping[str, object], origin: str) -> Row:
    """TRL's conversational prompt/completion: two lists of turns, the second of one assistant turn.

    TRL trains on every turn of a longer completion; here a row has one answer, so a longer one is refused.
    """
    prompt = _turns(record["prompt"], "prompt", origin)
    completion = _turns(record["completion"], "completion", origin)
    if len(completion) != 1:
        raise InputError(
            f"{origin}: column 'completion' must hold one assistant turn, found {len(completion)} turns; "
            "move the earlier ones to 'prompt'."
        )
    return _chat(prompt + completion, record, origin)


def _chat(turns: list[dict[str, str]], record: Mapping[str, object], origin: str) -> Row:
    *before, last = turns
    if last["role"] != "assistant":
        raise InputError(f"{origin}: the last turn must be the assistant's, found {shown.role(last['role'])}.")
    if not before:
        raise InputError(f"{origin}: a conversation needs at least one turn before the assistant's answer.")
    if not last["content"].strip():
        raise InputError(f"{origin}: the final assistant turn is empty.")
    question = next((turn["content"] for turn in reversed(before) if turn["role"] == "user"), "")
    extra = _extra_answers(record, origin)
    return Row(question, last["content"], tuple(before), *extra, origin=origin, kind="messages")


def _turns(value: object, column: str, origin: str) -> list[dict[str, str]]:
    if not isinstance(value, list | tuple) or not value:
        found = "an empty list" if isinstance(value, list | tuple) else type_of(value)
        raise InputError(f"{origin}: column '{column}' must be a list of role/content turns, found {found}.")
    turns = []
    for number, turn in enumerate(value, start=1):
        place = f"turn {number} of column '{column}'"
        if not isinstance(turn, Mapping) or turn.get("role") is None or turn.get("content") is None:
            raise InputError(f"{origin}: {place} needs the keys role and content.")
        # Other keys (a speaker's name, say) go to the template; a value it would have to render otherwise,
        # such as a tool call, is refused rather than dropped. Tables fill keys that a turn lacks with null.
        kept = {str(key): item for key, item in turn.items() if item is not None}
        for index, (key, item) in enumerate(kept.items(), start=1):
            if not isinstance(item, str):
                named = f"key '{key}'" if shown.is_name(key) else f"key {index}"
                raise InputError(f"{origin}: {named} of {place} must be a string, found {type_of(item)}.")
            check_encodable(item, column, origin)
        turns.append({key: str(item) for key, item in kept.items()})
    return turns


def _extra_answers(record: Mapping[str, object], origin: str) -> tuple[str | None, tuple[str, ...]]:
    paraphrased, perturbed = record.get("paraphrased_answer"), record.get("perturbed_answer")
    if paraphrased is not None:
        paraphrased = _text(paraphrased, "paraphrased_answer", origin)
    if perturbed is None:
        perturbed = []
    if not isinstance(perturbed, list | tuple):
        raise InputError(f"{origin}: column 'perturbed_answer' must be a list of strings, found {type_of(perturbed)}.")
    return paraphrased, tuple(_text(item, "perturbed_answer", origin) for item in perturbed)


def _text(value: object, column: str, origin: str, *, empty_allowed: bool = False) -> str:
    if not isinstance(value, str):
        raise InputError(f"{origin}: column '{column}' must be a string, found {type_of(value)}.")
    if not empty_allowed and not value.strip():
        raise InputError(f"{origin}: column '{column}' is empty.")
    check_encodable(value, column, origin)
    return value


def check_encodable(value: str, column: str, origin: str) -> None:
    """Refuse a text that no tokenizer takes.

    Raises:
        InputError: half a surrogate pair.
    """
    # JSON can spell half a surrogate pair ("\ud83d"); no tokenizer takes it.
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{origin}: column '{column}' has half a surrogate pair at character {error.start}.") from None


def type_of(value: object) -> str:
    """What messages call a value, which they never show."""
    if isinstance(value, RepeatedKey):
        return "several values, as the key occurs more than once"
    return "null" if value is None else type(value).__name__
