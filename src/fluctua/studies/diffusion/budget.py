"""Before sampling: the fewest steps for an accuracy, or the best sampler of so many steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

from numpy.typing import ArrayLike

from ..._results import ByValue, Tables, Tabular, clipped
from ..._tables import Columns
from ..._validate.values import choice, instance, listed, real_number
from ...errors import InvalidInput
from ...planning.recipes import plan as plan_verb
from .gaussian import GaussianData
from .goals import Goal, best_of, finer
from .prediction import DiffusionPrediction
from .sampler import DDIM, SOLVERS, Solver
from .schedule import SPACINGS, Betas, Spacing

__all__ = ["DiffusionPlan", "plan", "plan_words"]

_ETAS = (0.0, 0.2, 0.5, 1.0)
_PLANNED: tuple[Solver, ...] = ("ddim", "2m")


@dataclass(frozen=True, eq=False, repr=False)
class DiffusionPlan(ByValue, Tabular):
    """The sampler that does what was asked, and the others that were tried; made by `plan`.

    Attributes
    ----------
    asked : str
        What was asked, in words.
    prediction : DiffusionPrediction
        Of the best.
    candidates : tuple of DiffusionPrediction
        The best of each solver and grid, the best first.
    missed : tuple of str
        Solvers and grids that do not reach it within the training steps, in words.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> digits = diffusion.GaussianData.of(fl.load("digits").inputs, scale=(-1, 1))
    >>> diffusion.plan(digits, budget=20, solvers=["ddim"])
    DiffusionPlan(20 steps: DDIM, 20 steps, eta 0, predicted grid, linear betas, variance_kept=0.8682, w2=0.3006)
    """

    asked: str
    prediction: DiffusionPrediction
    candidates: tuple[DiffusionPrediction, ...]
    missed: tuple[str, ...]

    @property
    def sampler(self) -> DDIM:
        """The best."""
        return self.prediction.sampler

    @property
    def steps(self) -> int:
        """Its number of steps."""
        return self.sampler.steps

    def _tables(self) -> Tables:
        return {"candidates": self._candidates}

    def _candidates(self) -> Columns:
        each = self.candidates
        return {
            "solver": [one.sampler.solver for one in each],
            "spacing": [str(one.sampler.spacing) for one in each],
            "eta": [one.sampler.eta for one in each],
            "steps": [one.sampler.steps for one in each],
            "variance_kept": [one.variance_kept for one in each],
            "w2": [one.w2 for one in each],
        }

    def __repr__(self) -> str:
        best = self.prediction
        numbers = f"variance_kept={best.variance_kept:.4f}, w2={best.w2:.4f}"
        return clipped(f"DiffusionPlan({self.asked}: {self.sampler.words}, {numbers})")


@plan_verb.register(GaussianData)
def plan(
    data: GaussianData,
    *,
    accuracy: float | None = None,
    w2: float | None = None,
    budget: int | None = None,
    spacings: Sequence[Spacing] = SPACINGS,
    solvers: Sequence[Solver] = _PLANNED,
    etas: Sequence[float] = _ETAS,
    betas: Betas | ArrayLike = "linear",
    **schedule: Any,
) -> DiffusionPlan:
    """Find the sampler that is as good as asked in the fewest steps, or the best one of so many, without sampling.

    Parameters
    ----------
    data : GaussianData
        What is sampled.
    accuracy : float, optional
        Share of the variance that may be missing, or too much, summed over the modes.
    w2 : float, optional
        Wasserstein distance that may be left.
    budget : int, optional
        Number of steps; the sampler with the smallest Wasserstein distance is found. One of the three is given.
    spacings : sequence of str
        The time grids to try.
    solvers : sequence of str
        "ddim" and "2m"; "corrected" where it is asked for, which needs the covariance of what it samples.
    etas : sequence of float
        Noises to try with DDIM; near the best of them finer ones are tried for a `budget`.
    betas : str or array_like
        The schedule of training.
    **schedule : keywords
        Of `DDIM`, for all samplers: `train_steps`, `beta_start`, `beta_end`, `set_alpha_to_one`.

    Returns
    -------
    DiffusionPlan
        The best sampler, its prediction, and the best of each solver and grid.

    Raises
    ------
    InvalidInput
        Unless one of accuracy, w2 and budget is given, for values out of range, and where no sampler is as good as
        asked within the training steps.

    Notes
    -----
    Cost: about ten predictions for each candidate. The error is taken to fall with the number of steps, which is so for
    DDIM; the number found is good enough and one step less is not. "leading" takes divisors of the training steps.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> digits = diffusion.GaussianData.of(fl.load("digits").inputs, scale=(-1, 1))
    >>> found = diffusion.plan(digits, accuracy=0.01)
    >>> found.steps, found.sampler.solver, found.sampler.spacing
    (31, '2m', 'predicted')
    """
    instance("data", data, GaussianData, "a fluctua.studies.diffusion.GaussianData")
    goal = Goal.of(accuracy, w2, budget)
    names = [choice("spacing", each, SPACINGS) for each in listed("spacings", spacings, "spacings")]
    kinds = [choice("solver", each, SOLVERS) for each in listed("solvers", solvers, "solvers")]
    noises = [real_number("eta", each, minimum=0.0) for each in listed("etas", etas, "etas")]
    found, missed = [], []
    for kind, name in product(kinds, names):
        base = DDIM(steps=1, spacing=cast("Spacing", name), solver=cast("Solver", kind), betas=betas, **schedule)
        best = best_of(data, base, [0.0] if kind == "2m" else noises, goal)
        if best is None:
            missed.append(f"{kind} on the {name} grid")
        else:
            found.append(best)
    if not found:
        raise InvalidInput(
            f"no sampler that was tried reaches {goal.words} within the training steps. Allow more, try more solvers "
            f"and etas, or noise further: what the start is off by no number of steps removes at eta = 0."
        )
    found.sort(key=goal.rank)
    found[0] = finer(found[0], noises, goal)
    return DiffusionPlan(goal.words, found[0], tuple(found), tuple(missed))


def plan_words(found: DiffusionPlan) -> dict[str, str]:
    """Return a plan as facts: the best, and what the other solvers and grids need."""
    names = {"ddim": "DDIM", "2m": "DPM-Solver++(2M)"}
    each: dict[str, list[str]] = {}
    for one in found.candidates:
        noise = f" at eta {one.sampler.eta:g}" if one.sampler.eta else ""
        each.setdefault(one.sampler.solver, []).append(f"{one.sampler.spacing} {one.sampler.steps}{noise}")
    said = {f"Steps of {names[solver]}": ", ".join(words) for solver, words in each.items()}
    missed = {"Not within the training steps": ", ".join(found.missed)} if found.missed else {}
    return {f"Plan for {found.asked}": found.sampler.words, **said, **missed}
