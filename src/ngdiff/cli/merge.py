"""`ngdiff merge`."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ngdiff import __version__
from ngdiff.cli.finished_model import check_finished, manifest_as_written
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.upload import HubOptions, Upload
from ngdiff.errors import InputError
from ngdiff.evidence.seal import SEAL
from ngdiff.file_names import MANIFEST
from ngdiff.output_folder import check_output, prepare_output
from ngdiff.paths import full_path, user_path
from ngdiff.writing import write_text


@dataclass
class MergeOptions(HubOptions):
    """Where the merged model goes."""

    output: str = option(help="folder for the merged model", value="DIR")
    overwrite: bool = option(False, help="replace what an earlier run wrote there")
    dtype: str = option(
        "auto", help="type of the weights: auto for that of the base model, float32, bfloat16, float16", value="TYPE"
    )
    trust_remote_code: bool = option(False, help="run Python code that comes with the model")


PARSER = CommandParser(
    "merge",
    "Merge the adapter in the folder ADAPTER into its base model: a whole model that any program loads, in the type of "
    "the base, with tokenizer, chat template, card and manifest. ngdiff ledger, verify and unlearn --after take it as "
    "they take the adapter.",
    {"output": MergeOptions, "upload": HubOptions},
    required=("output",),
    words="adapter",
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: no adapter is there, a ruined one, or one that cannot be merged.
        VerdictError: a file is not as the run wrote it.
        OSError: the hub cannot be reached, before the work or, when all is written, after it.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: MergeOptions = PARSER.build(MergeOptions, values)
    adapter = PARSER.only_word(values)
    from ngdiff.cli.inputs import described_model, inputs_of
    from ngdiff.cli.loading import load_torch
    from ngdiff.cli.options import check_models
    from ngdiff.modeling import adapter_base

    if adapter_base(adapter) is None:
        folder = user_path(adapter)
        what = f"holds no adapter (adapter_config.json), {_what(folder)}" if folder.is_dir() else "is no folder here"
        raise InputError(f"{adapter} {what}")
    manifest = _manifest_of(user_path(adapter))
    check_models(adapter)
    check_output(options.output, overwrite=options.overwrite, resumable=False, inputs=inputs_of(adapter))
    upload = Upload(options)
    if options.push_to_hub and manifest is None:
        raise InputError(
            f"--push-to-hub: {adapter} has no {MANIFEST} of a run of ngdiff, so that there is no card; merge it, and "
            "give one to ngdiff push with --card FILE"
        )
    upload.prepare()
    load_torch()
    _merge(words, adapter, options, manifest, described_model(adapter))
    sys.stdout.write(f"The merged model is in {options.output}\n")
    upload.carry_out()


def _what(folder: Path) -> str:
    return "but a whole model: nothing to merge" if (folder / "config.json").is_file() else "and no model either"


def _manifest_of(folder: Path) -> dict[str, Any] | None:
    """Of the run that wrote the adapter; None for an adapter of another program."""
    if not (folder / MANIFEST).is_file():
        return None
    manifest = manifest_as_written(folder, done="merged")
    check_finished(folder, manifest, then="merge", done="merged")
    return manifest


def _merge(
    words: list[str],
    adapter: str,
    options: MergeOptions,
    before: Mapping[str, Any] | None,
    described: Mapping[str, Any],
) -> None:
    from ngdiff.cli.loading import loaded_model
    from ngdiff.evidence.read_run import read_run
    from ngdiff.manifest import now, write_manifest
    from ngdiff.modeling import load_tokenizer, merge_adapter, save_model

    tokenizer = load_tokenizer(adapter, trust_remote_code=options.trust_remote_code)
    merged = merge_adapter(loaded_model(adapter, options))
    output = user_path(options.output, "--output")
    prepare_output(options.output, overwrite=options.overwrite, inputs=[adapter])
    known, asked = before or {}, {} if before is None else read_run(adapter)[0]
    content: dict[str, Any] = {
        "command": ["ngdiff", "merge", *words],
        "config": {
            **asked,
            "adapter": adapter,
            "dtype": options.dtype,
            "trust_remote_code": options.trust_remote_code,
        },
        "data": known.get("data", {}),
        "model": described,
        "template": known.get("template"),
        "template_text": known.get("template_text"),
        "seed": known.get("seed", 0),
        "begun": now(),
        "own": known.get("own"),
        "after": known.get("after"),
    }
    extra = dict(known.get("extra", {}))
    if before is not None:
        extra["merged"] = {"place": str(full_path(user_path(adapter))), SEAL: before[SEAL]}
    write_manifest(output, **content, extra={**extra, "finished": False})
    outputs = save_model(merged, tokenizer, output)
    if before is not None:
        from ngdiff.file_names import CARD
        from ngdiff.report.card import model_card

        write_text(output / CARD, model_card(full_path(output).name, outputs, asked, before, __version__))
        outputs = [*outputs, CARD]
    write_manifest(output, **content, extra={**extra, "finished": True}, outputs=outputs)
