"""An audit and an evaluation are of one model, as far as their manifests say."""

from collections.abc import Sequence
from pathlib import Path

from ngdiff.errors import InputError
from ngdiff.paths import user_path
from ngdiff.report.compared_models import model_of
from ngdiff.report.folders import weights


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


def _weights_of(place: Path) -> set[str]:
    """Hashes of the model's weights; empty where no manifest says them."""
    return set(weights(model_of(place).get("files", {})).values())
