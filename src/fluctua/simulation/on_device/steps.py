"""The recipe's steps on a device: s' = B s + e g + f xi for all replicas at once, some steps in a block.

The step is the recipe's (F11, F90), as in the compiled loop; nothing here knows the optimiser. What a block of steps
reads lies in buffers that stay where they are, so that on a GPU the whole block is launched as one graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..steppers import Setting
from ..thermal import factors_of
from .arithmetic import DeviceArithmetic
from .draws import DeviceDraws
from .gradients import Gradient, OfAll, OfBatch, OnDevice
from .graphs import recorded

__all__ = ["KICKS", "STEPS", "DeviceSteps"]

STEPS = 16  # in a block: a few hundred launches in one
KICKS = 2**24  # normal numbers of a block of steps, at most


class _Tables(NamedTuple):
    """What the steps of a block have of their own: B, (T, k, k); e and f, (T, k); the average's share, (T,)."""

    motion: Any
    push: Any
    heat: Any
    share: Any

    def copy(self, other: _Tables) -> None:
        """Take over another's numbers."""
        for mine, yours in zip(self, other, strict=True):
            mine.copy_(yours)

    def part(self, steps: slice | int) -> _Tables:
        """Return those of some of the steps, or of one."""
        return _Tables(*(each[steps] for each in self))


class _Block:
    """Some steps one after another of all replicas, on buffers that stay where they are."""

    def __init__(self, steps: int, state: Any, data: OnDevice, gradient: Gradient, size: int | None) -> None:
        self.state, self.data, self.gradient, self.torch = state, data, gradient, data.torch
        sgd, (_, replicas, *shape), room = data.setting.sgd, state.shape, data.room
        k = self.slots = sgd.step.slots
        self.tables = _Tables(room(steps, k, k), room(steps, k), room(steps, k), room(steps))
        self.batches = None if size is None else data.arithmetic.empty(steps, replicas, size, dtype=np.int64)
        self.kicks = room(steps, replicas, *shape) if sgd.tempered else None
        self._g, self._next = room(gradient.group, *shape), room(k, gradient.group, *shape)
        self._launch: Callable[[], None] | None = None

    def run(self, tables: _Tables, batches: Any, kicks: Any) -> None:
        """Fill the buffers and make the steps."""
        self.tables.copy(tables)
        for mine, given in ((self.batches, batches), (self.kicks, kicks)):
            if mine is not None:
                mine.copy_(given)
        if self._launch is None:
            self._launch = recorded(self._steps, self.state, self.data.arithmetic.device)
        self._launch()

    def _steps(self) -> None:
        replicas, group = self.state.shape[1], self.gradient.group
        parts = [slice(first, min(first + group, replicas)) for first in range(0, replicas, group)]
        for step in range(len(self.tables.share)):
            for part in parts:
                self._step(step, part)

    def _step(self, step: int, part: slice) -> None:
        state = self.state[:, part]
        g, setting = self._g[: state.shape[1]], self.data.setting
        decay = setting.sgd.weight_decay
        if decay:
            self.torch.add(self.data.constant, state[0], alpha=decay, out=g)
        drawn = None if self.batches is None else self.batches[step, part]
        self.gradient.add(drawn, state[0], g, float(decay > 0))
        self._move(state, g, None if self.kicks is None else self.kicks[step, part], self.tables.part(step))
        if setting.average is not None:
            self._average(state, self.tables.share[step])

    def _move(self, state: Any, g: Any, kick: Any, tables: _Tables) -> None:
        """S' = B s + e g + f xi; the last of the sums is written where s was, when all are made."""
        ahead = self._next[:, : len(g)]
        for i, new in enumerate(ahead):
            self.torch.mul(state[0], tables.motion[i, 0], out=new)
            for j in range(1, self.slots):
                new.addcmul_(state[j], tables.motion[i, j])
            if kick is not None:
                new.addcmul_(kick, tables.heat[i])
        for i, new in enumerate(ahead):
            self.torch.addcmul(new, g, tables.push[i], out=state[i])

    def _average(self, state: Any, share: Any) -> None:
        """Move the average by a share of its way to the weights; where that is 0 it stays, whatever they are."""
        moved = self._next[0, : state.shape[1]]
        self.torch.lerp(state[-1], state[0], share, out=moved)
        self.torch.where(share > 0, moved, state[-1], out=state[-1])


class DeviceSteps:
    """Advances states on a device.

    Parameters
    ----------
    setting : Setting
        Data and constants, in the precision of the runs.
    whole : bool
        Whether every step sees all rows; otherwise batches are drawn.
    """

    def __init__(self, setting: Setting, arithmetic: DeviceArithmetic, whole: bool) -> None:
        self.setting, self.arithmetic, self.whole = setting, arithmetic, whole
        self.data = OnDevice(setting, arithmetic, drawn=not whole)
        self._blocks: dict[tuple[int, int | None], _Block] = {}
        self._gradients: dict[int | None, Gradient] = {}
        self._state: Any = None

    def advance(self, state: Any, draws: DeviceDraws, steps: int, begin: int) -> None:
        """Advance a state, (slots, R, c, d), in place by steps numbered from `begin` on."""
        if self._state is not state:
            self.forget()
            self._state = state
        for batches, count in self._drawn(draws, steps, begin):
            tables = self._tables(begin, count)
            for now in self._cut(count):
                self.setting.look_up()
                few = None if batches is None else batches[now]
                size = None if few is None else few.shape[-1]
                self._block(now.stop - now.start, size).run(tables.part(now), few, self._kicks(draws, begin, now))
            begin += count

    def forget(self) -> None:
        """Let go of the last state, and of the buffers for it."""
        self._state = None
        self._blocks.clear()
        self._gradients.clear()

    def _drawn(self, draws: DeviceDraws, steps: int, begin: int) -> Iterator[tuple[Any, int]]:
        """Batches, and of how many steps they are."""
        if self.whole:
            return iter([(None, steps)])
        return ((run, len(run)) for run in draws.batches(begin, steps))

    def _tables(self, begin: int, count: int) -> _Tables:
        sgd, steps, dtype = self.setting.sgd, np.arange(begin, begin + count), self.setting.dtype
        motion, push = sgd.step.along(sgd.rates(steps), begin)
        heat = factors_of(sgd, begin, count, dtype)
        share = np.zeros(count) if self.setting.average is None else self.setting.average.weights(steps)
        found = motion, push, np.zeros_like(push) if heat is None else heat, share
        return _Tables(*(self.arithmetic.given(each, dtype) for each in found))

    def _cut(self, count: int) -> Iterator[slice]:
        """Cut steps into long blocks and single ones: two lengths, each recorded once."""
        length = self._length
        longs = count // length * length
        yield from (slice(first, first + length) for first in range(0, longs, length))
        yield from (slice(first, first + 1) for first in range(longs, count))

    @property
    def _length(self) -> int:
        each = self._state[0].numel() if self.setting.sgd.tempered else 1
        return 1 if self.whole else max(1, min(STEPS, KICKS // each))

    def _block(self, steps: int, size: int | None) -> _Block:
        if (steps, size) not in self._blocks:
            if size not in self._gradients:
                replicas = self._state.shape[1]
                self._gradients[size] = (
                    OfAll(self.data, replicas) if size is None else OfBatch(self.data, replicas, size)
                )
            self._blocks[steps, size] = _Block(steps, self._state, self.data, self._gradients[size], size)
        return self._blocks[steps, size]

    def _kicks(self, draws: DeviceDraws, begin: int, now: slice) -> Any:
        if not self.setting.sgd.tempered:
            return None
        return draws.heat(begin + now.start, now.stop - now.start, tuple(self._state.shape[2:]))
