"""`ngdiff audit`."""

from dataclasses import dataclass

from ngdiff.audit import ATTACKS
from ngdiff.cli.audit_folder import AuditFolder
from ngdiff.cli.inputs import inputs_of
from ngdiff.cli.loading import load_torch
from ngdiff.cli.options import SetOptions, check_models, read_sets
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.text_model import TextModelOptions
from ngdiff.data import Row, read_rows
from ngdiff.errors import InputError
from ngdiff.evaluation.batching import TOKENS_PER_BATCH
from ngdiff.metrics import CONFIDENCE
from ngdiff.ranges import COUNT, SEED, Range
from ngdiff.scoring import record_files


@dataclass
class ReferenceOptions:
    """The reference, on which the same attacks run."""

    retrained: str | None = option(None, help="a model trained like this one without the forget set", value="MODEL")
    never_trained: str | None = option(
        None, help="a model that saw none of the rows, such as that before fine-tuning; instead of --retrained",
        value="MODEL",
    )  # fmt: skip
    before: str | None = option(
        None, help="evaluation of the model before unlearning: the unit of D (ngdiff evaluate --output)", value="RUN"
    )
    paraphrased: str | None = option(
        None, help="the forget rows with paraphrased questions, in the same order", value="FILE"
    )
    canaries: str | None = option(
        None,
        help="secrets that were planted in the training data, as rows: their digits, or perturbed_answer, are ranked "
        "against others",
        value="FILE",
    )


@dataclass
class AuditRunOptions:
    """Which attacks, how long, and where results go."""

    output: str = option(help="folder for audit.json and the records, which contain texts", value="DIR")
    overwrite: bool = option(False, help="replace what an earlier audit wrote there")
    resume: bool = option(False, help="continue an audit: finished attacks are not repeated")
    attacks: str = option("all", help=f"attacks, separated by commas: {', '.join(ATTACKS)}; all", value="NAME,...")
    minutes: float | None = option(
        None,
        help="stop after this many minutes; unfinished attacks are listed as not run",
        accepted=Range(0, 1e6, without_least=True),
    )
    template: str = option(
        "auto", help="how a question is put: auto, plain, chat, or a text with {question} and {answer}"
    )
    max_length: int | None = option(
        None, help="longest row in tokens (the model's context)", accepted=Range(2, COUNT.largest)
    )
    tokens_per_batch: int = option(TOKENS_PER_BATCH, help="tokens of a batch, padding included", accepted=COUNT)
    confidence: float = option(
        CONFIDENCE,
        help="level of the intervals, and of the verdict that rows come back",
        accepted=Range(0, 1, without_least=True, without_largest=True),
    )
    seed: int = option(0, help="seed of samples, of the order of rows and of intervals", accepted=SEED)


@dataclass
class AuditOptions(TextModelOptions, SetOptions, ReferenceOptions, AuditRunOptions):
    """All of them."""


PARSER = CommandParser(
    "audit",
    "Does it stay forgotten? Attacks an unlearned model, and with --retrained or --never-trained also a model that "
    "never saw the rows: what the attack itself teaches is recovered from both and does not count. The model is only "
    "read: ngdiff audit MODEL --forget F --retain R --output DIR.",
    {"model": TextModelOptions, "own data": SetOptions, "reference": ReferenceOptions, "audit": AuditRunOptions},
    refused={"task": "ngdiff audit is for language models and their rows alone, and has no --task"},
    required=("model", "forget", "retain", "output"),
    short=(
        *("model", "forget", "retain", "output", "retrained", "never_trained", "holdout", "before", "attacks"),
        *("minutes", "resume"),
    ),
    example="ngdiff audit unlearned --forget forget.jsonl --retain retain.jsonl --retrained kept --output out",
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
    for name, attack in (("paraphrased", "prompts"), ("canaries", "canaries")):
        if (place := getattr(options, name)) is not None and attack not in attacks:
            raise InputError(f"--{name} {place} changes nothing without the attack {attack} (--attacks)")
    models = _models(options)
    before = [] if options.before is None else record_files(options.before, "--before")
    sources = (
        options.forget,
        options.retain,
        options.holdout,
        options.paraphrased,
        options.canaries,
        options.before,
        options.chat_template,
    )
    inputs = [place for name in models.values() for place in inputs_of(name)]
    folder = AuditFolder(words, options, [*inputs, *inputs_of(options.model, *sources)[1:]])
    check_models(**models)
    sets = read_sets(options)
    more = {name: _more_rows(options, name) for name in ("paraphrased", "canaries")}
    load_torch()

    from ngdiff.cli.audit_run import audit

    audit(options, attacks, models, folder, sets, more, before)


def _more_rows(options: AuditOptions, name: str) -> list[Row]:
    """The rows of a set of attacks, read as the forget set; empty if it is not given."""
    place = getattr(options, name)
    return [] if place is None else read_rows(place, role=f"--{name}", **options.reading("forget"))


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
        raise InputError("--retrained and --never-trained are both given; give one reference, preferably --retrained")
    return {"model": options.model, **references}
