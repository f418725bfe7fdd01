"""The study on a data set: its Gaussian, the sampler, the verdict, and what a plan would do instead."""

from __future__ import annotations

from dataclasses import replace
from shlex import quote
from typing import Any

from ..._validate.values import real_number
from ...data import load
from ...verification.conclusion import StatementVerdict
from ..reading import reading_words
from .budget import plan, plan_words
from .gaussian import GaussianData
from .sampler import DDIM, Solver
from .schedule import Betas, Spacing
from .theory_alone import examine
from .trial import verify_gaussian

__all__ = ["sample_data"]

_USUAL = {"steps": 20, "eta": 0.0, "spacing": "leading", "betas": "linear", "solver": "ddim"}
_SAMPLES = 100_000


def sample_data(
    *,
    data: str = "digits",
    steps: int = 20,
    eta: float = 0.0,
    spacing: Spacing = "leading",
    betas: Betas = "linear",
    solver: Solver = "ddim",
    verify: bool = False,
    samples: int = _SAMPLES,
    accuracy: float | None = None,
    raw: bool = False,
    inputs_key: str | None = None,
    targets_key: str | None = None,
    data_dir: str | None = None,
    progress: Any = None,
    **common: Any,
) -> StatementVerdict:
    """Load the data, predict what the sampler makes of them, and sample where that is asked for."""
    sampler = DDIM(steps=steps, eta=eta, spacing=spacing, betas=betas, solver=solver)
    wanted = None if accuracy is None else real_number("accuracy", accuracy, above=0.0, below=1.0)
    loaded = load(data, inputs_key=inputs_key, targets_key=targets_key, data_dir=data_dir)
    gauss = GaussianData.of(loaded.inputs, scale=None if raw else (-1, 1))
    asked = dict(zip(_USUAL, (steps, eta, spacing, betas, solver), strict=True))
    given = "".join(f" --{name} {value}" for name, value in asked.items() if value != _USUAL[name])
    words = f"diffusion {quote(data)}{reading_words(inputs_key, targets_key)}{given}{' --raw' * raw}"
    words += f" --accuracy {accuracy:g}" if accuracy is not None else ""
    if verify:
        said = {"command": f"{words} --verify --samples {samples}"}
        verdict = verify_gaussian(
            gauss, sampler, samples=samples, name=loaded.name, asked=said, progress=progress, **common
        )
    else:
        verdict = examine(gauss, sampler, name=loaded.name, asked={"command": words}, **common)
    if wanted is not None:
        told = plan_words(plan(gauss, accuracy=wanted, betas=betas))
        verdict = replace(verdict, facts={**verdict.facts, **told})
    return verdict.about(loaded.about)
