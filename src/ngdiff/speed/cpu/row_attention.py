"""Attention within each packed row, on machines without a kernel for it.

For rows packed into one long row of S tokens (`packing.py`), transformers makes a mask, and `sdpa` computes all S x S
pairs and discards most of them. Here queries, keys and values are rearranged as padded blocks of rows of similar
lengths, so that B rows of L tokens cost about B L^2. No mask is needed: a token sees nothing that follows it, and so no
padding. It is registered with transformers as an attention implementation, which is `sdpa` for anything not packed.

The layout travels as an argument of the model, which passes it to its layers: a checkpointed layer that is run again in
the backward pass gets it, too.

Shape legend: B rows, L tokens of the longest, S tokens of all in the long row, N heads, D their width.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from ngdiff.modeling.head import text_config
from ngdiff.speed.packing import RowBlocks

NAME = "ngdiff_rows"

# Tokens of the longest packed row.
_longest: ContextVar[int | None] = ContextVar("longest packed row", default=None)


def attend_by_rows(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    row_blocks: RowBlocks | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """`softmax(q k^T / sqrt(D)) v` within each row.

    Args:
        module: The layer that asks.
        query, key, value: (1, N, S, D); key and value may have fewer heads.
        attention_mask: Which pairs count, (1, 1, S, S), as in `sdpa`; None: each token and those before it in its row.
        row_blocks: The layout of packed rows; None: not packed, as `sdpa`.
        options: Those of `sdpa`.

    Returns:
        (1, S, N, D), and no weights.
    """
    if row_blocks is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    if attention_mask is not None:
        return _attend_with_mask(module, query, key, value, attention_mask, row_blocks.lengths, **options), None
    sizes = [rows * length for rows, length in row_blocks.shapes]
    given = (_gather(states[0].transpose(0, 1), row_blocks.tokens).split(sizes) for states in (query, key, value))
    found = []
    for shape, *block in zip(row_blocks.shapes, *given, strict=True):
        own_query, own_key, own_value = (states.unflatten(0, shape).transpose(1, 2) for states in block)
        states, _ = sdpa_attention_forward(module, own_query, own_key, own_value, None, **options)
        found.append(states.flatten(0, 1))
    return _gather(torch.cat(found), row_blocks.places)[None], None


def _attend_with_mask(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    row_lengths: Sequence[int],
    **options: Any,
) -> Tensor:
    """(1, S, N, D), by one call for each row with its part of the mask."""
    rows = zip(*(states.split(row_lengths, dim=2) for states in (query, key, value)), strict=True)
    found, end = [], 0
    for length, (own_query, own_key, own_value) in zip(row_lengths, rows, strict=True):
        own = slice(end, end + length)
        end += length
        mask = attention_mask[..., own, own]
        found.append(sdpa_attention_forward(module, own_query, own_key, own_value, mask, **options)[0])
    return torch.cat(found, dim=1)


def _gather(states: Tensor, places: Tensor) -> Tensor:
    """The states (*, N, D) at some positions.

    As an embedding, whose backward pass adds up the gradients of a position that was taken several times.
    """
    return nn.functional.embedding(places, states.flatten(1)).unflatten(-1, states.shape[1:])


def mask_of_rows(*, local_size: int | None = None, use_vmap: bool = False, **options: Any) -> Tensor | None:
    """The mask of `sdpa`, or none where packed rows need none.

    They need one if a layer's window of `local_size` tokens is shorter than a row, or if the model has its own rules
    for masks (`use_vmap`).

    Args:
        local_size, use_vmap: As for transformers' `sdpa_mask`.
        options: The others that transformers calls a mask function with.
    """
    longest = _longest.get()
    if longest is not None and not use_vmap and (local_size is None or longest <= local_size):
        return None
    return sdpa_mask(local_size=local_size, use_vmap=use_vmap, **options)


AttentionInterface.register(NAME, attend_by_rows)
AttentionMaskInterface.register(NAME, mask_of_rows)


def attention_of(model: nn.Module) -> str | None:
    """Transformers' name of the attention implementation of the model's text layers."""
    return getattr(text_config(model), "_attn_implementation", None)


def uses_row_attention(model: nn.Module) -> bool:
    """Whether the model's attention is row attention."""
    return attention_of(model) == NAME


@contextmanager
def using_row_attention(model: nn.Module) -> Iterator[None]:
    """Within, a model whose attention is `sdpa` uses row attention; other models are left alone.

    Only the configuration of the text layers is changed. It has no effect on a model that reads its configuration only
    when it is built.
    """
    config = text_config(model)
    # transformers would change the attention of sub-configurations, too.
    changes = attention_of(model) == "sdpa" and not config.sub_configs
    if changes:
        config._attn_implementation = NAME
    try:
        yield
    finally:
        if changes:
            config._attn_implementation = "sdpa"


@contextmanager
def packed_rows(row_lengths: Sequence[int]) -> Iterator[None]:
    """Within, masks are made for packed rows of these lengths."""
    token = _longest.set(max(row_lengths))
    try:
        yield
    finally:
        _longest.reset(token)
