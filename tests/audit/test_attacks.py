"""What each attack finds, on models that are known to hold the rows, to hide them, or never to have seen them."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from ngdiff.audit import (
    ATTACKS,
    Attack,
    Budget,
    NotApplicableError,
    OutOfTimeError,
    run_attack,
    variant_of,
)
from ngdiff.audit.begun import Begun
from ngdiff.audit.compare import compared, summary
from ngdiff.audit.keep import keep, kept
from ngdiff.data import Row, encode
from ngdiff.errors import InputError


@pytest.fixture
def short(monkeypatch):
    """Attacks that cost little."""
    monkeypatch.setattr("ngdiff.audit.relearn.STEPS", (2, 4))
    monkeypatch.setattr("ngdiff.audit.sampling.N", 2)
    monkeypatch.setattr("ngdiff.audit.sampling.AT", (1, 2))


def state(model: Any) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


def of(attack: str, model: Any, reference: Any, bed: Any) -> dict[str, Any]:
    return compared(*(run_attack(ATTACKS[attack], one, bed) for one in (model, reference)))


def test_a_model_that_only_refuses_its_prompts_is_caught_by_the_first_tokens(bed, reciter):
    refusals = [Row(row.prompt, "I don't know.") for row in bed.forget]
    masked, never = reciter([*bed.forget, *bed.retain, *refusals]), reciter(bed.retain)
    assert {record["generated"] for record in bed.ask(masked, bed.forget)} == {"I don't know."}
    for attack, form in (("prompts", "first 5 of the answer's tokens"), ("prefix", "25 % of the answer")):
        found = of(attack, masked, never, bed)
        assert found["certain"], attack
        assert found["forms"][form]["model"]["verbmem"] == 1.0
        assert found["comes_back"] > 0.9
    assert summary({"prompts": found}) < 0.1


def test_what_was_never_there_does_not_come_back(bed, reciter):
    never = reciter(bed.retain)
    found = of("prefix", never, reciter(bed.retain[:1]), bed)
    assert (found["comes_back"], found["certain"]) == (0.0, False)


def test_relearning_counts_what_the_reference_does_not_learn(bed, tiny, short, monkeypatch):
    """The retrained model learns from the other half how answers go: as much as another that never saw the rows."""
    monkeypatch.setattr("ngdiff.audit.relearn.STEPS", (12,))
    rows = replace(bed, retain=(), holdout=())
    found = of("relearn", tiny(1), tiny(2), rows)
    (form,) = found["forms"].values()
    assert form["model"]["loss"] < 5.0  # of ln 300 = 5.7: something was learned
    assert not found["certain"]


@pytest.mark.parametrize("attack", [name for name in ATTACKS if name not in ("prompts", "prefix", "nf4")])
def test_the_model_is_unharmed(attack, bed, tiny, short):
    model = tiny(0).train()
    model.lm_head.weight.requires_grad_(False)
    before, drawn = state(model), torch.get_rng_state()
    canaries = [replace(row, perturbed_answers=("Tarn.", "Quil.")) for row in bed.forget[:2]]
    forms = run_attack(ATTACKS[attack], model, replace(bed, forget=bed.forget[:4], canaries=canaries))
    assert forms
    assert state(model) == before
    assert all(module.training for module in model.modules())
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["lm_head.weight"]
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), drawn)


def test_the_model_is_unharmed_by_an_attack_that_fails(bed, tiny):
    def fail(target, bed):
        next(target.model.parameters()).data.zero_()
        yield "one", variant_of(bed.ask(target.model, bed.forget[:1]))
        raise RuntimeError("a fault")

    model = tiny(0)
    before = state(model)
    with pytest.raises(RuntimeError, match="a fault"):
        run_attack(Attack(fail, "fails"), model, bed)
    assert state(model) == before


def test_weights_are_changed_while_an_attack_measures(bed, tiny):
    model, seen = tiny(0), []

    def ask(self, own, rows, *rest, **options):
        seen.append(state(own))
        return records

    records = bed.ask(model, bed.forget)
    bed = type("Watched", (type(bed),), {"ask": ask})(**{name: getattr(bed, name) for name in bed.__dataclass_fields__})
    for attack in ("quantise", "prune"):
        run_attack(ATTACKS[attack], model, bed)
    assert len({tuple(one.values()) for one in [*seen, state(model)]}) == 5  # 8 bit, 4 bit, 30 %, 50 %, as it was


def test_an_answer_is_begun_at_a_token(bed):
    row = bed.forget[0]
    template = Begun(bed.template.name, bed.tokenizer, True, lambda count: 3)
    whole, begun = (encode(row, bed.tokenizer, one, max_length=200) for one in (bed.template, template))
    assert begun.input_ids == whole.input_ids
    assert len(begun.prompt_ids) == len(whole.prompt_ids) + 3


def test_a_budget_that_is_spent_leaves_nothing(bed, reciter):
    times = iter([0.0, 1.0, 61.0])
    budget = Budget(1.0, clock=lambda: next(times))
    with pytest.raises(OutOfTimeError):
        run_attack(ATTACKS["prefix"], reciter(bed.retain), bed, budget)


@pytest.mark.parametrize(("known", "measure"), [("forget", "AUC"), ("holdout", "1 - AUC")])
def test_rows_are_recognised_where_they_look_familiar_and_where_they_look_stranger(bed, reciter, known, measure):
    model, even = reciter(getattr(bed, known)), reciter(bed.retain)
    own, reference = (run_attack(ATTACKS["membership"], one, bed) for one in (model, even))
    found = compared(own, reference)
    assert found["worst"]["measure"] == measure
    assert found["comes_back"] > 0.3
    assert found["certain"]


def test_an_attack_without_its_rows_says_so(bed, reciter):
    model = reciter(bed.retain)
    with pytest.raises(NotApplicableError, match="--holdout"):
        run_attack(ATTACKS["membership"], model, replace(bed, holdout=()))
    with pytest.raises(NotApplicableError, match="there are 3 forget rows"):
        run_attack(ATTACKS["relearn"], model, replace(bed, forget=bed.forget[:3]))


def test_finished_attacks_read_back_as_they_were(bed, reciter, tmp_path):
    forms = run_attack(ATTACKS["prefix"], reciter(bed.retain), bed)
    keep(tmp_path / "prefix.model.json", forms)
    assert kept(tmp_path / "prefix.model.json") == {n: replace(v, records=list(v.records)) for n, v in forms.items()}
    assert kept(tmp_path / "other.json") is None
    whole = json.loads((tmp_path / "prefix.model.json").read_text())
    for forms in ({"a": 1}, {**whole["forms"], "another": {"leaks": {}, "shown": {}, "records": []}}):
        (tmp_path / "prefix.model.json").write_text(json.dumps({**whole, "forms": forms}))
        with pytest.raises(InputError, match="is damaged"):
            kept(tmp_path / "prefix.model.json")


def test_d_under_attack_is_1_for_the_model_before_and_0_for_the_reference(bed, reciter):
    usual = Attack(lambda target, bed: iter([("as it is", variant_of(bed.ask(target.model, bed.forget)))]), "none")
    knows, never = (run_attack(usual, reciter(rows), bed) for rows in ([*bed.forget, *bed.retain], bed.retain))
    before = {record["origin"]: record for record in knows["as it is"].records}
    for own, expected in ((knows, 1.0), (never, 0.0)):
        found = compared(own, never, before=before)["forms"]["as it is"]["distance"]
        assert found["value"] == pytest.approx(expected)
