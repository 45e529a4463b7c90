"""Weightings of the TorchJD library that are functions of the Gramian: `torchjd:upgrad`, `torchjd:cagrad(c=0.4)`."""

import difflib
import inspect
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

from ngdiff.core.gramian import Gramian
from ngdiff.errors import InputError
from ngdiff.spec import Spec
from ngdiff.weighting.base import Losses, Weighting, Weights
from ngdiff.weighting.parameters import check_parameters

if TYPE_CHECKING:
    from torch import Tensor

PREFIX = "torchjd:"
_INSTALL = 'pip install "ngdiff[torchjd]"'


@dataclass(frozen=True, slots=True)
class _Row:
    """A weighting of the library: its class, formula and source, and whether it reads the dot product."""

    kind: str
    formula: str
    source: str
    uses_dot: bool = True


TORCHJD: dict[str, _Row] = {
    "upgrad": _Row("UPGradWeighting", "each gradient projected onto the dual cone, averaged", "Quinton and Rey 2024"),
    "dualproj": _Row(
        "DualProjWeighting", "the mean gradient projected onto the dual cone", "Lopez-Paz and Ranzato 2017"
    ),
    "mgda": _Row("MGDAWeighting", "the shortest convex combination", "Desideri 2012"),
    "cagrad": _Row(
        "CAGradWeighting", "best for the worse side within c |mean| of the mean", "Liu et al. 2021 (CAGrad)"
    ),
    "fairgrad": _Row("FairGradWeighting", "w > 0 with K w = w^(-1/alpha)", "Ban and Ji 2024"),
    "aligned-mtl": _Row(
        "AlignedMTLWeighting", "the mean after K's eigenvalues are made equal", "Senushkin et al. 2023"
    ),
    "imtl-g": _Row("IMTLGWeighting", "equal projection on both unit gradients", "Liu et al. 2021 (IMTL)"),
    "pcgrad": _Row("PCGradWeighting", "each gradient projected off the other where they conflict", "Yu et al. 2020"),
    "mean": _Row("MeanWeighting", "w = (1/2, 1/2)", "the mean", uses_dot=False),
    "sum": _Row("SumWeighting", "w = (1, 1)", "the sum", uses_dot=False),
    "constant": _Row("ConstantWeighting", "w = weights", "given weights", uses_dot=False),
    "random": _Row("RandomWeighting", "w = softmax of two draws from N(0, 1)", "Lin et al. 2022", uses_dot=False),
}

_MATRIX = "needs the whole matrix of gradients; a weighting gets only their three inner products"
_STATE = "has an internal state that a checkpoint cannot restore, so that a resumed run would differ"

# Weightings of the library that are not usable here: name, without "Weighting", dashes and capitals -> reason.
REFUSED: dict[str, str] = {
    "nashmtl": f"{_MATRIX}, and keeps the weights of the last step",
    "config": _MATRIX,
    "graddrop": _MATRIX,
    "trimmedmean": _MATRIX,
    "excessmtl": _MATRIX,
    "modo": "needs inner products of gradients of two independent batches; a step has one",
    "sdmgrad": "needs inner products of gradients of two independent batches; a step has one",
    "krum": "chooses among at least three gradients; there are two",
    "gradvac": _STATE,
    "pcd": _STATE,
    "crmogm": f"wraps another weighting and {_STATE}",
}


def torchjd_weighting(spec: Spec, where: str) -> Weighting:
    """The library's weighting of that name, with the parameters of its constructor.

    Args:
        spec: `torchjd:NAME`, a key of `TORCHJD` or the library's class name, and the constructor's arguments. A vector
            (`pref_vector`, `weights`) is two numbers, of retain and forget.
        where: The start of messages.

    Raises:
        InputError: an unknown weighting, one that needs more than a Gramian, a missing package, or parameters that the
            library does not accept.
    """
    row = _row(spec.name.removeprefix(PREFIX), where)
    try:
        from torchjd import aggregation as library
    except ImportError as error:
        raise InputError(f"{where}: needs the package torchjd: {_INSTALL}") from error
    kind = getattr(library, row.kind, None)
    if kind is None:
        raise InputError(
            f"{where}: the installed torchjd has no {row.kind}; ngdiff needs torchjd 0.18 or later: {_INSTALL}"
        )
    arguments = _arguments(kind, spec.arguments, where)
    exponent = 0.0
    if row.kind == "FairGradWeighting":
        if arguments["alpha"] < 0.0:
            raise InputError(f"{where}: alpha = {arguments['alpha']} is below 0")
        exponent = arguments["alpha"] / (1.0 + arguments["alpha"])
    try:
        peer = kind(**arguments)
    except ImportError as error:
        raise InputError(f"{where}: a solver is missing: {_INSTALL} ({error})") from error
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error
    function = _FromLibrary(peer, exponent)
    return Weighting(function, row.formula, f"{row.source}; TorchJD's {row.kind}", row.uses_dot, name=str(spec))


@dataclass(frozen=True, slots=True)
class _FromLibrary:
    """Calls the library with the Gramian divided by its larger diagonal entry.

    The library has fixed thresholds: UPGrad treats a Gramian with a trace below 1e-4 as zero. Scaling both gradients by
    the same factor does not change the weights, except for FairGrad, where `K w = w^(-1/alpha)` makes them proportional
    to `K^(-alpha/(1+alpha))`.

    Args:
        peer: The library's object.
        exponent: `alpha/(1+alpha)` for FairGrad, otherwise 0.
    """

    peer: Any
    exponent: float

    def __call__(self, losses: Losses, gramian: Gramian, *, step: int, seed: int) -> Weights:
        import torch

        largest = max(gramian.a, gramian.b)
        a, s, b = gramian.a / largest, gramian.s / largest, gramian.b / largest
        # A separate random state: draws depend only on (seed, step), and the run's generators do not change.
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            # Not torch.manual_seed, which would also seed the accelerators.
            torch.default_generator.manual_seed(random.Random(f"seed {seed}, step {step}").getrandbits(63))
            w_r, w_f = self.peer(torch.tensor([[a, s], [s, b]], dtype=torch.float64)).tolist()
        scale = largest**-self.exponent
        return Weights(w_r * scale, w_f * scale)


def _row(name: str, where: str) -> _Row:
    plain = _plain(name)
    if plain in REFUSED:
        raise InputError(f"{where}: {REFUSED[plain]}. Of TorchJD there are {', '.join(TORCHJD)}")
    names = {_plain(key): key for key in TORCHJD}
    if plain not in names:
        close = difflib.get_close_matches(plain, names, n=1)
        hint = f"Did you mean {PREFIX}{names[close[0]]}? " if close else ""
        raise InputError(f"{where}: no such weighting. {hint}Of TorchJD there are {', '.join(TORCHJD)}")
    return TORCHJD[names[plain]]


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").removesuffix("weighting")


def _arguments(kind: Any, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    import torch
    from torch import Tensor

    own = kind.__init__ is not torch.nn.Module.__init__ and "__init__" in vars(kind)
    accepted = dict(list(inspect.signature(kind.__init__).parameters.items())[1:]) if own else {}
    accepted.pop("projector", None)  # an object, which cannot be given as text
    hints = get_type_hints(kind.__init__) if own else {}
    arguments = check_parameters(accepted, hints, given, where)
    return {
        name: _vector(value, f"{where}: {name}") if hints.get(name) in (Tensor, Tensor | None) else value
        for name, value in arguments.items()
    }


def _vector(value: Any, where: str) -> "Tensor | None":
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(type(v) in (int, float) for v in value):
        raise InputError(
            f"{where} = {value!r} is not two numbers in brackets, of retain and forget, such as [0.7, 0.3]"
        )
    import torch

    return torch.tensor(value, dtype=torch.float64)
