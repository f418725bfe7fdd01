"""The tables of a measurement, and its arrays of replicas and modes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._arrays import Array, standard_error
from .._results import Tables, clipped
from .._tables import Columns

if TYPE_CHECKING:
    from .measurement import Measurement

__all__ = ["attributes", "grids", "in_a_line", "tables"]


def tables(found: Measurement) -> Tables:
    """Return the tables of the modes, of the losses in time and of the replicas."""
    return {
        "modes": lambda: {
            "mode": range(1, len(found.mode_variances) + 1),
            "variance": found.mode_variances,
            "variance_error": found.mode_variance_errors,
        },
        "losses": lambda: _losses(found),
        "replicas": lambda: {"replica": range(found.replicas), "excess_loss": found.replica_excess},
    }


def _losses(found: Measurement) -> Columns:
    losses = found.replica_losses
    with np.errstate(all="ignore"):  # divergence is a finding, not a warning
        return {"step": found.watched, "excess_loss": losses.mean(axis=0), "excess_loss_error": standard_error(losses)}


def grids(found: Measurement) -> dict[str, tuple[tuple[str, ...], Array]]:
    """Return what has more than one dimension, and the steps that it is of."""
    return {
        "replica_variances": (("replica", "mode"), found.replica_variances),
        "replica_losses": (("replica", "step"), found.replica_losses),
        "watched": (("step",), found.watched.astype(float)),
        "mode_means": (("step", "output", "mode"), found.mode_means),
        "mode_covariance": (("mode", "other_mode"), found.mode_covariance),
    }


def attributes(found: Measurement) -> dict[str, str | float]:
    """Return what holds for all modes."""
    run, losses = found.run, {name: getattr(found, name) for name in ("excess_loss", "excess_loss_error")}
    return {"recipe": run.recipe.words, "dynamics": run.dynamics, "seed": str(run.entropy), **losses}


def in_a_line(found: Measurement) -> str:
    """Return what ran and the excess loss it found."""
    ran = f"{found.run.dynamics}, {found.replicas} replicas, {int(found.recorded[-1])} steps"
    return clipped(
        f"{type(found).__name__}({ran}: excess_loss={found.excess_loss:.5g} +- {found.excess_loss_error:.2g})"
    )
