"""The march apart from its error control: whatever the controller decides, what is accepted is what was marched."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.kernels.constant import gradient_step
from fluctua.theory.control import Controller
from fluctua.theory.march import March
from helpers.agreement import close

STOPS = [1, 5, 6, 20]


@pytest.fixture(scope="module")
def setting():
    rng = np.random.default_rng(4)
    inputs = rng.normal(size=(40, 3)) * [2, 1, 0.5]
    problem = fl.LeastSquares(inputs, rng.normal(size=(40, 2)))
    return problem.minimum(), gradient_step(problem.curvatures, 0.05)


class Strict(Controller):
    """Accepts nothing: every interval is cut down to a step."""

    errors = staticmethod(lambda *_: (np.inf, np.inf))


class Blind(Controller):
    """Accepts everything, and doubles its width."""

    errors = staticmethod(lambda *_: (0.0, 0.0))
    next_width = staticmethod(lambda length, _: 2.0 * length)


def march(setting, controller, read=lambda _, state: state):
    minimum, kernel = setting
    zero = np.zeros((len(minimum.curvatures),) * 2)
    control = controller(kernel, 1e-3, float(np.trace(minimum.noise)))
    return March(kernel, zero, lambda _, s: minimum.source(s), True, control, STOPS, read)


def iterated(setting):
    """S(t) from W*, step by step."""
    minimum, kernel = setting
    drift, s, out = 1 - kernel.rate, np.zeros((len(minimum.curvatures),) * 2), []
    for _ in range(STOPS[-1]):
        s = np.outer(drift, drift) * s + 0.05**2 * minimum.source(s)
        out.append(s)
    return out


def test_a_march_that_no_interval_satisfies_goes_step_by_step_and_is_exact(setting):
    stretches, exact = list(march(setting, Strict)), iterated(setting)
    assert [stretch.end for stretch in stretches] == list(range(1, STOPS[-1] + 1))
    assert close([stretch.state for stretch in stretches], exact, 1e-12)
    assert close(sum(stretch.passed for stretch in stretches), sum(exact[t - 1] for t in STOPS), 1e-12)


def test_the_controller_alone_decides_how_long_intervals_are(setting):
    stretches = list(march(setting, Blind))
    assert [stretch.end for stretch in stretches] == [1, 2, 4, 8, 16, 20]
    assert close(stretches[-1].state, iterated(setting)[-1], 1e-2)
    seen = [variances for stretch in stretches for variances in stretch.variances]
    assert close(seen, [np.diag(s) for s in iterated(setting)], 2e-2)


def test_what_is_read_is_read_of_the_state_at_the_stops(setting):
    steps = sum(stretch.passed for stretch in march(setting, Blind, lambda t, _: np.array([t])))
    assert steps == sum(STOPS)
