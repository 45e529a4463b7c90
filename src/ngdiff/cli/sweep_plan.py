"""The commands of a sweep, each checked by its own parser before the first one runs."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ngdiff.cli.option_words import OptionWords, as_words, options_in
from ngdiff.cli.own_answers import AUTO, FILES, roles_of
from ngdiff.cli.reading import OF_TEXTS
from ngdiff.cli.require import left_to_compare
from ngdiff.cli.score import PARSER as SCORE
from ngdiff.cli.score import ScoreOptions
from ngdiff.cli.sweep_file import SweepFile
from ngdiff.cli.task_option import task_of
from ngdiff.cli.tasks import TASKS
from ngdiff.cli.upload import HUB_OPTIONS
from ngdiff.data import Row
from ngdiff.errors import InputError, named
from ngdiff.file_names import EVALUATION, METRICS_FILE
from ngdiff.option import dashed
from ngdiff.sweep import Axes, Job, axes_that_matter, name_of, points_of

# Options that a sweep sets itself.
_OF_THE_SWEEP = ("output", "output_dir", "overwrite", "resume", "dry_run")
# Options for the images that a model never saw; with texts, the retain set determines the rows.
_OF_IMAGES = ("forget_class", "forget_rows", "forget_images", "forget_seed")


def plan(asked: SweepFile, shared: Sequence[str], folder: Path) -> tuple[list[Job], dict[str, dict[str, Any]]]:
    """The commands in the order in which they run, and the rows of the table: what `Record` takes.

    Every command line goes through the parser of its command, and every file of rows is read once.

    Args:
        asked: The sweep.
        shared: Options of `ngdiff unlearn` from the command line; they win over those of the file.
        folder: Of the sweep.

    Raises:
        InputError: what any of the commands would refuse; names the run.
    """
    return _Plan(asked, shared, folder).made()


@dataclass
class _Run:
    """A point of the grid: the options of `ngdiff unlearn` there, as words and as its parser reads them."""

    name: str
    point: Mapping[str, Any]
    words: OptionWords
    options: Any = None
    seed: int | None = None
    evaluation: OptionWords | None = None


class _Plan:
    def __init__(self, asked: SweepFile, shared: Sequence[str], folder: Path) -> None:
        self.asked, self.stages, self.folder = asked, asked.stages, folder
        if "task" in asked.axes or any("task" in own for own in asked.variants.values()):
            raise InputError(f"{asked.grid}: each task has options of its own; make a sweep for each")
        task = asked.options.get("task")
        self.task = task_of([*([] if task is None else [f"--task={task}"]), *shared])
        self.kinds = TASKS[self.task]
        self.axes = self._axes(asked)
        self.variants = self._variants(asked)
        self.fixed = self._fixed(shared)
        self._rows_read: dict[str, Row] = {}  # source and how it is read -> its first row

    def made(self) -> tuple[list[Job], dict[str, dict[str, Any]]]:
        """As `plan`."""
        runs = [self._run(point) for point in points_of(self.axes)]
        targets = self._targets(runs)
        for run, target in zip(runs, targets, strict=True):
            self._accept(run, target)
        before = self._evaluations("before", runs, [run.words["model"] for run in runs], targets)
        models, untouched = self._never_saw(runs, targets)
        retrained = self._evaluations("retrained", runs, models, untouched)
        jobs: dict[str, Job] = {}
        table: dict[str, dict[str, Any]] = {}
        for run, *shared in zip(runs, targets, before, untouched, retrained, strict=True):
            own = self._own_jobs(run, shared[0], shared[1], shared[3])
            jobs |= {job.name: job for job in [*filter(None, shared), *own]}
            for role, job in (("before", shared[1]), ("retrained", shared[3])):
                if job is not None:
                    table[job.entry] = {"values": {}, "role": role, "metrics": f"evaluation/{METRICS_FILE}"}
            numbers = {"unlearn": None, "evaluate": f"evaluation/{METRICS_FILE}", "score": METRICS_FILE}
            table[run.name] = {"values": dict(run.point), "role": "run", "metrics": numbers[own[-1].command]}
        return list(jobs.values()), table

    def _axes(self, asked: SweepFile) -> Axes:
        """The grid with whole names in place of short ones."""
        parser = self.kinds.unlearn.parser
        axes = {parser.option_named(name): values for name, values in asked.axes.items()}
        if len(axes) < len(asked.axes):
            raise InputError(f"{asked.grid}: an option is there twice, by its short name and its whole one")
        return axes

    def _variants(self, asked: SweepFile) -> dict[str, OptionWords]:
        """The options of each variant."""
        parser, place = self.kinds.unlearn.parser, asked.place_of_variants
        return {name: parser.words_of(own, f"{place}: {name}") for name, own in asked.variants.items()}

    def _fixed(self, shared: Sequence[str]) -> OptionWords:
        """The options that all runs share."""
        parser, place = self.kinds.unlearn.parser, self.asked.place
        given = {parser.option_named(name): words for name, words in options_in(shared, parser.names).items()}
        fixed = parser.words_of(self.asked.options, f"{place}: options") | given
        varied = {name for own in self.variants.values() for name in own}
        for name in (*self.axes, *varied, *fixed):
            where = self.asked.grid if name in self.axes else self.asked.place_of_variants if name in varied else place
            typed = name in given and name not in self.axes and name not in varied
            named = given[name][0].partition("=")[0] if typed else f"{where}: {name}"
            if name in HUB_OPTIONS:
                raise InputError(f"{named}: a sweep uploads nothing; ngdiff push uploads one of its models")
            if name in _OF_THE_SWEEP:
                raise InputError(f"{named} is for the sweep to say, not for its runs; leave it out")
            if name in self.axes and (name in fixed or name in varied):
                also = "on the command line" if name in given else "among the options"
                also = "in a variant" if name in varied else also
                raise InputError(f"{where}: {name} is there and {also}; leave one of them out")
            if name in varied and name in given:
                raise InputError(f"{where}: {name} is there and on the command line; leave one of them out")
            if name == "model" and self.stages.target is not None:
                raise InputError(f"{named} is what the stage target makes; leave one of the two out")
        return fixed

    def _run(self, point: Mapping[str, Any]) -> _Run:
        parser = self.kinds.unlearn.parser
        own = dict(point)
        varied = self.variants[own.pop(self.asked.varied_by)] if self.variants else {}
        words = {**self.fixed, **varied, **parser.words_of(own, self.asked.grid)}
        if self.stages.target is not None:
            words["model"] = ["--model=target"]  # until the target has a name
        name = name_of(point, self.axes)
        with named(f"{name}:"):
            values = parser.parse([*as_words(words), f"--output={self.folder / name / 'model'}"])
        assert values is not None, "no word asks for help"
        return _Run(name, point, words, seed=values.get("seed"))

    def _targets(self, runs: Sequence[_Run]) -> list[Job | None]:
        """The models that forget, if the sweep trains them."""
        if self.stages.target is None:
            return [None] * len(runs)
        parser = self.kinds.finetune.parser
        words = parser.words_of(self.stages.target, f"{self.asked.place}: stages: target")
        each = [self._finetuning(words, run) for run in runs]
        found = self._shared("target", "finetune", each, [()] * len(runs), "model")
        for job in {job.name: job for job in found}.values():
            self._check_finetuning(job)
        return [*found]

    def _accept(self, run: _Run, target: Job | None) -> None:
        """The run's options once through all that `ngdiff unlearn` checks before it reads; its rows."""
        kind, output = self.kinds.unlearn, self.folder / run.name / "model"
        if target is not None:
            run.words["model"] = [f"--model={target.place(self.folder)}"]
        with named(f"{run.name}:"):
            values = kind.parser.parse([*as_words(run.words), f"--output={output}"]) or {}
            run.options = kind.accepted(values)
            config = kind.trainer_config(values, output)
            evaluation = shlex.split(kind(run.options, config).evaluation())[2:]
            made = self._made(run.options)
            own = run.options.read_from_files() if self.task == "text" else run.options
            self._read(own, "forget", "retain", "holdout", "protect")
        if self.stages.evaluate is not None:
            parser = self.kinds.evaluate.parser
            more = parser.words_of(self.stages.evaluate, f"{self.asked.place}: stages: evaluate")
            given = options_in(evaluation, parser.names)
            left_out = {*made, *(f"{role}_columns" for role in made)}
            run.evaluation = {name: words for name, words in given.items() if name not in left_out} | more

    def _made(self, options: Any) -> list[str]:
        """The sets that a run makes of its own model, which no other model is measured on."""
        made = roles_of(options) if self.task == "text" else []
        if "retain" in made:
            raise InputError(
                f"--retain {AUTO} makes other rows in each run, and a sweep compares runs on the same rows: make them "
                f"once (ngdiff unlearn --retain {AUTO} --max-steps 1), and give the private/{FILES['retain']} of its "
                "output"
            )
        return made

    def _never_saw(
        self, runs: Sequence[_Run], targets: Sequence[Job | None]
    ) -> tuple[list[list[str] | None], list[Job | None]]:
        """The words `--model=...` of the models that never saw what is to be forgotten; the jobs that make them."""
        asked, nothing = self.stages.retrained, [None] * len(runs)
        if asked is None:
            return [*nothing], [*nothing]
        if isinstance(asked, str):
            return [[f"--model={asked}"] for _ in runs], [*nothing]
        parser, place = self.kinds.finetune.parser, f"{self.asked.place}: stages: "
        own = not isinstance(asked, bool)
        given = self.stages.target or {} if isinstance(asked, bool) else asked
        words = parser.words_of(given, place + ("retrained" if own else "target"))
        each, needs = [], []
        for run, target in zip(runs, targets, strict=True):
            kept = self._kept(run.options)
            finetuning = self._finetuning({**kept, **words} if own else {**words, **kept}, run)
            job = Job("retrained-model", "finetune", tuple(as_words(finetuning)), "model")
            fresh = self._check_finetuning(job).fresh
            need: tuple[str, ...] = ()
            if fresh and self.task == "text" and target is not None and "tokenizer" not in finetuning:
                # A tokenizer trained on other rows would have other tokens: the two models could not be compared.
                if own and "vocab_size" in words:
                    raise InputError(
                        f"{place}retrained: vocab_size changes nothing: it gets the tokenizer of the target"
                    )
                finetuning.pop("vocab_size", None)  # of the target's tokenizer
                finetuning["tokenizer"], need = [f"--tokenizer={target.place(self.folder)}"], (target.name,)
            each.append(finetuning)
            needs.append(need)
        found = self._shared("retrained-model", "finetune", each, needs, "model")
        return [[f"--model={job.place(self.folder)}"] for job in found], [*found]

    def _kept(self, options: Any) -> OptionWords:
        """Training options of a model that never sees the rows that a run forgets."""
        if self.task == "text":
            read = options.reading("retain")
            if read.keys() & set(OF_TEXTS) and self._first_row(options, "retain").kind != "text":  # for other sets
                read = {name: value for name, value in read.items() if name not in OF_TEXTS}
            own = {name: [f"{dashed(name)}={value}"] for name, value in read.items()}
            return {"train": [f"--train={options.retain}"], **own}
        given = {name: getattr(options, name) for name in _OF_IMAGES}
        return {name: [f"--{name}={value}"] for name, value in given.items() if value is not None}

    def _finetuning(self, words: OptionWords, run: _Run) -> OptionWords:
        own = {"task": [f"--task={self.task}"], "seed": [f"--seed={run.seed}"]}
        wanted = [name for name, on in (("task", self.task != "text"), ("seed", run.seed is not None)) if on]
        return {**words, **{name: own[name] for name in wanted if name not in words}}

    def _check_finetuning(self, job: Job) -> Any:
        kind, output = self.kinds.finetune, job.place(self.folder)
        with named(f"{job.entry}:"):
            values = kind.parser.parse([*job.words, f"--output={output}"]) or {}
            options = kind.accepted(values)
            self._read(options, "train")
            return kind(options, kind.trainer_config(values, output))

    def _evaluations(
        self, name: str, runs: Sequence[_Run], models: Sequence[list[str] | None], makers: Sequence[Job | None]
    ) -> list[Job | None]:
        """The evaluations of shared models on the sets of the runs."""
        if self.stages.evaluate is None or None in models:
            return [None] * len(runs)
        each = [{**(run.evaluation or {}), "model": model or []} for run, model in zip(runs, models, strict=True)]
        needs = [() if maker is None else (maker.name,) for maker in makers]
        return [*self._shared(name, "evaluate", each, needs, EVALUATION)]

    def _shared(
        self, name: str, command: str, each: Sequence[OptionWords], needs: Sequence[tuple[str, ...]], output: str
    ) -> list[Job]:
        """For each run, the job that it shares with all runs that need the same."""
        keys = [(tuple(as_words(words)), need) for words, need in zip(each, needs, strict=True)]
        matter = axes_that_matter(self.axes, keys)
        # A single seed of a grid is part of the names, too: seeds may be added later.
        alone = [need for _, need in keys] if "seed" not in matter else []
        if alone and "seed" in self.axes and any("seed=" in text for text in (*keys[0][0], *keys[0][1])):
            matter += ["seed"] if len(self.axes["seed"]) == 1 else []
        jobs = []
        for point, (words, need) in zip(points_of(self.axes), keys, strict=True):
            part = name_of({option: point[option] for option in self.axes if option in matter}, self.axes)
            jobs.append(Job(",".join(filter(None, (name, part))), command, words, output, need))
        return jobs

    def _own_jobs(self, run: _Run, target: Job | None, before: Job | None, retrained: Job | None) -> list[Job]:
        """The jobs of one run."""
        needs = () if target is None else (target.name,)
        jobs = [Job(run.name, "unlearn", tuple(as_words(run.words)), "model", needs)]
        if run.evaluation is None:
            return jobs
        evaluation = {**run.evaluation, "model": [f"--model={jobs[0].place(self.folder)}"]}
        reads = [jobs[0].name]
        if before is not None and "before" not in evaluation and left_to_compare(run.options.require):
            evaluation["before"] = [f"--before={before.place(self.folder)}"]
            reads.append(before.name)
        jobs.append(Job(run.name, "evaluate", tuple(as_words(evaluation)), EVALUATION, tuple(reads)))
        with named(f"{run.name}:"):
            kind = self.kinds.evaluate
            kind(kind.accepted(kind.parser.parse([*jobs[1].words, f"--output={jobs[1].place(self.folder)}"]) or {}))
        if self.stages.score is None:
            return jobs
        others = {name: job for name, job in (("before", before), ("retrained", retrained)) if job is not None}
        against = {name: [f"--{name}={job.place(self.folder)}"] for name, job in others.items()}
        words = {**against, **SCORE.words_of(self.stages.score, f"{self.asked.place}: stages: score")}
        score = Job(
            run.name,
            "score",
            (str(jobs[1].place(self.folder)), *as_words(words)),
            METRICS_FILE,
            (jobs[1].name, *(job.name for job in others.values())),
        )
        SCORE.build(ScoreOptions, SCORE.parse(score.words) or {})
        return [*jobs, score]

    def _read(self, options: Any, *roles: str) -> None:
        """Read rows once, so that a file that cannot be used is found now, and an option by which none is read."""
        given = [role for role in roles if self.task == "text" and getattr(options, role, None) is not None]
        sets = {role: [self._first_row(options, role)] for role in given}
        if sets:
            options.check_used({role: rows for role, rows in sets.items() if getattr(options, role) != AUTO})

    def _first_row(self, options: Any, role: str) -> Row:
        source = getattr(options, role)
        key = f"{source} {options.reading(role)}"
        if key not in self._rows_read:
            self._rows_read[key] = options.read(role, source)[0]
        return self._rows_read[key]
