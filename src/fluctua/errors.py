"""Every exception fluctua raises on purpose.

Each text says what was given, what was expected, why it matters and what to do, and each exception
carries its numbers as attributes, so that a program can act on them. The command line turns any
`FluctuaError` into one readable paragraph and exit code 2.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "AmbiguousTargets",
    "BelowRounding",
    "CorruptData",
    "DataUnavailable",
    "FluctuaError",
    "InvalidInput",
    "NotConverged",
    "OutputError",
    "ResultError",
    "TooLarge",
    "UncertainFloor",
    "UncertainLimit",
    "UnknownName",
    "UnknownRow",
    "UnstableRates",
    "UnstableSGD",
]


class FluctuaError(Exception):
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

    def __init__(self, lr: float, max_stable_lr: float, *, larger_batch: bool = True, epochs: bool = False) -> None:
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
        super().__init__(text)


class UncertainLimit(UserWarning):
    """The largest stable learning rate of shuffled epochs is known to no better than several per cent.

    Attributes
    ----------
    max_stable_lr, error : float
        The estimate and its standard error.
    method : str
        "random epochs" or "expansion", see `fluctua.StableLimit`.
    """

    def __init__(self, max_stable_lr: float, error: float, method: str) -> None:
        self.max_stable_lr, self.error, self.method = max_stable_lr, error, method
        super().__init__(
            f"the largest stable learning rate of these shuffled epochs is uncertain: {max_stable_lr:.4g} +- "
            f"{error:.2g}, found by {method}. It may be lower. Stay well below it, use drop_last=True or a batch size "
            f"that divides the samples, or sampling='without_replacement', for which the limit is exact."
        )


class UncertainFloor(UserWarning):
    """The stationary fluctuation of shuffled epochs may be off, on the low side too.

    Attributes
    ----------
    lr : float
        As given.
    reason : str
        How the floor was found, and to how much.
    """

    def __init__(self, lr: float, reason: str) -> None:
        self.lr, self.reason = lr, reason
        super().__init__(
            f"the noise floor at lr = {lr:.4g} is uncertain and may be too low: it is {reason}. Use a smaller learning "
            f"rate, fl.semi_analytic with more orders, drop_last=True or a batch size that divides the samples, or "
            f"sampling='without_replacement', for which the law is exact."
        )


class UnknownFloor(UserWarning):
    """The stationary state of an average in shuffled epochs is not computed; runs of any length are.

    Attributes
    ----------
    every, steps : int
        Steps from one update of the average to the next, and steps of an epoch.
    epochs : int
        After so many epochs updates fall on the same positions again.
    """

    def __init__(self, every: int, steps: int, epochs: int) -> None:
        self.every, self.steps, self.epochs = every, steps, epochs
        super().__init__(
            f"the stationary state of this average is left open, as NaN: it is updated every {every} steps in epochs "
            f"of {steps}, so that updates fall on the same positions again after {epochs} epochs only, which would "
            f"have to be followed together. .after(steps) is as exact as ever; or update it every 'epoch', or after a "
            f"number of steps that divides {steps}."
        )


class UnstableRates(UserWarning):
    """A schedule's learning rate is above the largest stable one at some steps; the run is finite and goes on.

    Attributes
    ----------
    step, last : int
        The first such step and the last, counted from 0.
    count : int
        How many there are.
    lr, max_stable_lr : float
        The rate at `step`, and the limit for this problem, batch size, sampling and momentum.
    """

    def __init__(self, step: int, last: int, count: int, lr: float, max_stable_lr: float) -> None:
        self.step, self.last, self.count, self.lr, self.max_stable_lr = step, last, count, lr, max_stable_lr
        where = f"at step {step}" if count == 1 else f"from step {step} to step {last}, at {count} steps"
        super().__init__(
            f"{where}, the schedule's learning rate ({lr:.4g} at step {step}) is above the largest stable one, "
            f"{max_stable_lr:.6g}: the variance of the weights grows meanwhile. With independent batches predictions "
            f"stay exact."
        )


class BelowRounding(UserWarning):
    """Rounding hides a part of what the inputs or the targets say that the loss at the optimum shows.

    Attributes
    ----------
    directions : int
        Directions among the columns that are below rounding beside the others, are left out of the modes, and would
        explain a visible part of the loss.
    share : float
        Of the loss at the optimum that one of them would explain, at least; the largest.
    error : float
        Root mean square error of the residuals at the optimum by rounding, relative to their own.
    """

    def __init__(self, directions: int, share: float, error: float) -> None:
        self.directions, self.share, self.error = directions, share, error
        if directions:
            text = (
                f"{directions} direction{'s' if directions > 1 else ''} of the inputs, below rounding beside the "
                f"larger columns, had to be left out and would explain {100 * share:.2g} % of the loss at the optimum "
                f"or more: L(W*) and W* are not those of the data."
            )
        else:
            text = (
                f"rounding is {100 * min(error, 1):.2g} % of the residuals at the optimum: L(W*) and the noise there "
                f"are not known better."
            )
        super().__init__(
            f"{text} Centre the inputs and the targets (subtract their means) or scale each column before, in float64."
        )


class AmbiguousTargets(UserWarning):
    """Targets that may be meant otherwise than they were read; the text says how, and how to get the other."""


class DataUnavailable(FluctuaError):
    """A data set's files are neither on disk nor could be fetched."""


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


class OutputError(FluctuaError, OSError):
    """A result could not be written where it was asked for."""


class ResultError(FluctuaError):
    """A saved result or checkpoint cannot be read, or belongs to another run."""
