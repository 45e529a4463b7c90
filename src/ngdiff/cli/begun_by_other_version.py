"""What to do where `--resume` is refused and the run was begun by another version of ngdiff."""

from collections.abc import Sequence

import ngdiff
from ngdiff.cli.task_option import value_in
from ngdiff.errors import InputError
from ngdiff.evidence.seal import read_sealed
from ngdiff.file_names import MANIFEST
from ngdiff.paths import user_path


def advice(words: Sequence[str]) -> str:
    """To be put behind the reason: a run goes on with the options that it was begun with, which a version may refuse.

    Args:
        words: The command line.

    Returns:
        Empty without `--resume`, and for a run of this version.
    """
    output = value_in(words, "--output")
    if "--resume" not in words or output is None:
        return ""
    try:
        manifest, _ = read_sealed(user_path(output) / MANIFEST)
    except InputError:  # no path: the reason says so
        return ""
    begun_by = manifest.get("versions", {}).get("ngdiff", ngdiff.__version__)
    if begun_by == ngdiff.__version__:
        return ""
    return (
        f" (the run in {output} was begun by ngdiff {begun_by}, and this is {ngdiff.__version__}: continue it with "
        "that version, or start again with --overwrite in place of --resume)"
    )
