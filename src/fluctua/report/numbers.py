"""The numbers behind each figure, as CSV."""

from __future__ import annotations

from ..verification.in_time.verdict import DynamicVerdict
from ..verification.verdict import Verdict

__all__ = ["csv_tables", "dynamic_tables"]

_BEHIND = {
    "inflation": ["inflation"],
    "floors": ["floors"],
    "modes": ["modes"],
    "curve": ["curve_measured", "curve_predicted"],
    "balance": ["balance"],
}
_BEHIND_IN_TIME = ("regression", "response", "circulation", "current")


def csv_tables(verdict: Verdict) -> dict[str, dict[str, str]]:
    """Return for each figure the tables behind it: file name to text."""
    there = {name: array in verdict.arrays for name, array in {"floors": "floor_lr", "inflation": "target"}.items()}
    there["balance"] = verdict.balance is not None
    behind = {figure: tables for figure, tables in _BEHIND.items() if there.get(figure, True)}
    return {figure: {f"{name}.csv": verdict.to_csv(table=name) for name in tables} for figure, tables in behind.items()}


def dynamic_tables(verdict: DynamicVerdict) -> dict[str, str]:
    """Return for each figure of a dynamic verdict the table behind it; matrices element by element."""
    there = [name for name in _BEHIND_IN_TIME if name != "current" or "places" in verdict.arrays]
    return {name: verdict.to_csv(table=name) for name in there}
