"""MUSE-News (Shi et al. 2024, arXiv 2407.06460): its files, its prompts, its passages.

On the hub the folders below are configurations of `muse-bench/MUSE-News`; a local folder is laid out as

    raw/{forget,retain1,retain2,holdout}.json      passages; the running text to forget, to keep, never seen
    knowmem/{forget,retain}_qa.json, *_qa_icl.json  question and answer; the examples that come first in a prompt
    verbmem/forget.json                             prompt and gt, the passage's next words
    privleak/{forget,retain,holdout}.json           passages of one length
    sust/forget_{1..4}.json                         four folds; the first is raw/forget
    scal/forget_{1..4}.json                         folds 1 to k; made of `sust` where the folder is missing

A list of passages is a JSON array of strings, or of objects with `text`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ngdiff.data.corpus import JOINT
from ngdiff.data.files import read_text
from ngdiff.data.hub import read_hub
from ngdiff.data.json_text import JSONError, decode_all
from ngdiff.data.row_reader import Record
from ngdiff.data.rows import Row
from ngdiff.data.sets import EvaluationSet
from ngdiff.data.values import check_encodable, type_of
from ngdiff.errors import InputError
from ngdiff.paths import user_path

HUB_ID = "muse-bench/MUSE-News"
PREFIX = "muse-news"
VERBMEM_TOKENS = 128
KNOWMEM_TOKENS = 32
# After its answer, a model may write another question; the answer ends before the first of these.
KNOWMEM_STOPS = ("\n\n", "\nQuestion", "Question:")
RAW = ("forget", "retain1", "retain2", "holdout")
PRIVLEAK = ("forget", "retain", "holdout")
FOLDS = 4
_COLUMNS = ("text", "prompt", "gt", "question", "answer")  # all that are read, of one file or another


def muse_rows(where: str | None, split: str) -> list[Row]:
    """Passages to unlearn from, to keep or to compare with: `corpus` rows in file order.

    Args:
        where: Local folder or hub name; None: the hub's.
        split: `forget`, `retain1`, `retain2` or `holdout` (of `raw`), or `CONFIG/SPLIT`: `raw/forget`,
            `privleak/retain`, `sust/forget_2`, `scal/forget_3`.

    Raises:
        InputError: an unknown split, a file that is missing or malformed.
    """
    config, slash, name = split.partition("/")
    if not slash:
        config, name = "raw", split
    numbered = [f"forget_{k}" for k in range(1, FOLDS + 1)]
    known = {"raw": RAW, "privleak": PRIVLEAK, "sust": numbered, "scal": numbered}
    if name not in known.get(config, ()):
        accepted = [f"{key}/{value}" for key, values in known.items() for value in values]
        raise InputError(f"{PREFIX}: no passages of the name {split!r}; accepted are {', '.join(accepted)}.")
    if config in ("sust", "scal") and not _is_there(where, config, name):
        return _from_folds(where, config, int(name.removeprefix("forget_")))
    return _corpus(_records(where, config, name))


def muse_sets(where: str | None) -> dict[str, EvaluationSet]:
    """The six sets of MUSE-News: VerbMem, KnowMem of forget and retain set, the three of PrivLeak.

    Raises:
        InputError: a file that is missing or malformed.
    """
    sets = {"muse_verbmem": _verbmem(where)}
    sets |= {f"muse_knowmem_{part}": _knowmem(where, part) for part in ("forget", "retain")}
    for part in PRIVLEAK:
        records = _records(where, "privleak", part)
        rows = [
            Row("", _columns(origin, record, ("text",))["text"], origin=origin, kind="raw")
            for origin, record in records
        ]
        sets[f"muse_privleak_{part}"] = EvaluationSet(rows, whole=True, generate=False, lowercase=True)
    return sets


def knowmem_prompt(examples: Sequence[Mapping[str, str]], question: str) -> str:
    """`Question: ...\\nAnswer: ...\\n\\n` of each example, then the question and `Answer: ` with a space at its end.

    >>> knowmem_prompt([{"question": "Who?", "answer": "Orla."}], "Where?")
    'Question: Who?\\nAnswer: Orla.\\n\\nQuestion: Where?\\nAnswer: '
    """
    shown = "".join(f"Question: {example['question']}\nAnswer: {example['answer']}\n\n" for example in examples)
    return f"{shown}Question: {question}\nAnswer: "


def _verbmem(where: str | None) -> EvaluationSet:
    rows = []
    for origin, record in _records(where, "verbmem", "forget"):
        found = _columns(origin, record, ("prompt", "gt"))
        rows.append(Row(found["prompt"], found["gt"], origin=origin, kind="raw"))
    return EvaluationSet(rows, whole=True, max_new_tokens=VERBMEM_TOKENS, reference_tokens=VERBMEM_TOKENS)


def _knowmem(where: str | None, part: str) -> EvaluationSet:
    names = ("question", "answer")
    examples = [_columns(origin, record, names) for origin, record in _records(where, "knowmem", f"{part}_qa_icl")]
    rows = []
    for origin, record in _records(where, "knowmem", f"{part}_qa"):
        found = _columns(origin, record, names)
        rows.append(Row(knowmem_prompt(examples, found["question"]), found["answer"], origin=origin, kind="raw"))
    return EvaluationSet(rows, whole=True, max_new_tokens=KNOWMEM_TOKENS, stops=KNOWMEM_STOPS)


def _from_folds(where: str | None, config: str, k: int) -> list[Row]:
    """Fold k, or folds 1 to k, of a folder that lacks the file: the first fold is raw/forget."""
    if config == "scal":
        return [row for fold in range(1, k + 1) for row in muse_rows(where, f"sust/forget_{fold}")]
    # sust/forget_1 is raw/forget; for any other fold this names the file that is missing.
    source = ("raw", "forget") if k == 1 else ("sust", f"forget_{k}")
    return _corpus(_records(where, *source))


def _corpus(records: list[Record]) -> list[Row]:
    """Passages in order. An empty one (raw/forget has one) becomes a blank line at the end of the previous passage, so
    that the running text does not change."""
    texts: list[tuple[str, str]] = []
    for origin, record in records:
        text = _columns(origin, record, ("text",))["text"]
        if texts and not (text.strip() and texts[-1][1].strip()):
            texts[-1] = (texts[-1][0], texts[-1][1] + JOINT + text)
        else:
            texts.append((origin, text))
    return [Row("", text, origin=origin, kind="corpus") for origin, text in texts]


def _columns(origin: str, record: Mapping[str, object], names: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        value = record.get(name)
        if not isinstance(value, str):
            raise InputError(f"{origin}: needs the text {name!r}, found {type_of(value)}.")
        check_encodable(value, name, origin)
        found[name] = value
    return found


def _used(names: Sequence[str]) -> list[str]:
    return [name for name in _COLUMNS if name in names]


def _local(where: str | None) -> Path | None:
    folder = None if where is None else user_path(where)
    return folder if folder is not None and folder.is_dir() else None


def _is_there(where: str | None, config: str, name: str) -> bool:
    folder = _local(where)
    return folder is None or (folder / config / f"{name}.json").is_file()  # the hub has all of them


def _records(where: str | None, config: str, name: str) -> list[Record]:
    folder = _local(where)
    if folder is None:
        if where is not None and where.startswith((".", "/", "~")):
            raise InputError(f"{PREFIX}:{where}: no such folder.")
        return read_hub(where or HUB_ID, f"{config}:{name}", _used)
    path = folder / config / f"{name}.json"
    try:
        content = decode_all(read_text(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except JSONError as error:
        raise InputError(f"{path}: not valid JSON ({error}).") from error
    if not isinstance(content, list) or not content:
        raise InputError(f"{path}: must hold a JSON array of rows, found {type(content).__name__}.")
    records: list[Record] = []
    for number, item in enumerate(content, start=1):
        record = {"text": item} if isinstance(item, str) else item
        if not isinstance(record, dict):
            raise InputError(f"{path}, row {number}: must be a text or an object, found {type(item).__name__}.")
        records.append((f"{path}, row {number}", record))
    return records
