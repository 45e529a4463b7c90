"""Optimizers that a line can and cannot be drawn for, and a small problem that they step in."""

import copy

import torch

LINEAR = {
    "sgd": lambda p: torch.optim.SGD(p, lr=1e-2, weight_decay=0.1),
    "sgd-momentum": lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1),
    "adamw-fused": lambda p: torch.optim.AdamW(p, lr=1e-2, fused=True),
    "adamw-tensor-rate": lambda p: torch.optim.AdamW(p, lr=torch.tensor(1e-2)),
    "amsgrad": lambda p: torch.optim.AdamW(p, lr=1e-2, amsgrad=True),
    "nadam": lambda p: torch.optim.NAdam(p, lr=1e-2),
    "radam": lambda p: torch.optim.RAdam(p, lr=1e-2),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=1e-2),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-2, momentum=0.5),
}
NONLINEAR = {
    "adafactor": (lambda p: torch.optim.Adafactor(p, lr=1e-2), "not proportional to the learning rate"),
    "rprop": (lambda p: torch.optim.Rprop(p, lr=1e-2), "not proportional to the learning rate"),
    "asgd": (lambda p: torch.optim.ASGD(p, lr=1e-2), "depends on the learning rate"),
    "lbfgs": (lambda p: torch.optim.LBFGS(p, lr=1e-2), "needs a closure"),
}


class Problem:
    """A small network with gradients in place, after `warm` steps of its optimizer."""

    def __init__(self, make, dtype=torch.float32, warm: int = 0):
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3)).to(dtype)
        self.optimizer = make(self.net.parameters())
        for step in range(warm + 1):
            self.optimizer.zero_grad()
            torch.manual_seed(step)
            self.net(torch.randn(8, 6, dtype=dtype)).float().square().sum().backward()
            if step < warm:
                self.optimizer.step()

    def snapshot(self):
        state = copy.deepcopy(self.optimizer.state_dict())
        weights = [p.detach().clone() for p in self.net.parameters()]
        return weights, [p.grad.clone() for p in self.net.parameters()], state

    def assert_unchanged(self, before):
        weights, gradients, state = before
        after_weights, after_gradients, after_state = self.snapshot()
        for old, new in zip(weights + gradients, after_weights + after_gradients, strict=True):
            assert torch.equal(old, new)
        assert state["param_groups"] == after_state["param_groups"]
        assert state["state"].keys() == after_state["state"].keys()
        for key, values in state["state"].items():
            assert values.keys() == after_state["state"][key].keys()
            for name, value in values.items():
                other = after_state["state"][key][name]
                assert torch.equal(value, other) if torch.is_tensor(value) else value == other
