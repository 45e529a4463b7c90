"""The losses that a run logs of its evaluation sets: means over tokens."""

import pytest
import torch

from ngdiff.evaluation.eval_mode import eval_mode


def token_mean(trainer, rows) -> float:
    """One row after the other, in float64."""
    total, tokens = 0.0, 0
    with eval_mode(trainer.model):
        for row in rows:
            ids = torch.tensor([row["input_ids"]])
            logits = trainer.model(input_ids=ids).logits[0].double()
            for at in range(1, ids.shape[1]):
                if row["labels"][at] != -100:
                    total -= float(logits[at - 1].log_softmax(-1)[row["labels"][at]])
                    tokens += 1
    return total / tokens


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_the_loss_is_a_mean_over_tokens_however_the_rows_are_batched(make_trainer, random_rows, batch):
    rows = random_rows(7, 5)
    rows[6] = {"input_ids": rows[6]["input_ids"][:4], "labels": [-100, -100, *rows[6]["input_ids"][2:4]]}  # short
    trainer = make_trainer(
        eval_strategy="epoch", eval_dataset={"some": rows}, per_device_eval_batch_size=batch, learning_rate=1e-3
    )
    assert trainer.evaluate()["eval_some_loss"] == pytest.approx(token_mean(trainer, rows), rel=1e-6)
    trainer.train()
    logged = [row["eval_some_loss"] for row in trainer.state.log_history if "eval_some_loss" in row]
    assert logged[-1] == pytest.approx(token_mean(trainer, rows), rel=1e-6)


def test_a_set_given_at_once(make_trainer, random_rows):
    trainer = make_trainer(eval_strategy="epoch")
    rows = random_rows(3, 9)
    metrics = trainer.evaluate(rows)
    assert metrics["eval_loss"] == pytest.approx(token_mean(trainer, rows), rel=1e-6)
    assert metrics["eval_samples_per_second"] > 0
