"""A survey of a problem around one recipe: what a page needs to redraw the theory when a setting moves.

On the discrete rung modes do not mix: h_p and the diagonal of C give the noise floor, the mode
temperatures and, with W*, the learning curve, for any learning rate, batch size and momentum. Weight decay moves W*,
and C with it through every sample, so C is found at some values of it. The exact rung comes from `ExactGrid`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from ..._arrays import AnyArray, Array, Arrays
from ..._validate.plain import Keywords
from ...errors import InvalidInput
from ...problem.least_squares import LeastSquares
from ...recipe.sampling import EPOCHS, Sampling, WeightedSampling
from ...recipe.sgd import Recipe
from ...theory.answers import predict
from ...theory.stability import mean_stable_lr
from ...verification.verdict import Verdict
from .grid import ExactGrid, exact_grid

__all__ = ["Survey", "survey", "surveyed", "with_survey"]

_PREFIX, _GRID = "survey_", "survey_exact_"
_INDEPENDENT: dict[Sampling, Sampling] = dict.fromkeys(EPOCHS, "without_replacement")
_DECADES = 5  # of weight decay, in steps of 1-2-5
_STEEPEST_DECAY = 0.1  # the largest weight decay, in units of h_max
_SHARE = 0.2  # of the time, about, that the weight decays take; the rest is the exact grid's


@dataclass(frozen=True)
class Survey:
    """What the explorer computes from; made by `survey`.

    Attributes
    ----------
    samples, outputs : int
        N and c.
    curvatures : ndarray, (r,)
        Of the data, without weight decay.
    signal : ndarray, (r,)
        Sum over outputs of <y z_p>^2, so that W* of mode p is sqrt(signal)/(h_p + gamma).
    weight_decays, optimum_losses : ndarray, (g,)
    noise : ndarray, (g, r)
        C_pp at each weight decay.
    relaxation_steps : ndarray, (r,)
        Of the recipe.
    limit : float
        Its largest stable learning rate; interpolated, for shuffled epochs that of independent batches, NaN unknown.
    miss : float
        Relative error of the noise floor from `exact` at the recipe, where the exact one is known; otherwise NaN.
    exact : ExactGrid or None
    """

    samples: int
    outputs: int
    curvatures: Array
    signal: Array
    weight_decays: Array
    optimum_losses: Array
    noise: Array
    relaxation_steps: Array
    limit: float
    miss: float
    exact: ExactGrid | None

    def to_arrays(self) -> dict[str, AnyArray]:
        """Return everything as arrays, to be kept in a result."""
        own = {
            _PREFIX + item.name: np.asarray(getattr(self, item.name)) for item in fields(self) if item.name != "exact"
        }
        if self.exact is None:
            return own
        return own | {_GRID + item.name: np.asarray(getattr(self.exact, item.name)) for item in fields(ExactGrid)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Survey | None:
        """Read what `to_arrays` gave; None if a result has none, or one of another version."""
        if any(_PREFIX + item.name not in arrays for item in fields(cls) if item.name != "exact"):
            return None
        grid = None
        if all(_GRID + item.name in arrays for item in fields(ExactGrid)):
            grid = ExactGrid(**_read(ExactGrid, _GRID, arrays))
        return cls(**_read(cls, _PREFIX, arrays), exact=grid)


def _read(kind: type, prefix: str, arrays: Arrays) -> Keywords:
    found = {item.name: arrays[prefix + item.name] for item in fields(kind) if prefix + item.name in arrays}
    return {name: value.item() if value.ndim == 0 else value for name, value in found.items()}


def survey(
    problem: LeastSquares, sgd: Recipe, noise_floor: float = np.nan, progress: Callable[[float], None] | None = None
) -> Survey:
    """Survey `problem` around the recipe `sgd`, whose exact stationary excess loss may be known already.

    Cost: for each of 17 weight decays the residuals, 2 N d c flops, and the diagonal of C, 2 N r; and the exact grid's.
    """
    if isinstance(sgd.sampling, WeightedSampling):
        raise InvalidInput("the explorer redraws batches of equally likely samples: it has no WeightedSampling.")
    decays = _weight_decays(float(problem.curvatures[0]), sgd.weight_decay)
    report = progress or (lambda _: None)
    minima, noise = [], []
    for done, gamma in enumerate(decays):
        report(_SHARE * done / len(decays))
        minima.append(problem.minimum(gamma))
        noise.append(minima[-1].noise_variances)
    grid = exact_grid(problem, decays[-1], lambda fraction: report(_SHARE + (1 - _SHARE) * fraction))
    still = replace(sgd, schedule=None, drop_last=False, sampling=_INDEPENDENT.get(sgd.sampling, sgd.sampling))
    discrete, limit = predict(problem, still, theory="discrete", check_stability=False), _limit(problem, still, grid)
    return Survey(
        samples=problem.samples,
        outputs=problem.outputs,
        curvatures=problem.curvatures,
        signal=np.sum((minima[0].mode_weights * minima[0].curvatures) ** 2, axis=0),
        weight_decays=np.array(decays),
        optimum_losses=np.array([minimum.loss for minimum in minima]),
        noise=np.array(noise),
        relaxation_steps=discrete.relaxation_steps,
        limit=limit,
        exact=grid,
        miss=discrete.excess_loss * _ratio(problem, still, grid, limit) / noise_floor - 1,
    )


def surveyed(verdict: Verdict, problem: LeastSquares) -> Verdict:
    """Return the verdict with a survey around its recipe, so that its report has an explorer.

    Parameters
    ----------
    verdict : Verdict
        From `verify`.
    problem : LeastSquares
        The data that it was made on.

    Returns
    -------
    Verdict
        A copy, with the survey among its arrays.

    Raises
    ------
    InvalidInput
        For data that the verdict's recipe does not fit, such as fewer samples than a batch has.
    NotConverged
        If a prediction of the survey was not found to the accuracy stated.

    Notes
    -----
    Cost: for each of 17 weight decays 2 N d c + 2 N r flops, and for the grid between settings 190 stability limits and
    370 stationary states, of at most 128 modes and a few thousand samples: 15 seconds on digits.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.report.explorer.ranges import surveyed
    >>> data = fl.load("digits", classes=[0, 1], limit=100)
    >>> problem = fl.LeastSquares(data.inputs[:, 26:29], data.targets)
    >>> verdict = fl.verify(problem, fl.SGD(lr=0.05, batch_size=8), steps=100, replicas=32, rng=1)
    >>> len(surveyed(verdict, problem).arrays) > len(verdict.arrays)
    True
    """
    return with_survey(verdict, problem, None)


def with_survey(verdict: Verdict, problem: LeastSquares, progress: Callable[[float], None] | None) -> Verdict:
    """Return `surveyed`, calling `progress` with the fraction done."""
    found = survey(problem, verdict.run.recipe, _noise_floor(verdict), progress)
    return replace(verdict, arrays={**verdict.arrays, **found.to_arrays()})


def _noise_floor(verdict: Verdict) -> float:
    """The exact stationary excess loss of the weights under independent batches, where the verdict has it; or NaN."""
    run = verdict.run
    if verdict.theory != "exact" or run.average or run.recipe.schedule or run.recipe.epochs:
        return float("nan")
    return verdict.row("exact, stationary").excess_loss or float("nan")


def _weight_decays(steepest: float, own: float) -> list[float]:
    """0, five decades in steps of 1-2-5 up to a tenth of h_max, and the recipe's own."""
    top = int(np.floor(np.log10(_STEEPEST_DECAY * steepest)))
    ladder = [float(f"{k}e{e}") for e in range(top - _DECADES, top + 1) for k in (1, 2, 5)]
    return sorted({0.0, own, *(gamma for gamma in ladder if gamma <= max(_STEEPEST_DECAY * steepest, own))})


def _limit(problem: LeastSquares, sgd: Recipe, grid: ExactGrid | None) -> float:
    kappa = sgd.sampling_factor(problem.samples)
    if grid is None or not grid.covers(sgd, kappa):
        return float("nan")
    return grid.limit(mean_stable_lr(problem, sgd), kappa, sgd.step.memory, sgd.weight_decay)


def _ratio(problem: LeastSquares, sgd: Recipe, grid: ExactGrid | None, limit: float) -> float:
    if grid is None or not sgd.lr <= grid.shares[-1] * limit:
        return float("nan")
    kappa = sgd.sampling_factor(problem.samples)
    return grid.ratio(sgd.lr / limit, kappa, sgd.step.memory, sgd.weight_decay)
