"""Sequences that begin alike, as one row in which each beginning stands once: a tree of tokens.

A question has one prompt and several answers, and answers to it often begin alike. In the tree each token has one place
for all sequences that agree up to it. It sees the tokens on its way from the root, and its position is the length of
that way, as in a sequence of its own. The mask that says so is passed to transformers as it is (a custom mask of four
dimensions, which `sdpa` and `eager` attention take). In a model that also looks elsewhere, such as one with a state,
sequences would see each other; `checks.difference_if_shared` finds that out.

The last token of a sequence predicts nothing and is in the tree only where another sequence goes on from it.

Shape legend: B rows, L tokens of the longest, K <= L positions with logits, V vocabulary, N labels of all sequences.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ngdiff.core.answers import IGNORED
from ngdiff.modeling.head import keeps_logits

Labelled = tuple[Sequence[int], Sequence[int]]  # input ids and labels

# Tokens of a row of short sequences. More of them share more, and attention takes more: each token of a row is compared
# with all others, whether it sees them or not.
_ROW = 256
_LONGEST = 4096  # of a row of long ones: its mask has an entry for each pair of tokens, 64 MB in fp32


@dataclass(frozen=True, slots=True)
class Tree:
    """Sequences as one row.

    Attributes:
        tokens: Of each place.
        depths: How many tokens each sees before it: its position.
        paths: For each sequence the places of all its tokens but the last.
    """

    tokens: list[int]
    depths: list[int]
    paths: list[list[int]]


def tree_of(sequences: Sequence[Sequence[int]]) -> Tree:
    """The tree of some sequences of token ids.

    >>> tree_of([[5, 6, 7, 1], [5, 6, 8, 9, 1]])
    Tree(tokens=[5, 6, 7, 8, 9], depths=[0, 1, 2, 2, 3], paths=[[0, 1, 2], [0, 1, 3, 4]])
    """
    tree = Tree([], [], [])
    places: dict[tuple[int, int], int] = {}  # place of a token after another's place
    for ids in sequences:
        path: list[int] = []
        for depth, token in enumerate(ids[:-1]):
            step = (path[-1] if path else -1, token)
            if step not in places:
                places[step] = len(tree.tokens)
                tree.tokens.append(token)
                tree.depths.append(depth)
            path.append(places[step])
        tree.paths.append(path)
    return tree


@dataclass(frozen=True, slots=True)
class Row:
    """Sequences that share a row.

    Attributes:
        members: Indices of the sequences.
        places: Of their tree.
    """

    members: list[int]
    places: int


def rows_by_beginning(sequences: Sequence[Sequence[int]], most: int) -> list[Row]:
    """Which sequences share a row.

    In alphabetical order sequences follow those with which they have most in common. A row takes the next one as long
    as it stays below a few hundred places, or below twice the length of that sequence.

    Args:
        sequences: Token ids, each of at least two tokens.
        most: Places of a row; a longer sequence is alone.

    Returns:
        the rows; each sequence is in one.

    >>> rows_by_beginning([[5, 6, 7, 1], [4, 1], [5, 6, 8, 9, 1]], 4096)
    [Row(members=[1, 0, 2], places=6)]
    """
    rows: list[Row] = []
    last: Sequence[int] = ()
    for index in sorted(range(len(sequences)), key=lambda i: tuple(sequences[i])):
        ids = sequences[index][:-1]
        more = len(ids) - _common(last, ids)
        if rows and rows[-1].places + more <= min(max(_ROW, 2 * len(ids)), _LONGEST, most):
            rows[-1] = Row([*rows[-1].members, index], rows[-1].places + more)
        else:
            rows.append(Row([index], len(ids)))
        last = ids
    return rows


def shared_logits(model: nn.Module, rows: Sequence[Sequence[Labelled]]) -> tuple[Tensor, Tensor]:
    """Logits of the labels of all sequences: one pass, one tree for each row.

    Args:
        model: In evaluation mode; with `device` and `dtype`.
        rows: Input ids and labels of the sequences of each row. A label at position 0 has nothing before it and is
            left out.

    Returns:
        logits (B * K, V), and for each of the N labels, (N,) int64, in which of them it is predicted.
    """
    trees = [tree_of([ids for ids, _ in row]) for row in rows]
    return tree_logits(model, trees, [[labels for _, labels in row] for row in rows])


def tree_logits(
    model: nn.Module, trees: Sequence[Tree], labels: Sequence[Sequence[Sequence[int]]]
) -> tuple[Tensor, Tensor]:
    """`shared_logits` of trees and the labels of their sequences."""
    predicting = [
        [path[t - 1] for own, path in zip(row, tree.paths, strict=True) for t in _labelled(own)]
        for row, tree in zip(labels, trees, strict=True)
    ]
    width = max(len(tree.tokens) for tree in trees)
    first = min((min(places) for places in predicting if places), default=0)
    options: dict[str, Any] = {"logits_to_keep": width - first} if keeps_logits(model) else {}
    logits = model(**_inputs(model, trees, width), use_cache=False, **options).logits
    kept = logits.shape[1]
    places = [row * kept + place - (width - kept) for row, own in enumerate(predicting) for place in own]
    return logits.flatten(0, 1), torch.tensor(places, dtype=torch.long, device=logits.device)


def _inputs(model: Any, trees: Sequence[Tree], width: int) -> dict[str, Tensor]:
    """`input_ids` and `position_ids` (B, L), and `attention_mask` (B, 1, L, L): 0 where seen, else very low."""
    ids = torch.zeros(len(trees), width, dtype=torch.long)
    positions = torch.zeros_like(ids)
    seen = torch.eye(width, dtype=torch.bool).repeat(len(trees), 1, 1)  # padding sees itself: softmax needs a token
    for row, tree in enumerate(trees):
        ids[row, : len(tree.tokens)] = torch.as_tensor(tree.tokens)
        positions[row, : len(tree.tokens)] = torch.as_tensor(tree.depths)
        for path in tree.paths:
            on = torch.as_tensor(path, dtype=torch.long)
            seen[row, on[:, None], on] = torch.ones(len(path), len(path), dtype=torch.bool).tril()
    device, dtype = model.device, model.dtype
    mask = torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill_(~seen.to(device), torch.finfo(dtype).min)
    return {"input_ids": ids.to(device), "position_ids": positions.to(device), "attention_mask": mask[:, None]}


def _labelled(labels: Sequence[int]) -> list[int]:
    """Positions of the labels that are predicted."""
    return [t for t, label in enumerate(labels) if t > 0 and label != IGNORED]


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many first tokens agree."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
