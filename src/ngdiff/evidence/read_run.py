"""Read and validate the record of a run, its manifest and options. Needs no torch."""

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from ngdiff.errors import InputError
from ngdiff.evidence.seal import sealed
from ngdiff.evidence.shape import fault_of_shape
from ngdiff.file_names import CONFIG, MANIFEST
from ngdiff.paths import check_regular


class DamagedRunError(InputError):
    """`config.yaml` or `manifest.json` of a run is missing or was changed."""


def read_run(
    folder: str | Path, *, config: str = CONFIG, manifest: str = MANIFEST
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options and the manifest that `write_manifest` wrote.

    Args:
        folder: Their folder.
        config, manifest: Their names.

    Raises:
        DamagedRunError: one of them is missing or was changed; the message names it.
    """
    try:
        for name in (manifest, config):
            check_regular(Path(folder, name))
        content = json.loads(Path(folder, manifest).read_text(encoding="utf-8"))
        options = Path(folder, config).read_bytes()
    except OSError as error:
        raise DamagedRunError(f"{error.filename} is missing or cannot be read ({error.strerror})") from error
    except InputError as error:
        raise DamagedRunError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise DamagedRunError(f"{Path(folder, manifest)} is damaged: it is not JSON") from error
    if not isinstance(content, dict) or content != sealed(content):
        raise DamagedRunError(f"{Path(folder, manifest)} is damaged: it is not as it was written (its sha256 differs)")
    if fault := fault_of_shape(content):
        raise DamagedRunError(f"{Path(folder, manifest)}: {fault}")
    expected, found = content["config_sha256"], hashlib.sha256(options).hexdigest()
    if found != expected:
        raise DamagedRunError(f"{Path(folder, config)} is damaged: expected SHA-256 {expected}, found {found}")
    try:
        read = yaml.safe_load(options)
    except (yaml.YAMLError, RecursionError) as error:
        raise DamagedRunError(f"{Path(folder, config)} is damaged: it is not YAML") from error
    if not isinstance(read, dict):
        raise DamagedRunError(f"{Path(folder, config)} is damaged: it holds no options by name")
    return read, content
