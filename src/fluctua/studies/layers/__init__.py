"""Layers: which law do the fluctuations of a deep linear network obey? (docs/studies/layers.md)."""

from __future__ import annotations

from ..._validate.arguments import is_another
from .layer import Layer
from .measurement import LayersMeasurement
from .net import TwoLayer
from .prediction import LayersPrediction
from .runs import simulate_net
from .trial import verify_net
from .verbs import limit_of_net, predict_net

__all__ = [
    "Layer",
    "LayersMeasurement",
    "LayersPrediction",
    "TwoLayer",
    "limit_of_net",
    "predict_net",
    "simulate_net",
    "verify_net",
]

is_another("problem", TwoLayer)
