r"""The drifting frame: S, the mean and Bal of a two-layer net from node to node (F107, F108, F109).

Between two nodes H is that of the frame in the middle, and the source C + K[S] moves linearly, so that an interval is
summed in closed form. The state at its end is foreseen with the source of its beginning, and found with both.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..._arrays import Array, even
from ...kernels.constant import gradient_step
from .frame import Frame
from .moments import Samples

__all__ = ["Drifted", "March", "bend", "node_steps", "noise_of"]

_GROWTH = 2.5  # power of the nodes in time: S rises fastest at the start


class Drifted(NamedTuple):
    """The state at one step.

    Attributes
    ----------
    step : int
    frame : Frame
        The point of the manifold that the mean has been drifted to.
    covariance : ndarray, (n, n)
        S about the replica mean, on the range of H.
    mean : ndarray, (n,)
        How far the mean is displaced off the manifold.
    balance : ndarray, (h, h)
        E Bal.
    """

    step: int
    frame: Frame
    covariance: Array
    mean: Array
    balance: Array


class _Node(NamedTuple):
    """A state, its source kappa (C + K[S]), what bends the mean, and the rate of E Bal."""

    step: int
    frame: Frame
    covariance: Array
    mean: Array
    balance: Array
    source: Array
    push: Array
    rate: Array
    pull: Array


def node_steps(last: int, nodes: int) -> list[int]:
    """Return the ends of the intervals up to a step, the first ones shorter, `nodes` of them at most."""
    grown = np.unique(np.round(last * np.linspace(0, 1, nodes + 1) ** _GROWTH).astype(int))
    return [int(step) for step in grown[grown > 0]]


@dataclass(frozen=True)
class March:
    """From a start on the manifold, without fluctuation.

    Attributes
    ----------
    samples : Samples
    start : Frame
    lr, kappa : float
    moves : bool
        Whether the frame moves; without, H and C stay those of the start.
    """

    samples: Samples
    start: Frame
    lr: float
    kappa: float
    moves: bool = True

    def states(self, steps: Sequence[int], nodes: int) -> Iterator[Drifted]:
        """Yield the state at each of the sorted steps."""
        n = self.start.size
        node = self._node(0, self.start, np.zeros((n, n)), np.zeros(n), self.start.balance)
        if steps and steps[0] == 0:
            yield Drifted(0, node.frame, node.covariance, node.mean, node.balance)
        wanted = [step for step in steps if step]
        former: _Node | None = None
        for end in node_steps(wanted[-1], nodes) if wanted else ():
            inside = [step for step in wanted if node.step < step <= end]
            following = yield from self._interval(former, node, end, inside)
            former, node = node, following

    def _interval(
        self, former: _Node | None, node: _Node, end: int, inside: list[int]
    ) -> Generator[Drifted, None, _Node]:
        """Yield the states inside an interval, and return that at its end."""
        length = end - node.step
        balance = node.balance + length * _ahead(former, node, length)
        half = 0.5 * (balance - node.frame.imbalance(node.covariance) + node.frame.balance)
        middle = self._frame(node, 0.5 * length * node.pull, half)
        stretch = _Stretch(middle, self.lr, node)
        covariance, pulled = stretch.covariance(length, 1.0), length * node.pull
        frame = self._frame(node, pulled, balance - middle.imbalance(covariance))
        later = self._node(end, frame, covariance, stretch.mean(length, node.push), balance)
        stretch.ends_with(later.source)
        for step in inside:
            yield self._inside(node, later, stretch, step)
        found = self._inside(node, later, stretch, end)
        return later._replace(**{name: getattr(found, name) for name in ("frame", "covariance", "mean", "balance")})

    def _inside(self, node: _Node, later: _Node, stretch: _Stretch, step: int) -> Drifted:
        """The state at a step of an interval, its source and rates known at both ends."""
        done, length = step - node.step, later.step - node.step
        covariance = stretch.covariance(done, done / length)
        balance = node.balance + _summed(node.rate, later.rate, done, length)
        pulled = _summed(node.pull, later.pull, done, length)
        frame = self._frame(node, pulled, balance - stretch.middle.imbalance(covariance))
        push = _summed(node.push, later.push, done, length) / done
        return Drifted(step, frame, covariance, stretch.mean(done, push), balance)

    def _frame(self, node: _Node, pulled: Array, balance: Array) -> Frame:
        """The frame of a node, pulled along the manifold and brought to a Bal; the start where frames are held."""
        return node.frame.pulled(pulled).moved(balance) if self.moves else self.start

    def _node(self, step: int, frame: Frame, covariance: Array, mean: Array, balance: Array) -> _Node:
        noise = noise_of(frame, self.samples.product)
        felt = self.samples.felt(frame, covariance, mean)
        hessian = frame.hessian
        source = noise + felt.feedback
        rate = self.kappa * (frame.imbalance(source) + felt.crossed) + frame.imbalance(hessian @ covariance @ hessian)
        push, pull = bend(frame, covariance), self.lr * frame.pull(covariance)
        return _Node(step, frame, covariance, mean, balance, self.kappa * source, push, self.lr**2 * rate, pull)


def _ahead(former: _Node | None, node: _Node, length: int) -> Array:
    """The mean rate of E Bal over the next interval, foreseen."""
    if former is None:
        return node.rate
    slope = (node.rate - former.rate) / (node.step - former.step)
    return np.asarray(node.rate + 0.5 * (length - 1) * slope)


def _summed(first: Array, last: Array, done: int, length: int) -> Array:
    """A rate that moves linearly over an interval, summed over its first steps: each step has that of its start."""
    return np.asarray(done * first + (last - first) * (done * (done - 1) / (2 * length)))


class _Stretch:
    """An interval with the curvature of its middle frame; what is outside its range is left out."""

    def __init__(self, middle: Frame, lr: float, node: _Node) -> None:
        self.middle, self.basis, self.lr, self.node = middle, middle.modes, lr, node
        self.kernel = gradient_step(middle.curvatures, lr)
        self.begun, self.source = self._inside(node.covariance), self._inside(node.source)
        self.later = self.source

    def _inside(self, matrix: Array) -> Array:
        return even(self.basis.T @ matrix @ self.basis)

    def ends_with(self, source: Array) -> None:
        """Say what the source is at the end; before, it stays what it is at the beginning."""
        self.later = self._inside(source)

    def covariance(self, steps: int, share: float) -> Array:
        """S after so many steps, a share of the interval, (n, n)."""
        shares = np.array([[1.0, 0.0], [1 - share, share]])[: min(steps, 2)]
        out = self.kernel.advance(self.begun, [self.source, self.later], shares, 0, steps)
        return np.asarray(self.basis @ out @ self.basis.T)

    def mean(self, steps: int, push: Array) -> Array:
        """The displacement of the mean off the manifold after so many steps of a constant push, (n,)."""
        decay, rate = self.kernel.decay**steps, self.kernel.rate
        pushed = -self.lr * (self.basis.T @ push)
        return np.asarray(self.basis @ (decay * (self.basis.T @ self.node.mean) + (1 - decay) / rate * pushed))


def noise_of(frame: Frame, product: Array) -> Array:
    """Return C = Jac^T <vec(r x^T) vec(r x^T)^T> Jac, (n, n)."""
    r, c, k = frame.rank, frame.outputs, frame.split
    w1, w2 = frame.first, frame.second
    rows = np.empty((frame.size, c, r))
    rows[:k] = np.einsum("ch,crds->hrds", w2, product, optimize=True).reshape(k, c, r)
    rows[k:] = np.einsum("hr,crds->chds", w1, product, optimize=True).reshape(-1, c, r)
    out = np.empty((frame.size, frame.size))
    out[:, :k] = np.einsum("ndr,dh->nhr", rows, w2, optimize=True).reshape(-1, k)
    out[:, k:] = np.einsum("ncr,hr->nch", rows, w1, optimize=True).reshape(frame.size, -1)
    return even(out)


def bend(frame: Frame, covariance: Array) -> Array:
    """Return the mean gradient's second order in a fluctuation with second moment S, (n,): what displaces the mean."""
    one, mixed, two = frame.blocks(covariance)
    a, w1, w2 = frame.inputs, frame.first, frame.second
    pair = np.einsum("hrch->cr", mixed)
    back = np.einsum("ch,hrck->kr", w2, mixed) + np.einsum("ckcj,jr->kr", two, w1)
    first = (back + w2.T @ pair) * a
    alike = np.einsum("hrkr,r->hk", one, a)
    second = w2 @ alike + np.einsum("krcj,jr,r->ck", mixed, w1, a) + (pair * a) @ w1.T
    return np.concatenate([first.ravel(), second.ravel()])
