"""A law and draws that are held against it: the law at their times, what of them is used, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import AnyArray, Array
from ..._validate.values import choice
from ...errors import InvalidInput
from ...recipe.sgd import Recipe
from ...simulation.identity import Size
from ...theory.answers import Prediction, predict
from ...theory.ladder import FLOWS, rungs_of
from ...theory.readings import kernel_relaxation
from ...theory.stability import max_stable_lr
from ...verification.conclusion import StatementVerdict, conclude
from .compared import Asked, statements, tempered_by
from .contrasts import Contrasts, Sample, Told
from .found import arrays_of, facts_of
from .settled import Used, slowed, worth

__all__ = ["Trial"]

STATIONARY = "stationary"
STARTS = ("optimum", "zero", STATIONARY)


@dataclass(frozen=True)
class Trial:
    """A law, and draws that are held against it."""

    asked: Prediction
    draws: AnyArray
    every: int
    start: ArrayLike | str | None
    level: float
    resolution: float

    @cached_property
    def law(self) -> Prediction:
        """The law at the times of the draws."""
        given, steps = self.asked, self.draws.shape[1]
        if given.steps is not None:
            if self.start is not None or len(given.steps) != steps:
                raise InvalidInput(_other_times(given, steps, self.start))
            return given
        if self._settled:
            if self.start is None and steps == 1:
                raise InvalidInput(
                    "draws has one draw of each chain, which does not tell whether they have forgotten where they "
                    "began. Say after how many steps it is, and from where: law.after(steps, start=...); or, if you "
                    "know that they have, start='stationary'."
                )
            return given
        return self._after(given)

    @property
    def _settled(self) -> bool:
        """Whether the stationary law is tested."""
        return self.start is None or (isinstance(self.start, str) and self.start == STATIONARY)

    def _after(self, prediction: Prediction) -> Prediction:
        """Return a prediction at the times of the draws."""
        given = self.asked
        if given.steps is not None:
            began = given.start
            start: Any = "optimum" if began is None else began.displacement(given.modes) + given.optimum
            return prediction.after(given.steps, start=start)
        if self._settled:
            return prediction
        if isinstance(self.start, str):
            choice("start", self.start, STARTS)
        steps = self.every * np.arange(1, self.draws.shape[1] + 1)
        assert self.start is not None
        return prediction.after(steps.tolist(), start=self.start)

    @cached_property
    def mean(self) -> Array:
        """E V in the modes at the times of the draws, (c, r)."""
        law = self.law
        if law.steps is None or law.start is None:
            return np.zeros((law.law.problem.outputs, law.law.problem.rank))
        drift = law.law.motion(max(law.steps)).drift(np.array(law.steps), observed=True)
        return np.asarray(law.start.modes * drift.mean(axis=0))

    @cached_property
    def used(self) -> Used:
        """Which draws."""
        law, draws = self.law, self.draws
        if law.steps is not None or self.start is not None:
            return Used()
        opening, variances, relaxation = self._in_modes(draws[:, 0]), law.mode_variances, law.relaxation_steps
        if law.law.outside and law.law.sgd.step.temperature:  # the weights fluctuate there, too, and most slowly
            beyond = np.linalg.qr(law.modes, mode="complete")[0][:, law.law.problem.rank :]
            count = np.ones(law.law.outside)
            slow = float(kernel_relaxation(law.law.null_motion(1)).max())  # type: ignore[arg-type]
            opening = np.concatenate([opening, (draws[:, 0].astype(np.float64) - law.optimum) @ beyond], axis=2)
            variances = np.concatenate([variances, count * float(law.law.variance_outside(None)[0])])
            relaxation = np.concatenate([relaxation, count * slow])
        return Used.settled(opening, variances, relaxation, self._share, draws.shape[1], self.every)

    @cached_property
    def _share(self) -> float:
        """Of the stability limit, the learning rate: the nearer, the slower are squares of the weights."""
        law = self.law.law
        return law.sgd.lr / float(max_stable_lr(law.problem, law.sgd)) if law.feeds_back else 0.0

    def _in_modes(self, weights: AnyArray) -> Array:
        return np.asarray((weights.astype(np.float64) - self.asked.optimum) @ self.asked.modes)

    @cached_property
    def sample(self) -> Sample:
        """The used draws in the modes, cut into stretches."""
        used, chains, law = self.used, len(self.draws), self.asked.law
        units = [part for chain in self.draws for part in np.array_split(chain[used.first :], used.blocks)]
        half = np.repeat(np.arange(chains) >= chains // 2, used.blocks)
        modes = [self._in_modes(unit) for unit in units]
        outside = np.zeros(len(units))
        if law.outside and (self.law.steps is not None or law.sgd.step.temperature):
            outside = np.array([self._outside(*pair) for pair in zip(units, modes, strict=True)])
        return Sample(modes, half, outside, self.asked.curvatures, law.sgd.weight_decay)

    def _outside(self, weights: AnyArray, modes: Array) -> float:
        """Mean square of what the modes leave of V."""
        v = weights.astype(np.float64) - self.asked.optimum - modes @ self.asked.modes.T
        return float(np.sum(v**2) / len(v))

    @cached_property
    def contrasts(self) -> Contrasts:
        """What is tested."""
        each = worth(slowed(self.law.relaxation_steps, self._share), self.every)
        weights = each * self._sensitivity
        total = float(weights.sum())
        weights = weights / total if total > 0 else each / each.sum()
        return Contrasts(self.sample, self.told(self.law), weights, each)

    @property
    def _sensitivity(self) -> Array:
        """Relative change of each mode's variance with that of the temperature, (r,); 1 without one."""
        if self.warmer is None:
            return np.ones(self.law.law.problem.rank)
        own = self.law.mode_variances
        return np.asarray(np.diag(self.warmer.covariance) / own - 1) / self.resolution

    @cached_property
    def warmer(self) -> Told | None:
        """The law at a temperature too high by the resolution."""
        return tempered_by(self.law, 1 + self.resolution, self.told, self._solved)

    @cached_property
    def theories(self) -> dict[str, Prediction]:
        """The law, and the rungs below it."""
        own = self.law.law
        left = (self.law.theory, "equilibrium", *(FLOWS if own.moves else ()))  # a flow has no step to be unlike others
        below = [name for name in rungs_of(own.sgd) if name not in left]
        rungs: dict[str, Prediction] = {name: self._solved(own.sgd, name) for name in below}
        return {self.law.theory: self.law, **rungs}

    def _solved(self, sgd: Recipe, theory: Any = None) -> Prediction:
        own = self.law.law
        theory = self.law.theory if theory is None else theory
        return self._after(predict(own.problem, sgd, theory=theory, average=own.average, check_stability=False))

    def told(self, prediction: Prediction) -> Told:
        """What a prediction says of the draws."""
        return Told.by(prediction, self.mean)

    def verdict(self) -> StatementVerdict:
        """Hold everything against the draws."""
        law = self.law
        colder = tempered_by(law, 1 - self.resolution, self.told, self._solved)
        theories = {name: self.told(each) for name, each in self.theories.items()}
        asked = Asked(theories, law.theory, self.warmer, colder, self.level, self.resolution)
        rows = statements(self.contrasts, asked)
        arrays, tables = arrays_of(law, self.theories, self.sample)
        return conclude(
            "draws",
            law.law.sgd.words,
            rows,
            level=self.level,
            resolution=self.resolution,
            steps=self.draws.shape[1] * self.every,
            replicas=len(self.sample.half),
            entropy=f"not known; SHA-256 of the draws {_hash(self.draws)}",
            asked=self._identity(),
            arrays=arrays,
            tables=tables,
            facts=dict(self._facts(rows, asked)),
        )

    def _identity(self) -> dict[str, Any]:
        own = self.law.law
        return {
            "recipe": own.sgd.to_dict(),
            "theory": self.law.theory,
            "problem": Size.of(own.problem, own.sgd.weight_decay).to_list(),
            "chains": len(self.draws),
            "every": self.every,
            "left_out": self.used.first,
            "stretches": self.used.blocks,
        }

    def _facts(self, rows: Any, asked: Asked) -> Iterator[tuple[str, str]]:
        yield from facts_of(self.law, self.draws, self.used, self.every, self.contrasts, rows[0], asked)


def _other_times(law: Prediction, steps: int, start: object) -> str:
    assert law.steps is not None
    if start is not None:
        return (
            "start says where the chains began, and the law is of given steps already, from a start of its own. Give "
            "start beside a stationary law, or to law.after."
        )
    return (
        f"draws has {steps} steps a chain, and the law is averaged over {len(law.steps)}, {law.when}: give the draws "
        f"at just these steps, in their order."
    )


def _hash(draws: AnyArray) -> str:
    found = sha256()
    for chain in draws:
        found.update(np.ascontiguousarray(chain).tobytes())
    return found.hexdigest()[:16]
