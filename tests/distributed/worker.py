"""One process of a distributed run: `worker.py OUT.pt '{"options": ...}'`. Writes weights and logs of rank 0."""

import json
import os
import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from ngdiff.training import UnlearnConfig, UnlearnTrainer

VOCABULARY = 64


def model() -> LlamaForCausalLM:
    """The same weights in every process."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
        )
    )


def rows(count: int, seed: int) -> list[dict[str, list[int]]]:
    """Rows of different lengths, so that the ranks' batches hold different numbers of tokens."""
    g = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(count):
        length = int(torch.randint(6, 30, (1,), generator=g))
        ids = torch.randint(3, VOCABULARY, (length,), generator=g).tolist()
        made.append({"input_ids": ids, "labels": [-100] * (length // 3) + ids[length // 3 :]})
    return made


def main() -> None:
    """Train and write."""
    output, options = sys.argv[1], json.loads(sys.argv[2])
    args = UnlearnConfig(use_cpu=True, disable_tqdm=True, report_to=[], forget_ceiling="none", **options)
    trainer = UnlearnTrainer(model(), args, rows(10, 1), rows(30, 2))
    resume = os.environ.get("RESUME")
    trainer.train(resume_from_checkpoint=resume)
    if int(os.environ.get("RANK", "0")) == 0:
        torch.save(
            {
                "weights": {name: p.detach() for name, p in trainer.model.named_parameters()},
                "logs": [row for row in trainer.state.log_history if "loss_forget" in row],
            },
            output,
        )
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        sys.stdout.flush()
        # gloo aborts in about three of a hundred interpreter shutdowns, after everything is written.
        os._exit(0)


if __name__ == "__main__":
    main()
