"""`--method`: usual names, weightings, and names put together."""

import itertools

import pytest

from ngdiff.errors import InputError
from ngdiff.objectives import FORGET_OBJECTIVES, RETAIN_OBJECTIVES
from ngdiff.training import UnlearnConfig
from ngdiff.training.methods import METHODS, resolve_method
from ngdiff.weighting import WEIGHTINGS


def parts(tmp_path, **options) -> tuple[str, str, str]:
    config = UnlearnConfig(output_dir=str(tmp_path), use_cpu=True, **options)
    return config.parts.weighting, config.parts.forget, config.parts.retain


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("ngdiff", "ce", "ce")),
        ({"method": "gdiff"}, ("gdiff", "ce", "ce")),
        ({"method": "graddiff"}, ("gdiff", "ce", "ce")),
        ({"method": "gdiff(c=0.9)"}, ("gdiff(c=0.9)", "ce", "ce")),
        ({"method": "npo"}, ("ga", "npo", "ce")),
        ({"method": "npo+gdr"}, ("gdiff", "npo", "ce")),
        ({"method": "npo+klr"}, ("gdiff", "npo", "kl")),
        ({"method": "npo+ngdiff"}, ("ngdiff", "npo", "ce")),
        ({"method": "npo+ngdiff+klr"}, ("ngdiff", "npo", "kl")),
        ({"method": "npo(beta=1e+2)+gdiff(c=5e-1)+klr"}, ("gdiff(c=5e-1)", "npo(beta=1e+2)", "kl")),
        ({"method": "ga+ngdiff+gdr"}, ("ngdiff", "ce", "ce")),
        ({"method": "npo(beta=0.2)"}, ("ga", "npo(beta=0.2)", "ce")),
        ({"method": "npo(beta=1e+2)+gdiff(c=0.7)"}, ("gdiff(c=0.7)", "npo(beta=1e+2)", "ce")),
        ({"method": "idk+ngdiff"}, ("ngdiff", "idk", "ce")),
        ({"method": "ga+gdr"}, ("gdiff", "ce", "ce")),
        ({"method": "torchjd:upgrad"}, ("torchjd:upgrad", "ce", "ce")),
        ({"method": "npo", "weighting": "imtl-g", "retain_objective": "kl"}, ("imtl-g", "npo", "kl")),
        ({"method": "gd", "forget_objective": "simnpo"}, ("gd", "simnpo", "ce")),
    ],
)
def test_parts_of_a_method(tmp_path, options, expected):
    assert parts(tmp_path, **options) == expected


@pytest.mark.parametrize(("objective", "weighting"), list(itertools.product(FORGET_OBJECTIVES, WEIGHTINGS)))
def test_any_objective_goes_with_any_weighting(tmp_path, objective, weighting):
    assert parts(tmp_path, method=f"{objective}+{weighting}") == (weighting, objective, "ce")


@pytest.mark.parametrize("name", METHODS)
def test_every_usual_name_is_made_of_known_parts(name):
    method = METHODS[name]
    assert method.weighting in WEIGHTINGS
    assert method.forget in FORGET_OBJECTIVES
    assert method.retain in RETAIN_OBJECTIVES
    assert method.formula
    assert method.source


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "nqo"}, "--method nqo is not known; one of ngdiff"),
        ({"method": "nqo+gdr"}, "--method nqo[+]gdr: nqo is no forget objective; one of ce"),
        ({"method": "npo+ngdif+klr"}, "--method npo[+]ngdif[+]klr: ngdif is no weighting; one of ngdiff"),
        ({"method": "npo+gdrr"}, "--method npo[+]gdrr: gdrr is no weighting; one of ngdiff"),
        ({"method": "npo(gamma=1)"}, "npo takes no gamma"),
        ({"method": "gdiff(c=2)"}, "not in"),
        ({"method": "npo", "c": 0.5}, "--c 0.5 has no meaning for the weighting ga; gdiff takes it"),
        ({"method": "gdiff(c=0.5)", "c": 0.5}, "c is given twice"),
        ({"retain_objective": "npo"}, "--retain-objective npo is not known"),
        ({"optimizer": "adamax"}, "--optimizer adamax: no such optimizer; there are prodigy"),
        ({"optimizer": "prodigy", "learning_rate": "auto:1e-3"}, "with --optimizer prodigy: it finds its own step"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        parts(tmp_path, **options)


def test_options_stay_as_they_were_given(tmp_path):
    """A config file that is written of them leaves a later --method its say."""
    first = UnlearnConfig(output_dir=str(tmp_path), use_cpu=True, method="npo+klr")
    given = {key: getattr(first, key) for key in ("weighting", "forget_objective", "retain_objective")}
    assert parts(tmp_path, **given, method="simnpo+ngdiff") == ("ngdiff", "simnpo", "ce")


def test_names_of_methods_do_not_hide_weightings():
    assert not set(METHODS) & set(WEIGHTINGS)
    assert resolve_method("ngdiff").weighting == "ngdiff"
