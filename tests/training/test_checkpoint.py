"""What a checkpoint keeps of a run beside what Trainer keeps."""

import math

import torch

from ngdiff.core import Parabola, Probe
from ngdiff.training.checkpoint import RunState


def test_what_is_no_number_is_written_as_null(tmp_path):
    probe = Probe(before=0.1, fits=[Parabola(1.0, behind=math.inf, here=2.0, ahead=math.nan)])
    RunState(probes=[probe.as_dict()]).save(tmp_path)
    (file,) = tmp_path.iterdir()
    assert "NaN" not in file.read_text()
    assert "Infinity" not in file.read_text()
    state = RunState.load(tmp_path)
    assert state.probes[0]["fits"] == [{"rho": 1.0, "behind": None, "here": 2.0, "ahead": None}]
    assert state.probes[0]["after"] is None


def test_what_several_processes_on_a_cpu_wrote_can_be_read_by_the_first(tmp_path):
    torch.save({"step": torch.tensor([3.0])}, tmp_path / "state.pt")
    found = torch.load(tmp_path / "state.pt", map_location=torch.device("cpu:0"), weights_only=True)
    assert found["step"].tolist() == [3.0]
