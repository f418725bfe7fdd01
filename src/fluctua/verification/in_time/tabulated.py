"""The tables of a verdict in time: statements, entropy production, relations, and the numbers behind each figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..._arrays import Ints
from ..._results import Tables
from ..._tables import Columns
from ..tabulated import of_each

if TYPE_CHECKING:
    from .verdict import DynamicVerdict

__all__ = ["in_time_tables"]

_STATED = ("name", "role", "p_value", "z_rms", "detectable", "consistent")
_ENTROPY = ("of", "estimator", "predicted", "measured", "error", "resolution", "bias", "resolves")
_TRACES = ("name", "work", "steps", "error", "z_rms")


def in_time_tables(verdict: DynamicVerdict) -> Tables:
    """Return the tables of a verdict in time by name; matrices element by element."""
    tables: dict[str, Any] = {
        "statements": lambda: of_each(verdict.rows, _STATED),
        "entropy": lambda: of_each(verdict.entropy, _ENTROPY),
        "relations": lambda: of_each(verdict.relations, _TRACES),
        "regression": lambda: _regression(verdict),
        "response": lambda: _response(verdict),
        "circulation": lambda: _circulation(verdict),
    }
    if "places" in verdict.arrays:
        tables["current"] = lambda: _current(verdict)
    return tables


def _regression(verdict: DynamicVerdict) -> Columns:
    a = verdict.arrays
    lags = a["lags"].astype(int)
    lag, p = (each.ravel() for each in np.meshgrid(lags, np.arange(len(a["curvatures"])), indexing="ij"))
    return {
        "lag": lag,
        "mode": p,
        "curvature": a["curvatures"][p],
        "correlation": verdict.shares.ravel(),
        "correlation_error": a["share_error"].ravel(),
        "correlation_predicted": a["decay"][lag, p],
        "response": a["measured_responses"].ravel(),
        "response_error": a["response_error"].ravel(),
        "response_predicted": a["dense_responses"][lag, p],
    }


def _response(verdict: DynamicVerdict) -> Columns:
    a = verdict.arrays
    return {
        **_elements(a["lags"].astype(int), len(a["curvatures"])),
        "correlation": a["measured_lagged"].ravel(),
        "by_response": a["by_response"].ravel(),
        "difference_error": a["fdt_error"].ravel(),
    }


def _circulation(verdict: DynamicVerdict) -> Columns:
    a, (predicted, measured) = verdict.arrays, verdict.currents
    return {
        **_elements(a["lags"].astype(int)[:1], len(a["curvatures"])),
        "predicted": predicted.ravel(),
        "measured": measured.ravel(),
        "error": a["current_errors"].ravel(),
    }


def _current(verdict: DynamicVerdict) -> Columns:
    a, fields = verdict.arrays, ("places", "current", "measured_current", "current_error")
    vectors = {f"{name}_{axis}": a[name][:, k] for name in fields for k, axis in enumerate("xy")}
    return {**vectors, **{name: a[name] for name in ("density", "measured_density")}}


def _elements(lags: Ints, modes: int) -> Columns:
    """Indices of all elements of a matrix at every lag."""
    every = np.meshgrid(lags, np.arange(modes), np.arange(modes), indexing="ij")
    return {name: each.ravel() for name, each in zip(("lag", "p", "q"), every, strict=True)}
