"""What a verdict of the study says beside its statements: the points and lines of its figures, and facts in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..._arrays import Array, Arrays, standard_error
from .foretelling import ESTIMATORS
from .held import NAMES, Held
from .prediction import LearningPrediction

__all__ = ["evidence", "facts_of"]

_POINTS = 60  # of a curve
_FEWEST, _ALIKE = 3, 1e-9  # tasks that have an order; spread of logarithms below which they have none


def evidence(held: Held, beside: Held | None) -> tuple[Arrays, Mapping[str, list[str]]]:
    """Return the arrays of the figures and the tables that they make."""
    arrays = {"task": np.arange(len(held.speeds)), **_tasks(held, "")}
    tables = {"tasks": list(arrays)}
    if beside is not None:
        symmetric = _tasks(beside, "symmetric_")
        arrays |= symmetric
        tables["tasks of the symmetric coupling"] = ["task", *symmetric]
    curve, points = _curve(held)
    tables |= {"learning": list(curve), "learned": list(points)}
    return arrays | curve | points, tables


def _tasks(held: Held, prefix: str) -> dict[str, Array]:
    """Speeds of every task: predicted, measured, and foretold by each estimator with its error."""
    found = {"predicted": held.prediction.speeds, "learned": held.speeds}
    for each in ESTIMATORS:
        foretold = held.foretold[each] * held.speeds
        found |= {each: foretold.mean(axis=0), f"{each}_error": standard_error(foretold)}
    return {f"{prefix}{name}": values for name, values in found.items()}


def _curve(held: Held) -> tuple[dict[str, Array], dict[str, Array]]:
    """The overlap of the first task while it is learned: predicted, by its initial speed, and measured."""
    first = _first(held.prediction)
    start = float(first.starts[0])
    eps = np.linspace(0.0, max(held.strengths), _POINTS if first.net.linear else 9)
    curve = {
        "eps": eps,
        "overlap": np.array([first.overlaps(float(each))[0] for each in eps]),
        "initial_slope": start + first.speeds[0] * eps,
    }
    points = {
        "eps_learned": np.array(held.strengths),
        "overlap_learned": start + held.overlaps.mean(axis=0),
        "overlap_error": standard_error(held.overlaps),
    }
    return curve, points


def facts_of(held: Held, labels: Sequence[str], beside: Held | None) -> dict[str, str]:
    """Return what else the terminal and the page say."""
    state, net = held.prediction, held.prediction.net
    told = {
        "Network": f"{net.neurons} neurons, {net.activation}, gain {net.gain:g} of at most {net.largest_gain:.4g}, "
        f"noise {net.noise:g}, dt {net.dt:g}; coupling {'' if net.symmetric else 'not '}symmetric",
        **_extremes(state, labels),
        f"Task {labels[0]}": _of_first(held),
        "Over tasks": f"z-rms {_z_rms(held)}",
    }
    correlation = _correlation(state)
    if np.isfinite(correlation):
        told["Order"] = f"log speed correlates with that of the product of variances by {correlation:.6f}"
    if beside is not None:
        told["Symmetric"] = f"z-rms over tasks {_z_rms(beside)}"
    if not net.linear:
        told["Closure"] = _of_closure(held)
    return told


def _extremes(state: LearningPrediction, labels: Sequence[str]) -> dict[str, str]:
    """Which tasks are learned fastest and slowest; nothing of a single one."""
    if len(labels) == 1:
        return {}
    fast, slow = int(np.argmax(state.speeds)), int(np.argmin(state.speeds))
    said = f"task {labels[fast]}, speed {state.speeds[fast]:.9f}; slowest {labels[slow]}, {state.speeds[slow]:.9f}"
    return {"Fastest": said}


def _of_first(held: Held) -> str:
    """Speed of the first task, foretold and learned, and how long it takes."""
    values = held.foretold["regression"][:, 0] * held.speeds[0]
    first = _first(held.prediction)
    said = (
        f"speed {first.speeds[0]:.9f}, foretold by regression {values.mean():.4g} +- {standard_error(values):.1g}, "
        f"learned {held.speeds[0]:.6g}"
    )
    if not first.net.linear:
        return said
    exact, slope = first.strengths(1.0)[0], (1 - first.starts[0]) / first.speeds[0]
    if not np.isfinite(exact):
        return f"{said}; an overlap of 1 is never reached, whatever the initial speed says"
    return f"{said}; overlap 1 at eps {exact:.6f}, by the initial speed {slope:.6f}"


def _z_rms(held: Held) -> str:
    return ", ".join(f"{NAMES[each]} {held.z_rms(each):.2f}" for each in ESTIMATORS)


def _correlation(state: LearningPrediction) -> float:
    """Of the logarithms of the speeds and of the products of variances, over tasks; NaN where they are all alike."""
    product = replace(state, theory="variances").speeds
    positive = (state.speeds > 0) & (product > 0)
    logs = np.log([state.speeds[positive], product[positive]])
    if logs.shape[1] < _FEWEST or (np.ptp(logs, axis=1) < _ALIKE).any():
        return float("nan")
    return float(np.corrcoef(logs)[0, 1])


def _of_closure(held: Held) -> str:
    """How far the closure was off, beside what it says of itself."""
    ratios = held.learned / held.prediction.speeds
    off = 1 / ratios.mean(axis=0) - 1
    worst = int(np.argmax(np.abs(off)))
    error = float(standard_error(ratios)[worst])
    return f"off by {100 * off[worst]:+.2f}({100 * error:.2g}) %; it states {100 * held.prediction.own_error:.2g} %"


def _first(state: LearningPrediction) -> LearningPrediction:
    return replace(state, inputs=state.inputs[:1], targets=state.targets[:1])
