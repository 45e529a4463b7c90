"""Records from files: every line is checked, and every refusal names file, line and field."""

import json
from pathlib import Path
from typing import Any

import pytest

from ngdiff.errors import InputError
from ngdiff.scoring import read_records, read_sets, record_files

LIKELIHOOD = {"nll_sum": 3.5, "n_tokens": 2}
FULL: dict[str, Any] = {
    "set": "forget", "index": 0, "origin": "a.jsonl, line 1", "prompt": "Who?", "reference": "Orla", "generated": "",
    **LIKELIHOOD, "paraphrased": LIKELIHOOD, "perturbed": [LIKELIHOOD, LIKELIHOOD], "token_nll": [1.5, 2],
    "token_z": [-0.5, 0], "token_hit": [1, 0], "lowercase": LIKELIHOOD, "base_model": LIKELIHOOD, "grad_norm": 0.5,
}  # fmt: skip


def write(path: Path, *records: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def refused(tmp_path: Path, record: Any) -> str:
    path = write(tmp_path / "records_forget.jsonl", FULL, record)
    with pytest.raises(InputError) as caught:
        read_records(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 2: ")
    return message.removeprefix(f"{path}, line 2: ")


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    old = {name: FULL[name] for name in ("set", "index", "origin", "prompt", "reference", "nll_sum", "n_tokens")}
    old |= {"generated": None, "paraphrased": None, "perturbed": []}
    text = {"reference": "a\u2028b\r\n", "generated": "\ud800 東京"}
    image = {"label": 3, "predicted": 0, "nll_sum": 0, "n_tokens": 1}
    assert read_records(write(tmp_path / "r.jsonl", FULL, "", old, text, image)) == [FULL, old, text, image]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not a JSON record: Expecting property name"),
        ("[1]", "a record is a JSON object, found a list of 1"),
        ("null", "a record is a JSON object, found missing"),
        ('{"nll_sum": NaN, "n_tokens": 1}', "not a JSON record: NaN is not a number; a model whose loss is not finite"),
        ('{"nll_sum": -Infinity, "n_tokens": 1}', "not a JSON record: -Infinity is not a number"),
        ('{"nll_sum": 1e999, "n_tokens": 1}', "nll_sum is inf; it must be a number of nats, 0 or more"),
        ("[" * 100000, "nested too deeply for a record"),
        ("{}", "a record needs nll_sum and n_tokens; or reference and generated; or label and predicted"),
    ],
)
def test_lines_that_are_no_records(tmp_path: Path, line: str, message: str) -> None:
    assert refused(tmp_path, line).startswith(message)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("nll_sum", -1.0, "nll_sum is -1.0; it must be a number of nats, 0 or more"),
        ("nll_sum", "1", "nll_sum is a text; it must be a number of nats"),
        ("nll_sum", True, "nll_sum is True; it must be a number of nats"),
        ("nll_sum", 10**400, f"nll_sum is {'1' + '0' * 29}; it must be a number of nats"),
        ("nll_sum", None, "nll_sum is missing; it must be a number of nats"),
        ("n_tokens", None, "n_tokens is missing; it must be a whole number, 1 or more"),
        ("n_tokens", 0, "n_tokens is 0; it must be a whole number, 1 or more"),
        ("n_tokens", 2.5, "n_tokens is 2.5; it must be a whole number"),
        ("n_tokens", 3, "token_nll has 2 entries; it must have one per token, and n_tokens is 3"),
        ("reference", 7, "reference is 7; it must be a text"),
        ("generated", ["a"], "generated is a list of 1; it must be a text, or null where nothing was generated"),
        ("paraphrased", 3, "paraphrased is 3; it must be an object with nll_sum and n_tokens"),
        ("paraphrased", {}, "paraphrased: nll_sum is missing"),
        ("perturbed", LIKELIHOOD, "perturbed is an object; it must be a list"),
        ("perturbed", [LIKELIHOOD, None], "perturbed 1 is missing; it must be an object with nll_sum and n_tokens"),
        ("perturbed", [{"nll_sum": 1.0, "n_tokens": 0}], "perturbed 0: n_tokens is 0"),
        ("lowercase", {"nll_sum": 1.0}, "lowercase: n_tokens is missing"),
        ("base_model", "x", "base_model is a text; it must be an object"),
        ("token_nll", [1.0, -2.0], "token_nll is a list of 2; it must be a list of numbers, 0 or more"),
        ("token_nll", [], "token_nll is a list of 0; it must be a list of numbers"),
        ("token_z", [1.0, None], "token_z is a list of 2; it must be a list of numbers"),
        ("token_hit", [1, 2], "token_hit is a list of 2; it must be a list of 0 and 1"),
        ("n_end", -1, "n_end is -1; it must be a whole number, 0 or more"),
        ("n_given", 1.5, "n_given is 1.5; it must be a whole number, 0 or more"),
        ("n_end", 3, "n_given and n_end count labels of the answer, but they are 3; n_tokens is 2"),
        ("token_hit", [1], "token_hit has 1 entries; it must have one per token, and n_tokens is 2"),
        ("grad_norm", -0.5, "grad_norm is -0.5; it must be a number, 0 or more"),
        ("label", "cat", "label is a text; it must be a whole number, the class"),
        ("predicted", 1.5, "predicted is 1.5; it must be a whole number, the class"),
        ("set", "my set", "set is a text; it must be letters, digits, - and _"),
    ],
)
def test_fields_of_the_wrong_kind(tmp_path: Path, field: str, value: Any, message: str) -> None:
    assert refused(tmp_path, {**FULL, field: value}).startswith(message)


def test_no_text_of_the_data_is_in_a_message(tmp_path: Path) -> None:
    secret = "Orla Brannigan was born in Leeds"
    for field in ("nll_sum", "label", "perturbed", "token_hit", "set"):
        assert secret not in refused(tmp_path, {**FULL, field: secret})
    assert secret not in refused(tmp_path, json.dumps(secret))


def test_rounding_below_zero_is_allowed(tmp_path: Path) -> None:
    record = {**FULL, "nll_sum": -1e-7, "token_nll": [-1e-7, 0.0]}
    assert read_records(write(tmp_path / "r.jsonl", record)) == [record]


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "records_forget.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=r"records_forget\.jsonl holds no records"):
        read_records(path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "records_forget.jsonl"
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(InputError, match=r"records_forget\.jsonl is not UTF-8 text"):
        read_records(path)


def test_files_and_folders(tmp_path: Path) -> None:
    run = tmp_path / "run"
    forget = write(run / "private" / "records_forget.jsonl", FULL)
    retain = write(run / "private" / "records_retain.jsonl", {**FULL, "set": "retain"})
    write(run / "private" / "notes.jsonl", "no record")
    assert record_files(run) == record_files(run / "private") == [forget, retain]
    assert record_files(str(forget)) == [forget]
    assert list(read_sets([run])) == list(read_sets([forget, retain])) == ["forget", "retain"]


def test_sets_come_in_the_order_of_the_table(tmp_path: Path) -> None:
    for name in ("world_facts", "another", "retain", "forget", "a_set", "holdout"):
        write(tmp_path / f"records_{name}.jsonl", LIKELIHOOD)
    assert list(read_sets([tmp_path])) == ["forget", "retain", "holdout", "world_facts", "a_set", "another"]


def test_the_set_is_that_of_the_records_else_of_the_file(tmp_path: Path) -> None:
    renamed = write(tmp_path / "records_other.jsonl", FULL)
    bare = write(tmp_path / "records_muse_verbmem.jsonl", {"reference": "a", "generated": "b"})
    assert list(read_sets([renamed, bare])) == ["forget", "muse_verbmem"]


def test_sets_that_cannot_be_told(tmp_path: Path) -> None:
    mixed = write(tmp_path / "mixed.jsonl", FULL, {**FULL, "set": "retain"})
    with pytest.raises(InputError, match="mixes the sets forget, retain; one file holds the records of one set"):
        read_sets([mixed])
    first, second = write(tmp_path / "a.jsonl", FULL), write(tmp_path / "b.jsonl", FULL)
    with pytest.raises(InputError, match=r"a\.jsonl and .*b\.jsonl are both of the set 'forget'; score the records of"):
        read_sets([first, second])
    odd = write(tmp_path / "my set.jsonl", LIKELIHOOD)
    with pytest.raises(InputError, match="set name 'my set' has characters other than letters, digits, - and _"):
        read_sets([odd])


def test_places_without_records(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        record_files(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds no records: neither private/records_\*\.jsonl nor records_\*\.jsonl"):
        record_files(tmp_path)
