"""What the page and the terminal say of a run, and the points and lines of its figures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..._arrays import AnyArray, Array, Arrays
from .measurement import LayersMeasurement
from .prediction import LayersPrediction

__all__ = ["WINDOWS", "arrays_of", "facts_of", "sloped", "tables_of"]

WINDOWS = ("early", "middle", "late")
_SHOWN = 4  # elements of Bal that are drawn
Over = Mapping[str, LayersPrediction]
_CAUSES = {
    "coupling": "the coupling of the layers",
    "noise": "noise that does not follow the curvature",
    "unrelaxed": "modes that have not relaxed",
}


def sloped(right: Over) -> list[str]:
    """Return the windows in which layer 2 has directions of different curvature, and so a slope."""
    return [window for window in WINDOWS if np.isfinite(right[window].flatness_slope)]


def arrays_of(right: Over, measured: Mapping[str, LayersMeasurement]) -> Arrays:
    """Return variance against curvature in the three windows, and the balance in time."""
    out: dict[str, AnyArray] = {}
    for window in WINDOWS:
        layer = right[window].layer(2)
        along = np.einsum("km,gkl,lm->gm", layer.directions, measured[window].second_layer, layer.directions)
        out[f"{window}_curvature"] = layer.curvatures
        out[f"{window}_predicted"] = layer.variances
        out[f"{window}_measured"] = along.mean(axis=0)
        out[f"{window}_error"] = along.std(axis=0, ddof=1) / np.sqrt(len(along))
        out[f"{window}_steps"] = measured[window].recorded
    return {**out, **_balance(right, measured)}


def _balance(right: Over, measured: Mapping[str, LayersMeasurement]) -> Arrays:
    """The elements of Bal that drift most, and its trace."""
    end = right["end"].balance_drift
    order = np.argsort(-np.abs(np.triu(end)).ravel(), kind="stable")[:_SHOWN]
    rows, columns = np.unravel_index(order, end.shape)
    steps = np.concatenate([measured[name].recorded for name in measured])
    found = np.concatenate([measured[name].balances for name in measured])
    said = np.concatenate([_drifts(right[name]) for name in measured])
    places = np.argsort(steps, kind="stable")
    out: dict[str, AnyArray] = {
        "step": steps[places],
        "trace_measured": np.trace(found, axis1=1, axis2=2)[places],
        "trace_predicted": np.trace(said, axis1=1, axis2=2)[places],
    }
    for number, (row, column) in enumerate(zip(rows, columns, strict=True)):
        out[f"element_{number + 1}_measured"] = found[places, row, column]
        out[f"element_{number + 1}_predicted"] = said[places, row, column]
    return out


def _drifts(prediction: LayersPrediction) -> Array:
    """E Bal less that at the start at each of its steps, (n, h, h)."""
    assert prediction.state.drifts is not None
    return prediction.state.drifts


def tables_of(measured: Mapping[str, LayersMeasurement]) -> dict[str, list[str]]:
    """Return the columns of each table behind the figures."""
    hidden = next(iter(measured.values())).net.hidden
    columns = ("curvature", "predicted", "measured", "error")
    out = {window: [f"{window}_{column}" for column in columns] for window in WINDOWS}
    elements = range(1, min(_SHOWN, hidden**2) + 1)
    drawn = [f"element_{each}_{kind}" for each in elements for kind in ("measured", "predicted")]
    return {**out, "balance": ["step", "trace_measured", "trace_predicted", *drawn]}


def facts_of(
    rungs: Mapping[str, Over], right: Over, measured: Mapping[str, LayersMeasurement], error: float
) -> dict[str, str]:
    """Return what the run found, in words."""
    late, net = right["late"], right["late"].net
    return {
        "Net": f"{net.words}; {len(net.curvatures)} of {net.frame.size} directions are curved",
        "Learning rate": f"{late.law.sgd.lr / net.edge:.1%} of 2/h_max = {net.edge:.6g} of the net",
        "Own error": f"{late.stated_error:.2%}, O(lr): no rung is exact, since third moments do not close",
        **_slopes(right, measured),
        "Step identity": f"Bal' - Bal = lr^2 (G2^T G2 - G1 G1^T) to {error:.1e}",
        "Drift of tr Bal": f"{np.trace(right['end'].balance_drift):+.6f} predicted, leading order "
        f"{np.trace(rungs['langevin']['end'].balance_drift):+.6f}",
    }


def _slopes(right: Over, measured: Mapping[str, LayersMeasurement]) -> dict[str, str]:
    """Slopes, their causes, and what follows for flat directions, where there are slopes."""
    name, windows = "Slope of log variance on log curvature, layer 2", sloped(right)
    if len(windows) < len(WINDOWS):
        return {name: "none: its directions are curved alike, or there is one alone"}
    slopes = ", ".join(
        f"{_span(measured[window])}: {measured[window].slopes_along(right[window].layer(2)).mean():+.4f} "
        f"({right[window].flatness_slope:+.4f})"
        for window in windows
    )
    return {
        name: f"measured (predicted) at steps {slopes}",
        "Cause, early": _cause(right["early"]),
        "Cause, late": _cause(right["late"]),
        "Flat directions": _law(right["early"], right["late"]),
    }


def _span(found: LayersMeasurement) -> str:
    return f"{found.recorded[0]:,}..{found.recorded[-1]:,}"


def _cause(prediction: LayersPrediction) -> str:
    """The parts of the slope, the largest named."""
    parts = prediction.causes
    if not np.isfinite(list(parts.values())).all():
        return "not told apart: the settled state has no slope"
    largest = max(parts, key=lambda name: abs(parts[name]))
    told = ", ".join(f"{name} {value:+.3f}" for name, value in parts.items())
    return f"{_CAUSES[largest]} ({told})"


def _law(early: LayersPrediction, late: LayersPrediction) -> str:
    """Whether flat directions fluctuate less, early and late."""
    less = {True: "fluctuate less", False: "fluctuate more"}
    one, two = early.flatness_slope > 0, late.flatness_slope > 0
    turn = ": a transient, not a law" if one and not two else ""
    return f"they {less[one]} early and {less[two]} late{turn}"
