"""Names with parameters, in one word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.errors import InputError
from ngdiff.spec import Spec, parse_spec


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("ngdiff", Spec("ngdiff")),
        ("  ngdiff ()  ", Spec("ngdiff")),
        ("pcgrad-symmetric", Spec("pcgrad-symmetric")),
        ("npo+ngdiff", Spec("npo+ngdiff")),
        ("gdiff(c=0.9)", Spec("gdiff", {"c": 0.9})),
        ("torchjd:upgrad(pref_vector=[0.7, 0.3])", Spec("torchjd:upgrad", {"pref_vector": [0.7, 0.3]})),
        ("a.b:c(x=-1, y='(text, = )', z=None,)", Spec("a.b:c", {"x": -1, "y": "(text, = )", "z": None})),
    ],
)
def test_forms(text, spec):
    assert parse_spec(text) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "neither NAME nor NAME"),
        ("two words", "neither NAME nor NAME"),
        ("gdiff(c=0.9", "neither NAME nor NAME"),
        ("gdiff)c=0.9(", "neither NAME nor NAME"),
        ("gdiff(c=)", "what stands in the brackets is not key=value"),
        ("gdiff(c=1, c=2)", "c is given twice"),
        ("gdiff(0.9)", r"every value needs its name, as in gdiff\(key=value\)"),
        ("gdiff(**{'c': 1})", "every value needs its name"),
        ("gdiff(c=half)", "the value of c is neither a number, a text in quotes"),
        ("gdiff(c=__import__('os'))", "the value of c is neither"),
        ("gdiff(c=1), g(d=2)", "not key=value|every value needs"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_spec(text)


VALUES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(),
    st.booleans(),
    st.none(),
    st.text(),
    st.lists(st.floats(0, 1)),
)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z_]{0,5}_", fullmatch=True), VALUES, max_size=3))
def test_a_spec_written_out_reads_as_itself(arguments):
    spec = Spec("gradnorm", arguments)
    assert parse_spec(str(spec)) == spec
