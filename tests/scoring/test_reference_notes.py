"""Notes on references that are not what a retrained model would be."""

from ngdiff.scoring import compare, reference_notes


def losses(forget: float, retain: float) -> dict[str, dict[str, float]]:
    return {"forget": {"n": 9, "loss": forget}, "retain": {"n": 9, "loss": retain}}


NOTE = (
    "note: r hardly knows the retain rows: loss 8.3000, b 0.2000; a model trained without the forget set knows them, "
    "so that comparisons with this one mislead"
)


def test_a_reference_that_hardly_knows_the_retain_rows_is_named() -> None:
    runs = {"a": losses(9.0, 5.0), "b": losses(7.0, 0.2)}
    assert reference_notes(runs, {"r": losses(8.0, 8.3)}) == [NOTE]
    assert NOTE in compare({**runs, "r": losses(8.0, 8.3)}, references=["r"]).notes


def test_one_that_knows_them_as_well_as_the_others_is_none() -> None:
    """Long texts of which nobody knows each word, and rows that are learned by heart."""
    assert reference_notes({"a": losses(3.0, 2.2)}, {"r": losses(3.0, 2.6)}) == []
    assert reference_notes({"a": losses(3.0, 0.01)}, {"r": losses(3.0, 0.3)}) == []
    assert reference_notes({"a": {"forget": {"n": 9}}}, {"r": losses(8.0, 8.3)}) == []
    assert reference_notes({"a": losses(3.0, 0.01)}, {"r": {"forget": {"n": 9}}}) == []
