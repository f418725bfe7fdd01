"""A whole run at once: the source at a few nodes in time, swept until it is that of the covariance it makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from .._arrays import AnyArray, Array
from ..kernels.constant import Kernel
from ..kernels.time_varying import Course
from .allowance import Allowance
from .asked import Asked
from .control import loss_rtol
from .estimated_error import EstimatedError
from .mixing import nearest
from .panels import TAIL
from .timeline import Timeline

__all__ = ["Sweeps"]

_SWEEPS = 20  # at most
_SUMS = 0.1  # of what is allowed: how well thinned sums must know a constant source
_FIRST, _LEAST = 100.0, 0.7  # of what is allowed: what the states asked may leave out at most, at first and at last
_BESIDE, _BELOW = 0.1, 0.003  # of what still moves: what they may leave out before others are asked, and then
_SETTLED = 0.3  # of what is allowed: what the last sweep may move
_TAIL, _WEIGHT = 3.0, 0.2  # of what is allowed: the tail of a panel that is cut; its weight in the error, measured
_STILL = 0.002  # of what is allowed: a node that moved by less is not visited again
_TARGETS = 8  # nodes at which accuracy is asked, if at all
_AT_ONCE, _ENDS = 2**10, 32  # steps of a curve whose sources are held; steps whose responses are


@dataclass
class Node:
    """What is known of one step.

    Attributes
    ----------
    variances : ndarray, (r,)
        S_pp.
    seen : ndarray, (n + r,)
        What `Asked` sees of S and E V.
    state : ndarray, (r, r), or None
        S, in the precision of the inputs; none until it is visited.
    still : bool
        Whether it need not be visited again.
    """

    variances: Array
    seen: Array
    state: AnyArray | None = None
    still: bool = False


@dataclass
class Sweeps:
    """The source as a sum of those of a few states, its shares followed in time.

    G(t) = kappa (C + sum_k a_k(t) (K[S_k] + X(E V_k))): K is linear, and the states of a run are sums of a few of them.
    The shares a_k are known at nodes and interpolated between them; S at a node is then a sum over time, and what the
    witnesses see of it tells the shares there. All nodes are swept in turn, and again from a mixture of the sweeps so
    far that comes nearest to a fixed point. After a sweep, states that are no sums of those asked are: those that
    matter most, until what is left out adds little to the variances and to the loss at the targets. Panels on which the
    shares are no polynomials are cut.

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

    Notes
    -----
    The error estimates are calibrated, not proved: rests are bounded on the witnesses, as in `Witnesses`; what their
    part in tr(A S) brings back through K is that of a K of rank one; the tails of polynomials stand for their errors.
    Measured on digits against every-step iteration (7 recipes, both starts, rtol 1e-2 to 1e-4, 600 witnesses):
    modes at most half of rtol off, the loss half of 1e-6.
    Cost: some ten passes over the samples, independent of the number of steps, and for each of some hundred visits of a
    node (m + 1) Q r^2 flops, m the states asked and Q, some hundreds, the steps that stand for all before it.
    Memory: two matrices (r, r) for each node and one for each state asked, in the precision of the inputs.
    """

    kernel: Kernel | Course
    asked: Asked
    kappa: float
    covariance: Array
    mean: Array | None
    rtol: float
    last: int
    everywhere: bool = False
    # where it is
    error: Array = field(init=False)
    _time: Timeline = field(init=False)
    _shares: Array = field(init=False)
    _added: Array = field(init=False)
    _nodes: dict[int, Node] = field(init=False, default_factory=dict)
    _still: dict[int, AnyArray] = field(init=False, default_factory=dict)
    _cut: list[int] = field(init=False, default_factory=list)
    _renewed: bool = field(init=False, default=False)

    def solve(self) -> bool:
        """Whether the run was found; it is not where the source is no smooth function of time, or grows."""
        time = Timeline.over(self.kernel, self.kappa, self.covariance, self.last, self.rtol)
        if time is None or not time.knows(self._curvatures, _SUMS * self.rtol, _SUMS * loss_rtol(self.rtol)):
            return False
        self._time, history = time, list[tuple[Array, Array]]()
        seen = self._begun()
        for sweep in range(_SWEEPS):
            found, change = self._swept(seen)
            if not np.isfinite(found).all():
                return False
            if self._holds(change, sweep):
                return True
            history = [] if self._renewed else [*history, (seen, found)]  # of one and the same map
            seen = nearest(history, self.asked.weights) if history else found
            if self._cut:
                seen, history = self._refined() @ seen, []
        return False

    @property
    def _curvatures(self) -> Array:
        return self.asked.minimum.curvatures

    def _begun(self) -> Array:
        """What is seen at each node at first: nothing but the start."""
        seen = self.asked.seen(self.covariance, self.mean)
        self._nodes[0] = Node(np.diag(self.covariance), seen, self.covariance, still=True)
        out = np.zeros((len(self._time.steps), len(seen)))
        out[0] = seen
        return out

    def _swept(self, seen: Array) -> tuple[Array, Array]:
        """What is seen at each node after a sweep that began with `seen`, and the change of the source's variances."""
        found, (self._shares, _, self._added) = seen.copy(), self.asked.shares(seen)
        before = self._felt
        for place, step in enumerate(self._time.steps):
            if not (step in self._nodes and self._nodes[step].still) or step == self.last:
                found[place] = self._visit(place).seen
                shares, _, added = self.asked.shares(found[place : place + 1])
                self._shares[place], self._added[place] = shares[0], added[0]
        return found, self._felt - before

    @property
    def _felt(self) -> Array:
        """Variances of K[S] + X(E V) at the nodes, (nodes, r)."""
        return np.asarray(self._shares @ self.asked.variances[: self._shares.shape[1]] + self._added)

    def _visit(self, place: int) -> Node:
        reach, step, kind = self._time.reaches[place], self._time.steps[place], self.asked.minimum.problem.inputs.dtype
        if step not in self._still:
            self._still[step] = reach.still(self.asked.minimum.noise).astype(kind)
        state = reach.beside(self._still[step], self._shares, self.asked.felt, self._added)
        node = Node(np.diag(state).copy(), self.asked.seen(state, self._mean(place)), state.astype(kind))
        self._nodes[step] = node
        return node

    def _mean(self, place: int) -> Array | None:
        return None if self.mean is None else self.mean * self._time.reaches[place].drift

    def _holds(self, change: Array, sweep: int) -> bool:
        """Whether the last sweep, which changed the source, leaves nothing to do; states are asked, panels marked."""
        allowed = self._allowance()
        own, moved = allowed.of(np.abs(change))
        tails = self._tails(allowed)
        self._cut = [k for k, tail in enumerate(tails) if sweep and tail.max() > max(_TAIL, self._inside(k, own))]
        self._renewed, left = self._complete(allowed, moved if sweep else np.full(2, np.inf))
        for place, step in enumerate(self._time.steps):  # nothing is still where the source has new states
            self._nodes[step].still = step == 0 or bool(sweep and not self._renewed and own[place] < _STILL)
        self.error = left + moved + _WEIGHT * tails.sum(axis=0)
        return sweep > 0 and not (self._renewed or self._cut) and moved.max() < _SETTLED

    def _inside(self, panel: int, own: Array) -> float:
        """What still moves in a panel: it is not cut before that has settled."""
        return float(own[np.isin(self._time.steps, self._time.panels.places[panel])].sum())

    def _allowance(self) -> Allowance:
        steps = self._time.steps
        targets = sorted({*np.linspace(1, len(steps) - 1, _TARGETS).astype(int).tolist()})
        variances = np.array([self._nodes[step].variances for step in steps])
        targets = targets if self.everywhere else targets[-1:]
        data = self.asked.minimum.problem.curvatures
        return Allowance(
            self._time.flows, self._felt, variances, targets, self._curvatures, data, self.rtol, self.asked.witnesses
        )

    def _tails(self, allowed: Allowance) -> Array:
        """Of each panel, what the error of its polynomials does: from how its coefficients fall, (panels, 2)."""
        out = []
        falls = np.abs(self._time.panels.tails(self._shares) @ self.asked.variances)
        for places, fall in zip(self._time.panels.places, falls, strict=True):
            inside = np.isin(self._time.steps, places)[:, None]
            before, last = (allowed.of(inside * part.max(axis=0))[1] for part in (fall[: TAIL // 2], fall[TAIL // 2 :]))
            out.append(last * np.sqrt(np.minimum(1.0, last / np.maximum(before, np.finfo(float).tiny))))
        return np.array(out)

    def _complete(self, allowed: Allowance, moved: Array) -> tuple[bool, Array]:
        """Ask states until little is left out beside what `moved`; whether any was, and what is left out."""
        nodes, picked = [self._nodes[step] for step in self._time.steps], list[int]()
        seen = np.array([node.seen for node in nodes])
        unknown = [place for place, node in enumerate(nodes) if node.state is None]
        while True:
            worst, left = self._left_out(allowed, seen, picked)
            worst[[*picked, *unknown]] = 0
            most = np.clip((_BELOW if picked else _BESIDE) * moved, _LEAST, _FIRST)
            if np.all(left <= most) or not worst.any():
                break
            picked.append(int(np.argmax(worst)))
        for place in picked:
            state = nodes[place].state
            assert state is not None
            self.asked.ask(np.asarray(state, np.float64), self._mean(place))
        return bool(picked), left

    def _left_out(self, allowed: Allowance, seen: Array, picked: Sequence[int]) -> tuple[Array, Array]:
        """What each node leaves out beside what was asked and is picked, in some units, and what all of them do."""
        shares, rests, _ = self.asked.shares(seen, [seen[place] for place in picked])
        witnesses, known = self.asked.witnesses, shares[:, : len(self.asked.felt)]
        worst, _ = allowed.of(witnesses.effect(rests, witnesses.squares))
        rounding = allowed.of(self.asked.rounding(known))[1] if known.size else 0.0
        return worst, allowed.of_rests(rests) + rounding

    def _refined(self) -> Array:
        """Cut panels; how values at the nodes are carried to the new ones, (nodes, nodes before)."""
        time, before = self._time.split(self._cut), [self._nodes[step] for step in self._time.steps]
        basis = self._time.panels.basis(time.panels.nodes)
        variances, seen = basis @ np.array([n.variances for n in before]), basis @ np.array([n.seen for n in before])
        for step, size, each in zip(time.steps, variances, seen, strict=True):
            self._nodes.setdefault(step, Node(size, each))
        self._time = time
        return basis

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
        at_nodes = self.kappa * (np.diag(self.asked.minimum.noise) + self._felt)
        for begin in range(1, self.last, _AT_ONCE):
            yield from self._time.panels.basis(np.arange(begin, min(begin + _AT_ONCE, self.last))) @ at_nodes

    @property
    def estimated_error(self) -> EstimatedError:
        """What was reached, as estimated."""
        modes, loss = np.maximum(self.error * [self.rtol, loss_rtol(self.rtol)], self.asked.minimum.problem.precision)
        return EstimatedError(float(modes), float(loss), len(self.asked.felt))
