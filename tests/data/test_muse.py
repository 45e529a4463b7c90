"""MUSE-News: prompts, passages, running text; made-up files of its layout, and the real ones where they are."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from ngdiff.data import encode_rows, read_rows, resolve_template
from ngdiff.data.benchmarks import benchmark_sets
from ngdiff.data.corpus import corpus_chunks
from ngdiff.data.muse import knowmem_prompt, muse_rows, muse_sets
from ngdiff.data.rows import Row
from ngdiff.errors import InputError
from ngdiff.modeling import train_tokenizer
from ngdiff.paths import existing_path


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The layout of MUSE-News with texts of our own."""
    questions = [{"question": f"Who is {n}?", "answer": f"{n} Vennick"} for n in ("Orla", "Ivo", "Lena")]
    folds = {k: [f"fold {k} passage {i}" for i in range(3)] for k in range(1, 5)}
    files = {
        "raw/forget": folds[1],
        "raw/retain1": [{"text": "kept one"}, {"text": "kept two"}],
        "verbmem/forget": [{"prompt": "It was ", "gt": "in Tarnholm."}],
        **{f"knowmem/{part}_qa": questions for part in ("forget", "retain")},
        **{f"knowmem/{part}_qa_icl": questions[:2] for part in ("forget", "retain")},
        **{f"privleak/{part}": [f"A passage to {part}."] for part in ("forget", "retain", "holdout")},
        **{f"sust/forget_{k}": folds[k] for k in (2, 3, 4)},
    }
    for name, content in files.items():
        write(tmp_path / f"{name}.json", content)
    return tmp_path


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_sets(copy: Path) -> None:
    sets = muse_sets(str(copy))
    assert list(sets) == [
        "muse_verbmem", "muse_knowmem_forget", "muse_knowmem_retain",
        "muse_privleak_forget", "muse_privleak_retain", "muse_privleak_holdout",
    ]  # fmt: skip
    assert {row.kind for part in sets.values() for row in part.rows} == {"raw"}
    assert all(part.whole for part in sets.values())
    verbmem, knowmem, privleak = (sets[f"muse_{name}"] for name in ("verbmem", "knowmem_forget", "privleak_holdout"))
    assert (verbmem.max_new_tokens, verbmem.reference_tokens, verbmem.stops) == (128, 128, ())
    assert (verbmem.rows[0].prompt, verbmem.rows[0].answer) == ("It was ", "in Tarnholm.")
    assert (knowmem.max_new_tokens, knowmem.stops) == (32, ("\n\n", "\nQuestion", "Question:"))
    assert knowmem.rows[2].prompt == (
        "Question: Who is Orla?\nAnswer: Orla Vennick\n\nQuestion: Who is Ivo?\nAnswer: Ivo Vennick\n\n"
        "Question: Who is Lena?\nAnswer: "
    )
    assert knowmem.rows[2].origin == f"{copy}/knowmem/forget_qa.json, row 3"
    assert (privleak.generate, privleak.lowercase, privleak.rows[0].prompt) == (False, True, "")


def test_benchmark_and_its_rows(copy: Path) -> None:
    sets = benchmark_sets(f"muse-news:{copy}", rows=2)
    assert len(sets["muse_knowmem_retain"].rows) == 2
    assert {part.source for part in sets.values()} == {f"muse-news:{copy}"}


def test_folds(copy: Path) -> None:
    def texts(split: str) -> list[str]:
        return [row.answer for row in muse_rows(str(copy), split)]

    assert texts("forget") == texts("raw/forget") == texts("sust/forget_1") == texts("scal/forget_1")
    assert texts("sust/forget_3") == [f"fold 3 passage {i}" for i in range(3)]
    assert texts("scal/forget_3") == texts("forget") + texts("sust/forget_2") + texts("sust/forget_3")
    write(copy / "scal/forget_3.json", ["what the file says"])
    assert texts("scal/forget_3") == ["what the file says"]
    assert texts("retain1") == ["kept one", "kept two"]


def test_read_rows_and_the_files_that_count(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = read_rows(f"muse-news:{copy}:privleak/retain")
    assert [(row.answer, row.kind) for row in rows] == [("A passage to retain.", "corpus")]
    with pytest.raises(
        InputError, match=r"--columns text=body: --forget muse-news:.* holds passages, which have no col"
    ):
        read_rows(f"muse-news:{copy}:privleak/retain", columns="text=body")
    for source in (f"muse-news:{copy}:privleak/retain", f"muse-news:{copy}", f"tofu:{copy}"):
        assert existing_path(source) == copy
    assert existing_path("muse-news:forget") is None
    asked = []
    monkeypatch.setattr("ngdiff.data.muse.read_hub", lambda *words: asked.append(words[:2]) or [("o", {"text": "t"})])
    assert read_rows("muse-news:sust/forget_2")[0].answer == "t"
    assert read_rows("muse-news:some/copy:scal/forget_4")[0].answer == "t"
    assert asked == [("muse-bench/MUSE-News", "sust:forget_2"), ("some/copy", "scal:forget_4")]


@pytest.mark.parametrize(
    ("split", "content", "message"),
    [
        ("nothing", None, r"no passages of the name 'nothing'; accepted are raw/forget, raw/retain1"),
        ("sust/forget_5", None, r"no passages of the name 'sust/forget_5'"),
        ("retain2", None, r"raw/retain2\.json: cannot be read \(No such file"),
        ("sust/forget_4", None, r"sust/forget_4\.json: cannot be read"),
        ("forget", {"text": "x"}, r"must hold a JSON array of rows, found dict"),
        ("forget", [], r"must hold a JSON array of rows"),
        ("forget", ["x", 3], r"row 2: must be a text or an object, found int"),
        ("forget", [{"txt": "x"}], r"row 1: needs the text 'text', found null"),
    ],
)
def test_bad_files(copy: Path, split: str, content: Any, message: str) -> None:
    if split == "sust/forget_4":
        (copy / "sust/forget_4.json").unlink()
    elif content is not None:
        write(copy / "raw/forget.json", content)
    with pytest.raises(InputError, match=message):
        muse_rows(str(copy), split)


def test_not_json(copy: Path) -> None:
    (copy / "raw/forget.json").write_text("[")
    with pytest.raises(InputError, match=r"raw/forget\.json: not valid JSON"):
        muse_rows(str(copy), "forget")


@pytest.mark.parametrize(
    ("benchmark", "options", "message"),
    [
        ("tofo", {}, "--benchmark tofo is not known; one of tofu, muse-news, with :FOLDER"),
        ("tofu:/no/such", {}, "--benchmark tofu:/no/such: no folder /no/such"),
        ("tofu", {"split": "forget11"}, "--split forget11 is none of TOFU's: forget01, forget05, forget10"),
        ("tofu", {"rows": 0}, "--benchmark-rows 0 is not 1 or more"),
    ],
)
def test_bad_benchmarks(benchmark: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        benchmark_sets(benchmark, **options)


# --- running text ---


TEXTS = ["Orla Vennick was born in Tarnholm.", "", "Ivo wrote The Salt Ladder there.", "Lena is a glazier."]


@pytest.mark.parametrize("length", [2, 7, 16, 1000])
@pytest.mark.parametrize("begins", [True, False])
def test_chunks_hold_the_text_once_and_the_last_goes_on_with_the_first(length: int, begins: bool) -> None:
    tokenizer = train_tokenizer(TEXTS, vocab_size=300)
    if not begins:
        tokenizer.bos_token = None
    rows = [Row("", text, kind="corpus") for text in TEXTS if text]
    chunks = corpus_chunks(rows, tokenizer, max_length=length)
    whole = tokenizer("\n\n".join(row.answer for row in rows), add_special_tokens=False)["input_ids"]
    front = 1 if begins else 0
    if begins:
        assert {chunk[0] for chunk in chunks} == {tokenizer.bos_token_id}
    spoken = [token for chunk in chunks for token in chunk[front:]]
    assert spoken[: len(whole)] == whole
    rest = spoken[len(whole) :]
    if len(chunks) == 1:
        assert rest == []
    else:
        assert {len(chunk) for chunk in chunks} == {length}
        assert rest == chunks[0][: len(rest)]  # its begin token, too


def test_training_reads_chunks_and_scoring_passages(copy: Path) -> None:
    write(copy / "raw/forget.json", TEXTS)
    rows = read_rows(f"muse-news:{copy}:forget")
    assert "\n\n".join(row.answer for row in rows) == "\n\n".join(TEXTS)  # the empty passage is in it
    assert len(rows) == 3
    tokenizer = train_tokenizer(TEXTS, vocab_size=300)
    template = resolve_template("auto", tokenizer, rows)
    chunks = encode_rows(rows, tokenizer, template, max_length=9)
    assert [chunk["input_ids"] for chunk in chunks] == corpus_chunks(rows, tokenizer, max_length=9)
    assert all(chunk["labels"] == chunk["input_ids"] for chunk in chunks)
    scored = encode_rows(rows, tokenizer, template, max_length=999, answers=[row.answer for row in rows])
    assert [item["input_ids"] for item in scored] == [tokenizer(row.answer)["input_ids"] for row in rows]


def test_chunks_that_cannot_be(copy: Path) -> None:
    tokenizer = train_tokenizer(TEXTS, vocab_size=300)
    with pytest.raises(InputError, match="--max-length must be at least 2, found 1"):
        corpus_chunks([Row("", "a", kind="corpus")], tokenizer, max_length=1)
    with pytest.raises(InputError, match=r"f, row 2: a qa row among the passages of a running text"):
        corpus_chunks([Row("", "a", kind="corpus"), Row("q", "a", origin="f, row 2")], tokenizer, max_length=4)


# --- the real files ---


@pytest.fixture(scope="module")
def real() -> Path:
    if "NGDIFF_DATA" not in os.environ:
        pytest.skip("NGDIFF_DATA is not set: MUSE-News is not here")
    return Path(os.environ["NGDIFF_DATA"])


def test_the_references_of_the_authors_logs(real: Path) -> None:
    """What was asked for and compared with in their runs, 300 of 300."""
    sets = benchmark_sets(f"muse-news:{real / 'muse_news'}")
    for run in ("target", "ga", "ga_klr"):
        golden = json.loads((real / "goldens" / f"muse_news_{run}.json").read_text(encoding="utf-8"))
        names = {"verbmem_f": "muse_verbmem", "knowmem_f": "muse_knowmem_forget", "knowmem_r": "muse_knowmem_retain"}
        for key, name in names.items():
            assert [row.answer for row in sets[name].rows] == golden[key]["inputs"]["reference"]
            assert sets[name].max_new_tokens == golden[key]["max_new_tokens"]
            logged = golden[key]["inputs"].get("prompt")
            assert logged is None or [row.prompt for row in sets[name].rows] == logged
    assert [len(part.rows) for part in sets.values()] == [100] * 6


def test_the_real_prompts(real: Path) -> None:
    """Built here once more from the files, with other code, and pinned by their hash."""
    sets = muse_sets(str(real / "muse_news"))
    for part, digest in (("forget", FORGET_PROMPTS), ("retain", RETAIN_PROMPTS)):
        folder = real / "muse_news" / "knowmem"
        shown = json.loads((folder / f"{part}_qa_icl.json").read_text(encoding="utf-8"))
        asked = json.loads((folder / f"{part}_qa.json").read_text(encoding="utf-8"))
        head = "\n\n".join("\n".join((f"Question: {r['question']}", f"Answer: {r['answer']}")) for r in shown)
        prompts = [f"{head}\n\nQuestion: {r['question']}\nAnswer: " for r in asked]
        found = [row.prompt for row in sets[f"muse_knowmem_{part}"].rows]
        assert found == prompts == [knowmem_prompt(shown, r["question"]) for r in asked]
        assert hashlib.sha256("\0".join(found).encode()).hexdigest() == digest


def test_the_real_running_text(real: Path) -> None:
    rows = muse_rows(str(real / "muse_news"), "forget")
    passages = json.loads((real / "muse_news/raw/forget.json").read_text(encoding="utf-8"))
    assert "\n\n".join(row.answer for row in rows) == "\n\n".join(passages)


FORGET_PROMPTS = "8c32fa7a2f6a9762e6423f02873dc25530792297cc2e58543ff2a9342be6180c"
RETAIN_PROMPTS = "661d0a93c4edbe64489248976197dd82862a4a09df11df722d98651242e03e50"
