"""What it saves to compute the common beginning of packed rows once, and what their attention costs, on a CPU.

    python benchmarks/beginning.py [--rounds 15]

Ratios of CPU seconds, forward and backward, one thread, fp32, eight rows. First, a pass of a Llama over rows that all
begin with the same tokens, over the same pass with a beginning for each row. Second, attention alone: rows put into
padded blocks (`ngdiff.modeling.row_attention`), over a call for each row.
"""

import argparse

import torch
from step import SHAPES
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from vocabulary import Work, seconds

from ngdiff.data import AnswerCollator
from ngdiff.modeling.answers import forward_answers
from ngdiff.modeling.packing import packed
from ngdiff.modeling.row_attention import attend_by_rows, set_attention

ROWS = 8
LENGTHS = {
    "of 66 to 75 tokens": (70, 66, 72, 68, 71, 69, 75, 67),
    "of 31 to 120 tokens": (31, 45, 52, 60, 66, 74, 90, 120),
}


def passes(shape: str, beginning: int, *, length: int = 70, answer: int = 40) -> dict[str, Work]:
    """Passes of a model over rows of one length."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SHAPES[shape], max_position_embeddings=512))
    set_attention(model, by_rows=True)
    ids = torch.randint(3, 4096, (ROWS, length))
    ids[:, :beginning] = ids[0, :beginning]
    rows = [{"input_ids": row, "labels": [-100] * (length - answer) + row[length - answer :]} for row in ids.tolist()]
    batch = AnswerCollator(0)(rows)

    def work(share_up_to: int) -> None:
        model.zero_grad()
        forward_answers(model, batch, tails=False, packing=True, share_up_to=share_up_to).nll.sum().backward()

    return {"for each row": lambda: work(0), "once": lambda: work(length)}


def attention(lengths: tuple[int, ...], heads: int, width: int) -> dict[str, Work]:
    """Attention over rows of these lengths."""
    given = [
        torch.randn(1, sum(lengths), heads, width).transpose(1, 2).requires_grad_() for _ in range(3)
    ]  # as in models
    rows = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    blocks = packed({name: rows.long() for name in ("input_ids", "attention_mask", "labels")}, share_up_to=0).blocks
    layer = torch.nn.Module()

    def by_calls() -> Tensor:
        rows = zip(*(states.split(lengths, dim=2) for states in given), strict=True)
        return torch.cat([sdpa_attention_forward(layer, *row, None)[0] for row in rows], dim=1)

    def backward(states: Tensor) -> None:
        states.sum().backward()

    return {
        "a call for each row": lambda: backward(by_calls()),
        "blocks": lambda: backward(attend_by_rows(layer, *given, None, row_blocks=blocks)[0]),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print("| shape | common tokens of 70 | with them once / for each row |\n|---|---|---|")
    for shape in ("2M", "33M"):
        for beginning in (2, 5, 10, 30):
            plain, once = seconds(passes(shape, beginning), rounds).values()
            print(f"| {shape} | {beginning} | {once / plain:.3f} |", flush=True)
    print("\n| heads, width | rows | blocks / a call for each row |\n|---|---|---|")
    for heads, width in ((4, 32), (8, 64)):
        for name, lengths in LENGTHS.items():
            calls, blocks = seconds(attention(lengths, heads, width), rounds).values()
            print(f"| {heads}, {width} | {name} | {blocks / calls:.3f} |", flush=True)


if __name__ == "__main__":
    main()
