"""`--fused-loss`: the kernels that compute token losses without logits (`ngdiff.speed.fused_loss`), by name.

They are those of two libraries, each an extra, imported only where it is asked for:

- `cce`: Cut Cross-Entropy (Wijmans et al. 2025, arXiv 2411.09009), extra `ngdiff[cce]`. Its kernel needs a GPU and
  hidden states in bf16 (`--bf16`); on CPU the library compiles the plain formula instead, which saves no memory.
- `liger`: Liger Kernel (Hsu et al. 2024, arXiv 2410.10989), extra `ngdiff[liger]`, on GPUs only.

Shape legend: T tokens, V vocabulary, H hidden width.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ngdiff.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

# (hidden (T, H), weight (V, H), labels (T,), bias (V,) or None, soft cap or None) -> losses (T,)
Kernel = Callable[["Tensor", "Tensor", "Tensor", "Tensor | None", "float | None"], "Tensor"]


class FusedLossRow(NamedTuple):
    """A library's kernel.

    Args:
        load: Imports the library and returns the kernel.
        package: Name of the library in the package index.
        extra: The extra of ngdiff that installs it.
        on_cpu: Whether it runs on a CPU.
    """

    load: Callable[[], Kernel]
    package: str
    extra: str
    on_cpu: bool


def _cce() -> Kernel:
    from cut_cross_entropy import linear_cross_entropy

    def losses(
        hidden: "Tensor", weight: "Tensor", labels: "Tensor", bias: "Tensor | None", soft_cap: float | None
    ) -> "Tensor":
        if bias is not None:
            raise ValueError("cut-cross-entropy takes no bias of the output head")
        return linear_cross_entropy(
            hidden,
            weight,
            labels,
            softcap=soft_cap,
            reduction="none",
            # By default the library leaves probabilities below 2.4e-4 out of the gradient. Those of a forgotten answer
            # may all be lower: at the forget ceiling `ln V` each of 32000 words has 3e-5.
            filter_eps=None,
            impl="torch_compile" if hidden.device.type == "cpu" else "cce",
        )

    return losses


def _liger() -> Kernel:
    import torch
    from liger_kernel.transformers.functional import liger_fused_linear_cross_entropy

    def losses(
        hidden: "Tensor", weight: "Tensor", labels: "Tensor", bias: "Tensor | None", soft_cap: float | None
    ) -> "Tensor":
        return liger_fused_linear_cross_entropy(
            hidden,
            weight,
            labels,
            bias=bias,
            softcap=soft_cap,
            reduction="none",
            accum_dtype=torch.float32,  # the head's gradient is a sum over chunks of tokens
        )

    return losses


FUSED_LOSSES: dict[str, FusedLossRow] = {
    "cce": FusedLossRow(_cce, "cut-cross-entropy", "cce", on_cpu=True),
    "liger": FusedLossRow(_liger, "liger-kernel", "liger", on_cpu=False),
}


def load_kernel(name: str) -> Kernel:
    """The kernel of a library.

    Args:
        name: A key of `FUSED_LOSSES`.

    Raises:
        InputError: no such kernel, or its package is not installed.
    """
    if name not in FUSED_LOSSES:
        raise InputError(f"--fused-loss {name} is not known; one of none, {', '.join(FUSED_LOSSES)}")
    row = FUSED_LOSSES[name]
    try:
        return row.load()
    except ImportError as error:
        raise InputError(
            f'--fused-loss {name}: needs the package {row.package}: pip install "ngdiff[{row.extra}]"'
        ) from error
