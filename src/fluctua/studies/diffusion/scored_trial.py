"""The verdict on a nonlinear score: what a step leaves out is E Var(x0|x), and less than that of a linear denoiser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from ..._arrays import Array
from ..._validate.values import positive_int
from ...errors import InvalidInput
from ...verification.conclusion import StatementVerdict, conclude
from ...verification.equal_time import Progress
from ...verification.statements import Measured, Statement, scaled, stated
from .gaussian import GaussianData
from .memorisation import Memorisation
from .prediction import predict_gaussian
from .sampler import DDIM
from .schedule import Grid
from .scored import sample_score
from .scores import ClassMixture, Score, TrainingSet

__all__ = ["verify_score"]

_SAMPLES, _FEWEST = 5000, 1000
_LEVELS = 6  # at which a step is looked at
_BARELY = 0.01  # of the total variance: where less is left, rare events decide
_METERED = (5, 10, 20, 50)
_FEWER = 5  # times fewer samples for each of these


class Left(NamedTuple):
    """What is unknown of the data at some levels: measured, of the score's own law, and of a linear denoiser."""

    names: list[str]
    noise_to_signal: Array
    measured: Array
    error: Array
    score: Array
    linear: Array


def verify_score(
    data: GaussianData,
    sampler: DDIM,
    score: Score,
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
    """Hold E |x0 - x0hat|^2 against the score's E Var(x0|x) at some levels, sample, and measure the memorisation.

    Raises
    ------
    InvalidInput
        For fewer samples than 1,000, and for what `sample_score` refuses.
    TooLarge
        If it would take more than 30 days.
    """
    count = positive_int("samples", _SAMPLES if samples is None else samples, minimum=_FEWEST)
    score.fits(data)
    told = partial(progress, "sampling") if progress else None
    found = sample_score(data, sampler, score, samples=count, root=root, threads=threads, progress=told)
    left = _left(data, sampler.grid(data), score, count, root)
    rows = list(_rows(left, level, resolution))
    floor = predict_gaussian(data, sampler).variance_kept
    kept = {"variance kept": Measured(found.variance_kept, found.variance_kept_error)}
    rows.append(stated("Gaussian theory of the samples", "rung", {"variance kept": floor}, kept))
    meters = _meters(data, sampler, score, max(count // _FEWER, _FEWEST), root, threads)
    return conclude(
        "diffusion",
        f"{name + ', ' if name else ''}{score.words}: {sampler.words}",
        rows,
        level=level,
        resolution=resolution,
        steps=sampler.steps,
        steps_are_asked=True,
        replicas=count,
        entropy=str(root.entropy),
        asked={"sampler": sampler.to_dict(), "data": data.words, "denoiser": score.words, **(asked or {})},
        arrays=_drawn(left, meters),
        tables={"left out": [f"left_{each}" for each in _COLUMNS], "meter": list(_METER)},
        facts=_facts(floor, kept["variance kept"], _meter(found, score)),
    )


_COLUMNS = "lambda", "measured", "error", "score", "linear"
_METER = "meter_steps", "meter_ratio", "meter_error"


def _left(data: GaussianData, grid: Grid, score: Score, count: int, root: np.random.SeedSequence) -> Left:
    """At some levels: x0 is drawn from the score's law and made noisy, and guessed."""
    rng = np.random.default_rng(np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, 1)))
    picked = np.unique(np.linspace(0, grid.steps - 1, _LEVELS).round().astype(int))
    rows = []
    for k in picked:
        level = float(grid.alpha_bars[k])
        clean = score.drawn(count, rng)
        noisy = np.sqrt(level) * clean + np.sqrt(1 - level) * rng.standard_normal(clean.shape)
        guess, unknown = score.guess(noisy, level)
        missed = ((clean - guess) ** 2).sum(axis=1)
        error = (missed - unknown).std(ddof=1) / np.sqrt(count)
        v = level * data.variances + 1 - level
        linear = float((data.variances * (1 - level) / v).sum())
        rows.append((grid.noise_to_signal[k], missed.mean(), error, unknown.mean(), linear))
    return Left([f"t = {grid.timesteps[k]:g}" for k in picked], *np.array(rows).T / data.total_variance * _scale(data))


def _scale(data: GaussianData) -> Array:
    """Lambda is no share of the total variance."""
    return np.array([[data.total_variance], [1.0], [1.0], [1.0], [1.0]])


def _rows(left: Left, level: float, resolution: float) -> Iterator[Statement]:
    counts = left.score > _BARELY
    if not counts.any():
        counts[int(left.score.argmax())] = True
    names = [name for name, kept in zip(left.names, counts, strict=True) if kept]
    found = {
        name: Measured(float(mean), float(error))
        for name, mean, error in zip(names, left.measured[counts], left.error[counts], strict=True)
    }
    said = dict(zip(names, left.score[counts].tolist(), strict=True))
    claim = stated("variance left out", "claim", said, found)
    yield claim
    for factor in (1 + resolution, 1 - resolution):
        yield scaled("variance left out", factor, said, found)
    linear = dict(zip(names, left.linear[counts].tolist(), strict=True))
    yield stated("that of a linear denoiser", "rung", linear, found).if_told(claim, level)


def _meter(found: object, score: Score) -> Memorisation | None:
    """The memorisation of samples, where the score knows its training set."""
    return Memorisation.of(found, score) if isinstance(score, (TrainingSet, ClassMixture)) else None  # type: ignore[arg-type]


def _meters(
    data: GaussianData, sampler: DDIM, score: Score, count: int, root: np.random.SeedSequence, threads: int | None
) -> list[tuple[int, float, float]]:
    """Steps, ratio and its error of the same sampler with other numbers of steps."""
    found = []
    for number, steps in enumerate(_METERED, 2):
        stream = np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, number))
        try:
            other = sampler if isinstance(sampler.spacing, (Grid, tuple)) else replace(sampler, steps=steps)
            drawn = sample_score(data, other, score, samples=count, root=stream, threads=threads, progress=None)
        except InvalidInput:  # no grid of so many steps
            continue
        lost = 1 - predict_gaussian(data, other).variance_kept
        found.append((other.steps, (1 - drawn.variance_kept) / lost, drawn.variance_kept_error / lost))
    return found


def _drawn(left: Left, meters: list[tuple[int, float, float]]) -> dict[str, Array]:
    columns = (left.noise_to_signal, left.measured, left.error, left.score, left.linear)
    out = {f"left_{name}": np.asarray(values) for name, values in zip(_COLUMNS, columns, strict=True)}
    return out | {name: np.array([row[k] for row in meters]) for k, name in enumerate(_METER)}


def _facts(floor: float, kept: Measured, meter: Memorisation | None) -> dict[str, str]:
    said = {
        "Variance kept": f"{kept.mean:.4f} +- {kept.error:.2g}; a Gaussian of the same covariance keeps {floor:.4f}"
    }
    if meter is not None:
        said["Memorisation"] = (
            f"{meter.ratio:.3f} +- {meter.ratio_error:.2g} of the loss of a linear denoiser (1 linear, 0 memorised); "
            f"{meter.share:.1%} +- {meter.share_error:.1%} of the samples are on a training image"
        )
    return said
