"""Which figures there are of what: a register by the kind of result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._validate.values import shown
from ...errors import InvalidInput
from ...planning.batch_cost import BatchCosts
from ...planning.recipes import Plan
from ...planning.swept import Sweep
from ...simulation.measurement import Measurement
from ...theory.answers import Prediction
from ...verification.conclusion import StatementVerdict
from ...verification.in_time.verdict import DynamicVerdict
from ...verification.noise_found import GradientNoise
from ...verification.verdict import Verdict
from . import dynamic, predicted
from .balance_figure import balance
from .curve_figure import curve
from .floors_figure import floor_lines
from .inflation_figure import inflation
from .modes_figure import modes
from .noise_figure import noise
from .sheet import Sheet
from .studied import page_of
from .sweep_figure import lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Pictures", "figure_names", "pictures"]

Pictures = Mapping[str, Callable[[Sheet], "Figure"]]
"""Name of each figure, the one that says most first, and what draws it."""


@singledispatch
def pictures(result: Any) -> Pictures:
    """Return what draws the figures that there is the evidence for, by name.

    Raises
    ------
    InvalidInput
        For what cannot be drawn.
    """
    known = ", ".join(kind.__name__ for kind in pictures.registry if kind not in (object, np.ndarray))
    raise InvalidInput(
        f"there is no figure of {shown(result)}. Give a {known}, or a learning curve, an array of losses."
    )


_OF_A_RUN: dict[type, Mapping[str, Callable[[Any, Sheet], Figure]]] = {
    Verdict: {"inflation": inflation, "floors": floor_lines, "modes": modes, "balance": balance, "curve": curve},
    DynamicVerdict: {
        "regression": dynamic.regression,
        "response": dynamic.response,
        "circulation": dynamic.circulation,
        "current": dynamic.current,
    },
    GradientNoise: {"noise": noise},
}


def figure_names(kind: type) -> tuple[str, ...]:
    """Return the names of all figures that there can be of a run's result."""
    return tuple(_OF_A_RUN[kind])


def _but(result: Any, without: Mapping[str, bool]) -> Pictures:
    made = _OF_A_RUN[type(result)]
    return {name: partial(make, result) for name, make in made.items() if not without.get(name)}


@pictures.register(Verdict)
def _(result: Verdict) -> Pictures:
    there = {"floors": "floor_lr" not in result.arrays, "inflation": "target" not in result.arrays}
    return _but(result, {**there, "balance": not result.balance})


@pictures.register(DynamicVerdict)
def _(result: DynamicVerdict) -> Pictures:
    return _but(result, {"circulation": not result.circulation.elements, "current": "places" not in result.arrays})


@pictures.register(GradientNoise)
def _(result: GradientNoise) -> Pictures:
    return _but(result, {})


@pictures.register(StatementVerdict)
def _(result: StatementVerdict) -> Pictures:
    return {name: partial(drawn.draw, result) for name, drawn in page_of(result).figures.items()}


@pictures.register(Prediction)
def _(result: Prediction) -> Pictures:
    made = {"modes": predicted.modes, **({} if result.curve is None else {"curve": predicted.curve})}
    return {name: partial(make, result) for name, make in made.items()}


@pictures.register(Measurement)
def _(result: Measurement) -> Pictures:
    return {"curve": partial(predicted.measured_curve, result)}


@pictures.register(Plan)
def _(result: Plan) -> Pictures:
    return {"plan": partial(predicted.plan, result)}


@pictures.register(Sweep)
def _(result: Sweep) -> Pictures:
    if not result.cells:
        raise InvalidInput(f"shard {result.shard} of the sweep has no cell to draw. Draw the whole sweep.")
    return {"sweep": partial(lines, result)}


@pictures.register(BatchCosts)
def _(result: BatchCosts) -> Pictures:
    return {"batch_sizes": partial(predicted.batch_sizes, result)}


@pictures.register(np.ndarray)
def _(result: Any) -> Pictures:
    if result.ndim != 1 or result.dtype.kind not in "fiu" or len(result) < 2:
        raise InvalidInput(
            f"a learning curve is an array of at least two losses, one a step, got {shown(result)} of shape "
            f"{result.shape}. `learning_curve` returns one."
        )
    return {"curve": partial(predicted.given_curve, result)}
