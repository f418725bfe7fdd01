r"""Averages of the weights along a run: one more component beside the optimiser's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from .._validate.arguments import stands_for
from .._validate.plain import Header, JsonObject
from .._validate.values import positive_int, real_number, step_numbers
from ..errors import InvalidInput

__all__ = ["EMA", "Average", "RunningAverage", "read_average"]


@dataclass(frozen=True)
class EMA:
    r"""Exponential moving average of the weights, updated after every step, as `torch.optim.swa_utils` keeps it.

    ``w = decay w + (1 - decay) W`` (F13); the first update copies W. Its stationary fluctuation is that of W through a
    low-pass filter: much smaller in steep modes, almost unchanged in modes that relax more slowly than the average
    forgets, after 1/(1 - decay) steps.

    Parameters
    ----------
    decay : float
        What the average keeps of itself in a step, 0 <= decay < 1.

    Raises
    ------
    InvalidInput
        For a decay outside that range.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem, sgd = fl.LeastSquares(data.inputs, data.targets), fl.SGD(lr=0.05, batch_size=8)
    >>> for average in (None, fl.EMA(0.9), fl.EMA(0.99)):
    ...     print(f"{fl.predict(problem, sgd, average=average).excess_loss:.7f}")
    0.0093549
    0.0029470
    0.0011873
    """

    decay: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "decay", real_number("decay", self.decay, minimum=0.0, below=1.0))

    @property
    def words(self) -> str:
        """What is looked at, in words."""
        return f"averaged with decay {self.decay:g}"

    def weights(self, steps: ArrayLike) -> Array:
        """Return the share of W in the average's update after each of `steps`.

        Parameters
        ----------
        steps : array_like of int
            Counted from 0; the update after step 0 copies W.

        Returns
        -------
        ndarray
            One share per step, in the shape of `steps`.

        Raises
        ------
        InvalidInput
            For steps that are not whole numbers from 0 up.
        """
        return np.where(step_numbers("steps", steps) == 0, 1.0, 1 - self.decay)

    def refuse_beyond(self, steps: int) -> None:
        """Refuse nothing: any run is long enough.

        Parameters
        ----------
        steps : int
            Length of the run.
        """

    def to_dict(self) -> JsonObject:
        """Return the average as plain JSON types."""
        return {"name": "EMA", "decay": self.decay}


@dataclass(frozen=True)
class RunningAverage:
    r"""Mean of the weights after each step since `start`, as `torch.optim.swa_utils.AveragedModel` keeps it.

    (W_{start+1} + ... + W_t)/(t - start), F13: the Polyak-Ruppert average with start = 0, otherwise a tail average, or
    stochastic weight averaging. Until `start` nothing is averaged and the weights themselves are seen. It converges
    to W*, so its stationary fluctuation is zero; how fast, `Prediction.after` and `learning_curve` tell.

    Parameters
    ----------
    start : int
        Steps left out, at least 0 and fewer than the run has.

    Raises
    ------
    InvalidInput
        For a start that is not a whole number from 0 up.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem, sgd = fl.LeastSquares(data.inputs, data.targets), fl.SGD(lr=0.05, batch_size=8)
    >>> for average in (None, fl.RunningAverage(), fl.RunningAverage(start=2000)):
    ...     late = fl.predict(problem, sgd, average=average).after(4000, start="zero", rtol=1e-3)
    ...     print(f"{late.excess_loss:.6f}")
    0.011698
    0.004999
    0.003000
    """

    start: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", positive_int("start", self.start, minimum=0))

    @property
    def words(self) -> str:
        """What is looked at, in words."""
        return f"averaged over all steps after {self.start:,}" if self.start else "averaged over all steps"

    def weights(self, steps: ArrayLike) -> Array:
        """Return the share of W in the average's update after each of `steps`: 1 up to `start`, then 1/k at the k-th.

        Parameters
        ----------
        steps : array_like of int
            Counted from 0.

        Returns
        -------
        ndarray
            One share per step, in the shape of `steps`.

        Raises
        ------
        InvalidInput
            For steps that are not whole numbers from 0 up.
        """
        return np.asarray(1 / np.maximum(step_numbers("steps", steps) + 1 - self.start, 1))

    def refuse_beyond(self, steps: int) -> None:
        """Raise `InvalidInput` where the run ends before anything is averaged.

        Parameters
        ----------
        steps : int
            Length of the run.

        Raises
        ------
        InvalidInput
            If the run has at most `start` steps.
        """
        if 0 < positive_int("steps", steps, minimum=0) <= self.start:
            raise InvalidInput(
                f"the average starts after {self.start} steps and the run has {steps}: nothing would be averaged. "
                f"Use a start below {steps}."
            )

    def to_dict(self) -> JsonObject:
        """Return the average as plain JSON types."""
        return {"name": "RunningAverage", "start": self.start}


Average = EMA | RunningAverage


def read_average(given: Header) -> Average:
    """Return the average that `to_dict` described."""
    options = dict(given)
    kinds: dict[str, type[Average]] = {"EMA": EMA, "RunningAverage": RunningAverage}
    return kinds[options.pop("name")](**options)


for _kind in (EMA, RunningAverage):
    stands_for("average", _kind, "fluctua.EMA(decay), fluctua.RunningAverage(start) or None")
