"""Fluctuation and learning: how a noisy network fluctuates foretells which task it will learn fastest.

`RateNetwork` is the noun, `memories` makes one of a data set, and `speed` foretells. `fluctua.predict`,
`fluctua.simulate` and `fluctua.verify` take the network.
"""

from __future__ import annotations

from ..._validate.arguments import is_another
from ...simulation.replicas import simulate
from ...theory.answers import predict
from ...verification.equal_time import verify
from .activity import Activity, simulate_network
from .asked import predict_network, speed
from .network import RateNetwork
from .patterns import memories
from .prediction import LearningPrediction, Theory
from .refusals import LearnedTooFar, NoSpontaneousState
from .verifying import verify_network

__all__ = [
    "Activity",
    "LearnedTooFar",
    "LearningPrediction",
    "NoSpontaneousState",
    "RateNetwork",
    "Theory",
    "memories",
    "predict_network",
    "simulate_network",
    "speed",
    "verify_network",
]

is_another("problem", RateNetwork)
predict.register(RateNetwork)(predict_network)
simulate.register(RateNetwork)(simulate_network)
verify.register(RateNetwork)(verify_network)
