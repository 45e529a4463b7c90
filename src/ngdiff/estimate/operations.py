"""Count of the operations of matrix products and attention."""

from typing import Any

import torch
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

_aten = torch.ops.aten
# torch's own table lacks the CPU's, and in torch 2.11 the case of heads that share keys.
_ATTENTION = (
    _aten._scaled_dot_product_flash_attention_for_cpu,
    _aten._scaled_dot_product_flash_attention,
    _aten._scaled_dot_product_efficient_attention,
    _aten._scaled_dot_product_cudnn_attention,
)
_ATTENTION_BACKWARD = (
    _aten._scaled_dot_product_flash_attention_for_cpu_backward,
    _aten._scaled_dot_product_flash_attention_backward,
    _aten._scaled_dot_product_efficient_attention_backward,
    _aten._scaled_dot_product_cudnn_attention_backward,
)


class Operations:
    """Adds up multiplications and additions: two for each entry of a matrix product and each term of its sum.

    Other operations are not counted: torch's own table has none, and in a transformer they are little arithmetic,
    though they take time.

    Attributes:
        total: Their number.

    Example:
        >>> operations = Operations()
        >>> a, b = torch.zeros(2, 3), torch.zeros(3, 5)
        >>> operations(_aten.mm.default, (a, b), a @ b)
        >>> operations.total
        60
    """

    def __init__(self) -> None:
        self.total = 0

    def __call__(self, func: Any, args: tuple[Any, ...], result: Any) -> None:
        """One operation."""
        packet = getattr(func, "_overloadpacket", None)
        if packet in _ATTENTION:
            self.total += sdpa_flop_count(*_with_all_heads(*(value.shape for value in args[:3])))
        elif packet in _ATTENTION_BACKWARD:
            of_result, *of_inputs = (value.shape for value in args[:4])
            self.total += sdpa_backward_flop_count(of_result, *_with_all_heads(*of_inputs))
        elif packet in flop_registry:
            self.total += flop_registry[packet](*args, out_val=result)


def _with_all_heads(query: torch.Size, key: torch.Size, value: torch.Size) -> tuple[torch.Size, ...]:
    """Shapes with keys and values repeated for every query head, where groups of heads share them."""
    return query, *(torch.Size((*shape[:1], *query[1:2], *shape[2:])) for shape in (key, value))
