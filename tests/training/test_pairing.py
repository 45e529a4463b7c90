"""Pairs of rows: every row once, full retain batches, and nothing but (seed, epoch, position) decides."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ngdiff.data import AnswerCollator
from ngdiff.tasks.alternates import choices
from ngdiff.training.pairing import (
    PROTECT_EVERY,
    Pair,
    PairCollator,
    PairDataset,
    PairSampler,
    permutation,
    rows_of_stream,
)


def placeholder(row):
    return {"input_ids": row["input_ids"][:2], "labels": [-100] * 2}


@given(forget=st.integers(1, 40), retain=st.integers(1, 60), batch=st.integers(1, 16), epoch=st.integers(0, 5))
def test_every_forget_row_once_and_whole_steps(forget, retain, batch, epoch):
    sampler = PairSampler(forget, retain, batch=batch, seed=3)
    sampler.set_epoch(epoch)
    pairs = list(sampler)
    assert len(pairs) == len(sampler)
    assert len(pairs) % batch == 0
    assert sorted(pair.forget for pair in pairs if pair.forget is not None) == list(range(forget))
    assert len(pairs) - forget < batch
    assert all(0 <= pair.retain < retain for pair in pairs)
    assert pairs == list(sampler), "an epoch is a pure function"


@given(forget=st.integers(1, 20), retain=st.integers(1, 50), batch=st.integers(1, 8))
def test_retain_rows_are_used_evenly_across_epochs(forget, retain, batch):
    sampler = PairSampler(forget, retain, batch=batch, seed=0)
    used: Counter[int] = Counter()
    for epoch in range(6):
        sampler.set_epoch(epoch)
        used.update(pair.retain for pair in sampler)
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


def test_each_epoch_draws_its_own_alternative_answers():
    sampler = PairSampler(20, 20, batch=4, seed=3, alternates=10)
    drawn = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        of_row = {pair.forget: pair.choice for pair in sampler}
        assert [of_row[row] for row in range(20)] == choices(20, 10, seed=3, epoch=epoch)
        drawn.append(of_row)
    assert drawn[0] != drawn[1]


def test_the_stream_can_be_entered_anywhere():
    whole = rows_of_stream(0, 50, 7, seed=1)
    assert rows_of_stream(13, 20, 7, seed=1) == whole[13:33]


def lengths_of(rows: int, seed: int) -> list[int]:
    """Spread as those of questions and answers: 66 tokens, give or take 22."""
    drawn = torch.randn(rows, generator=torch.Generator().manual_seed(seed)) * 22 + 66
    return drawn.clamp(min=5).int().tolist()


def padding(rows: list[int], lengths: list[int], batch: int) -> float:
    """Padded tokens over tokens."""
    batches = [[lengths[row] for row in rows[start : start + batch]] for start in range(0, len(rows), batch)]
    return sum(max(b) * len(b) for b in batches) / sum(map(sum, batches))


@settings(deadline=None)  # no timed assertion: four epochs take a while on a busy machine
@given(
    forget=st.integers(1, 60),
    retain=st.integers(1, 90),
    batch=st.integers(1, 16),
    seed=st.integers(0, 3),
    lengths_seed=st.integers(0, 3),
)
def test_grouped_by_length_every_row_is_still_used_once(forget, retain, batch, seed, lengths_seed):
    lengths = lengths_of(forget, lengths_seed), lengths_of(retain, lengths_seed + 10)
    sampler = PairSampler(forget, retain, batch=batch, seed=seed, lengths=lengths)
    used: Counter[int] = Counter()
    stream: list[int] = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        pairs = list(sampler)
        assert len(pairs) == len(sampler)
        assert sorted(pair.forget for pair in pairs[:forget]) == list(range(forget)), "the last step alone is not full"
        assert all(pair.forget is None for pair in pairs[forget:])
        assert pairs == list(sampler), "an epoch is a pure function"
        stream += [pair.retain for pair in pairs]
        used.update(pair.retain for pair in pairs)
    assert max(used[r] for r in range(retain)) - min(used[r] for r in range(retain)) <= 1
    passes = [stream[start : start + retain] for start in range(0, len(stream) - retain + 1, retain)]
    assert all(sorted(one) == list(range(retain)) for one in passes), "one pass after the other"
    # Entered anywhere, as a run that resumes and a probe do: step k's rows are a function of k.
    assert all(
        sampler.retain_rows(k * batch, batch) == stream[k * batch : (k + 1) * batch]
        for k in range(len(stream) // batch)
    )


@pytest.mark.parametrize("retain", [400, 403])  # of a size that fills steps, and of one where passes end within one
@pytest.mark.parametrize(("batch", "most"), [(8, 0.4), (32, 0.6)])  # 200 rows are only six steps of 32
def test_grouping_takes_most_of_the_padding_and_still_shuffles(retain, batch, most):
    lengths = lengths_of(200, 1), lengths_of(retain, 2)
    orders = {}
    for name, known in (("random", None), ("grouped", lengths)):
        sampler = PairSampler(200, retain, batch=batch, seed=5, lengths=known)
        pairs = []
        for epoch in range(6):  # three passes over the retain rows
            sampler.set_epoch(epoch)
            pairs.append([pair for pair in sampler if pair.forget is not None])
        orders[name] = pairs
    for side in (0, 1):
        rows = {name: [pair[side] for epoch in pairs for pair in epoch] for name, pairs in orders.items()}
        waste = {name: padding(order, lengths[side], batch) - 1 for name, order in rows.items()}
        assert waste["grouped"] < most * waste["random"]
    first, second = ([pair.forget for pair in epoch] for epoch in orders["grouped"][:2])
    together = [
        {frozenset((a, b)) for start in range(0, 200, batch) for a in order[start : start + batch]
         for b in order[start : start + batch] if a != b}
        for order in (first, second)
    ]  # fmt: skip
    assert len(together[0] & together[1]) < most * len(together[0]), "other rows share a step in each pass"
    means = torch.tensor([sum(lengths[0][f] for f in first[s : s + batch]) / batch for s in range(0, 192, batch)])
    assert (means.diff() < 0).any(), "steps are not in order of length"
    assert (means.diff() > 0).any(), "steps are not in order of length"


def test_a_step_is_the_same_however_it_is_split(make_trainer):
    """Several micro-batches or processes share one step: pairs depend on the rows of a whole step alone."""
    rows = {"forget": 40, "retain": 50}
    whole = make_trainer(per_device_train_batch_size=8, **rows)
    split = make_trainer(per_device_train_batch_size=2, gradient_accumulation_steps=4, **rows)
    assert list(whole.sampler) == list(split.sampler)
    at_random = make_trainer(per_device_train_batch_size=8, train_sampling_strategy="random", **rows)
    assert list(whole.sampler) != list(at_random.sampler)
    lengths = [len(row["input_ids"]) for row in whole.forget_dataset]
    first = [lengths[pair.forget] for pair in list(whole.sampler)[:8]]
    assert max(first) - min(first) < max(lengths) - min(lengths)


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
    pairs = [Pair(0 if forget_rows > 0 else None, 1), Pair(0 if forget_rows > 1 else None, 0)]
    batch = PairCollator(AnswerCollator(0), placeholder)([dataset[pair] for pair in pairs])
    assert batch["retain"]["input_ids"].shape == (2, 5)
    if forget_rows:
        assert batch["forget"]["input_ids"].shape == (forget_rows, 3)
    else:  # a stand-in without a label
        assert (batch["forget"]["labels"] == -100).all()
        assert batch["forget"]["input_ids"].shape[0] == 1


@given(protect=st.integers(1, 9), forget=st.integers(1, 23), batch=st.integers(1, 9))
def test_every_fourth_pair_of_a_run_brings_a_protected_row_and_all_come_equally_often(protect, forget, batch):
    plain, sampler = (PairSampler(forget, 7, batch=batch, seed=2, protect=rows) for rows in (0, protect))
    found = []
    for epoch in range(4):
        plain.set_epoch(epoch)
        sampler.set_epoch(epoch)
        pairs = list(sampler)
        assert [pair._replace(protect=None) for pair in pairs] == list(plain), "the other rows are the same"
        found += [pair.protect for pair in pairs]
    assert all((row is None) == bool(place % PROTECT_EVERY) for place, row in enumerate(found))
    counts = Counter(row for row in found if row is not None)
    assert max(counts.values()) - min(counts[row] for row in range(protect)) <= 1


def test_protected_rows_lie_in_the_retain_batch_and_a_placeholder_where_there_are_none():
    rows = [{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}]
    dataset, collator = (
        PairDataset(rows, rows, protect=rows),
        PairCollator(AnswerCollator(0), placeholder, protect=True),
    )
    batch = collator([dataset[Pair(0, 0, protect=0)], dataset[Pair(0, 0)]])
    assert batch["retain"]["protect"]["labels"].tolist() == [[-100, 6, 7]]
    assert batch["retain"]["protect"]["row_id"].tolist() == [0]
    assert (collator([dataset[Pair(0, 0)]])["retain"]["protect"]["labels"] == -100).all()
    assert "protect" not in PairCollator(AnswerCollator(0), placeholder)([dataset[Pair(0, 0)]])["retain"]


def test_collator_leaves_evaluation_batches_alone():
    rows = [{"input_ids": [5, 6], "labels": [5, 6]}]
    assert PairCollator(AnswerCollator(0), placeholder)(rows)["input_ids"].tolist() == [[5, 6]]
