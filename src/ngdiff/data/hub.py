"""Read a data set of the Hugging Face hub by name."""

import re
from collections.abc import Callable, Sequence

from ngdiff.data.folders import dataset_records
from ngdiff.data.forms import Columns
from ngdiff.data.row_reader import Record
from ngdiff.errors import InputError

_USED = Columns().used
HUB_NAME = re.compile(r"(?P<name>[\w.-]+(?:/[\w.-]+)?)(?::(?P<split>[^/\\]+))?")


def read_hub(name: str, split: str | None, used: Callable[[Sequence[str]], list[str]] = _USED) -> list[Record]:
    """The records of `name`, split `split`.

    `split` is a split or a configuration with a single split (TOFU's `forget10` is one), `CONFIG:SPLIT` names
    both. The slices of `datasets` work, too: `train[:100]`. No code from the hub is run. `used`: see
    `dataset_records`.

    Raises:
        InputError: no such data set, configuration or split, several and none named, or no connection.
    """
    import datasets
    from datasets.exceptions import DatasetsError

    full_name = name if split is None else f"{name}:{split}"
    try:
        config, part = _config_and_split(name, split)
        loaded = datasets.load_dataset(name, config, split=part)
    except (OSError, ValueError, DatasetsError) as error:
        reason = str(error).split("\n", 1)[0]
        raise InputError(
            f"{full_name}: no file or folder of that name here, and it could not be loaded from the hub ({reason})."
        ) from error
    if isinstance(loaded, datasets.DatasetDict):
        names = [str(key) for key in loaded]
        if len(names) > 1:
            raise InputError(f"{full_name}: has several splits ({', '.join(names)}); name one as {full_name}:SPLIT.")
        loaded = loaded[names[0]]
    records = dataset_records(loaded, full_name, used)
    if not records:
        raise InputError(f"{full_name}: holds no rows.")
    return records


def _config_and_split(name: str, split: str | None) -> tuple[str | None, str | None]:
    import datasets

    if split is None:
        return None, None
    # A colon inside brackets belongs to a slice.
    named_both = re.fullmatch(r"([^:\[\]]+):(.+)", split)
    if named_both:
        return named_both[1], named_both[2]
    if split in datasets.get_dataset_config_names(name):
        return split, None
    return None, split
