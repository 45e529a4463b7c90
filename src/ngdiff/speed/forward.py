"""One forward pass with the savings that were chosen for a run (`choose.py`).

- `cut`: only the hidden states that predict a label reach the output head. With a prompt and padding of 200 tokens and
  an answer of 50, the logits would otherwise take five times the time and memory. A hook before the head does it,
  so that whatever a model does to its logits (soft caps, scales) still happens.
- `trailing_tokens=False`: the model is not given the tokens after a row's last label, which have no part in a loss.
- `packing`: rows are packed into one, without padding (`packing.py`, `cpu/row_attention.py`).
- `fused_loss`: token losses come from the head's input, without the model's own logits (`fused_loss.py`,
  `cpu/reused_head.py`).
- `sparse_embedding`: the gradient of the input embedding is sparse (`cpu/sparse_embedding.py`).

Shape legend: B rows, L tokens a row (padded), T labelled tokens of the whole batch, V vocabulary, H hidden width.
"""

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ngdiff.core.answers import Answers
from ngdiff.modeling.further_inputs import further_inputs
from ngdiff.modeling.head_input import HeadInput, Seen, head_hook
from ngdiff.modeling.plain_forward import answers_of, at_positions, forward_answers, label_positions, upcast
from ngdiff.speed.cpu.reused_head import ReusedHead
from ngdiff.speed.cpu.row_attention import packed_rows, uses_row_attention, using_row_attention
from ngdiff.speed.cpu.sparse_embedding import sparse_embedding
from ngdiff.speed.packing import packed, padded
from ngdiff.speed.token_loss import cross_entropy_in_place

# (model, hidden states in front of its output head (T, H), labels (T,)) -> losses (T,)
FusedLoss = Callable[[nn.Module, Tensor, Tensor], Tensor]


@dataclass
class Forward:
    """`(model, batch, needs, layer) -> Answers`, as `ngdiff.modeling.plain_forward.forward_answers`, with savings.

    Without any saving it is that function.

    Args:
        cut: Compute the logits of labelled positions only.
        trailing_tokens: Also give the model the tokens after a row's last label.
        packing: Give the model all rows as one, without padding.
        row_attention: Compute the attention of packed rows row by row, if the model's attention is `sdpa`.
        fused_loss: Computes token losses from the head's input, without logits; not used where logits are needed.
        sparse_embedding: Keep the gradient of the input embedding sparse.
    """

    cut: bool = False
    trailing_tokens: bool = True
    packing: bool = False
    row_attention: bool = False
    fused_loss: FusedLoss | None = None
    sparse_embedding: bool = False
    _hook: HeadInput | None = field(default=None, repr=False, compare=False)
    _attached: bool = field(default=False, repr=False, compare=False)

    def without_buffers(self) -> "Forward":
        """The same passes, for use after a run, without the memory that they reuse."""
        held = isinstance(getattr(self.fused_loss, "kernel", None), ReusedHead)
        return replace(self, fused_loss=None) if held else self

    @property
    def is_plain(self) -> bool:
        """Whether this is the plain pass."""
        return self == Forward()

    @contextmanager
    def attached(self, model: nn.Module) -> Iterator[None]:
        """Within, the model has the hook and the attention that the savings need; afterwards it is as before.

        A single pass does this automatically. A model in training must stay attached from before its first pass until
        after its last backward pass: a compiled model does not notice later hooks, and checkpointed layers are run
        again.
        """
        if self._attached or self.is_plain:
            yield
            return
        with ExitStack() as stack:
            self._hook = stack.enter_context(head_hook(model))
            stack.enter_context(using_row_attention(model) if self.row_attention else nullcontext())
            self._attached = True
            try:
                yield
            finally:
                self._hook, self._attached = None, False

    def __call__(
        self, model: nn.Module, batch: Mapping[str, Tensor], needs: Set[str] = frozenset(), layer: int | None = None
    ) -> Answers:
        """One pass; arguments as for `forward_answers`."""
        if self.is_plain:
            return forward_answers(model, batch, needs, layer)
        sparse = self.sparse_embedding and torch.is_grad_enabled()
        with self.attached(model), sparse_embedding(model) if sparse else nullcontext():
            return self._pass(model, batch, needs, layer)

    def _pass(self, model: nn.Module, batch: Mapping[str, Tensor], needs: Set[str], layer: int | None) -> Answers:
        places = label_positions(batch)
        further = further_inputs(batch)  # from the user's collator, one value for each token of padded rows
        packing = self.packing and not further and bool(batch["attention_mask"].any())  # attention needs a token
        if packing:
            layout = packed(batch, places, trailing_tokens=self.trailing_tokens, blocks=uses_row_attention(model))
        else:
            layout = padded(batch, places, trailing_tokens=self.trailing_tokens or bool(further))
        targets = batch["labels"].flatten()[places]
        # Kernels need at least one token.
        fused_loss = None if "logits" in needs or not len(places) else self.fused_loss
        hook = self._hook
        seen: Seen = "none" if fused_loss is not None else "chosen" if self.cut else "all"
        options: dict[str, Any] = {"output_hidden_states": True} if "hidden" in needs else {}
        if layout.blocks is not None:
            options["row_blocks"] = layout.blocks
        with (
            nullcontext() if layout.blocks is None else packed_rows(layout.row_lengths),
            nullcontext() if hook is None else hook.at(layout.places, seen),
        ):
            output = model(**layout.inputs, **further, use_cache=False, **options)
            head_input = None if hook is None or hook.value is None else hook.value[0]
        hidden = head_input if "head_input" in needs else None
        if "hidden" in needs:
            hidden = at_positions(output.hidden_states[layer], layout.places)
        if fused_loss is not None and head_input is not None:
            return answers_of(batch, places, fused_loss(model, head_input, targets), targets, None, hidden)
        cut = seen == "chosen" and head_input is not None
        logits = upcast(output.logits.squeeze(0) if cut else at_positions(output.logits, layout.places))
        # A head that passes its input on makes logits in the same memory as the input that was asked for.
        keep = needs & {"logits", "head_input"}
        nll = (
            nn.functional.cross_entropy(logits, targets, reduction="none")
            if keep
            else cross_entropy_in_place(logits, targets)
        )
        return answers_of(batch, places, nll, targets, logits if "logits" in needs else None, hidden)
