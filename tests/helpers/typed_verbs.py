"""What type checkers make of a verb and its noun: mypy reads this file with the rest, and nothing runs it."""

from __future__ import annotations

from typing import assert_type

import fluctua as fl
from fluctua.simulation.parts import Part
from fluctua.studies.coloring import Graph
from fluctua.studies.coloring.prediction import ColoringPrediction
from fluctua.studies.diffusion import GaussianData
from fluctua.studies.diffusion.budget import DiffusionPlan


def of_squares(problem: fl.LeastSquares, sgd: fl.SGD) -> None:
    """Least squares have the results, and the parameters, that they had."""
    assert_type(fl.predict(problem, sgd, theory="discrete"), fl.Prediction)
    assert_type(fl.simulate(problem, sgd, steps=3, replicas=2), fl.Measurement)
    assert_type(fl.verify(problem, sgd), fl.Verdict)
    assert_type(fl.verify(problem, sgd, shard="1/2", checkpoint="kept"), Part)
    assert_type(fl.plan(problem, 100), fl.Plan)
    assert_type(fl.max_stable_lr(problem, sgd), fl.StableLimit)
    fl.predict(problem, sgd, theory="closure")  # type: ignore[call-overload]  # a rung of heads


def of_heads(problem: fl.Softmax, other: fl.Logistic, sgd: fl.SGD) -> None:
    """Heads have theirs."""
    assert_type(fl.predict(problem, sgd, theory="closure"), fl.LocalPrediction)
    assert_type(fl.predict(other, sgd).anharmonicity, float)
    assert_type(fl.simulate(problem, sgd, steps=3, replicas=2, control="quadratic"), fl.HeadMeasurement)
    assert_type(fl.verify(problem, sgd, control=None), fl.Verdict)
    assert_type(fl.plan(other, 100), fl.Plan)
    fl.predict(problem, sgd, theory="exact")  # type: ignore[call-overload]  # a rung of least squares
    fl.predict(problem, sgd).lagged_covariance(3)  # type: ignore[attr-defined]


def of_studies(graph: Graph, data: GaussianData) -> None:
    """So have the nouns of studies."""
    assert_type(fl.predict(graph, "metropolis"), ColoringPrediction)
    assert_type(fl.plan(data, 5), DiffusionPlan)


def of_others(problem: str, sgd: fl.SGD) -> None:
    """What no verb takes is seen before it runs."""
    fl.predict(problem, sgd)  # type: ignore[call-overload]
