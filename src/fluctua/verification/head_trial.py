"""The local theory of a head against one measurement: the rows of a verdict, and what its figures show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .._arrays import Array
from ..recipe.sgd import Recipe
from ..simulation.head_measurement import HeadMeasurement
from ..storage.results import provenance
from ..theory.local.balance import Balance
from ..theory.local.bent_way import on_the_way, ratio
from ..theory.local.epoch_error import LeftOut
from ..theory.local.heads import stationary_state
from ..theory.local.ladder import EXPANDED, FEEDING, LOCAL_RUNGS, LocalRung
from ..theory.local.own_error import share_of
from ..theory.local.prediction import LocalPrediction
from .judgement import Role
from .pictured import curve_of, measured_of
from .significance import bands, compare
from .verdict import INDEPENDENT, Row, Verdict

__all__ = ["HeadTrial", "own_error"]

_RTOL = 1e-3
_DEVIATION = 3.0  # standard errors of twins from their law, from which they are not to be trusted
_SETTLED = 0.005  # of its variance, what the flattest mode lacks when it counts as settled


def own_error(prediction: LocalPrediction) -> float:
    """Return what a rung may be off by, relative: what it states, and what is not known of modes that are left out."""
    state = prediction.state
    return prediction.stated_error + (state.error / state.excess_loss if state.excess_loss else 0.0)


def settled_after(prediction: LocalPrediction) -> int:
    """Return the steps after which the variance of the flattest mode has settled."""
    sgd = prediction.balance.sgd
    flattest = sgd.weight_decay or float(prediction.curvatures[-1])
    return int(np.ceil(-np.log(_SETTLED) / (2 * sgd.step.effective_lr(sgd.lr) * flattest)))


@dataclass(frozen=True)
class HeadTrial:
    """One measurement of `sgd`, and the rungs called to answer it; `stationary` is the one under test.

    With a schedule it is that of the largest rate, held.

    Rungs up to "multiplicative" are followed exactly to the recorded steps. What those above add to it is of second
    order in S: on the way from W* it is less by the square of the share of its own that "multiplicative" has reached.
    """

    stationary: LocalPrediction
    sgd: Recipe
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
            excess_loss_error=self._error,
            optimum_loss=tested.optimum_loss,
            diverged_at=measured.diverged_at,
            arrays={
                **measured_of(measured, tested.curvatures),
                **curve_of(self._curve()),
                **{f"predicted_{name}": self._rung(name).mode_variances for name in self.rungs},
            },
        )

    @property
    def _told(self) -> dict[str, object]:
        """What there is to know of the theory, beside what fixes the numbers."""
        of, sgd = self.stationary, self.stationary.balance.sgd
        known = {"anharmonicity": of.anharmonicity, "own_error": self.own_error}
        return {
            "share_of_limit": None,  # nothing diverges there: what to know is the anharmonicity
            **{name: value if np.isfinite(value) else None for name, value in known.items()},
            "bowl": of.bowl,
            "limit": float(of.limit),
            "of_limit": sgd.lr / float(of.limit),
            "controlled": self._controls,
        }

    @cached_property
    def own_error(self) -> float:
        """Of the rung under test; on the way from W* also of what third derivatives have added by then.

        In epochs, of the modes that have most of the loss there: with rates that fall flat ones come to have it.
        """
        if not np.isfinite(self.stationary.excess_loss):
            return float("inf")
        error, share = own_error(self.stationary), self._share
        if self.left_out is not None and self.follows:
            reached = self._followed["multiplicative"].mode_variances
            error += max(self.left_out.of_loss(reached) - self.left_out.of_loss(), 0.0)
        return error if self.stationary.theory not in EXPANDED else error + self._added(share)

    @property
    def left_out(self) -> LeftOut | None:
        """What the law of epochs leaves out of the rung under test, where there are epochs."""
        return self.stationary.balance.left_out if self.stationary.theory in FEEDING else None

    @cached_property
    def allowances(self) -> float | Array:
        """What each contrast may be off by, the loss and then the bands of modes.

        Modes lack, besides, what the fluctuation does to their mean curvature (F169), which cancels from the loss. In
        epochs noise is taken back, and flat modes keep little of it: beside that, neither what third derivatives add
        nor what the law of epochs leaves out is small. So each band has errors of its own, by the rules for the loss.
        """
        if not np.isfinite(self.stationary.excess_loss):
            return 0.0  # no floor is off by any amount
        if self.stationary.theory not in FEEDING:
            return self.own_error
        beyond = self._share * self._softened + self._unsettled
        if self.left_out is not None:
            rest, quadratic = (self._predicted(name).mode_variances for name in ("anharmonic", "multiplicative"))
            bent = share_of(self.stationary.balance, self.stationary.theory) * np.abs(ratio(rest, quadratic) - 1)
            beyond = beyond + bent + np.maximum(self.left_out.of_variances - self.left_out.of_loss(), 0.0)
        return self.own_error + np.array([0.0, *(beyond[band].mean() for band in bands(len(beyond)))])

    @property
    def _softened(self) -> Array:
        """Relative change of each mode's curvature, (r,)."""
        state, picture = self.stationary.state, self.stationary.balance.picture
        spread = state.covariance - np.multiply.outer(state.mean, state.mean)
        return np.asarray(np.abs(picture.softened(spread, state.mean)) / picture.curvatures)

    @property
    def _unsettled(self) -> Array | float:
        """What third derivatives have added to each mode by now, (r,), as far as what the mode has is not settled.

        It is of second order in S, and known where all has settled; between it goes with what has been reached.
        """
        tested = self.stationary.theory
        if tested not in EXPANDED or not self.follows:
            return 0.0
        quadratic = self._followed["multiplicative"].mode_variances
        reached = ratio(quadratic, self._predicted("multiplicative").mode_variances)
        added = np.abs(ratio(self._rung(tested).mode_variances, quadratic) - 1)
        return np.asarray(added * (1 - np.minimum(reached, 1.0) ** 2))

    def _added(self, share: float) -> float:
        """What may be wrong with what a rung adds to "multiplicative" on the way: nothing at its beginning and end."""
        return abs(self._beyond(self.stationary)) * share * (1 - share)

    @cached_property
    def _share(self) -> float:
        """Of its stationary excess loss, what "multiplicative" has reached on average over the recorded steps."""
        if not self.follows:
            return 1.0
        reached, settled = self._followed["multiplicative"].excess_loss, self._predicted("multiplicative").excess_loss
        return min(1.0, float(ratio(reached, settled)))

    def _beyond(self, rest: LocalPrediction) -> float:
        """What a rung has beyond "multiplicative", relative."""
        return float(ratio(rest.excess_loss, self._predicted("multiplicative").excess_loss)) - 1

    @cached_property
    def measured(self) -> HeadMeasurement:
        """The measurement, with what its twins did by chance taken out where there are any."""
        if not self._controls:
            return replace(self.measurement, twin=None)
        law = self._followed["multiplicative"]
        assert law.curve is not None
        return self.measurement.controlled(law.curve[self.measurement.watched], law.mode_variances)

    @cached_property
    def _controls(self) -> bool:
        """Whether twins help: where their law may be off, in epochs, only if that is less than chance is without them.

        And only if they have followed it: what they deviate from their law would pass into the measurement.
        """
        twin = self.measurement.twin
        if twin is None or not self._of_twins:
            return twin is not None
        deviation = abs(twin.excess_loss - self._followed["multiplicative"].excess_loss)
        chance = self.measurement.excess_loss_error
        return self._of_twins * twin.excess_loss < chance and deviation < _DEVIATION * twin.excess_loss_error

    @cached_property
    def _of_twins(self) -> float:
        """What the law of the twins may be off by, relative: it is exact but in epochs (F167)."""
        left_out = self.stationary.balance.left_out
        if left_out is None or not self.follows:
            return 0.0
        return left_out.of_loss(self._followed["multiplicative"].mode_variances)

    @property
    def _error(self) -> float:
        """One standard error of the measured excess loss, and with it what the law of the twins may be off by."""
        found = self.measured
        beside = self._of_twins * found.excess_loss if self._controls else 0.0
        return float(np.hypot(found.excess_loss_error, beside))

    @cached_property
    def _followed(self) -> dict[LocalRung, LocalPrediction]:
        """The rungs of the quadratic at the recorded steps."""
        found: dict[LocalRung, LocalPrediction] = {}
        steps = self.measurement.recorded.tolist()
        if not self.follows:
            return {name: self._predicted(name) for name in self.rungs if name not in EXPANDED}
        for name in self.rungs:
            if name in EXPANDED:
                continue
            self.progress(len(found) / len(LOCAL_RUNGS))
            found[name] = self._moving(name).after(steps, rtol=_RTOL, curve=name == "multiplicative")
        return found

    def _moving(self, name: LocalRung) -> LocalPrediction:
        """A rung of the recipe as it was run."""
        held = self._predicted(name)
        return held if self.sgd.schedule is None else replace(held, balance=replace(held.balance, sgd=self.sgd))

    def _predicted(self, name: LocalRung) -> LocalPrediction:
        if name == self.stationary.theory:
            return self.stationary
        balance = self.stationary.balance
        return LocalPrediction(balance, name, stationary_state(balance, name))

    def _rung(self, name: LocalRung) -> LocalPrediction:
        """A rung averaged over the recorded steps."""
        if name not in EXPANDED:
            return self._followed[name]
        rest = self._predicted(name)
        if not self.follows or not np.isfinite(rest.excess_loss):
            return rest
        reached = self._followed["multiplicative"]
        assert reached.curve is not None
        assert reached.steps is not None
        states = rest.state, self._predicted("multiplicative").state
        found = on_the_way(self.sgd, rest.curvatures, states, reached.state, reached.curve, reached.steps)
        return replace(rest, state=found, steps=reached.steps)

    def _independent(self) -> LocalPrediction:
        """What independent batches of the same size would do: the quadratic at the recorded steps, or when settled."""
        sgd = replace(self.sgd, sampling="without_replacement", drop_last=False)
        other = Balance(self.stationary.balance.problem, sgd)
        found = LocalPrediction(other, "multiplicative", stationary_state(other, "multiplicative"))
        return found.after(self.measurement.recorded.tolist(), rtol=_RTOL) if self.follows else found

    @cached_property
    def follows(self) -> bool:
        """Whether the law at finite time is known; otherwise the runs are looked at when they have settled."""
        return self.stationary.balance.picture.complete

    @cached_property
    def rungs(self) -> tuple[LocalRung, ...]:
        """Those that are known; schedules and epochs have steps, and batches of epochs depend on one another."""
        missing = {"langevin"} if self._epochs or self.sgd.schedule is not None else set()
        missing |= {"closure"} if self._epochs or not self.follows else set()
        return tuple(name for name in LOCAL_RUNGS if name not in missing)

    @property
    def _epochs(self) -> bool:
        return self.stationary.balance.sgd.epochs

    def _curve(self) -> Array:
        """The predicted learning curve of the rung under test, from W*; its floor alone where that is what is known."""
        if not self.follows or not np.isfinite(self.stationary.excess_loss):
            return np.full(int(self.measurement.recorded[-1]) + 1, self.stationary.excess_loss)
        law, tested = self._followed["multiplicative"], self._rung(self.stationary.theory)
        assert law.curve is not None
        return law.curve * float(ratio(tested.excess_loss, law.excess_loss))

    def _rows(self, tested: LocalPrediction) -> Iterator[Row]:
        for name in self.rungs:
            role: Role = "claim" if name == tested.theory else "rung"
            yield self._row(name, role, self._rung(name), allowance=self.allowances if role == "claim" else 0.0)
        if self._epochs:
            yield self._row(INDEPENDENT, "reference", self._independent())
        if self.sgd.schedule is None:
            yield self._row(f"{tested.theory}, stationary", "reference", self.stationary)
        for factor in (1 + self.resolution, 1 - self.resolution):
            yield self._row(f"{tested.theory} x {factor:.3g}", "mutant", tested, factor, self.allowances)

    def _row(
        self, name: str, role: Role, theory: LocalPrediction, factor: float = 1.0, allowance: float | Array = 0.0
    ) -> Row:
        """A rung, made wrong by a `factor`, against the measurement."""
        excess_loss = theory.excess_loss * factor
        covariance = theory.mode_covariance * factor
        comparison = compare(self.measured, excess_loss, covariance, self.level, allowance)
        return Row(name, role, excess_loss, comparison.p_value >= self.level, comparison)
