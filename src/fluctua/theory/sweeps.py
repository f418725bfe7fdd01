"""A whole run at once: the source at a few nodes in time, swept until it is that of the covariance it makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from .._arrays import Array
from ..kernels.constant import Kernel
from ..kernels.thermal import Thermal
from ..kernels.time_varying import Course
from .allowance import Allowance, Target
from .asked import Asked, Node
from .combined import Combined
from .control import loss_rtol
from .estimated_error import EstimatedError
from .loop import Loop
from .off_diagonals import OffDiagonals
from .panels import TAIL
from .timeline import Timeline

__all__ = ["Sweeps"]

_SWEEPS = 20  # at most
_SUMS = 0.1  # of what is allowed: how well thinned sums must know a constant source
_FIRST = 100.0  # of what is allowed: what the states asked may leave out at most
_LEAST = 0.85, 0.7  # and at last: before others are asked, and then
_BESIDE = 0.1, 0.02  # of what still moves: the same
_CLOSED, _ASKED = 0.05, 0.3  # of what a sweep moved, and of what it left out and then asked: what moves
_SETTLED = 0.4  # of what is allowed: what may still move at last
_BENT = 0.001  # of what a sweep moved in a panel: tails that are not told from it
_TAIL, _WEIGHT = 0.03, 1.0  # of what is allowed: the tail of a panel that is cut; its weight in the error, measured
_LONG = 100.0  # of that: the tail of a panel that is cut in four
_TOLD = 0.03  # of what is allowed: the least error that is claimed
_TARGETS = 8  # nodes at which accuracy is asked, if at all
_AT_ONCE, _ENDS = 2**10, 32  # steps of a curve whose sources are held; steps whose responses are


@dataclass
class Sweeps:
    """The source as a sum of those of a few states, its shares followed in time.

    G(t) = kappa (C + sum_k a_k(t) (K[S_k] + X(E V_k))): K is linear, and the states of a run are sums of a few of them.
    The shares a_k are known at nodes and interpolated between them; S at a node is then a sum over time, and what the
    witnesses see of it tells the shares there: a linear map from shares to shares, whose fixed point is found at once
    (`Loop`). A sweep visits all nodes. Then states that are no sums of those asked are: those that matter most, until
    what is left out adds little to the variances and to the loss at the targets: sums of the nodes' (`Combined`). Of
    what is left out, the witnesses' own mean is added to the variances of the source, but not to a state that is asked:
    it moves with the witnesses, who would then see that state larger than all samples do. Panels on which the shares
    are no polynomials are cut.

    Parameters
    ----------
    kernel : Kernel or Course
    asked : Asked
    kappa : float
    covariance : ndarray, (r, r)
        S(0).
    mean : ndarray, (c, r), or None
        E V(0).
    rtol : float
    last : int
        Step up to which.
    everywhere : bool
        Whether accuracy is asked on the way, too.
    thermal : Thermal or None
        What thermal noise adds to S where the source is taken; it is left out of what is yielded.

    Notes
    -----
    The error estimates are calibrated, not proved: errors of rests are bounded on the witnesses, as in `Witnesses`;
    what their part in tr(A S) brings back through K is that of a K of rank one; tails of polynomials stand for errors.
    Measured on data of many kinds against marches at rtol 1e-9 and against every-step iteration: errors were at most
    0.3 of what is stated at rtol 1e-4, and below it at 1e-3 and 1e-2 (`tests/theory/test_left_out.py`).
    Cost: some six passes over the samples from W*, twice as many from zero, independent of the number of steps, and for
    each of some hundred visits of a node 2 (m L + n) r^2 flops, m the states asked, L, some tens, the modes of the
    skeleton and n the witnesses.
    Memory: two matrices (r, r) for each state asked, in the precision of the inputs, and what a pass takes.
    """

    kernel: Kernel | Course
    asked: Asked
    kappa: float
    covariance: Array
    mean: Array | None
    rtol: float
    last: int
    everywhere: bool = False
    thermal: Thermal | None = None
    # where it is
    error: Array = field(init=False)
    _time: Timeline = field(init=False)
    _ends: list[Target] = field(init=False)
    _loop: Loop = field(init=False)
    _shares: Array = field(init=False)
    _added: Array = field(init=False)
    _nodes: list[Node] = field(init=False)
    _kept: dict[int, Node] = field(init=False, default_factory=dict)

    def solve(self) -> bool:
        """Whether the run was found; it is not where the source is no smooth function of time, or grows."""
        try:
            return self._solved()
        except np.linalg.LinAlgError:  # of what has grown beyond all numbers
            return False

    def _solved(self) -> bool:
        time = Timeline.over(self.kernel, self.kappa, self.covariance, self.last, self.rtol)
        if time is None or not time.knows(self._curvatures, _SUMS * self.rtol, _SUMS * loss_rtol(self.rtol)):
            return False
        self._begin(time)
        for _ in range(_SWEEPS):
            self._nodes = [self._visited(place) for place in range(len(self._time.steps))]
            if not np.isfinite(self._seen).all():
                return False
            if self._held():
                return True
        return False

    def _lay(self, time: Timeline) -> None:
        """Take this for the layout of the run from now on."""
        self._time, self._ends = time, time.ends(_TARGETS if self.everywhere else 1)

    @property
    def _curvatures(self) -> Array:
        return self.asked.minimum.curvatures

    def _begin(self, time: Timeline) -> None:
        """No source but C."""
        skeleton = time.reaches[0].skeleton
        assert skeleton is not None
        self._loop = Loop(self.asked, skeleton)
        self._lay(time)
        self._shares, self._added = np.zeros((len(time.steps), 0)), np.zeros((len(time.steps), self.kernel.modes))

    def _visited(self, place: int) -> Node:
        """What is known of a node under the source as it stands."""
        if self._time.steps[place] in self._kept:
            return self._kept[self._time.steps[place]]
        reach, step = self._time.reaches[place], self._time.steps[place]
        made = reach.made(self._shares, begun=bool(self.covariance.any()), warm=self._warm(step))
        state, added = self.asked.state(made), reach.adds(self._added)
        bare = self.asked.seen(state, self._mean(place))
        seen = bare + self.asked.seen_diagonal(added) if added.any() else bare
        return Node(np.diag(state) + added, seen, bare, made)

    def _warm(self, step: int) -> Array | None:
        """What thermal noise adds to the variances."""
        if self.thermal is None or not step:
            return None
        return np.asarray(self.thermal.variances(self.thermal.after(step)) * np.ones(self.kernel.modes))

    def _mean(self, place: int) -> Array | None:
        return None if self.mean is None else self.mean * self._time.reaches[place].drift

    @property
    def _seen(self) -> Array:
        return np.array([node.seen for node in self._nodes])

    def _close(self) -> Array:
        """From what the nodes tell to the source that they would tell if it were in use; what was told."""
        found, _, added = self.asked.shares(self._seen)
        used = np.pad(self._shares, ((0, 0), (0, found.shape[1] - self._shares.shape[1])))
        time = self._time
        self._shares = self._loop.closed(time.reaches, time.flows, used, found, added - self._added)
        self._added = added
        return found

    def _felt(self, shares: Array, added: Array) -> Array:
        """Variances of K[S] + X(E V) at the nodes, (nodes, r)."""
        return np.asarray(shares @ self.asked.variances[: shares.shape[1]] + added)

    def _held(self) -> bool:
        """Whether nothing is left to do once the loop is closed; states are asked, panels are cut."""
        shares, _, added = self.asked.shares(self._seen)
        felt = self._felt(shares, added)
        allowed = self._allowance(felt)
        own, moved = allowed.of(np.abs(felt - self._felt(self._shares, self._added)))
        left, before = self._completed(allowed, moved)
        still = _CLOSED * moved + _ASKED * before
        found = self._close()
        self._kept = self._foreseen(found) if still.max() < _SETTLED else {}
        tails = self._tails(allowed)
        long = [tail.max() / max(_TAIL, _BENT * self._inside(k, own)) for k, tail in enumerate(tails)]
        cut = {k: 2 if each < _LONG else 4 for k, each in enumerate(long) if each > 1}
        self.error = left + still + _WEIGHT * tails.sum(axis=0)
        self._refine(cut)
        return not cut and bool(still.max() < _SETTLED)

    def _foreseen(self, found: Array) -> dict[int, Node]:
        """The nodes as they would be found again where nothing moves but shares: where panels are cut, none is new."""
        moves = [self.asked.recalled(each) for each in self._shares - found]
        return {
            step: replace(node, seen=node.seen + move)
            for step, node, move in zip(self._time.steps, self._nodes, moves, strict=True)
        }

    def _inside(self, panel: int, own: Array) -> float:
        """What still moves in a panel: it is not cut before that has settled."""
        return float(own[np.isin(self._time.steps, self._time.panels.places[panel])].sum())

    def _allowance(self, felt: Array) -> Allowance:
        variances = np.array([node.variances for node in self._nodes])
        targets = [target.under(np.diag(self.asked.minimum.noise) + felt) for target in self._ends]
        data = self.asked.minimum.problem.curvatures
        return Allowance(
            self._time.flows, felt, variances, targets, self._curvatures, data, self.rtol, self.asked.witnesses
        )

    def _tails(self, allowed: Allowance) -> Array:
        """Of each panel, what the error of its polynomials does: from how its coefficients fall, (panels, 2)."""
        falls = np.abs(self._time.panels.tails(self._shares) @ self.asked.variances)
        inside = [np.searchsorted(self._time.steps, places) for places in self._time.panels.places]
        out = np.zeros((2, len(inside), 2))
        for some in (slice(0, None, 2), slice(1, None, 2)):  # panels that share no node
            for which, part in enumerate((falls[some, : TAIL // 2], falls[some, TAIL // 2 :])):
                sizes = np.zeros((len(self._time.steps), falls.shape[2]))
                for nodes, size in zip(inside[some], part.max(axis=1), strict=True):
                    sizes[nodes] = size
                out[which, some] = allowed.of_groups(sizes, inside[some])
        before, last = out
        return np.asarray(last * np.sqrt(np.minimum(1.0, last / np.maximum(before, np.finfo(float).tiny))))

    def _completed(self, allowed: Allowance, moved: Array) -> tuple[Array, Array]:
        """Ask states until little is left out beside what `moved`; what is left out, and what was if any was asked."""
        picked = Combined(self.asked, np.array([node.bare for node in self._nodes]))
        left, rests = self._left_out(allowed, picked)
        before = left
        while rests.any() and len(picked.seen) < len(self._nodes):
            picking = bool(len(picked.seen))
            most = np.clip(_BESIDE[picking] * moved, _LEAST[picking], _FIRST)
            if np.all(left <= most) or not picked.pick(allowed.matter, rests):
                break
            left, rests = self._left_out(allowed, picked)
        means = [self._mean(place) for place in range(len(self._nodes))]
        for made, mean in list(picked.states([node.made for node in self._nodes], means)):
            self.asked.ask(made, mean)
        return left, before * bool(len(picked.seen))

    def _left_out(self, allowed: Allowance, picked: Combined) -> tuple[Array, Array]:
        """What all nodes leave out beside what was asked and is picked, and their rests."""
        shares, rests, _ = self.asked.shares(self._seen, picked.seen)
        known = shares[:, : len(self.asked.felt)]
        rounding = allowed.of(self.asked.rounding(known))[1] if known.size else 0.0
        sure, means = allowed.of_rests(rests) + rounding, self.asked.witnesses.mean(rests)
        returned = allowed.returned(means)
        if sure[1] < 1 < sure[1] + returned[1]:
            weights = np.linalg.norm(allowed.matter, axis=0)
            pairs = OffDiagonals(self.asked.witnesses, self._loop.skeleton)
            returned = allowed.returned(means, partial(pairs.lost, self._time.reaches, rests, weights))
        return sure + returned, rests

    def _refine(self, cut: Mapping[int, int]) -> None:
        """Cut panels."""
        if cut:
            time = self._time.split(cut)
            basis = self._time.panels.basis(time.panels.nodes)
            self._lay(time)
            self._shares, self._added = basis @ self._shares, basis @ self._added

    def states(self, steps: Sequence[int]) -> Iterator[Array]:
        """Yield S, or the second moment of what is observed, at each of the sorted steps from 1 on, (r, r)."""
        for begin in range(0, len(steps), _ENDS):
            for reach in self._time.reached(np.array(steps[begin : begin + _ENDS]), observed=True):
                yield reach.covariance(self.asked.minimum.noise, self._shares, self.asked.felt, self._added)

    def variances(self) -> Iterator[Array]:
        """Yield what is observed of S_pp at t = 1, 2, .. to the last step, (r,)."""
        source = self.asked.minimum.noise + np.diag(self._added[0])
        for share, felt in zip(self._shares[0], self.asked.felt, strict=True):
            source = source + share * felt
        state = self.kernel.begin(self.covariance, self.kappa * source)
        yield np.diag(self.kernel.fold(state, observed=True))
        yield from self.kernel.follow(state, self._sources(), 1)

    def _sources(self) -> Iterator[Array]:
        """Yield the variances of the source at t = 1 up to the last step but one, (r,)."""
        at_nodes = self.kappa * (np.diag(self.asked.minimum.noise) + self._felt(self._shares, self._added))
        for begin in range(1, self.last, _AT_ONCE):
            yield from self._time.panels.basis(np.arange(begin, min(begin + _AT_ONCE, self.last))) @ at_nodes

    @property
    def estimated_error(self) -> EstimatedError:
        """What was reached, as estimated."""
        error = np.maximum(self.error, _TOLD) * [self.rtol, loss_rtol(self.rtol)]
        modes, loss = np.maximum(error, self.asked.minimum.problem.precision)
        return EstimatedError(float(modes), float(loss), len(self.asked.felt))
