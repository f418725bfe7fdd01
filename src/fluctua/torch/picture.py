"""The numbers of a local picture: gradient, noise, curvatures and the Hessians of single samples, in their order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .._arrays import Array, even
from .._validate.sizes import refuse_bytes
from ..errors import InvalidInput
from .objective import Objective
from .spectrum import ends

__all__ = ["Picture", "flat", "hold_sizes", "picture_of"]

_AT_REST = 0.1  # gradient norm over the root of tr C, above which weights are at no minimum
_HESSIANS = 2**27  # bytes of Hessians of single samples that are kept


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """The numbers of a `LocalNetwork`, which says what each is."""

    curvatures: Array
    modes: Array
    noise: Array
    noise_trace: float
    hessians: Array
    left_out: Array
    lowest_curvature: float
    lowest_residual: float
    loss: float
    gradient_norm: float
    decrement: float


def hold_sizes(objective: Objective, count: int) -> None:
    """Refuse more directions than parameters, and what does not fit into memory."""
    n = objective.parameters
    if count > n:
        raise InvalidInput(f"top must be at most the {n} parameters that train, got {count}.")
    refuse_bytes(f"top = {count} directions of {n:,} parameters", 24.0 * n * (2 * count + 10), "Use a smaller top.")


def flat(precision: float) -> float:
    """Curvature over the largest one up to which it may be rounding."""
    return max(1e-9, 100 * precision)


def picture_of(objective: Objective, count: int, kept: int | None) -> Picture:
    """Return the picture at the objective's weights; what can be refused is refused first."""
    gradient = objective.gradient(objective.weights)
    trace, slope = _noise_trace(objective), numbers(gradient)
    _hold_minimum(float(np.linalg.norm(slope)), trace, objective.rounding)

    def product(direction: Array) -> Array:
        return numbers(objective.curvature(objective.weights, objective.vector(direction)))

    values, vectors, lowest = ends(product, objective.parameters, count, objective.precision)
    _hold_curved(values)
    positive = values > flat(objective.precision) * values[0]
    h, u = values[positive], vectors[:, positive]
    basis = objective.vector(u)
    noise, hessians = _noise(objective, basis), _hessians(objective, basis, kept)
    there, norm = objective.value(objective.weights), float(np.linalg.norm(slope))
    decrement = float(0.5 * np.sum((slope @ u) ** 2 / h))
    return Picture(h, u, noise, trace, hessians, values[~positive], *lowest, there, norm, decrement)


def numbers(values: Tensor) -> Array:
    """Return a tensor as NumPy's doubles."""
    return values.detach().cpu().double().numpy()


def _noise_trace(objective: Objective) -> float:
    """Tr C: the mean square of the gradients of samples less the square of their mean."""
    total, mean = 0.0, torch.zeros_like(objective.weights, dtype=torch.float64)
    for gradients in objective.sample_gradients(objective.weights):
        total += float(gradients.double().square().sum())
        mean += gradients.double().sum(0)
    mean /= objective.samples
    return max(total / objective.samples - float(mean @ mean), 0.0)


def _noise(objective: Objective, basis: Tensor) -> Array:
    """U^T C U, from the projections of all gradients."""
    projected = np.concatenate([numbers(each @ basis) for each in objective.sample_gradients(objective.weights)])
    centred = projected - projected.mean(axis=0)
    return even(centred.T @ centred / objective.samples)


def _hessians(objective: Objective, basis: Tensor, kept: int | None) -> Array:
    """U^T H_i U of so many samples, of all where they fit."""
    n, k = objective.samples, basis.shape[1]
    count = min(n, kept or max(2, _HESSIANS // (8 * k * k)))
    chosen = np.arange(n) if count == n else np.sort(np.random.default_rng(0).permutation(n)[:count])
    places = torch.as_tensor(chosen, device=objective.inputs.device)
    found = objective.sample_curvatures(objective.weights, basis, places)
    return even(np.concatenate([numbers(each) for each in found]))


def _hold_minimum(norm: float, trace: float, least: float) -> None:
    allowed = _AT_REST * float(np.sqrt(trace))
    if not np.isfinite(norm):
        raise InvalidInput("the gradient of the loss is not finite at the weights of the model: it has diverged.")
    if norm > max(allowed, least):
        raise InvalidInput(
            f"the weights are at no minimum: the gradient of the full loss has norm {norm:.3g}, and the gradient of a "
            f"single sample fluctuates about it by {np.sqrt(trace):.3g}. A local picture needs at most {_AT_REST:g} of "
            f"that. Train on, with the weight decay of the recipe: fluctua.torch.minimise(model, loss, loader, "
            f"weight_decay=...)."
        )


def _hold_curved(values: Array) -> None:
    if not values[0] > 0:
        raise InvalidInput(
            f"the weights are at no minimum: the largest curvature of the loss is {values[0]:.3g}. Nothing holds the "
            f"weights there; train on, or use weight_decay > 0."
        )
