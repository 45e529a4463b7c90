"""Manifests with a right seal that this version cannot read."""

import json
from pathlib import Path
from typing import Any

import pytest

from ngdiff.cli import main
from ngdiff.evidence.chain import read_chain
from ngdiff.evidence.seal import read_sealed, sealed
from ngdiff.evidence.shape import fault_of_shape
from ngdiff.writing import json_text

from .made import write_run

ENDED = {"finished": True, "losses_before": {"forget": 1.0}, "losses_after": {"forget": 5.0}}
VERDICT = {"require": "forget.loss>=2", "value": None, "before": None, "bound": 2.0, "met": False}
FINDING = {"what": "near-duplicates in forget and retain", "severity": "fine", "found": "none", "advice": ""}
RETEST = {"place": "one", "before": 1.0, "after": 5.0, "now": None, "threshold": 3.0, "state": "forgotten", "why": ""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A later run, so that there is a chain, with everything in its manifest."""
    first = write_run(tmp_path, "one", extra=ENDED)
    extra = {
        **ENDED,
        "checks": [FINDING],
        "requirements": ["forget.loss>=2"],
        "verdicts": [VERDICT],
        "earlier_requests": [RETEST],
    }
    return write_run(tmp_path, "two", forget="second.jsonl", after=read_chain(first.output), extra=extra).output


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places in JSON, the last item of a list standing for all."""
    items = value.items() if isinstance(value, dict) else list(enumerate(value))[-1:] if isinstance(value, list) else ()
    return [at, *(place for key, item in items for place in places(item, (*at, key)))]


def put(value: Any, place: tuple[Any, ...], other: Any) -> None:
    """Replace what lies at a place; `...` takes it out."""
    *way, last = place
    for key in way:
        value = value[key]
    if other is ...:
        del value[last]
    else:
        value[last] = other


@pytest.mark.parametrize("other", [..., None, "x", 1.5, [], [[]], {"a": 1}, True], ids=repr)
def test_a_manifest_of_another_shape_is_refused_in_a_line(folder: Path, other: Any, capsys) -> None:
    path = folder / "manifest.json"
    whole = path.read_text()
    for place in places(json.loads(whole))[1:]:
        content = json.loads(whole)
        put(content, place, other)
        path.write_text(json_text(sealed(content)))
        for command in ("verify", "ledger"):
            assert main([command, str(folder)]) in (0, 2, 4), place
        err = capsys.readouterr().err
        assert "Traceback" not in err
        fault = fault_of_shape(content)
        assert fault in err
        assert read_sealed(path)[1] == fault


def test_the_entry_is_named(folder: Path) -> None:
    content = json.loads((folder / "manifest.json").read_text())
    del content["data"]["forget"]["rows"]
    why = "; another version of ngdiff, or another program, wrote it"
    assert fault_of_shape(content) == "its entry data.forget.rows is missing" + why
    content["extra"]["verdicts"][0]["met"] = "no"
    content["data"]["forget"]["rows"] = 3
    assert fault_of_shape(content) == "its entry extra.verdicts.0.met is no truth value" + why
    content["extra"]["verdicts"][0]["met"] = False
    content["outputs"]["curves.png"] = content["outputs"].pop("report/curves.png")
    assert fault_of_shape(content) == "its entry outputs.curves.png lies outside report/" + why
