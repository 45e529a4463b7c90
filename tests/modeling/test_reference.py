"""Kept reference quantities against the model that gave them."""

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    GraniteConfig,
    LlamaConfig,
    PhiConfig,
    PreTrainedModel,
)

from ngdiff.data import AnswerCollator
from ngdiff.modeling.plain_forward import forward_answers
from ngdiff.modeling.reference import FrozenHead, ReferenceStore, frozen_head, write_references

from ..tiny import SIZES

collate = AnswerCollator(0)
SMALL = {
    **SIZES,
    "vocab_size": 96,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "initializer_range": 0.5,
}
# What is particular about the way from hidden states to logits -> a configuration.
CONFIGS = {
    "plain": LlamaConfig(**SMALL),
    "tied": GPT2Config(vocab_size=96, n_embd=16, n_layer=1, n_head=2, n_positions=32, initializer_range=0.5),
    "bias": PhiConfig(**{**SMALL, "num_key_value_heads": 2}),
    "soft cap": Gemma2Config(**SMALL, head_dim=8, final_logit_softcapping=2.0),
    "scale": GraniteConfig(**SMALL, logits_scaling=8.0),
    "few choices": LlamaConfig(**{**SMALL, "vocab_size": 12}),
}


@pytest.fixture(params=CONFIGS)
def model(request) -> PreTrainedModel:
    torch.manual_seed(0)
    made = AutoModelForCausalLM.from_config(CONFIGS[request.param]).eval()
    if request.param == "bias":
        torch.nn.init.normal_(made.get_output_embeddings().bias)
    return made


def rows(count: int = 7) -> list[dict[str, list[int]]]:
    g = torch.Generator().manual_seed(1)
    made = []
    for number in range(count):
        length = int(torch.randint(4, 12, (1,), generator=g))
        ids = torch.randint(3, 12, (length,), generator=g).tolist()
        labels = [-100] * 2 + ids[2:] if number != 3 else [-100] * length  # one row has no answer
        made.append({"input_ids": ids, "labels": labels, "row_id": number})
    return made


def write(folder, model, made, *, log_probs=True, size=3):
    batches = [collate(made[start : start + size]) for start in range(0, len(made), size)]
    write_references(folder, "retain", model, batches, forward_answers, log_probs=log_probs)
    return ReferenceStore(folder, "retain")


def test_what_is_read_is_what_the_model_said(tmp_path, model):
    made = rows()
    store = write(tmp_path, model, made)
    with torch.no_grad():
        for chosen in ([0], [5, 3, 1], [3]):
            found = store.of(chosen, torch.device("cpu"))
            batch = collate([made[i] for i in chosen])
            whole = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
            labels = batch["labels"][:, 1:]
            expected = whole[labels != -100].float().log_softmax(-1)
            torch.testing.assert_close(found.log_probs, expected, rtol=0, atol=2e-5)
            nll = -expected.gather(1, labels[labels != -100][:, None])[:, 0]
            torch.testing.assert_close(found.nll, nll, rtol=0, atol=2e-5)


def test_the_kept_head_does_not_move_with_the_model(tmp_path, model):
    store = write(tmp_path, model, rows())
    before = store.of([0, 1], torch.device("cpu")).log_probs
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert torch.equal(store.of([0, 1], torch.device("cpu")).log_probs, before)
    assert torch.equal(ReferenceStore(tmp_path, "retain").of([0, 1], torch.device("cpu")).log_probs, before)


def test_hidden_states_are_kept_where_there_are_more_choices_than_they_are_wide(tmp_path, model):
    write(tmp_path, model, rows())
    assert (tmp_path / "head.safetensors").exists() is (model.config.vocab_size > 16)


def test_token_losses_alone_need_no_head(tmp_path, model):
    store = write(tmp_path, model, rows(), log_probs=False)
    assert store.of([0], torch.device("cpu")).log_probs is None
    assert not (tmp_path / "head.safetensors").exists()
    assert (len(store), 6 in store, 7 in store) == (7, True, False)


def test_half_precision_models_keep_their_own_digits(tmp_path):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS["plain"]).to(torch.bfloat16).eval()
    made = rows()
    found = write(tmp_path, model, made).of([0], torch.device("cpu")).log_probs
    with torch.no_grad():
        expected = forward_answers(model, collate([made[0]]), frozenset({"logits"})).logits.log_softmax(-1)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-2)


class Cubed(torch.nn.Linear):
    """A head that does more than a linear layer."""

    def forward(self, hidden):
        return super().forward(hidden) ** 3


@pytest.mark.parametrize(
    "head", [Cubed(16, 96, bias=False), torch.nn.Sequential(torch.nn.Linear(16, 96))], ids=["cubed", "two modules"]
)
def test_logits_are_kept_where_the_head_is_not_one_linear_layer(tmp_path, head):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS["plain"]).eval()
    model.set_output_embeddings(head)
    made = rows()
    found = write(tmp_path, model, made).of([0, 2], torch.device("cpu")).log_probs
    with torch.no_grad():
        batch = collate([made[0], made[2]])
        expected = forward_answers(model, batch, frozenset({"logits"})).logits.log_softmax(-1)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)
    assert not (tmp_path / "head.safetensors").exists()


def test_a_frozen_head_is_a_copy_only_where_it_is_trained():
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS["plain"])
    weight = model.get_output_embeddings().weight
    assert frozen_head(model).weight.data_ptr() != weight.data_ptr()
    weight.requires_grad_(False)
    assert frozen_head(model).weight.data_ptr() == weight.data_ptr()


def test_soft_cap_and_scale():
    head = FrozenHead(torch.eye(2), soft_cap=2.0, scale=0.5)
    hidden = torch.tensor([[8.0, -2.0]])
    expected = (2 * torch.tanh(torch.tensor([[4.0, -1.0]]) / 2)).log_softmax(-1)
    torch.testing.assert_close(head.log_probs(hidden), expected)


def test_answers_do_not_depend_on_padding_or_batch(model):
    made = rows()
    needs = frozenset({"logits", "hidden"})
    with torch.no_grad():
        whole = forward_answers(model, collate(made), needs, layer=1)
        for i, row in enumerate(made):
            alone = forward_answers(model, collate([row]), needs, layer=1)
            mine = whole.row == i
            for name in ("nll", "logits", "hidden", "labels"):
                torch.testing.assert_close(getattr(whole, name)[mine], getattr(alone, name), rtol=1e-5, atol=2e-5)
