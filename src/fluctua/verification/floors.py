"""The floors of a head at other learning rates, beside the one that was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .._arrays import Array
from ..errors import NotConverged
from ..problem.softmax.base import Head
from ..theory.local.approach import balance_of
from ..theory.local.balance import Balance
from ..theory.local.heads import stationary_state
from ..theory.local.ladder import LOCAL_RUNGS, LocalRung
from .verdict import Verdict

__all__ = ["with_floors"]

_SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)  # of the limit


def with_floors(verdict: Verdict, problem: Head, progress: Callable[[float], None] | None) -> Verdict:
    """Return the verdict with the floors of its rungs at rates up to the limit, for its figure.

    A floor that is not found is left out: the verdict stands without it. There is no figure of runs under a schedule,
    which have no one rate, and of runs in shuffled epochs with many modes, where eight laws would cost more than runs.
    """
    sgd, limit = verdict.run.recipe, float(verdict.identity["limit"])
    if sgd.schedule is not None or balance_of(problem, sgd).rough:
        return verdict
    rates = np.array([share * limit for share in _SHARES])
    rungs = [name for name in LOCAL_RUNGS if name in {row.name for row in verdict.rows}]
    found: dict[str, Array] = {f"floor_{name}": np.full(len(rates), np.nan) for name in LOCAL_RUNGS}
    bent = np.full(len(rates), np.inf)
    for place, lr in enumerate(rates.tolist()):
        if progress:
            progress(place / len(rates))
        balance = Balance(problem, replace(sgd, lr=lr))
        bent[place] = balance.anharmonicity
        for name in rungs:
            found[f"floor_{name}"][place] = _floor(balance, name)
    return replace(verdict, arrays={**verdict.arrays, "floor_lr": rates, "floor_anharmonicity": bent, **found})


def _floor(balance: Balance, rung: LocalRung) -> float:
    try:
        return stationary_state(balance, rung).excess_loss
    except NotConverged:
        return float("nan")
