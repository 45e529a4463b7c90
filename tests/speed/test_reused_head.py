"""Losses of the head in memory that is used again: against torch's own, and that the memory is not shared."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, linear
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from ngdiff.speed.checks import has_no_observers
from ngdiff.speed.cpu.reused_head import BufferPool, ReusedHead
from ngdiff.speed.fused_loss import FusedLinearCrossEntropy

from .passes import quick

WORDS, WIDTH = 40, 6
_LLAMA = LlamaConfig(vocab_size=WORDS, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2)


def case(tokens: int, seed: int = 0, *, bias: bool = False, dtype: torch.dtype = torch.float64):
    g = torch.Generator().manual_seed(seed)
    hidden, weight = (
        torch.randn(n, WIDTH, generator=g, dtype=torch.float64).to(dtype).requires_grad_() for n in (tokens, WORDS)
    )
    offset = torch.randn(WORDS, generator=g, dtype=torch.float64).to(dtype).requires_grad_() if bias else None
    return hidden, weight, torch.randint(WORDS, (tokens,), generator=g), offset


def expected(hidden, weight, labels, bias, factors):
    nll = cross_entropy(linear(hidden, weight, bias), labels, reduction="none")
    inputs = [t for t in (hidden, weight, bias) if t is not None]
    return nll, *torch.autograd.grad((factors * nll).sum(), inputs)


@pytest.mark.parametrize("bias", [False, True])
def test_losses_and_gradients_are_those_of_cross_entropy_pass_after_pass(bias):
    head = ReusedHead()
    for seed, tokens in enumerate([5, 33, 1, 20]):
        hidden, weight, labels, offset = case(tokens, seed, bias=bias)
        factors = torch.rand(tokens, dtype=torch.float64)
        wanted = expected(hidden, weight, labels, offset, factors)
        nll = head(hidden, weight, labels, offset, None)
        (factors * nll).sum().backward()
        found = [nll, hidden.grad, weight.grad, *([offset.grad] if bias else [])]
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)
        del nll, hidden, weight, found, one
    assert len(head._blocks) == 2  # logits, and the gradient of the weight


def test_a_gradient_that_somebody_holds_is_not_written_over():
    head, kept, wanted = ReusedHead(), [], []
    for seed in range(4):
        hidden, weight, labels, _ = case(7, seed)
        head(hidden, weight, labels, None, None).sum().backward()
        kept.append(weight.grad.view(-1)[3:])  # of the tensor a view alone
        wanted.append(expected(hidden, weight, labels, None, 1.0)[2].view(-1)[3:])
    for one, other in zip(kept, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_two_graphs_at_once():
    head, cases = ReusedHead(), [case(7, seed) for seed in range(3)]
    losses = [head(hidden, weight, labels, None, None) for hidden, weight, labels, _ in cases]
    for (hidden, weight, labels, _), nll in zip(cases, losses, strict=True):
        nll.sum().backward()
        torch.testing.assert_close(weight.grad, expected(hidden, weight, labels, None, 1.0)[2])


def test_a_second_backward_pass_is_refused_as_the_first_has_taken_the_memory():
    hidden, weight, labels, _ = case(7)
    loss = ReusedHead()(hidden, weight, labels, None, None).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace"):
        loss.backward()


def test_a_frozen_head_gets_no_gradient():
    hidden, weight, labels, _ = case(7)
    head = ReusedHead()
    head(hidden, weight.detach(), labels, None, None).sum().backward()
    torch.testing.assert_close(hidden.grad, expected(hidden, weight, labels, None, 1.0)[1])
    assert len(head._blocks) == 1


@pytest.mark.parametrize(("dtype", "soft_cap"), [(torch.bfloat16, None), (torch.float32, 30.0)])
def test_what_it_does_not_know_is_refused(dtype, soft_cap):
    hidden, weight, labels, _ = case(3, dtype=dtype)
    with pytest.raises(ValueError, match="logits in"):
        ReusedHead()(hidden, weight, labels, None, soft_cap)


def test_blocks_are_used_again_and_grow():
    blocks = BufferPool()
    small = blocks.empty((3, 5), torch.float32)
    place = small.data_ptr()
    assert place % 64 == 0
    part = small[1:]
    del small
    other = blocks.empty((2,), torch.float64)
    assert len(blocks) == 2  # a view is left of the first
    del part
    assert blocks.empty((15,), torch.float32).data_ptr() == place
    assert len(blocks) == 2
    large = blocks.empty((100, 100), torch.float32)
    assert len(blocks) == 2  # in the place of the one that was free
    assert (large.shape, other.shape) == ((100, 100), (2,))


def test_nobody_else_may_look_at_the_head():
    model = LlamaForCausalLM(_LLAMA)
    ids = torch.tensor([[3, 4, 5]])
    quick(model, {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids})
    assert has_no_observers(model.lm_head)  # our own hook does not count
    for register in (
        lambda head: head.register_forward_pre_hook(lambda *_: None),
        lambda head: head.register_forward_hook(lambda *_: None),
        lambda head: head.register_full_backward_hook(lambda *_: None),
        lambda head: head.register_full_backward_pre_hook(lambda *_: None),
        lambda head: head.weight.register_hook(lambda _: None),
        lambda head: head.weight.register_post_accumulate_grad_hook(lambda _: None),
    ):
        handle = register(model.lm_head)
        assert not has_no_observers(model.lm_head)
        handle.remove()
    assert has_no_observers(model.lm_head)
    assert not has_no_observers(nn.Sequential(model.lm_head))
    assert not has_no_observers(None)


def test_a_process_that_loads_data_gets_none_of_the_memory():
    head = ReusedHead()
    hidden, weight, labels, _ = case(7)
    head(hidden, weight, labels, None, None).sum().backward()
    assert len(head._blocks) == 2
    assert len(copy.deepcopy(head)._blocks) == 0  # a copy is what a pickle would give
    assert len(pickle.dumps(head)) < 300


def test_the_tied_head_of_a_model_learns_from_both_sides():
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=WORDS, n_embd=8, n_layer=1, n_head=2, n_positions=16, bos_token_id=1, eos_token_id=2)
    model = GPT2LMHeadModel(config).double().eval()
    ids = torch.randint(WORDS, (2, 9))
    model(ids).logits[:, :-1].logsumexp(-1).sum().backward()  # so that a gradient is there to be added to
    reference = copy.deepcopy(model)
    for parameter, other in zip(model.parameters(), reference.parameters(), strict=True):
        other.grad = parameter.grad.clone()
    hidden = model.transformer(ids).last_hidden_state[:, :-1].flatten(0, 1)
    FusedLinearCrossEntropy(ReusedHead())(model, hidden, ids[:, 1:].flatten()).sum().backward()
    logits = reference(ids).logits[:, :-1].flatten(0, 1)
    cross_entropy(logits, ids[:, 1:].flatten(), reduction="sum").backward()
    for parameter, other in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad)
