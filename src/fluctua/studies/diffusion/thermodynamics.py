r"""Noising as an approach to equilibrium, and what its reversal costs (F146 to F148).

A mode of variance s and mean mu has at the level alpha-bar = q the variance v = q s + 1 - q and the mean sqrt(q) mu.
With -d log q the time, the noising produces entropy at the rate ((1 - v)^2/v + q mu^2)/2 per mode, in nats. Its
integral is what the relative entropy to white noise falls by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..._arrays import Array
from ..._results import ByValue, Tables, Tabular, clipped
from ..._tables import Columns
from ..._validate.values import instance, real_number
from ...errors import InvalidInput
from .gaussian import GaussianData
from .prediction import predict_gaussian
from .sampler import DDIM
from .steps import Steps, steps_of

__all__ = ["Thermodynamics"]


@dataclass(frozen=True, eq=False, repr=False)
class Thermodynamics(ByValue, Tabular):
    """Entropy production of noising and of sampling, in nats, in the modes that have data.

    Parameters
    ----------
    data : GaussianData
        What is sampled; directions without variance are left out, along which relative entropies are infinite.
    sampler : DDIM
        Its first level is where noising ends; its steps are held against those of the reverse process.
    floor : float
        Variance of a mode below which it is left out, too.

    Raises
    ------
    InvalidInput
        For arguments of other types, for a sampler with another solver than "ddim", and where no mode is left.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> digits = diffusion.GaussianData.of(fl.load("digits").inputs, scale=(-1, 1))
    >>> cost = diffusion.Thermodynamics(digits, diffusion.DDIM(steps=10, eta=1.0, spacing="trailing"))
    >>> print(f"{cost.noising:.4f} nats")
    88.8207 nats
    """

    data: GaussianData
    sampler: DDIM
    floor: float = 0.0

    def __post_init__(self) -> None:
        instance("data", self.data, GaussianData, "a fluctua.studies.diffusion.GaussianData")
        instance("sampler", self.sampler, DDIM, "a fluctua.studies.diffusion.DDIM(steps=..., eta=...)")
        object.__setattr__(self, "floor", real_number("floor", self.floor, minimum=0.0))
        if self.sampler.solver != "ddim":
            raise InvalidInput(
                f"solver={self.sampler.solver!r} is not covered: path entropies are those of solver='ddim', whose "
                f"steps have the mean of the reverse process and less variance. Use solver='ddim'."
            )
        if not self._alive.any():
            raise InvalidInput(
                f"no mode has a variance above floor = {self.floor:g}; the largest is {self.data.variances[0]:.4g}. "
                f"Use a smaller floor."
            )

    @cached_property
    def _alive(self) -> Array:
        return np.asarray(self.data.variances > self.floor)

    @cached_property
    def _modes(self) -> tuple[Array, Array]:
        """Variances and squared means of the modes that count."""
        return self.data.variances[self._alive], self.data.mode_mean[self._alive] ** 2

    @cached_property
    def _levels(self) -> Array:
        return self.sampler.grid(self.data).alpha_bars

    @cached_property
    def _steps(self) -> Steps:
        return steps_of(self.sampler.grid(self.data), self.sampler.eta)

    def relative_entropy(self, alpha_bar: float) -> float:
        """Return the relative entropy of the noisy data at a level to white noise.

        Parameters
        ----------
        alpha_bar : float
            From 0, white noise, to 1, the data.

        Returns
        -------
        float
            In nats.

        Raises
        ------
        InvalidInput
            For a level out of range.
        """
        level = real_number("alpha_bar", alpha_bar, minimum=0.0, maximum=1.0)
        (s, square), v = self._modes, self._marginal(level)
        return float(0.5 * np.sum(level * (s - 1) - np.log(v) + level * square))

    def rate(self, alpha_bar: float) -> float:
        """Return the entropy production of noising per unit of -log(alpha-bar), the integral of beta over time (F146).

        Parameters
        ----------
        alpha_bar : float
            Level.

        Returns
        -------
        float
            In nats.

        Raises
        ------
        InvalidInput
            For a level out of range.
        """
        level = real_number("alpha_bar", alpha_bar, minimum=0.0, maximum=1.0)
        (s, square), v = self._modes, self._marginal(level)
        return float(0.5 * np.sum((level * (1 - s)) ** 2 / v + level * square))

    @property
    def noising(self) -> float:
        """Entropy that noising produces from the data to the first level of the sampler (F146)."""
        return self.relative_entropy(1.0) - self.relative_entropy(float(self._levels[0]))

    @property
    def sampling(self) -> float:
        """Entropy that the reverse process of noise eta produces: 1/eta^2 times as much; infinite without noise (F147).

        Its current is the same and its bath is weaker. DDIM, eta = 0, has none.
        """
        return float(np.divide(self.noising, self.sampler.eta**2)) if self.sampler.eta else float("inf")

    @cached_property
    def path_kl(self) -> Array:
        """Relative entropy of sampled paths to those of the reverse process, up to each level, (n + 1,) (F148).

        It begins with that of white noise to the first level. A step without noise, as the last one is, makes it
        infinite.
        """
        s, square = self._modes
        v = self._marginal(float(self._levels[0]))
        first = 0.5 * np.sum(1 / v - 1 + np.log(v) + self._levels[0] * square / v)
        noise = self._steps.noise[:, None] ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = noise / (noise + self._steps.omitted(s))
            each = 0.5 * (ratio - 1 - np.log(ratio)).sum(axis=1)
        return np.asarray(np.cumsum(np.concatenate([[first], np.where(noise[:, 0] > 0, each, np.inf)])))

    @cached_property
    def marginal_kl(self) -> Array:
        """Relative entropy of the samples to the noisy data of each level, (n + 1,): never above `path_kl`."""
        found = predict_gaussian(self.data, self.sampler)
        out = np.empty(len(self._levels))
        for k, level in enumerate(self._levels):
            at, v = found.after(k), self._marginal(float(level))
            ratio, error = at.mode_variances[self._alive] / v, at.mode_mean_error[self._alive]
            with np.errstate(divide="ignore"):
                out[k] = 0.5 * np.sum(ratio - 1 - np.log(np.maximum(ratio, 0.0)) + error**2 / v)
        return out

    def _marginal(self, level: float) -> Array:
        return np.asarray(level * self._modes[0] + 1 - level)

    def _tables(self) -> Tables:
        return {"levels": self._by_level}

    def _by_level(self) -> Columns:
        return {
            "step": range(len(self._levels)),
            "alpha_bar": self._levels,
            "relative_entropy": [self.relative_entropy(float(level)) for level in self._levels],
            "path_kl": self.path_kl,
            "marginal_kl": self.marginal_kl,
        }

    @property
    def _attributes(self) -> Mapping[str, Any]:
        return {"noising": self.noising, "sampling": self.sampling}

    def __repr__(self) -> str:
        return clipped(f"Thermodynamics(noising {self.noising:.4f} nats, sampling {self.sampling:.4f})")
