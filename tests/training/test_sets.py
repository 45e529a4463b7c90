"""How many rows a step may have: no more than there are, so that none is in it many times."""

import pytest

from ngdiff.errors import InputError

END = "so that it would have the same rows many times; "


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"per_device_train_batch_size": 65},
            "--per-device-train-batch-size 65: a step would have 65 rows of each set, but there are 12 to forget and "
            f"20 to retain, {END}64 are the most",
        ),
        (
            {"per_device_train_batch_size": 1000, "gradient_accumulation_steps": 1000, "retain": 70, "forget": 1},
            "--per-device-train-batch-size 1000 and --gradient-accumulation-steps 1000: a step would have 1,000,000 "
            f"rows of each set, but there is 1 to forget and 70 to retain, {END}70 are the most",
        ),
    ],
)
def test_a_step_of_more_rows_than_there_are(make_trainer, options, message):
    with pytest.raises(InputError) as caught:
        make_trainer(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "options", [{"per_device_train_batch_size": 64}, {"per_device_train_batch_size": 70, "forget": 70}]
)
def test_a_step_of_all_rows(make_trainer, options):
    trainer = make_trainer(max_steps=1, learning_rate=1e-4, **options)
    trainer.train()
    assert trainer.state.global_step == 1
