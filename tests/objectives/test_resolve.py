"""Objectives by what the user types, also the user's own."""

import sys

import pytest
import torch

from ngdiff.core.answers import Answers
from ngdiff.errors import InputError
from ngdiff.objectives import FORGET_OBJECTIVES, Objective
from ngdiff.objectives.resolve import resolve_objective

OWN = '''
from ngdiff.objectives import Objective


def plain(answers):
    """A function."""
    return -answers.nll.sum()


class Margin:
    """A class with a parameter, a unit and a need."""

    unit = "sequence"
    needs = ("logits",)

    def __init__(self, width=1.0):
        self.width = width

    def __call__(self, answers):
        return (answers.per_row()[0] - self.width).clamp(min=0).sum()


def scaled(answers, *, factor=2.0):
    return -factor * answers.nll.sum()


ready = Objective(scaled, unit="token", formula="-factor CE", source="here")
number = 3
'''

ANSWERS = Answers(torch.tensor([1.0, 2.0]), torch.tensor([0, 1]), rows=2)


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "my_objectives.py").write_text(OWN)
    monkeypatch.delitem(sys.modules, "my_objectives", raising=False)  # another test may have one of that name
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def resolve(text: str) -> Objective:
    return resolve_objective(text, FORGET_OBJECTIVES, "--forget-objective")


@pytest.mark.parametrize(
    ("text", "value", "unit", "needs"),
    [
        ("my_objectives:plain", -3.0, "token", set()),
        ("my_objectives:Margin", 1.0, "sequence", {"logits"}),
        ("my_objectives:Margin(width=0.5)", 2.0, "sequence", {"logits"}),
        ("my_objectives:scaled(factor=0.5)", -1.5, "token", set()),
        ("my_objectives:ready", -6.0, "token", set()),
        ("ce", -3.0, "token", set()),
    ],
)
def test_values(own, text, value, unit, needs):
    objective = resolve(text)
    assert objective(ANSWERS).item() == value
    assert (objective.unit, set(objective.needs)) == (unit, needs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nbo", "--forget-objective nbo is not known; did you mean npo.; one of ce, npo"),
        ("npo(gamma=1)", "npo takes no gamma; its parameters are: beta"),
        ("npo(beta='much')", r"npo\(beta='much'\) is not a number"),
        ("npo(beta=-0.1)", r"npo\(beta=-0.1\) is not above 0"),
        ("npo(beta=True)", r"npo\(beta=True\) is not a number"),
        ("ceu(skip_first=1)", r"ceu\(skip_first=1\) is neither True nor False"),
        ("rmu(layer=0)", r"rmu\(layer=0\) is not the number of a layer"),
        ("rmu(direction_seed=0.5)", r"rmu\(direction_seed=0.5\) is not a whole number"),
        ("ce(beta=1)", "ce takes no beta; its parameters are: none"),
        ("my_objectives:number", "is a int; an objective is called"),
        ("my_objectives:nothing", "my_objectives has no nothing"),
        ("my_objectives:Margin(height=1)", "Margin cannot be made with these parameters"),
        ("no_such_module:f", "no_such_module cannot be imported"),
    ],
)
def test_what_cannot_be_used_is_named(own, text, message):
    with pytest.raises(InputError, match=message):
        resolve(text)


def test_an_unknown_need_is_refused():
    with pytest.raises(InputError, match="an objective needs magic; known are logits"):
        Objective(lambda answers: answers.nll.sum(), "token", "", "", needs=frozenset({"magic"}))
    with pytest.raises(InputError, match=r"an objective that needs sampled, .* also needs alternate"):
        Objective(lambda answers: answers.nll.sum(), "token", "", "", needs=frozenset({"sampled"}))


def test_the_layer_of_rmu():
    assert resolve("rmu").layer(32) == 8
    assert resolve("rmu(layer=3)").layer(4) == 3
    with pytest.raises(InputError, match="layer=3: the model has 2 layers"):
        resolve("rmu(layer=3)").layer(2)


def test_a_parameter_that_skips_tokens_changes_the_unit():
    assert resolve("ceu").unit == "token"
    assert resolve("ceu(skip_first=True)").unit == "later_token"
