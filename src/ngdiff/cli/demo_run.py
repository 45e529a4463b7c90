"""The demo, from its made-up people to its table."""

import logging
import shutil
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers.utils import logging as transformers_logging

from ngdiff import __version__
from ngdiff.cli.demo import DemoOptions
from ngdiff.cli.options import resolved
from ngdiff.data import Row, read_rows, resolve_template, write_people
from ngdiff.evaluation import EvaluationResult, evaluate, format_comparison, write_evaluation
from ngdiff.file_names import CARD, CONFIG, CURVES, MANIFEST, METRICS_FILE
from ngdiff.manifest import describe_data, now, write_manifest
from ngdiff.metrics import CONFIDENCE, score
from ngdiff.modeling import build_model, load_model, save_model, train_tokenizer
from ngdiff.output_folder import prepare_output
from ngdiff.plurals import number_of
from ngdiff.report import plot_curves
from ngdiff.report.card import model_card
from ngdiff.report.logs import Log, write_log
from ngdiff.scoring import over_forgotten_notes
from ngdiff.training import UnlearnConfig, UnlearnTrainer
from ngdiff.training.checkpoint import resumable_parts
from ngdiff.training.evidence import save_with_evidence
from ngdiff.training.finetune import FinetuneConfig, finetune
from ngdiff.writing import write_json, write_text

logger = logging.getLogger("ngdiff")

_SAMPLES = 3


def demo(words: list[str], options: DemoOptions) -> None:
    """Make data and models, and compare what they know.

    Args:
        words: Arguments of `ngdiff demo`.
        options: Checked.
    """
    started = time.monotonic()
    output = prepare_output(options.output, overwrite=options.overwrite, resumable=False)
    manifest: dict[str, Any] = {
        "command": ["ngdiff", "demo", *words],
        "config": resolved(options),
        "model": {"shape": options.shape},
        "template": "plain",
        "seed": options.seed,
    }
    write_manifest(
        output, **manifest, data={}, extra={"finished": False}
    )  # first, because a folder without it cannot be overwritten
    files = write_people(
        output / "data",
        options.people,
        questions=options.questions,
        seed=options.seed,
        holdout=max(options.people // 10, 1),
        base=options.people * 3 // 10,
    )
    data = {role: describe_data(str(path), read_rows(str(path), role=role)) for role, path in files.items()}
    write_manifest(output, **manifest, data=data, extra={"finished": False})
    transformers_logging.disable_progress_bar()  # of loading and saving; those of the runs stay
    shown = _Demo(options, output, {role: read_rows(str(path), role=role) for role, path in files.items()}, data)
    shown.tell(f"1/5  A model learns {len(shown.rows['full'])} answers about {options.people} people who do not exist.")
    shown.learn("target", "full")
    shown.tell("2/5  Another one learns of other people: it stands for the model before fine-tuning.")
    shown.learn("base", "base")
    shown.tell(
        f"3/5  The first one forgets {len(shown.rows['forget'])} answers, one person in ten: it comes to where it "
        "would stand, had it never seen them."
    )
    trainer = shown.unlearn()
    shown.tell("4/5  A third one learns what the first did without those people: what forgetting should look like.")
    shown.learn("retrained", "retain")
    shown.tell("5/5  What each of them knows.")
    columns = {"before": "target", "after": "unlearned", "retrained": "retrained"}
    results = {column: shown.evaluate(name) for column, name in columns.items()}
    before, after, retrained = (results[column].records for column in columns)
    scores = score(after, before=before, retrained=retrained, confidence=CONFIDENCE)
    results["after"] = replace(results["after"], scores=scores)
    table = format_comparison({column: _without_intervals(result) for column, result in results.items()})
    curves = plot_curves(
        trainer.state.log_history,
        output / CURVES,
        title="ngdiff demo: one person in ten is forgotten",
        forget_ceiling=trainer.ceiling,
    )
    scores = {column: result.scores for column, result in results.items()}
    notes = over_forgotten_notes({"after": scores["after"]}, {"retrained": scores["retrained"]})
    if notes:
        notes.append(
            "      That is no better forgetting: its answers, above, are not those of a model that never knew."
        )
    table = "\n".join([table, *notes])
    write_text(output / "table.txt", table + "\n")
    write_json(output / METRICS_FILE, {column: result.as_json() for column, result in results.items()})
    made = sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file())
    own = {MANIFEST, CONFIG, *(path.relative_to(output).as_posix() for path in files.values())}
    write_manifest(output, **manifest, data=data, extra={"finished": True}, outputs=[x for x in made if x not in own])
    sys.stdout.write("\n" + "\n\n".join([*_samples(shown.rows["forget"], results), table]) + "\n\n")
    sys.stdout.write(f"Curves: {curves}\nData, models and records: {output}\n")
    sys.stdout.write(f"Done in {time.monotonic() - started:.0f} s.\n")


def _without_intervals(result: EvaluationResult) -> dict[str, Any]:
    return {name: value for name, value in result.scores.items() if name != "confidence"}


class _Demo:
    """The models of the demo, and their common rows, tokenizer and template; `data`: the rows as in manifests."""

    def __init__(
        self, options: DemoOptions, output: Path, rows: dict[str, list[Row]], data: dict[str, dict[str, Any]]
    ) -> None:
        self.options, self.output, self.rows, self.data = options, output, rows, data
        texts = [text for row in rows["full"] for text in (row.prompt, row.answer)]
        self.tokenizer = train_tokenizer(texts, vocab_size=1024)
        self.template = resolve_template("plain", self.tokenizer, rows["full"])

    def tell(self, text: str) -> None:
        """A line between the progress bars."""
        sys.stdout.write(f"\n{text}\n")
        sys.stdout.flush()

    def learn(self, name: str, role: str) -> None:
        """Train a model from random weights on one set; the models differ only in their rows. Save it with its card."""
        begun = now()
        model = build_model(self.options.shape, self.tokenizer, seed=self.options.seed)
        config = FinetuneConfig(
            output_dir=str(self.output / name), seed=self.options.seed, report_to=[], num_train_epochs=60
        )
        result = finetune(model, self.tokenizer, self.rows[role], self.template, config)
        folder = self.output / name
        files = save_model(model, self.tokenizer, folder)
        run: dict[str, Any] = {
            "command": ["python"],
            "config": {**config.given, "lora_rank": 0},
            "data": {"train": self.data[role]},
            "model": {"shape": self.options.shape},
            "template": self.template.name,
            "template_text": self.template.text,
            "seed": config.seed,
            "begun": begun,
            "extra": {"steps": result.steps, "epochs": result.epochs, **result.outcome.as_extra()},
        }
        write_text(folder / CARD, model_card(name, files, run["config"], run, __version__))
        run["extra"] = {"finished": True, **run["extra"]}
        write_manifest(folder, **run, outputs=[*files, CARD])
        self.tell(f"     loss {result.loss:.3f} after {number_of(float(result.epochs), 'pass')}")

    def unlearn(self) -> UnlearnTrainer:
        """Unlearn the forget rows from the target, by default options, with the base model and holdout rows."""
        config = UnlearnConfig(
            output_dir=str(self.output / "unlearned"), seed=self.options.seed, save_strategy="no", report_to=[]
        )
        trainer = UnlearnTrainer(
            load_model(self.output / "target"),
            config,
            self.rows["forget"],
            self.rows["retain"],
            holdout_dataset=self.rows["holdout"],
            base_model=self.output / "base",
            processing_class=self.tokenizer,
        )
        trainer.train()
        roles = ("forget", "retain", "holdout")
        sources = {"model": self.output / "target", "base_model": self.output / "base"}
        sources |= {role: self.output / "data" / f"{role}.jsonl" for role in roles}
        for part in resumable_parts(self.output / "unlearned"):
            shutil.rmtree(part)
        save_with_evidence(trainer, self.output / "unlearned", self.tokenizer, sources=sources)
        write_log(self.output, Log(trainer.state.log_history))
        return trainer

    def evaluate(self, name: str) -> EvaluationResult:
        """Score one of the models on both sets; numbers and records go into a folder `scores` below its own."""
        result = evaluate(
            load_model(self.output / name),
            self.tokenizer,
            {role: self.rows[role] for role in ("forget", "retain")},
            self.template,
        )
        write_evaluation(result, self.output / name / "scores")
        return result


def _samples(rows: list[Row], results: dict[str, EvaluationResult]) -> list[str]:
    """Questions of the forget set with the answers of each model. The data is made up: it may be shown."""
    blocks = []
    for index in range(0, len(rows), -(-len(rows) // _SAMPLES)):
        lines = [f"Q: {rows[index].prompt}", f"   {'truth':<10} {rows[index].answer}"]
        for column, result in results.items():
            answer = result.records["forget"][index]["generated"] or "(nothing)"
            lines.append(f"   {column:<10} {textwrap.shorten(answer, 100, placeholder=' ...')}")
        blocks.append("\n".join(lines))
    return blocks
