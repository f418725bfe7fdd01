"""Every warning: a number that may be off, or data that may be meant otherwise. Each carries its numbers."""

from __future__ import annotations

from .carried import Carried

__all__ = [
    "AmbiguousTargets",
    "BelowRounding",
    "DeficientRank",
    "FarDrift",
    "IndexColumn",
    "LooseBounds",
    "MissingBias",
    "UncertainFloor",
    "UncertainLimit",
    "UncertainSpread",
    "Unconverged",
    "UnknownFloor",
    "UnscaledData",
    "UnstableRates",
]


class UncertainLimit(Carried, UserWarning):
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


class UncertainFloor(Carried, UserWarning):
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


class LooseBounds(Carried, UserWarning):
    """The leading modes do not tell whether there is a noise floor: no upper bound of it was found.

    Attributes
    ----------
    lr : float
        As given.
    least, most : float
        The largest stable learning rate is between them.
    """

    def __init__(self, lr: float, least: float, most: float) -> None:
        self.lr, self.least, self.most = lr, least, most
        super().__init__(
            f"at lr = {lr:.4g} the noise floor has no upper bound: with these leading modes the largest stable "
            f"learning rate is known to be from {least:.4g} to {most:.4g}, and lr is near or above the first. "
            f"Use a smaller learning rate, or more modes."
        )


class Unconverged(Carried, UserWarning):
    """An iteration ended before it had converged; what it found is kept, and what bounds can be given hold.

    Attributes
    ----------
    what : str
        The iteration.
    rounds : int
        What it was given.
    residual : float
        What was left, over what was to be left at most.
    advice : str
        What that costs, and what helps.
    """

    def __init__(self, what: str, rounds: int, residual: float, advice: str) -> None:
        self.what, self.rounds, self.residual, self.advice = what, rounds, residual, advice
        super().__init__(
            f"{what} ended after {rounds:,} rounds with {residual:.2g} times what was to be left. {advice}"
        )


class UncertainSpread(Carried, UserWarning):
    """The spread of the loss between runs may be more than 1.5 times too small: weights have heavy tails.

    Attributes
    ----------
    share : float
        Of the largest stable learning rate of independent batches, of the smallest size that an epoch has.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        super().__init__(
            f"the spread of the loss between runs may be more than 1.5 times too small: the learning rate is "
            f"{share:.0%} of the largest stable one of independent batches, of the smallest size that there is, and "
            f"so near the limit the weights have heavier tails than the Gaussian that is assumed. The mean does not "
            f"assume it. Use a smaller learning rate, drop_last=True where the last batch is smaller, or fl.simulate."
        )


class UnknownFloor(Carried, UserWarning):
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


class UnstableRates(Carried, UserWarning):
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


class BelowRounding(Carried, UserWarning):
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


class AmbiguousTargets(Carried, UserWarning):
    """Targets that may be meant otherwise than they were read; the text says how, and how to get the other."""


class IndexColumn(Carried, UserWarning):
    """Columns of a frame are called as an index is, and count as features.

    Attributes
    ----------
    columns : tuple of str
        Their names.
    """

    def __init__(self, name: str, columns: tuple[str, ...]) -> None:
        self.columns = columns
        named = ", ".join(map(repr, columns))
        super().__init__(
            f"the frame {name} has the column{'s' * (len(columns) > 1)} {named}, which looks like an index: a number "
            f"that counts the samples is no feature of them, and it is now one. Leave it out, "
            f"{name}.drop(columns={list(columns)!r}), or write it as the index: to_csv(index=False)."
        )


class MissingBias(Carried, UserWarning):
    """The inputs of a head have no constant column, and one would lower the loss visibly.

    Attributes
    ----------
    share : float
        Of the loss at the optimum that a bias would take, about.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        super().__init__(
            f"the inputs have no constant column, so that the head has no bias, and one would lower the loss by about "
            f"{share:.1%}. If yours has one, append a column of ones (fluctua.Preparation(bias=True), "
            f"numpy.column_stack); weight decay acts on it too."
        )


class FarDrift(Carried, UserWarning):
    """The layers of a net drift so far along its manifold that the law, an expansion about the start, may be off.

    Attributes
    ----------
    share : float
        Sum of the predicted changes of the eigenvalues of W2^T W2 - W1 W1^T, over tr(W2^T W2 + W1 W1^T).
    steps : int
        In so many steps.
    """

    def __init__(self, share: float, steps: int) -> None:
        self.share, self.steps = share, steps
        super().__init__(
            f"the balance of the layers drifts by {share:.1%} of its scale in {steps:,} steps: the start is far from "
            f"where noise leaves it, and a covariance about the start, instead of the replica mean, would show the "
            f"drift alone. Use fewer steps, a smaller learning rate, or split='noise'."
        )


class UnscaledData(UserWarning):
    """Data of a diffusion model reach far beyond -1 and 1, between which noise schedules are made for.

    Attributes
    ----------
    low, high : float
        The smallest and the largest number.
    """

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high
        super().__init__(
            f"inputs reach from {low:g} to {high:g}, and noise schedules are made for data between -1 and 1: at other "
            f"scales white noise is a wrong start. Give scale=(-1, 1), or scale them before."
        )


class DeficientRank(UserWarning):
    """There are fewer samples than columns, so that a Gaussian of them leaves directions empty.

    Attributes
    ----------
    samples, features, rank : int
        Of the data; the rank of their covariance.
    """

    def __init__(self, samples: int, features: int, rank: int) -> None:
        self.samples, self.features, self.rank = samples, features, rank
        super().__init__(
            f"inputs has {samples:,} samples in {features:,} columns: their covariance has rank {rank:,}, and a "
            f"sampler of it never leaves the span of these samples. Use more samples, or fewer directions."
        )
