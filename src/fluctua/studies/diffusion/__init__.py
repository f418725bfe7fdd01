"""Diffusion: the samplers of diffusion models as linear stochastic maps (docs/studies/diffusion.md).

The framework is that of Han, arXiv:2408.07285; formulas and numbers are our own.
"""

from __future__ import annotations

from ..._validate.arguments import is_another
from .budget import DiffusionPlan, plan
from .gaussian import GaussianData
from .memorisation import Memorisation
from .named_sdes import blurring, critically_damped, variance_exploding, variance_preserving
from .noising import LinearNoising, LinearStep, predict_noising
from .prediction import DiffusionPrediction, predict_gaussian
from .runs import simulate_gaussian
from .sampled import DiffusionSamples
from .sampler import DDIM
from .schedule import Grid
from .scored import ScoredSamples
from .scores import ClassMixture, TrainingSet
from .sde import LinearSDE
from .thermodynamics import Thermodynamics
from .trained import Trained, TrainedPrediction
from .trainings import TrainedRuns
from .trial import verify_gaussian

__all__ = [
    "DDIM",
    "ClassMixture",
    "DiffusionPlan",
    "DiffusionPrediction",
    "DiffusionSamples",
    "GaussianData",
    "Grid",
    "LinearNoising",
    "LinearSDE",
    "LinearStep",
    "Memorisation",
    "ScoredSamples",
    "Thermodynamics",
    "Trained",
    "TrainedPrediction",
    "TrainedRuns",
    "TrainingSet",
    "blurring",
    "critically_damped",
    "plan",
    "predict_gaussian",
    "predict_noising",
    "simulate_gaussian",
    "variance_exploding",
    "variance_preserving",
    "verify_gaussian",
]

is_another("problem", GaussianData)
is_another("problem", LinearSDE)
