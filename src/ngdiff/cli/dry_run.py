"""`ngdiff unlearn --dry-run`: estimate memory and time of a run without running it."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ngdiff.cli.holdout_auto import check_ceiling, those_that_fit
from ngdiff.cli.implied_sets import protect_is_implied
from ngdiff.cli.inputs import inputs_of
from ngdiff.cli.loading import load_torch
from ngdiff.cli.options import read_sets
from ngdiff.cli.overlap import without_overlap
from ngdiff.cli.own_answers import AUTO, longest_rows, roles_of
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.processes import is_first, process_count, say
from ngdiff.data import Row
from ngdiff.errors import InputError
from ngdiff.modeling.folders import has_tokenizer
from ngdiff.modeling.shapes import is_shape
from ngdiff.output_folder import check_output
from ngdiff.paths import user_path

logger = logging.getLogger(__name__)

# Of one of several processes, and of how they are to share the model.
_OF_SEVERAL = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_PREFIXES = ("ACCELERATE_", "FSDP_", "TORCHELASTIC_")

# The most tokens of a tokenizer that is trained on the rows.
_TOKENS = 4096


@dataclass
class DryRunOptions:
    """Whether to run at all."""

    dry_run: bool = option(
        False, help="print the estimated memory and time of the run; no weights are loaded and nothing is written"
    )
    tokenizer: str | None = option(
        None,
        help="with --dry-run and a --model without one, such as a shape: folder or hub name of a tokenizer (one is "
        "trained on the rows)",
        value="DIR_OR_NAME",
    )


def dry_run(parser: CommandParser, options: Any, values: Mapping[str, Any]) -> None:
    """Print the estimate, in the first process.

    Args:
        parser: Of the command.
        options: Those of the run that are not the trainer's.
        values: All that were given.

    Raises:
        InputError: what the run would refuse.
    """
    if not is_first():
        return
    own, made = options.read_from_files(), roles_of(options)
    sets = read_sets(own)
    load_torch()

    from ngdiff.estimate import describe, estimate
    from ngdiff.training import UnlearnConfig

    processes, given = process_count(), dict(values)
    sharded = processes > 1 and bool(given.get("fsdp") or os.environ.get("ACCELERATE_USE_FSDP"))
    if sharded:  # in a single process it would be refused
        given = {name: value for name, value in given.items() if name not in ("fsdp", "fsdp_config")}
    with _alone():
        config: UnlearnConfig = parser.build(
            UnlearnConfig, given, output_dir=str(user_path(options.output, "--output"))
        )
        config.know(base_model=options.base_model is not None, holdout="holdout" in sets)
        check_ceiling(config.ceiling_form, options.holdout)
        inputs = inputs_of(
            *(options.model, options.forget, own.retain, options.own_holdout, own.protect, config.idk_file)
        )
        check_output(options.output, overwrite=options.overwrite, resume=options.resume, inputs=inputs)
        if config.ceiling_form == "holdout" and "holdout" not in sets:
            raise InputError("--forget-ceiling holdout needs --holdout")
        tokenizer = _tokenizer(options, sets)
        rows = [row for role in options.read_roles(sets) for row in sets[role]]
        template = options.template_for(config.template, tokenizer, rows)
        if processes == 1 and protect_is_implied(values, sets["forget"], template):
            made.append("protect")
        sets |= {role: longest_rows() for role in made}
        if options.holdout == AUTO:
            sets["holdout"] = those_that_fit(sets["holdout"], tokenizer, template, config.max_length)
        kept = without_overlap(sets, tokenizer, template, drop=options.drop_overlap)
        logger.info("Rehearsing %s without weights ...", options.model)
        found = estimate(
            options.model,
            config,
            kept["forget"],
            kept["retain"],
            holdout=kept.get("holdout"),
            protect=kept.get("protect"),
            tokenizer=tokenizer,
            template=template,
            dtype=options.dtype,
            peft_config=options.peft_config(),
            merge_adapter=options.merge_adapter,
            processes=processes,
            sharded=sharded,
            trust_remote_code=options.trust_remote_code,
            show_progress=sys.stderr.isatty(),
        )
    say(describe(found))


def _tokenizer(options: Any, sets: Mapping[str, list[Row]]) -> Any:
    if options.tokenizer is not None:
        return options.tokenizer_of(options.tokenizer)
    if not is_shape(options.model) and not _is_config_alone(options.model):
        return options.tokenizer_of(options.model)
    from ngdiff.modeling import train_tokenizer
    from ngdiff.modeling.build import read_config

    kind, size = "is a shape without a tokenizer", _TOKENS
    if not is_shape(options.model):
        config = read_config(user_path(options.model)).get_text_config()
        kind, size = "has no tokenizer", min(_TOKENS, config.vocab_size)
    say(
        f"{options.model} {kind}: one of at most {size} tokens is trained on the rows, which are longer with it than "
        "with a larger one; --tokenizer names another.\n"
    )
    texts = (text for rows in sets.values() for row in rows for text in (row.prompt, row.answer))
    return options.with_chat(train_tokenizer(texts, vocab_size=size))


def _is_config_alone(model: str) -> bool:
    """Whether a model is a folder with a `config.json` and neither weights nor a tokenizer."""
    folder = user_path(model)
    return (folder / "config.json").is_file() and not any(folder.glob("*.safetensors")) and not has_tokenizer(folder)


@contextmanager
def _alone() -> Iterator[None]:
    """Within, this process does not wait for others."""
    hidden = {
        name: os.environ.pop(name) for name in list(os.environ) if name in _OF_SEVERAL or name.startswith(_PREFIXES)
    }
    try:
        yield
    finally:
        os.environ.update(hidden)
