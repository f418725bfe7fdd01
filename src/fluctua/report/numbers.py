"""The numbers behind each figure, as CSV."""

from __future__ import annotations

import csv
import io

import numpy as np

from .._arrays import AnyArray, Ints
from ..verification.in_time.verdict import DynamicVerdict
from ..verification.verdict import Verdict

__all__ = ["csv_tables", "dynamic_tables"]


def csv_tables(verdict: Verdict) -> dict[str, dict[str, str]]:
    """Return for each figure the tables behind it: file name to text."""
    arrays = verdict.arrays
    rungs = [name for name in arrays if name.startswith("predicted_")]
    tables = {
        "modes": {"modes.csv": _csv(verdict, ["curvatures", "measured_variances", "measured_errors", *rungs])},
        "curve": {
            "curve_measured.csv": _csv(verdict, ["watched", "loss_mean", "loss_error", "loss_low", "loss_high"]),
            "curve_predicted.csv": _csv(verdict, ["curve_steps", "curve"]),
        },
    }
    if verdict.balance is not None:
        p, q = arrays["element"]
        sides = {name: arrays[name] for name in ("fluctuation", "dissipation", "dissipation_error")}
        tables["balance"] = {"balance.csv": _text({"p": p, "q": q, **sides})}
    return tables


def dynamic_tables(verdict: DynamicVerdict) -> dict[str, str]:
    """Return for each figure of a dynamic verdict the table behind it; matrices element by element."""
    a = verdict.arrays
    lags, modes = a["lags"].astype(int), len(a["curvatures"])
    lag, p = (each.ravel() for each in np.meshgrid(lags, np.arange(modes), indexing="ij"))
    predicted, measured = verdict.currents
    tables = {
        "regression": _text(
            {
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
        ),
        "response": _text(
            {
                **_elements(lags, modes),
                "correlation": a["measured_lagged"].ravel(),
                "by_response": a["by_response"].ravel(),
                "difference_error": a["fdt_error"].ravel(),
            }
        ),
        "circulation": _text(
            {
                **_elements(lags[:1], modes),
                "predicted": predicted.ravel(),
                "measured": measured.ravel(),
                "error": a["current_errors"].ravel(),
            }
        ),
    }
    if "places" in a:
        fields = ("places", "current", "measured_current", "current_error")
        vectors = {f"{name}_{axis}": a[name][:, k] for name in fields for k, axis in enumerate("xy")}
        densities = {name: a[name] for name in ("density", "measured_density")}
        tables["current"] = _text({**vectors, **densities})
    return tables


def _elements(lags: Ints, modes: int) -> dict[str, AnyArray]:
    """Indices of all elements of a matrix at every lag."""
    names = ("lag", "p", "q")
    every = np.meshgrid(lags, np.arange(modes), np.arange(modes), indexing="ij")
    return {name: each.ravel() for name, each in zip(names, every, strict=True)}


def _csv(verdict: Verdict, names: list[str]) -> str:
    return _text({name: verdict.arrays[name] for name in names})


def _text(columns: dict[str, AnyArray]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    return out.getvalue()
