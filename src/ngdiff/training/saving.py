"""A `transformers.Trainer` whose checkpoints hold no secret and can be read like any other file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import Trainer
from transformers.trainer import TRAINING_ARGS_NAME

from ngdiff.files import share_as_usual
from ngdiff.secrets import is_secret


class SavingTrainer(Trainer):
    """What every training run of ngdiff shares about the files of its model."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """The model and its tokenizer, without the pickle of all arguments that Trainer adds, the hub's token included.

        Nothing reads that file: the options are in `config.yaml`.
        """
        with _without_secrets(self.args):
            super()._save(output_dir, state_dict)
        if self.args.should_save:
            folder = Path(output_dir if output_dir is not None else str(self.args.output_dir))
            (folder / TRAINING_ARGS_NAME).unlink(missing_ok=True)
            share_as_usual(folder)


@contextmanager
def _without_secrets(args: Any) -> Iterator[None]:
    """Within, the arguments hold no secret: what is killed half-way leaves none on the disk."""
    hidden = {name: value for name, value in vars(args).items() if is_secret(name) and value is not None}
    try:
        for name in hidden:
            setattr(args, name, None)
        yield
    finally:
        for name, value in hidden.items():
            setattr(args, name, value)
