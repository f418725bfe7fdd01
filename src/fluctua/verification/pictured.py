"""What the figures of a verdict at equal times show: F0 element by element, the learning curve, the modes."""

from __future__ import annotations

import numpy as np

from .._arrays import Array
from ..simulation.measurement import Measurement
from .significance import normal_scores
from .verdict import Balance

__all__ = ["balance_of", "curve_of", "measured_of"]

_ELEMENTS = 4000  # of F0 kept for the figure
_CURVE_POINTS = 400
_EVERY_STEP = 20_000  # in epochs the curve has teeth, one step wide where the last batch is smaller


def balance_of(measured: Measurement, fluctuation: Array) -> tuple[Balance, dict[str, Array]]:
    """F0, dissipation and storage against fluctuation, both from the trajectory: all elements, and some to draw."""
    assert measured.balance is not None
    assert measured.balance_error is not None
    scores = normal_scores((measured.balance - fluctuation) / measured.balance_error, measured.chunks - 1)
    upper = np.triu_indices(len(scores))
    linked = np.corrcoef(measured.balance[upper], fluctuation[upper])[0, 1] if len(scores) > 1 else np.nan
    summary = Balance(
        elements=len(upper[0]),
        z_rms=float(np.sqrt(np.mean(scores[upper] ** 2))),
        correlation=float(linked),
        trace_ratio=float(np.trace(measured.balance) / np.trace(fluctuation)),
    )
    stride = max(1, len(upper[0]) // _ELEMENTS)
    diagonal = np.diag_indices(len(scores))
    places = tuple(np.concatenate([d, u[::stride]]) for d, u in zip(diagonal, upper, strict=True))
    drawn = {"dissipation": measured.balance, "dissipation_error": measured.balance_error, "fluctuation": fluctuation}
    return summary, {**{name: matrix[places] for name, matrix in drawn.items()}, "element": np.array(places)}


def curve_of(curve: Array, *, epochs: bool = False) -> dict[str, Array]:
    """Return a predicted learning curve at some steps."""
    points = np.unique(np.geomspace(1, len(curve), _CURVE_POINTS).astype(int)) - 1
    if epochs:
        points = np.union1d(points, np.arange(min(len(curve), _EVERY_STEP)))
    return {"curve_steps": points, "curve": curve[points]}


def measured_of(measured: Measurement, curvatures: Array) -> dict[str, Array]:
    """Return what the figures of the mode variances and of the learning curve show of the measurement."""
    losses = measured.replica_losses
    spread = losses.std(axis=0, ddof=1) if measured.diverged_at is None else np.full(losses.shape[1], np.nan)
    with np.errstate(invalid="ignore"):  # between infinite losses there is no quantile
        low, high = np.quantile(losses, [0.05, 0.95], axis=0)
    return {
        "curvatures": curvatures,
        "measured_variances": measured.mode_variances,
        "measured_errors": measured.mode_variance_errors,
        "watched": measured.watched,
        "loss_mean": losses.mean(axis=0),
        "loss_error": spread / np.sqrt(len(losses)),
        "loss_low": low,
        "loss_high": high,
    }
