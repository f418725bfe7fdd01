"""The noun of the study: a sampler, in the words of diffusers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array
from ..._results import Brief, ByValue
from ..._validate.plain import Json, JsonObject
from ..._validate.values import choice, flag, positive_int, real_number
from ...errors import InvalidInput
from .asked import hold_linear, hold_steps, settings_of
from .best_grid import BestGrid
from .schedule import BETAS, SPACINGS, Betas, Grid, Spacing, given_betas, karras, named_betas, spaced, timesteps_of

if TYPE_CHECKING:
    from .gaussian import GaussianData

__all__ = ["DDIM", "SOLVERS", "Solver"]

Solver = Literal["ddim", "2m", "corrected"]
SOLVERS: tuple[Solver, ...] = ("ddim", "2m", "corrected")
_NAMES = {"ddim": "DDIM", "2m": "DPM-Solver++(2M)", "corrected": "corrected DDIM"}


@dataclass(frozen=True, eq=False, repr=False)
class DDIM(Brief, ByValue):
    """A sampler of a diffusion model: number of steps, noise, time grid and solver.

    Parameters
    ----------
    steps : int
        Number of steps, at most `train_steps`.
    eta : float
        Noise of a step: 0 is DDIM, 1 is DDPM with the variance of the posterior.
    spacing : str, sequence of int, or Grid
        The time grid: "leading" (multiples of train_steps // steps), "trailing" and "linspace", as diffusers has them;
        "karras", rho = 7 from the last training step down to sigma = 0.002; "predicted", the one that loses least of
        the data; or training steps, descending, or levels.
    betas : str or array_like, (T,)
        The schedule of training: "linear", "scaled_linear", "cosine" (squaredcos_cap_v2 in diffusers), or its betas.
    solver : str
        "ddim"; "2m" for DPM-Solver++(2M), without noise; "corrected" for DDIM with the variance that a step leaves out.
    train_steps : int
        T, the number of training steps; that of the betas where these are given.
    beta_start, beta_end : float
        Of the linear schedules.
    set_alpha_to_one : bool
        Whether the last step goes to the data themselves; otherwise it goes to the first training step.
    steps_offset : int
        Added to the training steps of "leading".
    clip_sample, thresholding : bool
        Refused where they are on: a clipped sampler is not linear.
    guidance_scale : float
        Refused unless it is 1: a guided sampler aims at another law than that of the data.

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
    spacing: Spacing | Sequence[int] | Grid = "leading"
    betas: Betas | ArrayLike = "linear"
    solver: Solver = "ddim"
    train_steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    set_alpha_to_one: bool = True
    steps_offset: int = 0
    clip_sample: InitVar[bool] = False
    thresholding: InitVar[bool] = False
    guidance_scale: InitVar[float] = 1.0

    def __post_init__(self, clip_sample: bool, thresholding: bool, guidance_scale: float) -> None:
        hold_linear(clip_sample, thresholding, guidance_scale)
        steps = positive_int("steps", self.steps)
        betas, train_steps = self._schedule()
        held: dict[str, Any] = {
            "steps": steps,
            "eta": real_number("eta", self.eta, minimum=0.0),
            "spacing": choice("spacing", self.spacing, SPACINGS) if isinstance(self.spacing, str) else self.spacing,
            "betas": betas,
            "solver": choice("solver", self.solver, SOLVERS),
            "train_steps": train_steps,
            "beta_start": real_number("beta_start", self.beta_start, above=0.0, below=1.0),
            "beta_end": real_number("beta_end", self.beta_end, above=0.0, below=1.0),
            "set_alpha_to_one": flag("set_alpha_to_one", self.set_alpha_to_one),
            "steps_offset": positive_int("steps_offset", self.steps_offset, minimum=0),
        }
        held["spacing"] = hold_steps(held["spacing"], steps, train_steps, held["steps_offset"])
        for name, value in held.items():
            object.__setattr__(self, name, value)
        if self.solver == "2m" and self.eta:
            raise InvalidInput(
                f"eta = {self.eta:g} has no place in solver='2m': DPM-Solver++(2M) is a solver of the probability "
                f"flow and adds no noise. Use eta=0, or solver='ddim'."
            )

    def _schedule(self) -> tuple[str | Array, int]:
        if isinstance(self.betas, str):
            return choice("betas", self.betas, BETAS), positive_int("train_steps", self.train_steps, minimum=2)
        betas = given_betas(self.betas)
        return betas, len(betas)

    @classmethod
    def of(cls, config: Mapping[str, Any], *, steps: int, eta: float = 0.0) -> Self:
        """Return the sampler that a scheduler of diffusers is, from its `config`.

        Parameters
        ----------
        config : mapping
            `scheduler.config` of a DDIMScheduler, a DDPMScheduler or a DPMSolverMultistepScheduler.
        steps : int
            As for `set_timesteps`.
        eta : float
            As for `step`; a DDPMScheduler's is 1.

        Returns
        -------
        DDIM
            With the solver "2m" of a DPMSolverMultistepScheduler of order 2.

        Raises
        ------
        InvalidInput
            For settings that are not covered, each with its name and the value that is.

        Examples
        --------
        >>> from fluctua.studies import diffusion
        >>> diffusion.DDIM.of({"clip_sample": False, "timestep_spacing": "trailing"}, steps=50)
        DDIM(steps=50, spacing='trailing')
        """
        return cls(steps=steps, eta=eta, **settings_of(config, steps))

    @cached_property
    def training_alpha_bars(self) -> Array:
        """Share of the data, alpha-bar, after each training step, (T,)."""
        betas = self.betas
        if isinstance(betas, str):
            betas = named_betas(betas, self.train_steps, self.beta_start, self.beta_end)
        return np.asarray(np.cumprod(1 - np.asarray(betas, np.float64)))

    @property
    def last(self) -> float:
        """Share of the data, alpha-bar, at the end: 1, or that of the first training step."""
        return 1.0 if self.set_alpha_to_one else float(self.training_alpha_bars[0])

    @property
    def words(self) -> str:
        """The sampler in a few words."""
        noise = "" if self.solver == "2m" else f", eta {self.eta:g}"
        grid, betas = (each if isinstance(each, str) else "given" for each in (self.spacing, self.betas))
        return f"{_NAMES[self.solver]}, {self.steps} steps{noise}, {grid} grid, {betas} betas"

    def to_dict(self) -> JsonObject:
        """Return the fields as plain JSON types."""
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self)}

    def grid(self, data: GaussianData | None = None) -> Grid:
        """Return the levels of the sampler; of the predicted spacing, those for the data.

        Parameters
        ----------
        data : GaussianData, optional
            What is sampled.

        Returns
        -------
        Grid
            With steps + 1 levels.

        Raises
        ------
        InvalidInput
            For the predicted spacing without data, and for levels that do not fall.
        NotConverged
            Where the predicted spacing was not found.
        """
        if isinstance(self.spacing, Grid):
            return self.spacing
        training = self.training_alpha_bars
        if self.spacing == "predicted":
            return self._best(data)
        if self.spacing == "karras":
            return spaced(karras(self.steps, _largest(training)), training, self.last)
        if isinstance(self.spacing, str):
            times = timesteps_of(self.spacing, self.steps, self.train_steps, self.steps_offset)
        else:
            times = np.asarray(self.spacing, np.int64)
        return Grid(np.append(training[times], self.last), np.append(times.astype(float), -1.0))

    def _best(self, data: GaussianData | None) -> Grid:
        if data is None:
            raise InvalidInput("the predicted spacing is the best one for data. Give the data: sampler.grid(data).")
        training, last = self.training_alpha_bars, self.last
        best = BestGrid.of(data, _largest(training), (1 - last) / last, self.eta)
        return spaced(1 / (1 + best.noise_to_signal(self.steps)[:-1]), training, last)


def _largest(training: Array) -> float:
    """The largest lambda of training, on which the continuous grids begin."""
    if training[-1] <= 0:
        raise InvalidInput(
            "the betas leave nothing of the data at the last training step, and a grid in log lambda has no beginning "
            "there. Use spacing='trailing', or betas whose alpha-bar ends above 0."
        )
    return float((1 - training[-1]) / training[-1])


def _plain(value: Any) -> Json:
    if isinstance(value, Grid):
        return {"alpha_bars": value.alpha_bars.tolist(), "timesteps": value.timesteps.tolist()}
    return value.tolist() if isinstance(value, np.ndarray) else list(value) if isinstance(value, tuple) else value
