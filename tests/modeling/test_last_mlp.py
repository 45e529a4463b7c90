"""The last layer's feed-forward part at answer tokens alone: the same losses and gradients as in full."""

import pytest
import torch
from torch import nn
from transformers import FalconConfig, LlamaForCausalLM, PhiConfig

from ngdiff.modeling.answers import forward_answers
from ngdiff.modeling.checks import says_the_same_when_narrowed
from ngdiff.modeling.last_mlp import last_mlp

from .test_packing import CONFIGS, LEAKING, VOCABULARY, assert_close, batch, build  # noqa: F401
from .test_row_attention import _SMALL, CHECKPOINTING

MODELS = {
    **CONFIGS,
    "phi: attention beside the rest": PhiConfig(**_SMALL),
    "falcon": FalconConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4),
}


@pytest.mark.parametrize(
    ("name", "packing"), [*((name, False) for name in MODELS), *((name, True) for name in MODELS if name != "falcon")]
)
def test_answers_and_gradients_are_those_of_the_whole(name, packing, batch):  # noqa: F811
    model = build(MODELS[name])
    mlp = last_mlp(model)
    seen, results = [], []
    mlp.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[1]))
    for narrow in (None, mlp):
        model.zero_grad()
        answers = forward_answers(model, batch, {"logits", "hidden"}, layer=2, mlp=narrow, packing=packing)
        (answers.nll * torch.arange(1, len(answers.nll) + 1) / len(answers.nll)).sum().backward()
        results.append((answers, torch.cat([p.grad.flatten() for p in model.parameters()])))
    (plain, expected), (found, gradient) = results
    for what, tolerance in (("nll", 1e-6), ("logits", 2e-6), ("hidden", 2e-6)):
        assert_close(getattr(found, what), getattr(plain, what), tolerance)
    assert (gradient - expected).norm() <= 1e-6 * expected.norm()
    assert says_the_same_when_narrowed(model.eval(), batch, mlp) == ""


def test_only_labelled_positions_are_computed(batch):  # noqa: F811
    model = build(CONFIGS["llama"])
    first, last = (layer.mlp for layer in model.model.layers)
    assert last_mlp(model) is last
    seen = {}
    for mlp in (first, last):
        mlp.gate_proj.register_forward_pre_hook(lambda module, inputs: seen.update({module: inputs[0].shape[:2]}))
    labelled = int((batch["labels"][:, 1:] != -100).sum())
    forward_answers(model, batch, mlp=last)
    assert list(seen.values()) == [batch["input_ids"].shape, (1, labelled)]
    model(input_ids=batch["input_ids"])
    assert list(seen.values()) == [batch["input_ids"].shape] * 2, "nothing is left out afterwards"


def test_a_layer_that_is_run_again_is_left_whole(batch):  # noqa: F811
    model = build(CONFIGS["llama"])
    getattr(model, f"{CHECKPOINTING}_enable")()
    assert last_mlp(model) is None


def test_a_model_without_such_a_part(batch):  # noqa: F811
    assert last_mlp(build(LEAKING["mamba: a state"])) is None
    assert last_mlp(nn.Linear(2, 2)) is None


class Neighbourly(nn.Module):
    """Looks at the token before."""

    def forward(self, hidden):
        return hidden + hidden.roll(1, dims=1)


def test_what_looks_at_other_tokens_is_found(batch):  # noqa: F811
    torch.manual_seed(0)
    model = LlamaForCausalLM(CONFIGS["llama"]).eval()
    model.model.layers[-1].mlp = Neighbourly()
    assert "differs" in says_the_same_when_narrowed(model, batch, last_mlp(model))
