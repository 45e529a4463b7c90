"""Whether what a model says after a prompt changes when the prompt is padded in front to the length of another."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# What `probe` gives: logits (rows, steps, V) of new tokens after prompts, the first `pads` of which fill the front.
Probe = Callable[[Sequence[Sequence[int]], int], tuple[Tensor, Tensor]]

STEPS = 4  # new tokens: the first comes of the prompt's own pass, the others of what a cache keeps of it
_PADS = (0, 7)  # two ids that fill the front: behind a mask it must not matter which

# Largest difference of logits by precision, relative to their spread. With another token in front all shapes stay as
# they are, so that only experts that share a batch may differ by rounding; alone, matrix products sum in another order.
_OTHER_PAD = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
_ALONE = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}

# In half precision a token may go to another expert; a cache that is wrong changes all there is.
_CACHED = {torch.float64: 1e-8, torch.float32: 1e-3, torch.float16: 0.5, torch.bfloat16: 0.5}


@torch.no_grad()
def padding_changes_answers(probe: Probe, prompts: Sequence[Sequence[int]]) -> str:
    """What differs between the shortest prompt padded in front, beside the longest, and the same alone; "" for nothing.

    Compared are the logits of the next tokens, as long as the same tokens came before. Models that know nothing of
    padding let it into their recurrent state (RecurrentGemma, MiniMax) or count it as positions (decoders of BART).

    Args:
        probe: New tokens, (B, STEPS), and their logits, (B, STEPS, V), after prompts that are padded in front with an
            id.
        prompts: Of different lengths.
    """
    short, long = min(prompts, key=len), max(prompts, key=len)
    beside, others = (probe([long, short], pad) for pad in _PADS)
    found = _difference(_last(beside), _last(others), _OTHER_PAD)
    if found:
        return f"with another token as padding {found}"
    found = _difference(_last(beside), _last(probe([short], _PADS[0])), _ALONE)
    return f"alone {found}" if found else ""


@torch.no_grad()
def neighbours_change_answers(probe: Probe, prompts: Sequence[Sequence[int]]) -> str:
    """What differs between the shortest prompt beside another of its length and the same alone; "" for nothing.

    RWKV in transformers 5 mixes the rows of a batch when it goes on from its state.

    Args:
        probe: As for `padding_changes_answers`.
        prompts: At least one.
    """
    shortest = min(prompts, key=len)
    own = list(shortest)
    other = [*own[:-1], _PADS[0] if own[-1] != _PADS[0] else _PADS[1]]
    found = _difference(_last(probe([other, own], _PADS[0])), _last(probe([own], _PADS[0])), _ALONE)
    return f"alone {found}" if found else ""


@torch.no_grad()
def cache_changes_answers(cached: Tensor, whole: Tensor) -> str:
    """What differs between logits of new tokens that were made one by one, and those of one pass; "" for nothing.

    Args:
        cached: (n, V), of the tokens as they were generated.
        whole: (n, V), of one pass over the prompt and these tokens.
    """
    same = torch.zeros(len(cached), dtype=torch.long)
    found = _difference((same, cached), (same, whole.to(cached.dtype)), _CACHED)
    return f"{found} from those" if found else ""


def _last(said: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    tokens, logits = said
    return tokens[-1], logits[-1]


def _difference(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], bounds: dict[torch.dtype, float]) -> str:
    (tokens, logits), (others, other_logits) = one, other
    both = min(len(tokens), len(others))  # beside a long prompt the context may leave room for fewer new tokens
    tokens, others = tokens[:both], others[:both]
    agree = (tokens == others).long().cumprod(dim=0)
    steps = min(int(agree.sum()) + 1, len(tokens))  # the logits of the first token that differs count, too
    bound = bounds[logits.dtype]
    for step in range(steps):
        own, theirs = logits[step].double(), other_logits[step].double()
        seen = own.isfinite() & theirs.isfinite()
        spread = float((own[seen].max() - own[seen].min()).clamp(min=1e-30)) if seen.any() else 1.0
        largest = float((own[seen] - theirs[seen]).abs().max()) / spread if seen.any() else 0.0
        if not largest <= bound or not torch.equal(own.isfinite(), theirs.isfinite()):
            return f"logits differ by {largest:.1e} of their spread"
    return ""
