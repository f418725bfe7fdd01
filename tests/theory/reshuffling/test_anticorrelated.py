"""Runs in shuffled epochs, estimated: exact where noise feels nothing, and what two times have in common."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.problem.reduced_basis import Sources
from fluctua.theory.law import Law
from fluctua.theory.reshuffling.anticorrelated import AnticorrelatedRun
from helpers.agreement import close

STEPS = 53
OPTIMISERS = [{}, {"momentum": 0.5}, {"momentum": 0.5, "dampening": 0.3}, {"momentum": 0.5, "nesterov": True}]


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(5)
    return fl.LeastSquares(rng.normal(size=(41, 3)), rng.normal(size=(41, 2)))


class Unfelt(Sources):
    """The noise at W*, whatever the state."""

    def source(self, *_):
        return self.minimum.noise

    def feedback(self, matrix):
        return np.zeros_like(matrix)


def run_of(problem, sgd, sources, mean):
    law = Law(problem, sgd, "exact")
    course = law._course(law.minimum.curvatures, STEPS)
    return AnticorrelatedRun(course, sgd.batch_sizes(problem.population), sources, mean)


@pytest.mark.parametrize("size", [2, 3, 20, 41])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_noise_that_feels_nothing_is_exact(problem, optimiser, size):
    """F44 with rates that move at every step, from zero: the law of theory="discrete" at any time."""
    factors = np.random.default_rng(8).uniform(0.05, 1.5, STEPS)
    sgd = fl.SGD(0.1, size, weight_decay=0.2, sampling="shuffle", schedule=factors, **optimiser)
    minimum, discrete = problem.minimum(0.2), Law(problem, sgd, "discrete")
    run = run_of(problem, sgd, Unfelt(minimum, 0.0), -minimum.mode_weights)
    law = discrete.relaxation(-minimum.mode_weights, STEPS, 1e-3)
    for t in (1, 20, 21, STEPS):
        covariance, mean = run.after(t)
        close(covariance, law.average([t])[0])
        close(mean, law.means([t]))


def test_stretches_end_where_epochs_do_and_rates_jump(problem):
    sgd = fl.SGD(0.1, 3, sampling="shuffle", schedule=fl.schedules.StepLR(25, 0.1))
    places = run_of(problem, sgd, Unfelt(problem.minimum(), 0.0), np.zeros((2, 3))).places(STEPS)
    assert {13, 14, 25, 27, 28, 41, 42, STEPS} <= set(places)
    assert sorted(set(places)) == places
    assert places[0] == 0
