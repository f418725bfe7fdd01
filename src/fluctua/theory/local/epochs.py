r"""Shuffled epochs in the local picture: the kernel Phi of one epoch, elementwise in the modes.

Batches of one epoch share no sample, so that what one batch adds the others take back (F44). For a source that is the
same at every position, S averaged over the epoch is Phi o kappa times it, with a Phi that knows no data. What batches
remember beyond that, of O(modes over samples), is in `head_shuffle`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from ..._arrays import Array
from ...kernels.momentum import step_kernel
from ...problem.least_squares import LeastSquares, Minimum
from ...recipe.sgd import Recipe
from ..reshuffling.expansion import FEW_NODES, Shuffle

__all__ = ["epoch_phi"]


@dataclass(frozen=True)
class _Unit:
    """A problem whose noise is 1 in all pairs of modes."""

    population: int
    noise: Array


def epoch_phi(curvatures: Array, sgd: Recipe, population: int) -> Array:
    """Return S averaged over an epoch per unit of kappa times the source, (r, r)."""
    kernel = step_kernel(curvatures, sgd.step, sgd.lr, diagonal=True)
    unit = _Unit(population, np.ones((len(curvatures),) * 2))
    sizes = sgd.batch_sizes(population)
    shuffle = Shuffle(cast(LeastSquares, unit), cast(Minimum, unit), kernel, sizes, feels=False, nodes=FEW_NODES)
    gap = shuffle.slow.gap()
    begun = shuffle.from_noise_alone(np.zeros_like(gap))[-1] / gap
    found = kernel.fold(shuffle.epoch.average(shuffle.from_noise_alone(begun)))
    return np.asarray(found / sgd.sampling_factor(population))
