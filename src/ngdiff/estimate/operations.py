"""Operations of matrix products and attention."""

from typing import Any

import torch
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

_aten = torch.ops.aten
# torch's table has those of GPUs alone, and in torch 2.11 not where groups of heads share keys.
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
    """Told each operation, it adds up multiplications and additions (two for each entry of a product and each term).

    What is no matrix product is not counted: torch's own table knows no other, and in a transformer it is little
    arithmetic, if not little time.

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
    """Shapes with a key and a value for each head of the queries, where groups of heads share them."""
    return query, *(torch.Size((*shape[:1], *query[1:2], *shape[2:])) for shape in (key, value))
