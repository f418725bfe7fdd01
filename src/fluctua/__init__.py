"""Predict, before training, how far SGD will fluctuate on your data, and prove the prediction."""

from . import errors, schedules
from .averaging import EMA, RunningAverage
from .batch_cost import BatchCost, batch_costs
from .data import Dataset, load
from .dynamic import verify_dynamic
from .dynamic_verdict import DynamicVerdict
from .entropy import EntropyProduction
from .errors import FluctuaError, UnstableSGD
from .held_out import HeldOutLoss, held_out_curve, held_out_loss
from .measurement import Measurement
from .noise import GradientNoise, gradient_noise
from .plan import Candidate, Plan, plan
from .problem import LeastSquares
from .rehearsal import Rehearsal, rehearse
from .semi_analytic import SemiAnalytic, semi_analytic
from .sgd import SGD
from .simulate import simulate
from .spread import LossSpread, loss_spread
from .stability import max_stable_lr
from .stable_limit import StableLimit
from .theory import Prediction, learning_curve, predict
from .verdict import Verdict
from .verify import verify

__all__ = [
    "EMA",
    "SGD",
    "BatchCost",
    "Candidate",
    "Dataset",
    "DynamicVerdict",
    "EntropyProduction",
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
    "batch_costs",
    "errors",
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
