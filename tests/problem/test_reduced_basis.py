"""K of states that are sums of those asked before: one by one, and many at once."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.problem import reduced_basis
from fluctua.problem.reduced_basis import Sources


@pytest.mark.parametrize("samples", [200, 400])  # as many as are always asked, and more
def test_many_states_at_once_feel_what_each_does_alone(samples, monkeypatch):
    rng = np.random.default_rng(3)
    problem = fl.LeastSquares(rng.standard_normal((samples, 6)), rng.standard_normal((samples, 2)))
    sources = Sources(problem.minimum(), 1e-12)
    roots = rng.standard_normal((7, 6, 6))
    some = np.array([root @ root.T for root in roots[:3]] + [*roots[3:]])
    some = np.concatenate([some, some[:2] + 0.3 * some[2:4]])  # the last are sums of others
    expected = np.array([problem.feedback(0.5 * (each + each.T)) for each in some])
    h = problem.curvatures
    expected -= 0.5 * h[:, None] * (some - some.swapaxes(1, 2)) * h  # the other part feels <z z^T> alone
    found = sources.feedbacks(some)
    assert np.allclose(found, expected, rtol=1e-11, atol=1e-11 * np.abs(expected).max())
    again, asked = sources.feedbacks(some[::-1]), []
    monkeypatch.setattr(type(sources.minimum), "fed_back", lambda *given: asked.append(given))
    if samples > reduced_basis._FEW:
        again = sources.feedbacks(some[::-1])
        assert not asked, "states that are known are asked again"
    assert np.allclose(again[::-1], expected, rtol=1e-11, atol=1e-11 * np.abs(expected).max())
