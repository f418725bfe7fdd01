"""Colouring: is SGD without gradients Metropolis' dynamics, and at which temperature? (docs/studies/coloring.md).

Angelini, Cavaliere, Marino and Ricci-Tersenghi, Sci. Rep. 14, 11638 (2024), claim that a move accepted on a random
batch of the edges is equivalent to Metropolis' at a temperature. Here are graphs, both dynamics, their exact law on
small graphs and a closure on large ones. `fluctua.predict`, `fluctua.simulate` and `fluctua.verify` take a `Graph`.
"""

from __future__ import annotations

from ..._validate.arguments import is_another
from ...simulation.replicas import simulate
from ...theory.answers import predict
from ...verification.equal_time import verify
from .asked import predict_graph
from .closure import best_batch, critical_temperature
from .families import named, planted
from .graph import Graph
from .moves import Metropolis, SGDLike
from .prediction import ColoringPrediction
from .runs import ColoringRuns, simulate_graph
from .verifying import verify_graph

__all__ = [
    "ColoringPrediction",
    "ColoringRuns",
    "Graph",
    "Metropolis",
    "SGDLike",
    "best_batch",
    "critical_temperature",
    "named",
    "planted",
    "predict_graph",
    "simulate_graph",
    "verify_graph",
]

is_another("problem", Graph)
predict.register(Graph)(predict_graph)
simulate.register(Graph)(simulate_graph)
verify.register(Graph)(verify_graph)
