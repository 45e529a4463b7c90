"""Losses of answer tokens alone against the plain pass, for models that treat their logits in different ways."""

import copy
import pickle

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
from transformers.modeling_outputs import CausalLMOutputWithPast

from ngdiff.modeling.head import depends_on_length
from ngdiff.speed.checks import difference_if_cut
from ngdiff.speed.token_loss import cross_entropy_in_place

from .models import SMALL, VOCABULARY
from .passes import quick

_SMALL = {**SMALL, "initializer_range": 0.3}
CONFIGS = {
    "llama": LlamaConfig(**_SMALL),
    "llama, tied": LlamaConfig(**_SMALL, tie_word_embeddings=True),
    "gemma2: soft-capped logits": Gemma2Config(**_SMALL, head_dim=8, final_logit_softcapping=2.0),
    "granite: logits divided": GraniteConfig(**_SMALL, logits_scaling=4.0),
    "cohere: logits multiplied": CohereConfig(**_SMALL, logit_scale=0.25),
    "gpt2: tied": GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64,
                             bos_token_id=1, eos_token_id=2, pad_token_id=0, initializer_range=0.3),
    "phi: a bias": PhiConfig(**{**_SMALL, "num_key_value_heads": 4}),
}  # fmt: skip


def build(config) -> nn.Module:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).double().eval()
    head = model.get_output_embeddings()
    if getattr(head, "bias", None) is not None:
        nn.init.normal_(head.bias)
    return model


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    ids = torch.randint(3, VOCABULARY, (3, 12), generator=g)
    labels, mask = ids.clone(), torch.ones_like(ids)
    labels[:, :4] = -100
    labels[1, 9:], mask[1, 9:] = -100, 0
    labels[2, :] = -100  # a row without any answer
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def twin(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Row by row, token by token, from the logits of the model's own forward pass."""
    values = []
    for ids, mask, labels in zip(*(batch[k] for k in ("input_ids", "attention_mask", "labels")), strict=True):
        length = int(mask.sum())
        logits = model(input_ids=ids[None, :length], use_cache=False).logits[0].double()
        values += [
            -logits[t - 1].log_softmax(-1)[labels[t]] for t in range(1, length) if labels[t] != -100
        ]  # fmt: skip
    return torch.stack(values)


@pytest.mark.parametrize("name", CONFIGS)
def test_losses_and_gradients_are_those_of_the_plain_pass(name, batch):
    model = build(CONFIGS[name])
    expected = twin(model, batch)
    expected.sum().backward()
    gradients = {n: p.grad for n, p in model.named_parameters()}
    for cut in (True, False):
        model.zero_grad()
        answers = quick(model, batch, {"logits", "head_input"}, cut=cut)
        torch.testing.assert_close(answers.nll, expected, rtol=1e-6, atol=1e-6)
        assert answers.logits.shape == (len(expected), VOCABULARY)
        assert answers.hidden.shape == (len(expected), 32)
        answers.nll.sum().backward()
        for n, p in model.named_parameters():
            torch.testing.assert_close(p.grad, gradients[n], rtol=1e-5, atol=1e-6)
    assert difference_if_cut(model, batch) == ""


def test_only_answer_positions_reach_the_head(batch):
    model = build(CONFIGS["llama"])
    shapes = []
    model.lm_head.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape)))
    count = len(quick(model, batch).nll)
    assert shapes == [(1, count, VOCABULARY)]
    model(**batch)
    assert shapes[-1] == (3, 12, VOCABULARY), "outside of the pass the head is what it was"


class Centred(LlamaForCausalLM):
    """Takes the mean over positions off its logits."""

    def forward(self, **inputs) -> CausalLMOutputWithPast:
        output = super().forward(**inputs)
        output.logits = output.logits - output.logits.mean(1, keepdim=True)
        return output


class Reshaped(LlamaForCausalLM):
    """Wants logits of every position."""

    def forward(self, input_ids=None, **inputs) -> CausalLMOutputWithPast:
        output = super().forward(input_ids=input_ids, **inputs)
        output.logits = output.logits.reshape(*input_ids.shape, -1, 2).flatten(2)
        return output


@pytest.mark.parametrize(("kind", "says"), [(Centred, "a loss differs by"), (Reshaped, "RuntimeError: ")])
def test_a_model_that_would_say_something_else_is_found(kind, says, batch):
    torch.manual_seed(0)
    model = kind(CONFIGS["llama"]).eval()
    assert difference_if_cut(model, batch).startswith(says)
    expected = model(**{k: v for k, v in batch.items() if k != "labels"}).logits[:, :-1].log_softmax(-1)
    labelled = batch["labels"][:, 1:] != -100
    expected = -expected[labelled].gather(1, batch["labels"][:, 1:][labelled][:, None])[:, 0]
    torch.testing.assert_close(quick(model, batch, cut=False).nll, expected)


def test_a_batch_without_labels_says_nothing(batch):
    batch["labels"].fill_(-100)
    assert difference_if_cut(build(CONFIGS["llama"]), batch) == ""


def test_models_can_still_be_copied_and_pickled(batch):
    model = build(CONFIGS["llama"])
    expected = quick(model, batch).nll
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301 - our own bytes
        for _ in range(2):
            assert torch.equal(quick(other, batch).nll, expected)
    assert torch.equal(quick(model, batch).nll, expected)


# dynamo asks the hidden states that enter its second graph for their gradient
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_a_compiled_model_sees_the_labels_of_each_batch(batch):
    """Compiled once for a shape: a later batch with other labels must not get the selection of the first."""
    torch._dynamo.reset()
    model = build(CONFIGS["llama"])
    compiled = torch.compile(model, backend="eager")
    other = {**batch, "labels": batch["labels"].roll(1, 0)}
    later = {**batch, "labels": batch["input_ids"].clone()}
    compiled(**{k: v for k, v in batch.items() if k != "labels"})  # compiled before there was a selection
    for one in (batch, other, later):
        torch.testing.assert_close(quick(compiled, one).nll, quick(model, one).nll)
    compilations = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for one in (batch, other, later):
        quick(compiled, one)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == compilations


@pytest.mark.parametrize("needs", [set(), {"logits"}, {"head_input"}])
def test_logits_are_spent_where_nobody_asks_for_them(needs, batch, monkeypatch):
    model, calls = build(CONFIGS["llama"]), []

    def spy(logits, labels):
        calls.append(logits.shape)
        return cross_entropy_in_place(logits, labels)

    monkeypatch.setattr("ngdiff.speed.forward.cross_entropy_in_place", spy)
    answers = quick(model, batch, needs)
    assert calls == ([] if needs else [(len(answers.nll), VOCABULARY)])
    plain = nn.functional.cross_entropy(quick(model, batch, {"logits"}).logits, answers.labels, reduction="none")
    assert torch.allclose(answers.nll, plain, rtol=1e-12)


def test_a_head_that_passes_its_input_on(batch):
    """Logits and the head's input are the same memory; whoever asks for the input finds it as it was."""
    model = build(LlamaConfig(**{**_SMALL, "vocab_size": 32}))
    model.set_output_embeddings(nn.Identity())
    batch = {name: values.clamp(max=31) for name, values in batch.items()}
    with torch.no_grad():
        states = model.model(**{k: batch[k] for k in ("input_ids", "attention_mask")}).last_hidden_state[:, :-1]
        found = quick(model, batch, {"head_input"}).hidden
    assert torch.allclose(found, states[batch["labels"][:, 1:] != -100])


def test_positions_that_depend_on_the_longest_are_known():
    def rope(**options):
        return LlamaForCausalLM(LlamaConfig(**_SMALL, rope_parameters={"rope_theta": 1e4, **options}))

    assert not depends_on_length(build(CONFIGS["llama"]))
    assert not depends_on_length(rope(rope_type="linear", factor=2.0))
    assert depends_on_length(rope(rope_type="dynamic", factor=2.0))
    assert not depends_on_length(nn.Linear(2, 2))
