"""The tables of a verdict: the ladder, the numbers behind each figure, the statements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._results import Tables
from .._tables import Columns

if TYPE_CHECKING:
    from .verdict import Verdict

__all__ = ["equal_time_tables", "of_each"]


def equal_time_tables(verdict: Verdict) -> Tables:
    """Return the tables of a verdict at equal times by name."""
    a = verdict.arrays
    rungs = [name for name in a if name.startswith("predicted_")]
    tables: dict[str, Any] = {
        "ladder": lambda: _ladder(verdict),
        "modes": lambda: _of(a, ("curvatures", "measured_variances", "measured_errors", *rungs)),
        "curve_measured": lambda: _of(a, ("watched", "loss_mean", "loss_error", "loss_low", "loss_high")),
        "curve_predicted": lambda: _of(a, ("curve_steps", "curve")),
    }
    if "target" in a:
        tables["inflation"] = lambda: _inflation(a, rungs)
    if "floor_lr" in a:
        floors = [name for name in a if name.startswith("floor_")]
        tables["floors"] = lambda: _of(a, ("floor_lr", *(name for name in floors if name != "floor_lr")))
    if verdict.balance is not None:
        sides = ("fluctuation", "dissipation", "dissipation_error")
        tables["balance"] = lambda: {**dict(zip("pq", a["element"], strict=True)), **_of(a, sides)}
    return tables


def _inflation(a: Mapping[str, Any], rungs: list[str]) -> Columns:
    """Every mode's variance over that of a sampler's target."""
    target = a["target"]
    return {
        "curvatures": a["curvatures"],
        "target": target,
        "measured_inflation": a["measured_variances"] / target,
        "measured_errors": a["measured_errors"] / target,
        **{name.replace("predicted", "inflation"): a[name] / target for name in rungs},
    }


def _ladder(verdict: Verdict) -> Columns:
    rows, names = verdict.rows, ("z_rms", "frobenius_error", "p_value", "detectable")
    compared = [row.comparison for row in rows]
    return {
        "theory": [row.name for row in rows],
        "role": [row.role for row in rows],
        "excess_loss": [row.excess_loss for row in rows],
        "off_by": [verdict.off(row) for row in rows],
        **of_each(compared, names),
        "consistent": [row.consistent for row in rows],
    }


def of_each(things: Any, names: tuple[str, ...]) -> Columns:
    """Return a column for each attribute of some objects."""
    return {name: [getattr(one, name) for one in things] for name in names}


def _of(arrays: Mapping[str, Any], names: tuple[str, ...]) -> Columns:
    return {name: arrays[name] for name in names}
