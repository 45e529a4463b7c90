"""A collator of the user's own: what it makes reaches the model."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from ngdiff.data import AnswerCollator
from ngdiff.errors import InputError
from ngdiff.training import UnlearnConfig, UnlearnTrainer


class WithPositions(AnswerCollator):
    """Positions that begin at 7 and go by twos."""

    def __call__(self, features):
        batch = super().__call__(features)
        length = batch["input_ids"].shape[1]
        batch["position_ids"] = (7 + 2 * torch.arange(length)).expand(len(features), -1).contiguous()
        return batch


class WithTopics(AnswerCollator):
    def __call__(self, features):
        return {**super().__call__(features), "topic": torch.zeros(len(features))}


def trainer_with(collator, tiny_model, rows, folder, **options) -> UnlearnTrainer:
    args = UnlearnConfig(
        output_dir=str(folder), use_cpu=True, per_device_train_batch_size=4, report_to=[], save_strategy="no", **options
    )
    return UnlearnTrainer(tiny_model(), args, rows(8, 1), rows(8, 2), data_collator=collator)


@pytest.mark.parametrize("packing", ["on", "off"])
def test_further_inputs_reach_the_model(tiny_model, random_rows, tmp_path, packing):
    collator = WithPositions(0)
    trainer = trainer_with(
        collator, tiny_model, random_rows, tmp_path, packing=packing, max_steps=1, learning_rate=1e-3, seed=1
    )
    trainer.train()
    model, total, tokens = tiny_model(), 0.0, 0
    for row in random_rows(8, 1):
        batch = collator([row])
        labels = batch.pop("labels")
        with torch.no_grad():
            logits = model(**batch).logits[:, :-1].double()
        total += float(torch.nn.functional.cross_entropy(logits[0], labels[0, 1:], ignore_index=-100, reduction="sum"))
        tokens += int((labels[0, 1:] != -100).sum())
    assert trainer.run_state.initial_losses["forget"] == pytest.approx(total / tokens, rel=1e-5)
    assert trainer.run_state.initial_losses["forget"] != pytest.approx(
        trainer_with(None, tiny_model, random_rows, tmp_path).mean_loss(random_rows(8, 1)), rel=1e-3
    )


def test_an_input_that_the_model_does_not_take_is_named(tiny_model, random_rows, tmp_path):
    trainer = trainer_with(WithTopics(0), tiny_model, random_rows, tmp_path)
    with pytest.raises(InputError, match=r"a batch holds `topic`, which LlamaForCausalLM\.forward does not take"):
        trainer.train()


def test_a_task_makes_its_own_batches(tiny_model, random_rows, tmp_path):
    first = trainer_with(None, tiny_model, random_rows, tmp_path)
    with pytest.raises(InputError, match="a task makes its own batches"):
        UnlearnTrainer(
            LlamaForCausalLM(LlamaConfig(num_hidden_layers=1, hidden_size=8, num_attention_heads=1, vocab_size=64)),
            first.args,
            random_rows(2, 1),
            random_rows(2, 2),
            data_collator=AnswerCollator(0),
            task=first.task,
        )
