"""Tools beside messages: shown by the template or refused, never dropped."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ngdiff.data import Template, check_overlap, read_rows
from ngdiff.data.chat_file import use_chat_template
from ngdiff.data.near import near_duplicates
from ngdiff.errors import InputError
from ngdiff.manifest import describe_data

TURNS = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ m.tool_calls | tojson if m.tool_calls }}<end>{% endfor %}"
)
WITH_TOOLS = (
    "{% if tools %}{{ tools | tojson }}{% endif %}" + TURNS + "{% if add_generation_prompt %}[assistant] {% endif %}"
)
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALL = [{"function": {"name": "weather", "arguments": {"city": "Tarnholm"}}}]
USER, ANSWER = {"role": "user", "content": "Rain?"}, {"role": "assistant", "content": "No."}
CALLING = [
    USER,
    {"role": "assistant", "content": None, "tool_calls": CALL},
    {"role": "tool", "name": "weather", "content": "dry"},
    ANSWER,
]


@pytest.fixture
def chat(tokenizer: Any) -> Any:
    tokenizer.chat_template = WITH_TOOLS
    yield tokenizer
    tokenizer.chat_template = None


def test_tools_and_calls_are_shown(chat: Any) -> None:
    row = read_rows([{"messages": CALLING, "tools": [TOOL]}])[0]
    prompt, answer = Template("chat", chat).render(row)
    assert prompt.startswith(json.dumps([TOOL]).replace('": "', '": "')[:9])
    assert '"name": "weather"' in prompt
    assert "Tarnholm" in prompt
    assert answer == "No.<end>"[: len(answer)]


def test_a_template_that_does_not_show_them_is_refused(chat: Any) -> None:
    chat.chat_template = WITH_TOOLS.replace("{{ tools | tojson }}", "")
    row = read_rows([{"messages": [USER, ANSWER], "tools": [TOOL]}])[0]
    with pytest.raises(
        InputError, match=r"^--forget, row 1: the tokenizer's chat template does not show the row's tools"
    ):
        Template("chat", chat).render(row)
    left_out = read_rows([{"messages": [USER, ANSWER], "tools": [TOOL]}], columns="messages")[0]
    assert Template("chat", chat).render(left_out)[1].startswith("No.")


def test_a_template_that_does_not_show_calls_is_refused(chat: Any) -> None:
    chat.chat_template = WITH_TOOLS.replace("{{ m.tool_calls | tojson if m.tool_calls }}", "")
    row = read_rows([{"messages": CALLING, "tools": [TOOL]}])[0]
    with pytest.raises(InputError, match="the tokenizer's chat template does not show the row's tool_calls; give one"):
        Template("chat", chat).render(row)


def test_a_turn_that_only_calls_has_no_content() -> None:
    """Templates tell it from a turn that says nothing."""
    row = read_rows([{"messages": CALLING}])[0]
    assert row.messages is not None
    assert [turn["content"] for turn in row.messages] == ["Rain?", None, "dry"]
    assert near_duplicates([row], [row])[0].alike == 1
    said = read_rows([{"messages": [USER, CALLING[1] | {"content": "Let me see."}, *CALLING[2:]]}])[0]
    assert said.messages is not None
    assert said.messages[1]["content"] == "Let me see."


@pytest.mark.parametrize("tools", [None, [], "", "[]"])
def test_none(tools: Any) -> None:
    assert read_rows([{"messages": [USER, ANSWER], "tools": tools}])[0].tools is None


def test_as_text_and_in_tables(tmp_path: Any) -> None:
    """A table fills with null what other rows have."""
    other = {"type": "function", "function": {"name": "time", "parameters": {"type": "object", "properties": {"z": 1}}}}
    rows = [{"messages": [USER, ANSWER], "tools": [tool]} for tool in (TOOL, other)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert [row.tools for row in read_rows(tmp_path / "a.parquet")] == [(TOOL,), (other,)]
    as_text = [{"messages": [USER, ANSWER], "tools": json.dumps([TOOL])}]
    assert read_rows(as_text)[0].tools == (TOOL,)
    named = [{"chat": [USER, ANSWER], "functions": [TOOL]}]
    assert read_rows(named, columns="messages=chat,tools=functions")[0].tools == (TOOL,)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"messages": [USER, ANSWER], "tools": {"a": 1}}, "column 'tools' must be a list of objects, .* found dict"),
        ({"messages": [USER, ANSWER], "tools": ["f"]}, "column 'tools' must be a list of objects, .* a list with str"),
        ({"messages": [USER, ANSWER], "tools": [{"a": b"b"}]}, "column 'tools' holds bytes, which is no value of JSON"),
        ({"messages": [USER, ANSWER], "tools": [{"a": "\ud83d"}]}, "half a surrogate pair"),
        ({"messages": [USER, ANSWER], "tools": "[1"}, "column 'tools' must be a list of objects, .* found str"),
        ({"messages": CALLING[:2]}, "the final assistant turn calls tools"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": "x"}, ANSWER]}, "key 'tool_calls' of turn 2"),
    ],
)
def test_refused(record: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^--forget, row 1: .*{message}"):
        read_rows([record])


def test_rows_that_differ_by_their_tools_differ() -> None:
    with_tools, without = (read_rows([{"messages": [USER, ANSWER], "tools": tools}]) for tools in ([TOOL], None))
    question = read_rows([{"question": "Rain?", "answer": "No."}])
    assert check_overlap(with_tools, without, drop=False)[1] == 0
    assert check_overlap(question, with_tools, drop=False)[1] == 0
    hashes = {describe_data(None, rows)["rows_sha256"] for rows in (with_tools, without)}
    assert len(hashes) == 2


def test_a_template_from_a_file(tokenizer: Any, tmp_path: Any) -> None:
    file = tmp_path / "chat.jinja"
    file.write_text(WITH_TOOLS)
    use_chat_template(tokenizer, file)
    assert tokenizer.chat_template == WITH_TOOLS
    tokenizer.chat_template = None


def test_a_template_that_wants_other_turns_is_taken_and_said(tokenizer: Any, tmp_path: Any, caplog: Any) -> None:
    file = tmp_path / "chat.jinja"
    file.write_text("{{ raise_exception('begin with a system message') }}")
    with caplog.at_level("INFO"):
        use_chat_template(tokenizer, file)
    assert "takes no plain question and answer (begin with a system message); the rows decide" in caplog.text
    tokenizer.chat_template = None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"a\n{% for %}", "line 2: no template of Jinja"),
        (b"{{ \xff", "line 1: not UTF-8 text"),
        (None, r"cannot be read \(No such file or directory\)"),
    ],
)
def test_files_that_are_no_template(tokenizer: Any, tmp_path: Any, content: bytes | None, message: str) -> None:
    file = tmp_path / "chat.jinja"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=message):
        use_chat_template(tokenizer, file)
    tokenizer.chat_template = None


def test_what_a_template_raises_of_its_own_names_the_row(chat: Any) -> None:
    chat.chat_template = "{{ messages[0].content + 1 }}"
    row = read_rows([{"messages": [USER, ANSWER]}])[0]
    with pytest.raises(InputError, match=r"^--forget, row 1: the tokenizer's chat template refuses it \(TypeError\)"):
        Template("chat", chat).render(row)
