"""Options as words, in a YAML file, and explained. Nothing here loads a model."""

import dataclasses
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainingArguments

from ngdiff.cli import compare, demo, score
from ngdiff.cli.help_text import TOPICS
from ngdiff.cli.options import OutputOptions
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.text_evaluation import TextEvaluation
from ngdiff.cli.text_finetuning import TextFinetuning
from ngdiff.cli.text_unlearning import TextUnlearning
from ngdiff.errors import InputError
from ngdiff.training import UnlearnConfig
from ngdiff.training.inherited_options import INHERITED as INHERITED_OPTIONS

NEEDED = ["--model", "m", "--forget", "f", "--retain", "r", "--output", "o"]
UNLEARN, FINETUNE = TextUnlearning.parser, TextFinetuning.parser
PARSERS = {
    "unlearn": UNLEARN,
    "evaluate": TextEvaluation.parser,
    "finetune": FINETUNE,
    "score": score.PARSER,
    "compare": compare.PARSER,
}


def parse(*words: str) -> dict[str, Any]:
    """Values of `ngdiff unlearn` besides the required ones."""
    values = UNLEARN.parse([*NEEDED, *words])
    assert values is not None
    return {name: value for name, value in values.items() if name not in ("model", "forget", "retain", "output")}


def refused(*words: str) -> str:
    with pytest.raises(InputError) as caught:
        UNLEARN.parse([*NEEDED, *words])
    return str(caught.value)


@pytest.fixture
def config_file(tmp_path: Path):
    def write(text: str) -> str:
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


# ---- words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["forget-objective", "forget_objective"])
@pytest.mark.parametrize("form", ["two words", "one word"])
def test_dashes_and_underscores(name, form):
    words = [f"--{name}", "ce"] if form == "two words" else [f"--{name}=ce"]
    assert parse(*words) == {"forget_objective": "ce"}


def test_only_what_was_given_comes_back():
    assert parse() == {}


@pytest.mark.parametrize("twice", [["--forget", "g"], ["--retain=g"], ["--forget=g"]])
def test_a_set_that_is_given_twice_is_refused(twice):
    assert refused(*twice).startswith(f"{twice[0].partition('=')[0]} is given twice, and one would be left out")


def test_a_list_that_is_given_twice_is_refused():
    twice = ["--lora-target-modules", "q_proj", "--lora_target_modules", "v_proj"]
    assert refused(*twice) == (
        "--lora-target-modules is given twice, and one would be left out: give all its values behind it once"
    )


def test_of_other_options_the_last_one_counts(config_file):
    assert parse("--seed", "1", "--seed", "2") == {"seed": 2}
    assert UNLEARN.parse(["--config", config_file("forget: g"), *NEEDED])["forget"] == "f"


@pytest.mark.parametrize("name", ["--output-dir", "--output_dir"])
def test_output_dir_is_output(name):
    words = ["--model", "m", "--forget", "f", "--retain", "r", name, "there"]
    assert UNLEARN.parse(words) == {"model": "m", "forget": "f", "retain": "r", "output": "there"}
    assert FINETUNE.parse(["--model", "m", "--train", "t", name, "there"])["output"] == "there"


def test_the_later_of_output_and_output_dir_wins():
    for first, second in (("--output", "--output-dir"), ("--output-dir", "--output")):
        values = UNLEARN.parse(["--model", "m", "--forget", "f", "--retain", "r", first, "a", second, "b"])
        assert values["output"] == "b"
        assert "output_dir" not in values


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--drop-overlap"], True),
        (["--drop-overlap", "true"], True),
        (["--drop-overlap=false"], False),
        (["--drop_overlap", "no"], False),
    ],
)
def test_booleans(words, value):
    assert parse(*words) == {"drop_overlap": value}


def test_booleans_that_are_true_by_default_can_be_switched_off():
    assert parse("--no-autolr-search") == parse("--autolr-search", "false") == {"autolr_search": False}
    assert parse("--autolr-search") == {"autolr_search": True}


def test_booleans_that_may_be_none_need_no_value():
    assert parse("--disable-tqdm") == {"disable_tqdm": True}
    assert parse("--disable-tqdm", "none") == {"disable_tqdm": None}


def test_none_for_optional_numbers():
    assert parse("--save-total-limit", "none", "--max-length", "None") == {"save_total_limit": None, "max_length": None}
    assert parse("--save-total-limit", "3") == {"save_total_limit": 3}


def test_none_is_no_number_where_one_is_needed():
    assert refused("--seed", "none") == "--seed: invalid int value: 'none'"


def test_none_stays_a_text_where_texts_are_expected():
    assert parse("--forget-ceiling", "none") == {"forget_ceiling": "none"}


@pytest.mark.parametrize("none", ["none", "None"])
def test_none_in_place_of_a_file_or_a_model_is_not_given(none, config_file):
    assert parse("--base-model", none, "--chat-template", none) == {}
    assert parse("--base-model", "./none") == {"base_model": "./none"}
    evaluate = ["--model", "m", "--retain", none, "--holdout", none, "--protect", none, "--output", none]
    assert TextEvaluation.parser.parse(evaluate) == {"model": "m"}
    assert score.PARSER.parse(["x", "--before", none, "--audit", none, "--output", none]) == {"records": ["x"]}
    assert parse("--config", config_file(f"base_model: {none}\n")) == {}


@pytest.mark.parametrize("none", ["none", "None"])
def test_none_for_a_set_that_is_made_otherwise(none):
    assert parse("--holdout", none, "--protect", none) == {"holdout": "none", "protect": "none"}


@pytest.mark.parametrize("option", ["--model", "--forget", "--retain", "--output"])
def test_none_for_what_is_needed(option):
    words = [word if name != option else "none" for name, word in zip(["", *NEEDED], NEEDED, strict=False)]
    with pytest.raises(InputError) as caught:
        UNLEARN.parse(words)
    assert str(caught.value) == f"{option} none: ngdiff unlearn needs one; give ./none if that is its name"


def test_none_for_a_folder_with_a_default():
    with pytest.raises(InputError, match=r"^--output none: ngdiff demo needs one; give \./none if that is its name$"):
        demo.PARSER.parse(["--output", "none"])


@pytest.mark.parametrize("value", ["auto", "auto:1e-4", "3e-5"])
def test_learning_rate_is_a_number_or_auto(value):
    assert parse("--learning-rate", value) == {"learning_rate": value}


def test_lists():
    assert parse("--lora-target-modules", "q_proj", "v_proj", "--seed", "1") == {
        "lora_target_modules": ["q_proj", "v_proj"],
        "seed": 1,
    }


def test_inherited_options_are_accepted():
    assert parse("--dataloader-num-workers", "2", "--adam_beta1", "0.8") == {
        "dataloader_num_workers": 2,
        "adam_beta1": 0.8,
    }


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("--forgt-objective", "--forget-objective"),
        ("--learning_rat", "--learning-rate"),
        ("--lr-schedular-type", "--lr-scheduler-type"),
        ("--epoch", "--epochs"),
        ("--batch", "--per-device-train-batch-size"),
        ("--step", "--steps"),
        ("--learn-rate", "--learning-rate"),
        ("--lora-r", "--lora-rank"),
        ("--out", "--output"),
        ("--force", "--overwrite"),
        ("--device", "--use-cpu"),
        ("--forget-file", "--forget"),
        ("--forgt", "--forget"),
        ("--basemodel", "--base-model"),
        ("--max-seq-length", "--max-length"),
        ("--ouptut", "--output"),
        ("--templat", "--template"),
    ],
)
def test_unknown_options_are_named_with_a_near_miss(word, near):
    assert refused(word, "1") == f"{word} is no option of ngdiff unlearn; did you mean {near}?"


def test_unknown_options_without_a_near_miss():
    assert refused("--zzzzzzzz") == "--zzzzzzzz is no option of ngdiff unlearn; see --help-all"


def test_a_second_value_is_no_option():
    said = refused("--holdout", "a.jsonl", "b.jsonl")
    assert said.startswith("b.jsonl: ngdiff unlearn takes options alone, each with one value")
    assert "did you mean" not in said


def test_abbreviations_are_not_guessed():
    assert "is no option" in refused("--learning", "auto")


def test_values_of_a_wrong_type():
    assert refused("--logging-steps", "often") == "--logging-steps: invalid float value: 'often'"
    assert refused("--seed") == "--seed: expected one argument"


@pytest.mark.parametrize(
    ("command", "words", "missing"),
    [
        ("unlearn", ["--model", "m", "--retain", "r"], "--forget, --output"),
        ("unlearn", [], "--model, --forget, --retain, --output"),
        ("evaluate", ["--forget", "f"], "--model"),
        ("finetune", ["--model", "m"], "--train, --output"),
    ],
)
def test_missing_options_are_named(command, words, missing):
    with pytest.raises(InputError, match=rf"^ngdiff {command} needs {missing}$"):
        PARSERS[command].parse(words)


def test_a_check_of_transformers_is_an_input_error(tmp_path):
    values = UNLEARN.parse([*NEEDED, "--logging-steps", "1.5"])
    with pytest.raises(InputError, match=r"^ngdiff unlearn: --logging_steps must be an integer"):
        UNLEARN.build(UnlearnConfig, values, output_dir=str(tmp_path))


def test_our_own_check_keeps_its_message(tmp_path):
    values = UNLEARN.parse([*NEEDED, "--method", "magic"])
    with pytest.raises(InputError, match=r"^--method magic is not known"):
        UNLEARN.build(UnlearnConfig, values, output_dir=str(tmp_path))


# ---- a YAML file ------------------------------------------------------------------------------------------------


def test_the_command_line_wins_wherever_it_stands(config_file):
    file = config_file("seed: 1\nmax_length: 64\n")
    assert parse("--config", file, "--seed", "2") == {"seed": 2, "max_length": 64}
    assert parse("--seed", "2", f"--config={file}") == {"seed": 2, "max_length": 64}


def test_the_command_line_wins_over_the_other_name_too(config_file):
    file = config_file("output: from_file\nmodel: m\nforget: f\nretain: r\n")
    assert UNLEARN.parse(["--config", file, "--output-dir", "typed"])["output"] == "typed"
    file = config_file("output_dir: from_file\nmodel: m\nforget: f\nretain: r\n")
    assert UNLEARN.parse(["--config", file])["output"] == "from_file"


def test_required_options_may_stand_in_the_file(config_file):
    file = config_file("model: m\nforget: f\nretain: r\noutput: o\n")
    assert UNLEARN.parse(["--config", file]) == {"model": "m", "forget": "f", "retain": "r", "output": "o"}


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("learning_rate: auto", {"learning_rate": "auto"}),
        ("learning-rate: auto:1e-4", {"learning_rate": "auto:1e-4"}),
        ("learning_rate: 1e-4", {"learning_rate": "1e-4"}),  # for YAML a text, as it has no point
        ("learning_rate: 1.0e-4", {"learning_rate": "0.0001"}),
        ("drop_overlap: true", {"drop_overlap": True}),
        ("drop_overlap: no", {"drop_overlap": False}),
        ("autolr_search: false", {"autolr_search": False}),
        ("disable_tqdm: true", {"disable_tqdm": True}),
        ("save_strategy: no", {"save_strategy": "no"}),  # for YAML false
        ("eval_strategy: epoch", {"eval_strategy": "epoch"}),
        ("max_length: null", {}),
        ("max_length:", {}),
        ("save_total_limit: none", {"save_total_limit": None}),
        ("lora_target_modules: [q_proj, v_proj]", {"lora_target_modules": ["q_proj", "v_proj"]}),
        ("lora_target_modules: []", {}),
        ("report_to: [tensorboard]", {"report_to": "tensorboard"}),
        ("template: '-{question}-{answer}'", {"template": "-{question}-{answer}"}),
        (r'template: "Q: {question}\nA: {answer}"', {"template": "Q: {question}\nA: {answer}"}),
        ("lr_scheduler_kwargs: {num_cycles: 2}", {"lr_scheduler_kwargs": '{"num_cycles": 2}'}),
        ("c: 0.25", {"c": 0.25}),
        ("", {}),
        ("# nothing but a comment", {}),
    ],
)
def test_values_of_a_file(config_file, line, values):
    assert parse("--config", config_file(line + "\n")) == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("forgt: f.jsonl\n", "forgt is no option of ngdiff unlearn; did you mean --forget?"),
        ("learning-rat: auto\n", "learning-rat is no option of ngdiff unlearn; did you mean --learning-rate?"),
        ("7: 8\n", "7 is no option of ngdiff unlearn; see --help-all"),
        ("autolr: true\n", "autolr is no option of ngdiff unlearn"),
        ("- forget\n- retain\n", "holds no `option: value` lines but a list"),
        ("forget\n", "holds no `option: value` lines but a str"),
        ("a: [1,\n", "is not YAML: while parsing a flow"),
        ("a: \x07\n", "is not YAML: unacceptable character"),
        ("!!python/object/apply:os.getcwd []\n", "is not YAML: could not determine a constructor"),
        ("report_to: [wandb, tensorboard]\n", "report_to holds a list of 2, and the option takes one value"),
        ("seed: much\n", "--seed: invalid int value: 'much'"),
    ],
)
def test_bad_files(config_file, text, message):
    file = config_file(text)
    found = refused("--config", file)
    assert message in found
    assert file in found or "invalid int" in found
    assert "\n" not in found


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "run.yaml").write_bytes(b"\xff\xfe\x00")
    assert "run.yaml is not YAML" in refused("--config", str(tmp_path / "run.yaml"))


def test_a_missing_file(tmp_path):
    file = tmp_path / "none.yaml"
    assert refused("--config", str(file)) == f"--config {file}: no such file"
    assert refused("--config") == "--config needs a file"


# ---- help -------------------------------------------------------------------------------------------------------


def names_in(text: str) -> set[str]:
    return set(re.findall(r"^  --([a-z0-9-]+)", text, flags=re.MULTILINE))


def dashed(names: Any) -> set[str]:
    return {name.replace("_", "-") for name in names}


def fields_of(parser: CommandParser) -> list["dataclasses.Field[Any]"]:
    return [f for kind in parser.groups.values() for f in dataclasses.fields(kind) if f.init]


INHERITED = {field.name for field in dataclasses.fields(TrainingArguments)}


LONG = ("unlearn", "finetune", "evaluate")


@pytest.mark.parametrize("command", PARSERS)
def test_help_shows_what_most_runs_need(command):
    parser = PARSERS[command]
    ours = {name for kind in parser.groups.values() for name in vars(kind).get("__annotations__", {})}
    text = parser.help()
    shown = names_in(text)
    assert {"config", *dashed(parser.required)} <= shown
    if command in LONG:
        assert 10 <= len(shown) <= 14
        assert f"example:\n  ngdiff {command} " in text
        assert "task" in shown
    else:
        assert dashed(ours) <= shown


@pytest.mark.parametrize("command", LONG)
def test_the_example_is_accepted(command):
    parser = PARSERS[command]
    assert parser.parse(shlex.split(parser.example)[2:])


@pytest.mark.parametrize("command", PARSERS)
def test_help_all_lists_every_option_once(command):
    parser = PARSERS[command]
    text = parser.help(everything=True)
    listed = re.findall(r"^  --([a-z0-9-]+)", text, flags=re.MULTILINE)
    assert sorted(listed) == sorted({*dashed(field.name for field in fields_of(parser)), "config"} - {"output-dir"})
    assert ("inherited from transformers" in text) == (command in ("unlearn", "finetune"))


def test_inherited_options_that_work_have_a_topic():
    titles = {line.rstrip(":") for line in UNLEARN.help(everything=True).splitlines() if line.endswith(":")}
    assert set(TOPICS) <= titles
    rest = UNLEARN.help(everything=True).partition("(docs/options.md):")[2]
    assert not names_in(rest) & dashed(INHERITED_OPTIONS["unlearn"].works)
    assert {"logging-nan-inf-filter", "dataloader-in-order"} <= {name.lstrip("-") for name in names_in(rest)}


@pytest.mark.parametrize(
    ("short", "option", "value"),
    [
        ("--lr", "learning_rate", "0.001"),
        ("--epochs", "num_train_epochs", 3.0),
        ("--batch-size", "per_device_train_batch_size", 4),
        ("--batch_size", "per_device_train_batch_size", 4),
        ("--steps", "max_steps", 7),
        ("--seed", "seed", 1),
    ],
)
def test_short_names(short, option, value, tmp_path):
    assert parse(f"{short}={value}") == {option: value}
    (tmp_path / "c.yaml").write_text(f"{short[2:]}: {value}\n")
    assert parse("--config", str(tmp_path / "c.yaml")) == {option: value}


def test_a_short_name_and_the_whole_one_in_a_file(tmp_path):
    (tmp_path / "c.yaml").write_text("lr: 1\nlearning_rate: 2\n")
    assert refused("--config", str(tmp_path / "c.yaml")).endswith("c.yaml: learning_rate is given twice")


def test_an_error_of_a_short_name_names_the_whole_one():
    assert refused("--steps", "many") == "--max-steps: invalid int value: 'many'"


@pytest.mark.parametrize("command", PARSERS)
def test_every_option_of_ours_has_a_help_text(command):
    parser = PARSERS[command]
    for kind in parser.groups.values():
        for field in dataclasses.fields(kind):
            if field.name not in INHERITED or field.name in vars(kind).get("__annotations__", {}):
                assert field.metadata.get("help"), field.name
                assert "\n" not in field.metadata["help"], field.name


def test_help_shows_defaults():
    text = " ".join(UNLEARN.help(everything=True).split())
    for name, default in (
        ("--method NAME", "auto"),
        ("--learning-rate RATE", "auto"),
        ("--num-train-epochs NUMBER", "15"),
        ("--autolr-search", "true"),
        ("--save-total-limit N", "2"),
    ):
        after = text[text.index(name) :]
        assert re.search(r"\((default: \S+|required)\)", after).group(1) == f"default: {default}", name
    assert "--model DIR_OR_NAME model to start from: a folder or a hub name (required)" in text


def test_the_forget_objective_has_a_short_name():
    for word in ("--objective", "--forget-objective", "--forget_objective"):
        values = UNLEARN.parse([*["--model", "m", "--forget", "f", "--retain", "r", "--output", "o"], word, "npo"])
        assert values["forget_objective"] == "npo"


def test_help_shows_how_to_switch_off():
    text = " ".join(UNLEARN.help(everything=True).split())
    assert "(default: true); off: --no-autolr-search" in text
    for off in re.findall(r"off: (--no-[a-z-]+)", text):
        assert parse(off) == {off.removeprefix("--no-").replace("-", "_"): False}
    assert "off: --no-overwrite" not in text


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--help-all"], [*NEEDED, "--help"], ["--nonsense", "-h"]])
def test_help_is_printed_and_nothing_else_happens(words, capsys):
    assert UNLEARN.parse(words) is None
    assert capsys.readouterr().out == UNLEARN.help(everything="--help-all" in words)


def test_help_fits_a_terminal():
    for parser in PARSERS.values():
        for everything in (False, True):
            assert max(len(line) for line in parser.help(everything=everything).splitlines()) <= 100


def test_a_parser_of_ones_own():
    @dataclasses.dataclass
    class Options(OutputOptions):
        depth: int = option(3, help="how deep", value="METRES")

    parser = CommandParser("dig", "Dig.", {"hole": Options}, required=("output",))
    assert parser.build(Options, parser.parse(["--output", "o"])) == Options(output="o", depth=3)
    assert parser.build(Options, parser.parse(["--output", "o", "--depth", "5"]), overwrite=True) == Options(
        output="o", depth=5, overwrite=True
    )
    assert "--depth METRES" in parser.help()
    assert "how deep (default: 3)" in parser.help()
    assert json.dumps(parser.parse(["--output=o"])) == '{"output": "o"}'


# ---- words that are no option -----------------------------------------------------------------------------------


@dataclasses.dataclass
class _Digging:
    depth: int = option(3, help="how deep")
    overwrite: bool = option(False, help="dig again")
    loud: bool = option(False, help="be heard")


DIG = CommandParser("dig", "Dig.", {"hole": _Digging}, required=(), words="hole")


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["a"], {"hole": ["a"]}),
        (["a", "b", "--depth", "5", "c"], {"hole": ["a", "b", "c"], "depth": 5}),
        (["--overwrite", "a"], {"hole": ["a"], "overwrite": True}),
        (["--overwrite", "--loud", "a"], {"hole": ["a"], "overwrite": True, "loud": True}),
        (["--overwrite", "no", "a"], {"hole": ["a"], "overwrite": False}),
        (["a", "--overwrite=no", "--depth=2"], {"hole": ["a"], "overwrite": False, "depth": 2}),
        (["a", "--overwrite"], {"hole": ["a"], "overwrite": True}),
        (["x=y", "./--depth"], {"hole": ["x=y", "./--depth"]}),
    ],
)
def test_words_stand_anywhere_between_options(words, values):
    assert DIG.parse(words) == values


def test_words_that_are_missing_or_look_like_options():
    for words, message in (
        ([], r"ngdiff dig needs HOLE\.\.\."),
        (["--depth", "2"], r"ngdiff dig needs HOLE\.\.\."),
        (["a", "--dept", "2"], "--dept is no option of ngdiff dig; did you mean --depth"),
        (["a", "-x"], "-x is no option of ngdiff dig"),
    ):
        with pytest.raises(InputError, match=message):
            DIG.parse(words)
    assert DIG.help().startswith("usage: ngdiff dig [options] HOLE...\n")


def test_a_command_without_words_takes_none():
    assert refused("stray").startswith("stray: ngdiff unlearn takes options alone")
