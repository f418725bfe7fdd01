"""The looks of a monitor as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from .._results import ByValue, Tables, Tabular, clipped

__all__ = ["Evidence", "Gain", "Look"]


class Gain(NamedTuple):
    """What the next doubling of training would lower the loss by, in floors, with its interval.

    Attributes
    ----------
    value, low, high : float
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Look:
    """What a look saw in one scope, and what it concluded.

    Attributes
    ----------
    step : int
        Steps of the optimiser since the monitor was made.
    clock : int
        Steps since the clock was started, t.
    scope : str
        "all", a parameter group or a tensor.
    state : str
        "drifting", "undecided" or "equilibrated".
    gain, low, high : float
        2.3 W / F with its interval at the look's level.
    floor, floor_error : float
        F, or the local unit, in units of the loss, and its standard error.
    work, work_error : float
        W, and its standard error.
    noise_scale : float
        Variance of a batch's gradient over the square of the mean gradient.
    level : float
        False-alarm level of the look.
    reason : str
        Why nothing was decided; empty otherwise.
    """

    step: int
    clock: int
    scope: str
    state: str
    gain: float
    low: float
    high: float
    floor: float
    floor_error: float
    work: float
    work_error: float
    noise_scale: float
    level: float
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class Evidence(ByValue, Tabular):
    """Every look of a monitor, a row for each scope; made by `EquilibriumMonitor`.

    Attributes
    ----------
    looks : tuple of Look
        In the order of time.

    Examples
    --------
    >>> import torch, fluctua.torch
    >>> model = torch.nn.Linear(3, 1)
    >>> monitor = fluctua.torch.EquilibriumMonitor(torch.optim.SGD(model.parameters(), lr=0.1))
    >>> monitor.evidence
    Evidence(no look yet)
    """

    looks: tuple[Look, ...]

    def __len__(self) -> int:
        return len(self.looks)

    def __iter__(self) -> Iterator[Look]:
        return iter(self.looks)

    def __getitem__(self, place: int) -> Look:
        return self.looks[place]

    def _tables(self) -> Tables:
        return {"looks": self._columns}

    def _columns(self) -> dict[str, list[Any]]:
        rows = [asdict(each) for each in self.looks]
        return {each.name: [row[each.name] for row in rows] for each in fields(Look)}

    def __repr__(self) -> str:
        if not self.looks:
            return "Evidence(no look yet)"
        last = self.looks[-1]
        words = f"{len(self.looks)} looks, the last after {last.clock:,} steps: {last.state}"
        return clipped(f"Evidence({words}, gain {last.gain:.3g} floors in [{last.low:.3g}, {last.high:.3g}])")
