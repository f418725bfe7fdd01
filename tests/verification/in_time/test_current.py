"""The current in a plane of two modes, F25, against the mean steps out of a place and into it, all batches listed."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import fluctua as fl
from fluctua.simulation.agenda import Agenda
from fluctua.verification.in_time.expectation import Expectation
from helpers.enumeration import Enumeration, tiny

RTOL = 1e-4  # of the balances that an expectation solves
PLACES = np.array([[0.3, -0.4], [1.5, 0.2], [-0.7, -1.1], [0.0, 2.0]])


def enumerated(truth, problem):
    """Of each output, E[v(t) v(t)^T] and E[v(t) v(t+1)^T] in the modes, (r, r) each."""
    mean, size = truth.maps.mean(axis=0), truth.optimum.size
    read = np.kron(np.eye(problem.outputs), problem.modes.T) @ np.eye(size, mean.shape[0])
    both = [read @ truth.stationary() @ later @ read.T for later in (np.eye(len(mean)), mean.T)]
    r = problem.rank
    for start in range(0, problem.outputs * r, r):
        yield [each[start : start + r, start : start + r] for each in both]


def reference(truth, problem, sizes, plane):
    """Density and current of Gaussians: what a step out of a place and the step into it make on average, halved."""
    density, current, cut = 0.0, 0.0, np.ix_(plane, plane)
    for now, one in enumerated(truth, problem):
        s, lagged = (each[cut] / np.outer(sizes[plane], sizes[plane]) for each in (now, one))
        here = multivariate_normal(cov=s).pdf(PLACES)
        after, before = (PLACES @ np.linalg.inv(s) @ each for each in (lagged, lagged.T))
        density = density + here / problem.outputs
        current = current + here[:, None] * 0.5 * ((after - PLACES) + (PLACES - before)) / problem.outputs
    return density, current


@pytest.mark.parametrize("name", ["general", "six samples", "one loud sample"])
def test_the_current_is_the_mean_step_out_of_and_into_a_place(name):
    inputs, targets = tiny(name)
    problem = fl.LeastSquares(inputs, targets)
    lr = 0.5 * fl.max_stable_lr(problem, fl.SGD(1.0, 2))
    prediction = fl.predict(problem, fl.SGD(lr, 2))
    sizes, none = np.sqrt(prediction.mode_variances / problem.outputs), np.zeros((problem.outputs, problem.rank))
    agenda = Agenda(4, 2, 1, (1,), problem.rank, sizes, none, none, (0, 1))
    found = Expectation(prediction, agenda, True).flow(PLACES)
    wanted = reference(Enumeration(inputs, targets, lr, 2), problem, sizes, [0, 1])
    np.testing.assert_allclose(found[0], wanted[0], rtol=RTOL)
    np.testing.assert_allclose(found[1], wanted[1], rtol=RTOL, atol=RTOL * np.abs(wanted[1]).max())
    assert np.abs(wanted[1]).max() > 1e-3 * wanted[0].max()  # something does go round
