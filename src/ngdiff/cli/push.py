"""`ngdiff push`."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ngdiff.cli.finished_model import check_finished, manifest_as_written
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.errors import InputError
from ngdiff.file_names import ADAPTER_CONFIG, CARD, MANIFEST
from ngdiff.paths import user_path
from ngdiff.plurals import number_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_BASE = "base_model_name_or_path"


@dataclass
class PushOptions:
    """Where on the hub, and replacements for the run's own files."""

    private: bool = option(False, help="make a private repository; one that is there must be private")
    revision: str | None = option(
        None, help="branch to upload to; it is made where there is none (main)", value="BRANCH"
    )
    base_model: str | None = option(
        None, help="of an adapter: where on the hub its base model is, in place of the folder it was", value="NAME"
    )
    card: str | None = option(None, help="a card of your own in place of the run's README.md", value="FILE")


PARSER = CommandParser(
    "push",
    "Upload the model that ngdiff unlearn or ngdiff finetune wrote to OUTPUT, and its card, to REPOSITORY on the "
    "Hugging Face hub: those files alone, no texts, no log, no manifest, no checkpoint. The output is verified first. "
    "The token is that of `hf auth login` or HF_TOKEN.",
    {"push": PushOptions},
    required=(),
    words="output repository",
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options or an output that cannot be used, or a repository that the hub refuses.
        VerdictError: a file is not as the run wrote it.
        OSError: the hub cannot be reached, or failed.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: PushOptions = PARSER.build(PushOptions, values)
    if len(values["output repository"]) != 2:
        raise InputError(f"ngdiff push takes OUTPUT and REPOSITORY, and {len(values['output repository'])} were given")
    place, repository = values["output repository"]
    sys.stdout.write(f"{push(user_path(place), repository, options)}\n")


def push(folder: Path, repository: str, options: PushOptions) -> str:
    """Upload the model in a folder, in one commit.

    Args:
        folder: Output of a run.
        repository: Name on the hub.
        options: As of the command.

    Returns:
        What was uploaded where, in a line.

    Raises:
        InputError, VerdictError, OSError: as `run`.
    """
    contents = _contents(folder, _model_files(folder, options.card), options)
    return _upload(repository, contents, options)


def open_repository(repository: str, options: PushOptions) -> str:
    """Make the repository and its branch, unless they are there.

    Returns:
        Its whole name.

    Raises:
        InputError: no such name, no token, or a repository that the hub refuses, or that is public and must not be.
        OSError: the hub cannot be reached, or failed.
    """
    from ngdiff.hub_errors import HUB_ERRORS

    _check_name(repository, "REPOSITORY")
    api = _client()
    try:
        # None leaves the choice to the owner's settings on the hub
        made = api.create_repo(repository, private=options.private or None, exist_ok=True)
        if options.private and not api.repo_info(made.repo_id).private:
            raise InputError(f"--private: {made.repo_id} is there already, and public; nothing was uploaded")
        if options.revision is not None:
            api.create_branch(made.repo_id, branch=options.revision, exist_ok=True)
    except InputError:
        raise
    except HUB_ERRORS as error:
        raise _told(error, repository) from None
    return str(made.repo_id)


def _model_files(folder: Path, card: str | None) -> list[str]:
    """Names of the files of the model, the card among them unless another is given, all as the run wrote them."""
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} holds no {MANIFEST} of a run of ngdiff")
    manifest = manifest_as_written(folder, done="uploaded")
    command = manifest["command"][:2][-1]
    if command not in ("unlearn", "finetune", "merge", "python"):
        raise InputError(f"{folder} is of ngdiff {command}; push takes what unlearn, finetune or merge wrote")
    hints = {CARD: "a card of your own goes to --card FILE"}
    check_finished(folder, manifest, then="push", done="uploaded", hints=hints)
    names = [name for name in manifest["outputs"] if "/" not in name]
    if CARD not in names and card is None:
        raise InputError(f"{folder} has no card ({CARD}); give one with --card FILE")
    return names


def _contents(folder: Path, names: list[str], options: PushOptions) -> dict[str, str | bytes]:
    """For each file name, the path of the file or of its replacement."""
    contents: dict[str, str | bytes] = {name: str(folder / name) for name in names}
    if options.card is not None:
        contents[CARD] = _read(options.card)
    if ADAPTER_CONFIG in contents:
        contents |= _adapter(folder, contents, options)
    elif options.base_model is not None:
        raise InputError(f"--base-model {options.base_model} is for an adapter; {folder} holds a whole model")
    return contents


def _read(card: str) -> bytes:
    try:
        content = user_path(card, "--card").read_bytes()
        content.decode()
    except OSError as error:
        raise InputError(f"--card {card}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"--card {card}: is no text in UTF-8") from error
    return content


def _adapter(folder: Path, contents: Mapping[str, str | bytes], options: PushOptions) -> dict[str, str | bytes]:
    """Config and card of an adapter with a base that others can load."""
    config: dict[str, Any] = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    base = str(config.get(_BASE))
    if options.base_model is None:
        if Path(base).is_absolute() or user_path(base).exists():
            raise InputError(
                f"the adapter in {folder} is for a model in a folder of this machine ({base}), so that nobody else "
                "could load it; upload that model, too, and give its name with --base-model"
            )
        return {}
    _check_name(options.base_model, "--base-model")
    import yaml
    from huggingface_hub import ModelCard

    from ngdiff.hub_errors import hub_reason

    given = contents[CARD]
    try:
        card = ModelCard((given if isinstance(given, bytes) else Path(given).read_bytes()).decode())
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"--card {options.card}: its head is no YAML of a card: {hub_reason(error)}") from error
    head: Any = card.data
    head.base_model, head.base_model_relation = options.base_model, "adapter"
    text = json.dumps({**config, _BASE: options.base_model}, indent=2, ensure_ascii=False) + "\n"
    return {ADAPTER_CONFIG: text.encode(), CARD: str(card).encode()}


def _check_name(name: str, what: str) -> None:
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except ValueError as error:
        raise InputError(f"{what} {name} is no name on the hub ({' '.join(str(error).split())})") from error


def _upload(repository: str, contents: Mapping[str, str | bytes], options: PushOptions) -> str:
    """Upload in one commit; returns the message."""
    from huggingface_hub import CommitOperationAdd

    from ngdiff import __version__
    from ngdiff.hub_errors import HUB_ERRORS

    name = open_repository(repository, options)
    operations = [CommitOperationAdd(file, content) for file, content in contents.items()]
    try:
        commit = _client().create_commit(
            name, operations, commit_message=f"Model written by ngdiff {__version__}", revision=options.revision
        )
    except HUB_ERRORS as error:
        raise _told(error, repository) from None
    return f"{number_of(len(contents), 'file')} uploaded to {commit.repo_url}" + (
        f", branch {options.revision}" if options.revision else ""
    )


def _client() -> "HfApi":
    from huggingface_hub import HfApi, get_token

    from ngdiff import __version__

    if get_token() is None:
        raise InputError("the hub needs a token to write: hf auth login, or HF_TOKEN")
    return HfApi(library_name="ngdiff", library_version=__version__)


def _told(error: Exception, repository: str) -> Exception:
    """An error of the hub's client as one with a message for users."""
    from ngdiff.hub_errors import hub_reason, status_of

    status, reason = status_of(error), hub_reason(error)
    if status is not None and 400 <= status < 500:
        return InputError(f"the hub refuses {repository} ({status}): {reason}")
    return OSError(f"nothing was uploaded to {repository}: {reason}")
