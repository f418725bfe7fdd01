"""Bring a network to the minimum of its full loss, where a local picture begins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, minres
from torch import nn

from .._arrays import Array
from .._results import Brief, ByValue
from .._validate.values import positive_int, real_number
from ..errors import NotConverged
from .at_the_door import objective_of
from .objective import LossFunction, Objective
from .picture import numbers

__all__ = ["Minimised", "minimise"]

_MEMORY = 30  # steps that L-BFGS remembers
_POLISHED = 20  # Newton's steps
_DOUBLE = 1e-10  # epsilon below which arithmetic is double
_REACHED_DOUBLE, _REACHED_SINGLE = 1e-9, 1e-4  # of the gradient, where nothing else is asked
_PRODUCTS = 200  # Hessian-vector products of one of them


@dataclass(frozen=True, eq=False, repr=False)
class Minimised(Brief, ByValue):
    """Where the descent of the full loss ended; made by `minimise`.

    Attributes
    ----------
    loss, gradient_norm : float
        L and |grad L| there, weight decay included.
    rounds : int
        Steps of L-BFGS and of Newton.

    Examples
    --------
    >>> import torch, fluctua.torch
    >>> x = torch.tensor([[1.0], [2.0], [4.0]], dtype=torch.float64)
    >>> model = torch.nn.Linear(1, 1, bias=False).double()
    >>> found = fluctua.torch.minimise(model, "mse", [(x, 3 * x + 1)])
    >>> print(f"{model.weight.item():.6f} {found.loss:.6f} {found.gradient_norm < 1e-9}")
    3.333333 0.222222 True
    """

    loss: float
    gradient_norm: float
    rounds: int


def minimise(
    model: nn.Module,
    loss: LossFunction | str,
    loader: Iterable[Any],
    *,
    weight_decay: float = 0.0,
    gradient: float | None = None,
    rounds: int = 5000,
) -> Minimised:
    r"""Move a network's parameters to a minimum of the full loss: L-BFGS, then Newton's steps by conjugate gradients.

    Parameters
    ----------
    model : torch.nn.Module
        In eval mode. Its parameters are changed in place, and nothing else of it.
    loss : callable or str
        As for `local`.
    loader : iterable of tuple
        As for `local`.
    weight_decay : float
        As for `local`.
    gradient : float, optional
        Norm of the gradient to reach, relative to its norm at the start or to 1 if that is less; 1e-9 in double
        precision and 1e-4 in single precision otherwise.
    rounds : int
        Steps of L-BFGS at most.

    Returns
    -------
    Minimised
        The loss and the norm of its gradient there.

    Raises
    ------
    InvalidInput
        As for `local`.
    TooLarge
        Where the samples do not fit into memory.
    NotConverged
        If the gradient stays larger; the parameters are then those of the last step. Losses with kinks (ReLU) may.

    Notes
    -----
    Cost: a pass over the samples for each step of L-BFGS, and up to 200 Hessian-vector products for each of Newton's.

    Examples
    --------
    >>> import torch, fluctua.torch
    >>> x = torch.tensor([[1.0], [2.0], [4.0]], dtype=torch.float64)
    >>> model = torch.nn.Linear(1, 1).double()
    >>> print(f"{fluctua.torch.minimise(model, 'mse', [(x, 3 * x + 1)]).loss:.6f}")
    0.000000
    """
    decay = real_number("weight_decay", weight_decay, minimum=0.0)
    most = positive_int("rounds", rounds)
    objective = objective_of(model, loss, loader, decay, None)
    share = _usual(objective) if gradient is None else real_number("gradient", gradient, above=0.0)
    start = _slope(objective, numbers(objective.weights))
    tolerance = share * min(float(np.linalg.norm(start)), 1.0)
    weights, taken = _descended(objective, tolerance, most)
    weights, polished = _polished(objective, weights, tolerance)
    _written(model, objective, weights)
    norm = float(np.linalg.norm(_slope(objective, weights)))
    if not norm <= tolerance:
        raise NotConverged("the minimum of the loss", taken + polished, norm, tolerance, _ADVICE)
    return Minimised(objective.value(objective.vector(weights)), norm, taken + polished)


_ADVICE = (
    "The parameters are those of the last step. Give more rounds=, use double precision (model.double()), weight_decay "
    "> 0 where the loss has no minimum, or an activation without kinks (Tanh, GELU)."
)


def _usual(objective: Objective) -> float:
    return _REACHED_DOUBLE if objective.precision < _DOUBLE else _REACHED_SINGLE


def _slope(objective: Objective, weights: Array) -> Array:
    return numbers(objective.gradient(objective.vector(weights)))


def _descended(objective: Objective, tolerance: float, rounds: int) -> tuple[Array, int]:
    """L-BFGS of scipy."""

    def both(weights: Array) -> tuple[float, Array]:
        return objective.value(objective.vector(weights)), _slope(objective, weights)

    options = {"maxiter": rounds, "maxfun": 2 * rounds, "maxcor": _MEMORY, "gtol": 0.0, "ftol": 0.0}
    start = numbers(objective.weights)

    def enough(intermediate_result: Any) -> None:
        if np.linalg.norm(_slope(objective, intermediate_result.x)) < 10 * tolerance:
            raise StopIteration

    found: Any = minimize(  # type: ignore[call-overload]  # its stubs know no flat array
        both, start, jac=True, method="L-BFGS-B", options=options, callback=enough
    )
    return np.asarray(found.x), int(found.nit)


def _polished(objective: Objective, weights: Array, tolerance: float) -> tuple[Array, int]:
    """Newton's steps, as long as each makes the gradient smaller."""
    slope = _slope(objective, weights)
    for number in range(_POLISHED):
        norm = float(np.linalg.norm(slope))
        if norm <= tolerance:
            return weights, number
        step = minres(_hessian(objective, weights), slope, rtol=1e-6, maxiter=_PRODUCTS)[0]
        after = weights - step
        slope = _slope(objective, after)
        if not np.linalg.norm(slope) < norm:
            return weights, number
        weights = after
    return weights, _POLISHED


def _hessian(objective: Objective, weights: Array) -> Any:
    """H at some weights, as scipy has an operator."""
    at = objective.vector(weights)

    def product(direction: Array) -> Array:
        return numbers(objective.curvature(at, objective.vector(np.ravel(direction))))

    return LinearOperator((len(weights),) * 2, matvec=product, dtype=np.float64)


def _written(model: nn.Module, objective: Objective, weights: Array) -> None:
    """Put the flat parameters into the module."""
    named = {name: value for name, value in model.named_parameters() if value.requires_grad}
    pieces = objective.vector(weights).split([shape.numel() for shape in objective.shapes.values()])
    with torch.no_grad():
        for (name, shape), piece in zip(objective.shapes.items(), pieces, strict=True):
            named[name].copy_(piece.view(shape))
