"""Theory against one measurement at equal times: the rows of a verdict, and what its figures show."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from ..errors import NotConverged, UnstableRates
from ..simulation.measurement import Measurement
from ..storage.results import provenance
from ..theory.answers import Prediction, predict
from ..theory.ladder import FLOWS, Rung, rungs_of
from ..theory.law import Law
from ..theory.moments import Moments
from .judgement import Role
from .pictured import balance_of, curve_of, measured_of
from .significance import compare
from .verdict import INDEPENDENT, Balance, Row, Verdict

__all__ = ["LAW_OF", "Trial"]

_THEORY_RTOL = 1e-2  # of the worst mode's variance; measured on MNIST: excess loss to 3e-4 at b = 1, 2e-5 at b = 32
LAW_OF: dict[str, Rung] = {"sgd": "exact", "gd": "exact", "langevin": "langevin", "langevin_state_dependent": "exact"}
"""The rung of the ladder that each dynamics obeys exactly; full-batch descent obeys the mean's part of it."""


@dataclass(frozen=True)
class Trial:
    """One measurement, and the theories called to answer it; `stationary` is the rung under test."""

    stationary: Prediction
    measurement: Measurement
    start: ArrayLike | str
    level: float
    resolution: float
    share: float | None
    """Of the stability limit, where it is near."""
    progress: Callable[[float], None]

    def verdict(self) -> Verdict:
        """Hold every rung, the stationary law and the mutants against the measurement."""
        measured = self.measurement
        self.progress(0.0)
        tested = self._at_records(self.stationary, curve=True)
        assert tested.curve is not None
        rows, predicted = self._rows(tested)
        balance, elements = self._balance()
        return Verdict(
            theory=tested.theory,
            level=self.level,
            resolution=self.resolution,
            rows=tuple(rows),
            balance=balance,
            identity={**measured.identity, "share_of_limit": self.share},
            provenance=provenance(),
            excess_loss=measured.excess_loss,
            excess_loss_error=measured.excess_loss_error,
            optimum_loss=tested.optimum_loss,
            diverged_at=measured.diverged_at,
            arrays={
                **measured_of(measured, tested.curvatures),
                **curve_of(tested.curve, epochs=tested.law.sgd.epochs),
                **elements,
                **({"target": tested.target} if tested.law.sgd.step.temperature else {}),
                **predicted,
            },
        )

    def _rungs(self, tested: Prediction) -> Iterator[tuple[str, Prediction]]:
        """Yield the ladder at the recorded steps, and in epochs the law of independent batches."""
        law = tested.law
        timed = law.average is not None or law.sgd.schedule is not None or law.sgd.epochs
        names = [name for name in rungs_of(law.sgd) if not (timed and name in FLOWS)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnstableRates)  # said of the law under test; each rung has its own limit
            for done, name in enumerate(reversed(names), 1):
                self.progress(done / (1 + len(names)))  # the curve of the one under test is done
                yield name, self._rung(name, tested)
            if law.sgd.epochs:
                yield INDEPENDENT, self._independent(law)

    def _rows(self, tested: Prediction) -> tuple[list[Row], dict[str, Array]]:
        """Every rung, the stationary law, and the theory under test made wrong in either direction; variances of rungs.

        These are copies: views would keep the matrices.
        """
        rows, predicted = [], {}
        for name, rung in self._rungs(tested):
            role: Role = "claim" if name == tested.theory else "reference" if name == INDEPENDENT else "rung"
            rows.append(self._row(name, role, rung))
            predicted[f"predicted_{name}"] = rung.mode_variances.copy()
        if tested.law.sgd.schedule is None:
            rows.append(self._row(f"{tested.theory}, stationary", "reference", self.stationary))
        wrong = (1 + self.resolution, 1 - self.resolution)
        rows += [self._row(f"{tested.theory} x {factor:.3g}", "mutant", tested, factor) for factor in wrong]
        return rows, predicted

    def _balance(self) -> tuple[Balance | None, dict[str, Array]]:
        """F0 along the trajectory, from W* and where the measurement has it; and what its figure shows."""
        if isinstance(self.start, str) and self.start == "optimum" and self.measurement.balance is not None:
            return balance_of(self.measurement, self._fluctuation())
        return None, {}

    def _rung(self, name: Rung, tested: Prediction) -> Prediction:
        if name == tested.theory:
            return tested
        if name == "equilibrium" and tested.theory == "exact":
            return tested.equilibrated()  # it keeps the exact excess loss: no second pass over the data
        law = tested.law
        return self._at_records(predict(law.problem, law.sgd, theory=name, average=law.average, check_stability=False))

    def _independent(self, law: Law) -> Prediction:
        """What independent batches of the same size would do."""
        sgd = replace(law.sgd, sampling="without_replacement", drop_last=False)
        return self._at_records(predict(law.problem, sgd, average=law.averaging, check_stability=False))

    def _at_records(self, prediction: Prediction, curve: bool = False) -> Prediction:
        steps = self.measurement.recorded.tolist()
        try:
            return prediction.after(steps, start=self.start, rtol=_THEORY_RTOL, curve=curve)
        except NotConverged:
            if self.measurement.diverged_at is None:
                raise
        infinite = np.full((prediction.law.problem.rank,) * 2, np.inf)  # there is nothing to compare
        kept = np.full(steps[-1] + 1, np.inf) if curve else None
        return replace(prediction, moments=Moments(infinite), steps=tuple(steps), curve=kept)

    def _row(self, name: str, role: Role, theory: Prediction, factor: float = 1.0) -> Row:
        """A theory, made wrong by a `factor`, against the measurement."""
        excess_loss = theory.excess_loss * factor
        comparison = compare(self.measurement, excess_loss, theory.mode_covariance * factor, self.level)
        return Row(name, role, excess_loss, comparison.p_value >= self.level, comparison)

    def _fluctuation(self) -> Array:
        """The right side of F0 along the trajectory: what its own dynamics injects per step, with the measured S."""
        tested, measured = self.stationary.law, self.measurement
        law = Law(tested.problem, tested.sgd, LAW_OF[measured.run.dynamics])
        source = law.source.at(measured.window_covariance) if law.feeds_back else law.noise
        return law.kernel.injection() * source + np.diag(law.thermal.given)
