r"""Averages of the weights along a run: one more component beside the optimiser's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._validate import positive_int, real_number
from .errors import InvalidInput
from .kernels import Kernel

__all__ = ["EMA", "Average", "RunningAverage", "beside", "read_average"]

Array = NDArray[np.float64]

_APART = 1e-5  # closer, the two components cancel to eps/_APART^2


@dataclass(frozen=True)
class EMA:
    r"""Exponential moving average of the weights, updated after every step, as `torch.optim.swa_utils` keeps it.

    ``w = decay w + (1 - decay) W``; the first update copies W. Its stationary fluctuation is that of W seen through a
    low-pass filter: much smaller in steep modes, almost unchanged in modes that relax more slowly than the average
    forgets, after 1/(1 - decay) steps.

    Parameters
    ----------
    decay : float
        0 <= decay < 1.

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
        """Share of W in its update after each of `steps`, counted from 0."""
        return np.where(np.asarray(steps) == 0, 1.0, 1 - self.decay)

    def refuse_beyond(self, steps: int) -> None:
        """Any run is long enough."""

    def to_dict(self) -> dict[str, Any]:
        """Return the average as plain JSON types."""
        return {"name": "EMA", "decay": self.decay}


@dataclass(frozen=True)
class RunningAverage:
    r"""Mean of the weights after each step since `start`, as `torch.optim.swa_utils.AveragedModel` keeps it.

    (W_{start+1} + ... + W_t)/(t - start): the Polyak-Ruppert average with start = 0, otherwise a tail average, or
    stochastic weight averaging. Until `start` nothing is averaged and the weights themselves are seen. It converges
    to W*, so its stationary fluctuation is zero; how fast, `Prediction.after` and `learning_curve` tell.

    Parameters
    ----------
    start : int
        Steps left out, at least 0 and fewer than the run has.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem, sgd = fl.LeastSquares(data.inputs, data.targets), fl.SGD(lr=0.05, batch_size=8)
    >>> for average in (None, fl.RunningAverage(), fl.RunningAverage(start=2000)):
    ...     print(f"{fl.predict(problem, sgd, average=average).after(4000, start='zero').excess_loss:.6f}")
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
        """Share of W in its update after each of `steps`, counted from 0."""
        return np.asarray(1 / np.maximum(np.asarray(steps) + 1 - self.start, 1))

    def refuse_beyond(self, steps: int) -> None:
        """Raise `InvalidInput` where the run ends before anything is averaged."""
        if 0 < steps <= self.start:
            raise InvalidInput(
                f"the average starts after {self.start} steps and the run has {steps}: nothing would be averaged. "
                f"Use a start below {steps}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the average as plain JSON types."""
        return {"name": "RunningAverage", "start": self.start}


Average = EMA | RunningAverage


def read_average(given: Mapping[str, Any]) -> Average:
    """Return the average that `to_dict` described."""
    options = dict(given)
    kinds: dict[str, type[Average]] = {"EMA": EMA, "RunningAverage": RunningAverage}
    return kinds[options.pop("name")](**options)


def beside(kernel: Kernel, average: EMA) -> Kernel:
    r"""Return the kernel that follows V and its average together.

    With y = 1 - decay, the average w' = (1 - y) w + y V' of components s' = (1 - x) s + f n is sum g s + a, where
    g = y (1 - x)/(y - x) and a' = (1 - y) a - y (1 - y) sum f/(y - x) n. A mode in which x is within 1e-5 of y,
    relative, has its y held apart, at a relative error of that size in this mode: a heuristic.

    Raises
    ------
    InvalidInput
        For a flow in continuous time, which has no steps to average over.
    """
    if kernel.continuous:
        raise InvalidInput("an average over steps is not defined in continuous time: use theory='exact' or 'discrete'.")
    x = kernel.rate.reshape(kernel.components, kernel.modes)
    f = np.full_like(x, kernel.lr) if kernel.drive is None else kernel.drive.reshape(x.shape)
    y = np.full(kernel.modes, 1 - average.decay)
    y = np.where((np.abs(x - y) < _APART * y).any(axis=0), y * (1 + 2 * _APART), y)
    entered, driven = kernel.opened
    # the first update copies W: a(1) = V(1) - sum g s(1), and 1 - g = -x (1 - y)/(y - x)
    lag = -x * (1 - y) / (y - x)
    opening = [np.vstack([part.reshape(x.shape), (lag * part.reshape(x.shape)).sum(axis=0)]).ravel()
               for part in (entered, f if driven is None else driven)]  # fmt: skip
    return replace(
        kernel, components=kernel.components + 1, entry=None, opening=(opening[0], opening[1]), beside=1,
        rate=np.vstack([x, y]).ravel(), drive=np.vstack([f, -y * (1 - y) * (f / (y - x)).sum(axis=0)]).ravel(),
        observed=np.vstack([y * (1 - x) / (y - x), np.ones_like(y)]).ravel(),
    )  # fmt: skip
