"""What Python's reader of JSON refuses or passes over, where it matters and where it does not."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngdiff.data import read_rows
from ngdiff.data.json_text import JSONError, RepeatedKey, decode, decode_all
from ngdiff.errors import InputError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=40, deadline=None)
@given(JSON, st.sampled_from(["", " ", "\n\t"]))
def test_values_are_those_of_json(value: object, space: str) -> None:
    text = json.dumps(value)
    assert decode_all(space + text + space) == value == json.loads(text)
    assert decode("xx" + text, 2) == (value, len(text) + 2)


@pytest.mark.parametrize(
    ("text", "message", "position"),
    [("[1, 2", "Expecting ',' delimiter", 5), ("[1] 2", "Extra data", 4), ("[" * 200_000, "nested too deeply", None)],
)
def test_errors_say_where(text: str, message: str, position: int | None) -> None:
    with pytest.raises(JSONError, match=message) as caught:
        decode_all(text)
    assert caught.value.position == position


def test_rows_share_their_keys() -> None:
    one, other = (next(iter(decode('{"a question": 1}')[0])) for _ in range(2))
    assert one is other


def test_a_key_that_occurs_twice_has_no_value() -> None:
    value = decode_all('{"a": 1, "b": {"c": 1, "c": 2}, "a": 1}')
    assert isinstance(value["a"], RepeatedKey)
    assert isinstance(value["b"]["c"], RepeatedKey)


ROW = '"question": "Who?", "answer": "Orla."'


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize(
    "other", ["1" * 5000, "-" + "1" * 5000, "[" * 500 + "]" * 500, '{"a": 1, "a": 2}', '"\\ud83d"']
)
def test_columns_that_are_not_used_do_no_harm(tmp_path: Path, name: str, other: str) -> None:
    text = f'{{{ROW}, "other": {other}}}'
    (tmp_path / name).write_text(f"[{text}]" if name == "a.json" else text)
    assert read_rows(tmp_path / name)[0].answer == "Orla."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'{{{ROW}, "answer": "Bran."}}', "column 'answer' must be a string, found several values, as the key occurs"),
        ('{"question": "Who?", "answer": ' + "1" * 5000 + "}", "column 'answer' must be a string, found float"),
        ('{"messages": [{"role": "user", "role": "user", "content": "a"}]}', "found several values"),
        ('{"question": "Who?", "answer": "\\ud83d"}', "column 'answer' has half a surrogate pair"),
        ('{"question": "Who?", "answer": ' + "[" * 100_000 + "}", "nested too deeply"),
    ],
)
def test_in_columns_that_are_used_they_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(InputError, match=rf"a\.jsonl, line 1: .*{message}"):
        read_rows(tmp_path / "a.jsonl")
    (tmp_path / "a.json").write_text(f"[\n{text}\n]")
    with pytest.raises(InputError, match=rf"a\.json, line 2: .*{message}"):
        read_rows(tmp_path / "a.json")
