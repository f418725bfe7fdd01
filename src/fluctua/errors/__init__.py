"""Every exception fluctua raises on purpose.

Each text says what was given, what was expected, why it matters and what to do, and each exception
carries its numbers as attributes, so that a program can act on them. The command line turns any
`FluctuaError` into one readable paragraph and exit code 2.
"""

from __future__ import annotations

from pathlib import Path

from .carried import Carried
from .warned import (
    AmbiguousTargets,
    BelowRounding,
    DeficientRank,
    FarDrift,
    IndexColumn,
    LooseBounds,
    MissingBias,
    UncertainFloor,
    UncertainLimit,
    UncertainSpread,
    Unconverged,
    UnknownFloor,
    UnscaledData,
    UnstableRates,
)

__all__ = [
    "AmbiguousTargets",
    "BelowRounding",
    "CorruptData",
    "DataUnavailable",
    "DeficientRank",
    "FarDrift",
    "FluctuaError",
    "IndexColumn",
    "InvalidInput",
    "LooseBounds",
    "MissingBias",
    "MissingPackage",
    "NotConverged",
    "OutputError",
    "OutsideBowl",
    "ResultError",
    "TooLarge",
    "UncertainFloor",
    "UncertainLimit",
    "UncertainSpread",
    "Unconverged",
    "UnknownFloor",
    "UnknownName",
    "UnknownRow",
    "UnscaledData",
    "UnstableRates",
    "UnstableSGD",
    "WorkersLost",
]


class FluctuaError(Carried, Exception):
    """The common base: ``except fluctua.errors.FluctuaError`` catches all of them.

    Examples
    --------
    >>> import fluctua as fl
    >>> try:
    ...     fl.SGD(lr=-0.1, batch_size=8)
    ... except fl.FluctuaError as error:
    ...     print(f"{type(error).__name__}: {error}")
    InvalidInput: lr must be greater than 0, got -0.1.
    """


class InvalidInput(FluctuaError, ValueError):
    """A value the caller passed cannot be used (shape, range, NaN, type)."""


class UnknownName(InvalidInput):
    """A name that is not in a register; carries the name, the register and the nearest entry.

    Attributes
    ----------
    name : str
        As given.
    known : tuple of str
        The names of the register.
    suggestion : str or None
        The nearest of them, if one is near.
    """

    def __init__(self, kind: str, name: str, known: tuple[str, ...], suggestion: str | None) -> None:
        self.name, self.known, self.suggestion = name, known, suggestion
        hint = f" Did you mean {suggestion!r}?" if suggestion else ""
        super().__init__(f"unknown {kind} {name!r}.{hint} Known: {', '.join(known)}.")


class NotConverged(FluctuaError, ArithmeticError):
    """An iteration ended before its result was as accurate as promised; no number is returned in its place.

    Attributes
    ----------
    rounds : int
        Rounds that it was given.
    residual, tolerance : float
        What is left of the equation that is solved, relative, and what was to be left at most.
    """

    def __init__(self, what: str, rounds: int, residual: float, tolerance: float, advice: str = "") -> None:
        self.rounds, self.residual, self.tolerance = rounds, residual, tolerance
        advice = advice or "Scale the inputs to similar sizes, or report the data as a case that should work."
        super().__init__(
            f"{what} was not found: after {rounds} rounds the relative residual is {residual:.2g}, and {tolerance:.2g} "
            f"is asked for. A number less accurate than that is not returned. {advice}"
        )


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
        As given, and the limit for this batch size and sampling (F12, in the mean-square sense).

    Examples
    --------
    >>> import fluctua as fl
    >>> problem = fl.LeastSquares([[1.0], [2.0], [4.0]], [[0.5], [1.5], [2.0]])
    >>> try:
    ...     fl.predict(problem, fl.SGD(lr=0.2, batch_size=1))
    ... except fl.UnstableSGD as error:
    ...     print(f"{error.lr} > {error.max_stable_lr:.4f}")
    0.2 > 0.1538
    """

    def __init__(
        self, lr: float, max_stable_lr: float, *, larger_batch: bool = True, epochs: bool = False, why: str = ""
    ) -> None:
        self.lr, self.max_stable_lr = lr, max_stable_lr
        error = getattr(max_stable_lr, "error", 0.0)
        margin = f" (+- {error:.2g})" if error else ""
        batch = ", a larger batch" if larger_batch else ""
        follow = (
            "follow the run at finite time (predict(..., check_stability=False).after(steps); --force on the command "
            "line)."
        )
        shown = f"{lr:g}" if float(f"{lr:g}") > max_stable_lr else f"{lr:.10g}"
        if lr >= max_stable_lr:
            text = (
                f"lr = {shown} is above the largest stable learning rate {max_stable_lr:.7g}{margin} of this problem, "
                f"batch size and sampling: the variance of the weights grows without bound and no stationary state "
                f"exists. Use lr < {max_stable_lr:.7g}{batch}, or {follow}"
            )
        else:
            other = "fl.semi_analytic(problem, sgd), " if epochs else ""
            text = (
                f"no stationary state was found at lr = {lr:.10g}, though that is below the largest stable learning "
                f"rate {max_stable_lr:.7g}{margin}: so near to it ({lr / max_stable_lr:.1%}) the law itself fails. Use "
                f"{other}lr < {0.9 * max_stable_lr:.4g}{batch}, or {follow}"
            )
        super().__init__(f"{text} {why}".rstrip())


class DataUnavailable(FluctuaError):
    """A data set's files are neither on disk nor could be fetched."""


class MissingPackage(FluctuaError, ImportError):
    """A package that this feature needs is not installed; the text has the line that installs it.

    Attributes
    ----------
    package : str
        As it is imported.
    command : str
        The line of pip.
    """

    def __init__(self, package: str, purpose: str, install: str) -> None:
        self.package, self.command = package, f"pip install {install}"
        super().__init__(
            f"{purpose} needs {package}, which is not installed and which fluctua does not require. "
            f"Install it: {self.command}"
        )


class CorruptData(FluctuaError):
    """A file is there and is not what it should be (magic number, length, hash, archive member).

    Attributes
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path | str, problem: str, remedy: str) -> None:
        self.path = Path(path)
        super().__init__(f"{path}: {problem}. {remedy}")


class OutsideBowl(UnstableSGD):
    """The learning rate is so large that the weights of a head live outside the quadratic bowl of its optimum.

    No floor is given there: the local theory would be off by more than a few per cent, and nothing says by how much.

    Attributes
    ----------
    lr, max_stable_lr : float
        As given, and the crossover for this batch size and sampling.
    anharmonicity : float
        The meter u, infinite where the quadratic has no stationary state.
    """

    def __init__(self, lr: float, max_stable_lr: float, anharmonicity: float) -> None:
        self.lr, self.max_stable_lr, self.anharmonicity = lr, max_stable_lr, anharmonicity
        known = anharmonicity < float("inf")
        none = "it has none" if lr >= max_stable_lr else "with third derivatives no positive variances were found"
        meter = f"its anharmonicity is {anharmonicity:.0%}, and up to 30 % it is known" if known else none
        InvalidInput.__init__(
            self,
            f"the floor at lr = {lr:.6g} is not that of a quadratic bowl: {meter}. The crossover is at lr = "
            f"{max_stable_lr:.6g}; above it the weights live outside the bowl and fluctuate widely without diverging. "
            f"Use a smaller learning rate, a larger batch, a simulation, or check_stability=False for a rung's number.",
        )


class OutputError(FluctuaError, OSError):
    """A result could not be written where it was asked for."""


class WorkersLost(FluctuaError):
    """The processes or machines that a computation was spread over are gone; what they had finished is kept.

    Attributes
    ----------
    finished, asked : int
        Pieces of work that had come back, and how many there were.
    """

    def __init__(self, what: str, finished: int, asked: int) -> None:
        self.finished, self.asked = finished, asked
        super().__init__(
            f"{what} {finished} of {asked} pieces of the work had come back, and are kept where a checkpoint or --out "
            f"was given. Call again, on a cluster that answers or without one: only what is missing is computed."
        )


class ResultError(FluctuaError):
    """A saved result or checkpoint cannot be read, or belongs to another run."""
