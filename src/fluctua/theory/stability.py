"""The largest stable learning rate, in the mean-square sense (F12)."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from .._arrays import Array
from .._validate.arguments import door
from .._validate.nouns import by_noun
from ..errors import UnstableRates
from ..kernels.constant import Kernel
from ..kernels.momentum import step_kernel
from ..kernels.time_varying import refuse_long
from ..problem.least_squares import LeastSquares
from ..recipe.sgd import Recipe
from ..recipe.step import Step
from .needs import refuse_dense
from .radius import unit_radius
from .source import BatchNoise, M, Source
from .stable_limit import StableLimit
from .subsampled import error_between_groups

__all__ = [
    "independent_batches",
    "independent_limit",
    "limit_of",
    "max_stable_lr",
    "mean_stable_lr",
    "surely_stable",
    "warn_unstable",
]

_SHARES = (0.25, 0.5, 0.75, 1.0)  # of a rate, at which stability is told
_BY_EPOCHS = 0.5  # of what independent batches surely bear, up to which epochs are not asked: a margin, not a bound


@by_noun
def max_stable_lr(problem: LeastSquares, sgd: Recipe) -> StableLimit:
    r"""Return the learning rate above which the variance of the weights grows without bound.

    eta_max = 1 / spectral radius of Psi[S]_pq = (h_p h_q S_pq + kappa K[S]_pq) / (h_p + h_q), F12:
    necessary and sufficient for independent batches, at any batch size, and never above 2/h_max. It is the learning
    rate at which the map S -> Phi o kappa K[S] of the stationary balance has spectral radius 1, with momentum too. Of
    a head, `Softmax` or `Logistic`, it is a crossover (F76).

    Parameters
    ----------
    problem : LeastSquares
        The data.
    sgd : SGD
        The recipe. All of it matters but its lr.

    Returns
    -------
    StableLimit
        A float that says how it was found and, for sampling="shuffle", its error, and from how many epochs.

    Raises
    ------
    InvalidInput
        For arguments of other types, for batches larger than the data, and for what the law of shuffled epochs does not
        cover.
    NotConverged
        Where the limit was not found as accurately as stated below.

    Warns
    -----
    UncertainLimit
        In shuffled epochs, where its standard error is above 5 %: it may be too high by that.

    Notes
    -----
    For independent batches, with momentum or without: a Krylov space started at S = I, in which the learning rate moves
    along with the eigenvector (`radius`): about ten passes over the data at 4 N r^2 flops, never a d^2 x d^2
    matrix. Relative accuracy 1e-9 for float64 inputs, 1e-6 for float32, or `NotConverged`.

    In shuffled epochs it is the learning rate at which the spectral radius of S -> E[P^T S P] reaches 1 (F59), P the
    map of the weights over one epoch: from all epochs where at most 50,000 differ, exact to 1e-9; otherwise from 128
    to some 2,000 random ones, in whose last batches every sample comes or the loud ones come more often, within 0.05
    to 2 % (about ten times their cost, a few seconds for 1,000 samples in 50 modes); where an epoch costs more than
    4e7 flops, from the expansion of `predict`, off by about r/N (docs/shuffle.md). Epochs of one batch are independent
    batches.

    References
    ----------
    Mulayoff and Michaeli, arXiv:2306.07850: the limit near a minimum of a general model.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> print(f"{fl.max_stable_lr(problem, fl.SGD(lr=0.01, batch_size=4)):.7f}")
    0.1834962
    """
    door(problem, sgd, samplers=True)
    if sgd.epochs:
        from .reshuffling.limit import epoch_limit

        return epoch_limit(problem, sgd)
    refuse_dense(sgd.seen(problem), sgd.step.slots, limit=True)
    limit = limit_of(Source.of(problem, sgd), sgd.step)
    if problem.feedback_samples is None:
        return StableLimit(limit, "exact")

    def of_a_group(one: LeastSquares) -> float:
        return limit_of(Source.of(one, sgd), sgd.step)

    return StableLimit(limit, "some samples", error_between_groups(problem, sgd.weight_decay, of_a_group))


def limit_of(source: BatchNoise[M], step: Step) -> float:
    """Return the limit of independent batches in a local picture, found in units in which the largest curvature is 1.

    Parameters
    ----------
    source : BatchNoise
        Of a batch's gradient.
    step : Step
        What the optimiser does with it.
    """
    curvatures = source.minimum.curvatures
    steepest = float(curvatures[0])
    edge = step.mean_limit(curvatures)
    if source.kappa == 0.0:
        return edge
    h, (same, factor) = curvatures / steepest, step.scaled(steepest)

    def feedback(s: Array) -> Array:
        return source.feedback(s) / steepest / steepest

    def kernel(lr: float) -> Kernel:
        return step_kernel(h, same, lr)

    return unit_radius(feedback, kernel, edge * factor, len(h), source.minimum.precision) / factor


def independent_batches(sgd: Recipe) -> Recipe:
    """Return the same recipe with independent batches."""
    return replace(sgd, sampling="without_replacement", drop_last=False) if sgd.epochs else sgd


def mean_stable_lr(problem: LeastSquares, sgd: Recipe) -> float:
    """Return the learning rate above which E V grows: the limit of a full batch, and of the discrete rung."""
    return sgd.step.mean_limit(sgd.seen(problem).minimum(sgd.weight_decay).curvatures)


def independent_limit(problem: LeastSquares, sgd: Recipe) -> float:
    """Return the largest stable learning rate of independent batches of the sizes of an epoch, the lowest of them."""
    sizes = set(sgd.batch_sizes(problem.population).tolist())
    return min(float(max_stable_lr(problem, independent_batches(replace(sgd, batch_size=size)))) for size in sizes)


def surely_stable(problem: LeastSquares, sgd: Recipe, rate: float) -> bool:
    """Return whether independent batches are surely stable up to the learning rate `rate`; False says nothing.

    One round of the balance, S' = Phi o kappa K[S], has tr(A S') <= tr(A S) kappa max_x sum_p a_p Phi_pp x_p^2, since
    K[S]_pp <= <x^T S x x_p^2> and <x^T S x> = tr(A S). Below 1 that is asked of some rates up to `rate`. Plain SGD is
    so found stable up to 2/(h_max + kappa R^2), R^2 the largest |x|^2. Cost: a look at the inputs.
    """
    source = Source.of(problem, sgd)
    if not rate < mean_stable_lr(problem, sgd):
        return False
    h, a = source.minimum.curvatures, source.minimum.problem.curvatures
    rounds = np.array([step_kernel(h, sgd.step, share * rate).stationary_variances for share in _SHARES])
    return bool((source.kappa * source.minimum.problem.largest_sums(a * np.maximum(rounds, 0)) < 1).all())


def warn_unstable(problem: LeastSquares, sgd: Recipe, steps: int, *, feeds_back: bool = True) -> None:
    """Warn with `UnstableRates` where a schedule's rate is above the limit in the first `steps` steps.

    Where noise does not feed back the limit is that of the mean. Otherwise it is found, at the cost of `max_stable_lr`,
    only where `surely_stable` does not settle it. Shuffled epochs are settled where independent batches of their sizes
    surely bear twice the rate, or by a look at the largest rate.
    """
    if sgd.schedule is None or steps == 0:
        return
    sgd.schedule.refuse_beyond(steps)
    refuse_long(steps)
    rates = sgd.rates(np.arange(steps))
    if not rates.any() or (feeds_back and _settled(problem, sgd, float(rates.max()))):
        return
    limit = (max_stable_lr if feeds_back else mean_stable_lr)(problem, sgd)
    above = np.flatnonzero(rates > limit)
    if above.size:
        found = UnstableRates(int(above[0]), int(above[-1]), above.size, float(rates[above[0]]), float(limit))
        warnings.warn(found, stacklevel=3)


def _settled(problem: LeastSquares, sgd: Recipe, rate: float) -> bool:
    """Whether a rate is below the limit, told without seeking it."""
    if not sgd.epochs:
        return surely_stable(problem, sgd, rate)
    single = [replace(independent_batches(sgd), batch_size=int(b)) for b in np.unique(sgd.batch_sizes(problem.samples))]
    if all(surely_stable(problem, one, rate / _BY_EPOCHS) for one in single):
        return True
    from .reshuffling.limit import clearly_below

    return clearly_below(problem, sgd, rate)
