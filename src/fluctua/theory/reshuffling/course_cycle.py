r"""The stationary epoch with an average of the weights beside them, by the expansion: F57 with steps of a course."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

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

__all__ = ["CourseCycle"]

_RTOL, _ESTIMATED, _MEAN_RTOL = 1e-8, 1e-3, 1e-8
_DOUBLINGS = 100


class CourseCycle:
    """F57: the stationary state of an average of the weights in epochs of `shuffle`, all of whose steps are alike.

    Parameters
    ----------
    shuffle : Shuffle
    sgd : SGD
    average : EMA
    """

    def __init__(self, shuffle: Shuffle, sgd: Recipe, average: EMA) -> None:
        self.shuffle = shuffle
        self.course = _alike(shuffle.minimum.curvatures, sgd, average, len(shuffle.sizes))
        self.epoch = CourseShuffle(shuffle, CourseEpoch(self.course, 0, shuffle.sizes, shuffle.nodes))
        self.flow = self.epoch.epoch.past(len(shuffle.sizes)).whole

    @cached_property
    def _means(self) -> Array:
        """E of the parts along the stationary epoch, (J + 1, c, k r)."""
        timetable, k = self.epoch.epoch, self.course.components
        left = np.linalg.inv(np.eye(k) - self.flow.transpose(2, 0, 1))

        def once(mean: Array) -> Array:
            added = (self.epoch.means(mean)[-1] - timetable.begun(mean, timetable.steps)).reshape(len(mean), k, -1)
            return np.asarray(np.einsum("pab,cbp->cap", left, added).reshape(len(mean), -1))

        start = np.zeros((self.shuffle.minimum.weights.shape[0], k * self.course.modes))
        return self.epoch.means(fixed_point(once, once, start, _MEAN_RTOL)[0])

    def _renewed(self, added: Array) -> Array:
        """S with S - M S M = `added`, M what an epoch does to the parts, by doubling the epochs."""
        k, r = self.course.components, self.course.modes
        flow, total = self.flow, added.reshape(k, r, k, r)
        for _ in range(_DOUBLINGS):
            if np.abs(flow).max() ** 2 < np.finfo(float).eps * 1e-3:
                return total.reshape(k * r, k * r)
            total = total + np.einsum("abp,bpcq,dcq->apdq", flow, total, flow, optimize=True)
            flow = np.einsum("abp,bcp->acp", flow, flow)
        raise NotConverged("what an epoch forgets", _DOUBLINGS, float(np.abs(flow).max()), _RTOL)

    def _settle(self, states: Array, rough: bool = False) -> Array:
        added = self.epoch.added(EpochMoments(states, self._means), rough=rough)
        return self.epoch.through(self._renewed(self.epoch.through(np.zeros_like(states[0]), added)[-1]), added)

    @cached_property
    def moments(self) -> EpochMoments:
        """Moments along a stationary epoch.

        Raises
        ------
        NoStationaryState
            Where the variance grows from epoch to epoch.
        """
        size = self.course.components * self.course.modes
        first = self.epoch.additive(self._renewed(self.epoch.additive(np.zeros((size, size)))[-1]))
        rtol = _ESTIMATED if self.shuffle.estimated else _RTOL
        states = fixed_point(self._settle, lambda states: self._settle(states, rough=True), first, rtol)[0]
        if not self.shuffle.problem.curvatures @ self.course.variances(self.epoch.epoch.average(states)) >= 0:
            raise NoStationaryState
        return EpochMoments(states, self._means)

    @cached_property
    def _added(self) -> Added:
        return self.epoch.added(self.moments)

    def settled_at(self, place: int | None) -> tuple[Array, Array]:
        """Second moment and mean of the average, (r, r) and (c, r): at one position, or averaged over the epoch."""
        r, timetable = self.course.modes, self.epoch.epoch
        if place is None:
            covariance = self.course.fold(timetable.average(self.moments.states), observed=True)
            return covariance, timetable.average(self._means)[:, -r:]
        return self.epoch.at(place, self.moments, self._added), self.epoch.mean_at(place, self._means)[:, -r:]


def _alike(curvatures: Array, sgd: Recipe, average: EMA, steps: int) -> Course:
    """The course of so many steps that are none of them a run's first."""
    found = course(curvatures, replace(sgd, schedule=None), average, 2)
    return replace(
        found, motion=np.repeat(found.motion[1:], steps, axis=0), push=np.repeat(found.push[1:], steps, axis=0)
    )
