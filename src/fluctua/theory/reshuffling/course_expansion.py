r"""What an epoch adds in which the rate moves: F63, the balance F43 with the steps of a course."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array
from ...problem.reduced_basis import Sources
from .course_timetable import CourseEpoch
from .expansion import Shuffle
from .memory import EpochMoments, Memory, NoiseMemory

__all__ = ["Added", "CourseShuffle"]


@dataclass(frozen=True)
class Added:
    """What the steps of an epoch add.

    Attributes
    ----------
    source : ndarray, (r, r)
        G, averaged over the epoch.
    noise : ndarray, (J, r, r)
        N2 at `Epoch.times`, but for what F44 has of the average source.
    crossed : ndarray, (J, k r, r)
        N1 there, likewise.
    """

    source: Array
    noise: Array
    crossed: Array


class CourseShuffle:
    """F63: one epoch of `shuffle`, with the steps of a timetable in the place of its own.

    Parameters
    ----------
    shuffle : Shuffle
    epoch : CourseEpoch
    """

    def __init__(self, shuffle: Shuffle, epoch: CourseEpoch) -> None:
        self.shuffle, self.epoch, self.batches = shuffle, epoch, shuffle.batches

    @cached_property
    def memory(self) -> Memory:
        """What its batches remember of one another."""
        return self.shuffle.memory_of(self.epoch)

    def means(self, start: Array) -> Array:
        """F52: E of the parts at `Epoch.times` and at the end, (J + 1, c, k r), from `start`, (c, k r)."""
        return self.memory.motion.follow(start) if self.shuffle.feels else self.epoch.decayed(start)

    def added(self, moments: EpochMoments, *, rough: bool = False) -> Added:
        """F63: what every step adds, for the moments along the epoch; `rough` as `Shuffle.added` has it."""
        asked = self.shuffle.rough_sources if rough else self.shuffle.sources
        sources = np.array([self._source(k, moments, asked) for k in range(len(self.epoch.times))])
        average, memory = self.epoch.average(sources), None
        if self.shuffle.feels:
            memory = NoiseMemory(self.memory, moments, average, asked, similar=not rough)
        steps = [self._step(k, source - average, average, memory) for k, source in enumerate(sources)]
        noise, crossed = zip(*steps, strict=True)
        return Added(average, np.array(noise), np.array(crossed))

    @property
    def nothing(self) -> Added:
        """What steps would add without noise."""
        r, nodes = len(self.shuffle.minimum.noise), len(self.epoch.times)
        return Added(np.zeros((r, r)), np.zeros((nodes, r, r)), np.zeros((nodes, self.epoch.sums.shape[1], r)))

    def _source(self, k: int, moments: EpochMoments, asked: Sources) -> Array:
        """G = C + K[S] + X(E V) at `times[k]`, (r, r)."""
        if not self.shuffle.feels:
            return self.shuffle.minimum.noise
        state, mean = self.epoch.course.fold(moments.states[k]), self.epoch.fold(moments.means[k])
        return asked.source(state, mean)

    def _step(self, k: int, change: Array, average: Array, memory: NoiseMemory | None) -> tuple[Array, Array]:
        time = int(self.epoch.times[k])
        variance = self.batches.variance(int(self.epoch.sizes[time]))
        noise = variance * average + (variance - self.batches.eps) * change
        if memory is None or not time:
            return noise, np.zeros((self.epoch.sums.shape[1], len(noise)))
        return noise + memory.variance(k), memory.correlation(k, change)

    def anticorrelation(self, source: Array, time: int) -> Array:
        """F44: eps Lambda(t)^2 G, (k r, k r), which holds for any rates."""
        return np.asarray(self.batches.eps * self.epoch.squared(self.epoch.sums[time], source))

    def through(self, start: Array, added: Added) -> Array:
        """F63: states at `Epoch.times` and at the end from `start`."""
        epoch, out = self.epoch, [start]
        for now, then in zip(epoch.stops[:-1], epoch.stops[1:], strict=True):
            out.append(self._advanced(out[-1], added, now, then))
        return np.array(
            [state - self.anticorrelation(added.source, t) for state, t in zip(out, epoch.stops, strict=True)]
        )

    def additive(self, start: Array) -> Array:
        """F44: states as `through` has them, from C alone: a first guess, exact where the noise feels nothing."""
        epoch, noise = self.epoch, self.shuffle.minimum.noise
        sizes = [self.batches.variance(int(b)) for b in epoch.sizes[epoch.times]]
        crossed = np.zeros((len(sizes), epoch.sums.shape[1], len(noise)))
        return self.through(start, Added(noise, np.multiply.outer(sizes, noise), crossed))

    def _advanced(self, state: Array, added: Added, now: int, then: int) -> Array:
        """The state without F44's closed form at step `then`, from that at `now`, of one stretch between nodes."""
        epoch, count = self.epoch, then - now
        past, k, r = epoch.past(then), epoch.course.components, epoch.course.modes
        flows = np.array([past.flows[u] for u in range(count)])
        responses = past.responses[:count]
        last = flows[-1]
        out = np.einsum("abp,bpcq->apcq", last, state.reshape(k, r, k, r))
        out = np.einsum("dcq,apcq->apdq", last, out).reshape(k * r, k * r)
        basis = np.zeros((count, len(added.noise)))
        basis[:, -1] = now >= epoch.regular
        if now < epoch.regular:
            basis[:, : epoch.positions.basis.shape[1]] = epoch.positions.basis[now:then][::-1]
        crossed = np.zeros_like(out)
        for j in np.flatnonzero(basis.any(axis=0)):
            weighted = responses * basis[:, j, None]
            out += (weighted.T @ responses) * epoch.tile(epoch.tile_rows(added.noise[j]))
            if added.crossed[j].any():
                crossed += self._crossed(flows, weighted, added.crossed[j])
        return np.asarray(out + crossed + crossed.T)

    def _crossed(self, flows: Array, responses: Array, correlation: Array) -> Array:
        """Sum over steps of M(t, v) N1 R(t, v), (k r, k r), for N1 of one node, (k r, r), and weighted responses."""
        epoch, parts = self.epoch, self.epoch.course.components
        rows = []
        for a in range(parts):
            row = np.zeros((len(correlation) // parts, len(correlation)))
            for b, block in enumerate(np.split(correlation, parts)):
                row += (flows[:, a, b].T @ responses) * epoch.tile(block)
            rows.append(row)
        return np.concatenate(rows)

    def at(self, place: int, moments: EpochMoments, added: Added) -> Array:
        """The second moment of what is looked at, at one position of the epoch, (r, r)."""
        epoch, k = self.epoch, int(np.searchsorted(self.epoch.times, place, "right")) - 1
        now, state = int(epoch.times[k]), moments.states[k]
        if place > now:
            state = self._advanced(state + self.anticorrelation(added.source, now), added, now, place)
            state = state - self.anticorrelation(added.source, place)
        return epoch.course.fold(state, observed=True)

    def looked_at(self, place: int, moments: EpochMoments, added: Added) -> tuple[Array, Array]:
        """S and E V of what is looked at, at one position of the epoch, (r, r) and (c, r)."""
        shown, r = self.epoch.course.shown, self.epoch.course.modes
        mean = self.mean_at(place, moments.means)[:, shown * r : (shown + 1) * r]
        return self.at(place, moments, added), mean

    def mean_at(self, place: int, means: Array) -> Array:
        """E of the parts at one position, (c, k r), given those at `Epoch.times` and the end."""
        if place >= self.epoch.regular:
            return np.asarray(means[-2])
        return np.asarray(np.tensordot(self.epoch.positions.basis[place], means[: len(self.epoch.positions.nodes)], 1))

    def curve(self, state: Array, added: Added, observable: Array) -> Array:
        """Observable . S_pp of what is looked at, at every position, (n,), from the state at the start."""
        epoch, course, regular = self.epoch, self.epoch.course, len(self.epoch.positions.nodes)
        moments, r = course.within(state), course.modes
        noise = np.array([np.diag(each) for each in added.noise])
        crossed = np.einsum("japp->jap", added.crossed.reshape(len(noise), course.components, r, r))
        taken = self.batches.eps * np.diag(added.source)
        out, sums = np.empty(epoch.steps), epoch.sums.reshape(-1, course.components, r)
        for t in range(epoch.steps):
            now = moments - taken * sums[t][:, None] * sums[t]
            out[t] = observable @ course.gathered(now, observed=True)
            if t < epoch.regular:
                m, e, b = course._transition(epoch.first + t), course.push[epoch.first + t], epoch.positions.basis[t]
                pushed = np.einsum("abp,bp->ap", m, np.tensordot(b, crossed[:regular], 1))[:, None] * e[:, None]
                moments = np.einsum("aip,ijp,bjp->abp", m, moments, m) + pushed + pushed.swapaxes(0, 1)
                moments = moments + np.multiply.outer(np.outer(e, e), b @ noise[:regular])
        return out
