"""Predict, before training, how far SGD will fluctuate on your data, and test the prediction."""

from . import errors
from .data import Dataset, load
from .errors import FluctuaError, UnstableSGD
from .planning.batch_cost import BatchCost, batch_costs
from .planning.recipes import Candidate, Plan, plan
from .planning.rehearsal import Rehearsal, rehearse
from .problem.least_squares import LeastSquares
from .recipe import schedules
from .recipe.averages import EMA, RunningAverage
from .recipe.quasi_hyperbolic import QHM
from .recipe.sampling import WeightedSampling
from .recipe.sgd import SGD
from .simulation.measurement import Measurement
from .simulation.replicas import simulate
from .theory.answers import Prediction, learning_curve, predict
from .theory.entropy import EntropyProduction
from .theory.held_out import HeldOutLoss, held_out_curve, held_out_loss
from .theory.probe import ExpectedAccuracy, expected_accuracy
from .theory.spread import LossSpread, loss_spread
from .theory.stability import max_stable_lr
from .theory.stable_limit import StableLimit
from .verification.equal_time import verify
from .verification.in_time.verdict import DynamicVerdict
from .verification.in_time.verify import verify_dynamic
from .verification.noise import GradientNoise, gradient_noise
from .verification.one_epoch import SemiAnalytic, semi_analytic
from .verification.verdict import Verdict

__all__ = [
    "EMA",
    "QHM",
    "SGD",
    "BatchCost",
    "Candidate",
    "Dataset",
    "DynamicVerdict",
    "EntropyProduction",
    "ExpectedAccuracy",
    "FluctuaError",
    "GradientNoise",
    "HeldOutLoss",
    "LeastSquares",
    "LossSpread",
    "Measurement",
    "Plan",
    "Prediction",
    "Rehearsal",
    "RunningAverage",
    "SemiAnalytic",
    "StableLimit",
    "UnstableSGD",
    "Verdict",
    "WeightedSampling",
    "batch_costs",
    "errors",
    "expected_accuracy",
    "gradient_noise",
    "held_out_curve",
    "held_out_loss",
    "learning_curve",
    "load",
    "loss_spread",
    "max_stable_lr",
    "plan",
    "predict",
    "rehearse",
    "schedules",
    "semi_analytic",
    "simulate",
    "verify",
    "verify_dynamic",
]


def __dir__() -> list[str]:
    """The public names, and no module that was imported on the way."""
    return sorted(__all__)


def __getattr__(name: str) -> str:
    """Return `__version__`, which is asked for rarely and takes a look at the installed files."""
    from .recipe.other_optimisers import is_not_linear, not_linear  # noqa: PLC0415  (asked for rarely)

    if is_not_linear(name):
        raise AttributeError(f"module 'fluctua' has no {name}: {not_linear(name)}")
    if name != "__version__":
        raise AttributeError(f"module 'fluctua' has no attribute {name!r}; its names: {', '.join(sorted(__all__))}")
    from importlib.metadata import version  # noqa: PLC0415  (asked for rarely)

    return version("fluctua")
