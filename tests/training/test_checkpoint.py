"""What a checkpoint keeps of a run beside what Trainer keeps."""

import pytest
import torch

from ngdiff.core import Probe
from ngdiff.training.checkpoint import RunState


@pytest.mark.parametrize(
    ("probes", "relative_step"),
    [
        ([], 0.0),
        ([{"step": 1, "before": 0.1}], 0.0),  # of a version that did not keep it
        ([Probe(before=0.1, relative_step=3.0).as_dict(), Probe(before=0.1, relative_step=1 / 3).as_dict()], 1 / 3),
    ],
)
def test_how_long_a_step_is_comes_from_the_last_probe(tmp_path, probes, relative_step):
    RunState(probes=probes).save(tmp_path)
    assert RunState.load(tmp_path).relative_step == RunState(probes=probes).relative_step == relative_step


def test_what_several_processes_on_a_cpu_wrote_can_be_read_by_the_first(tmp_path):
    torch.save({"step": torch.tensor([3.0])}, tmp_path / "state.pt")
    found = torch.load(tmp_path / "state.pt", map_location=torch.device("cpu:0"), weights_only=True)
    assert found["step"].tolist() == [3.0]
