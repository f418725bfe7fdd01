"""What `verify` does with Gaussian data and a sampler: the law, mutants and rungs against one set of samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from ..._arrays import Array
from ..._validate.arguments import door
from ..._validate.plain import Keywords
from ..._validate.values import false_alarm_level, instance, positive_int, resolution_share
from ...simulation.batches import Rng, seed_sequence
from ...simulation.workers import workers_for
from ...verification.conclusion import StatementVerdict, conclude
from ...verification.equal_time import Progress, silent, verify
from ...verification.statements import Statement, stated
from .contrasts import Contrasts, Law
from .denoisers import Denoiser, denoiser_of, hold_alone
from .gaussian import GaussianData
from .mutants import mutants_of
from .pictured import beside, picture_of
from .pixels import Step, chain_of
from .prediction import DiffusionPrediction, predict_gaussian
from .runs import blocks_of, hold_step
from .sampled import InModes, Moments
from .sampler import DDIM
from .told import agreeing, facts_of, frobenius_words

__all__ = ["verify_gaussian"]

_OTHERS = 10  # times fewer samples for an eta that is drawn only
_SAMPLES = 100_000
_FEWEST = 1000  # samples, above which the error bars are known well enough


@verify.register(GaussianData)
def verify_gaussian(
    data: GaussianData,
    sampler: DDIM,
    *,
    samples: int | None = None,
    rng: Rng = None,
    step: Step | None = None,
    denoiser: Denoiser | None = None,
    level: float = 0.01,
    resolution: float = 0.02,
    threads: int | None = None,
    name: str = "",
    asked: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> StatementVerdict:
    """Sample Gaussian data with the exact denoiser, and hold the law of the sampler against the samples.

    The claim is the exact law: total variance, variances in bands of modes and mode by mode, means, correlations
    between modes, the share of the variance that is not the start's, and modes without data.

    Parameters
    ----------
    data : GaussianData
        What is sampled.
    sampler : DDIM
        Steps, noise, grid and solver.
    samples : int, optional
        How many, at least 1,000; by default 100,000, or 200 trainings of a `Trained` denoiser.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy; the verdict records it.
    step : callable, optional
        Your own, step(x, eps, t, t_prev, rng) -> x at t_prev, which is verified in the place of the sampler's; x and
        the predicted noise eps are (R, d) in float64, t and t_prev training steps, t_prev -1 at the end.
    denoiser : Trained, ClassMixture or TrainingSet, optional
        What stands in the place of the best linear denoiser; of a `Trained` one, `samples` are trainings.
    level : float
        Family-wise probability that a true law is rejected.
    resolution : float
        Relative error of the law that the samples have to reject.
    threads : int, optional
        By default as many as there are cores; a `step` of your own runs in one.
    name : str
        What the data are called.
    asked : mapping, optional
        What repeats the run, for the verdict's identity.
    progress : callable, optional
        Called with the stage and the share of it that is done.

    Returns
    -------
    StatementVerdict
        The claim; mutants: variances times 1 + resolution and 1 - resolution, and, where these samples can tell them,
        eta off by 0.05, the grid shifted by one training step, the other last alpha-bar, and the lower rungs.

    Raises
    ------
    InvalidInput
        For arguments out of range, and where `step` raises or returns something else than x.
    NotConverged
        Where the predicted spacing was not found.
    TooLarge
        If the samples would take more than 30 days.

    Notes
    -----
    Cost: that of `fluctua.simulate`, and three products more. The samples are not kept.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> digits = diffusion.GaussianData.of(fl.load("digits").inputs, scale=(-1, 1))
    >>> fl.verify(digits, diffusion.DDIM(steps=10), samples=20_000, rng=1, level=1e-6)
    StatementVerdict(passed, would catch 1.3 %)
    """
    from . import figures  # noqa: F401, PLC0415  (how the verdict is shown)

    instance("sampler", sampler, DDIM, "a fluctua.studies.diffusion.DDIM(steps=..., eta=...)")
    door(staged=progress)
    hold_step(step)
    level, resolution, root = false_alarm_level(level), resolution_share(resolution), seed_sequence(rng)
    if denoiser is not None:
        hold_alone(step)
        run: Keywords = {"samples": samples, "root": root, "threads": threads, "progress": progress}
        strict: Keywords = {"level": level, "resolution": resolution, "name": name, "asked": asked}
        return denoiser_of(denoiser).verified(data, sampler, **run, **strict)
    count = positive_int("samples", _SAMPLES if samples is None else samples, minimum=_FEWEST)
    report, prediction = progress or silent, predict_gaussian(data, sampler)
    workers = 1 if step else workers_for(threads)
    chain = chain_of(data, sampler, prediction.grid, step)
    blocks = blocks_of(chain, count, root, workers, partial(report, "sampling"))
    moments = sum_of(blocks, data.mean)
    others = {} if step else _other_etas(prediction, max(count // _OTHERS, _FEWEST), root, workers)
    contrasts = Contrasts(InModes.of(data, moments), law_of(prediction), float(prediction.level_variances.sum()))
    rows = list(rows_of(prediction, contrasts, level, resolution))
    return conclude(
        "diffusion",
        f"{name or data.words}: {sampler.words}{', a step of your own' if step else ''}",
        rows,
        level=level,
        resolution=resolution,
        steps=sampler.steps,
        steps_are_asked=True,
        replicas=count,
        entropy=str(root.entropy),
        asked={"sampler": sampler.to_dict(), "data": data.words, **(asked or {})},
        **picture_of(prediction, {sampler.eta: moments, **others}, root),
        facts={**facts_of(prediction), **frobenius_words(contrasts), **agreeing(rows)},
    )


def sum_of(blocks: Iterator[tuple[Array, Array]], centre: Array) -> Moments:
    """Return the sums over all blocks of samples."""
    first, *others = (Moments.of(samples, starts, centre) for samples, starts in blocks)
    for each in others:
        first = first + each
    return first


def _other_etas(
    prediction: DiffusionPrediction, samples: int, root: np.random.SeedSequence, workers: int
) -> dict[float, Moments]:
    """Fewer samples at the other two of eta = 0, 0.5 and 1, for the figure alone."""
    data, grid, found = prediction.data, prediction.grid, {}
    for number, other in enumerate(beside(prediction.sampler)):
        stream = np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, 0, number))
        found[other.eta] = sum_of(blocks_of(chain_of(data, other, grid), samples, stream, workers), data.mean)
    return found


def law_of(prediction: DiffusionPrediction) -> Law:
    """Return what a prediction says of the end."""
    exact = prediction.theory == "exact"
    return Law(prediction.mode_variances, prediction.mode_mean_error, prediction.course.response[-1] if exact else None)


def rows_of(
    prediction: DiffusionPrediction, contrasts: Contrasts, level: float, resolution: float
) -> Iterator[Statement]:
    """Yield the claim, the law made wrong, and the mutants and rungs that these samples can tell."""
    right, claim = contrasts.law, stated("exact", "claim", *contrasts.statement)
    yield claim
    for factor in (1 + resolution, 1 - resolution):
        wrong = replace(contrasts, law=Law(factor * right.variances, right.means, None))
        yield stated(f"exact x {factor:.4g}", "mutant", *wrong.statement)
    for name, other in mutants_of(prediction):
        law = law_of(other)
        told = stated(name, "rung", contrasts.said(law), contrasts.found).if_told(claim, level)
        own = replace(contrasts, law=law)
        # a first order that leaves no variance has no error bars of its own
        yield stated(name, told.role, *own.statement) if own.alive.any() else told
