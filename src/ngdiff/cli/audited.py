"""An audit and an evaluation are of one model, and two evaluations of two, as far as their manifests say."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ngdiff.errors import InputError
from ngdiff.evidence.same_model import refuse_same_model
from ngdiff.evidence.seal import read_sealed
from ngdiff.file_names import MANIFEST
from ngdiff.paths import user_path

_WEIGHTS = ".safetensors"


def check_audited(audit: str, records: Sequence[str]) -> None:
    """Compare the hashes of the weights that were attacked with those that were evaluated.

    Args:
        audit: Folder of the audit, or its file.
        records: Folders of the evaluation, or its files.

    Raises:
        InputError: they differ.
    """
    attacked = _weights_of(user_path(audit, "--audit"))
    for source in records:
        evaluated = _weights_of(user_path(source))
        if attacked and evaluated and attacked != evaluated:
            raise InputError(f"--audit {audit} attacks other weights than {source} evaluates; audit that model")


def check_not_itself(option: str, reference: str, records: Sequence[str]) -> None:
    """Compare the weights of an evaluation with those of its reference.

    Args:
        option: That names the reference, `--retrained` or `--base`.
        reference: Folder of an evaluation, or one of its files.
        records: Folders of the evaluation, or its files.

    Raises:
        InputError: they are the same.
    """
    other = _model_of(user_path(reference, option))
    for source in records:
        refuse_same_model(f"{option} {reference}", other, _model_of(user_path(source)))


def _weights_of(place: Path) -> set[str]:
    """Hashes of the model's weights; empty where no manifest says them."""
    return {digest for name, digest in _model_of(place).get("files", {}).items() if name.endswith(_WEIGHTS)}


def _model_of(place: Path) -> Mapping[str, Any]:
    """The model in the manifest of an evaluation or an audit; empty where there is none."""
    folders = [place, place.parent, place.parent.parent] if place.is_file() else [place]
    for folder in folders:
        content, fault = read_sealed(folder / MANIFEST)
        if not fault:
            return content["model"] or {}
    return {}
