"""The local theory of a head against one measurement: the rows of a verdict, and what its figures show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .._arrays import Array
from ..simulation.head_measurement import HeadMeasurement
from ..storage.results import provenance
from ..theory.local.heads import stationary_state
from ..theory.local.ladder import EXPANDED, LOCAL_RUNGS, LocalRung
from ..theory.local.prediction import LocalPrediction
from .judgement import Role
from .pictured import curve_of, measured_of
from .significance import compare
from .verdict import Row, Verdict

__all__ = ["HeadTrial", "own_error"]

_RTOL = 1e-3
_SHARE = 0.25  # of the anharmonicity, by which the rungs that know of it may be off


def own_error(prediction: LocalPrediction) -> float:
    """Return what a rung may be off by, relative: u without third derivatives, u/4 with them."""
    u = abs(prediction.anharmonicity)
    return _SHARE * u if prediction.theory in EXPANDED else u if prediction.theory == "multiplicative" else 0.0


@dataclass(frozen=True)
class HeadTrial:
    """One measurement, and the rungs called to answer it; `stationary` is the one under test.

    Rungs up to "multiplicative" are followed exactly to the recorded steps. On the way from W* those above have its
    shape: their stationary values times the share of its own that it has reached.
    """

    stationary: LocalPrediction
    measurement: HeadMeasurement
    level: float
    resolution: float
    progress: Callable[[float], None]

    def verdict(self) -> Verdict:
        """Hold every rung, the stationary law and the mutants against the measurement."""
        measured, tested = self.measured, self._rung(self.stationary.theory)
        return Verdict(
            theory=tested.theory,
            level=self.level,
            resolution=self.resolution,
            rows=tuple(self._rows(tested)),
            balance=None,
            identity={**measured.identity, **self._told},
            provenance=provenance(),
            excess_loss=measured.excess_loss,
            excess_loss_error=measured.excess_loss_error,
            optimum_loss=tested.optimum_loss,
            diverged_at=measured.diverged_at,
            arrays={
                **measured_of(measured, tested.curvatures),
                **curve_of(self._curve()),
                **{f"predicted_{name}": self._rung(name).mode_variances for name in LOCAL_RUNGS},
            },
        )

    @property
    def _told(self) -> dict[str, object]:
        """What there is to know of the theory, beside what fixes the numbers."""
        of, sgd = self.stationary, self.stationary.balance.sgd
        return {
            "share_of_limit": None,  # nothing diverges there: what to know is the anharmonicity
            "anharmonicity": of.anharmonicity,
            "bowl": of.bowl,
            "limit": float(of.limit),
            "of_limit": sgd.lr / float(of.limit),
            "own_error": self.own_error,
        }

    @cached_property
    def own_error(self) -> float:
        """Of the rung under test."""
        return own_error(self.stationary)

    @cached_property
    def measured(self) -> HeadMeasurement:
        """The measurement, with what its twins did by chance taken out where there are any."""
        if self.measurement.twin is None:
            return self.measurement
        law = self._followed["multiplicative"]
        assert law.curve is not None
        return self.measurement.controlled(law.curve[self.measurement.watched], law.mode_variances)

    @cached_property
    def _followed(self) -> dict[LocalRung, LocalPrediction]:
        """The rungs of the quadratic at the recorded steps."""
        found: dict[LocalRung, LocalPrediction] = {}
        steps = self.measurement.recorded.tolist()
        for name in LOCAL_RUNGS:
            if name in EXPANDED:
                continue
            self.progress(len(found) / len(LOCAL_RUNGS))
            found[name] = self._predicted(name).after(steps, rtol=_RTOL, curve=name == "multiplicative")
        return found

    def _predicted(self, name: LocalRung) -> LocalPrediction:
        if name == self.stationary.theory:
            return self.stationary
        balance = self.stationary.balance
        return LocalPrediction(balance, name, stationary_state(balance, name))

    def _rung(self, name: LocalRung) -> LocalPrediction:
        """A rung averaged over the recorded steps."""
        if name not in EXPANDED:
            return self._followed[name]
        rest, reached = self._predicted(name), self._followed["multiplicative"]
        settled = self._predicted("multiplicative")
        share = np.sqrt(reached.mode_variances / settled.mode_variances)
        covariance = rest.mode_covariance * np.multiply.outer(share, share)
        excess = rest.excess_loss * reached.excess_loss / settled.excess_loss
        return replace(rest, state=replace(rest.state, covariance=covariance, excess_loss=excess), steps=reached.steps)

    def _curve(self) -> Array:
        """The predicted learning curve of the rung under test, from W*."""
        law, tested = self._followed["multiplicative"], self._rung(self.stationary.theory)
        assert law.curve is not None
        return law.curve * (tested.excess_loss / law.excess_loss)

    def _rows(self, tested: LocalPrediction) -> Iterator[Row]:
        for name in LOCAL_RUNGS:
            role: Role = "claim" if name == tested.theory else "rung"
            yield self._row(name, role, self._rung(name), allowance=self.own_error if role == "claim" else 0.0)
        yield self._row(f"{tested.theory}, stationary", "reference", self.stationary)
        for factor in (1 + self.resolution, 1 - self.resolution):
            yield self._row(f"{tested.theory} x {factor:.3g}", "mutant", tested, factor, self.own_error)

    def _row(self, name: str, role: Role, theory: LocalPrediction, factor: float = 1.0, allowance: float = 0.0) -> Row:
        """A rung, made wrong by a `factor`, against the measurement."""
        excess_loss = theory.excess_loss * factor
        covariance = theory.mode_covariance * factor
        comparison = compare(self.measured, excess_loss, covariance, self.level, allowance)
        return Row(name, role, excess_loss, comparison.p_value >= self.level, comparison)
