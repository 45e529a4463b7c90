"""Pairs of rows: every row once, full retain batches, and nothing but (seed, epoch, position) decides."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.data import AnswerCollator
from ngdiff.training.pairing import PairCollator, PairDataset, PairSampler, permutation, retain_rows


@given(forget=st.integers(1, 40), retain=st.integers(1, 60), batch=st.integers(1, 16), epoch=st.integers(0, 5))
def test_every_forget_row_once_and_whole_steps(forget, retain, batch, epoch):
    sampler = PairSampler(forget, retain, batch=batch, seed=3)
    sampler.set_epoch(epoch)
    pairs = list(sampler)
    assert len(pairs) == len(sampler)
    assert len(pairs) % batch == 0
    assert sorted(f for f, _ in pairs if f is not None) == list(range(forget))
    assert len(pairs) - forget < batch
    assert all(0 <= r < retain for _, r in pairs)
    assert pairs == list(sampler), "an epoch is a pure function"


@given(forget=st.integers(1, 20), retain=st.integers(1, 50), batch=st.integers(1, 8))
def test_retain_rows_are_used_evenly_across_epochs(forget, retain, batch):
    sampler = PairSampler(forget, retain, batch=batch, seed=0)
    used: Counter[int] = Counter()
    for epoch in range(6):
        sampler.set_epoch(epoch)
        used.update(r for _, r in sampler)
    counts = [used[r] for r in range(retain)]
    assert max(counts) - min(counts) <= 1


def test_seeds_epochs_and_streams_differ():
    orders = {
        tuple(permutation(30, seed=seed, stream=stream, cycle=cycle))
        for seed in (0, 1)
        for stream in (0, 1)
        for cycle in (0, 1)
    }
    assert len(orders) == 8


def test_the_stream_can_be_entered_anywhere():
    whole = retain_rows(0, 50, 7, seed=1)
    assert retain_rows(13, 20, 7, seed=1) == whole[13:33]


def test_global_random_state_has_no_part_in_it():
    first = list(PairSampler(10, 10, batch=4, seed=0))
    torch.manual_seed(123)
    assert first == list(PairSampler(10, 10, batch=4, seed=0))


@pytest.mark.parametrize("forget_rows", [0, 1, 2])
def test_collator_pads_each_side_to_its_own_longest(forget_rows):
    rows = [
        {"input_ids": [5, 6, 7], "labels": [-100, 6, 7]},
        {"input_ids": [5, 6, 7, 8, 9], "labels": [5, 6, 7, 8, 9]},
    ]
    dataset = PairDataset(rows, rows)
    pairs = [(0 if forget_rows > 0 else None, 1), (0 if forget_rows > 1 else None, 0)]
    batch = PairCollator(AnswerCollator(0))([dataset[pair] for pair in pairs])
    assert batch["retain"]["input_ids"].shape == (2, 5)
    if forget_rows:
        assert batch["forget"]["input_ids"].shape == (forget_rows, 3)
    else:  # a stand-in without a label
        assert (batch["forget"]["labels"] == -100).all()
        assert batch["forget"]["input_ids"].shape[0] == 1


def test_collator_leaves_evaluation_batches_alone():
    rows = [{"input_ids": [5, 6], "labels": [5, 6]}]
    assert PairCollator(AnswerCollator(0))(rows)["input_ids"].tolist() == [[5, 6]]
