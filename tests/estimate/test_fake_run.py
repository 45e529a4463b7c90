import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from ngdiff.data import AnswerCollator
from ngdiff.estimate.fake_run import FakeRun
from ngdiff.estimate.live import LiveBytes
from ngdiff.estimate.operations import Operations
from ngdiff.modeling.plain_forward import forward_answers


@pytest.fixture
def mode():
    return FakeRun(FakeTensorMode())


def empty(mode: FakeRun, *shape: int, **options) -> torch.Tensor:
    with mode.fake:
        return torch.empty(*shape, **options)


def test_what_has_values_is_computed(mode):
    with mode:
        labels = torch.tensor([[1, -100], [2, 3]])
        assert (labels != -100).sum().item() == 3
        assert empty(mode, 2, 2, 5)[labels != -100].shape == (3, 5)


def test_what_depends_on_weights_is_a_constant_and_masks_choose_all(mode):
    x = empty(mode, 4, 6)
    with mode:
        assert float(x.sum()) == 1.0
        assert x[x > 0].shape == (24,)
        assert (x > 0).nonzero().shape == (24, 2)
        assert torch.equal(x, x + 1)
        mode.number = 0.0
        assert float(x.norm()) == 0.0
        assert not x.isfinite().all()


def saved_bytes(model: nn.Module, batch: dict, outside: set[int]) -> int:
    """Bytes of the distinct storages that autograd keeps of one pass, weights and batch apart."""
    sizes = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        sizes[storage._cdata] = storage.nbytes()
        return tensor.detach()  # itself would keep its own graph alive

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = forward_answers(model, batch).nll.sum()
    assert loss.requires_grad
    return sum(size for place, size in sizes.items() if place not in outside)


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
@pytest.mark.parametrize(
    "bf16", [pytest.param(False, id="float32"), pytest.param(True, id="autocast", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_pass_keeps_and_needs_the_same_bytes_with_and_without_values(
    kind, bf16, checkpointing, checkpointed, pair_of_models, rows
):
    real, fake, mode = pair_of_models(kind)
    batch = AnswerCollator(0)(rows(5, 3))
    saved, peaks = {}, {}
    for model in (real, fake):
        model.train()
        if checkpointing:
            (option,) = checkpointed
            getattr(model, f"{option}_enable")()
        live = LiveBytes()
        told = live if model is real else mode
        if model is fake:
            mode.watchers.append(live)
        places = {t.untyped_storage()._cdata for t in [*model.parameters(), *model.buffers(), *batch.values()]}
        with told, torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            live.hold([*model.parameters(), *model.buffers(), *batch.values()], "there before")
            saved[model] = saved_bytes(model, batch, places)
            live.moment = "pass"
            forward_answers(model, batch).nll.sum().backward()
        peaks[model] = live.peaks["pass"].total
        assert live.total == 2 * sum(p.nbytes for p in model.parameters()) + sum(
            t.nbytes for t in [*model.buffers(), *batch.values()]
        )
    assert saved[fake] == saved[real] > 0
    assert peaks[fake] == peaks[real]


def test_operations_are_those_of_torchs_own_counter_and_of_attention(mode):
    q = torch.randn(2, 4, 16, 8, requires_grad=True)
    weight = torch.randn(8, 8, requires_grad=True)

    def step(q, weight):
        out = nn.functional.scaled_dot_product_attention(q @ weight, q, q)
        cross_entropy(out.reshape(-1, 8), torch.zeros(128, dtype=torch.long)).backward()

    with FlopCounterMode(display=False) as counter:  # it knows the products, and no attention on CPU
        step(q, weight)
    operations = Operations()
    mode.watchers.append(operations)
    with mode:
        step(*(empty(mode, *t.shape, requires_grad=True) for t in (q, weight)))
    product = 2 * 2 * 4 * 16 * 16 * 8  # of queries and keys, or of probabilities and values
    assert operations.total == counter.get_total_flops() + (2 + 5) * product
