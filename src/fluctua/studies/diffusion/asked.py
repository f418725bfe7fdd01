"""What may be asked of a sampler: settings that these laws do not cover are refused, each with what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._validate.plain import Keywords
from ..._validate.values import flag, instance, listed, positive_int, real_number, shown
from ...errors import InvalidInput
from .schedule import Grid

__all__ = ["hold_linear", "hold_steps", "settings_of"]

_BETAS = {"linear": "linear", "scaled_linear": "scaled_linear", "squaredcos_cap_v2": "cosine"}
_COVERED: Mapping[str, tuple[Any, ...]] = {
    "prediction_type": ("epsilon", "v_prediction", "sample"),
    "rescale_betas_zero_snr": (False,),
    "variance_type": ("fixed_small", "fixed_small_log", None),
    "algorithm_type": ("dpmsolver++",),
    "solver_type": ("midpoint",),
    "solver_order": (2,),
    "lower_order_final": (True,),
    "euler_at_final": (False,),
    "final_sigmas_type": ("zero",),
    "use_exponential_sigmas": (False, None),
    "use_beta_sigmas": (False, None),
    "use_flow_sigmas": (False, None),
    "use_lu_lambdas": (False, None),
    "lambda_min_clipped": (-np.inf,),
    "use_karras_sigmas": (False, None),
}
"""Settings of diffusers' schedulers, and the values that are covered; of another scheduler they are not there."""
_KEPT = ("set_alpha_to_one", "steps_offset", "beta_start", "beta_end", "clip_sample", "thresholding")


def hold_linear(clip_sample: object, thresholding: object, guidance_scale: object) -> None:
    """Refuse what makes a sampler nonlinear, or aims it elsewhere."""
    for name, value in (("clip_sample", clip_sample), ("thresholding", thresholding)):
        if flag(name, value):
            raise InvalidInput(
                f"{name}=True is not covered: a sampler that clips its guess of the data is not linear, and no law of "
                f"means and covariances closes. Set {name}=False in the scheduler; its default may be True."
            )
    if real_number("guidance_scale", guidance_scale) != 1:
        raise InvalidInput(
            f"guidance_scale = {guidance_scale:g} is not covered: a guided sampler aims at another law than that of "
            f"the data, and does not sample it either. Use guidance_scale=1."
        )


def hold_steps(spacing: Any, steps: int, train_steps: int, offset: int) -> Any:
    """Return the spacing, refused where a schedule of so many training steps has no such grid."""
    if isinstance(spacing, Grid):
        if spacing.steps != steps:
            raise InvalidInput(f"the grid has {spacing.steps} steps, and steps = {steps}. Give steps={spacing.steps}.")
        return spacing
    if steps > train_steps:
        raise InvalidInput(
            f"steps = {steps} is more than the {train_steps} training steps, between which there is no level. Use "
            f"steps <= {train_steps}."
        )
    if not isinstance(spacing, str):
        return _training_steps(spacing, steps, train_steps)
    if spacing == "leading" and train_steps % steps:
        low, high = (_divisor(steps, train_steps, way) for way in (-1, 1))
        raise InvalidInput(
            f"steps = {steps} does not divide the {train_steps} training steps, and spacing='leading' would begin at "
            f"{(steps - 1) * (train_steps // steps)} instead of near {train_steps}. Use {low} or {high} steps, or "
            f"spacing='trailing'."
        )
    if spacing == "leading" and offset >= train_steps // steps:
        raise InvalidInput(f"steps_offset = {offset} must be less than the stride {train_steps // steps} of the grid.")
    if offset and spacing != "leading":
        raise InvalidInput(f"steps_offset = {offset} is a shift of spacing='leading', not of {spacing!r}. Use 0.")
    return spacing


def _divisor(steps: int, train_steps: int, way: int) -> int:
    """The nearest number of steps that divides the training steps."""
    while train_steps % steps:
        steps += way
    return steps


def _training_steps(spacing: object, steps: int, train_steps: int) -> tuple[int, ...]:
    listed_steps = listed("spacing", spacing, "training steps, the largest first")
    times = tuple(positive_int("spacing", each, minimum=0, maximum=train_steps - 1) for each in listed_steps)
    if len(times) != steps:
        raise InvalidInput(f"spacing lists {len(times)} training steps, and steps = {steps}. Give steps={len(times)}.")
    if (np.diff(times) >= 0).any():
        raise InvalidInput(
            f"spacing = {shown(times)} must fall: a sampler goes from noise to data, from large training steps to "
            f"small ones. Sort them, the largest first, each once."
        )
    return times


def settings_of(config: object, steps: int) -> Keywords:
    """Return the keywords of a sampler that a scheduler's configuration means."""
    instance("config", config, Mapping, "the .config of a scheduler of diffusers")
    assert isinstance(config, Mapping)
    for name, covered in _COVERED.items():
        if name in config and config[name] not in covered:
            raise InvalidInput(
                f"{name} = {shown(config[name])} of the scheduler is not covered. Set it to "
                f"{' or '.join(repr(each) for each in covered)}."
            )
    said = {name: config[name] for name in _KEPT if name in config}
    if config.get("trained_betas") is not None:
        said["betas"] = config["trained_betas"]
    elif "beta_schedule" in config:
        said["betas"] = _BETAS.get(config["beta_schedule"], config["beta_schedule"])
    pairs = (("num_train_timesteps", "train_steps"), ("timestep_spacing", "spacing"))
    said |= {ours: config[theirs] for theirs, ours in pairs if theirs in config}
    return _of_two_step(said, steps) if "solver_order" in config else said


def _of_two_step(said: Keywords, steps: int) -> Keywords:
    """The same of a DPMSolverMultistepScheduler, whose grids are those of one step more, less the last."""
    count, total = positive_int("steps", steps), positive_int("num_train_timesteps", said.get("train_steps", 1000))
    spacing, offset = said.pop("spacing", "linspace"), said.pop("steps_offset", 0)
    if spacing == "leading":
        times = np.arange(1, count + 1)[::-1] * (total // (count + 1)) + offset
    elif spacing == "linspace":
        times = np.round(np.linspace(0, total - 1, count + 1))[:0:-1].astype(int)
    else:
        return {**said, "spacing": spacing, "solver": "2m"}
    return {**said, "spacing": times.tolist(), "solver": "2m"}
