"""`ngdiff audit`."""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ngdiff.audit import ATTACKS, Bed, Budget, NotApplicableError, OutOfTimeError, Variant, compared, run_attack
from ngdiff.audit.compare import summary
from ngdiff.cli.audit_folder import FILE, AuditFolder
from ngdiff.cli.audit_table import audit_table
from ngdiff.cli.inputs import described_model, inputs_of
from ngdiff.cli.options import SetOptions, read_sets
from ngdiff.cli.overlap import without_overlap
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.text_model import TextModelOptions
from ngdiff.data import Row, read_rows
from ngdiff.errors import InputError
from ngdiff.evaluation.processes import started_processes
from ngdiff.manifest import describe_data
from ngdiff.metrics import CONFIDENCE
from ngdiff.modeling import check_same_tokens, load_model, merge_adapter
from ngdiff.ranges import COUNT, SEED, Range
from ngdiff.scoring import read_sets as read_records
from ngdiff.scoring import record_files

logger = logging.getLogger(__name__)


@dataclass
class ReferenceOptions:
    """What the model is compared with: the same attacks run on it."""

    retrained: str | None = option(None, help="a model trained like this one without the forget set", value="MODEL")
    never_trained: str | None = option(
        None, help="a model that saw none of the rows, such as that before fine-tuning; in place of --retrained",
        value="MODEL",
    )  # fmt: skip
    before: str | None = option(
        None, help="evaluation of the model before unlearning: the unit of D (ngdiff evaluate --output)", value="RUN"
    )
    paraphrased: str | None = option(
        None, help="the forget rows with their questions in other words, in the same order", value="FILE"
    )


@dataclass
class AuditRunOptions:
    """Which attacks, how long, and where results go."""

    output: str = option(help="folder for audit.json and the records, which hold texts", value="DIR")
    overwrite: bool = option(False, help="replace what an earlier audit wrote there")
    resume: bool = option(False, help="go on with an audit: finished attacks are not repeated")
    attacks: str = option("all", help=f"attacks, separated by commas: {', '.join(ATTACKS)}; all", value="NAME,...")
    minutes: float | None = option(
        None,
        help="end after so many minutes; attacks that are not finished then are named as not run",
        accepted=Range(0, 1e6, without_least=True),
    )
    template: str = option(
        "auto", help="how a question is put: auto, plain, chat, or a text with {question} and {answer}"
    )
    max_length: int | None = option(
        None, help="longest row in tokens (the model's context)", accepted=Range(2, COUNT.largest)
    )
    tokens_per_batch: int = option(4096, help="tokens of a batch, padding included", accepted=COUNT)
    confidence: float = option(
        CONFIDENCE,
        help="level of the intervals, and of saying that something comes back",
        accepted=Range(0, 1, without_least=True, without_largest=True),
    )
    seed: int = option(0, help="seed of samples, of the order of rows and of intervals", accepted=SEED)


@dataclass
class AuditOptions(TextModelOptions, SetOptions, ReferenceOptions, AuditRunOptions):
    """All of them."""


PARSER = CommandParser(
    "audit",
    "Does it stay forgotten? Attacks a model that has unlearned, and with --retrained or --never-trained a model that "
    "never saw the rows: what the attack itself teaches comes out of both and does not count. The model is only read: "
    "ngdiff audit MODEL --forget F --retain R --output DIR.",
    {"model": TextModelOptions, "own data": SetOptions, "reference": ReferenceOptions, "audit": AuditRunOptions},
    required=("model", "forget", "retain", "output"),
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options, data or models that cannot be used; before any long work.
    """
    named = words if not words or words[0].startswith("-") else ["--model", *words]
    values = PARSER.parse(named)
    if values is None:
        return
    options: AuditOptions = PARSER.build(AuditOptions, values)
    attacks = _chosen(options.attacks)
    models = _models(options)
    before = [] if options.before is None else record_files(options.before)
    sources = (
        options.forget,
        options.retain,
        options.holdout,
        options.paraphrased,
        options.before,
        options.chat_template,
    )
    inputs = [place for name in models.values() for place in inputs_of(name)]
    folder = AuditFolder(words, options, [*inputs, *inputs_of(options.model, *sources)[1:]])
    bed, data = _bed(options)
    then = _by_origin(read_records(before)) if before else None
    for name in list(models.values())[1:]:
        check_same_tokens(bed.tokenizer, name, trust_remote_code=options.trust_remote_code)
    described = described_model(options.model) | options.chat_file()
    if reference := next((role for role in models if role != "model"), None):
        described[reference] = described_model(models[reference])
    folder.begin(data=data, model=described, template=bed.template.name, seed=options.seed)
    found, not_run = _attacked(attacks, models, bed, folder, options)
    numbers = {
        name: compared(
            own["model"],
            own.get(reference or ""),
            before=then if ATTACKS[name].asks_as_usual else None,
            confidence=options.confidence,
            seed=options.seed,
        )
        for name, own in found.items()
    }
    result = {
        "robustness": summary(numbers),
        "reference": reference,
        "rows": {name: len(getattr(bed, name)) for name in ("forget", "retain", "holdout")},
        "confidence": options.confidence,
        "seed": options.seed,
        "attacks": numbers,
        "not_run": {name: not_run[name] for name in ATTACKS if name in not_run},
    }
    folder.finish(result)
    sys.stdout.write(f"{audit_table(result)}\nWritten to {folder.path / FILE}\n")


def _chosen(text: str) -> list[str]:
    names = list(ATTACKS) if text == "all" else [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in ATTACKS:
            raise InputError(f"--attacks {name} is not known; one of {', '.join(ATTACKS)}, or all")
    if not names:
        raise InputError(f"--attacks {text} names none; one of {', '.join(ATTACKS)}, or all")
    return [name for name in ATTACKS if name in names]


def _models(options: AuditOptions) -> dict[str, str]:
    """By role: the model and the reference, if there is one."""
    given = {role: getattr(options, role) for role in ("retrained", "never_trained")}
    references = {role: name for role, name in given.items() if name is not None}
    if len(references) > 1:
        raise InputError(
            "--retrained and --never-trained are both given; one reference is enough, --retrained the better"
        )
    return {"model": options.model, **references}


def _bed(options: AuditOptions) -> tuple[Bed, dict[str, Any]]:
    """Rows, tokenizer and template; what the manifest says of the rows."""
    sets = read_sets(options)
    tokenizer = options.tokenizer_of(options.model)
    template = options.template_for(options.template, tokenizer, [row for rows in sets.values() for row in rows])
    sets = without_overlap(sets, tokenizer, template, drop=options.drop_overlap)
    data = {name: describe_data(getattr(options, name), rows, options.reading(name)) for name, rows in sets.items()}
    other: list[Row] = []
    if options.paraphrased is not None:
        other = read_rows(options.paraphrased, role="--paraphrased", **options.reading("forget"))
        _check_paraphrased(sets["forget"], other, options.paraphrased)
        data["paraphrased"] = describe_data(options.paraphrased, other, options.reading("forget"))
    bed = Bed(
        tokenizer,
        template,
        **{name: _bare(rows) for name, rows in sets.items()},
        paraphrased=_bare(other),
        seed=options.seed,
        max_length=options.max_length,
        tokens_per_batch=options.tokens_per_batch,
        show_progress=sys.stderr.isatty(),
    )
    return bed, data


def _bare(rows: Sequence[Row]) -> list[Row]:
    """Without other answers, which no attack asks for."""
    return [replace(row, paraphrased_answer=None, perturbed_answers=()) for row in rows]


def _check_paraphrased(forget: Sequence[Row], other: Sequence[Row], place: str) -> None:
    if len(forget) != len(other):
        raise InputError(
            f"--paraphrased {place} has {len(other)} rows and --forget {len(forget)}; one for each is needed"
        )
    for row, asked in zip(forget, other, strict=True):
        if row.answer.strip() != asked.answer.strip():
            raise InputError(
                f"--paraphrased {asked.origin}: its answer is not that of {row.origin}; only questions differ"
            )


def _by_origin(sets: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
    if not sets.get("forget"):
        raise InputError(
            "--before holds no records of the set forget; evaluate the model before unlearning on --forget"
        )
    found = {str(record.get("origin")): record for record in sets["forget"]}
    if len(found) < len(sets["forget"]):
        raise InputError("--before: its forget records do not say which row each is of (origin); evaluate anew")
    return found


def _attacked(
    attacks: Sequence[str], models: Mapping[str, str], bed: Bed, folder: AuditFolder, options: AuditOptions
) -> tuple[dict[str, dict[str, dict[str, Variant]]], dict[str, str]]:
    """By attack and role what came out; and why which attacks were not run."""
    found: dict[str, dict[str, dict[str, Variant]]] = {}
    not_run = {name: "not asked for (--attacks)" for name in ATTACKS if name not in attacks}
    budget = Budget(options.minutes)
    device = started_processes().device
    loaded: dict[str, Any] = {}
    for name in attacks:
        own: dict[str, dict[str, Variant]] = {}
        try:
            for role, place in models.items():
                forms = folder.kept(name, role)
                if forms is None:
                    if budget.is_spent:
                        raise OutOfTimeError
                    logger.info("%s: %s (%s)", name, ATTACKS[name].description, role.replace("_", "-"))
                    if role not in loaded:
                        loaded[role] = _loaded(place, options)
                    model = loaded[role].to(device)
                    forms = run_attack(ATTACKS[name], model, bed, budget)
                    loaded[role] = model.to("cpu") if len(models) > 1 else model  # two need not fit at once
                    folder.keep(name, role, forms)
                own[role] = forms
        except OutOfTimeError:
            not_run[name] = f"the budget of --minutes {options.minutes:g} was spent"
        except NotApplicableError as error:
            not_run[name] = str(error)
        else:
            found[name] = own
    return found, not_run


def _loaded(name: str, options: AuditOptions) -> Any:
    """A model; an adapter merged, as it would be to be compressed."""
    model: Any = load_model(name, dtype=options.dtype, trust_remote_code=options.trust_remote_code)
    return merge_adapter(model) if hasattr(model, "peft_config") else model
