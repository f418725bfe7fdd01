"""The randomness of replicas on a device: drawn there, or by NumPy as a run without a device has it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..._validate.devices import Device
from ...recipe.sampling import Epochs
from ...recipe.sgd import Recipe
from ..batches import Draws
from .stream import Stream

__all__ = ["HELD", "DeviceDraws", "NumpyDraws", "TorchDraws"]

Rngs = list[np.random.Generator]
HELD = 2**22  # indices at once
_SORTED = 32  # a batch's square over the samples, from which sorting all of them costs less than comparing its own


class DeviceDraws(ABC):
    """What steps draw, wherever it comes from.

    Attributes
    ----------
    rngs : list of numpy.random.Generator
        The replicas'.
    """

    rngs: Rngs

    @abstractmethod
    def batches(self, begin: int, steps: int) -> Iterator[Any]:
        """Yield the indices of the next batches in runs of steps, (steps, R, b), each run of one size."""

    @abstractmethod
    def heat(self, begin: int, steps: int, shape: tuple[int, ...]) -> Any:
        """Return the normal numbers of thermal noise, (steps, R, *shape)."""


class NumpyDraws(DeviceDraws):
    """Those of a run without a device, sent there: the same trajectories, to rounding."""

    def __init__(self, rngs: Rngs, samples: int, sgd: Recipe, dtype: np.dtype[Any], device: Device) -> None:
        self.rngs, self.dtype, self.device = rngs, dtype, device
        self._drawn = Draws(rngs, samples, sgd)

    def _sent(self, values: Any) -> Any:
        return self.device.torch.from_numpy(np.ascontiguousarray(values)).to(self.device.handle)

    def batches(self, begin: int, steps: int) -> Iterator[Any]:
        """Yield batches as they come."""
        del begin
        return map(self._sent, self._drawn.batches(steps))

    def heat(self, begin: int, steps: int, shape: tuple[int, ...]) -> Any:
        """Return the next numbers of each replica's stream beside that of its batches."""
        del begin
        return self._sent(self._drawn.heat.numbers(slice(None), steps, shape, self.dtype).swapaxes(0, 1))


class TorchDraws(DeviceDraws):
    """Drawn on the device, from the replicas' own streams: numbers follow from a replica's seed and its step alone."""

    def __init__(self, rngs: Rngs, samples: int, sgd: Recipe, dtype: np.dtype[Any], device: Device) -> None:
        self.rngs, self.samples, self.sgd, self.torch = rngs, samples, sgd, device.torch
        self.dtype = getattr(device.torch, dtype.name)
        seeds: Any = [rng.bit_generator.seed_seq for rng in rngs]
        beside = [np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, 0)) for seed in seeds]
        self._stream, self._heat = Stream(seeds, device), Stream(beside, device)
        self._order: tuple[int, Any] | None = None
        chance = None if sgd.batch_size is None else sgd.sampler.probabilities(samples)
        if chance is not None:
            reached = np.cumsum(chance)
            self._reached = device.torch.from_numpy(reached / reached[-1]).to(device.handle)
        self._independent = self._plain if chance is None else self._weighted
        if sgd.sampler.distinct and sgd.batch_size is not None:
            self._independent = self._distinct if sgd.batch_size**2 < _SORTED * samples else self._sorted

    def batches(self, begin: int, steps: int) -> Iterator[Any]:
        """Yield batches of steps numbered from `begin` on."""
        of = self._of_epoch if self.sgd.epochs else self._of_steps
        end = begin + steps
        while begin < end:
            run = of(begin, end - begin)
            begin += len(run)
            yield run

    def _of_steps(self, begin: int, most: int) -> Any:
        drawn = self.samples if self._independent == self._sorted else self.sgd.batch_size
        steps = max(1, min(most, HELD // (drawn * len(self.rngs))))
        return self._independent(begin, steps, self.sgd.batch_size)

    def _plain(self, begin: int, steps: int, size: int) -> Any:
        return self._stream.below(self.samples, begin, steps, size)

    def _weighted(self, begin: int, steps: int, size: int) -> Any:
        uniform = self._stream.uniform(begin, steps, size)
        return self.torch.searchsorted(self._reached, uniform, right=True)

    def _distinct(self, begin: int, steps: int, size: int) -> Any:
        """Subsets by Floyd's algorithm: every one equally likely, and in as many rounds whatever is drawn.

        The i-th is below N - b + i + 1, or N - b + i itself if that one is there already.
        """
        last = self.torch.arange(self.samples - size, self.samples, device=self._stream.keys.device)
        out = self._stream.below(last + 1, begin, steps, size)
        for i in range(1, size):
            there = (out[..., :i] == out[..., i : i + 1]).any(-1)
            out[..., i].copy_(self.torch.where(there, last[i], out[..., i]))
        return out

    def _sorted(self, begin: int, steps: int, size: int) -> Any:
        return self.torch.stack([self._orders(step, size) for step in range(begin, begin + steps)])

    def _orders(self, number: int, most: int) -> Any:
        """The first of all samples in a random order, (R, most): that of as many random words.

        Replicas are handled a few at a time, for which there is room to sort.
        """
        few, replicas = max(1, HELD // self.samples), len(self.rngs)
        parts = (self._stream.part(slice(i, i + few)) for i in range(0, replicas, few))
        words = (part.words(number, 1, self.samples)[0] for part in parts)
        return self.torch.cat([each.argsort(-1)[:, :most].to(self.torch.int32) for each in words])

    def _of_epoch(self, begin: int, most: int) -> Any:
        sizes = self.sgd.batch_sizes(self.samples)
        epoch, first = divmod(begin, len(sizes))
        size, ends = int(sizes[first]), np.cumsum(sizes)
        alike = int(np.count_nonzero(sizes[first:] == size))
        last = first + max(1, min(most, alike, HELD // (size * len(self.rngs))))
        run = self._order_of(epoch)[:, ends[first] - size : ends[last - 1]]
        return run.reshape(len(self.rngs), -1, size).swapaxes(0, 1)

    def _order_of(self, epoch: int) -> Any:
        """The order of an epoch, (R, N); number -1 is the data's own."""
        assert isinstance(self.sgd.sampler, Epochs)
        number = int(min(epoch, self.sgd.sampler.shuffles - 1))
        if self._order is None or self._order[0] != number:
            self._order = None  # before there is another
            order = self._data_order if number < 0 else self._orders(number, self.samples)
            self._order = number, order
        return self._order[1]

    @property
    def _data_order(self) -> Any:
        order = self.torch.arange(self.samples, device=self._stream.keys.device)
        return order.expand(len(self.rngs), self.samples)

    def heat(self, begin: int, steps: int, shape: tuple[int, ...]) -> Any:
        """Return the numbers of some steps, in the precision of the runs."""
        each = int(np.prod(shape))
        return self._heat.normal(begin, steps, each, self.dtype).view(steps, len(self.rngs), *shape)
