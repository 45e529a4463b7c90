"""Token losses without logits. Neither library is among the packages for development: they bring a compiler for GPUs.

Stand-ins have the libraries' signatures and the plain formula. Cut Cross-Entropy also runs on CPU: where it is
installed, it is tested itself.
"""

import copy
import importlib.util
import sys
import types

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GPT2Config,
    GraniteConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PhiConfig,
)

from ngdiff.core.answers import IGNORED
from ngdiff.errors import InputError
from ngdiff.speed import checks
from ngdiff.speed.checks import difference_if_fused
from ngdiff.speed.fused_kernels import FUSED_LOSSES, load_kernel
from ngdiff.speed.fused_loss import FusedLinearCrossEntropy

from .models import SMALL, VOCABULARY
from .passes import quick

CONFIGS = {
    "llama": LlamaConfig(**SMALL),
    "gpt2: tied": GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64,
                             bos_token_id=1, eos_token_id=2, pad_token_id=0, initializer_range=0.2),
    "gemma2: soft-capped logits": Gemma2Config(**SMALL, head_dim=8,
                                               final_logit_softcapping=2.0),
    "granite: logits divided": GraniteConfig(**SMALL, logits_scaling=4.0),
    "cohere: logits multiplied": CohereConfig(**SMALL, logit_scale=0.25),
    "phi: a bias": PhiConfig(**{**SMALL, "num_key_value_heads": 4}),
}  # fmt: skip


def plain(hidden, weight, labels, bias=None, softcap=None) -> torch.Tensor:
    logits = nn.functional.linear(hidden, weight, bias)
    logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
    return nn.functional.cross_entropy(logits, labels, reduction="none")


class FirstFactorOnly(torch.autograd.Function):
    """Multiplies all gradients by that of the first token, as liger-kernel did before 0.8.2."""

    @staticmethod
    def forward(ctx, nll):
        return nll.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient[:1].expand_as(gradient)


@pytest.fixture
def libraries(monkeypatch):
    """Stand-ins for both; `calls` holds the options of every call, `change` may change the losses."""
    made = types.SimpleNamespace(calls=[], change=lambda nll: nll)

    def cce(
        e, c, targets, ignore_index=-100, softcap=None, reduction="mean", shift=False, filter_eps="high", impl="cce"
    ):
        made.calls.append(
            {"reduction": reduction, "filter_eps": filter_eps, "impl": impl, "dtypes": (e.dtype, c.dtype)}
        )
        return made.change(plain(e, c, targets, softcap=softcap))

    def liger(input, weight, target, bias=None, ce_weight=None, ignore_index=-100, reduction="mean", softcap=None,
              accum_dtype=None):  # fmt: skip
        made.calls.append({"reduction": reduction})
        return made.change(plain(input, weight, target, bias, softcap))

    for name, function, attribute in (
        ("cut_cross_entropy", cce, "linear_cross_entropy"),
        ("liger_kernel.transformers.functional", liger, "liger_fused_linear_cross_entropy"),
    ):
        parts = name.split(".")
        for i in range(1, len(parts) + 1):
            monkeypatch.setitem(sys.modules, ".".join(parts[:i]), types.ModuleType(".".join(parts[:i])))
        setattr(sys.modules[name], attribute, function)
    return made


def build(config, dtype=torch.float32) -> nn.Module:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(copy.deepcopy(config), dtype=dtype).eval()
    head = model.get_output_embeddings()
    if head.bias is not None:
        nn.init.normal_(head.bias)
    return model


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(3, VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(1))
    labels, mask = ids.clone(), torch.ones_like(ids)
    labels[:, :4] = IGNORED
    labels[1, 9:], mask[1, 9:] = IGNORED, 0
    labels[2, :] = IGNORED
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def assert_same_step(model, batch, fused, *, packing=False) -> None:
    """Losses, and gradients of a sum in which tokens count differently."""
    results = []
    for fused_loss in (None, fused):
        model.zero_grad()
        answers = quick(model, batch, packing=packing, fused_loss=fused_loss)
        (answers.nll * torch.arange(1, len(answers.nll) + 1) / len(answers.nll)).sum().backward()
        results.append((answers.nll.detach(), [p.grad for p in model.parameters()]))
    (losses, gradients), (found, found_gradients) = results
    torch.testing.assert_close(found, losses, rtol=1e-6, atol=1e-6)
    expected = torch.cat([g.flatten() for g in gradients])
    assert float((torch.cat([g.flatten() for g in found_gradients]) - expected).norm()) <= 1e-6 * expected.norm()


def fused_cases():
    return [(kernel, name) for kernel in FUSED_LOSSES for name in CONFIGS if (kernel, name) != ("cce", "phi: a bias")]


@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize(("kernel", "name"), fused_cases())
def test_losses_and_gradients_are_those_of_the_plain_path(kernel, name, packing, batch, libraries):
    model, fused = build(CONFIGS[name]), FusedLinearCrossEntropy(load_kernel(kernel))
    assert_same_step(model, batch, fused, packing=packing)
    assert difference_if_fused(model, batch, fused) == ""
    assert libraries.calls
    assert all(call["reduction"] == "none" for call in libraries.calls)
    if kernel == "cce":
        assert all(call["filter_eps"] is None and call["impl"] == "torch_compile" for call in libraries.calls)


@pytest.mark.slow  # it is compiled
@pytest.mark.skipif(importlib.util.find_spec("cut_cross_entropy") is None, reason="cut-cross-entropy is not installed")
@pytest.mark.filterwarnings("ignore")  # those of torch.compile
@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "phi: a bias"])
def test_cut_cross_entropy_itself(name, batch):
    model, fused = build(CONFIGS[name]), FusedLinearCrossEntropy(load_kernel("cce"))
    assert_same_step(model, batch, fused)
    assert difference_if_fused(model, batch, fused) == ""


@pytest.mark.parametrize("kernel", FUSED_LOSSES)
def test_no_logits_are_computed(kernel, batch, libraries):
    model = build(CONFIGS["llama"])
    shapes = []
    model.lm_head.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape)))
    answers = quick(model, batch, {"head_input"}, fused_loss=FusedLinearCrossEntropy(load_kernel(kernel)))
    assert shapes == [(1, 0, VOCABULARY)]
    assert answers.logits is None
    assert answers.hidden.shape == (len(answers.nll), 32)


def test_where_logits_are_needed_or_nothing_is_learned_the_plain_path_is_taken(batch, libraries):
    model, fused = build(CONFIGS["llama"]), FusedLinearCrossEntropy(load_kernel("cce"))
    assert quick(model, batch, {"logits"}, fused_loss=fused).logits is not None
    batch["labels"].fill_(IGNORED)
    nothing = quick(model, batch, fused_loss=fused).nll
    nothing.sum().backward()  # several processes wait for a gradient of every weight
    assert all(p.grad is not None for p in model.parameters())
    assert not libraries.calls
    assert difference_if_fused(model, batch, fused) == ""  # with labels of its own


def test_precision_is_that_of_the_head(batch, libraries):
    model, fused = build(CONFIGS["llama"], torch.bfloat16), FusedLinearCrossEntropy(load_kernel("cce"))
    assert quick(model, batch, fused_loss=fused).nll.dtype == torch.float32
    assert difference_if_fused(model, batch, fused) == ""
    with torch.autocast("cpu", torch.bfloat16):
        assert difference_if_fused(build(CONFIGS["llama"]), batch, fused) == ""
    assert {call["dtypes"] for call in libraries.calls} == {(torch.bfloat16, torch.bfloat16)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda nll: 1.01 * nll, "a loss differs by"),
        (FirstFactorOnly.apply, "the gradient of the head's input differs by"),
        (lambda nll: nll[:2], "RuntimeError: The size of tensor a"),
    ],
    ids=["other losses", "one factor for all", "fewer losses"],
)
def test_a_kernel_that_says_something_else_is_found(change, says, batch, libraries):
    libraries.change = change
    found = difference_if_fused(build(CONFIGS["llama"]), batch, FusedLinearCrossEntropy(load_kernel("liger")))
    assert found.startswith(says)


def test_a_head_that_the_kernel_cannot_compute_is_found(batch, libraries, monkeypatch):
    fused = FusedLinearCrossEntropy(load_kernel("cce"))
    assert difference_if_fused(build(CONFIGS["phi: a bias"]), batch, fused).startswith("ValueError: cut-cross-")
    model = build(CONFIGS["llama"])
    model.lm_head = nn.Sequential(model.lm_head)
    assert difference_if_fused(model, batch, fused) == "the output head is a Sequential"
    model = build(CONFIGS["llama"])
    model.config.final_logit_softcapping = 2.0  # says so, and does not
    assert "a loss differs by" in difference_if_fused(model, batch, fused)
    monkeypatch.setattr(checks, "is_sharded", lambda parameter: parameter.ndim == 2)
    assert difference_if_fused(build(CONFIGS["llama"]), batch, fused).startswith("weights are sharded")


class Centred(LlamaForCausalLM):
    """Takes the mean over positions off its logits."""

    def forward(self, **inputs):
        output = super().forward(**inputs)
        output.logits = output.logits - output.logits.mean(1, keepdim=True)
        return output


def test_a_model_whose_logits_depend_on_each_other_is_found(batch, libraries):
    torch.manual_seed(0)
    model = Centred(CONFIGS["llama"]).eval()
    found = difference_if_fused(model, batch, FusedLinearCrossEntropy(load_kernel("cce")))
    assert found.startswith("a loss differs by")


def test_rows_without_labels_are_compared_too(batch):
    def refuses(*_: object) -> torch.Tensor:
        raise ValueError("a soft cap")

    unlabelled = {**batch, "labels": torch.full_like(batch["labels"], IGNORED)}
    fused = FusedLinearCrossEntropy(refuses)
    assert difference_if_fused(build(CONFIGS["llama"]), unlabelled, fused) == "ValueError: a soft cap"
    one_token = {name: values[:, :1] for name, values in unlabelled.items()}
    assert difference_if_fused(build(CONFIGS["llama"]), one_token, fused) == "there is no token to compare"


def test_a_frozen_head(batch, libraries):
    model = build(CONFIGS["llama"])
    model.lm_head.requires_grad_(requires_grad=False)
    assert difference_if_fused(model, batch, FusedLinearCrossEntropy(load_kernel("liger"))) == ""


@pytest.mark.parametrize("kernel", FUSED_LOSSES)
def test_a_missing_package_is_named(kernel, monkeypatch):
    for module in ("cut_cross_entropy", "liger_kernel"):
        monkeypatch.setitem(sys.modules, module, None)
    row = FUSED_LOSSES[kernel]
    with pytest.raises(
        InputError, match=rf"--fused-loss {kernel}: needs the package {row.package}.*ngdiff\[{kernel}\]"
    ):
        load_kernel(kernel)


def test_an_unknown_name():
    with pytest.raises(InputError, match="--fused-loss apex is not known; one of none, cce, liger"):
        load_kernel("apex")
