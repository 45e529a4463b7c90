"""The trainer's own callback: its place, and the epoch that it tells."""

import pytest
from transformers import TrainerCallback

from ngdiff.training.callbacks import RunCallback


class Watch(TrainerCallback):
    """What a callback of the user sees at each event."""

    def __init__(self) -> None:
        self.rates, self.logged, self.losses = [], [], []
        self.trainer = None

    def on_train_begin(self, args, state, control, **kwargs):
        self.losses.append(dict(self.trainer.run_state.initial_losses))

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        self.rates.append(max(group["lr"] for group in optimizer.param_groups))

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "learning_rate" in logs:
            self.logged.append(logs["learning_rate"])


@pytest.mark.parametrize("added", ["at once", "later"])
def test_callbacks_of_the_user_see_what_a_step_chose(make_trainer, added):
    watch = Watch()
    options = {"num_train_epochs": 2, "autolr_interval": 1}
    trainer = make_trainer(**options, callbacks=[watch] if added == "at once" else None)
    if added == "later":
        trainer.add_callback(watch)
    watch.trainer = trainer
    trainer.train()
    assert isinstance(trainer.callback_handler.callbacks[0], RunCallback)
    assert watch.losses[0].keys() == {"forget", "retain"}
    assert len(watch.rates) == trainer.state.global_step == 6
    assert watch.rates == watch.logged  # not the rates before the probes
    assert len(set(watch.rates)) > 1


@pytest.mark.parametrize(
    ("step", "epoch", "expected"),
    [(0, None, 0), (2, 0.666, 0), (3, 1.0, 1), (3, 0.9999999999999999, 1), (6, 1.9999999999999998, 2), (5, 1.667, 1)],
)
def test_an_epoch_is_counted_by_steps_and_not_by_a_sum_of_fractions(make_trainer, step, epoch, expected):
    trainer = make_trainer()  # 3 steps an epoch
    trainer.state.global_step, trainer.state.epoch = step, epoch
    own = trainer.callback_handler.callbacks[0]
    own.on_epoch_begin(trainer.args, trainer.state, trainer.control)
    assert trainer.sampler.epoch == expected
