"""diffusers' DDIMScheduler and DPMSolverMultistepScheduler, fed the exact linear noise, against fluctua's own chains.

The steps are diffusers' from end to end; the data are the digits, as a Gaussian. Starts and noises are the same, so
that samples must agree one by one. diffusers keeps alpha-bar, and DPM-Solver++ computes, in single precision: as they
are they agree to 1e-5, and with their schedule, and the sample between two steps, in double precision to 1e-12.

    python validation/diffusers_samplers.py [--samples 200] [--wrong-by 0]

Prints the largest differences; exit code 1 unless all agree. --wrong-by spoils fluctua's eta, or its grid for
DPM-Solver++. Needs diffusers and torch.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

import fluctua as fl
from fluctua.studies import diffusion

SINGLE, DOUBLE = 1e-5, 1e-12
SPACINGS = {"leading": (10, 20), "trailing": (10, 20)}
ETAS = 0.0, 0.5, 1.0
SOLVED = {"linspace": 20, "trailing": 10, "leading": 20}


def digits() -> diffusion.GaussianData:
    """The digits between -1 and 1."""
    return diffusion.GaussianData.of(fl.load("digits").inputs, scale=(-1, 1))


def ddim(spacing: str, steps: int, eta: float, double: bool) -> tuple[Any, Callable[..., Any]]:
    """Return the scheduler's configuration and its step."""
    scheduler = DDIMScheduler(timestep_spacing=spacing, clip_sample=False)
    if double:
        exact = diffusion.DDIM().training_alpha_bars
        scheduler.alphas_cumprod = torch.tensor(exact)
        scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    scheduler.set_timesteps(steps)

    def step(x, eps, t, t_prev, rng):
        noise = torch.tensor(rng.standard_normal(x.shape)) if eta and t_prev >= 0 else torch.zeros(x.shape)
        return scheduler.step(torch.tensor(eps), t, torch.tensor(x), eta=eta, variance_noise=noise).prev_sample

    return scheduler.config, step


def solver(spacing: str, steps: int, double: bool) -> tuple[Any, Callable[..., Any]]:
    """Return the configuration of DPM-Solver++(2M) and its step; in double precision around its rounding."""
    scheduler = DPMSolverMultistepScheduler(timestep_spacing=spacing)

    def step(x, eps, t, t_prev, rng):  # noqa: ARG001  (it draws nothing)
        if scheduler.step_index is None or scheduler.step_index == steps:
            scheduler.set_timesteps(steps)
            if double:
                levels = diffusion.DDIM.of(scheduler.config, steps=steps).grid().alpha_bars
                scheduler.sigmas = torch.tensor(np.sqrt((1 - levels) / levels))
        kind = torch.float64 if double else torch.float32
        eps, x = torch.tensor(eps, dtype=kind), torch.tensor(x, dtype=kind)
        if not double:
            return scheduler.step(eps, t, x).prev_sample
        return in_double(scheduler, eps, t, x)

    return scheduler.config, step


def in_double(scheduler: DPMSolverMultistepScheduler, eps: Any, t: int, x: Any) -> Any:
    """The scheduler's `step`, whose sample it would round to single precision."""
    if scheduler.step_index is None:
        scheduler._init_step_index(t)
    guess = scheduler.convert_model_output(eps, sample=x)
    scheduler.model_outputs = [scheduler.model_outputs[1], guess]
    if scheduler.lower_order_nums < 1 or scheduler.step_index == len(scheduler.timesteps) - 1:
        moved = scheduler.dpm_solver_first_order_update(guess, sample=x)
    else:
        moved = scheduler.multistep_dpm_solver_second_order_update(scheduler.model_outputs, sample=x)
    scheduler.lower_order_nums = min(scheduler.lower_order_nums + 1, 2)
    scheduler._step_index += 1
    return moved


def difference(config: Any, step: Callable[..., Any], steps: int, eta: float, samples: int, off: float = 0.0) -> float:
    """The largest difference between diffusers' samples and fluctua's."""
    data, sampler = digits(), diffusion.DDIM.of(config, steps=steps, eta=eta)
    theirs = fl.simulate(data, sampler, samples=samples, rng=0, step=step).samples
    if off and sampler.solver == "2m":
        grid = sampler.grid()
        moved = diffusion.Grid(np.append(grid.alpha_bars[:-1] * (1 - off), 1.0), grid.timesteps)
        sampler = diffusion.DDIM(steps=steps, spacing=moved, solver="2m")
    elif off:
        sampler = diffusion.DDIM.of(config, steps=steps, eta=eta + off)
    return float(np.abs(fl.simulate(data, sampler, samples=samples, rng=0).samples - theirs).max())


def differences(samples: int, off: float = 0.0) -> dict[str, tuple[float, float]]:
    """Return the largest difference of every scheduler, and the most that is allowed."""
    found = {}
    for double, allowed in ((False, SINGLE), (True, DOUBLE)):
        kind = "double" if double else "single"
        for spacing, each in SPACINGS.items():
            for steps, eta in ((steps, eta) for steps in each for eta in ETAS):
                config, step = ddim(spacing, steps, eta, double)
                name = f"DDIM, {spacing}, {steps} steps, eta {eta:g}, {kind}"
                found[name] = difference(config, step, steps, eta, samples, off), allowed
        for spacing, steps in SOLVED.items():
            config, step = solver(spacing, steps, double)
            name = f"DPM-Solver++(2M), {spacing}, {steps} steps, {kind}"
            found[name] = difference(config, step, steps, 0.0, samples, off), allowed
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--wrong-by", type=float, default=0.0, help="spoil fluctua's side, to see it noticed")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    agree = True
    for name, (off, allowed) in differences(options.samples, options.wrong_by).items():
        agree &= off <= allowed
        print(f"{name:<52} {off:.1e}  {'agrees' if off <= allowed else 'DISAGREES'} to {allowed:g}")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
