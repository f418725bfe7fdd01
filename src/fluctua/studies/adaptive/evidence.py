"""What the figures of a verdict draw: densities with the monitor below, and the bias against the step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..._arrays import Array
from ...errors import InvalidInput
from .chain import Langevin
from .grid import needed_points
from .law import ChainLaw
from .predicted import predict_chain
from .runs import ChainRuns

__all__ = ["OCTAVES", "gather"]

OCTAVES = np.arange(-2.0, 1.5, 0.5)
"""Powers of two of the steps at which the bias is drawn, in units of the chain's."""
_FEWEST = 900  # points of a grid
_SHOWN = 400  # points of a line
_SEEN = 1e-5  # of the largest density: what is drawn


def gather(
    law: ChainLaw, runs: ChainRuns, say: Callable[[float], None]
) -> tuple[dict[str, Array], dict[str, list[str]]]:
    """Return the arrays, and which of them make the columns of each table."""
    densities, measured, bias = _densities(law), _measured(law, runs), _bias(law.chain, say)
    point = _point(law, runs)
    tables = {
        "densities": list(densities),
        "histogram": list(measured),
        "bias": list(bias),
        "measured_bias": list(point),
    }
    return {**densities, **measured, **bias, **point}, tables


def _densities(law: ChainLaw) -> dict[str, Array]:
    seen = np.flatnonzero(np.maximum(law.density, law.target.density) > _SEEN * law.density.max())
    x = np.linspace(law.grid[seen[0]], law.grid[seen[-1]], _SHOWN)

    def at(density: Array) -> Array:
        from scipy.interpolate import CubicSpline

        return np.maximum(CubicSpline(law.grid, density)(x), 0)

    return {
        "x": x,
        "density": at(law.density),
        "target_density": at(law.target.density),
        "kept_density": at(law.kept.density),
        "g": law.chain.g(x),
    }


def _measured(law: ChainLaw, runs: ChainRuns) -> dict[str, Array]:
    middles, density, error = runs.density
    there = density > _SEEN * law.density.max()
    return {"middle": middles[there], "measured_density": density[there], "density_error": error[there]}


def _bias(chain: Langevin, say: Callable[[float], None]) -> dict[str, Array]:
    """E x^2 at a range of steps less that of the target, for every method: NaN where the chain has no law."""
    methods = {"ip": False, "naive": True, "fixed": False}
    monitored = chain.method != "fixed" or chain.monitor is not None or isinstance(chain.potential, str)
    lrs = chain.lr * 2.0**OCTAVES
    found: dict[str, Array] = {"lr": lrs}
    for k, (method, weighted) in enumerate(methods.items()):
        if method == "fixed" or monitored:
            share = chain.correction if method == chain.method else 1.0
            chains = [replace(chain, method=method, lr=float(lr), correction=share) for lr in lrs]
            found[f"bias_{method}"] = np.array([_second(each, weighted) for each in chains])
        say((k + 1) / len(methods))
    return found


def _second(chain: Langevin, weighted: bool) -> float:
    """Bias of E x^2, on a grid as fine as it has to be."""
    try:
        law = predict_chain(chain, points=max(_FEWEST, int(2 * needed_points(chain, chain.domain)[0])))
    except InvalidInput:
        return float("nan")
    return law.mean(np.square, weighted=weighted) - law.target.mean(np.square)


def _point(law: ChainLaw, runs: ChainRuns) -> dict[str, Array]:
    """The same, measured."""
    target = law.target.mean(np.square)
    if law.chain.method == "naive":
        mean, error = runs.weighted("x^2")
    else:
        place = list(runs.replica_means).index("E x^2")
        mean, error = runs.moments[place], runs.errors[place]
    return {
        "measured_lr": np.array([law.chain.lr]),
        "measured_bias": np.array([mean - target]),
        "bias_error": np.array([error]),
    }
