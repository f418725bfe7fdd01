"""The ladder of theories, from exact down to equilibrium: a rung keeps less than the one above it."""

from __future__ import annotations

from typing import Literal

from ..recipe.sgd import Recipe

__all__ = ["FLOWS", "QUIET", "RUNGS", "SAMPLER_RUNGS", "Rung", "rungs_of"]

Rung = Literal["exact", "discrete", "langevin", "hessian", "equilibrium", "full_batch", "target"]
RUNGS: tuple[Rung, ...] = ("exact", "discrete", "langevin", "hessian", "equilibrium")
SAMPLER_RUNGS: tuple[Rung, ...] = ("exact", "discrete", "langevin", "full_batch", "target")
"""Those of a sampler: below the noise of batches in continuous time, the step without it, and what it is to sample."""
FLOWS: tuple[Rung, ...] = ("langevin", "hessian", "target")
"""The rungs in continuous time."""
QUIET: tuple[Rung, ...] = ("full_batch", "target")
"""The rungs without the noise of batches."""


def rungs_of(sgd: Recipe) -> tuple[Rung, ...]:
    """Return the ladder of a recipe: a sampler has a target, and SGD has none."""
    return SAMPLER_RUNGS if sgd.tempered else RUNGS
