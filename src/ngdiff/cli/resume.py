"""`--resume`: a run continues with the same options, rows, model and tokenizer; a finished run is left unchanged."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ngdiff.checkpoint_places import checkpoints_of
from ngdiff.checksums import LIST, unlike, wrong_files
from ngdiff.cli.other_run import first_difference, said_of
from ngdiff.cli.own_answers import AUTO
from ngdiff.cli.processes import say
from ngdiff.errors import InputError, RuinedModelError
from ngdiff.evidence.read_run import DamagedRunError, read_run
from ngdiff.evidence.verify import without_deleted
from ngdiff.file_names import CONFIG, MANIFEST, RUINED
from ngdiff.option import dashed
from ngdiff.output_folder import is_unused
from ngdiff.own_folders import is_ours
from ngdiff.paths import user_path
from ngdiff.plurals import number_of
from ngdiff.training.checkpoint import RUN_FILES, WholeCheckpoint, newest_whole
from ngdiff.training.first_process import in_first_process

logger = logging.getLogger(__name__)

# Options for the length and the result of a run. A run that ended is done while these are unchanged; else it continues.
_LENGTH = ("num_train_epochs", "max_steps", "stop_loss", "max_retain_loss", "max_loss")

# Options that a resumed run may change. All others determine its result; files are compared by their contents.
_MAY_CHANGE = (
    *(
        "output",
        "model",
        "forget",
        "retain",
        "holdout",
        "protect",
        "drop_overlap",
        "train",
        "tokenizer",
        "trust_remote_code",
    ),
    *("benchmark", "base_model", "before", "dataset", "forget_images", "idk_file"),
    *("check", "attacks", "minutes", "retrained", "never_trained", "paraphrased", "canaries"),
    *(*_LENGTH, "disable_tqdm", "report_to", "run_name", "project"),
    *("logging_strategy", "logging_steps", "logging_first_step", "logging_nan_inf_filter", "log_level"),
    *("save_strategy", "save_steps", "save_total_limit", "keep_checkpoints"),
    *("eval_strategy", "do_eval", "eval_steps", "eval_delay", "eval_on_start", "per_device_eval_batch_size"),
)


# How a step is spread over processes and micro-batches; what matters is the number of rows in the whole step.
_SPREAD = (
    *("per_device_train_batch_size", "gradient_accumulation_steps", "use_cpu", "fsdp", "fsdp_config"),
    *("ddp_backend", "ddp_find_unused_parameters", "ddp_bucket_cap_mb", "ddp_broadcast_buffers", "ddp_timeout"),
)

# Further inputs whose files a manifest holds, by option.
_OTHER_MODELS = ("tokenizer", "chat_template", "base_model", "retrained", "never_trained")


def refuse_other_run(
    output: str,
    settings: Mapping[str, Any],
    *,
    data: Mapping[str, Mapping[str, Any]],
    model: Mapping[str, Any],
    rows_per_step: int | None = None,
    own: Mapping[str, Mapping[str, Any]] | None = None,
    words: Sequence[str] = (),
) -> None:
    """Compare a run with the one that left its config and manifest in `output`.

    A run that was killed while it wrote them did nothing yet: there is nothing to compare, and it starts again.

    Args:
        output: The output folder, as typed.
        settings: Options of the run, from `ngdiff.cli.options.resolved`.
        data: For each role what `describe_data` returned.
        model: What goes into the manifest as the model.
        rows_per_step: Rows of each set in one step, over all processes, for a command that may continue in another
            number of processes.
        own: What goes into the manifest as the user's own.
        words: The command line, as typed.

    Raises:
        InputError: no run is there, a damaged one, or another one; names an option that differs, as typed.
    """
    found = run_in(output)
    if found is None:
        return
    before, manifest = found
    if settings.get("save_only_model") or before.get("save_only_model"):
        raise InputError(
            "--resume: checkpoints of --save-only-model hold no state of the optimizer, without which a run cannot "
            "continue; leave it out and choose another --output"
        )
    rows_then = manifest["extra"].get("rows_per_step")
    same_rows = rows_per_step is not None and rows_per_step == rows_then
    names = {*settings, *before} - {*_MAY_CHANGE, *(_SPREAD if same_rows else ())}
    if said := first_difference(names, before, settings, words_then=manifest["command"], words_now=words):
        raise InputError(f"--resume: the run in {output} {said}; give the same options, or another --output")
    if rows_per_step is not None and rows_then is not None and not same_rows:
        raise InputError(
            f"--resume: a step of the run in {output} has {number_of(rows_then, 'row')} of each set, not "
            f"{rows_per_step}; choose --per-device-train-batch-size and --gradient-accumulation-steps so that their "
            f"product with the number of processes is {rows_then}"
        )
    now = _contents(data, model, own or {})
    then = _contents(manifest["data"], manifest["model"], manifest["own"])
    sets = {*data, *manifest["data"]}
    for name in sorted({**now, **then}, key=sets.__contains__):  # a file that names images is told of before the images
        if now.get(name) == then.get(name):
            continue
        option = _option_of(name, before, settings)
        one, other = before.get(option), settings.get(option)
        if one != other and {None, AUTO} & {one, other}:
            said = said_of(dashed(option), one, other)
            raise InputError(f"--resume: the run in {output} {said}; give the same, or another --output")
        raise InputError(
            f"--resume: {dashed(option)} does not hold what it held when the run in {output} began; give the same, or "
            "another --output"
        )


def _option_of(name: str, *settings: Mapping[str, Any]) -> str:
    """The option by which a set or a file was given: sets of images and of a benchmark come together."""
    own = name.replace("-", "_")
    given = {option for one in settings for option, value in one.items() if value is not None}
    return next((option for option in (own, "dataset", "benchmark") if option in given), own)


def checkpoint_to_resume(output: str, *, resume: bool, with_best: bool = False) -> WholeCheckpoint | None:
    """The newest complete checkpoint, from which a run continues; None for one that starts, also where it was killed
    before its first was whole. All processes must call it.

    Args:
        output: The output folder, as typed.
        resume: Whether `--resume` was given.
        with_best: The best checkpoint will be needed, too (`--load-best-model-at-end`).

    Raises:
        InputError: `resume`, and all checkpoints are damaged, or there is none beside a model: the run had ended.
    """
    if not resume:
        return None
    found = in_first_process(lambda: _newest(output, with_best))
    return None if found is None else WholeCheckpoint(found)


def _newest(output: str, with_best: bool) -> WholeCheckpoint | None:
    folder = user_path(output)
    checkpoint = newest_whole(folder, with_best=with_best)
    if checkpoint is None and any(folder.glob("*.safetensors")):
        raise InputError(
            f"--resume: {output} holds a model and no complete checkpoint, so its run cannot continue "
            "(--keep-checkpoints keeps those of a finished run); start again, with --overwrite or another --output"
        )
    if checkpoint is None:
        logger.info("--resume: %s holds no checkpoint yet; the run starts from its beginning", output)
    return checkpoint


def _had_only_begun(folder: Path) -> bool:
    """Whether the run in a folder was killed before both of its first files were there.

    The manifest comes first, then the options (`ngdiff.manifest.write_manifest`).
    """
    if is_unused(folder):
        return True
    written = any((checkpoint / LIST).is_file() for checkpoint in checkpoints_of(folder))
    return is_ours(folder) and not (folder / CONFIG).exists() and not written


def is_done(output: str, settings: Mapping[str, Any], *, resume: bool) -> bool:
    """`found_done` with `--resume`, in all processes, which must all call it."""
    return resume and in_first_process(lambda: found_done(output, settings))


def found_done(output: str, settings: Mapping[str, Any]) -> bool:
    """Whether the run in `output` is done and all its files are unchanged; prints that. After `refuse_other_run`.

    A run that is to go further than it went is not done. Neither is one whose files are gone or damaged: they are made
    again from its checkpoints.

    Raises:
        RuinedModelError: it is done, and its model is ruined.
    """
    folder = user_path(output)
    found = run_in(output)
    if found is None:
        return False
    before, manifest = found
    if manifest["extra"].get("finished") is not True:
        return False
    if any(settings.get(name) != before.get(name) for name in _LENGTH):
        return False
    if wrong := unlike(folder, without_deleted(folder, manifest["outputs"])):
        logger.warning("The run in %s is done, but what it wrote is no longer whole (%s).", output, "; ".join(wrong))
        return False
    if ruined := manifest["extra"].get("ruined"):
        raise RuinedModelError(
            f"the run in {output} is done, and its model is ruined: {ruined}. It is kept in {folder / RUINED}; choose "
            "another --output and other options"
        )
    say(f"The run in {output} is done: nothing is left to do, and nothing was changed.\n")
    return True


def run_in(output: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Options and manifest of a run; from its newest whole checkpoint where those in its folder are damaged.

    None for one that was killed while it wrote them: it did nothing yet.
    """
    folder = user_path(output, "--output")
    if _had_only_begun(folder):
        return None
    try:
        return read_run(folder)
    except DamagedRunError as error:
        for checkpoint in checkpoints_of(folder):
            if wrong_files(checkpoint):
                continue
            try:
                found = read_run(checkpoint, config=RUN_FILES[CONFIG], manifest=RUN_FILES[MANIFEST])
            except DamagedRunError:  # it was damaged while the run went on
                continue
            logger.warning("%s; its copy in %s is read.", error, checkpoint.name)
            return found
        if not any((folder / name).is_file() for name in RUN_FILES):
            raise InputError(
                f"--resume: {output} holds no {CONFIG} of an earlier run; choose another --output, or leave --resume "
                "out to start a run"
            ) from error
        raise InputError(
            f"--resume: {error}, and no complete checkpoint has a copy; put it back from a copy of yours, or choose "
            "another --output"
        ) from error


def _contents(
    data: Mapping[str, Mapping[str, Any]], model: Mapping[str, Any], own: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    rows = {role: described["rows_sha256"] for role, described in data.items()}
    others = {name.replace("_", "-"): _content(model[name]) for name in _OTHER_MODELS if name in model}
    return {
        "model": _content(model),
        **others,
        **rows,
        **{option: _content(described) for option, described in own.items()},
    }


def _content(model: Mapping[str, Any]) -> Any:
    """Hashes of the files, of an adapter its base's, too; the name of a shape and of what comes from the hub."""
    own = model.get("files") or model.get("sha256") or model.get("source") or model.get("shape")
    return [own, _content(model["base"])] if "base" in model else own
