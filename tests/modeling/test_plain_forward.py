"""The plain forward pass against token by token."""

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, Gemma2Config, GPT2Config, LlamaConfig

from ngdiff.data import AnswerCollator
from ngdiff.data.collate import LabelPositions
from ngdiff.modeling.plain_forward import forward_answers

from ..tiny import SIZES, TOKENS

_SMALL = {**SIZES, **TOKENS, "vocab_size": 50, "intermediate_size": 48, "initializer_range": 0.3}
CONFIGS = {
    "llama": LlamaConfig(**_SMALL),
    "gemma2: soft-capped logits": Gemma2Config(**_SMALL, head_dim=8, final_logit_softcapping=2.0),
    "gpt2: tied": GPT2Config(vocab_size=50, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.3),
}
ROWS = [
    {"input_ids": [5, 6, 7, 8, 9, 3], "labels": [-100, -100, 7, -100, 9, 3]},
    {"input_ids": [9, 8], "labels": [9, 8]},  # nothing comes before its first token
    {"input_ids": [4, 4, 4], "labels": [-100, -100, -100]},
]


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(CONFIGS[name]).double().eval()


@pytest.mark.parametrize("places", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_losses_and_gradients_are_those_of_one_row_at_a_time(name, places):
    model = build(name)
    expected = []
    for row in ROWS:
        logits = model(input_ids=torch.tensor([row["input_ids"]]), use_cache=False).logits[0].double()
        expected += [
            -logits[t - 1].log_softmax(-1)[label] for t, label in enumerate(row["labels"]) if label != -100 and t
        ]
    torch.stack(expected).sum().backward()
    gradients = {n: p.grad for n, p in model.named_parameters()}
    model.zero_grad()
    batch = (LabelPositions(AnswerCollator(0)) if places else AnswerCollator(0))(ROWS)
    answers = forward_answers(model, batch, {"logits", "head_input"})
    torch.testing.assert_close(answers.nll, torch.stack(expected), rtol=1e-6, atol=1e-6)
    assert (answers.row.tolist(), answers.rows, answers.labels.tolist()) == ([0, 0, 0, 1], 3, [7, 9, 3, 8])
    assert answers.logits.shape == (4, 50)
    assert answers.hidden.shape == (4, 32)
    answers.nll.sum().backward()
    for n, p in model.named_parameters():
        torch.testing.assert_close(p.grad, gradients[n], rtol=1e-5, atol=1e-6)


def test_hidden_states_are_those_of_the_layer():
    model = build("llama")
    batch = AnswerCollator(0)(ROWS)
    found = forward_answers(model, batch, {"hidden"}, layer=1).hidden
    states = model(**batch, output_hidden_states=True).hidden_states[1]
    torch.testing.assert_close(found, states[[0, 0, 0, 1], [1, 3, 4, 0]])


def test_what_a_head_is_given_is_seen_without_a_trace():
    model = build("llama")
    batch = AnswerCollator(0)(ROWS)
    states = model.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    found = forward_answers(model, batch, {"head_input"}).hidden
    torch.testing.assert_close(found, states[[0, 0, 0, 1], [1, 3, 4, 0]])
    assert not model.lm_head._forward_pre_hooks
