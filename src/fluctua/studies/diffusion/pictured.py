"""The points and lines of the figures: kept variance, turning arms, grids, and samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import isqrt
from typing import TypedDict

import numpy as np

from ..._arrays import AnyArray, Array
from ...errors import InvalidInput, NotConverged
from .gaussian import GaussianData
from .law import angles_of
from .pixels import chain_of
from .prediction import DiffusionPrediction, predict_gaussian
from .sampled import Moments, mode_variances
from .sampler import DDIM
from .schedule import Grid, Spacing

__all__ = ["ARMS", "DRAWN", "ETAS", "GRIDS", "Pictured", "beside", "image_side", "picture_of"]

ETAS = (0.0, 0.5, 1.0)
GRIDS: tuple[Spacing, ...] = ("leading", "karras", "predicted")
DRAWN = ("asked", "predicted", "flow")
ARMS = ("steep", "middle", "flat")
_IMAGES, _DOTS = 8, 400
_SMALLEST_SIDE = 7  # pixels of an image


class Pictured(TypedDict):
    """What a verdict keeps for its figures."""

    arrays: Mapping[str, AnyArray]
    tables: Mapping[str, list[str]]


def beside(sampler: DDIM) -> Iterator[DDIM]:
    """Yield the same sampler at the others of eta = 0, 0.5 and 1; none where it has no eta."""
    if sampler.solver == "ddim":
        yield from (replace(sampler, eta=eta) for eta in ETAS if eta != sampler.eta)


def picture_of(
    prediction: DiffusionPrediction, found: Mapping[float, Moments], root: np.random.SeedSequence
) -> Pictured:
    """Return arrays and tables; `found` is what samples showed at an eta, if there are any."""
    made = _modes(prediction, found) | _arms(prediction) | _grids(prediction)
    tables = {
        "modes": [name for name in made if name.startswith(("mode_", "kept_"))],
        "arms": [name for name in made if name.startswith("arm_")],
        "grids": [name for name in made if name.startswith("grid_")],
    }
    for eta in found:
        tables[f"measured at eta {eta:g}"] = ["mode_variance", f"measured_{eta:g}", f"measured_{eta:g}_error"]
    samples = _samples(prediction, root)
    return {"arrays": {**made, **samples}, "tables": {**tables, "samples": [f"sample_{name}" for name in DRAWN]}}


def _modes(prediction: DiffusionPrediction, found: Mapping[float, Moments]) -> dict[str, AnyArray]:
    """Variance kept, mode by mode: of each eta, without an error of the steps, and measured."""
    data, sampler, alive = prediction.data, prediction.sampler, prediction.data.variances > 0
    level = prediction.level_variances[alive]
    out: dict[str, AnyArray] = {"mode_variance": data.variances[alive]}
    given = replace(sampler, spacing=prediction.grid)
    for each in (given, *beside(given)):
        out[f"kept_{each.eta:g}"] = _roomy(data, each)[alive] / level
    out["kept_ode"] = predict_gaussian(data, given, theory="ode").mode_variances[alive] / level
    for eta, moments in found.items():
        shown = mode_variances(data, moments.covariance)[alive] / level
        out[f"measured_{eta:g}"], out[f"measured_{eta:g}_error"] = shown, shown * np.sqrt(2 / moments.freedom)
    return out


def _roomy(data: GaussianData, sampler: DDIM) -> Array:
    return predict_gaussian(data, sampler).mode_variances


def _arms(prediction: DiffusionPrediction) -> dict[str, AnyArray]:
    """Angle and length of three modes at each level of DDIM: each step turns the arm and keeps its projection."""
    data = prediction.data
    angles = angles_of(data, prediction.grid)
    places = dict(zip(ARMS, (0, (data.rank - 1) // 2, data.rank - 1), strict=True))
    turned = np.cos(np.diff(angles, axis=0))
    lengths = np.vstack([np.ones(data.features), np.cumprod(turned, axis=0)])
    out: dict[str, AnyArray] = {"arm_timestep": prediction.grid.timesteps}
    for name, place in places.items():
        out[f"arm_{name}_angle"], out[f"arm_{name}_length"] = angles[:, place], lengths[:, place]
    return out


def _grids(prediction: DiffusionPrediction) -> dict[str, AnyArray]:
    """Lambda from which each step departs and the variance it leaves out, of three grids."""
    out: dict[str, AnyArray] = {}
    for name in GRIDS:
        try:
            other = predict_gaussian(prediction.data, replace(_plain(prediction.sampler), spacing=name))
        except (InvalidInput, NotConverged):  # no such grid of so many steps, or of these betas
            continue
        share = other.data.variances / other.data.total_variance
        out[f"grid_{name}_lambda"] = other.grid.noise_to_signal[:-1]
        out[f"grid_{name}_lost"] = other.lost @ share
    return out


def _plain(sampler: DDIM) -> DDIM:
    return replace(sampler, solver="ddim", steps_offset=0)


def _samples(prediction: DiffusionPrediction, root: np.random.SeedSequence) -> dict[str, AnyArray]:
    """Samples of the sampler, of the predicted grid and of the probability flow, from the same starts."""
    data, sampler = prediction.data, prediction.sampler
    side = image_side(data.features)
    start = np.random.default_rng(_words(root)).standard_normal((_IMAGES if side else _DOTS, data.features))
    made = {"asked": _run(data, sampler, prediction.grid, start)}
    try:
        made["predicted"] = _run(data, sampler, replace(_plain(sampler), spacing="predicted").grid(data), start)
    except (InvalidInput, NotConverged):
        made["predicted"] = made["asked"]
    made["flow"] = _flowed(prediction, start)
    wide = data.features if side else min(2, data.features)
    out: dict[str, AnyArray] = {"sample_shape": np.array([len(start), wide])}
    for name, each in made.items():
        out[f"sample_{name}"] = (each if side else (each - data.mean) @ data.modes[:, :2]).ravel()
    return out


def _run(data: GaussianData, sampler: DDIM, grid: Grid, start: Array) -> Array:
    return chain_of(data, sampler, grid).run(start, np.random.default_rng(0))


def _flowed(prediction: DiffusionPrediction, start: Array) -> Array:
    """The probability flow: every mode is stretched to the variance of the data, and the mean put right."""
    data, first = prediction.data, np.sqrt(prediction.grid.alpha_bars[0])
    stretched = (start - first * data.mean) @ data.modes
    stretched *= np.sqrt(prediction.level_variances / replace(prediction, step=0).level_variances)
    return np.asarray(np.sqrt(prediction.grid.alpha_bars[-1]) * data.mean + stretched @ data.modes.T)


def _words(root: np.random.SeedSequence) -> list[int]:
    return [int(word) for word in root.generate_state(4)]


def image_side(features: int) -> int:
    """Return the side of the square image that so many features are, gray or of three colours; 0 if they are none."""
    for colours in (1, 3):
        side = isqrt(features // colours)
        if colours * side**2 == features and side >= _SMALLEST_SIDE:
            return side
    return 0
