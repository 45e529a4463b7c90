"""From words to weightings: names, parameters, functions of the user's own, and what is refused."""

import sys

import pytest

from ngdiff.core import Gramian
from ngdiff.errors import InputError
from ngdiff.weighting import WEIGHTINGS, Losses, Weighting, Weights, resolve_weighting, weigh

LOSSES = Losses(0.3, -2.0)
K = Gramian(4.0, -1.0, 9.0)

OWN = '''
from ngdiff.weighting import Weighting, Weights

def plain(losses, gramian):
    """Equal weights."""
    return 0.5, 0.5

def everything(losses, gramian, *, step, seed, state, power: float = 1.0, side: str = "both"):
    state["calls"] = state.get("calls", 0) + 1
    return gramian.a**power, float(step + seed + state["calls"])

def required(losses, gramian, *, top: int):
    return top, 1.0

def one_number(losses, gramian):
    return 1.0

def too_few(losses):
    return 1.0, 1.0

def broken(losses, gramian):
    return undefined

row = Weighting(plain, "w = (1/2, 1/2)", "nobody", uses_dot=False)
number = 3
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user's own in the current folder."""
    (tmp_path / "own_weightings.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "own_weightings"
    sys.modules.pop("own_weightings", None)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_every_name_of_the_table_resolves_to_its_row(name):
    weighting = resolve_weighting(name)
    assert weighting.function is WEIGHTINGS[name].function
    assert weighting.parameters == WEIGHTINGS[name].parameters
    assert str(weighting) == name
    assert weigh(weighting, LOSSES, K) == weigh(WEIGHTINGS[name], LOSSES, K)


def test_parameters_are_bound():
    for weighting in (resolve_weighting("gdiff(c=0.9)"), resolve_weighting("gdiff", c=0.9)):
        assert weighting.parameters == {"c": 0.9}
        assert str(weighting) == "gdiff(c=0.9)"
        assert weigh(weighting, LOSSES, K) == pytest.approx((0.9, 0.1))
    assert WEIGHTINGS["gdiff"].parameters == {"c": 0.5}
    assert resolve_weighting("gradnorm(alpha=1)").parameters == {"alpha": 1.0, "lr": 0.025}


def test_its_own_words_resolve_again():
    weighting = resolve_weighting("gradnorm(alpha=0.5)", lr=0.1)
    assert resolve_weighting(str(weighting)).parameters == weighting.parameters


@pytest.mark.parametrize(
    ("text", "parameters", "message"),
    [
        (
            "ngdif",
            {},
            r"--weighting ngdif: no such weighting\. Did you mean ngdiff\? There are ngdiff, gdiff, .*gradnorm",
        ),
        ("NGDiff", {}, r"Did you mean ngdiff\?"),
        ("mgda", {}, r"Did you mean torchjd:mgda\?"),
        ("zzz", {}, r"no such weighting\. There are .*torchjd:NAME .*my_module:my_function"),
        ("gd(c=0.5)", {}, "--weighting gd: takes no c; its parameters are: none"),
        ("gdiff(d=0.5)", {}, r"takes no d; its parameters are: c \(default 0.5\)"),
        ("ngdiff", {"c": 0.5}, "--weighting ngdiff: takes no c"),
        ("gdiff(c=0.5)", {"c": 0.5}, "c is given twice, in the brackets and on its own"),
        ("gdiff(c='half')", {}, "c = 'half' is not a finite number"),
        ("gdiff(c=True)", {}, "c = True is not a finite number"),
        ("gdiff(c=1e999)", {}, "c = inf is not a finite number"),
        ("gdiff(c=1.5)", {}, r"--weighting gdiff: c = 1.5 is not in \[0, 1\]"),
        ("gradnorm(alpha=-1)", {}, "alpha = -1.0 is below 0"),
        ("gradnorm(lr=0)", {}, "lr = 0.0 is not above 0"),
        ("gdiff(0.5)", {}, "every value needs its name"),
        ("gradnorm(state={})", {}, "takes no state"),
        ("rlw(seed=3)", {}, "takes no seed"),
        ("", {}, "neither NAME nor NAME"),
    ],
)
def test_errors_name_what_was_found(text, parameters, message):
    with pytest.raises(InputError, match=message):
        resolve_weighting(text, **parameters)


def test_errors_start_with_the_option():
    with pytest.raises(InputError, match=r"^--method nope: no such weighting"):
        resolve_weighting("nope", option="--method")


# ---- one's own ---------------------------------------------------------------------------------------------------


def test_a_function_of_the_users_own(own):
    weighting = resolve_weighting(f"{own}:plain")
    assert weigh(weighting, LOSSES, K) == Weights(0.5, 0.5)
    assert (weighting.formula, weighting.source) == ("Equal weights.", f"{own}:plain")
    assert weighting.uses_dot  # nobody said that it does not


def test_it_gets_context_state_and_parameters(own):
    weighting = resolve_weighting(f"{own}:everything(power=2)")
    assert weighting.parameters == {"power": 2.0, "side": "both"}
    state: dict = {}
    weigh(weighting, LOSSES, K, step=3, seed=10, state=state)
    assert weigh(weighting, LOSSES, K, step=3, seed=10, state=state) == Weights(16.0, 15.0)
    assert state == {"calls": 2}


def test_a_weighting_says_of_itself_whether_it_reads_the_dot_product(own):
    weighting = resolve_weighting(f"{own}:row")
    assert isinstance(weighting, Weighting)
    assert not weighting.uses_dot


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "has no nothing; it has .*plain"),
        ("required", "needs top, which has no default"),
        ("required(top=1.5)", "top = 1.5 is not a whole number"),
        ("everything(side=3)", "side = 3 is not a string in quotes"),
        ("everything(powr=3)", r"takes no powr; its parameters are: power \(default 1.0\), side"),
        ("one_number", "returned 1.0; it must return two numbers"),
        ("too_few", r"cannot be called as f\(losses, gramian\)"),
        ("number", "is of type int, neither a function nor an ngdiff.weighting.Weighting"),
    ],
)
def test_what_is_wrong_with_it_is_said_before_the_run(own, name, message):
    with pytest.raises(InputError, match=f"--weighting {own}:.*{message}"):
        resolve_weighting(f"{own}:{name}")


def test_an_error_in_it_comes_with_its_place(own):
    with pytest.raises(NameError, match="undefined"):
        resolve_weighting(f"{own}:broken")


def test_a_module_that_is_not_there(own):
    with pytest.raises(InputError, match="the module no_such_module cannot be imported"):
        resolve_weighting("no_such_module:f")
