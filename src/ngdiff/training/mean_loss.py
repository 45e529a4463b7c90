"""Mean cross-entropy a token of batches and of sets of rows, in any number of processes, without gradients."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.training.outcome import spread
from ngdiff.training.sharding import fresh_weights


def loss_of_batches(trainer: Any, model: nn.Module, batches: Sequence[Mapping[str, Any]]) -> float:
    """Mean cross-entropy a token over the batches of all processes, in nats: what the paper's `phi` measures.

    Args:
        trainer: An `UnlearnTrainer`.
        model: As it is trained, in evaluation mode.
        batches: Of this process.
    """
    nll_sum, tokens = 0.0, 0
    with fresh_weights(model):
        for batch in batches:
            with trainer.observe("loss"):
                inputs = trainer._prepare_inputs(dict(batch))
                with trainer.compute_loss_context_manager():
                    nll: Tensor = trainer.task.forward(model, inputs).nll
                nll_sum += float(nll.cpu().double().sum())  # on the host: some accelerators have no fp64
                tokens += nll.numel()
    if trainer.args.world_size > 1:
        here = torch.tensor([nll_sum, tokens], dtype=torch.float32, device=trainer.args.device)
        nll_sum, tokens = trainer.global_sum(here).tolist()
    return nll_sum / max(tokens, 1)


def loss_of_rows(trainer: Any, dataset: Sequence[Mapping[str, Any]], rows: int | None = None) -> float:
    """Mean cross-entropy a token, in nats, over `rows` rows, evenly spread (all by default).

    Args:
        trainer: An `UnlearnTrainer`.
        dataset: Encoded rows; the processes share them.
        rows: How many are looked at.
    """
    args, task = trainer.args, trainer.task
    size = args.per_device_eval_batch_size
    chosen = [dataset[i] for i in spread(len(dataset), rows or len(dataset))]
    batches = [chosen[start : start + size] for start in range(0, len(chosen), size)]
    # As many passes in every process, as a sharded model needs; those that are left over count nothing.
    batches += [[task.stand_in(chosen[0])]] * (-len(batches) % args.world_size)
    own = [task.collate(batch) for batch in batches[args.process_index :: args.world_size]]
    model = cast(nn.Module, trainer.model)
    with eval_mode(model):
        return float(trainer.retain_loss(model, own))
