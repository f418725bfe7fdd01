"""Predict, before training, how far SGD will fluctuate on your data, and test the prediction."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import errors
from .data import Dataset, Preparation, load
from .errors import FluctuaError, UnstableSGD
from .planning.batch_cost import BatchCost, BatchCosts, batch_costs
from .planning.recipes import Candidate, Plan
from .planning.rehearsal import Rehearsal, rehearse
from .problem.least_squares import LeastSquares
from .problem.softmax.heads import Logistic, Softmax
from .recipe import schedules
from .recipe.averages import EMA, RunningAverage
from .recipe.kinetic import SGHMC
from .recipe.langevin import SGLD, ULA
from .recipe.quasi_hyperbolic import QHM
from .recipe.sampling import WeightedSampling
from .recipe.sgd import SGD
from .recipe.splittings import ABOBA, BAOA, BAOAB, OBABO
from .simulation.head_measurement import HeadMeasurement
from .simulation.measurement import Measurement
from .simulation.parts import Part
from .theory.answers import Prediction, learning_curve
from .theory.entropy import EntropyProduction
from .theory.held_out import HeldOutLoss, held_out_curve, held_out_loss
from .theory.inflated import lr_for_inflation
from .theory.inflation_step import StepForInflation
from .theory.local import LocalPrediction
from .theory.spread import LossSpread, loss_spread
from .theory.stability import max_stable_lr
from .theory.stable_limit import StableLimit
from .verification.verdict import Verdict

if TYPE_CHECKING:
    from . import plot
    from ._typed_verbs import plan, predict, simulate, verify
    from .distributed import cluster
    from .planning.conditioned import Conditioned, Conditioning, conditioning
    from .planning.loops import torch_code
    from .planning.sweep_cells import Cell
    from .planning.sweeping import sweep
    from .planning.swept import Sweep
    from .studies.draws import verify_draws
    from .theory.leading import LeadingModes, LeadingPrediction
    from .theory.probe import ExpectedAccuracy, expected_accuracy
    from .verification.in_time.verdict import DynamicVerdict
    from .verification.in_time.verify import verify_dynamic
    from .verification.new_output import learned_share
    from .verification.noise import gradient_noise
    from .verification.noise_found import GradientNoise
    from .verification.one_epoch import SemiAnalytic, semi_analytic
    from .verification.shares import LearnedShare
else:  # the same verbs, of which type checkers know one noun
    from .planning.recipes import plan
    from .simulation.replicas import simulate
    from .theory.answers import predict
    from .verification.equal_time import verify

__all__ = [
    "ABOBA",
    "BAOA",
    "BAOAB",
    "EMA",
    "OBABO",
    "QHM",
    "SGD",
    "SGHMC",
    "SGLD",
    "ULA",
    "BatchCost",
    "BatchCosts",
    "Candidate",
    "Cell",
    "Conditioned",
    "Conditioning",
    "Dataset",
    "DynamicVerdict",
    "EntropyProduction",
    "ExpectedAccuracy",
    "FluctuaError",
    "GradientNoise",
    "HeadMeasurement",
    "HeldOutLoss",
    "LeadingModes",
    "LeadingPrediction",
    "LearnedShare",
    "LeastSquares",
    "LocalPrediction",
    "Logistic",
    "LossSpread",
    "Measurement",
    "Part",
    "Plan",
    "Prediction",
    "Preparation",
    "Rehearsal",
    "RunningAverage",
    "SemiAnalytic",
    "Softmax",
    "StableLimit",
    "StepForInflation",
    "Sweep",
    "UnstableSGD",
    "Verdict",
    "WeightedSampling",
    "batch_costs",
    "cluster",
    "conditioning",
    "errors",
    "expected_accuracy",
    "gradient_noise",
    "held_out_curve",
    "held_out_loss",
    "learned_share",
    "learning_curve",
    "load",
    "loss_spread",
    "lr_for_inflation",
    "max_stable_lr",
    "plan",
    "plot",
    "predict",
    "rehearse",
    "schedules",
    "semi_analytic",
    "simulate",
    "sweep",
    "torch_code",
    "verify",
    "verify_draws",
    "verify_dynamic",
]

_LATER = {
    "LeadingModes": "theory.leading",
    "LeadingPrediction": "theory.leading",
    "cluster": "distributed",
    "Conditioned": "planning.conditioned",
    "Conditioning": "planning.conditioned",
    "conditioning": "planning.conditioned",
    "torch_code": "planning.loops",
    "Cell": "planning.sweep_cells",
    "sweep": "planning.sweeping",
    "verify_draws": "studies.draws",
    "Sweep": "planning.swept",
    "ExpectedAccuracy": "theory.probe",
    "expected_accuracy": "theory.probe",
    "DynamicVerdict": "verification.in_time.verdict",
    "verify_dynamic": "verification.in_time.verify",
    "LearnedShare": "verification.shares",
    "learned_share": "verification.new_output",
    "gradient_noise": "verification.noise",
    "GradientNoise": "verification.noise_found",
    "SemiAnalytic": "verification.one_epoch",
    "semi_analytic": "verification.one_epoch",
}
"""Names that not every session needs, and their modules: loaded where they are asked for, for a quick import."""


def __dir__() -> list[str]:
    """The public names, and no module that was imported on the way."""
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """Return what is loaded where it is asked for, or `__version__`, which looks at the installed files."""
    if name in _LATER:
        globals()[name] = found = getattr(import_module(f".{_LATER[name]}", __name__), name)
        return found
    from .recipe.other_optimisers import is_not_linear, not_linear  # noqa: PLC0415  (asked for rarely)

    if name == "plot":
        return import_module(".plot", __name__)
    if is_not_linear(name):
        raise AttributeError(f"module 'fluctua' has no {name}: {not_linear(name)}")
    if name != "__version__":
        raise AttributeError(f"module 'fluctua' has no attribute {name!r}; its names: {', '.join(sorted(__all__))}")
    from importlib.metadata import version  # noqa: PLC0415  (asked for rarely)

    return version("fluctua")
