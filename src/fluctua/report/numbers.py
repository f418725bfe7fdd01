"""The numbers behind each figure, as CSV."""

from __future__ import annotations

import csv
import io

import numpy as np
from numpy.typing import NDArray

from ..verdict import Verdict

__all__ = ["csv_tables"]


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


def _csv(verdict: Verdict, names: list[str]) -> str:
    return _text({name: verdict.arrays[name] for name in names})


def _text(columns: dict[str, NDArray[np.float64]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    return out.getvalue()
