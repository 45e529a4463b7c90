"""The last layer's feed-forward part at answer tokens alone: the same losses and gradients as in full."""

import pytest
import torch
from torch import nn
from transformers import FalconConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM, PhiConfig

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


def test_without_labels_the_check_still_compares(batch):  # noqa: F811
    batch["labels"].fill_(-100)
    torch.manual_seed(0)
    model = LlamaForCausalLM(CONFIGS["llama"]).eval()
    model.model.layers[-1].mlp = Neighbourly()
    assert "differs" in says_the_same_when_narrowed(model, batch, last_mlp(model))


def test_experts_of_a_batch_without_labels_get_their_zero_gradient(batch):  # noqa: F811
    """Their weights would be outside the graph else, and other processes would wait for them."""
    torch.manual_seed(0)
    config = MixtralConfig(**{**_SMALL, "num_key_value_heads": 2}, num_local_experts=2, experts_implementation="eager")
    model = MixtralForCausalLM(config)
    batch["labels"].fill_(-100)
    gradients = []
    for mlp in (None, last_mlp(model)):
        model.zero_grad()
        (0.0 * forward_answers(model, batch, mlp=mlp).nll.sum()).backward()
        gradients.append([name for name, p in model.named_parameters() if p.grad is not None])
    assert last_mlp(model) is not None
    assert gradients[0] == gradients[1]
    assert any("layers.1.mlp.experts" in name for name in gradients[1])


def test_the_layers_are_those_of_the_text():
    """As many experts as layers, and a deeper stack of something else."""
    model = MixtralForCausalLM(MixtralConfig(**{**_SMALL, "num_key_value_heads": 2}, num_local_experts=2))
    model.tower = nn.ModuleList(nn.Linear(2, 2) for _ in range(5))
    assert last_mlp(model) is model.model.layers[-1].mlp
