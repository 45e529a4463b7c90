"""D by its parts, as a page shows it."""

from ngdiff.report.distance_parts import distance_tables


def test_measures_that_only_texts_have_are_no_part_of_d_of_images() -> None:
    part = {"now": 2.0, "reference": 4.0, "before": 0.0, "value": 0.5}
    left_out = {"verbmem": "no verbmem of forget rows of the model", "probability": "cannot be told apart"}
    found = {"distance": {"value": 0.5, "parts": {"loss": part}, "left_out": left_out}}
    (texts,) = distance_tables({**found, "forget": {"verbmem": 0.5}})
    assert [one.measure for one in texts.parts] == ["loss", "verbmem", "probability"]
    (images,) = distance_tables({**found, "forget": {"accuracy": 0.5}})
    assert [one.measure for one in images.parts] == ["loss", "probability"]
