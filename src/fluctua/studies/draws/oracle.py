"""`verify_draws`: the law of a sampler against draws that anything made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import AnyArray, Array
from ..._validate.values import false_alarm_level, instance, positive_int, resolution_share
from ...errors import InvalidInput
from ...recipe.sgd import Recipe
from ...simulation.identity import Size
from ...theory.answers import Prediction, predict
from ...theory.ladder import rungs_of
from ...theory.readings import kernel_relaxation
from ...verification.conclusion import StatementVerdict, conclude
from . import figures  # noqa: F401  (says how the verdict is shown)
from .contrasts import Contrasts, Sample, Told
from .found import arrays_of, facts_of
from .reading import read_draws
from .settled import Used, worth
from .statements import Asked, statements, tempered_by

__all__ = ["verify_draws"]

STATIONARY = "stationary"


def verify_draws(
    law: Prediction,
    draws: ArrayLike | Path | str,
    *,
    every: int = 1,
    start: ArrayLike | str | None = None,
    level: float = 0.01,
    resolution: float = 0.03,
) -> StatementVerdict:
    r"""Hold draws of any library against the law of the sampler that should have made them.

    Three claims share the family-wise `level`. *Variances*: the excess loss, bands of modes, and the mean over modes
    that a wrong temperature moves most. *Cross terms* between the modes. *Mean*: W*. Each chain gives one number of
    each, and their spread is the error bar; chains much longer than the slowest relaxation are cut into stretches.
    In the same verdict the law made wrong must be rejected: all variances by `resolution` in either direction, and the
    temperature, where these draws can tell it.

    Parameters
    ----------
    law : Prediction
        `predict(problem, sampler)`, or that `.after(steps)`: then draws holds these steps of every chain, in their
        order, and every chain begins at the start of the law.
    draws : array_like or path
        Weights W of independent chains, (chains, steps, d), of c > 1 outputs (chains, steps, c, d), at least 8 chains;
        the steps' axis may be left out where there is one. Or the .npy or .npz file of such an array.
    every : int
        Steps of the sampler from one draw to the next, if the draws were thinned.
    start : "optimum", "zero", array_like (c, d), "stationary" or None
        Where every chain began, `every` steps before its first draw: the draws are then held against the law at finite
        time. None: not known, and what the chains need to forget it is left out. "stationary": they had forgotten it.
    level : float
        Family-wise false-alarm probability.
    resolution : float
        Relative error of all variances that the draws must be able to reject to count as sharp.

    Returns
    -------
    StatementVerdict
        Its statements, tables "modes" and "statements", figures, `.passed`, `.save`, `.to_json`.

    Raises
    ------
    InvalidInput
        For draws of another shape, with a value that is not finite, of fewer than 8 chains, or shorter than the slowest
        relaxation; the text says how many are needed.
    CorruptData
        For a file that holds no such array.

    Notes
    -----
    What the start leaves, and how many draws are independent, follows from the law under test: a mode forgets in
    `law.relaxation_steps`, its square in half of it. A sampler that forgets more slowly than its law is not what the law
    says, and is rejected as such. Cost: some passes over the draws, and a copy of them in float64.

    Examples
    --------
    >>> import numpy as np
    >>> import fluctua as fl
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((200, 3))
    >>> problem = fl.LeastSquares(x, x @ [[1.0], [2.0], [3.0]] + rng.standard_normal((200, 1)))
    >>> sampler = fl.SGLD(lr=0.1, batch_size=8, temperature=0.005)
    >>> draws = np.zeros((64, 2000, 3))
    >>> w = np.zeros((64, 3))
    >>> for step in range(2000):
    ...     rows = rng.integers(200, size=(64, 8))
    ...     errors = np.einsum("rbd,rd->rb", x[rows], w) - problem.targets[rows, 0]
    ...     gradient = np.einsum("rb,rbd->rd", errors, x[rows]) / 8
    ...     w = w - 0.1 * gradient + np.sqrt(2 * 0.1 * 0.005) * rng.standard_normal(w.shape)
    ...     draws[:, step] = w
    >>> verdict = fl.verify_draws(fl.predict(problem, sampler), draws, level=1e-6)
    >>> verdict.consistent
    True
    """
    instance("law", law, Prediction, "a prediction, fluctua.predict(problem, sampler)")
    level, resolution = false_alarm_level(level), resolution_share(resolution)
    every = positive_int("every", every)
    shaped = read_draws(draws, law.law.problem)
    return _Trial(law, shaped, every, start, level, resolution).verdict()


@dataclass(frozen=True)
class _Trial:
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
                    "draws has one draw of each chain, which does not tell whether the chains have forgotten where they "
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
        return Used.settled(opening, variances, relaxation, draws.shape[1], self.every)

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
        each = worth(self.law.relaxation_steps, self.every)
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
        below = [name for name in rungs_of(own.sgd) if name not in (self.law.theory, "equilibrium")]
        rungs = {name: self._solved(own.sgd, name) for name in below}
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
        f"draws has {steps} steps a chain, and the law is averaged over {len(law.steps)}, {law.when}: give the draws at "
        f"just these steps, in their order."
    )


def _hash(draws: AnyArray) -> str:
    found = sha256()
    for chain in draws:
        found.update(np.ascontiguousarray(chain).tobytes())
    return found.hexdigest()[:16]
