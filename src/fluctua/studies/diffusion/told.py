"""What the terminal and the page say of a sampler, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...errors import InvalidInput, NotConverged
from ...verification.statements import Statement
from .contrasts import Contrasts
from .prediction import DiffusionPrediction, predict_gaussian

__all__ = ["agreeing", "facts_of", "frobenius_words", "most_kept"]

_FLOOR = 1e-4


def facts_of(prediction: DiffusionPrediction) -> dict[str, str]:
    """Return what the law says of a sampler."""
    data = prediction.data
    return {
        "Data": f"{data.words}; total variance {data.total_variance:.4f}",
        "Variance kept": f"{prediction.variance_kept:.4f}",
        "Wasserstein distance": f"W2 = {prediction.w2:.4f}; {prediction.w2_covariance:.4f} without the mean's error",
        "Relative entropy": f"{prediction.kl(_FLOOR):.4g} nats in the modes of variance above {_FLOOR:g}",
        **_limit(prediction),
        **_better(prediction),
        **_empty(prediction),
    }


def frobenius_words(contrasts: Contrasts) -> dict[str, str]:
    """Return how far the whole covariance is off, beside what sampling alone gives."""
    right, shown = contrasts.law.variances, contrasts.shown
    off = np.linalg.norm(shown.covariance - np.diag(right)) / np.linalg.norm(right)
    alone = np.sqrt((right.sum() ** 2 + right @ right) / shown.freedom) / np.linalg.norm(right)
    return {"Covariance": f"off by {off:.4f} of its Frobenius norm; sampling alone gives {alone:.4f}"}


def agreeing(rows: Sequence[Statement]) -> dict[str, str]:
    """Return, where the claim is rejected, which of the wrong laws the samples agree with."""
    if all(row.consistent for row in rows if row.role == "claim"):
        return {}
    names = [row.name for row in rows if row.role in ("mutant", "unresolved") and row.consistent]
    return {"What it agrees with": ", ".join(names) or "none of the laws that were tried"}


def most_kept(prediction: DiffusionPrediction) -> float:
    """Return the most that any grid of so many steps of DDIM keeps of a mode's variance, summed over modes (F131)."""
    widest = np.abs(prediction.angles[0] - prediction.angles[-1])
    steps = prediction.grid.steps
    kept = prediction.level_variances * np.cos(widest / steps) ** (2 * steps)
    return float(kept.sum() / prediction.level_variances.sum())


def _limit(prediction: DiffusionPrediction) -> dict[str, str]:
    if prediction.sampler.solver != "ddim" or prediction.sampler.eta or prediction.grid.steps < 2:
        return {}
    return {"Bound": f"{prediction.grid.steps} steps of DDIM keep at most {most_kept(prediction):.4f}, on any grid"}


def _better(prediction: DiffusionPrediction) -> dict[str, str]:
    """The same number of steps on the predicted grid, with and without memory."""
    if prediction.sampler.spacing == "predicted":
        return {}
    data, solver = prediction.data, "ddim" if prediction.sampler.solver == "2m" else prediction.sampler.solver
    sampler = replace(prediction.sampler, solver=solver, spacing="predicted", steps_offset=0)
    try:
        one = predict_gaussian(data, sampler)
        two = predict_gaussian(data, replace(sampler, eta=0.0, solver="2m"))
    except (InvalidInput, NotConverged):
        return {}
    return {"On the predicted grid": f"W2 = {one.w2:.4f}; with DPM-Solver++(2M) {two.w2:.4f}"}


def _empty(prediction: DiffusionPrediction) -> dict[str, str]:
    data = prediction.data
    count = data.features - data.rank
    if not count:
        return {}
    left = float(prediction.mode_variances[data.rank :].max())
    return {"Modes without data": f"{count}, left out of ratios; their variance at the end is {left:.3g}"}
