"""Fluctuation and learning: which task will a noisy recurrent network learn fastest, judged by how it fluctuates?

`RateNetwork` is the noun; `speed` foretells; `fluctua.predict`, `fluctua.simulate` and `fluctua.verify` take the network.
"""

from __future__ import annotations

from ..._validate.arguments import is_another
from ...theory.answers import predict
from .network import RateNetwork
from .prediction import LearningPrediction, Theory, predict_network

__all__ = ["LearningPrediction", "RateNetwork", "Theory", "predict_network"]

is_another("problem", RateNetwork)
predict.register(RateNetwork)(predict_network)
