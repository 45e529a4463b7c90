"""An average of the weights, kept by a hook of the optimizer's step, as a user would have it."""

import pytest
import torch
from transformers import TrainerCallback


class Average(TrainerCallback):
    """An exponential moving average of the weights by a hook, and what the hook saw beside what a step left."""

    def __init__(self) -> None:
        self.seen, self.left, self.handle = [], [], None

    def on_train_begin(self, args, state, control, model=None, optimizer=None, **kwargs):
        inner = optimizer
        while hasattr(inner, "optimizer"):
            inner = inner.optimizer
        weights = [p for p in model.parameters() if p.requires_grad]
        inner.register_step_post_hook(lambda *_: self.seen.append(torch.cat([p.detach().flatten() for p in weights])))

    def on_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.left.append(torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad]))


@pytest.mark.parametrize("memory", ["exact", "lean"])
def test_a_hook_sees_every_step_once_with_its_final_weights(make_trainer, memory):
    average = Average()
    trainer = make_trainer(num_train_epochs=2, autolr_interval=2, autolr_memory=memory, callbacks=[average])
    trainer.train()
    assert len(average.seen) == len(average.left) == trainer.state.global_step == 6
    for seen, left in zip(average.seen, average.left, strict=True):
        assert torch.equal(seen, left)
