r"""Averages of the weights along a run: one more component beside the optimiser's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._validate import positive_int, real_number, step_numbers
from .coupled import CoupledKernel
from .errors import InvalidInput
from .kernels import Kernel

__all__ = ["EMA", "Average", "RunningAverage", "beside", "read_average"]

Array = NDArray[np.float64]

_NEAR, _NEAR_CHAIN = 0.1, 0.5  # relative distance of rates, below which components, or a chain of them, are coupled


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
        return np.where(step_numbers("steps", steps) == 0, 1.0, 1 - self.decay)

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
        return np.asarray(1 / np.maximum(step_numbers("steps", steps) + 1 - self.start, 1))

    def refuse_beyond(self, steps: int) -> None:
        """Raise `InvalidInput` where the run ends before anything is averaged."""
        if 0 < positive_int("steps", steps, minimum=0) <= self.start:
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

    With y = 1 - decay, the average w' = (1 - y) w + y V' of V = sum v s, s' = T s + f n, is sum g s + a, where
    a' = (1 - y) a + c s + (y v - g) f n and c = (1 - y) g + (y v - g) T. For components of a rate x far from y,
    g = y (1 - x) v/(y - x) makes c zero; where x is near y, g = 0 and c couples the average to them
    (`fluctua.coupled`).

    Raises
    ------
    InvalidInput
        For a flow in continuous time, which has no steps to average over.
    """
    if kernel.continuous:
        raise InvalidInput("an average over steps is not defined in continuous time: use theory='exact' or 'discrete'.")
    shape = kernel.components, kernel.modes
    v = np.ones(shape) if kernel.weights is None else kernel.weights.reshape(shape)
    f = (np.full(len(kernel.rate), -kernel.lr) if kernel.drive is None else kernel.drive).reshape(shape)
    y, links = 1 - average.decay, kernel.coupling if isinstance(kernel, CoupledKernel) else None
    shares, coupled = _shares(kernel.rate.reshape(shape), v, y, links)
    entered, driven = kernel.opened
    # the first update copies W: a(1) = V(1) - sum g s(1)
    opening = [np.vstack([part, ((v - shares) * part).sum(axis=0)]).ravel()
               for part in (entered.reshape(shape), f if driven is None else driven.reshape(shape))]  # fmt: skip
    whole = {
        **vars(kernel), "components": shape[0] + 1, "entry": None, "opening": (opening[0], opening[1]),
        "rate": np.concatenate([kernel.rate, np.full(shape[1], y)]),
        "drive": np.vstack([f, ((y * v - shares) * f).sum(axis=0)]).ravel(),
        "observed": np.vstack([shares, np.ones(shape[1])]).ravel(),
        "weights": np.vstack([v, np.zeros(shape[1])]).ravel(),
    }  # fmt: skip
    if links is None and not coupled.any():
        return Kernel(**whole)
    coupling = np.pad(np.zeros((*shape[:1], *shape)) if links is None else links, ((0, 1), (0, 1), (0, 0)))
    coupling = coupling.astype(np.result_type(coupling, coupled))
    coupling[-1, :-1] = coupled
    return CoupledKernel(**{**whole, "coupling": coupling})


def _shares(x: Array, v: Array, y: float, links: Array | None) -> tuple[Array, Array]:
    """The vectors g and c of `beside`, (k, r): one of them is zero in each component."""
    near = np.abs(y - x) < _NEAR * y
    if links is not None:  # a chain is near as a whole
        near |= (np.abs(y - x) < _NEAR_CHAIN * y).any(axis=0) & links.any(axis=(0, 1))
    g, c = np.zeros(x.shape, np.result_type(x, v)), np.zeros(x.shape, np.result_type(x, v))
    for i in reversed(range(len(x))):
        fed = y * v[i] * (1 - x[i])
        if links is not None:
            fed = fed + ((y * v - g)[i + 1 :] * links[i + 1 :, i]).sum(axis=0)
        c[i], g[i] = np.where(near[i], fed, 0.0), np.where(near[i], 0.0, fed / np.where(near[i], 1.0, y - x[i]))
    return g, c
