r"""Shuffled epochs without a closure: one epoch is measured, and the stationary state of many is solved from it (F58).

An epoch maps the weights linearly, V(n) = V(0) Pi + xi, with Pi and xi fixed by its order. Orders of different epochs
are independent, so the second moment at the start of an epoch solves

    S = E[Pi^T S Pi] + E[(m Pi + xi)^T (m Pi + xi)] - E[(m Pi)^T (m Pi)],    m = E V(0),

whose averages are over random orders of one epoch. They are measured: xi by an epoch begun at m, and Pi by one without
targets begun at the rows of a square root of S - m^T m, so that nothing but the order is sampled. Every order is run
backwards too: what is odd under that, the noise itself in flat modes, then cancels in E xi. No term in r/N is left out;
what errs is the number of orders, and it is known how much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array, Ints, standard_error
from .._results import ByValue, Tables, Tabular, clipped
from .._validate.arguments import door
from .._validate.plain import JsonObject
from .._validate.values import positive_int, step_list
from ..errors import InvalidInput, UnstableSGD
from ..problem.least_squares import LeastSquares
from ..problem.start import Start
from ..recipe.sgd import Recipe
from ..simulation.batches import Rng, seed_sequence
from ..simulation.workers import workers_for
from ..theory.fixed_points import NoStationaryState
from ..theory.law import Law
from ..theory.readings import outside
from ..theory.reshuffling.followed import SampledRun
from ..theory.reshuffling.measured import MeasuredEpochs
from ..theory.reshuffling.orders import Orders
from ..theory.reshuffling.random_map import epoch_map
from ..theory.stability import max_stable_lr
from .epoch_run import EpochRun
from .sampled_orders import antithetic, refuse_large, sampled_run

__all__ = ["SemiAnalytic", "semi_analytic"]

_GROUPS = 16  # of orders, each solved by itself: their spread is the error bar
_RADIUS_RTOL = 1e-4


@dataclass(frozen=True, eq=False, repr=False)
class SemiAnalytic(ByValue, Tabular):
    """Fluctuation in shuffled epochs, from measured epochs; made by `semi_analytic`.

    Attributes
    ----------
    sgd : SGD
        The recipe.
    orders : int
        Orders of one epoch that were averaged over: random ones, or all that differ, where these are few.
    excess_loss, excess_loss_error : float
        E L - L(W*), with weight decay, averaged over the positions of an epoch or over `steps`; one standard error.
    mode_covariance : ndarray, (r, r)
        S about W* in the modes, averaged likewise.
    mode_variances, mode_variance_errors : ndarray, (r,)
        Its diagonal.
    entropy : str
        Seed of the orders.
    steps : tuple of int, or None
        The steps it is at, or averaged over; None if it is stationary.

    Examples
    --------
    >>> import fluctua as fl
    >>> problem = fl.LeastSquares([[1.0], [2.0], [4.0], [3.0]], [[0.5], [1.5], [2.0], [1.0]])
    >>> found = fl.semi_analytic(problem, fl.SGD(lr=0.05, batch_size=2, sampling="shuffle"), rng=1)
    >>> print(f"{found.orders} orders: {found.excess_loss:.6f} +- {found.excess_loss_error:.6f}")
    6 orders: 0.001519 +- 0.000000
    """

    sgd: Recipe
    orders: int
    excess_loss: float
    excess_loss_error: float
    mode_covariance: Array
    mode_variances: Array
    mode_variance_errors: Array
    entropy: str
    steps: tuple[int, ...] | None = None

    def _tables(self) -> Tables:
        mode, error = range(1, len(self.mode_variances) + 1), self.mode_variance_errors
        return {"modes": lambda: {"mode": mode, "variance": self.mode_variances, "variance_error": error}}

    def __repr__(self) -> str:
        loss = f"excess_loss={self.excess_loss:.6g} +- {self.excess_loss_error:.2g}"
        return clipped(f"SemiAnalytic({self.sgd.words}: {loss}, {self.orders:,} orders)")

    def to_dict(self) -> JsonObject:
        """Return the losses and the per-mode vectors as plain JSON types (in `fluctua schema prediction`)."""
        return {
            "orders": self.orders,
            "entropy": self.entropy,
            "excess_loss": self.excess_loss,
            "excess_loss_error": self.excess_loss_error,
            "mode_variances": self.mode_variances.tolist(),
            "mode_variance_errors": self.mode_variance_errors.tolist(),
        }


def semi_analytic(
    problem: LeastSquares,
    sgd: Recipe,
    *,
    steps: int | Sequence[int] | None = None,
    start: ArrayLike | str = "optimum",
    orders: int = 1024,
    rng: Rng = None,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> SemiAnalytic:
    """Predict the fluctuation of shuffled epochs from measurements of single epochs (F58, and F62 at finite time).

    For small data, where `predict` leaves out too much: it keeps what batches of one epoch remember of one another to
    first order in r/N (docs/shuffle.md). The semi-analytic solution keeps all of it and has the errors of a
    measurement instead; the many epochs that a flat mode needs to become stationary are solved, not run.

    Parameters
    ----------
    problem : LeastSquares
        The data.
    sgd : SGD
        The recipe, with sampling="shuffle".
    steps : int or sequence of int, optional
        After so many steps of a run, or averaged over them; by default in the stationary state. A schedule and
        dampening need it.
    start : "optimum", "zero" or array_like, (c, d)
        W(0) of the run, without spread.
    orders : int
        Random orders of one epoch, a multiple of 32; the error falls as one over their square root. Where not more
        than 50,000 epochs differ, all of them are taken instead, and nothing errs.
    rng : Generator, SeedSequence, int or None
        None takes fresh entropy; the result records it either way.
    threads : int, optional
        As in `simulate`.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    SemiAnalytic
        Excess loss and mode variances, with standard errors.

    Raises
    ------
    UnstableSGD
        If the second moment of the weights grows in the orders drawn.
    InvalidInput
        For other samplings, where the epochs would cost more than 1e15 flops, and close to the stability limit if in
        one of the 16 groups of orders the second moment grows. A little below that, orders rarer than those drawn may
        still make much of the second moment: its tails are heavy, and the standard errors do not know of them.
    NotConverged
        If the stationary state, or the limit that an unstable recipe is compared with, was not found to the accuracy
        stated.

    Notes
    -----
    Cost: some 10 epochs of each order with c + k r outputs, k = 2 with momentum: 40 N r (c + k r) flops an order. Of a
    run whose steps differ 8 N r (c + k r) flops an order for each of its epochs. Its errors are the spread of 16 groups
    of the orders, each followed by itself.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", limit=200)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> sgd = fl.SGD(0.05, 8, weight_decay=0.03, sampling="shuffle")
    >>> found = fl.semi_analytic(problem, sgd, orders=256, rng=1)
    >>> print(f"{found.excess_loss:.5f} +- {found.excess_loss_error:.5f}")
    0.00466 +- 0.00004
    >>> print(f"{fl.predict(problem, sgd).excess_loss:.5f}")
    0.00474
    """
    door(problem, sgd, progress=progress)
    workers = workers_for(threads)
    law, count = _allowed(problem, sgd, orders)
    root = seed_sequence(rng)
    if steps is not None:
        wanted, begin = tuple(sorted(int(t) for t in step_list("steps", steps))), Start.at(law.minimum, start)
        run = sampled_run(law, count, None if begin is None else begin.modes, wanted[-1], root)
        return _run(law, run, wanted, begin, str(root.entropy))
    _refuse_changing(sgd)
    if law.measured is not None and law.measured.orders.listed:
        return _listed(law.measured, str(root.entropy))
    epoch = EpochRun(problem, sgd)
    seeds = np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, 0)).spawn(_GROUPS)
    groups = [antithetic(seed, count // _GROUPS, problem.samples) for seed in seeds]
    _refuse_unstable(epoch, groups)
    return _averaged(epoch, list(_settled(epoch, groups, workers, progress)), count, str(root.entropy))


def _allowed(problem: LeastSquares, sgd: Recipe, orders: int) -> tuple[Law, int]:
    """Return the exact law and the number of orders, or refuse."""
    if sgd.sampling != "shuffle":
        raise InvalidInput(
            f"the semi-analytic solution is for sampling='shuffle', got {sgd.sampling!r}: independent "
            f"batches have an exact law, predict(problem, sgd)."
        )
    law = Law(problem, sgd, "exact")  # refuses what no law covers
    count = positive_int("orders", orders, minimum=2 * _GROUPS)
    if count % (2 * _GROUPS):
        raise InvalidInput(
            f"orders must be a multiple of {2 * _GROUPS}, because they come in {_GROUPS} groups and "
            f"each with its reverse; got {count}."
        )
    refuse_large(problem, sgd, count)
    problem.minimum(sgd.weight_decay).refuse_interpolation()
    return law, count


def _settled(
    epoch: EpochRun, groups: list[Ints], workers: int, progress: Callable[[float], None] | None
) -> Iterator[Array]:
    """Yield the stationary S of each group of orders, (r, r), in their order."""
    from joblib import Parallel, delayed

    mean = epoch.settled_mean(np.concatenate(groups))  # of all: its square is the bias of its noise
    jobs = (delayed(epoch.settled)(orders, mean) for orders in groups)
    for done, one in enumerate(Parallel(workers, prefer="threads", return_as="generator")(jobs), 1):
        yield one
        if progress:
            progress(done / _GROUPS)


def _averaged(epoch: EpochRun, found: list[Array], orders: int, entropy: str) -> SemiAnalytic:
    """Return the average over the groups; their spread gives the errors."""
    variances = np.diagonal(found, axis1=1, axis2=2)
    losses = 0.5 * variances @ epoch.minimum.curvatures
    return SemiAnalytic(
        epoch.sgd,
        orders,
        float(losses.mean()),
        float(standard_error(losses)),
        np.mean(found, axis=0),
        variances.mean(axis=0),
        standard_error(variances),
        entropy,
    )


def _run(law: Law, run: SampledRun, steps: tuple[int, ...], begin: Start | None, entropy: str) -> SemiAnalytic:
    """A run averaged over `steps`, and its errors from groups of its orders."""
    orders, half = run.epochs.orders, 0.5 * law.minimum.curvatures
    covariance, _ = run.average(steps)
    variances = np.diag(covariance)
    groups = np.tile(variances, (2, 1)) if orders.listed else run.groups(steps)
    loss = float(half @ variances) + float(outside(law, begin, np.array(steps)).mean())
    error, errors = float(standard_error(groups @ half)), standard_error(groups)
    return SemiAnalytic(law.sgd, len(orders.weights), loss, error, covariance, variances, errors, entropy, steps)


def _refuse_changing(sgd: Recipe) -> None:
    for name, given in (("a schedule", sgd.schedule is not None), ("dampening", not sgd.step.begins_alike)):
        if given:
            raise InvalidInput(
                f"with {name} epochs are not all alike, and there is no stationary state to solve for. Name the steps "
                f"of the run, semi_analytic(problem, sgd, steps=..., start=...), or use predict(problem, sgd)."
            )


def _listed(measured: MeasuredEpochs, entropy: str) -> SemiAnalytic:
    """All epochs that differ, without any error."""
    try:
        covariance, _ = measured.settled_at(None)
    except NoStationaryState as missing:
        limit = max_stable_lr(measured.problem, measured.sgd)
        raise UnstableSGD(measured.sgd.lr, limit, epochs=True) from missing
    variances = np.diag(covariance)
    loss = float(0.5 * variances @ measured.curvatures)
    count = len(measured.orders.weights)
    return SemiAnalytic(measured.sgd, count, loss, 0.0, covariance, variances, np.zeros_like(variances), entropy)


def _refuse_unstable(epoch: EpochRun, groups: list[Ints]) -> None:
    """Refuse where the second moment grows in the orders drawn: in all groups beyond the limit, in some near it."""
    problem, sgd = epoch.problem, epoch.sgd
    unstable = 0
    for orders in groups:
        drawn = Orders(orders, np.full(len(orders), 1 / len(orders)), listed=False)
        unstable += not epoch_map(problem, sgd, drawn).leading(rtol=_RADIUS_RTOL)[0] < 1
    if not unstable:
        return
    limit = max_stable_lr(problem, sgd)
    if unstable == len(groups) or sgd.lr >= limit:
        raise UnstableSGD(sgd.lr, limit, epochs=True)
    raise InvalidInput(
        f"in {unstable} of {len(groups)} groups of {len(groups[0])} orders the variance grows from epoch to epoch at "
        f"lr = {sgd.lr:g}, {sgd.lr / limit:.0%} of the largest stable learning rate {limit:.5g}: so near to it rare "
        f"orders decide, and an average over these few has no meaning. Use more orders, or a smaller lr."
    )
