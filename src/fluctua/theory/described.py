"""A prediction as plain JSON types, as tables, as matrices, and in a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import Array
from .._results import Tables, clipped
from .._tables import Columns
from .._validate.plain import JsonObject

if TYPE_CHECKING:
    from .prediction import Prediction

__all__ = ["attributes", "in_a_line", "matrices", "plain", "tables"]


def plain(prediction: Prediction) -> JsonObject:
    """Return the scalars and the per-mode vectors as plain JSON types."""
    law, reached = prediction.law, prediction.estimated_error
    return {
        "theory": prediction.theory,
        "steps": None if prediction.steps is None else list(prediction.steps),
        "position": prediction.position,
        "recipe": law.sgd.to_dict(),
        "average": None if law.average is None else law.average.to_dict(),
        "samples": law.problem.samples,
        "features": law.problem.features,
        "outputs": law.problem.outputs,
        "rank": law.problem.rank,
        "optimum_loss": prediction.optimum_loss,
        "excess_loss": prediction.excess_loss,
        "excess_loss_error": prediction.excess_loss_error,
        "relative_excess_loss": prediction.excess_loss / prediction.optimum_loss if prediction.optimum_loss else None,
        "curvatures": prediction.curvatures.tolist(),
        "mode_variances": prediction.mode_variances.tolist(),
        "temperatures": prediction.temperatures.tolist(),
        "relaxation_steps": prediction.relaxation_steps.tolist(),
        **{name: values.tolist() for name, values in _posterior(prediction).items()},
        "estimated_error": None if reached is None else reached._asdict(),
    }


def tables(prediction: Prediction) -> Tables:
    """Return the table of the modes, and that of the learning curve where it was kept."""
    found: dict[str, Any] = {"modes": lambda: _modes(prediction)}
    if (curve := prediction.curve) is not None:
        found["curve"] = lambda: {"step": range(len(curve)), "excess_loss": curve}
    return found


def _modes(prediction: Prediction) -> Columns:
    return {
        "mode": range(1, len(prediction.curvatures) + 1),
        "curvature": prediction.curvatures,
        "variance": prediction.mode_variances,
        "temperature": prediction.temperatures,
        "relaxation_steps": prediction.relaxation_steps,
        **_posterior(prediction),
    }


def _posterior(prediction: Prediction) -> dict[str, Array]:
    """What a sampler's modes are compared with; nothing of SGD, which has no target."""
    if not prediction.law.sgd.tempered:
        return {}
    return {"target": prediction.target, "inflation": prediction.inflation}


def matrices(prediction: Prediction) -> Mapping[str, tuple[tuple[str, ...], Any]]:
    """Return what has more than one dimension: S in the modes, the modes, and W*."""
    return {
        "mode_covariance": (("mode", "other_mode"), np.asarray(prediction.mode_covariance)),
        "modes": (("input", "mode"), prediction.modes),
        "optimum": (("output", "input"), prediction.optimum),
    }


def attributes(prediction: Prediction) -> Mapping[str, Any]:
    """Return what holds for all modes."""
    average = prediction.law.average
    return {
        "theory": prediction.theory,
        "when": prediction.when,
        "recipe": prediction.law.sgd.words,
        **({} if average is None else {"average": average.words}),
        "optimum_loss": prediction.optimum_loss,
        "excess_loss": prediction.excess_loss,
    }


def in_a_line(prediction: Prediction) -> str:
    """Return which theory it is of, when, and its excess loss."""
    said = f"excess_loss={prediction.excess_loss:.6g}, rank={len(prediction.curvatures)}"
    return clipped(f"Prediction({prediction.theory}, {prediction.when}: {said})")
