"""The noun of the study: a sampler, in the words of diffusers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from ..._arrays import Array
from ..._results import Brief, ByValue
from ..._validate.values import choice, flag, positive_int, real_array, real_number
from ...errors import InvalidInput
from .schedule import BETAS, SPACINGS, Betas, Grid, Spacing, given_betas, karras, named_betas, spaced, timesteps_of

if TYPE_CHECKING:
    from .gaussian import GaussianData

__all__ = ["DDIM", "SOLVERS", "Solver"]

Solver = Literal["ddim", "2m", "corrected"]
SOLVERS: tuple[Solver, ...] = ("ddim", "2m", "corrected")


@dataclass(frozen=True, eq=False, repr=False)
class DDIM(Brief, ByValue):
    """A sampler of a diffusion model: number of steps, noise, time grid and solver.

    Parameters
    ----------
    steps : int
        Number of steps, at most `train_steps`.
    eta : float
        Noise of a step: 0 is DDIM, 1 is DDPM with the posterior's variance.
    spacing : str or sequence of int
        The time grid: "leading" (multiples of train_steps // steps), "trailing", "linspace", as diffusers has them;
        "karras" (rho = 7 down to sigma = 0.002); "predicted", the best one for the data; or training steps, descending.
    betas : str or array_like, (T,)
        The schedule of training: "linear", "scaled_linear", "cosine" (diffusers' squaredcos_cap_v2), or the betas.
    solver : str
        "ddim", "2m" for DPM-Solver++(2M), or "corrected" for DDIM with the variance that a step omits.
    train_steps : int
        T, the number of training steps.
    beta_start, beta_end : float
        Of the linear schedules.
    set_alpha_to_one : bool
        Whether the last step goes to the data themselves; otherwise it goes to the first training step.

    Raises
    ------
    InvalidInput
        For values out of range, with the reason.

    Examples
    --------
    >>> from fluctua.studies import diffusion
    >>> diffusion.DDIM(steps=5).grid().timesteps.tolist()
    [800.0, 600.0, 400.0, 200.0, 0.0, -1.0]
    """

    steps: int = 20
    eta: float = 0.0
    spacing: Spacing | Sequence[int] = "leading"
    betas: Betas | Sequence[float] | Array = "linear"
    solver: Solver = "ddim"
    train_steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    set_alpha_to_one: bool = True

    def __post_init__(self) -> None:
        held: dict[str, Any] = {
            "eta": real_number("eta", self.eta, minimum=0.0),
            "solver": choice("solver", self.solver, SOLVERS),
            "set_alpha_to_one": flag("set_alpha_to_one", self.set_alpha_to_one),
            "beta_start": real_number("beta_start", self.beta_start, above=0.0, below=1.0),
            "beta_end": real_number("beta_end", self.beta_end, above=0.0, below=1.0),
        }
        if isinstance(self.betas, str):
            held["betas"] = choice("betas", self.betas, BETAS)
            held["train_steps"] = positive_int("train_steps", self.train_steps)
        else:
            held["betas"] = given_betas(self.betas)
            held["train_steps"] = len(held["betas"])
        held["steps"] = positive_int("steps", self.steps)
        if isinstance(self.spacing, str):
            held["spacing"] = choice("spacing", self.spacing, SPACINGS)
        for name, value in held.items():
            object.__setattr__(self, name, value)

    @cached_property
    def training_alpha_bars(self) -> Array:
        """alpha-bar after each training step, (T,)."""
        betas = self.betas
        if isinstance(betas, str):
            betas = named_betas(cast("Betas", betas), self.train_steps, self.beta_start, self.beta_end)
        return np.cumprod(1 - np.asarray(betas))

    @property
    def last(self) -> float:
        """alpha-bar at the end: 1, or that of the first training step."""
        return 1.0 if self.set_alpha_to_one else float(self.training_alpha_bars[0])

    def grid(self, data: GaussianData | None = None) -> Grid:
        """Return the levels of the sampler; of the predicted spacing, those for the data.

        Parameters
        ----------
        data : GaussianData, optional
            What is sampled.

        Returns
        -------
        Grid
            steps + 1 levels.

        Raises
        ------
        InvalidInput
            For the predicted spacing without data.
        """
        training = self.training_alpha_bars
        if self.spacing == "predicted":
            raise InvalidInput("the predicted spacing is the best one for data. Give the data: sampler.grid(data).")
        if self.spacing == "karras":
            return spaced(karras(self.steps, (1 - training[-1]) / training[-1]), training, self.last)
        times = timesteps_of(cast("str", self.spacing), self.steps, self.train_steps)
        return Grid(np.append(training[times.astype(int)], self.last), np.append(times, -1.0))
