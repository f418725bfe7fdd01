"""What errors of the source in time do to the variances and to the loss, in units of what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .._arrays import AnyArray, Array, Ints
from .control import loss_rtol
from .witnesses import Witnesses

__all__ = ["Allowance", "Flows", "Target"]

_ERRORS = 4.0  # standard errors, of the loss and of the worst of many modes; measured
_UNSURE = 0.1  # of what comes back at most: what counts of it where the part of pairs of modes is told
_ALIKE = 0.1  # of a curvature: modes that are taken together where tr(A S) is estimated
_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Flows:
    """What the variance of the source at each node adds to S_pp at each.

    Attributes
    ----------
    signed : ndarray, (nodes, r, nodes)
        What it adds, as [at, mode, from].
    most : ndarray, (nodes, nodes, r)
        What errors of one sign add at most, as [at, from, mode].
    """

    signed: Array
    most: Array


@dataclass(frozen=True)
class Target:
    """What is observed at one of the nodes: S itself, or the second moment of an average of the weights.

    Attributes
    ----------
    signed, most : ndarray, (r, nodes)
        What the source's variance at each node adds, and what errors of one sign add at most.
    variances : ndarray, (r,)
        What the start leaves of S_pp there, or all that is observed of it.
    """

    signed: Array
    most: Array
    variances: Array

    def under(self, source: Array) -> Target:
        """The same with what the variances of the `source` at the nodes, (nodes, r), add to those."""
        return replace(self, variances=self.variances + np.einsum("pj,jp->p", self.signed, source))


@dataclass(frozen=True)
class Allowance:
    """Errors at nodes weighed by what they do at the targets, where every mode and the loss are to be accurate.

    An error of the source moves S, and what it moves comes back through K: here by a K of rank one, K[S]_pp = k_p
    tr(A S), with the k_p that the run has. Each total is a pair: of the worst mode, over `rtol`, and of the loss, over
    its own; the larger of all targets.

    Attributes
    ----------
    flows : Flows
    felt : ndarray, (nodes, r)
        The variance of K[S] + X(E V) at each node.
    variances : ndarray, (nodes, r)
        S_pp.
    targets : sequence of Target
    curvatures, data_curvatures : ndarray, (r,)
        With weight decay and without.
    rtol : float
    witnesses : Witnesses
        On whom rests are seen.
    """

    flows: Flows
    felt: Array
    variances: Array
    targets: Sequence[Target]
    curvatures: Array
    data_curvatures: Array
    rtol: float
    witnesses: Witnesses

    def of(self, sizes: Array) -> tuple[Array, Array]:
        """The worst that each node does, (nodes,), and the totals, of errors of G_pp of these sizes, (nodes, r)."""
        worst, total = np.zeros(len(sizes)), np.zeros(2)
        for each, loss in self._done(sizes):
            worst = np.maximum(worst, np.maximum(each.max(axis=0), loss))
            total = np.maximum(total, [each.sum(axis=1).max(), loss.sum()])
        return worst, total

    def of_groups(self, sizes: Array, groups: Sequence[Ints]) -> Array:
        """The totals of what each of some groups of nodes does, (groups, 2)."""
        out = np.zeros((len(groups), 2))
        for each, loss in self._done(sizes):
            out = np.maximum(out, [(each[:, nodes].sum(axis=1).max(), loss[nodes].sum()) for nodes in groups])
        return out

    def _done(self, sizes: Array) -> Iterator[tuple[Array, Array]]:
        """Yield what each node does at most to every mode, (r, nodes), and to the loss at each of the targets."""
        moved = self._moved(sizes)
        for target, back in zip(self.targets, self._backs, strict=True):
            each = (target.most * sizes.T + np.abs(back) @ moved) / self._allowed(target)
            yield each, self.curvatures @ (each * self._allowed(target)) / self._allowed_loss(target)

    def of_rests(self, rests: Array) -> Array:
        """The totals of what is left of the states, (nodes, n): nodes and modes may add up, or cancel."""
        witnesses, total, ones = self.witnesses, np.zeros(2), np.ones(rests.shape[1])
        single = rests.astype(np.float32)
        sums = np.array([np.einsum("jw,jw->w", seen, single[: len(seen)]) for seen in self._seen_moved])
        moved = witnesses.effect(sums, ones, _ERRORS)
        for target, back, seen in zip(self.targets, self._backs, self._lost, strict=True):
            each = witnesses.effect_each(rests.T @ target.signed.T, witnesses.squares, _ERRORS) + np.abs(back) @ moved
            loss = witnesses.effect(np.einsum("wj,jw->w", seen, rests), ones, _ERRORS)
            total = np.maximum(total, [(each / self._allowed(target)[:, 0]).max(), loss / self._allowed_loss(target)])
        return total

    def returned(self, means: Array, pairs: Callable[[Array], float] | None = None) -> Array:
        """The totals of what comes back through K of `means` that are added to the variances of the source, (nodes, r).

        What they make off the diagonal is not known, and is of that size where modes are not independent. What `pairs`
        of modes do to the loss is then told by what the loss feels of the witnesses' q at the nodes, (nodes, n).
        """
        total, a = np.zeros(2), self.data_curvatures
        moved = np.abs(np.einsum("ipj,jp->ip", self.flows.signed, means, optimize=True)) @ a
        for target, back, seen in zip(self.targets, self._backs, self._lost, strict=True):
            each, allowed = np.abs(back) @ moved, self._allowed_loss(target)
            loss = float(self.curvatures @ each / allowed)
            if pairs is not None and loss > total[1]:
                loss = _UNSURE * loss + abs(pairs(seen.T)) / allowed
            total = np.maximum(total, [(each / self._allowed(target)[:, 0]).max(), loss])
        return total

    @cached_property
    def matter(self) -> Array:
        """What each node's q does, as sums over nodes: to the modes, to the loss, to tr(A S) on the way, (k, nodes)."""
        rows, a = [], self.data_curvatures
        for target, back in zip(self.targets, self._backs, strict=True):
            flow, allowed = target.signed, self._allowed(target)
            rows += [a[:, None] * flow / allowed, (self.curvatures * a @ flow)[None] / self._allowed_loss(target)]
            returned = (np.abs(back) / allowed).max(axis=0)
            rows.append(returned[:, None] * np.einsum("p,ipj->ij", a**2, self.flows.signed))
        return np.concatenate(rows)

    def _moved(self, sizes: Array) -> Array:
        """What errors of these sizes at each node move tr(A S) at each by, at most, as [at, from]."""
        return np.asarray(np.einsum("ijp,jp->ij", self.flows.most, sizes * self.data_curvatures))

    def _allowed(self, target: Target) -> Array:
        """Of the variances, (r, 1)."""
        return np.asarray(self.rtol * np.maximum(target.variances, _TINY)[:, None])

    def _allowed_loss(self, target: Target) -> float:
        """Of twice the loss."""
        return loss_rtol(self.rtol) * max(float(self.curvatures @ target.variances), _TINY)

    @cached_property
    def _returned(self) -> Array:
        """k_p at each node, (nodes, r)."""
        return np.asarray(np.abs(self.felt) / np.maximum(self.variances @ self.data_curvatures, _TINY)[:, None])

    @cached_property
    def _backs(self) -> list[Array]:
        """What a moved tr(A S) at each node, all its returns included, adds to S_pp at each target, (r, nodes)."""
        loop = np.einsum("p,ipj,jp->ij", self.data_curvatures, self.flows.signed, self._returned)
        memory = np.linalg.inv(np.eye(len(loop)) - loop)
        return [(target.signed * self._returned.T) @ memory for target in self.targets]

    @cached_property
    def _lost(self) -> list[Array]:
        """What each witness's q at each node adds to the loss at each target, (n, nodes)."""
        flows = [self.curvatures[:, None] * target.signed for target in self.targets]
        return [
            self.witnesses.squares @ (flow + self._lost_back(back))
            for flow, back in zip(flows, self._backs, strict=True)
        ]

    def _lost_back(self, back: Array) -> Array:
        """What an error of G_pp at each node does to the loss through K, (r, nodes)."""
        return np.asarray(np.einsum("i,p,ipj->pj", self.curvatures @ back, self.data_curvatures, self.flows.signed))

    @cached_property
    def _seen_moved(self) -> list[AnyArray]:
        """What each witness's q at each node adds to tr(A S) at each, [from, witness] of those before it; estimates.

        Modes whose curvatures are about the same have about the same flow.
        """
        h, before = self.curvatures, np.asarray(self.flows.signed.any(axis=1))
        groups = np.flatnonzero(np.diff(np.floor(np.log(np.maximum(h, _TINY)) / _ALIKE), prepend=np.inf))
        squares = np.add.reduceat(self.witnesses.squares * self.data_curvatures, groups, axis=1).astype(np.float32)
        counts = np.diff(groups, append=len(h))[:, None]
        flows = (np.add.reduceat(self.flows.signed, groups, axis=1) / counts).astype(np.float32)
        lasts = [int(np.flatnonzero(some).max(initial=-1)) + 1 for some in before]
        return [np.asarray(flow[:, :last].T @ squares.T) for flow, last in zip(flows, lasts, strict=True)]
