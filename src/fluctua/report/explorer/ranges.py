"""A survey of a problem around one recipe: what a page needs to redraw the theory when a setting moves.

On the discrete rung modes do not mix: h_p and the diagonal of C give the noise floor, the mode
temperatures and, with W*, the learning curve, for any learning rate, batch size and momentum. Weight decay moves W*,
and C with it through every sample, so C is found at some values of it. The exact rung comes from `ReducedBalance`.
In shuffled epochs the discrete rung has closed forms too, and the exact one is found at some settings (`epochs`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ..._arrays import AnyArray, Array, Arrays
from ..._validate.plain import Keywords
from ...errors import InvalidInput
from ...problem.decayed import decayed_moments
from ...problem.least_squares import LeastSquares
from ...recipe.sampling import EPOCHS, Sampling, WeightedSampling
from ...recipe.sgd import Recipe
from ...theory.answers import predict
from ...verification.floors import with_floors
from ...verification.verdict import Verdict
from .balance import ReducedBalance
from .epochs import EpochFactors, epoch_factors
from .known import known_floor
from .reduction import reduced_balance

__all__ = ["Survey", "survey", "surveyed", "with_survey"]

_PREFIX = "explorer_"
_INDEPENDENT: dict[Sampling, Sampling] = dict.fromkeys(EPOCHS, "without_replacement")
_DECADES = 5  # of weight decay, in steps of 1-2-5
_STEEPEST_DECAY = 0.1  # the largest weight decay, in units of h_max


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
        Its largest stable learning rate; for shuffled epochs that of independent batches, NaN unknown.
    floor : float
        Python's exact noise floor at the recipe, of its own sampling; NaN where there is none.
    miss : float
        Relative error that the reduced balance had there, before it was matched; NaN where it was not.
    exact : ReducedBalance or None
    epochs : EpochFactors or None
        Of a run in shuffled epochs.
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
    floor: float
    miss: float
    exact: ReducedBalance | None
    epochs: EpochFactors | None

    def to_arrays(self) -> dict[str, AnyArray]:
        """Return everything as arrays, to be kept in a result."""
        own = {
            _PREFIX + item.name: np.asarray(getattr(self, item.name))
            for item in fields(self)
            if item.name not in _PARTS
        }
        for name, kind in _PARTS.items():
            if (held := getattr(self, name)) is not None:
                own |= {f"{_PREFIX}{name}_{item.name}": np.asarray(getattr(held, item.name)) for item in fields(kind)}
        return own

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Survey | None:
        """Read what `to_arrays` gave; None if a result has none, or one of another version."""
        if any(_PREFIX + item.name not in arrays for item in fields(cls) if item.name not in _PARTS):
            return None
        held = {name: _whole(kind, f"{_PREFIX}{name}_", arrays) for name, kind in _PARTS.items()}
        return cls(**{**_read(cls, _PREFIX, arrays), **held})


def _whole(kind: type, prefix: str, arrays: Arrays) -> Any:
    """What `arrays` has of a kind, or None."""
    found = _read(kind, prefix, arrays)
    return kind(**found) if len(found) == len(fields(kind)) else None


_PARTS: dict[str, type] = {"exact": ReducedBalance, "epochs": EpochFactors}


def _read(kind: type, prefix: str, arrays: Arrays) -> Keywords:
    found = {item.name: arrays[prefix + item.name] for item in fields(kind) if prefix + item.name in arrays}
    return {name: value.item() if value.ndim == 0 else value for name, value in found.items()}


def survey(
    problem: LeastSquares, sgd: Recipe, noise_floor: float = np.nan, progress: Callable[[float], None] | None = None
) -> Survey:
    """Survey `problem` around the recipe `sgd`, whose exact stationary excess loss may be known already.

    Cost: one pass over the samples, of 2 N r (c + 1) flops for each of 17 weight decays; and what `reduced_balance`
    and, in shuffled epochs, `epoch_factors` cost.
    """
    if isinstance(sgd.sampling, WeightedSampling):
        raise InvalidInput("the explorer redraws batches of equally likely samples: it has no WeightedSampling.")
    decays = np.array(_weight_decays(float(problem.curvatures[0]), sgd.weight_decay))
    losses, noise = decayed_moments(problem, decays)
    constant = replace(sgd, schedule=None)
    still = replace(constant, drop_last=False, sampling=_INDEPENDENT.get(sgd.sampling, sgd.sampling))
    exact = reduced_balance(problem, decays, still, progress)
    discrete = predict(problem, still, theory="discrete", check_stability=False)
    floor = known_floor(problem, constant) if np.isnan(noise_floor) else noise_floor
    exact, limit, miss = _matched(exact, problem, still, discrete.excess_loss, np.nan if sgd.epochs else floor)
    return Survey(
        samples=problem.samples,
        outputs=problem.outputs,
        curvatures=problem.curvatures,
        signal=np.sum((problem.minimum(0.0).mode_weights * problem.curvatures) ** 2, axis=0),
        weight_decays=decays,
        optimum_losses=losses,
        noise=noise,
        relaxation_steps=discrete.relaxation_steps,
        limit=limit,
        floor=floor,
        miss=miss,
        exact=exact,
        epochs=epoch_factors(problem, constant, exact, floor) if exact and sgd.sampling == "shuffle" else None,
    )


def _matched(
    exact: ReducedBalance | None, problem: LeastSquares, sgd: Recipe, discrete: float, floor: float
) -> tuple[ReducedBalance | None, float, float]:
    """The balance with the recipe's own floor, the recipe's limit, and how far off its floor was before."""
    kappa = sgd.sampling_factor(problem.samples)
    if exact is None or not exact.covers(sgd.step, kappa):
        return exact, float("nan"), float("nan")
    place = exact.place_of(sgd.weight_decay)
    limit = exact.limit(sgd.step, kappa, sgd.weight_decay, place)
    if not floor > discrete or sgd.lr >= limit:
        return exact, limit, float("nan")
    found = exact.feedback(sgd.step, sgd.lr, kappa, sgd.weight_decay, place)
    return replace(exact, match=(floor / discrete - 1) / found), limit, (1 + found) * discrete / floor - 1


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
    Cost: one pass over the samples, of 2 N r (c + 1) flops for each of 17 weight decays, and some forty K on at most
    128 modes and some thousand samples: half a second on digits. For a run in shuffled epochs also a few
    predictions of such runs.

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


def with_survey(verdict: Verdict, problem: Any, progress: Callable[[float], None] | None) -> Verdict:
    """Return `surveyed`, calling `progress` with the fraction done; of heads the floors at other rates."""
    if verdict.loss != "squares":
        return with_floors(verdict, problem, progress)
    if verdict.run.recipe.tempered:  # the explorer's law is that of batches alone
        return verdict
    found = survey(problem, verdict.run.recipe, _noise_floor(verdict), progress)
    return replace(verdict, arrays={**verdict.arrays, **found.to_arrays()})


def _noise_floor(verdict: Verdict) -> float:
    """The exact stationary excess loss of the weights, where the verdict has it; or NaN."""
    run = verdict.run
    if verdict.theory != "exact" or run.average or run.recipe.schedule or run.dynamics != "sgd":
        return float("nan")
    return verdict.row("exact, stationary").excess_loss or float("nan")


def _weight_decays(steepest: float, own: float) -> list[float]:
    """0, five decades in steps of 1-2-5 up to a tenth of h_max, and the recipe's own."""
    top = int(np.floor(np.log10(_STEEPEST_DECAY * steepest)))
    ladder = [float(f"{k}e{e}") for e in range(top - _DECADES, top + 1) for k in (1, 2, 5)]
    return sorted({0.0, own, *(gamma for gamma in ladder if gamma <= max(_STEEPEST_DECAY * steepest, own))})
