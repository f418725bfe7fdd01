"""Runs on least squares: the weights in their modes, and F0 along the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .._arrays import AnyArray, Array
from .._validate.plain import Header
from ..kernels.constant import gradient_step, langevin_flow
from ..problem.least_squares import LeastSquares
from ..problem.start import Start
from ..recipe.sgd import Recipe
from .batches import Draws
from .measurement import Tally
from .needs import refuse_runs
from .precision import simulation_dtype
from .records import Book, Window
from .runs import Asked, Runs, refuse_control, runs_of
from .steppers import slots, stepper

__all__ = ["SquaresRuns"]


class SquaresRuns(Runs):
    """Those of least squares."""

    problem: LeastSquares

    def __init__(self, problem: LeastSquares, sgd: Recipe, asked: Asked) -> None:
        refuse_control(asked, "least squares are their own quadratic")
        window, minimum = Window.of(asked.steps, asked.records, problem.rank, sgd.epoch_steps(problem.samples)), None
        self.hold(problem, sgd, asked, window)
        minimum, average, dynamics = problem.minimum(sgd.weight_decay), asked.average, asked.dynamics
        self.begin = Start.at(minimum, asked.start)
        rows = sgd.batch_size if dynamics == "sgd" else problem.samples
        refuse_runs(problem, window, asked.replicas, asked.workers, rows)
        dtype = simulation_dtype(asked.dtype, problem, sgd, window.steps, self.begin, average, dynamics)
