"""Every exception fluctua raises on purpose.

Each text says what was given, what was expected, why it matters and what to do, and each exception
carries its numbers as attributes, so that a program can act on them. The command line turns any
`FluctuaError` into one readable paragraph and exit code 2.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "CorruptData",
    "DataUnavailable",
    "FluctuaError",
    "InvalidInput",
    "OutputError",
    "ResultError",
    "TooLarge",
    "UnknownName",
    "UnknownRow",
    "UnstableRates",
    "UnstableSGD",
]


class FluctuaError(Exception):
    """The common base: ``except fluctua.errors.FluctuaError`` catches all of them."""


class InvalidInput(FluctuaError, ValueError):
    """A value the caller passed cannot be used (shape, range, NaN, type)."""


class UnknownName(InvalidInput):
    """A name that is not in a register; carries the name, the register and the nearest entry.

    Attributes
    ----------
    name : str
    known : tuple of str
    suggestion : str or None
    """

    def __init__(self, kind: str, name: str, known: tuple[str, ...], suggestion: str | None) -> None:
        self.name, self.known, self.suggestion = name, known, suggestion
        hint = f" Did you mean {suggestion!r}?" if suggestion else ""
        super().__init__(f"unknown {kind} {name!r}.{hint} Known: {', '.join(known)}.")


class UnknownRow(UnknownName, KeyError):
    """A verdict has no row of that name."""

    __str__ = Exception.__str__  # a KeyError's would quote it


class TooLarge(InvalidInput):
    """What was asked for would not fit into memory, or not end in time; refused before it is begun.

    Attributes
    ----------
    needed, available : float
        Bytes, or days.
    """

    def __init__(self, text: str, needed: float, available: float) -> None:
        self.needed, self.available = needed, available
        super().__init__(text)


class UnstableSGD(InvalidInput):
    """The learning rate is above the largest at which the variance of the weights stays finite.

    Attributes
    ----------
    lr, max_stable_lr : float
        Theory.md section 6, mean-square sense, for this batch size and sampling.
    """

    def __init__(self, lr: float, max_stable_lr: float) -> None:
        self.lr, self.max_stable_lr = lr, max_stable_lr
        super().__init__(
            f"lr = {lr:g} is above the largest stable learning rate {max_stable_lr:.7g} of this problem, batch "
            f"size and sampling: the variance of the weights grows without bound and no stationary state exists. "
            f"Use lr < {max_stable_lr:.4g}, a larger batch, or follow the run at finite time "
            f"(predict(..., check_stability=False).after(steps); --force on the command line)."
        )


class UnstableRates(UserWarning):
    """A schedule's learning rate is above the largest stable one at some step; the run is finite and goes on.

    Attributes
    ----------
    step : int
        The first such step, counted from 0.
    count : int
        How many there are.
    lr, max_stable_lr : float
        The rate at `step`, and the limit for this problem, batch size, sampling and momentum.
    """

    def __init__(self, step: int, count: int, lr: float, max_stable_lr: float) -> None:
        self.step, self.count, self.lr, self.max_stable_lr = step, count, lr, max_stable_lr
        super().__init__(
            f"from step {step} on, at {count} steps, the schedule's learning rate ({lr:.4g} at that step) is above the "
            f"largest stable one, {max_stable_lr:.6g}: the variance of the weights grows meanwhile. Predictions stay "
            f"exact."
        )


class DataUnavailable(FluctuaError):
    """A data set's files are neither on disk nor could be fetched."""


class CorruptData(FluctuaError):
    """A file is there and is not what it should be (magic number, length, hash, archive member).

    Attributes
    ----------
    path : Path
    """

    def __init__(self, path: Path | str, problem: str, remedy: str) -> None:
        self.path = Path(path)
        super().__init__(f"{path}: {problem}. {remedy}")


class OutputError(FluctuaError, OSError):
    """A result could not be written where it was asked for."""


class ResultError(FluctuaError):
    """A saved result or checkpoint cannot be read, or belongs to another run."""
