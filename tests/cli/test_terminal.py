"""What a message and a progress bar look like on standard error."""

import logging
import sys
import warnings

import pytest
from tqdm import tqdm

from ngdiff.cli.terminal import LineHandler, hear_messages


def test_a_message_has_a_line_of_its_own_beside_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    handler = LineHandler()
    with tqdm(total=2, file=sys.stderr) as bar:
        bar.update(1)
        handler.emit(logging.LogRecord("ngdiff", logging.WARNING, "", 0, "look %s", ("here",), None))
    lines = capsys.readouterr().err.replace("\r", "\n").split("\n")
    assert "look here" in lines


def test_a_warning_that_no_user_can_act_on_is_left_out() -> None:
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("error")
        hear_messages()
        warnings.warn("`is_gradient_checkpointing` is deprecated and will be removed", FutureWarning, stacklevel=1)
