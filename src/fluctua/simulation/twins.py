"""Runs looked at twice: correlations between two times, and the answers of twins that share their batches to a push.

Nothing is stored but the weights at the origins that are still open, and twins' states. Error bars are the spread
between groups of replicas (F17).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._arrays import AnyArray, Array, Ints
from .._validate.plain import JsonObject
from ..problem.least_squares import LeastSquares
from ..recipe.sgd import Recipe
from .agenda import BINS, EDGE, Agenda, Forms, Found
from .batches import Draws, Parts
from .executors import elsewhere
from .groups import in_groups
from .interrupts import deferred
from .kept import Pack
from .steppers import pushed_in_modes, slots
from .thermal import Kicks
from .workers import Clock

__all__ = ["Twins", "watch"]

Rngs = list[np.random.Generator]


@dataclass(frozen=True)
class Twins:
    """What all groups of replicas and their twins share.

    Attributes
    ----------
    problem : LeastSquares
    sgd : Recipe
    agenda : Agenda
    forms : Forms
    """

    problem: LeastSquares
    sgd: Recipe
    agenda: Agenda
    forms: Forms

    @cached_property
    def steppers(self) -> Any:
        """What moves replicas and kicked twins, and what moves those with new targets."""
        projections = self.problem.projections
        return pushed_in_modes(self.problem, self.sgd, projections @ self.agenda.optimum.T.astype(projections.dtype))

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross to another process without the steppers, which stay at home."""
        return Twins, (self.problem, self.sgd, self.agenda, self.forms)


def watch(
    twins: Twins,
    groups: Sequence[Rngs],
    threads: int,
    progress: Callable[[float], None] | None = None,
    key: JsonObject | None = None,
) -> list[Found]:
    """Run every group of replicas from W*, with its twins, look at it as planned, and return what each found.

    Where groups are kept, `key` is what fixes the numbers of the run; of a part the groups that were made come back.

    Notes
    -----
    Cost per replica and step of the window: 4 b c r flops for itself and for each of 2 + m s/c twins, s = 1, with
    momentum 2; 2 c m^2 for each lag of an origin.
    """
    clock = Clock(len(groups) * twins.agenda.steps, progress)
    if elsewhere() is None:
        _ = twins.steppers  # made once, before threads ask for them all at a time
    with deferred(clock.stop), closing(in_groups(_watched, twins, groups, threads, clock, key)) as found:
        return [Found(*each) for each in found]


def _watched(twins: Twins, rngs: Rngs, clock: Clock) -> Pack:
    """Run a group."""
    group = _Group(twins.problem, twins.sgd, twins.agenda, twins.forms, twins.steppers, rngs)
    return tuple(vars(group.run(clock)).values())


class _Shared(Draws):
    """One step's batches, drawn once and given to every copy of the replicas."""

    copies = 1
    _kicks: tuple[slice, Kicks] | None = None

    def draw(self) -> None:
        """Draw the next step's."""
        (self.drawn,) = super().batches(1)
        self._kicks = None

    def kicks(self, factors: AnyArray, part: slice, steps: int, shape: tuple[int, ...]) -> Parts:
        """Yield the thermal noise of one step, drawn once, for all copies."""
        if self._kicks is None:
            (self._kicks,) = super().kicks(factors, slice(None), steps, shape)
        now, kicks = self._kicks
        yield now, kicks and (np.tile(kicks[0], (self.copies, 1, 1, 1))[part], kicks[1])

    def batches(self, steps: int) -> Iterator[Ints]:
        """Yield what was drawn, for all copies."""
        del steps
        yield np.tile(self.drawn, (1, self.copies, 1))


class _Group:
    """One group of replicas and its twins on their way."""

    def __init__(
        self, problem: LeastSquares, sgd: Recipe, agenda: Agenda, forms: Forms, steppers: Any, rngs: Rngs
    ) -> None:
        self.agenda, self.forms, self.replicas = agenda, forms, len(rngs)
        self.outputs, self.rank = problem.outputs, problem.rank
        self.step_kicked, self.step_pushed = steppers
        self.draws = _Shared(rngs, problem.samples, sgd)
        self.slots = slots(sgd)
        self.state = np.zeros((self.slots, self.replicas, self.outputs, self.rank))
        m, lags = agenda.modes, len(agenda.lags)
        self.lagged, self.now = np.zeros((lags, m, m)), np.zeros((self.slots, m, m))
        self.answers = np.zeros((lags, len(self.kicks), self.outputs, m))
        self.pushed = np.zeros((lags, self.outputs, m))
        self.areas = np.zeros((self.replicas, 1 + self.outputs))
        self.joint = np.zeros(((1 + self.slots) * self.outputs * m,) * 2)
        self.density, self.flow = np.zeros(BINS * BINS), np.zeros((BINS * BINS, 2))
        self.open: dict[int, list[Array]] = {}

    @cached_property
    def kicks(self) -> Array:
        """Displacement of the state of each kicked twin, (twins, s, c, r): one mode per output, the last twin all."""
        agenda, c = self.agenda, self.outputs
        each = -(-agenda.modes // c)
        out = np.zeros((self.slots * each + 1, self.slots, c, self.rank))
        for s in range(self.slots):
            for mode in range(agenda.modes):
                out[s * each + mode // c, s, mode % c, mode] = agenda.sizes[mode]
        out[-1, 0] = agenda.direction
        return out

    def run(self, clock: Clock) -> Found:
        """From W* to the end."""
        agenda = self.agenda
        origins, kicks = set(agenda.origins.tolist()), agenda.kicks
        kicked = pushed = self.state[:, :0]
        born = 0
        for step in range(agenda.steps + 1):
            if step in origins:
                self._open(step)
            if step > agenda.opened:
                self._close(step)
                if step - born in agenda.lags:
                    self._answer(agenda.lags.index(step - born), kicked, pushed)
            if step in kicks:
                kicked, pushed, born = self._twins(), self.state.copy(), step
            if step < agenda.steps:
                clock.tick()
                kicked, pushed = self._step(step, kicked, pushed)
        return self._found(len(origins), len(kicks))

    def _twins(self) -> Array:
        """Twins of all replicas, one kick after another, (s, kicks x R, c, r)."""
        copies = self.state[:, None] + self.kicks.transpose(1, 0, 2, 3)[:, :, None]
        return np.asarray(copies.reshape(self.slots, -1, self.outputs, self.rank))

    def _step(self, step: int, kicked: Array, pushed: Array) -> tuple[Array, Array]:
        """Advance the replicas and their twins on the same batches."""
        self.draws.draw()
        everyone = np.concatenate([self.state, kicked], axis=1)
        self.draws.copies = everyone.shape[1] // self.replicas
        self.step_kicked(everyone, self.draws, 1, step)
        if pushed.size:
            self.draws.copies = 1
            self.step_pushed(pushed, self.draws, 1, step)
        self.state = everyone[:, : self.replicas]
        return everyone[:, self.replicas :], pushed

    def _open(self, step: int) -> None:
        """First look."""
        seen = self.state[..., : self.agenda.modes].copy()
        self.open[step] = [seen[0]]
        for s in range(self.slots):
            self.now[s] += _products(seen[0], seen[s])

    def _close(self, step: int) -> None:
        """Second look at every origin that is a lag ago."""
        seen = self.state[0, ..., : self.agenda.modes].copy()
        for k, lag in enumerate(self.agenda.lags):
            if step - lag in self.open:
                self.lagged[k] += _products(self.open[step - lag][0], seen)
        for lag in range(1, 1 + self.slots):
            if step - lag in self.open:
                self._join(self.open[step - lag], seen)
        self.open.pop(step - self.agenda.reach, None)

    def _join(self, seen: list[Array], after: Array) -> None:
        """Follow an origin for as many steps as the motion remembers; one step on, add up what `forms` asks for."""
        seen.append(after)
        if len(seen) == 2:
            x, y = (each.reshape(self.replicas, -1) for each in seen)
            self.areas[:, 0] += np.einsum("ri,ri->r", x @ self.forms.total, y)
            swept = np.einsum("rcp,cpq->rcq", seen[0], self.forms.outputs, optimize=True)
            self.areas[:, 1:] += np.einsum("rcq,rcq->rc", swept, after)
            self._flow(*seen)
        if len(seen) == 1 + self.slots:
            path = np.concatenate([each.reshape(self.replicas, -1) for each in seen], axis=1)
            self.joint += path.T @ path

    def _flow(self, before: Array, after: Array) -> None:
        """Where in the plane, and by how much, a step went: half of it counts where it begins, half where it ends."""
        plane = list(self.agenda.plane)
        places = [each[..., plane].reshape(-1, 2) / self.agenda.sizes[plane] for each in (before, after)]
        step = places[1] - places[0]
        for place in places:
            fields = np.floor((place / EDGE + 1) * BINS / 2).astype(int)
            inside = np.all((fields >= 0) & (fields < BINS), axis=1)
            field = fields[inside, 0] * BINS + fields[inside, 1]
            self.density += 0.5 * np.bincount(field, minlength=BINS * BINS)
            for axis in range(2):
                self.flow[:, axis] += 0.5 * np.bincount(field, step[inside, axis], BINS * BINS)

    def _answer(self, k: int, kicked: Array, pushed: Array) -> None:
        """How far twins are from their replicas."""
        m = self.agenda.modes
        own = self.state[0, ..., :m]
        twins = kicked[0].reshape(-1, *self.state.shape[1:])[..., :m]
        self.answers[k] += (twins - own).mean(axis=1)
        self.pushed[k] += (pushed[0, ..., :m] - own).mean(axis=0)

    def _found(self, origins: int, kicks: int) -> Found:
        each = origins * self.replicas
        answers = self.answers / kicks
        return Found(
            lagged=self.lagged[None] / each,
            now=self.now[None] / each,
            responses=self._responses(answers)[None],
            kicked=answers[None, :, -1],
            pushed=self.pushed[None] / kicks,
            joint=self.joint[None] / each,
            areas=self.areas / origins,
            density=self.density.reshape(1, BINS, BINS) / (each * self.outputs),
            flow=self.flow.reshape(1, BINS, BINS, 2) / (each * self.outputs),
        )

    def _responses(self, answers: Array) -> Array:
        """Answers to unit kicks, (s, k, m, m)."""
        m = self.agenda.modes
        rows = answers[:, :-1].reshape(len(answers), self.slots, -1, m)[:, :, :m]
        return np.asarray(rows.swapaxes(0, 1) / self.agenda.sizes[:m, None])


def _products(left: Array, right: Array) -> Array:
    """Sum over replicas and outputs of left^T right, (m, m)."""
    m = left.shape[-1]
    return np.asarray(left.reshape(-1, m).T @ right.reshape(-1, m))
