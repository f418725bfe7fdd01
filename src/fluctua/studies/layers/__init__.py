"""Layers: which law do the fluctuations of a deep linear network obey? (docs/studies/layers.md)."""

from __future__ import annotations

from ..._validate.arguments import is_another
from .layer import Layer
from .net import TwoLayer
from .prediction import LayersPrediction, predict_net

__all__ = ["Layer", "LayersPrediction", "TwoLayer", "predict_net"]

is_another("problem", TwoLayer)
