import pytest
from torch._subclasses.fake_tensor import FakeTensorMode

from ngdiff.data import AnswerCollator
from ngdiff.data.collate import LabelPositions
from ngdiff.errors import InputError
from ngdiff.estimate.fake_model import fake_model
from ngdiff.estimate.fake_run import FakeRun
from ngdiff.estimate.live import LiveBytes
from ngdiff.estimate.rehearsal import RehearsalTrainer, rehearsal_options
from ngdiff.estimate.workload import _Measure, workload
from ngdiff.speed import packing

from .conftest import VOCABULARY


@pytest.fixture
def work_of(config_file, options, rows):
    """`work_of(processes, **options)`: the workload and the trainer."""

    def make(processes: int = 1, *, forget: int = 12, retain: int = 20, protect: int = 0, **more):
        mode = FakeRun(FakeTensorMode())
        model = fake_model(config_file(), mode.fake, tokenizer=range(VOCABULARY))
        config = options(**more)
        with rehearsal_options(config) as args:
            trainer = RehearsalTrainer(
                model,
                args,
                rows(forget, 1),
                rows(retain, 2),
                protect_dataset=rows(protect, 5) if protect else None,
                mode=mode,
                live=LiveBytes(),
            )
            return workload(trainer, config, processes=processes), trainer

    return make


def padded(rows) -> int:
    """Without the last column: the last token of a row predicts nothing."""
    return len(rows) * (max(len(row["input_ids"]) for row in rows) - 1)


def packed(rows) -> int:
    """What the model is given."""
    batch = LabelPositions(AnswerCollator(0))(rows)
    layout = packing.packed(batch, batch["label_positions"], trailing_tokens=False)
    return layout.inputs["input_ids"].numel()


def test_steps(work_of):
    assert work_of(num_train_epochs=3)[0].steps == 9
    assert work_of(num_train_epochs=2.5)[0].steps == 8
    assert work_of(max_steps=5)[0].steps == 5
    assert work_of(num_train_epochs=3, gradient_accumulation_steps=2)[0].steps == 6
    assert work_of(3, num_train_epochs=3)[0].steps == 3  # 12 rows of each side for every step


def test_a_step_of_several_processes_has_no_more_rows_than_there_are(work_of):
    refused = (
        r"--per-device-train-batch-size 4 and --gradient-accumulation-steps 9 and 2 processes: a step would have 72 "
    )
    with pytest.raises(InputError, match=refused):
        work_of(2, gradient_accumulation_steps=9)
    assert work_of(2, gradient_accumulation_steps=8, num_train_epochs=3)[0].steps == 3


@pytest.mark.parametrize(("packing", "size_of"), [("off", padded), ("auto", packed)])
def test_the_pairs_are_batches_of_the_run(work_of, packing, size_of):
    work, trainer = work_of(num_train_epochs=2, packing=packing)
    seen = {"forget": set(), "retain": set()}
    for epoch in range(2):
        trainer.sampler.set_epoch(epoch)
        pairs = list(trainer.sampler)
        for start in range(0, len(pairs), 4):
            forget, retain, *_ = zip(*pairs[start : start + 4], strict=True)
            seen["forget"].add(forget)
            seen["retain"].add(retain)
    forget, retain, *_ = zip(*work.pairs, strict=True)
    assert forget in seen["forget"]
    assert retain in seen["retain"]
    for side, data, chosen in (
        ("forget", trainer.forget_dataset, forget),
        ("retain", trainer.retain_dataset, retain),
    ):
        sizes = [padded([data[i] for i in batch]) for batch in seen[side]]
        assert work.tokens[side] == size_of([data[i] for i in chosen])
        assert work.tokens[side] > 0.9 * max(sizes)  # answer tokens count, too
        assert work.share[side] == pytest.approx(sum(sizes) / len(sizes) / max(sizes), abs=0.1)


def test_a_forget_set_smaller_than_a_batch(work_of):
    work, _ = work_of(forget=2, per_device_train_batch_size=4)
    assert [pair.forget is None for pair in work.pairs] == [False, False, True, True]


@pytest.mark.parametrize(("packing", "tokens"), [("off", 3 * 9), ("auto", 9 + 4)])
def test_what_stands_behind_the_labels_is_not_counted(work_of, packing, tokens):
    _, trainer = work_of(packing=packing)
    measure = _Measure(trainer.model, packed=packing == "auto", trailing_tokens=False)
    # Both have a tail, with a gap in the second; the third has no label but the first token, which nothing predicts.
    labels = [[-100, -100, *range(3, 11), -100, -100], [-100, 3, 5, -100, 4, -100, -100], [5, *[-100] * 19]]
    rows = [{"input_ids": [3] * len(own), "labels": own} for own in labels]
    assert measure.tokens(rows) == tokens
    assert measure.tokens(rows[2:]) == 20
    whole = _Measure(trainer.model, packed=packing == "auto", trailing_tokens=True)
    assert whole.tokens(rows) == (3 * 20 if packing == "off" else 12 + 7 + 20)


def test_tails_count_where_the_model_is_given_them(work_of, monkeypatch):
    short, _ = work_of()
    monkeypatch.setattr("ngdiff.speed.choose.depends_on_length", lambda model: True)
    whole, _ = work_of()
    assert whole.tokens["retain"] == short.tokens["retain"] + 4  # a token of each row


def test_the_longest_protected_row_comes_with_every_fourth_pair(work_of):
    work, trainer = work_of(protect=5)
    lengths = [len(row["input_ids"]) for row in trainer.protect_dataset]
    assert [pair.protect for pair in work.pairs] == [lengths.index(max(lengths)), None, None, None]
