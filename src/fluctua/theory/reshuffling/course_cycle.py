r"""The stationary epoch with an average of the weights beside them, by the expansion: F57 with steps of a course."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from math import lcm

import numpy as np

from ..._arrays import Array
from ...errors import NotConverged
from ...kernels.time_varying import Course, course
from ...recipe.averages import EMA
from ...recipe.sgd import Recipe
from ..fixed_points import NoStationaryState, fixed_point
from .course_expansion import Added, CourseShuffle
from .course_timetable import CourseEpoch
from .expansion import Shuffle
from .memory import EpochMoments

__all__ = ["CourseCycle", "alike"]

_RTOL, _ESTIMATED, _MEAN_RTOL = 1e-8, 1e-3, 1e-8
_DOUBLINGS = 100
_UPDATES = 40  # up to which each is looked at


class CourseCycle:
    """F57: the stationary state of an average of the weights in epochs of `shuffle`, all of whose steps are alike.

    Updated every k steps, the average meets the same positions again after k/gcd(k, n) epochs: these are followed
    together. Cost: what a stationary state takes, for each of them.

    Parameters
    ----------
    shuffle : Shuffle
    sgd : SGD
    average : EMA
    """

    def __init__(self, shuffle: Shuffle, sgd: Recipe, average: EMA) -> None:
        n, self.every = len(shuffle.sizes), average.period
        phases = lcm(n, self.every) // n
        self.shuffle = shuffle
        self.course = alike(shuffle.minimum.curvatures, sgd, average, phases * n)
        timetables = [CourseEpoch(self.course, phase * n, shuffle.sizes, shuffle.nodes) for phase in range(phases)]
        self.epochs = [CourseShuffle(shuffle, each) for each in timetables]
        self.flow = np.repeat(np.eye(self.course.components)[:, :, None], self.course.modes, axis=2)
        for each in timetables:
            self.flow = np.einsum("abp,bcp->acp", each.past(n).whole, self.flow)

    @cached_property
    def _means(self) -> list[Array]:
        """E of the parts along each stationary epoch, (J + 1, c, k r)."""
        k = self.course.components
        left = np.linalg.inv(np.eye(k) - self.flow.transpose(2, 0, 1))

        def once(mean: Array) -> Array:
            carried = np.einsum("abp,cbp->cap", self.flow, mean.reshape(len(mean), k, -1))
            added = self._followed(mean)[-1][-1].reshape(len(mean), k, -1) - carried
            return np.asarray(np.einsum("pab,cbp->cap", left, added).reshape(len(mean), -1))

        start = np.zeros((self.shuffle.minimum.weights.shape[0], k * self.course.modes))
        return self._followed(fixed_point(once, once, start, _MEAN_RTOL)[0])

    def _followed(self, mean: Array) -> list[Array]:
        """E of the parts along the epochs, from that at the start."""
        out = []
        for each in self.epochs:
            out.append(each.means(mean))
            mean = out[-1][-1]
        return out

    def _renewed(self, added: Array) -> Array:
        """S with S - M S M = `added`, M what the epochs do to the parts, by doubling them."""
        k, r = self.course.components, self.course.modes
        flow, total = self.flow, added.reshape(k, r, k, r)
        for _ in range(_DOUBLINGS):
            if np.abs(flow).max() ** 2 < np.finfo(float).eps * 1e-3:
                return total.reshape(k * r, k * r)
            total = total + np.einsum("abp,bpcq,dcq->apdq", flow, total, flow, optimize=True)
            flow = np.einsum("abp,bcp->acp", flow, flow)
        raise NotConverged("what an epoch forgets", _DOUBLINGS, float(np.abs(flow).max()), _RTOL)

    def _adding(self, states: Array, rough: bool = False) -> list[Added]:
        return [
            each.added(EpochMoments(along, means), rough=rough)
            for each, along, means in zip(self.epochs, states, self._means, strict=True)
        ]

    def _passed(self, start: Array, added: list[Added] | None = None) -> Array:
        """States along the epochs, (phases, J + 1, k r, k r), from that at the start; without `added` from C alone."""
        out = []
        for k, each in enumerate(self.epochs):
            out.append(each.additive(start) if added is None else each.through(start, added[k]))
            start = out[-1][-1]
        return np.array(out)

    def _periodic(self, added: list[Added] | None = None) -> Array:
        """The same where the last epoch ends as the first begins."""
        none = np.zeros((self.course.components * self.course.modes,) * 2)
        return self._passed(self._renewed(self._passed(none, added)[-1, -1]), added)

    def _settle(self, states: Array, rough: bool = False) -> Array:
        return self._periodic(self._adding(states, rough))

    @cached_property
    def moments(self) -> list[EpochMoments]:
        """Moments along each stationary epoch.

        Raises
        ------
        NoStationaryState
            Where the variance grows from epoch to epoch.
        """
        rtol = _ESTIMATED if self.shuffle.estimated else _RTOL
        states = fixed_point(self._settle, lambda s: self._settle(s, rough=True), self._periodic(), rtol)[0]
        weights = self.course.variances(self.epochs[0].epoch.average(states[0]))
        if not self.shuffle.problem.curvatures @ weights >= 0:
            raise NoStationaryState
        return [EpochMoments(along, means) for along, means in zip(states, self._means, strict=True)]

    @cached_property
    def _added(self) -> list[Added]:
        return self._adding(np.array([each.states for each in self.moments]))

    def settled_at(self, place: int | None) -> tuple[Array, Array]:
        """Second moment and mean of the average, (r, r) and (c, r): at one position, or averaged over the epoch.

        Both are averages over the epochs until updates fall on the same positions again.
        """
        n, updates = len(self.shuffle.sizes), range(0, len(self.epochs) * len(self.shuffle.sizes), self.every)
        if place is not None:
            found = [self._at(phase, place) for phase in range(len(self.epochs))]
        elif self.every > 1 and len(updates) <= _UPDATES:  # from one to the next it rests
            found = [self._at(*divmod(t, n)) for t in updates]
        else:
            found = [self._averaged(phase) for phase in range(len(self.epochs))]
        covariances, means = zip(*found, strict=True)
        return np.asarray(np.mean(covariances, axis=0)), np.asarray(np.mean(means, axis=0))

    def _averaged(self, phase: int) -> tuple[Array, Array]:
        timetable, moments = self.epochs[phase].epoch, self.moments[phase]
        covariance = self.course.fold(timetable.average(moments.states), observed=True)
        return covariance, timetable.average(moments.means)[:, -self.course.modes :]

    def _at(self, phase: int, place: int) -> tuple[Array, Array]:
        return self.epochs[phase].looked_at(place, self.moments[phase], self._added[phase])


def alike(curvatures: Array, sgd: Recipe, average: EMA, steps: int) -> Course:
    """Return the course of so many steps that are none of them a run's first, after those of another such course."""
    found = course(curvatures, replace(sgd, schedule=None), average, 2 * steps)
    if steps == 1:
        return replace(found, motion=found.motion[1:], push=found.push[1:])
    return replace(found, motion=found.motion[steps:], push=found.push[steps:])
