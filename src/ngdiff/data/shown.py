"""Names of columns and splits in messages, without texts of the data.

In a CSV file without a header, the column names are texts of the data, and in a JSON file, a split may be named after a
person. Texts of a forget set must not appear in a terminal or a log, so only well-known names are shown; others are
counted.
"""

import difflib
import re
from collections.abc import Iterable

# Well-known names of columns and of keys of a turn, here and in common formats of instruction data.
_NAMES = frozenset(
    [
        "question",
        "answer",
        "prompt",
        "completion",
        "text",
        "messages",
        "paraphrased_answer",
        "perturbed_answer",
        "paraphrased_question",
        "instruction",
        "input",
        "output",
        "inputs",
        "outputs",
        "response",
        "responses",
        "reply",
        "query",
        "context",
        "contexts",
        "content",
        "contents",
        "role",
        "conversation",
        "conversations",
        "dialogue",
        "turns",
        "turn",
        "system",
        "user",
        "assistant",
        "human",
        "gpt",
        "from",
        "value",
        "chosen",
        "rejected",
        "title",
        "body",
        "head",
        "header",
        "document",
        "documents",
        "passage",
        "passages",
        "summary",
        "article",
        "sentence",
        "sentences",
        "paragraph",
        "target",
        "targets",
        "source",
        "label",
        "labels",
        "id",
        "idx",
        "index",
        "uid",
        "uuid",
        "key",
        "name",
        "type",
        "kind",
        "topic",
        "category",
        "subject",
        "author",
        "language",
        "lang",
        "url",
        "date",
        "time",
        "score",
        "split",
        "train",
        "test",
        "file",
        "path",
        "tool_calls",
        "tool_call_id",
        "tool",
        "tools",
        "function_call",
        "weight",
        "thinking",
        "image",
        "images",
        "img",
        "pixel_values",
        "fine_label",
        "coarse_label",
        "class",
        "options",
        "choices",
        "a",
        "q",
    ]
)
_ROLES = frozenset(["system", "developer", "user", "assistant", "tool", "function", "human", "gpt", "model", "bot"])
_SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,39}")


def is_name(text: str) -> bool:
    """Whether a text is a well-known name of a column, or close to one.

    >>> is_name("Question"), is_name("anwser"), is_name("Orla Nimmo was born in Galway.")
    (True, True, False)
    """
    word = text.strip().lower()
    return word in _NAMES or (len(word) > 3 and bool(difflib.get_close_matches(word, _NAMES, n=1, cutoff=0.8)))


def columns(names: Iterable[str]) -> str:
    """A description of columns for a message.

    >>> columns(["question", "reply"]), columns(["id", "Orla Nimmo", "Galway"])
    ("the columns 'question', 'reply'", "the columns 'id' and 2 of other names")
    >>> columns(["Orla Nimmo", "Galway"]), columns([])
    ('2 columns, none of a known name', 'the columns (none)')
    """
    found = [str(name) for name in names]
    known = [f"'{name}'" for name in found if is_name(name)]
    others = len(found) - len(known)
    if others and not known:
        return f"{others} column{'s' if others > 1 else ''}, none of a known name"
    return f"the columns {', '.join(known) or '(none)'}" + (f" and {others} of other names" if others else "")


def column(name: str, number: int) -> str:
    """A description of one column: its name, or its number if the name may be a text.

    >>> column("text", 1), column("Orla Nimmo", 2)
    ('text', 'column 2')
    """
    return name if is_name(name) else f"column {number}"


def splits(names: Iterable[str]) -> str:
    """Names of splits, one of which the user has to choose; what holds a space is none.

    >>> splits(["forget10", "retain90"]), splits(["train", "Orla Nimmo"])
    ('forget10, retain90', 'train and 1 of other names')
    """
    found = [str(name) for name in names]
    known = [name for name in found if _SPLIT.fullmatch(name)]
    others = len(found) - len(known)
    return " and ".join([*([", ".join(known)] if known else []), *([f"{others} of other names"] if others else [])])


def split(name: str, number: int) -> str:
    """One split: its name, or its number where that holds a space.

    >>> split("forget10", 1), split("Orla Nimmo", 2)
    ('forget10', 'split 2')
    """
    return name if _SPLIT.fullmatch(name) else f"split {number}"


def role(text: str) -> str:
    """The role of a turn.

    >>> role("user"), role("Orla")
    ("role 'user'", 'another role')
    """
    return f"role '{text}'" if text.strip().lower() in _ROLES else "another role"
