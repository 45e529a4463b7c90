"""A run in words: what became of its steps."""

import pytest

from ngdiff.report.method_words import method_in_words

FLOOR = {"before": 0.8, "least": 0.72, "kept_step": 20, "kept": 0.75, "last": 0.5}


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        (FLOOR, "it was 0.500 at the end, and the model is that of step 20, with 0.750."),
        ({**FLOOR, "kept_step": 0}, "it was 0.500 at the end, and below it at every measure."),
        ({**FLOOR, "last": 0.73}, "it was 0.730 at the end."),
    ],
)
def test_a_floor_of_utility(figures, said):
    words = method_in_words({}, {"utility_floor": figures})
    assert f"Utility of a few rows was to stay at or above 0.720; {said}" in words


def test_steps_that_were_undone():
    said = "undone, as the model diverged, and the learning rate was lowered."
    assert f"One of them was {said}" in method_in_words({}, {"undone": [{}]})
    assert f"2 of them were {said}" in method_in_words({}, {"undone": [{}, {}]})


def test_passes_of_a_run_that_ends_where_its_losses_have_arrived():
    options = {"num_train_epochs": 15.0}
    assert "15 passes over the rows to forget." in method_in_words(options, {"stop": "passes"})
    said = "15 passes over the rows to forget at least, until their loss has arrived."
    assert said in method_in_words(options, {"stop": "arrived"})
