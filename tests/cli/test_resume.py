"""Whether a run may go on where another one stopped."""

import json

import pytest
import yaml

from ngdiff.cli.resume import refuse_other_run
from ngdiff.errors import InputError
from ngdiff.manifest import CONFIG, MANIFEST


@pytest.mark.parametrize(("before", "word"), [(False, "off"), (True, "on"), ("auto", "auto")])
def test_packing_was_a_truth_value_once(tmp_path, before, word):
    (tmp_path / CONFIG).write_text(yaml.safe_dump({"packing": before}))
    (tmp_path / MANIFEST).write_text(json.dumps({"extra": {}, "data": {}, "model": {}}))
    refuse_other_run(str(tmp_path), {"packing": word}, data={}, model={})
    other = "on" if word == "off" else "off"
    with pytest.raises(InputError, match=f"has packing = {word}, not {other}; give the same options"):
        refuse_other_run(str(tmp_path), {"packing": other}, data={}, model={})
