"""Real samples: blocks that run through all steps, each with a stream of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np

from ..._arrays import Array
from ..._validate.arguments import door
from ..._validate.plain import Keywords
from ..._validate.sizes import refuse_bytes, refuse_work
from ..._validate.values import function, instance, positive_int
from ...simulation.batches import Rng, generators, seed_sequence
from ...simulation.groups import in_groups
from ...simulation.kept import Pack
from ...simulation.replicas import simulate
from ...simulation.workers import Clock, in_order, workers_for
from .denoisers import Denoiser, denoiser_of, hold_alone
from .gaussian import GaussianData
from .pixels import Called, Chain, Step, chain_of
from .sampled import DiffusionSamples
from .sampler import DDIM

__all__ = ["blocks_of", "hold_step", "simulate_gaussian"]

_ELEMENTS = 2**18  # of a block: 2 MB, which stays in a cache from one step to the next
_FEWEST = 2


@simulate.register(GaussianData)
def simulate_gaussian(
    data: GaussianData,
    sampler: DDIM,
    *,
    samples: int = 1000,
    rng: Rng = None,
    step: Step | None = None,
    denoiser: Denoiser | None = None,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Any:
    """Sample Gaussian data with the exact denoiser, in the coordinates of the data.

    Parameters
    ----------
    data : GaussianData
        What is sampled.
    sampler : DDIM
        Steps, noise, grid and solver.
    samples : int
        How many, at least 2.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy; the result records it.
    step : callable, optional
        Your own, step(x, eps, t, t_prev, rng) -> x at t_prev, in the place of the sampler's; x and eps are (R, d).
    denoiser : ClassMixture, TrainingSet or Trained, optional
        What stands in the place of the best linear denoiser.
    threads : int, optional
        By default as many as there are cores; a `step` of your own runs in one.
    progress : callable, optional
        Called with the share of the work done.

    Returns
    -------
    DiffusionSamples
        With their starts; of a `Trained` denoiser `TrainedRuns`, `samples` trainings whose samples are averaged over.

    Raises
    ------
    InvalidInput
        For arguments out of range, and where `step` raises or returns something else than x.
    NotConverged
        Where the predicted spacing was not found.
    TooLarge
        If the samples do not fit into memory.

    Notes
    -----
    Cost: a product (R, d) x (d, d) a step, and one solve.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> line = diffusion.GaussianData(mean=[0.0], covariance=[[1.0]])
    >>> def ancestral(x, eps, t, t_prev, rng):
    ...     return x if t_prev < 0 else 0.5 * x
    >>> fl.simulate(line, diffusion.DDIM(steps=2), samples=4, rng=1, step=ancestral).samples.shape
    (4, 1)
    """
    instance("sampler", sampler, DDIM, "a fluctua.studies.diffusion.DDIM(steps=..., eta=...)")
    door(progress=progress)
    hold_step(step)
    count, root = positive_int("samples", samples, minimum=_FEWEST), seed_sequence(rng)
    if denoiser is not None:
        hold_alone(step)
        asked: Keywords = {"samples": count, "root": root, "threads": threads, "progress": progress}
        return denoiser_of(denoiser).simulated(data, sampler, **asked)
    refuse_bytes(f"samples = {count}", 32.0 * count * data.features, "Use fewer; fl.verify keeps none.")
    chain = chain_of(data, sampler, sampler.grid(data), step)
    parts = list(blocks_of(chain, count, root, 1 if step else workers_for(threads), progress))
    identity = {"samples": count, "entropy": str(root.entropy), "spawn_key": list(root.spawn_key)}
    return DiffusionSamples(
        data, sampler, np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts]), identity
    )


def hold_step(step: object) -> None:
    """Refuse what cannot be called as a step."""
    function("step", step, ("x", "eps", "t", "t_prev", "rng"))


def blocks_of(
    chain: Chain,
    samples: int,
    root: np.random.SeedSequence,
    threads: int,
    progress: Callable[[float], None] | None = None,
) -> Iterator[tuple[Array, Array]]:
    """Yield samples and their starts, block by block; they depend on the seed and on nothing else."""
    flops = 2.0 * samples * chain.features**2 * chain.steps
    refuse_work(f"samples = {samples} of {chain.steps} steps", flops, "Use fewer.")
    rows = max(_ELEMENTS // chain.features, 64)
    sizes = [min(rows, samples - first) for first in range(0, samples, rows)]
    jobs, clock = list(zip(sizes, generators(root, len(sizes)), strict=True)), Clock(len(sizes), progress)
    if isinstance(chain, Called):  # a function of the user's may remember its calls
        made = in_order(lambda job: _block(chain, job, clock), jobs, threads, clock.stop, clock.look)
    else:
        made = in_groups(_block, chain, jobs, threads, clock, kept=False)
    with closing(made) as found:
        yield from ((ends, starts) for ends, starts in found)


def _block(chain: Chain, job: tuple[int, np.random.Generator], clock: Clock) -> Pack:
    size, rng = job
    start = rng.standard_normal((size, chain.features))
    end = chain.run(start, rng)
    clock.tick()
    return end, start
