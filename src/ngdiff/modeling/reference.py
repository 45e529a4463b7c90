"""Outputs of the model before unlearning, computed once and kept in files, so that no second model stays in memory.

Token losses are kept unchanged. Log-probabilities of a whole vocabulary are not: for TOFU's 3600 retain rows they
would be 14 GB. Kept instead are the hidden states in front of the output head, some 16 times smaller, and one frozen
copy of the head; the log-probabilities of a batch are computed from them when it comes up. Where there are fewer
choices than the hidden state is wide (image classes), the logits themselves are kept.

Shape legend: S stored tokens of all rows, T those of one batch, H hidden width, V choices, N rows.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ngdiff.core.answers import Answers, Reference
from ngdiff.core.shards import whole
from ngdiff.errors import WriteError
from ngdiff.modeling.head import logit_transform, output_head
from ngdiff.writing import share_file

Forward = Callable[[nn.Module, Mapping[str, Tensor], frozenset[str]], Answers]

_HEAD = "head.safetensors"


class FrozenHead:
    """The output head before unlearning: hidden states -> log-probabilities of all choices.

    Args:
        weight: (V, H).
        bias: (V,) or None.
        soft_cap: c of `c tanh(z / c)`, Gemma's bound of logits; None for none.
        scale: Factor of the logits.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None = None, *, soft_cap: float | None = None, scale: float = 1.0
    ) -> None:
        self.weight, self.bias, self.soft_cap, self.scale = weight, bias, soft_cap, scale

    def log_probs(self, hidden: Tensor) -> Tensor:
        """(T, V) log-probabilities, at least fp32, of hidden states (T, H)."""
        logits = nn.functional.linear(hidden, self.weight, self.bias)
        logits = (logits if logits.dtype == torch.float64 else logits.float()) * self.scale
        if self.soft_cap is not None:
            logits = self.soft_cap * torch.tanh(logits / self.soft_cap)
        return logits.log_softmax(-1)


def frozen_head(model: nn.Module, *, copy: bool = True) -> FrozenHead | None:
    """The model's output head as it is now; None where it has fewer choices than its input is wide, or is more than one
    linear layer.

    Args:
        model: A causal language model, or a classifier.
        copy: Copy the weights, unless they are not trained anyway.
    """
    head = output_head(model)
    if not isinstance(head, nn.Linear) or head.weight.shape[0] <= head.weight.shape[1]:
        return None
    weight = head.weight
    transform = logit_transform(model)

    def kept(tensor: Tensor) -> Tensor:
        full = whole(tensor)
        return full.detach().clone() if copy and tensor.requires_grad else full.detach()

    return FrozenHead(
        kept(weight),
        None if head.bias is None else kept(head.bias),
        soft_cap=transform.soft_cap,
        scale=transform.scale,
    )


@torch.no_grad()
def is_whole_head(head: FrozenHead, answers: Answers) -> bool:
    """Whether a frozen head makes the logits of the model, by one batch; a model may do more than scale and bound them.

    Args:
        head: The head.
        answers: With `logits`, and `hidden` the input of the head.
    """
    assert answers.logits is not None
    assert answers.hidden is not None
    expected = answers.logits.log_softmax(-1)
    found = head.log_probs(answers.hidden)
    tolerance = 1e-4 if answers.hidden.dtype in (torch.float32, torch.float64) else 0.1
    difference = float((found - expected).abs().max()) if expected.numel() else 0.0
    return difference <= tolerance * max(1.0, float(expected.abs().max()) if expected.numel() else 1.0)


class ReferenceStore:
    """Reference quantities of the rows of one set, in a folder of safetensors files.

    Each process writes its own file; all processes read all files. Hidden states stay on disk and are read by row.

    Args:
        folder: Where the files lie.
        name: Of the set, first part of the files' names.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._head: FrozenHead | None = None
        self._states: list[Any] = []
        self._where: dict[int, tuple[int, int, int]] = {}  # row -> file, first token, end
        self._nll: list[Tensor] = []
        for file in sorted(folder.glob(f"{name}-*.safetensors")):
            opened = safe_open(file, framework="pt")
            self._nll.append(opened.get_tensor("nll"))
            self._states.append(opened.get_slice("states") if "states" in opened.keys() else None)  # noqa: SIM118
            ends = opened.get_tensor("count").cumsum(0).tolist()
            for row, start, end in zip(opened.get_tensor("row").tolist(), [0, *ends], ends, strict=False):
                self._where[row] = (len(self._nll) - 1, start, end)
        if (folder / _HEAD).exists():
            self._head = _load_head(folder / _HEAD)

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, row: int) -> bool:
        return row in self._where

    def losses(self, row: int) -> Tensor:
        """Losses of the answer tokens of one row, in nats."""
        file, start, end = self._where[row]
        return self._nll[file][start:end]

    def of(self, rows: Iterable[int], device: torch.device) -> Reference:
        """The outputs for the answer tokens of `rows`, one row after the other.

        Args:
            rows: Numbers of rows in the set; those without an answer have no tokens.
            device: Where the result goes.
        """
        places = [self._where[row] for row in rows]
        nll = [self._nll[file][start:end] for file, start, end in places]
        states = [self._states[file][start:end] for file, start, end in places if self._states[file] is not None]
        log_probs = None
        if states:
            log_probs = self._log_probs(torch.cat(states).to(device))
        return Reference(torch.cat(nll).to(device), log_probs)

    def _log_probs(self, states: Tensor) -> Tensor:
        if self._head is None:
            return states.log_softmax(-1)
        if self._head.weight.device != states.device:
            self._head.weight = self._head.weight.to(states.device)
            self._head.bias = None if self._head.bias is None else self._head.bias.to(states.device)
        return self._head.log_probs(states)


@torch.no_grad()
def write_references(
    folder: Path,
    name: str,
    model: nn.Module,
    batches: Iterable[Mapping[str, Tensor]],
    forward: Forward,
    *,
    log_probs: bool,
    process: int = 0,
) -> None:
    """Run the model over the rows of one set and write its outputs to this process's file.

    Args:
        folder: Where to; it exists.
        name: Of the set.
        model: The model before unlearning, in evaluation mode.
        batches: Its rows; each batch with `row_id`.
        forward: `(model, batch, needs) -> Answers`; it may leave out the input of the head. That takes less room than
            logits, which are kept in its place where the head alone does not make them.
        log_probs: Whether to keep what makes log-probabilities of all choices, too.
        process: Number of this process.

    Raises:
        WriteError: the disk is full.
    """
    head = frozen_head(model, copy=False) if log_probs else None
    needs = frozenset({"logits", "head_input"} if head is not None else {"logits"} if log_probs else ())
    kept: dict[str, list[Tensor]] = {"row": [], "count": [], "nll": [], "states": []}
    checked = False
    for batch in batches:
        answers = forward(model, batch, needs)
        if answers.hidden is None:  # of a task that does not know the input of the head: logits are kept
            head = None
        if head is not None and not checked:
            head = head if is_whole_head(head, answers) else None
            checked = True
        _, counts = answers.per_row()
        kept["row"].append(batch["row_id"].cpu())
        kept["count"].append(counts.long().cpu())
        kept["nll"].append(answers.nll.cpu())
        if log_probs:
            states = answers.hidden if head is not None else answers.logits
            assert states is not None
            kept["states"].append(states.cpu())
    tensors = {key: torch.cat(parts).contiguous() for key, parts in kept.items() if parts}
    _save(tensors, folder / f"{name}-{process}.safetensors")
    if head is not None and process == 0:
        _save_head(head, folder / _HEAD)


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    partial = path.with_suffix(".partial")  # a kill half-way leaves no file of the right name
    try:
        save_file(dict(tensors), partial)
        share_file(partial)
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        raise WriteError(path, error, needed=needed, what="what the model says before unlearning") from error


def _save_head(head: FrozenHead, path: Path) -> None:
    tensors = {
        "weight": head.weight.cpu().contiguous(),
        "settings": torch.tensor([head.soft_cap or 0.0, head.scale], dtype=torch.float64),
    }
    if head.bias is not None:
        tensors["bias"] = head.bias.cpu().contiguous()
    _save(tensors, path)


def _load_head(path: Path) -> FrozenHead:
    tensors = load_file(path)
    soft_cap, scale = tensors["settings"].tolist()
    return FrozenHead(tensors["weight"], tensors.get("bias"), soft_cap=soft_cap or None, scale=scale)
