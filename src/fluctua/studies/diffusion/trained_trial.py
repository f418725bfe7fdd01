"""The verdict on SGD inside the sampler: the exact law, the rungs below it, and no noise, against real trainings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from ..._arrays import Array, Bools
from ..._validate.values import positive_int
from ...verification.conclusion import StatementVerdict, conclude
from ...verification.equal_time import Progress
from ...verification.significance import bands
from ...verification.statements import Statement, scaled, stated
from .gaussian import GaussianData
from .prediction import predict_gaussian
from .sampler import DDIM
from .steps import steps_of
from .trained import Trained, TrainedPrediction, predict_trained
from .trainings import TrainedRuns, train
from .weight_noise import hold_stable

__all__ = ["verify_trained"]

_TRAININGS, _FEWEST = 200, 20
_RUNGS = {"discrete": "discrete", "langevin": "langevin", "no_noise": "no weight noise"}


def verify_trained(
    data: GaussianData,
    sampler: DDIM,
    denoiser: Trained,
    *,
    samples: int | None,
    root: np.random.SeedSequence,
    threads: int | None,
    progress: Progress | None,
    level: float,
    resolution: float,
    name: str,
    asked: Mapping[str, object] | None,
) -> StatementVerdict:
    """Train denoisers, sample with each, and hold the law of the average over trainings against them.

    Raises
    ------
    InvalidInput
        For a number of trainings below 20, where the weights have no stationary variance, and for what
        `predict_trained` and `train` refuse.
    TooLarge
        If it would take more than 30 days.
    """
    count = positive_int("samples", _TRAININGS if samples is None else samples, minimum=_FEWEST)
    hold_stable(steps_of(sampler.grid(data), sampler.eta).marginal(data.variances), denoiser.sgd)
    right = predict_trained(data, sampler, denoiser, "exact")
    told = partial(progress, "training") if progress else None
    runs = train(data, sampler, denoiser, samples=count, root=root, threads=threads, progress=told)
    best = predict_gaussian(data, sampler)
    return conclude(
        "diffusion",
        f"{name + ', ' if name else ''}{data.words}: {sampler.words}, {denoiser.words}",
        list(_rows(right, runs, level, resolution)),
        level=level,
        resolution=resolution,
        steps=sampler.steps,
        steps_are_asked=True,
        replicas=count,
        entropy=str(root.entropy),
        asked={"sampler": sampler.to_dict(), "data": data.words, "denoiser": denoiser.words, **(asked or {})},
        arrays=_drawn(right, best.mode_variances, runs),
        tables={"trained": ["trained_variance", *(f"trained_{each}" for each in _DRAWN)]},
        facts=_facts(right, best.variance_kept, runs),
    )


_DRAWN = "exact", "best", "measured", "error"


def _rows(right: TrainedPrediction, runs: TrainedRuns, level: float, resolution: float) -> Iterator[Statement]:
    alive = right.data.variances > 0
    found = _contrasts(right, alive, runs.mode_variances)
    said = _said(right, alive, right.mode_variances)
    claim = stated("exact", "claim", said, found)
    yield claim
    for factor in (1 + resolution, 1 - resolution):
        yield scaled("exact", factor, said, found)
    if right.denoiser.start != "optimum":
        return
    for rung, words in _RUNGS.items():
        wrong = predict_trained(right.data, right.sampler, right.denoiser, rung)
        yield stated(words, "rung", _said(right, alive, wrong.mode_variances), found).if_told(claim, level)


def _contrasts(right: TrainedPrediction, alive: Bools, variances: Array) -> dict[str, Array]:
    """Total variance, and mean ratios to the exact law in bands of modes, training by training."""
    ratios = variances[..., alive] / right.mode_variances[alive]
    banded = {f"modes {b.start + 1}-{b.stop}": ratios[..., b].mean(axis=-1) for b in bands(int(alive.sum()))}
    return {"total variance": variances.sum(axis=-1), **banded}


def _said(right: TrainedPrediction, alive: Bools, variances: Array) -> dict[str, float]:
    return {name: float(value) for name, value in _contrasts(right, alive, variances).items()}


def _drawn(right: TrainedPrediction, best: Array, runs: TrainedRuns) -> dict[str, Any]:
    alive = right.data.variances > 0
    s, found = right.data.variances[alive], runs.mode_variances[:, alive]
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    drawn = (right.mode_variances[alive], best[alive], found.mean(axis=0), error)
    return {
        "trained_variance": s,
        **{f"trained_{name}": values / s for name, values in zip(_DRAWN, drawn, strict=True)},
    }


def _facts(right: TrainedPrediction, best: float, runs: TrainedRuns) -> dict[str, str]:
    total = right.data.total_variance
    traces = runs.traces
    error = traces.std(ddof=1) / np.sqrt(len(traces))
    low, high = (traces.mean() + side * 1.96 * error for side in (-1, 1))
    gone = 1 - best
    return {
        "Total variance": f"{total:.4f} of the data; {right.mode_variances.sum():.4f} predicted of samples, "
        f"{low:.4f} to {high:.4f} measured (95 %)",
        "Refunded": f"{(right.variance_kept - best) / gone:.2%} of what the best denoiser's sampler loses",
    }
