"""Whether left padding, neighbours in a batch or a cache change what a model says after a prompt."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# (prompts, pad id) -> new tokens (B, STEPS) and their logits (B, STEPS, V), after prompts padded on the left.
Probe = Callable[[Sequence[Sequence[int]], int], tuple[Tensor, Tensor]]

STEPS = 4  # new tokens: the first comes from the pass over the prompt, the others from its cache
_PADS = (0, 7)  # two pad ids: under the attention mask it must not matter which

# Largest difference of logits by precision, relative to their spread. With another pad id all shapes stay the same, so
# that only experts of a mixture may differ by rounding; alone, matrix products sum in another order.
_OTHER_PAD = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
_ALONE = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}

# In half precision a token may go to another expert; a wrong cache changes everything.
_CACHED = {torch.float64: 1e-8, torch.float32: 1e-3, torch.float16: 0.5, torch.bfloat16: 0.5}


@torch.no_grad()
def padding_changes_answers(probe: Probe, prompts: Sequence[Sequence[int]]) -> str:
    """How the shortest prompt, left-padded in a batch with the longest, differs from the same prompt alone; "" if it
    does not.

    Logits of new tokens are compared as long as the tokens before them agree. Models without support for padding let it
    into their recurrent state (RecurrentGemma, MiniMax) or count it as positions (decoders of BART).

    Args:
        probe: New tokens, (B, STEPS), and their logits, (B, STEPS, V), after prompts padded on the left with an id.
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
    """How the shortest prompt, in a batch with another of its length, differs from the same prompt alone; "" if it
    does not.

    RWKV in transformers 5 mixes the rows of a batch when it continues from its state.

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
    """What differs between logits of new tokens generated one by one and those of one pass; "" if nothing.

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
    both = min(len(tokens), len(others))  # with a long prompt the context may leave room for fewer new tokens
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
