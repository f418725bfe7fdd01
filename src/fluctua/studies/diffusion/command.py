"""fluctua study diffusion: the command line of the study."""

from __future__ import annotations

from typing import Any

import click

from ...verification.conclusion import StatementVerdict
from ..reading import READING
from ..study import Study
from .chosen import CHOSEN
from .schedule import BETAS, SPACINGS

__all__ = ["STUDY"]

_SOLVERS = ("ddim", "2m", "corrected")


def run(**options: Any) -> StatementVerdict:
    """Load the data, predict what the sampler makes of them, and sample where that is asked for."""
    from .on_data import sample_data  # noqa: PLC0415  (nothing heavy is imported for a list of studies)

    return sample_data(**options)


def _one_of(name: str, names: tuple[str, ...], said: str) -> click.Option:
    return click.Option([f"--{name}"], type=click.Choice(names), default=names[0], show_default=True, help=said)


_OPTIONS = (
    click.Argument(["data"], default="digits"),
    click.Option(["--steps"], type=int, default=20, show_default=True, help="Steps of the sampler."),
    click.Option(["--eta"], type=float, default=0.0, show_default=True, help="Noise of a step: 0 DDIM, 1 DDPM."),
    _one_of("spacing", SPACINGS, "The time grid, as in diffusers; predicted is the one that loses least of the data."),
    _one_of("betas", BETAS, "The schedule of training; cosine is squaredcos_cap_v2 of diffusers."),
    _one_of("solver", _SOLVERS, "DDIM, DPM-Solver++(2M), or DDIM with the variance that a step leaves out."),
    click.Option(["--verify"], is_flag=True, help="Sample, and hold the law against the samples."),
    click.Option(
        ["--samples"],
        type=int,
        help="How many, with --verify.  [default: 100,000; 5,000 with --score; 200 with --trained]",
    ),
    click.Option(["--accuracy"], type=float, help="Say how few steps lose no more than this share of the variance."),
    click.Option(["--raw"], is_flag=True, help="Leave the inputs as they are, instead of mapping them to [-1, 1]."),
    *CHOSEN,
    *READING,
)

STUDY = Study(
    "diffusion",
    "How many sampling steps, which noise, which time grid, and is the sampler's code right?",
    "Predict what a sampler of a diffusion model makes of data before anything is sampled: the variance that it keeps "
    "of every mode, the error of the mean, the Wasserstein distance. The data enter as a Gaussian of their mean and "
    "covariance, for which the best denoiser is linear and every step is known exactly.\n\nDATA is a data set of "
    "`fluctua data list`, or a file; one of inputs alone will do, save for --score mixture.",
    _OPTIONS,
    run,
    (
        "fluctua study diffusion digits --steps 20 --eta 0",
        "fluctua study diffusion digits --spacing predicted --solver 2m --verify",
        "fluctua study diffusion digits --accuracy 0.01",
        "fluctua study diffusion digits --score training",
        "fluctua study diffusion digits --components 16 --steps 10 --trained 1000",
    ),
    rows={
        "digits, 20 steps, eta 0": {"verify": True},
        "digits, 20 steps, eta 1": {"eta": 1.0, "verify": True},
        "digits, training set": {"score": "training"},
        "digits, trained": {"components": 16, "steps": 10, "trained": 1000, "samples": 400},
    },
    quick={"digits, 20 steps, eta 0": {"verify": True, "samples": 20_000}},
)
