"""Conversations of a record: turns with `role` and `content`, or ShareGPT's with `from` and `value`."""

from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.data import shown
from ngdiff.data.tools import read_calls
from ngdiff.data.values import check_encodable, from_json, type_of
from ngdiff.errors import InputError

# Speaker in ShareGPT's files -> role of a message.
SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "claude": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_response": "tool",
}


def read_turns(value: object, column: str, origin: str) -> list[dict[str, Any]]:
    """The turns of a conversation; ShareGPT's are converted to messages.

    Raises:
        InputError: not a list, an incomplete turn, or one that no template could render unchanged.
    """
    turns = from_json(value)
    if not isinstance(turns, list | tuple) or not turns:
        found = "an empty list" if isinstance(turns, list | tuple) else type_of(turns)
        raise InputError(f"{origin}: column '{column}' must be a list of role/content turns, found {found}.")
    places = [f"turn {number} of column '{column}'" for number in range(1, len(turns) + 1)]
    return [
        _spoken(turn, place, origin) if _is_sharegpt(turn) else _turn(turn, place, column, origin)
        for turn, place in zip(turns, places, strict=True)
    ]


def _is_sharegpt(turn: object) -> bool:
    return isinstance(turn, Mapping) and turn.get("from") is not None and turn.get("role") is None


def _spoken(turn: Mapping[str, object], place: str, origin: str) -> dict[str, Any]:
    """A turn of ShareGPT. Keys other than `from` and `value` (a weight, a translation) are ignored."""
    speaker, value = turn["from"], turn.get("value")
    role = SPEAKERS.get(speaker.strip().lower()) if isinstance(speaker, str) else None
    if role is None:
        accepted = ", ".join(SPEAKERS)
        raise InputError(f"{origin}: {place} is from an unknown speaker; accepted in 'from' are {accepted}.")
    if not isinstance(value, str):
        raise InputError(f"{origin}: key 'value' of {place} must be a string, found {type_of(value)}.")
    check_encodable(value, "value", f"{origin}, {place}")
    return {"role": role, "content": value}


def _turn(turn: object, place: str, column: str, origin: str) -> dict[str, Any]:
    calls, only_calls = None, False
    if isinstance(turn, Mapping):
        calls = read_calls(turn.get("tool_calls"), f"key 'tool_calls' of {place}", origin)
        turn = {key: item for key, item in turn.items() if key != "tool_calls"}
        only_calls = calls is not None and turn.get("content") is None  # OpenAI's format of such a turn
        if only_calls:
            turn["content"] = ""
    if not isinstance(turn, Mapping) or turn.get("role") is None or turn.get("content") is None:
        raise InputError(f"{origin}: {place} needs the keys role and content.")
    # Other keys (a speaker's name, say) go to the template; a value it would have to render otherwise is refused
    # rather than dropped. Tables fill keys that a turn lacks with null.
    kept = {str(key): item for key, item in turn.items() if item is not None}
    for index, (key, item) in enumerate(kept.items(), start=1):
        if not isinstance(item, str):
            named = f"key '{key}'" if shown.is_name(key) else f"key {index}"
            raise InputError(f"{origin}: {named} of {place} must be a string, found {type_of(item)}.")
        check_encodable(item, column, origin)
    found: dict[str, Any] = {key: str(item) for key, item in kept.items()}
    if only_calls:
        found["content"] = None  # templates tell it from an empty text
    return {**found, **({} if calls is None else {"tool_calls": calls})}


def question_of(turns: Sequence[Mapping[str, Any]]) -> str:
    """The text of the last user turn; empty if there is none."""
    return next((str(turn["content"] or "") for turn in reversed(turns) if turn["role"] == "user"), "")
