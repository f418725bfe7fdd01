"""How far the noise over a fluctuation is off its expansion to second order: what the quadratic picture leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._arrays import Array, even
from .picture import numbers

if TYPE_CHECKING:
    from .networks import LocalNetwork

__all__ = ["gaussian_pairs", "noise_deviations"]


def gaussian_pairs(covariance: Array, pairs: int) -> Array:
    """Return draws of a Gaussian, (pairs, k), each to be used with both signs; always the same ones."""
    values, vectors = np.linalg.eigh(even(covariance))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(np.random.default_rng(0).standard_normal((pairs, len(values))) @ root.T)


def noise_deviations(network: LocalNetwork, covariance: Array, pairs: int) -> Array:
    """Return E Cov(g_i(W* + U a)) - C - K[S] for each antithetic pair of draws, (pairs, k, k).

    Where the Hessians of all samples are kept, the covariance of g_i + H_i a at the same draw stands for C + K[S]: the
    two share their chance.
    """
    at_rest, known = _projected(network, np.zeros(len(covariance))), None
    if len(network.hessians) < network.samples:
        known = network.noise + network.feedback(covariance)
    found = np.zeros((pairs, *covariance.shape))
    for pair, place in enumerate(gaussian_pairs(covariance, pairs)):
        for there in (place, -place):
            expanded = known if known is not None else _covariance(at_rest + network.hessians @ there)
            found[pair] += 0.5 * (_covariance(_projected(network, there)) - expanded)
    return found


def _projected(network: LocalNetwork, place: Array) -> Array:
    """The gradients of all samples at W* + U `place`, in the modes, (N, k)."""
    objective = network.objective
    basis = objective.vector(network.modes)
    weights = objective.weights + basis @ objective.vector(place)
    return np.concatenate([numbers(each @ basis) for each in objective.sample_gradients(weights)])


def _covariance(rows: Array) -> Array:
    centred = rows - rows.mean(axis=0)
    return np.asarray(centred.T @ centred / len(rows))
