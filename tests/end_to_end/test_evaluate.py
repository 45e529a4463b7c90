"""`ngdiff evaluate`: any subset of sets, measures, extras, running text."""

import json
import sys
import weakref
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from ngdiff.data import read_rows
from ngdiff.data.encode import encode
from ngdiff.data.template import Template
from ngdiff.evaluation.likelihood import token_nll
from ngdiff.modeling import load_model, load_tokenizer

from .runs import evaluate_words, records_of, rows_of, run, succeeded, write_rows

# ---- which sets ----


@pytest.mark.parametrize("role", ["forget", "retain", "holdout"])
def test_any_set_will_do(material, tmp_path, role):
    out = tmp_path / "e"
    outcome = succeeded(run("evaluate", "--model", material.model, f"--{role}", material.forget, "--output", out))
    assert f"{role} (4)" in outcome.out
    assert list(records_of(out)) == [f"records_{role}.jsonl"]
    assert json.loads((out / "manifest.json").read_text())["extra"] == {"finished": True, "processes": 1}


def test_a_benchmark_beside_own_rows(material, tmp_path):
    """A made-up folder in TOFU's layout; the retain set of TOFU's own is left out."""
    folder = tmp_path / "tofu"
    folder.mkdir()
    rows = [{**row, "perturbed_answer": ["wrong", "wrong too"]} for row in rows_of(material.forget)]
    for name in ("forget05_perturbed", "retain_perturbed", "real_authors_perturbed", "world_facts_perturbed"):
        write_rows(folder / f"{name}.json", rows)
    words = ["--benchmark", f"tofu:{folder}", "--split", "forget05", "--benchmark-rows", 2]
    wanted = ["--sets", "forget", "holdout", "world_facts"]
    named = ["evaluate", "--model", material.model, *words, "--holdout", material.retain]
    succeeded(run(*named, *wanted, "--output", tmp_path / "e"))
    counts = {name: len(content.splitlines()) for name, content in records_of(tmp_path / "e").items()}
    assert counts == {"records_forget.jsonl": 2, "records_holdout.jsonl": 12, "records_world_facts.jsonl": 4}
    record = rows_of(tmp_path / "e" / "private" / "records_world_facts.jsonl")[0]
    assert len(record["perturbed"]) == 2
    seen = run(*named[:-1], material.forget)
    assert seen.error.startswith("2 of 4 rows of --holdout are also in the benchmark's forget set, the first at ")
    outcome = run(*named, "--sets", "forgot")
    assert outcome.error == (
        "--sets forgot: there is no such set here; there are holdout, forget, retain, real_authors, world_facts"
    )
    outcome = run(*named, "--forget", material.forget)
    assert outcome.error == (f"--forget and --benchmark tofu:{folder} both give the set forget; give one of them")


def test_muse_news_from_a_folder(material, tmp_path):
    """Prompts, greedy answers and passages in MUSE's layout, with texts of our own."""
    asked = [{"question": row["question"], "answer": row["answer"]} for row in rows_of(material.forget)]
    files: dict[str, Any] = {"verbmem/forget": [{"prompt": "It is ", "gt": row["answer"]} for row in asked[:2]]}
    files |= {f"knowmem/{part}_qa{end}": asked[:1] for part in ("forget", "retain") for end in ("", "_icl")}
    files |= {f"privleak/{part}": [asked[2]["answer"]] for part in ("forget", "retain", "holdout")}
    for name, content in files.items():
        path = tmp_path / "muse" / f"{name}.json"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(json.dumps(content))
    words = ["--model", material.model, "--benchmark", f"muse-news:{tmp_path / 'muse'}", "--output", tmp_path / "e"]
    succeeded(run("evaluate", *words))
    private = tmp_path / "e" / "private"
    verbmem, knowmem, privleak = (
        rows_of(private / f"records_muse_{n}.jsonl") for n in ("verbmem", "knowmem_forget", "privleak_holdout")
    )
    assert [len(verbmem), len(knowmem), len(privleak)] == [2, 1, 1]
    assert verbmem[0]["prompt"] == "It is "
    question = f"Question: {asked[0]['question']}\nAnswer: "
    assert knowmem[0]["prompt"] == f"{question}{asked[0]['answer']}\n\n{question}"
    assert "Question:" not in knowmem[0]["generated"]
    tokenizer = load_tokenizer(material.model)
    ids = tokenizer(asked[2]["answer"])["input_ids"]  # begin token, text, no end token
    (nll,) = token_nll(load_model(material.model), [(ids, ids)], show_progress=False)
    assert privleak[0]["token_nll"] == pytest.approx(nll.tolist(), rel=1e-4, abs=1e-5)
    assert privleak[0]["generated"] is None
    assert privleak[0]["lowercase"]["n_tokens"] == len(tokenizer(asked[2]["answer"].lower())["input_ids"]) - 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "ngdiff evaluate needs rows: --forget, --retain, --holdout or --benchmark"),
        (["--benchmark", "muse"], "--benchmark muse is not known; one of tofu, muse-news"),
        (["--forget", "x", "--speed", "fast"], "--speed fast is not known; one of auto, off"),
        (["--forget", "x", "--generator", "gpt"], "--generator gpt is not known; one of transformers, vllm"),
        (["--forget", "x", "--resume"], "--resume needs --output: the folder of the evaluation that was killed"),
    ],
)
def test_bad_options(material, words, message):
    outcome = run("evaluate", "--model", material.model, *words)
    assert outcome.status == 2
    assert outcome.error.startswith(message)


# ---- measures ----


def test_measures_for_membership_inference(material, tmp_path):
    plain = succeeded(run(*evaluate_words(material, tmp_path / "plain", "--no-generate")))
    assert "Verbmem" not in plain.out
    more = ["--lowercase", "--grad-norm", "--base-model", material.model, "--no-generate"]
    succeeded(run(*evaluate_words(material, tmp_path / "all", *more)))
    for name in ("forget", "retain"):
        bare = rows_of(tmp_path / "plain" / "private" / f"records_{name}.jsonl")
        full = rows_of(tmp_path / "all" / "private" / f"records_{name}.jsonl")
        for one, other in zip(bare, full, strict=True):
            assert other.keys() - one.keys() == {"lowercase", "grad_norm", "base_model"}
            assert one["generated"] is None
            assert other["base_model"]["nll_sum"] == pytest.approx(other["nll_sum"], rel=1e-4, abs=1e-4)
            assert other["base_model"]["n_tokens"] == other["n_tokens"]
            assert other["grad_norm"] > 0
    manifest = json.loads((tmp_path / "all" / "manifest.json").read_text())
    assert manifest["model"]["base_model"]["files"] == manifest["model"]["files"]


def test_the_first_model_is_gone_before_the_second_comes(material, monkeypatch):
    alive = []

    def load(*words: Any, **options: Any) -> Any:
        alive.append([model() is not None for model in models])
        model = load_model(*words, **options)
        models.append(weakref.ref(model))
        return model

    models: list[Any] = []
    monkeypatch.setattr("ngdiff.modeling.load_model", load)
    succeeded(run(*evaluate_words(material, None, "--base-model", material.model)))
    assert alive == [[], [False]]


# ---- extras ----


@pytest.fixture
def harness_task(material, tmp_path) -> Path:
    """A task of lm-evaluation-harness that needs no network."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    rows = [
        {"question": row["question"], "choices": [row["answer"], "A glazier from Tarnholm wrote it."], "gold": 0}
        for row in rows_of(material.forget)
    ]
    write_rows(folder / "rows.jsonl", rows)
    task = {
        "task": "who", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(folder / "rows.jsonl")}},
        "test_split": "test", "output_type": "multiple_choice", "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_choice": "{{choices}}", "doc_to_target": "gold",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1.0},
    }  # fmt: skip
    (folder / "who.yaml").write_text(json.dumps(task))
    return folder


def test_lm_evaluation_harness(material, tmp_path, harness_task, monkeypatch):
    pytest.importorskip("lm_eval", reason="lm_eval is an extra")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    arguments = ["tasks=who", "num_fewshot=0", "bootstrap_iters=10", f"include_path={harness_task}"]
    out = tmp_path / "e"
    outcome = succeeded(run("evaluate", "--model", material.model, "--lm-eval", *arguments, "--output", out))
    found = json.loads((out / "metrics.json").read_text())
    tokenizer, model = load_tokenizer(material.model), load_model(material.model)
    right = 0
    for row in read_rows(str(material.forget)):
        texts = (row.answer, "A glazier from Tarnholm wrote it.")
        items = [encode(row, tokenizer, Template("plain"), max_length=256, answer=text) for text in texts]
        # The harness scores no end token.
        nll = token_nll(model, [(i.input_ids[:-1], i.labels[:-1]) for i in items], show_progress=False)
        right += bool(nll[0].sum() < nll[1].sum())
    assert found["lm_eval"]["who"]["acc,none"] == right / 4
    assert f"who  sample_len 4.0000  acc,none {right / 4:.4f}" in outcome.out
    bad = run("evaluate", "--model", material.model, "--lm-eval", "tasks=who,whom", f"include_path={harness_task}")
    assert bad.error.startswith("--lm-eval: lm-evaluation-harness knows no task whom; ")
    bad = run("evaluate", "--model", material.model, "--lm-eval", "tasks=who", "shots=5")
    assert bad.error.startswith("--lm-eval shots=5: give ARGUMENT=VALUE; arguments are apply_chat_template, ")
    assert run("evaluate", "--model", material.model, "--lm-eval", "limit=2").error == (
        "--lm-eval needs tasks=NAME[,NAME...]"
    )


@pytest.mark.parametrize(
    ("module", "words", "message"),
    [
        ("lm_eval", ["--lm-eval", "tasks=x"], "--lm-eval needs lm-evaluation-harness: pip install 'ngdiff[lm-eval]'"),
        ("vllm", ["--generator", "vllm"], "--generator vllm needs the package vllm: pip install 'ngdiff[vllm]'"),
    ],
)
def test_extras_that_are_not_installed(material, monkeypatch, module, words, message):
    monkeypatch.setitem(sys.modules, module, None)
    outcome = run(*evaluate_words(material, None, *words))
    assert (outcome.status, outcome.error) == (2, message)


@pytest.mark.parametrize("words", [["--generator", "vllm"], ["--lm-eval", "tasks=x"]])
def test_extras_run_in_one_process(material, monkeypatch, words):
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = run(*evaluate_words(material, None, *words))
    assert outcome.status == 2
    assert outcome.error.endswith("runs in one process; evaluate in several without it")


def fake_vllm(made: list[Any]) -> ModuleType:
    """A stand-in with vLLM's names that answers by a loop without cache."""

    class LLM:
        def __init__(self, model: str, **options: Any) -> None:
            self.model = load_model(model)
            made.append((model, options))

        def generate(self, prompts: list[Any], parameters: list[Any], use_tqdm: bool) -> list[Any]:
            found = []
            for prompt, own in zip(prompts, parameters, strict=True):
                ids = list(prompt["prompt_token_ids"])
                for _ in range(own.max_tokens):
                    with torch.no_grad():
                        ids.append(int(self.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
                    if ids[-1] in own.stop_token_ids:
                        break
                new = ids[len(prompt["prompt_token_ids"]) :]
                found.append(SimpleNamespace(outputs=[SimpleNamespace(token_ids=tuple(new))]))
            return found

    module = ModuleType("vllm")
    module.LLM = LLM  # type: ignore[attr-defined]
    module.SamplingParams = lambda **options: SimpleNamespace(**options)  # type: ignore[attr-defined]
    return module


def test_vllm_behind_the_same_interface(material, tmp_path, monkeypatch, whole):
    made: list[Any] = []
    monkeypatch.setitem(sys.modules, "vllm", fake_vllm(made))
    words = ["--tokens-per-batch", 80, "--grad-norm", "--generator", "vllm"]
    succeeded(run(*evaluate_words(material, tmp_path / "e", *words)))
    assert records_of(tmp_path / "e") == records_of(whole)
    assert made == [(str(material.model), {"dtype": "float32", "trust_remote_code": False, "seed": 0})]


# ---- running text ----


def test_unlearn_a_running_text_and_score_its_passages(material, tmp_path):
    folder = tmp_path / "muse"
    for name, source in (("forget", material.forget), ("retain1", material.retain)):
        (folder / "raw").mkdir(parents=True, exist_ok=True)
        texts = [f"{row['question']} {row['answer']}" for row in rows_of(source)]
        (folder / "raw" / f"{name}.json").write_text(json.dumps(texts))
    sets = ["--forget", f"muse-news:{folder}:forget", "--retain", f"muse-news:{folder}:retain1"]
    words = ["--num-train-epochs", 1, "--per-device-train-batch-size", 2, "--max-length", 40, "--method", "ngdiff"]
    outcome = succeeded(run("unlearn", "--model", material.model, *sets, "--output", tmp_path / "u", *words))
    manifest = json.loads((tmp_path / "u" / "manifest.json").read_text())
    assert set(manifest["data"]["forget"]["files"]) == {"raw/forget.json", "raw/retain1.json"}
    assert manifest["data"]["forget"]["rows"] == 4
    command = outcome.out.strip().splitlines()[-1].split()[1:]
    found = succeeded(run(*command, "--no-generate"))
    assert "texts longer than --max-length: 4 were split into 9 pieces" in found.out
