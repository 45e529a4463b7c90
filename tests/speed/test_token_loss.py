"""Token losses in the place of their logits, against cross-entropy."""

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from ngdiff.speed import token_loss
from ngdiff.speed.token_loss import cross_entropy_in_place

HEADS = {
    "linear": lambda z: z,
    "view": lambda z: z[None].squeeze(0),
    "soft cap": lambda z: 3.0 * torch.tanh(z / 3.0),
    "scale": lambda z: z / 7.0,
    "bias": lambda z: z + torch.arange(z.shape[1], dtype=z.dtype) / z.shape[1],
    "tanh, which needs its result": torch.tanh,
    "a view of tanh": lambda z: torch.tanh(z)[None].squeeze(0),
    "relu, which needs its result": torch.relu,
}


def case(tokens: int, words: int, dtype: torch.dtype = torch.float64, scale: float = 1.0):
    g = torch.Generator().manual_seed(tokens * 1000 + words)
    hidden, weight = (
        (scale * torch.randn(n, 6, generator=g, dtype=torch.float64)).to(dtype).requires_grad_()
        for n in (tokens, words)
    )
    return hidden, weight, torch.randint(words, (tokens,), generator=g), torch.rand(tokens, generator=g).to(dtype)


@pytest.mark.parametrize("chunk", [1, 100, 1 << 18])
@pytest.mark.parametrize("tokens", [0, 1, 33])
@pytest.mark.parametrize("head", HEADS)
def test_losses_and_gradients_are_those_of_cross_entropy(head, tokens, chunk, monkeypatch):
    monkeypatch.setattr(token_loss, "_CHUNK", chunk)
    hidden, weight, labels, factors = case(tokens, 50)
    found = []
    for losses in (lambda z: cross_entropy(z, labels, reduction="none"), lambda z: cross_entropy_in_place(z, labels)):
        nll = losses(HEADS[head](linear(hidden, weight)))
        found.append((nll, *torch.autograd.grad((factors * nll).sum(), (hidden, weight))))
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-14)


def test_a_loss_near_zero_keeps_its_digits():
    """A model that recites: the difference of two numbers near 30 would be off by 2e-6."""
    logits = torch.zeros(3, 1000)
    logits[:, 7] = torch.tensor([18.0, 22.0, 30.0])
    exact = cross_entropy(logits.double(), torch.tensor([7] * 3), reduction="none")
    assert exact[2] < 1e-9
    found = cross_entropy_in_place(logits.clone(), torch.tensor([7] * 3)).double()
    plain = cross_entropy(logits, torch.tensor([7] * 3), reduction="none").double()
    assert (found - exact).abs().max() <= (plain - exact).abs().max() < 1e-6


def test_words_that_cannot_be_said():
    logits = torch.tensor([[0.0, -torch.inf, 1.0], [-torch.inf, 2.0, -torch.inf]], requires_grad=True)
    nll = cross_entropy_in_place(1.0 * logits, torch.tensor([2, 0]))
    assert nll.tolist() == pytest.approx([0.31326166, torch.inf])
    nll[:1].sum().backward()
    assert logits.grad[0].tolist() == pytest.approx([0.26894143, 0.0, -0.26894143])


def test_the_gradient_lies_where_the_logits_were():
    hidden, weight, labels, _ = case(5, 40, torch.float32)
    logits, seen = linear(hidden, weight), []
    logits.register_hook(lambda gradient: seen.append(gradient.data_ptr()))
    where = logits.data_ptr()
    cross_entropy_in_place(logits, labels).sum().backward()
    assert seen == [where]


def test_logits_that_are_a_leaf_are_kept():
    logits = torch.randn(4, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
    before = logits.detach().clone()
    cross_entropy_in_place(logits, torch.tensor([1, 2, 3, 4])).sum().backward()
    assert torch.equal(logits, before)
    assert torch.allclose(logits.grad, before.softmax(1) - torch.eye(9)[[1, 2, 3, 4]], atol=1e-6)


def test_a_second_backward_pass_is_refused():
    hidden, weight, labels, _ = case(5, 40)
    loss = cross_entropy_in_place(linear(hidden, weight), labels).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace operation"):
        loss.backward()
