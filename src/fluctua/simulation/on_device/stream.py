r"""Random numbers that depend on a seed and a place alone, drawn where they are used.

Number n of a replica's stream is SplitMix64's (Steele, Lea and Flood, OOPSLA 2014): the finaliser of David Stafford,
variant 13, of key + (n + 1) gamma. So neither the device, nor how many are drawn at once, nor who else draws has a part
in them. The keys are words of NumPy's `SeedSequence`, one of the 2^64 places of the cycle each: that any two of 4,096
replicas come within 10^9 numbers of one another has a probability of 10^-3, and then at another step of their runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from copy import copy
from typing import Any

import numpy as np

from ..._validate.devices import Device

__all__ = ["Stream"]

_HALF = 2**32 - 1
_GAMMA, _FIRST, _SECOND = (
    value - 2**64 * (value >> 63) for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
_UNIT = 2.0**-53


class Stream:
    """A stream for each of some replicas.

    Parameters
    ----------
    seeds : iterable of SeedSequence
        One for each replica.
    device : Device
        Where they are drawn.
    """

    def __init__(self, seeds: Iterable[np.random.SeedSequence], device: Device) -> None:
        self.torch = device.torch
        keys = np.array([seed.generate_state(1, np.uint64)[0] for seed in seeds], np.uint64)
        self.keys = self.torch.from_numpy(keys.view(np.int64)).to(device.handle)

    def part(self, replicas: slice) -> Stream:
        """Return the streams of some of the replicas."""
        found = copy(self)
        found.keys = self.keys[replicas]
        return found

    def words(self, step: int, steps: int, each: int) -> Any:
        """Return 64 random bits `each` times for every replica and some steps from `step` on, (steps, R, each)."""
        torch, keys = self.torch, self.keys
        place = torch.arange(step * each + 1, (step + steps) * each + 1, device=keys.device)
        out = (place * _GAMMA).view(steps, 1, each) + keys[:, None]  # modulo 2^64
        for shift, factor in ((30, _FIRST), (27, _SECOND)):
            out.bitwise_xor_(_shifted(out, shift)).mul_(factor)
        return out.bitwise_xor_(_shifted(out, 31))

    def below(self, bound: Any, step: int, steps: int, each: int) -> Any:
        """Return whole numbers below `bound`, itself at most 2^31: equally likely to 2^-33 of their probability."""
        words = self.words(step, steps, each)
        low = (words & _HALF).mul_(bound).bitwise_right_shift_(32)
        return _shifted(words, 32).mul_(bound).add_(low).bitwise_right_shift_(32)

    def uniform(self, step: int, steps: int, each: int) -> Any:
        """Return float64 numbers from 0 to below 1, multiples of 2^-53."""
        return _shifted(self.words(step, steps, each), 11).double().mul_(_UNIT)

    def normal(self, step: int, steps: int, each: int, dtype: Any) -> Any:
        """Return standard normal numbers, by Box and Muller: two of them from two uniform ones."""
        pairs = -(-each // 2)
        uniform = self.uniform(step, steps, 2 * pairs)
        radius = (1.0 - uniform[..., :pairs]).to(dtype).log_().mul_(-2.0).sqrt_()
        angle = (uniform[..., pairs:] * (2 * math.pi)).to(dtype)
        return self.torch.cat((radius * angle.cos(), radius * angle.sin()), -1)[..., :each]


def _shifted(words: Any, bits: int) -> Any:
    """Shift to the right, filling with zeros: torch's integers have a sign."""
    return (words >> bits).bitwise_and_((1 << (64 - bits)) - 1)
