"""`ngdiff clean`."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from ngdiff.cli.parsing import CommandParser, option
from ngdiff.errors import InputError
from ngdiff.evidence.read_run import read_run
from ngdiff.paths import user_path


@dataclass
class CleanOptions:
    """What becomes of what is found."""

    dry_run: bool = option(False, help="print what would be removed, and remove nothing")


PARSER = CommandParser(
    "clean",
    "Remove what only --resume needs from the folders of runs that are done: checkpoints, and what other models said "
    "of the rows. Models, evidence and private/ stay. Runs do so at their end, unless --keep-checkpoints is given.",
    {"removal": CleanOptions},
    required=(),
    words="folders",
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: a folder that holds no run of `unlearn` or `finetune`, or one that is not done; nothing is removed.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: CleanOptions = PARSER.build(CleanOptions, values)
    from ngdiff.training.checkpoint import resumable_parts

    found = {name: resumable_parts(_done(name)) for name in values["folders"]}
    for name, parts in found.items():
        size = sum(file.stat().st_size for part in parts for file in part.rglob("*") if file.is_file())
        for part in parts if not options.dry_run else ():
            shutil.rmtree(part)
        verb = "would be removed" if options.dry_run else "removed"
        listed = f" ({', '.join(part.name for part in parts)})" if parts else ""
        sys.stdout.write(f"{name}: {size / 1e6:.1f} MB {verb}{listed}\n")


def _done(name: str) -> Path:
    folder = user_path(name)
    _, manifest = read_run(folder)
    extra = manifest["extra"]
    if extra.get("finished") is not True:
        raise InputError(f"{name}: its run is not done, and --resume needs its checkpoints; nothing is removed")
    if extra.get("ruined"):
        raise InputError(
            f"{name}: its model is ruined, and its checkpoints may serve; delete the folder if they do not"
        )
    return folder
