"""Orders of epochs that the semi-analytic solution draws, and a run that is followed with them."""

from __future__ import annotations

import numpy as np

from .._arrays import Array, Ints
from .._validate.sizes import refuse_bytes
from ..errors import InvalidInput
from ..kernels.time_varying import course
from ..problem.least_squares import LeastSquares
from ..recipe.sgd import Recipe
from ..theory.law import Law
from ..theory.reshuffling.followed import SampledRun
from ..theory.reshuffling.following import follow_sampled
from ..theory.reshuffling.measured import MeasuredEpochs
from ..theory.reshuffling.orders import chosen_orders, random_orders

__all__ = ["antithetic", "refuse_large", "sampled_run"]

_AFFORDABLE = 1e15  # flops


def sampled_run(law: Law, count: int, mean: Array | None, steps: int, seed: np.random.SeedSequence) -> SampledRun:
    """Return a run of `steps` steps from E V(0) = `mean`, (c, r), with `count` random orders of each epoch, or all."""
    problem, sgd = law.problem, law.sgd
    assert law.shuffle is not None
    orders = chosen_orders(problem, sgd)
    if orders is None or not orders.listed:
        orders = random_orders(problem, sgd, count, np.random.Generator(np.random.PCG64DXSM(seed)))
    if sgd.schedule is not None:
        sgd.schedule.refuse_beyond(steps)
    ways = course(law.minimum.curvatures, sgd, None, steps) if law.moves else None
    return follow_sampled(MeasuredEpochs(problem, sgd, orders, law.shuffle.epoch), ways, mean)


def antithetic(seed: np.random.SeedSequence, count: int, samples: int) -> Ints:
    """Return random orders, each with its reverse."""
    rng = np.random.Generator(np.random.PCG64DXSM(seed))
    half = rng.permuted(np.tile(np.arange(samples), (count // 2, 1)), axis=1)
    return np.concatenate([half, half[:, ::-1]])


def refuse_large(problem: LeastSquares, sgd: Recipe, orders: int) -> None:
    """Refuse orders that cost too much, or do not fit into memory."""
    rows = problem.outputs + sgd.step.slots * problem.rank
    flops = 40 * problem.samples * problem.rank * rows * orders
    if flops > _AFFORDABLE:
        raise InvalidInput(
            f"{orders} orders of {problem.samples:,} samples in {problem.rank} modes would cost some {flops:.0e} "
            f"flops, more than {_AFFORDABLE:.0e}. On data so large r/N is small and predict(problem, sgd) is accurate."
        )
    refuse_bytes(
        f"{orders} orders of {problem.samples:,} samples", 24.0 * orders * problem.samples, "Use fewer orders."
    )
