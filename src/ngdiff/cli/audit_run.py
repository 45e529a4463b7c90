"""An audit, from its rows to its files."""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ngdiff.audit import ATTACKS, Bed, Budget, NotApplicableError, OutOfTimeError, Variant, compared, run_attack
from ngdiff.audit.canaries import with_other_values
from ngdiff.audit.compare import summary
from ngdiff.cli.audit import AuditOptions
from ngdiff.cli.audit_folder import AuditFolder
from ngdiff.cli.audit_table import audit_table
from ngdiff.cli.inputs import described_model
from ngdiff.cli.loading import loaded_model
from ngdiff.cli.overlap import without_overlap
from ngdiff.data import Row
from ngdiff.errors import InputError
from ngdiff.evaluation.processes import started_processes
from ngdiff.file_names import AUDIT_FILE
from ngdiff.manifest import describe_data
from ngdiff.metrics.known import UNKNOWN_LOSS
from ngdiff.modeling import check_same_tokens, merge_adapter
from ngdiff.option import dashed
from ngdiff.paths import user_path
from ngdiff.plurals import number_of
from ngdiff.report.compared_models import check_compared, model_of, writer_of
from ngdiff.scoring import read_sets as read_records
from ngdiff.scoring.reference_notes import hardly_knows
from ngdiff.training.spread import SAMPLE_ROWS, spread

logger = logging.getLogger(__name__)

# A reference with a higher mean extraction strength on the forget rows saw them.
_RECITES = 0.5


def audit(
    options: AuditOptions,
    attacks: Sequence[str],
    models: Mapping[str, str],
    folder: AuditFolder,
    sets: dict[str, list[Row]],
    more: Mapping[str, list[Row]],
    before: Sequence[Path],
) -> None:
    """Attack the models and write the results.

    Args:
        options: Options of the command.
        attacks: Names of the requested attacks.
        models: By role, as typed.
        folder: Checked.
        sets: Rows by set.
        more: Rows of single attacks: `paraphrased`, the forget rows with paraphrased questions, and `canaries`; each
            may be empty.
        before: Files of records of the model before unlearning.

    Raises:
        InputError: unusable rows or models; raised before any long work.
    """
    bed, data = _bed(options, sets, more)
    then = _by_origin(read_records(before), bed.forget) if before else None
    for role, name in list(models.items())[1:]:
        check_same_tokens(bed.tokenizer, name, option=dashed(role), trust_remote_code=options.trust_remote_code)
    described = described_model(options.model) | options.chat_file()
    if reference := next((role for role in models if role != "model"), None):
        described[reference] = described_model(models[reference])
    others = {role: (name, described[role]) for role, name in models.items() if role in described}
    if options.before is not None:
        others["before"] = (options.before, model_of(user_path(options.before)))
    check_compared(described, writer_of(described), others)
    if reference is not None:
        _check_reference(reference, models, bed, options)
    folder.begin(data=data, model=described, template=bed.template.name, seed=options.seed)
    found, not_run, in_time = _attacked(attacks, models, bed, folder, options)
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
    folder.finish(result, in_time=in_time)
    sys.stdout.write(f"{audit_table(result)}\nWritten to {folder.path / AUDIT_FILE}\n")


def _bed(
    options: AuditOptions, sets: dict[str, list[Row]], more: Mapping[str, list[Row]]
) -> tuple[Bed, dict[str, Any]]:
    """Rows, tokenizer and template, and the description of the rows for the manifest."""
    tokenizer = options.tokenizer_of(options.model)
    template = options.template_for(options.template, tokenizer, [row for rows in sets.values() for row in rows])
    sets = without_overlap(sets, tokenizer, template, drop=options.drop_overlap)
    data = {name: describe_data(getattr(options, name), rows, options.reading(name)) for name, rows in sets.items()}
    if options.paraphrased is not None:
        _check_paraphrased(sets["forget"], more["paraphrased"], options.paraphrased)
    for name, rows in more.items():
        if rows:
            data[name] = describe_data(getattr(options, name), rows, options.reading("forget"))
    bed = Bed(
        tokenizer,
        template,
        **{name: _bare(rows) for name, rows in sets.items()},
        paraphrased=_bare(more["paraphrased"]),
        canaries=with_other_values(more["canaries"], options.seed),
        seed=options.seed,
        max_length=options.max_length,
        tokens_per_batch=options.tokens_per_batch,
        show_progress=sys.stderr.isatty(),
    )
    return bed, data


def _bare(rows: Sequence[Row]) -> list[Row]:
    """The rows without paraphrased and perturbed answers, which no attack needs."""
    return [replace(row, paraphrased_answer=None, perturbed_answers=()) for row in rows]


def _check_paraphrased(forget: Sequence[Row], other: Sequence[Row], place: str) -> None:
    if len(forget) != len(other):
        raise InputError(
            f"--paraphrased {place} has {number_of(len(other), 'row')}, but --forget has {len(forget)}; give one for "
            "each"
        )
    for row, asked in zip(forget, other, strict=True):
        if row.answer.strip() != asked.answer.strip():
            raise InputError(
                f"--paraphrased {asked.origin}: its answer is not that of {row.origin}; only questions differ"
            )


def _by_origin(sets: Mapping[str, Sequence[Mapping[str, Any]]], rows: Sequence[Row]) -> dict[str, Mapping[str, Any]]:
    if not sets.get("forget"):
        raise InputError(
            "--before holds no records of the set forget; evaluate the model before unlearning on --forget"
        )
    found = {str(record.get("origin")): record for record in sets["forget"]}
    if len(found) < len(sets["forget"]):
        raise InputError("--before: its forget records do not say which row each is of (origin); evaluate anew")
    places = tuple(row.origin for row in rows)
    if not any(name.startswith(places) for name in found):
        raise InputError(
            f"--before is of other forget rows than --forget, or was given their file by another name: it has "
            f"{next(iter(found))}, and --forget {places[0]}"
        )
    return found


def _attacked(
    attacks: Sequence[str], models: Mapping[str, str], bed: Bed, folder: AuditFolder, options: AuditOptions
) -> tuple[dict[str, dict[str, dict[str, Variant]]], dict[str, str], bool]:
    """Results by attack and role, the reasons for attacks that were not run, and whether all had the time to run."""
    found: dict[str, dict[str, dict[str, Variant]]] = {}
    not_run = {name: "not asked for (--attacks)" for name in ATTACKS if name not in attacks}
    budget, in_time = Budget(options.minutes), True
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
            in_time = False
            not_run[name] = f"the budget of --minutes {options.minutes:g} was spent"
        except NotApplicableError as error:
            not_run[name] = str(error)
        else:
            found[name] = own
    return found, not_run, in_time


def _check_reference(role: str, models: Mapping[str, str], bed: Bed, options: AuditOptions) -> None:
    """Refuse a reference that recites the forget rows: no attack could bring back more than it knows.

    Warns of a retrained one that hardly knows the retain rows.

    Raises:
        InputError: the mean extraction strength is above one half.
    """
    few = [bed.retain[place] for place in spread(len(bed.retain), SAMPLE_ROWS)]
    retain = {"retain": few} if role == "retrained" else {}
    scores = _scores(models[role], {"forget": bed.forget, **retain}, bed, options)
    strength = scores["forget"].get("extraction_strength")
    if strength is not None and strength > _RECITES:
        raise InputError(
            f"{dashed(role)} {models[role]}: it recites the forget rows (extraction strength {strength:.3f}), so "
            "it saw them; give a model that never did"
        )
    if not retain or scores["retain"]["loss"] <= UNKNOWN_LOSS:
        return
    own = _scores(models["model"], retain, bed, options)["retain"]["loss"]
    if hardly_knows(scores["retain"]["loss"], [own]):
        logger.warning(
            "%s %s hardly knows the retain rows (loss %.3f, the model %.3f): a model trained without the forget set "
            "knows them; for one that saw none of the rows there is --never-trained.",
            dashed(role),
            models[role],
            scores["retain"]["loss"],
            own,
        )


def _scores(name: str, sets: Mapping[str, Sequence[Row]], bed: Bed, options: AuditOptions) -> dict[str, Any]:
    """Metrics of a model without generated answers."""
    from ngdiff.evaluation import evaluate

    model = _loaded(name, options).to(started_processes().device)
    return evaluate(model, bed.tokenizer, sets, bed.template, max_length=bed.max_length, generate=False).scores


def _loaded(name: str, options: AuditOptions) -> Any:
    """A model; an adapter is merged, as before compression."""
    model = loaded_model(name, options)
    return merge_adapter(model) if hasattr(model, "peft_config") else model
