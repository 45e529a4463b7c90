"""Options that change nothing beside the method or the learning rate: a warning names them."""

import pytest

from ngdiff.training import UnlearnConfig
from ngdiff.training.idle import warn_of_idle


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"idk_file": "FILE"}, ["--idk-file FILE changes nothing: the forget objective ce teaches no other answers."]),
        (
            {"learning_rate": 1e-4, "autolr_interval": 5, "autolr_search": False},
            [
                "--autolr-interval 5 changes nothing with --learning-rate 0.0001: nothing is probed.",
                "--autolr-search False changes nothing with --learning-rate 0.0001: nothing is probed.",
            ],
        ),
        ({"autolr_interval": 5}, []),
        ({"learning_rate": 1e-4}, []),
        ({"learning_rate": 1e-4, "preset": "paper"}, []),
    ],
)
def test_what_is_said(make_trainer, tmp_path, caplog, options, said):
    file = tmp_path / "idk.txt"
    file.write_text("I do not know.\n")
    given = {name: str(file) if value == "FILE" else value for name, value in options.items()}
    make_trainer(**given)
    found = [message for message in caplog.messages if "changes nothing" in message]
    assert found == [message.replace("FILE", str(file)) for message in said]


@pytest.mark.parametrize("method", ["idk", "dpo", "altpo"])
def test_answers_that_are_taught_are_no_idle_option(tmp_path, caplog, method):
    file = tmp_path / "idk.txt"
    file.write_text("I do not know.\n")
    warn_of_idle(UnlearnConfig(output_dir=str(tmp_path), use_cpu=True, method=method, idk_file=str(file)))
    assert not caplog.messages
