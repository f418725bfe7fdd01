"""Layers: which law do the fluctuations of a deep linear network obey? (docs/studies/layers.md).

Gross, Raulf and Raeth, Phys. Rev. Research 6, 033103 (2024), arXiv:2311.14120, claim an inverse relation of variance
and flatness for two layers. Here are the net, its laws, its runs and their verdict; formulas and numbers are our own.
"""

from __future__ import annotations

from ..._validate.arguments import is_another
from .layer import Layer
from .measurement import LayersMeasurement
from .net import TwoLayer
from .prediction import LayersPrediction
from .runs import simulate_net
from .spectrum import NoiseSpectrum, noise_spectrum, spectrum_moments
from .trial import verify_net
from .verbs import predict_net

__all__ = [
    "Layer",
    "LayersMeasurement",
    "LayersPrediction",
    "NoiseSpectrum",
    "TwoLayer",
    "noise_spectrum",
    "predict_net",
    "simulate_net",
    "spectrum_moments",
    "verify_net",
]

is_another("problem", TwoLayer)
