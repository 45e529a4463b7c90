"""`--push-to-hub`: the model that a command writes goes to the Hugging Face hub when it is done."""

import shlex
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ngdiff.cli.parsing import option
from ngdiff.cli.processes import is_first
from ngdiff.cli.push import PushOptions, open_repository, push
from ngdiff.errors import InputError, VerdictError
from ngdiff.modeling.folders import adapter_base
from ngdiff.paths import full_path, user_path


@dataclass
class HubOptions:
    """Whether the model is uploaded, and where to. Named as in `transformers.TrainingArguments`."""

    push_to_hub: bool = option(
        False, help="upload the model and its card to the Hugging Face hub when all is done, as ngdiff push does"
    )
    hub_model_id: str | None = option(
        None, help="repository on the hub, NAME or OWNER/NAME (NAME of the output folder)", value="REPOSITORY"
    )
    hub_private_repo: bool = option(True, help="make a private repository; one that is there must be private")


# Options of a single call: a run that is resumed or repeated from its options uploads nothing unless it is told to.
HUB_OPTIONS = frozenset(field.name for field in fields(HubOptions))


class Upload:
    """The upload that a command is to end with; without `--push-to-hub` all methods do nothing.

    Args:
        options: `HubOptions`, and `output`.

    Raises:
        InputError: options that change nothing without `--push-to-hub`.
    """

    def __init__(self, options: Any) -> None:
        self._asked = bool(options.push_to_hub)
        self._folder, self._output = user_path(options.output, "--output"), str(options.output)
        self._repository = options.hub_model_id or full_path(self._folder).name
        self._options = PushOptions(private=options.hub_private_repo)
        if self._asked:
            return
        if options.hub_model_id is not None:
            raise InputError(f"--hub-model-id {options.hub_model_id} changes nothing without --push-to-hub")
        if not options.hub_private_repo:
            raise InputError("--no-hub-private-repo changes nothing without --push-to-hub")

    def refuse_local_base(self, options: Any) -> None:
        """Refuse an adapter that nobody else could load.

        Args:
            options: With `model`, and where the command trains adapters `lora_rank` and `merge_adapter`.

        Raises:
            InputError: its base model is a folder of this machine.
        """
        rank, merge = getattr(options, "lora_rank", 0), getattr(options, "merge_adapter", False)
        below = None if merge else adapter_base(options.model)
        base = options.model if rank and below is None else below
        if self._asked and base is not None and (merge or isinstance(base, Path) or user_path(base).exists()):
            raise InputError(
                f"--push-to-hub: the adapter is for a model in a folder of this machine ({base}), so that nobody else "
                "could load it; upload that model, too, and this one afterwards: ngdiff push OUTPUT REPOSITORY "
                "--base-model NAME"
            )

    def prepare(self) -> None:
        """Make the repository, before long work starts.

        Raises:
            InputError: a name, a token or a repository that cannot be used.
            OSError: the hub cannot be reached, or failed.
        """
        if self._asked and is_first():
            open_repository(self._repository, self._options)

    def carry_out(self) -> None:
        """Upload what was written.

        Raises:
            OSError: it was not uploaded; the message has the command that does it.
        """
        if not (self._asked and is_first()):
            return
        try:
            sys.stdout.write(f"{push(self._folder, self._repository, self._options)}\n")
        except (InputError, VerdictError, OSError) as error:
            private = ["--private"] if self._options.private else []
            again = shlex.join(["ngdiff", "push", self._output, self._repository, *private])
            raise OSError(
                f"all is done and written to {self._output}, but not uploaded ({error}); to upload it: {again}"
            ) from error
