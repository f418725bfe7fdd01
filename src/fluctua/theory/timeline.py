"""A run laid out in time: nodes, and how S at each is made of the sources before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import ceil, log

import numpy as np

from .._arrays import Array, Ints
from ..kernels.constant import Kernel
from ..kernels.time_varying import Course
from .allowance import Flows, Target
from .panels import Panels
from .reach import Reach
from .skeleton import Skeleton

__all__ = ["Timeline"]

_SHORTEST, _CORNERS = 32, 10  # steps of a run, and corners, from and up to which it is laid out
_BEGUN, _LONGEST = 24, 40  # steps after a corner that are nodes, with momentum; steps for which a source may alternate
_TRIED = 9  # nodes at which thinned sums are compared with full ones
_NEAREST, _ROUGH = 16, 1e-8  # steps taken one by one; what second moments that oscillate have decayed to beyond them


@dataclass(frozen=True)
class Timeline:
    """Nodes of a run of a kernel, and sums over the steps before them.

    Attributes
    ----------
    kernel : Kernel or Course
    kappa : float
        What multiplies the sources.
    begun : ndarray, (r, r)
        S(0).
    panels : Panels
    skeleton : Skeleton or None
        Of the responses, where it is known.
    """

    kernel: Kernel | Course
    kappa: float
    begun: Array
    panels: Panels
    skeleton: Skeleton | None = None

    @classmethod
    def over(cls, kernel: Kernel | Course, kappa: float, begun: Array, last: int, rtol: float) -> Timeline | None:
        """Return that up to `last`, or None where the source is hardly smooth on any panels."""
        corners = [0, *(step for step in kernel.breaks if step < last), last]
        if last < _SHORTEST or len(corners) > _CORNERS or not kernel.rough < 1:
            return None
        dense = max(kernel.unsettled(begin, end, rtol) - begin for begin, end in pairwise(corners))
        if dense > _LONGEST:
            return None
        first = max(_BEGUN * (kernel.components > 1), ceil(dense))
        return cls(kernel, kappa, begun, Panels.over(corners, isinstance(kernel, Course), first))

    def split(self, which: Mapping[int, int]) -> Timeline:
        """Return the same with each of some panels cut in so many."""
        return replace(self, panels=self.panels.split(which), skeleton=self.reaches[0].skeleton)

    @property
    def last(self) -> int:
        """The last step."""
        return self.panels.edges[-1]

    @cached_property
    def steps(self) -> list[int]:
        """The nodes."""
        return [int(step) for step in self.panels.nodes]

    @cached_property
    def reaches(self) -> list[Reach]:
        """How S at each node is made."""
        if self.skeleton is not None:
            return list(self.reached(self.panels.nodes, carried=self.skeleton))
        found = list(self.reached(self.panels.nodes))
        parts = [reach.responses * np.sqrt(np.abs(reach.weights))[:, None] for reach in found]
        skeleton = Skeleton.of(parts)
        return [replace(reach, skeleton=skeleton) for reach in found]

    @cached_property
    def flows(self) -> Flows:
        """What the source's variance at each node adds to S_pp at each."""
        nodes, modes = len(self.steps), self.kernel.modes
        signed, most = np.zeros((2, nodes, nodes, modes))
        for place, reach in enumerate(self.reaches[1:], 1):
            signed[place], most[place] = reach.flow.T, reach.most.T
        return Flows(signed.transpose(0, 2, 1), most)

    def ends(self, count: int) -> list[Target]:
        """What is observed at `count` nodes, or at the last: an average remembers sources that S has forgotten."""
        last = len(self.steps) - 1
        places = np.unique(np.linspace(1, last, count).astype(int)) if count > 1 else np.array([last])
        found, begun = self.reached(self.panels.nodes[places], observed=True), np.diag(self.begun)
        return [Target(reach.flow, reach.most, reach.drift**2 * begun) for reach in found]

    def reached(self, ends: Ints, *, observed: bool = False, carried: Skeleton | None = None) -> Iterator[Reach]:
        """Yield how S, or the second moment of what is observed, is made at each of the `ends`.

        Responses are those of all modes, or what a skeleton has carried to them.
        """
        kernel = self.kernel
        near = self.last if observed and isinstance(kernel, Course) and kernel.shown else self._near
        sums = [self.panels.summed(int(end), near) for end in ends]
        asked = [(int(end), steps) for end, (steps, _) in zip(ends, sums, strict=True)]
        few = kernel if carried is None else kernel.only(carried.chosen)
        responses, drifts = few.responses(asked, observed=observed), kernel.drift(ends, observed=observed)
        for drift, one, (steps, weights) in zip(drifts, responses, sums, strict=True):
            whole = one if carried is None else one @ carried.carried
            yield Reach(self.begun, drift, whole, self.kappa * weights, self.panels.basis(steps), carried)

    @cached_property
    def _near(self) -> int:
        """Steps before any that a sum takes one by one: there responses may oscillate."""
        rough = self.kernel.rough
        return _NEAREST if rough == 0 else max(_NEAREST, ceil(log(_ROUGH) / (2 * log(rough))))

    def knows(self, curvatures: Array, modes: float, loss: float) -> bool:
        """Whether thinned sums know what a constant source adds to every mode and, so weighed, to the loss."""
        if not isinstance(self.kernel, Course):
            return True
        some = np.unique(np.linspace(1, len(self.steps) - 1, _TRIED).astype(int))
        for step, reach in ((self.steps[place], self.reaches[place]) for place in some):
            exact, off = self._constant(step, reach)
            if not (curvatures @ off <= loss * (curvatures @ exact) and np.all(off <= modes * exact)):
                return False
        return True

    def _constant(self, step: int, reach: Reach) -> tuple[Array, Array]:
        """What all steps before this one add to S_pp of a constant source, and what those of its `reach` are off by."""
        assert reach.skeleton is not None
        carried, few = reach.skeleton.carried, reach.few
        (every,) = self.kernel.only(reach.skeleton.chosen).responses([(step, np.arange(step))])
        whole, thin = every.T @ every, (few * (reach.weights / self.kappa)[:, None]).T @ few
        exact, off = (np.einsum("lp,lp->p", carried, form @ carried) for form in (whole, whole - thin))
        return exact, np.abs(off)
