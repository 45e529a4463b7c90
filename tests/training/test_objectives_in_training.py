"""Objectives in the step of two gradients: references, other answers, hidden states, resume."""

import dataclasses
import gc
import json
import math
import shutil

import pytest
import torch
from peft import LoraConfig
from transformers import TrainerCallback

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.core.answers import Reference
from ngdiff.data import AnswerCollator
from ngdiff.errors import InputError
from ngdiff.modeling import train_tokenizer
from ngdiff.modeling.plain_forward import forward_answers
from ngdiff.objectives import FORGET_OBJECTIVES, RETAIN_OBJECTIVES
from ngdiff.tasks.alternates import choices

from .runs import flat, steps

collate = AnswerCollator(0)
WITH_ROWS_OF_TEXT = ("idk", "dpo", "altpo")


@pytest.fixture
def text(tiny_model):
    """Rows of text, a tokenizer, and a model for it."""
    forget = [{"question": f"who is {name}?", "answer": f"{name} is a baker"} for name in ("ann", "bob", "cy", "dot")]
    retain = [{"question": f"what is {n}?", "answer": f"{n} is a number of {n} ones"} for n in range(8)]
    words = [row[key] for row in (*forget, *retain) for key in row]
    tokenizer = train_tokenizer([*words, "I don't know."], vocab_size=300)
    return {
        "forget": forget,
        "retain": retain,
        "processing_class": tokenizer,
        "model": tiny_model(vocab_size=len(tokenizer), max_position_embeddings=128),
    }


@pytest.mark.parametrize("weighting", ["ngdiff", "gdiff"])
@pytest.mark.parametrize("objective", FORGET_OBJECTIVES)
def test_every_forget_objective_trains(make_trainer, text, base_model, random_rows, objective, weighting):
    rows = text if objective in WITH_ROWS_OF_TEXT else {}
    if FORGET_OBJECTIVES[objective].ends:
        rows = {"base_model": base_model(), "holdout_dataset": random_rows(6, 5)}
    trainer = make_trainer(method=f"{objective}+{weighting}", num_train_epochs=2, autolr_interval=2, **rows)
    before = flat(trainer.model)
    trainer.train()
    assert not torch.equal(before, flat(trainer.model))
    assert all(math.isfinite(row["objective_forget"]) for row in steps(trainer))


def answers_with_reference(model, reference, rows, needs):
    """One row at a time, the reference from a model that was kept: what the cache spares."""
    for row in rows:
        batch = collate([row])
        answers = forward_answers(model, batch, needs)
        with torch.no_grad():
            then = forward_answers(reference, batch, frozenset({"logits"}))
        assert then.logits is not None
        yield answers, Reference(then.nll, then.logits.log_softmax(-1))


@pytest.mark.parametrize(
    ("options", "side"),
    [
        ({"method": "npo+gdr"}, "forget"),
        ({"method": "undial+gdr"}, "forget"),
        ({"method": "ga+klr"}, "retain"),
    ],
    ids=lambda value: value["method"] if isinstance(value, dict) else value,
)
@pytest.mark.parametrize("vocabulary", [64, 16])  # 16 is below the hidden width: logits are kept, not hidden states
@pytest.mark.parametrize(("batch", "accumulation"), [(4, 1), (1, 4)])
def test_cached_references_equal_a_second_model(
    make_trainer, tiny_model, random_rows, options, side, vocabulary, batch, accumulation
):
    """The logged objective of the second step, against one computed row by row with a frozen copy of the model."""
    rows = {
        name: [
            {key: [min(i, vocabulary - 1) if i >= 0 else i for i in ids] for key, ids in row.items()} for row in found
        ]
        for name, found in (("forget", random_rows(8, 1)), ("retain", random_rows(12, 2)))
    }
    trainer = make_trainer(
        tiny_model(vocab_size=vocabulary),
        learning_rate=1e-2,
        optim="sgd",
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        max_steps=2,
        **rows,
        **options,
    )
    reference, after_one = tiny_model(vocab_size=vocabulary), tiny_model(vocab_size=vocabulary)
    pairs = list(trainer.sampler)[4:8]

    class Keep(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            if state.global_step == 1:
                after_one.load_state_dict(model.state_dict())

    trainer.add_callback(Keep())
    trainer.train()
    dataset = {"forget": trainer.forget_dataset, "retain": trainer.retain_dataset}[side]
    chosen = [dataset[pair[0] if side == "forget" else pair[1]] for pair in pairs]
    objective = trainer.objectives[side]
    total, units = 0.0, 0
    for answers, then in answers_with_reference(after_one, reference, chosen, objective.needs):
        total += objective(dataclasses.replace(answers, reference=then)).item()
        units += 1 if objective.unit == "sequence" else len(answers.nll)
    assert steps(trainer)[1][f"objective_{side}"] == pytest.approx(total / units, rel=2e-5, abs=1e-7)


def test_kl_has_no_weight_where_it_starts(make_trainer):
    trainer = make_trainer(method="ga+klr", learning_rate=1e-3)
    trainer.train()
    first, second = steps(trainer)[:2]
    assert first["norm_retain"] < RETAIN_OBJECTIVES["kl"].noise_floor
    assert (first["weight_retain"], first["objective_retain"]) == (0.0, pytest.approx(0.0, abs=1e-6))
    assert second["weight_retain"] > 0.0
    assert second["norm_retain"] > 10 * RETAIN_OBJECTIVES["kl"].noise_floor


@pytest.mark.parametrize("options", [{"bf16": True}, {"dtype": torch.bfloat16}], ids=["autocast", "weights"])
def test_kl_has_no_weight_where_it_starts_in_bfloat16(make_trainer, tiny_model, options):
    dtype = options.pop("dtype", torch.float32)
    trainer = make_trainer(tiny_model().to(dtype), method="ga+klr", learning_rate=1e-2, optim="sgd", **options)
    trainer.train()
    assert [row["weight_retain"] > 0 for row in steps(trainer)] == [False, True, True]


@pytest.mark.parametrize("weighting", ["ngdiff", "lossnorm", "gradnorm", "imtl-g"])
def test_kl_gets_going_under_every_weighting(make_trainer, weighting):
    trainer = make_trainer(method=weighting, retain_objective="kl", learning_rate=1e-2, optim="sgd")
    trainer.train()
    assert steps(trainer)[0]["weight_forget"] > 0.1
    assert steps(trainer)[-1]["norm_retain"] > RETAIN_OBJECTIVES["kl"].noise_floor


@pytest.mark.parametrize("method", ["npo+klr", "dpo+ngdiff", "undial", "gradnorm"])
def test_a_resumed_run_is_the_same_to_the_bit(make_trainer, text, tmp_path, method):
    options = {"method": method, "num_train_epochs": 4, "save_strategy": "steps", "save_steps": 2, "seed": 3}
    model = text.pop("model")
    start = {name: value.clone() for name, value in model.state_dict().items()}
    whole = make_trainer(model, output=tmp_path / "whole", **text, **options)
    whole.train()
    expected = flat(whole.model)
    model.load_state_dict(start)
    # The checkpoint of the same run, in a trainer of its own; the references are read, not made again.
    again = make_trainer(model, output=tmp_path / "whole", **text, **options)
    if again.compared.references is not None:
        again.compared.references.compute = None
    again.train(resume_from_checkpoint=str(checkpoint_folder(tmp_path / "whole", 2)))
    assert torch.equal(flat(again.model), expected)
    assert again.run_state.probes == whole.run_state.probes


def test_a_run_resumed_without_its_references_is_refused(make_trainer, random_rows, tmp_path):
    options = {"method": "npo", "save_strategy": "steps", "save_steps": 1}
    make_trainer(**options).train()
    checkpoint = str(checkpoint_folder(tmp_path / "run", 2))
    with pytest.raises(InputError, match=r"it is of other rows.*: give the same rows as at its start, or"):
        make_trainer(forget=random_rows(12, 9), **options).train(resume_from_checkpoint=checkpoint)
    (tmp_path / "run" / "reference" / "index.json").unlink()
    with pytest.raises(InputError, match=r"reference does not hold the outputs of the model.*index\.json is missing"):
        make_trainer(**options).train(resume_from_checkpoint=checkpoint)


def test_a_run_resumed_with_the_references_of_another_run_is_refused(make_trainer, tiny_model, tmp_path):
    options = {"method": "npo", "save_strategy": "steps", "save_steps": 1}
    make_trainer(output=tmp_path / "first", **options).train()
    make_trainer(tiny_model(seed=7), output=tmp_path / "second", **options).train()  # the same rows, another model
    shutil.rmtree(tmp_path / "first" / "reference")
    shutil.copytree(tmp_path / "second" / "reference", tmp_path / "first" / "reference")
    again = make_trainer(output=tmp_path / "first", **options)
    with pytest.raises(InputError, match=r"reference does not hold the outputs of the model.*it is of another run"):
        again.train(resume_from_checkpoint=str(checkpoint_folder(tmp_path / "first", 2)))


def test_a_fresh_run_never_reuses_references(make_trainer, tmp_path):
    """They may be of other weights: those in the folder, and those of the same trainer's run before."""
    index = tmp_path / "run" / "reference" / "index.json"
    trainer = make_trainer(method="npo", learning_rate=1e-2)
    identities, said = [], []
    for run in (trainer, trainer, make_trainer(method="npo")):
        run.train()
        identities.append(json.loads(index.read_text())["identity"])
        said.append(torch.cat(run.compared.references.losses("forget")))
        assert run.run_state.references == identities[-1]
    assert len(set(identities)) == 3
    assert not torch.equal(said[0], said[1])  # the second run began with the weights that the first one left
    assert torch.equal(said[0], said[2])


def test_weights_are_not_read_for_the_key(make_trainer, monkeypatch):
    """Neither by a fresh run nor by one that resumes: of a large model that would take minutes."""
    options = {"method": "npo", "save_strategy": "steps", "save_steps": 1}
    trainer = make_trainer(**options)
    monkeypatch.setattr(trainer.model, "state_dict", lambda: pytest.fail("the weights were read"))
    monkeypatch.setattr(type(trainer), "_save_checkpoint", lambda *_: None)
    trainer.train()


def test_an_adapter_compares_with_the_model_under_it(make_trainer, tiny_model):
    base = make_trainer(method="npo", max_steps=1, learning_rate=1e-3)
    base.train()
    adapter = make_trainer(
        method="npo", max_steps=1, learning_rate=1e-3, peft_config=LoraConfig(r=2, target_modules="all-linear")
    )
    adapter.train()
    expected, found = (torch.cat(run.compared.references.losses("forget")) for run in (base, adapter))
    assert torch.equal(found, expected)
    frozen = [p for p in adapter.model.parameters() if not p.requires_grad]
    assert frozen, "only the adapter is trained"


def test_no_second_model_is_kept(make_trainer):
    trainer = make_trainer(method="npo+klr", max_steps=1)
    trainer.train()
    gc.collect()
    mine = {id(module) for module in trainer.model.modules()}
    alive = [o for o in gc.get_objects() if type(o) is type(trainer.model) and id(o) not in mine]
    others = [o for o in alive if o.config is trainer.model.config]
    assert not others


@pytest.mark.parametrize("objective", WITH_ROWS_OF_TEXT)
def test_other_answers_need_questions(make_trainer, text, objective):
    with pytest.raises(InputError, match="rows of text only, not to encoded ones"):
        make_trainer(method=objective)
    text["forget"] = [{"text": "some running text"}]
    with pytest.raises(InputError, match="plain text has no question"):
        make_trainer(method=objective, **text)


def test_other_answers_come_from_a_file(make_trainer, text, tmp_path):
    (tmp_path / "idk.txt").write_text("no idea\n\nno clue\n", encoding="utf-8")
    trainer = make_trainer(method="idk", idk_file=str(tmp_path / "idk.txt"), **text)
    assert all(list(own) == ["no idea", "no clue"] for own in trainer.alternates.answers)
    trainer.train()
    decoded = text["processing_class"].decode(trainer.alternates[1, 0]["input_ids"])
    assert "bob" in decoded
    assert "no idea" in decoded
    assert "baker" not in decoded


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\n \n", "contains no answer"), (b"\xff\xfe\x00", "not UTF-8"), (None, "cannot be read")],
)
def test_answer_files_that_cannot_be_used(make_trainer, text, tmp_path, content, message):
    file = tmp_path / "idk.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=f"--idk-file .*idk.txt: {message}"):
        make_trainer(method="idk", idk_file=str(file), **text)


def test_other_answers_are_drawn_by_seed_epoch_and_row():
    drawn = [choices(50, 10, seed=seed, epoch=epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert drawn[0] == choices(50, 10, seed=0, epoch=0)
    assert len({tuple(d) for d in drawn}) == 4
    assert all(0 <= choice < 10 for d in drawn for choice in d)


def test_idk_logs_and_bounds_the_loss_of_the_rows_own_answers(make_trainer, text):
    trainer = make_trainer(method="idk", learning_rate=1e-3, max_steps=1, **text)
    before = trainer.mean_loss([trainer.forget_dataset[pair.forget] for pair in list(trainer.sampler)[:4]])
    trainer.train()
    assert steps(trainer)[0]["loss_forget"] == pytest.approx(before, rel=1e-5)


def test_rmu_has_no_ceiling_and_checks_its_layer(make_trainer):
    assert make_trainer(method="rmu", forget_ceiling=None).args.ceiling_form == "none"
    with pytest.raises(InputError, match="--forget-ceiling random: rmu works on hidden states"):
        make_trainer(method="rmu", forget_ceiling="random")
    with pytest.raises(InputError, match="layer=3: the model has 2 layers"):
        make_trainer(method="rmu+gdiff", forget_objective="rmu(layer=3)").train()


def test_an_objective_of_the_users_own(make_trainer, tmp_path, monkeypatch):
    (tmp_path / "my_loss.py").write_text("def bounded(answers):\n    return -answers.nll.clamp(max=5.0).sum()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    trainer = make_trainer(forget_objective="my_loss:bounded", learning_rate=1e-3)
    trainer.train()
    assert all(row["objective_forget"] >= -5.0 for row in steps(trainer))
