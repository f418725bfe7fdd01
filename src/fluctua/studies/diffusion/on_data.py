"""The study on a data set: its Gaussian, the sampler, the verdict, and what a plan would do instead."""

from __future__ import annotations

from dataclasses import replace
from shlex import quote
from typing import Any

from ..._validate.values import real_number
from ...data.unlabelled import load_inputs
from ...verification.conclusion import StatementVerdict
from ..reading import reading_words
from .budget import plan, plan_words
from .chosen import chosen_of, chosen_words, components_of, refuse_idle
from .gaussian import GaussianData
from .sampler import DDIM, Solver
from .schedule import Betas, Spacing
from .scores import scaled
from .theory_alone import examine
from .trial import verify_gaussian

__all__ = ["sample_data"]

_USUAL = {"steps": 20, "eta": 0.0, "spacing": "leading", "betas": "linear", "solver": "ddim"}


def sample_data(
    *,
    data: str = "digits",
    steps: int = 20,
    eta: float = 0.0,
    spacing: Spacing = "leading",
    betas: Betas = "linear",
    solver: Solver = "ddim",
    verify: bool = False,
    samples: int | None = None,
    accuracy: float | None = None,
    raw: bool = False,
    components: int | None = None,
    score: str | None = None,
    trained: int | None = None,
    lr: float = 0.1,
    batch_size: int = 8,
    targets: str | None = None,
    inputs_key: str | None = None,
    targets_key: str | None = None,
    data_dir: str | None = None,
    progress: Any = None,
    **common: Any,
) -> StatementVerdict:
    """Load the data, predict what the sampler makes of them, and sample where that is asked for."""
    sampler = DDIM(steps=steps, eta=eta, spacing=spacing, betas=betas, solver=solver)
    refuse_idle(samples, verify, score, trained, lr, batch_size)
    wanted = None if accuracy is None else real_number("accuracy", accuracy, above=0.0, below=1.0)
    loaded = load_inputs(data, targets=targets, inputs_key=inputs_key, targets_key=targets_key, data_dir=data_dir)
    scale = None if raw else (-1, 1)
    gauss = GaussianData.of(loaded.inputs, scale=scale)
    inputs, gauss = components_of(scaled("inputs", loaded.inputs, scale), gauss, components)
    denoiser = chosen_of(inputs, loaded.labels, score=score, trained=trained, lr=lr, batch_size=batch_size)
    asked = dict(zip(_USUAL, (steps, eta, spacing, betas, solver), strict=True))
    given = "".join(f" --{name} {value}" for name, value in asked.items() if value != _USUAL[name])
    words = f"diffusion {quote(data)}{reading_words(targets, inputs_key, targets_key)}{given}{' --raw' * raw}"
    words += chosen_words(score, trained, lr, batch_size, components)
    words += f" --accuracy {accuracy:g}" if accuracy is not None else ""
    told = {} if wanted is None else plan_words(plan(gauss, accuracy=wanted, betas=betas))
    if verify or denoiser is not None:
        said = {"command": f"{words}{' --verify' * verify}{'' if samples is None else f' --samples {samples}'}"}
        common |= {"samples": samples, "denoiser": denoiser, "progress": progress}
        verdict = verify_gaussian(gauss, sampler, name=loaded.name, asked=said, **common)
    else:
        verdict = examine(gauss, sampler, name=loaded.name, asked={"command": words}, **common)
    return replace(verdict, facts={**verdict.facts, **told}).about(loaded.about)
