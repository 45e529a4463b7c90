import torch

from ngdiff.estimate.live import LiveBytes


def test_views_share_memory_and_the_last_one_ends_it():
    live = LiveBytes()
    with live:
        base = torch.zeros(10, 10)
        row = base[3]
        turned = row.view(2, 5).t()
        assert live.total == 400
        del base, row
        assert live.total == 400
        del turned
    assert live.total == 0
    assert live.peaks["start"].total == 400


def test_a_graph_keeps_what_backward_needs_and_no_more():
    weight = torch.randn(20, 30, requires_grad=True)
    live = LiveBytes()
    with live:
        live.hold([weight], "weights")
        live.kind = "activations"
        x = torch.ones(50, 20)
        loss = (x @ weight).relu().sum()
        del x
        # The product's left side and the result of relu; relu's input is gone, the loss is one number.
        assert live.total == 20 * 30 * 4 + (50 * 20 + 50 * 30 + 1) * 4
        loss.backward()
        del loss
        live.hold([weight.grad], "gradients")
    assert live.total == 2 * weight.nbytes
    assert live.peaks["start"].parts["weights"] == weight.nbytes


def test_each_moment_has_a_peak_that_begins_with_what_is_there():
    live = LiveBytes()
    with live:
        kept = torch.zeros(25)
        with live.within(kind="probe", moment="probe"):
            torch.zeros(50)
            inside = torch.zeros(75)
        live.moment = "after"
        del inside
        torch.zeros(1)
    assert {name: peak.total for name, peak in live.peaks.items()} == {"start": 400, "probe": 400, "after": 400}
    assert live.peaks["probe"].parts == {"other": 100, "probe": 300}
    assert live.total == kept.nbytes


def test_logits_are_told_by_their_width_in_passes_alone():
    live = LiveBytes(choices=7)
    with live:
        live.kind = "activations"
        logits, hidden = torch.zeros(3, 7), torch.zeros(3, 5)
        live.kind = "other"
        other = torch.zeros(3, 7)
    assert live.peaks["start"].parts == {"logits": logits.nbytes, "activations": hidden.nbytes, "other": other.nbytes}
