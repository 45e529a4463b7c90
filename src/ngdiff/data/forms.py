"""The supported column sets: recognised by their names, or given by the user (`--columns`).

| form | columns | becomes |
|---|---|---|
| completion | prompt, completion | prompt/completion |
| qa | question, answer | question/answer |
| messages | messages | a conversation |
| text | text | a text |
| alpaca | instruction, output, and input where it is there | question/answer |
| sharegpt | conversations, and system where it is there | a conversation |

Names are case-insensitive. If a file has the columns of several forms, the user must choose: a hidden order of
precedence must not decide what is forgotten.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ngdiff.data import shown
from ngdiff.data.rows import Kind
from ngdiff.errors import InputError

OTHER_ANSWERS = ("paraphrased_answer", "perturbed_answer")
LISTS = ("messages", "conversations", "tools", "perturbed_answer")  # in a CSV cell written as JSON


@dataclass(frozen=True)
class Form:
    """A column set.

    Attributes:
        title: Its name in messages.
        kind: Kind of its rows.
        needed: Required columns.
        optional: Columns that are used if present.
        becomes: Description of the conversion, for a form of other tools.
    """

    title: str
    kind: Kind
    needed: tuple[str, ...]
    optional: tuple[str, ...] = OTHER_ANSWERS
    becomes: str = ""


FORMS: dict[str, Form] = {
    "completion": Form("prompt/completion", "completion", ("prompt", "completion"), (*OTHER_ANSWERS, "tools")),
    "qa": Form("question/answer", "qa", ("question", "answer")),
    "messages": Form("messages", "messages", ("messages",), (*OTHER_ANSWERS, "tools")),
    "text": Form("text", "text", ("text",)),
    "alpaca": Form(
        "instruction/output (Alpaca)",
        "qa",
        ("instruction", "output"),
        (*OTHER_ANSWERS, "input"),
        "Alpaca: instruction and input are the question, output is the answer",
    ),
    "sharegpt": Form(
        "conversations (ShareGPT)",
        "messages",
        ("conversations",),
        (*OTHER_ANSWERS, "system", "tools"),
        "ShareGPT: conversations are messages",
    ),
}
ACCEPTED = ", ".join(form.title for form in FORMS.values())

# Column names that suggest a meaning, for advice in messages.
_QUESTIONS = ("question", "instruction", "prompt", "query", "input", "inputs", "user", "human", "q", "title")
_ANSWERS = (
    "answer", "response", "output", "outputs", "completion", "reply", "target", "assistant", "gpt", "chosen",
    "responses", "summary", "a",
)  # fmt: skip
_TEXTS = ("text", "content", "contents", "body", "document", "passage", "article", "paragraph", "sentence")
_TURNS = ("messages", "conversations", "conversation", "dialogue", "turns")


@dataclass(frozen=True)
class Found:
    """A form, and the file's name for each of its columns."""

    form: str
    names: Mapping[str, str]

    def said(self) -> str:
        """A description of how the rows are read; empty for the usual columns."""
        form = FORMS[self.form]
        others = {own: name for own, name in self.names.items() if own != name and own in form.needed}
        parts = [form.becomes or form.title] if form.becomes or others else []
        return "; ".join([*parts, *(f"{own} is the column '{name}'" for own, name in others.items())])


@dataclass(frozen=True)
class Columns:
    """The columns of a file that rows are made of, from `parse_columns`; `Columns()` recognises them by their names.

    Attributes:
        given: As typed; None: recognised by name.
        form: Key of `FORMS`; None: recognised by name.
        names: Standard name -> column of the file, for those that were given.
        option: The option, for messages.
    """

    given: str | None = None
    form: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    option: str = "--columns"

    def candidates(self, names: Sequence[str]) -> list[Found]:
        """The forms that match a file with these columns."""
        forms = FORMS if self.form is None else (self.form,)
        found = []
        for form in forms:
            needed = {own: self._in_file(own, names) for own in FORMS[form].needed}
            if None in needed.values():
                continue
            optional = {own: self._in_file(own, names) for own in self._optional(form)}
            both = {**needed, **optional}
            found.append(Found(form, {own: name for own, name in both.items() if name is not None}))
        return found

    def used(self, names: Sequence[str]) -> list[str]:
        """The columns of a file that rows can use."""
        used = {name for found in self.candidates(names) for name in found.names.values()}
        return [name for name in dict.fromkeys(names) if name in used]

    def lists(self, names: Sequence[str]) -> set[str]:
        """The columns that contain lists, which a CSV file stores as JSON."""
        return {name for found in self.candidates(names) for own, name in found.names.items() if own in LISTS}

    def may_be_empty(self, names: Sequence[str]) -> set[str]:
        """The optional columns: in a CSV file, an empty cell of these means that there is no value."""
        return {
            name
            for found in self.candidates(names)
            for own, name in found.names.items()
            if own not in FORMS[found.form].needed
        }

    def choose(self, record: Mapping[str, object], origin: str) -> Found:
        """The form of a record.

        Raises:
            InputError: none, or several; the message suggests a value for the option.
        """
        names = [str(name) for name in record]
        found = self.candidates(names)
        if not found:
            raise InputError(f"{origin}: {self._missing(names, origin)}")
        if len(found) == 1:
            return found[0]
        if (alpaca := _repeated_as_text(found, record)) is not None:
            return alpaca
        titles = " and as ".join(FORMS[one.form].title for one in found)
        ways = " or ".join(f"--columns {_typed(one)}" for one in found)
        raise InputError(f"{origin}: {shown.columns(names)} can be read as {titles}; say which: {ways}.")

    def _optional(self, form: str) -> tuple[str, ...]:
        """The optional columns of a form; with given columns, tools only if they are among these."""
        left_out = () if self.given is None or FORMS[form].becomes else ("tools",)
        return tuple(own for own in FORMS[form].optional if own not in left_out or own in self.names)

    def _in_file(self, own: str, names: Sequence[str]) -> str | None:
        """The column of a file with a standard name, preferably in the same case."""
        wanted = self.names.get(own, own)
        if wanted in names:
            return wanted
        same = [name for name in names if name.strip().lower() == wanted.lower()]
        return same[0] if len(same) == 1 else None

    def _missing(self, names: Sequence[str], origin: str) -> str:
        if self.form is not None:
            wanted = [self.names.get(own, own) for own in (*FORMS[self.form].needed, *self.names)]
            absent = next((name for name in wanted if self._lacks(name, names)), wanted[0])
            return f"{self.option} {self.given} asks for the column '{absent}', and there are {shown.columns(names)}."
        header = "; a CSV file names them in its first line" if ".csv" in origin.lower() and "line" in origin else ""
        return f"found {shown.columns(names)}; accepted column sets are {ACCEPTED}{header}. {_advice(names)}"

    @staticmethod
    def _lacks(name: str, names: Sequence[str]) -> bool:
        return name not in names and sum(other.strip().lower() == name.lower() for other in names) != 1


def parse_columns(text: str | None, option: str = "--columns") -> Columns:
    """Parse `--columns`: `question=instruction,answer=response`, or the name of a form.

    A standard name without `=COLUMN`, or not mentioned, is also the name of the column in the file. A comma separates
    only before one of our names: others belong to the name of a column.

    Raises:
        InputError: unknown or repeated names, or names of several forms.

    >>> parse_columns("answer=response").form, parse_columns("sharegpt").form, parse_columns(None).form
    ('qa', 'sharegpt', None)
    >>> parse_columns("question=Title, short,answer=Answer, final").names
    {'question': 'Title, short', 'answer': 'Answer, final'}
    """
    if text is None:
        return Columns(option=option)
    if text.strip().lower() in FORMS:
        return Columns(text, text.strip().lower(), {}, option)
    names: dict[str, str] = {}
    for part in _parts(text):
        own, _, name = (word.strip() for word in part.partition("="))
        own = own.lower()
        if own in names:
            raise InputError(f"{option} {text}: {own} is named twice")
        names[own] = name or own
        if not own or ("=" in part and not name):
            raise InputError(f"{option} {text}: {part.strip() or 'an empty part'} is not of the form OURS=COLUMN")
    if strange := [own for own in names if own not in _names()]:
        raise InputError(f"{option} {text}: {strange[0]} is no column of ours; {_OURS}")
    forms = [key for key, form in FORMS.items() if _fits(form, names)]
    if len(forms) != 1:
        raise InputError(f"{option} {text}: names no column set; {_OURS}")
    columns = list(names.values())
    if twice := [name for name in columns if columns.count(name) > 1]:
        raise InputError(f"{option} {text}: the column '{twice[0]}' stands for two of ours")
    return Columns(text, forms[0], names, option)


_OURS = f"accepted is OURS=COLUMN,... with the columns of one of {ACCEPTED}, or one of {', '.join(FORMS)} alone"


def _parts(text: str) -> list[str]:
    """The parts between commas; one that is neither `NAME=COLUMN` nor a name of ours goes on with the part before."""
    parts: list[str] = []
    for part in text.split(","):
        if parts and "=" in parts[-1] and "=" not in part and part.strip() and part.strip().lower() not in _names():
            parts[-1] += f",{part}"
        else:
            parts.append(part)
    return parts


def _names() -> set[str]:
    """Our names of columns."""
    return {own for form in FORMS.values() for own in (*form.needed, *form.optional)}


def _fits(form: Form, names: Mapping[str, str]) -> bool:
    return any(own in form.needed for own in names) and all(own in (*form.needed, *form.optional) for own in names)


def _typed(found: Found) -> str:
    if FORMS[found.form].becomes:
        return found.form
    return ",".join(f"{own}={found.names[own]}" for own in FORMS[found.form].needed)


def _repeated_as_text(found: Sequence[Found], record: Mapping[str, object]) -> Found | None:
    """Alpaca, if the text column only repeats the other columns in a template, as in the original Alpaca file."""
    by_form = {one.form: one for one in found}
    if by_form.keys() != {"alpaca", "text"}:
        return None
    text, alpaca = record[by_form["text"].names["text"]], by_form["alpaca"]
    parts = [record[alpaca.names[own]] for own in ("instruction", "output")]
    same = isinstance(text, str) and all(isinstance(part, str) and part.strip() in text for part in parts)
    return alpaca if same else None


def _advice(names: Iterable[str]) -> str:
    """A suggestion for `--columns`, from the names of the columns."""
    there = {name.strip().lower(): name.strip() for name in names}

    def first(known: Sequence[str]) -> str | None:
        return next((there[name] for name in known if name in there), None)

    question, answer = first(_QUESTIONS), first(_ANSWERS)
    if question is not None and answer is not None:
        return f"Say which is which: --columns question={question},answer={answer}."
    for own, known in (("messages", _TURNS), ("text", _TEXTS)):
        if (name := first(known)) is not None:
            return f"Say which is which: --columns {own}={name}."
    return "Say which is which: --columns question=NAME,answer=NAME, or --columns text=NAME."
