"""The record of a run, written beside its model: manifest and options. Names and hashes, never texts."""

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from ngdiff import __version__
from ngdiff.data.documents import files_named
from ngdiff.data.rows import Row
from ngdiff.evidence.seal import sealed
from ngdiff.file_names import CONFIG, MANIFEST, METRICS_FILE
from ngdiff.hashes import sha256_file, sha256_folder
from ngdiff.paths import absolute_source, existing_path, is_pattern, user_path
from ngdiff.secrets import is_secret, masked
from ngdiff.writing import write_json, write_text

_PACKAGES = ("torch", "transformers", "accelerate", "datasets", "peft", "tokenizers", "numpy")
_MODEL_FILES = (".safetensors", ".json", ".model", ".txt", ".jinja", ".py", ".gguf")
_PLACES = ("origin", "document", "chunk")  # where a row came from and how it is learned, not what it is
_OURS = (MANIFEST, METRICS_FILE)


def write_manifest(
    output: str | Path,
    *,
    command: Sequence[str],
    config: Mapping[str, Any],
    data: Mapping[str, Mapping[str, Any]],
    model: Mapping[str, Any],
    template: str | None,
    template_text: str | None = None,
    seed: int,
    begun: str | None = None,
    extra: Mapping[str, Any] | None = None,
    outputs: Iterable[str] = (),
    own: Mapping[str, Mapping[str, Any]] | None = None,
    after: Mapping[str, Any] | None = None,
) -> Path:
    """Write `manifest.json` and `config.yaml` to a run's output folder, in this order.

    The manifest is the sign by which a folder is known as ours (`ngdiff.own_folders`): it comes before everything else,
    so that a run which is killed at any moment leaves a folder that can be overwritten.

    Args:
        output: The output folder; it exists.
        command: The command line as it was typed; the values of options that hold a secret are replaced.
        config: The resolved options; written to `config.yaml`, their hash to the manifest.
        data: For each role ("forget", "retain", ...) what `describe_data` returned.
        model: What `describe_model` returned.
        template: Name of the template that was used, or the text with its placeholders.
        template_text: All of it: the chat template of a tokenizer, or the text with its placeholders; None where rows
            are shown as they are.
        seed: Of the run.
        begun: When this part of the run began, as `now` says it; by default it is now.
        extra: Whatever else is worth keeping: plain JSON values, without texts of the data.
        outputs: Names of the files below `output` that the run has made, whose hashes are kept.
        own: Code and answers of the user's own, with their hashes, by option.
        after: The run that this one went on from, and the requests before (`ngdiff.evidence.chain`).

    Returns:
        Path of the manifest. `utc` in it is the time of this call.

    Raises:
        WriteError: the folder cannot be written; files that were there are untouched.
    """
    options = yaml.safe_dump(_plain(_without_secrets(config)), sort_keys=True, allow_unicode=True)
    path = Path(output, MANIFEST)
    write_json(
        path,
        sealed(
            {
                **environment(),
                "utc_begun": begun or now(),
                "utc": now(),
                "command": masked(command),
                "config_sha256": hashlib.sha256(options.encode()).hexdigest(),
                "seed": seed,
                "template": template,
                "template_text": template_text,
                "data": _plain(data),
                "model": _plain(model),
                "own": _plain(own or {}),
                "extra": _plain(extra or {}),
                **({} if after is None else {"after": _plain(after)}),
                "outputs": {name: sha256_file(Path(output, name)) for name in sorted(outputs)},
            }
        ),
    )
    write_text(Path(output, CONFIG), options)
    return path


def now() -> str:
    """This second, in UTC, as ISO 8601 writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def environment() -> dict[str, Any]:
    """Versions, platform, device and hardware of this process: entries of a manifest."""
    import torch  # what describes data and models does not need it

    return {
        "versions": {"ngdiff": __version__, "python": platform.python_version()}
        | {name: version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "hardware": _hardware(),
    }


def _hardware() -> dict[str, Any]:
    """What the numbers may depend on, in their last digits, beside versions and options."""
    import torch

    gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "accelerators": [torch.cuda.get_device_name(index) for index in gpus],
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def describe_data(
    source: str | Path | None, rows: Sequence[Row], reading: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Where rows came from and what they were: source, its place, hashes of files, number and hash of rows.

    The hash of the rows covers all of them in order, whatever file format they came in; it is the only one
    for data sets of the hub and data made in memory (`source=None`). `reading`: what was asked for of columns, as
    `ngdiff.data.read_rows` takes it.

    >>> description = describe_data(None, [Row("Who?", "Orla.", origin="a.jsonl, line 1")])
    >>> description["rows"], description == describe_data(None, [Row("Who?", "Orla.")])
    (1, True)
    """
    described: dict[str, Any] = {}
    if source is not None:
        described = describe_source(source)
    return described | {
        "rows": len(rows),
        "rows_sha256": _hash_rows(rows),
        **(reading or {}),
        **_chunks(rows),
        **_kind(rows),
    }


def describe_source(source: str | Path) -> dict[str, Any]:
    """Where data came from: the source as typed, hashes of its files, and its place; a hub name has neither."""
    return {"source": str(source), "files": _hashes(source), **_place(source)}


def describe_model(name: str | Path, *, revision: str | None = None) -> dict[str, Any]:
    """A model by name as typed, with hashes of the files in its folder, or the hub's revision if it is known.

    Folders inside a model folder, and what a run of ngdiff wrote beside the model, are no part of it.
    """
    path = user_path(name)
    if path.is_dir():
        found = sha256_folder(path, pattern="*")
        files = {file: found[file] for file in found if Path(file).suffix in _MODEL_FILES and file not in _OURS}
        return {"source": str(name), "files": files, **_place(name)}
    if path.is_file():
        return {"source": str(name), "files": {path.name: sha256_file(path)}, **_place(name)}
    return {"source": str(name), "revision": revision}


def _place(source: str | Path) -> dict[str, str]:
    """Where a source lies, seen from anywhere; nothing for a name on the hub."""
    place = absolute_source(source)
    return {} if place is None else {"place": place}


def _hashes(source: str | Path) -> dict[str, str]:
    """Hashes of a data source's files; empty for a name on the hub. `PATH:SPLIT` is PATH."""
    path = existing_path(source)
    if path is None:
        return {}
    if is_pattern(source):
        return {file.relative_to(path).as_posix(): sha256_file(file) for file in files_named(source)}
    return sha256_folder(path) if path.is_dir() else {path.name: sha256_file(path)}


def _kind(rows: Sequence[Row]) -> dict[str, str]:
    """What the rows are, which says how a template treats them."""
    return {"kind": rows[0].kind} if rows else {}


def _chunks(rows: Sequence[Row]) -> dict[str, int]:
    """How texts are taken to pieces, and of how many documents they are, where that was decided by row."""
    chunk = next((row.chunk for row in rows if row.chunk is not None), None)
    documents = len({row.document for row in rows if row.document})
    found = {} if chunk is None else {"chunk_tokens": chunk.tokens, "chunk_overlap": chunk.overlap}
    return {**found, **({"documents": documents} if documents else {})}


def _hash_rows(rows: Sequence[Row]) -> str:
    names = [field.name for field in fields(Row) if field.name not in _PLACES]
    digest = hashlib.sha256()
    for row in rows:
        values = {name: getattr(row, name) for name in names if name != "tools" or row.tools is not None}
        digest.update(json.dumps(values, sort_keys=True, default=dict).encode() + b"\n")
    return digest.hexdigest()


def _without_secrets(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if not is_secret(name)}


def _plain(value: Any) -> Any:
    """The same in values that YAML and JSON know; what they do not know (dtype, path) becomes its text."""
    match value:
        case Enum():
            return _plain(value.value)
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            items = [_plain(item) for item in value]
            return sorted(items) if isinstance(value, set | frozenset) else items
        case _:
            return str(value)
