"""The verdict without samples: the law in the modes against whole matrices in the coordinates of the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...simulation.batches import Rng, seed_sequence
from ...verification.conclusion import StatementVerdict, conclude
from ...verification.statements import KNOWN, Measured, Statement, scaled, stated
from .gaussian import GaussianData
from .mutants import mutants_of
from .pictured import picture_of
from .pixels import chain_of
from .prediction import DiffusionPrediction, predict_gaussian
from .sampled import mode_variances
from .sampler import DDIM
from .told import facts_of

__all__ = ["examine"]

_ROUNDING = 1e-9
"""Error bar of whole matrices: what solves and products of them leave of a ratio of order one."""
_DIGITS = 1e-13


def examine(
    data: GaussianData,
    sampler: DDIM,
    *,
    rng: Rng = None,
    level: float = 0.01,
    resolution: float = 0.02,
    name: str = "",
    asked: Mapping[str, object] | None = None,
) -> StatementVerdict:
    """Predict, and hold the law of every mode against mean and covariance carried through all steps as matrices."""
    from . import figures  # noqa: F401, PLC0415  (how the verdict is shown)

    prediction, root = predict_gaussian(data, sampler), seed_sequence(rng)
    return conclude(
        "diffusion",
        f"{name or data.words}: {sampler.words}, theory alone",
        list(_rows(prediction, level, resolution)),
        level=level,
        resolution=resolution,
        steps=sampler.steps,
        replicas=0,
        entropy=str(root.entropy),
        asked={"sampler": sampler.to_dict(), "data": data.words, **(asked or {})},
        **picture_of(prediction, {}, root),
        facts=facts_of(prediction),
    )


def _rows(prediction: DiffusionPrediction, level: float, resolution: float) -> Iterator[Statement]:
    said, found = _said(prediction), _found(prediction)
    claim = stated("exact", "claim", said, found)
    yield claim
    for factor in (1 + resolution, 1 - resolution):
        yield scaled("exact", factor, {name: value for name, value in said.items() if value}, found)
    yield from _cosine(prediction)
    for name, law in mutants_of(prediction):
        yield stated(name, "rung", _said(law), found).if_told(claim, level)


def _said(prediction: DiffusionPrediction) -> dict[str, float]:
    """Numbers that whole matrices give too: total variance, sum of squares, error of the mean, flattest mode."""
    variances, level = prediction.mode_variances, prediction.data.total_variance
    flat = prediction.data.rank - 1
    return {
        "variance kept": float(variances.sum()) / level,
        "Frobenius": float(np.linalg.norm(variances)) / level,
        "mean": float(np.linalg.norm(prediction.mode_mean_error)) / np.sqrt(level),
        "flat mode": float(variances[flat] / prediction.data.variances[flat]),
    }


def _found(prediction: DiffusionPrediction) -> dict[str, Measured]:
    data, level = prediction.data, prediction.data.total_variance
    mean, covariance = chain_of(data, prediction.sampler, prediction.grid).carried()
    flat, end = data.rank - 1, np.sqrt(prediction.grid.alpha_bars[-1])
    along = mode_variances(data, covariance)[flat] / data.variances[flat]
    rounded = _ROUNDING * max(1.0, 1e-5 * data.variances[0] / data.variances[flat])
    return {
        "variance kept": _known(np.trace(covariance) / level),
        "Frobenius": _known(np.linalg.norm(covariance) / level),
        "mean": _known(np.linalg.norm(mean - end * data.mean) / np.sqrt(level), np.linalg.norm(data.mean)),
        "flat mode": Measured(float(along), float(rounded * max(along, 1.0)), KNOWN),
    }


def _known(value: Any, scale: Any = 0.0) -> Measured:
    """A number with what rounding leaves of it, and of the larger ones of which it is a difference."""
    return Measured(float(value), float(_ROUNDING * abs(value) + _DIGITS * (1 + scale)), KNOWN)


def _cosine(prediction: DiffusionPrediction) -> Iterator[Statement]:
    """F129: without noise a step keeps cos^2 of the angle by which it turns a mode."""
    sampler, data = prediction.sampler, prediction.data
    if sampler.solver != "ddim" or sampler.eta:
        return
    start = replace(prediction, step=0).level_variances
    kept = np.cos(np.diff(prediction.angles, axis=0)).prod(axis=0) ** 2
    law = float(np.sum(prediction.level_variances / start * kept)) / data.total_variance
    found = float(prediction.mode_variances.sum()) / data.total_variance
    yield stated("cosine law", "claim", {"variance kept": law}, {"variance kept": _known(found)})
