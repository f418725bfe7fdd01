"""What a rate network cannot do: the errors carry the numbers that say where it ends."""

from __future__ import annotations

from ...errors import InvalidInput

__all__ = ["LearnedTooFar", "NoSpontaneousState"]


class NoSpontaneousState(InvalidInput):
    """The activity of a network does not come to rest without an input.

    Attributes
    ----------
    gain, largest_gain : float
        As given, and that at which the spontaneous state ends.
    """

    def __init__(self, gain: float, largest_gain: float, why: str, do: str) -> None:
        self.gain, self.largest_gain = gain, largest_gain
        super().__init__(
            f"gain = {gain:g} leaves the network no spontaneous stationary state: {why}. It ends at gain = "
            f"{largest_gain:.7g}. {do}"
        )


class LearnedTooFar(InvalidInput):
    """A task was to be learned beyond the strength at which the activity diverges.

    Attributes
    ----------
    learned, largest : float
        As given, and eps* at which the response to the input diverges.
    """

    def __init__(self, learned: float, largest: float) -> None:
        self.learned, self.largest = learned, largest
        super().__init__(
            f"learned = {learned:g} is beyond eps* = {largest:.7g}, at which the coupling that was learned makes the "
            f"activity diverge. Give a strength below eps*."
        )
