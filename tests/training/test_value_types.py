"""Options given as something that they are not, from Python."""

from pathlib import Path
from typing import Any

import pytest

from ngdiff import UnlearnConfig
from ngdiff.errors import InputError


class Bounded:
    """An objective as an object."""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"forget_objective": Bounded()}, "--forget-objective: a Bounded is not a text or None, such as 'my_module:my"),
        ({"weighting": print}, "--weighting: a builtin_function_or_method is not a text or None, such as 'my_module:"),
        ({"method": None}, "--method: None is not a text"),
        ({"fused_loss": ["cce"]}, "--fused-loss: a list is not a text"),
        ({"num_train_epochs": "many"}, "--num-train-epochs: a str is not a number"),
        ({"max_retain_loss": None}, "--max-retain-loss: None is not a text"),
        ({"idk_file": 3}, "--idk-file: a int is not a text or None"),
        ({"autolr_search": "no"}, "--autolr-search: a str is not True or False"),
    ],
)
def test_a_value_of_another_type_is_refused(given: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        UnlearnConfig(output_dir=str(tmp_path), **given)
    assert str(refused.value).startswith(message)


def test_numbers_and_paths_where_they_have_a_meaning(tmp_path: Path) -> None:
    answers = tmp_path / "idk.txt"
    answers.write_text("I do not know.\n")
    args = UnlearnConfig(output_dir=str(tmp_path), idk_file=answers, max_retain_loss=3, num_train_epochs=2)
    assert (args.idk_file, args.max_retain_loss) == (answers, 3)
