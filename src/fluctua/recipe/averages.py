r"""Averages of the weights along a run: one more component beside the optimiser's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array, Ints
from .._results import Brief
from .._validate.arguments import stands_for
from .._validate.plain import Header, JsonObject
from .._validate.values import positive_int, real_number, shown, step_numbers
from ..errors import InvalidInput
from .sgd import Recipe

__all__ = ["EMA", "Average", "RunningAverage", "read_average"]

Every = int | Literal["epoch"]


class _Updated(Brief, ABC):
    """What every average shares: the steps that update it. After these W enters; between them the average rests.

    Updates come after every `every`-th step of the run, but for those up to `left_out`: after t steps the average has
    been updated floor(t / every) - floor(left_out / every) times.
    """

    every: Every

    def _hold_every(self) -> None:
        if isinstance(self.every, str) and self.every != "epoch":
            raise InvalidInput(f"every must be a whole number of steps, or 'epoch', got {shown(self.every)}.")
        if not isinstance(self.every, str):
            object.__setattr__(self, "every", positive_int("every", self.every))

    @property
    @abstractmethod
    def left_out(self) -> int:
        """Steps before the first that may count."""

    @abstractmethod
    def _share(self, number: Ints) -> Array:
        """The share of W in an update, by its number, from 2 on."""

    @property
    def period(self) -> int:
        """Steps from one update to the next."""
        if isinstance(self.every, str):
            raise InvalidInput(
                f"an average of every={self.every!r} knows its steps once the data are known: use .in_steps(sgd, "
                f"samples), or every as a number of steps."
            )
        return self.every

    @property
    def first_update(self) -> int:
        """Steps after which the average is updated for the first time, and copies W."""
        return (self.left_out // self.period + 1) * self.period

    def in_steps(self, sgd: Recipe, samples: int) -> Self:
        """Return the same average with `every` in steps.

        Parameters
        ----------
        sgd : SGD
            The recipe.
        samples : int
            Size of the data set, N. An epoch has N/b steps, rounded up unless the recipe has `drop_last`, also where
            batches are independent.

        Returns
        -------
        EMA or RunningAverage
            The average itself where `every` is a number.

        Raises
        ------
        InvalidInput
            For every="epoch", if a batch of an epoch is larger than the data set.
        """
        return replace(self, every=_epoch_steps(sgd, samples)) if self.every == "epoch" else self  # type: ignore[type-var]

    def weights(self, steps: ArrayLike) -> Array:
        """Return the share of W in the average after each of `steps`.

        Parameters
        ----------
        steps : array_like of int
            Counted from 0.

        Returns
        -------
        ndarray
            One share per step, in the shape of `steps`: 1 up to the first update, which copies W, and before which the
            weights themselves are seen; 0 where the average is not updated.

        Raises
        ------
        InvalidInput
            For steps that are not whole numbers from 0 up, and for every="epoch" (see `in_steps`).
        """
        done, every = step_numbers("steps", steps) + 1, self.period
        number = np.maximum(done // every - self.left_out // every, 1)
        later = np.where(done % every == 0, self._share(number), 0.0)
        return np.where(done <= self.first_update, 1.0, later)

    def refuse_beyond(self, steps: int) -> None:
        """Raise `InvalidInput` where the run ends before anything is averaged.

        Parameters
        ----------
        steps : int
            Length of the run.

        Raises
        ------
        InvalidInput
            If the first update would come after the end.
        """
        if not 0 < positive_int("steps", steps, minimum=0) < self.first_update:
            return
        if self.period == 1:
            raise InvalidInput(
                f"the average starts after {self.left_out} steps and the run has {steps}: nothing would be averaged. "
                f"Use a start below {steps}."
            )
        begun = f" and starts after {self.left_out}" if self.left_out else ""
        raise InvalidInput(
            f"the average is updated every {self.every} steps{begun}, for the first time after {self.first_update}, "
            f"and the run has {steps}: nothing would be averaged. Use an earlier start, a smaller every or a longer "
            f"run."
        )

    def to_dict(self) -> JsonObject:
        """Return the average as plain JSON types."""
        return {"name": type(self).__name__, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True, repr=False)
class EMA(_Updated):
    r"""Exponential moving average of the weights, as `torch.optim.swa_utils.AveragedModel` keeps it.

    ``w = decay w + (1 - decay) W`` (F13), after every step or after every `every`-th; the first update copies W. Its
    stationary fluctuation is that of W through a low-pass filter: much smaller in steep modes, almost unchanged in
    modes that relax more slowly than the average forgets, after every/(1 - decay) steps.

    Parameters
    ----------
    decay : float
        What the average keeps of itself in an update, 0 <= decay < 1.
    every : int or "epoch"
        Steps from one update to the next: `update_parameters` is called after `every`, 2 `every`, ... steps, or at the
        end of every epoch. Between them the average rests. Before the first update it is the weights.

    Raises
    ------
    InvalidInput
        For a decay outside that range, and for an `every` below 1.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem, sgd = fl.LeastSquares(data.inputs, data.targets), fl.SGD(lr=0.05, batch_size=8)
    >>> for average in (None, fl.EMA(0.9), fl.EMA(0.99), fl.EMA(0.9, every=10)):
    ...     print(f"{fl.predict(problem, sgd, average=average).excess_loss:.7f}")
    0.0093549
    0.0029470
    0.0011873
    0.0014849
    """

    decay: float
    every: Every = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "decay", real_number("decay", self.decay, minimum=0.0, below=1.0))
        self._hold_every()

    @property
    def left_out(self) -> int:
        """Steps before the first that may count: none."""
        return 0

    def _share(self, number: Ints) -> Array:
        return np.full(number.shape, 1 - self.decay)

    @property
    def words(self) -> str:
        """What is looked at, in words."""
        rhythm = "" if self.every == 1 else " every epoch" if self.every == "epoch" else f" every {self.every:,} steps"
        return f"averaged with decay {self.decay:g}{rhythm}"


@dataclass(frozen=True, repr=False)
class RunningAverage(_Updated):
    r"""Mean of the weights after the steps since `start`, as `torch.optim.swa_utils.AveragedModel` keeps it.

    (W_{start+1} + ... + W_t)/(t - start), F13: the Polyak-Ruppert average with start = 0, otherwise a tail average.
    With `every` = k the mean is over W after those of these steps that are multiples of k: stochastic weight averaging
    as it is usually done, k an epoch. Until the first of them nothing is averaged and the weights themselves are seen;
    between them the average rests. It converges to W*, in shuffled epochs to E W, so its stationary fluctuation is
    zero; how fast, `Prediction.after` and `learning_curve` tell.

    Parameters
    ----------
    start : int
        Steps left out, at least 0 and fewer than the run has. Torch's usual loop, which calls `update_parameters` at
        the end of each epoch from number `swa_start` on, counted from 0, has start = swa_start x steps of an epoch.
    every : int or "epoch"
        `update_parameters` is called after those numbers of steps above `start` that are multiples of `every`, or at
        the end of every epoch that ends after more than `start` steps.

    Raises
    ------
    InvalidInput
        For a start that is not a whole number from 0 up, and for an `every` below 1.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem, sgd = fl.LeastSquares(data.inputs, data.targets), fl.SGD(lr=0.05, batch_size=8)
    >>> for average in (None, fl.RunningAverage(), fl.RunningAverage(2000), fl.RunningAverage(2000, every="epoch")):
    ...     late = fl.predict(problem, sgd, average=average).after(4000, start="zero", rtol=1e-3)
    ...     print(f"{late.excess_loss:.6f}")
    0.011698
    0.004999
    0.003000
    0.003949
    """

    start: int = 0
    every: Every = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", positive_int("start", self.start, minimum=0))
        self._hold_every()

    @property
    def left_out(self) -> int:
        """Steps before the first that may count: `start`."""
        return self.start

    def _share(self, number: Ints) -> Array:
        return np.asarray(1 / number)

    @property
    def words(self) -> str:
        """What is looked at, in words."""
        steps = "all steps" if self.every == 1 else "the ends of all epochs" if self.every == "epoch" else None
        steps = steps or f"one step in {self.every:,}"
        return f"averaged over {steps} after {self.start:,}" if self.start else f"averaged over {steps}"


Average = EMA | RunningAverage


def _epoch_steps(sgd: Recipe, samples: int) -> int:
    return len(sgd.batch_sizes(samples)) if sgd.epochs else -(-samples // sgd.batch_size)


def read_average(given: Header) -> Average:
    """Return the average that `to_dict` described, by this version or by one before `every`."""
    options = dict(given)
    kinds: dict[str, type[Average]] = {"EMA": EMA, "RunningAverage": RunningAverage}
    return kinds[options.pop("name")](**options)


for _kind in (EMA, RunningAverage):
    stands_for("average", _kind, "fluctua.EMA(decay), fluctua.RunningAverage(start) or None")
