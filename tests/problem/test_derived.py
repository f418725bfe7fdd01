"""Problems made of another: their moments are those given, and those that a problem of their own would have."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.problem.subsample import combined, part
from helpers.agreement import close

COEFFICIENTS = np.array([1.0, -0.5, 2.0])


@pytest.fixture(params=[0.0, 0.3])
def whole(request):
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(300, 5)) * rng.lognormal(0, 0.5, size=(300, 1))
    problem = fl.LeastSquares(inputs, inputs @ rng.normal(size=(5, 3)) + rng.normal(size=(300, 3)))
    return problem, problem.minimum(request.param)


def derived(whole):
    problem, minimum = whole
    drawn = (problem.drawn(by, np.full(300, 0.5), factors) for by, factors in (("a", None), ("b", np.full(300, 2.0))))
    return part(problem, minimum, 40)[0], combined(problem, minimum, COEFFICIENTS), *drawn


def test_a_derived_problem_has_all_that_a_problem_is_made_with(whole):
    made = fl.LeastSquares(whole[0].inputs, whole[0].targets)
    assert all(vars(made).keys() <= vars(each).keys() for each in derived(whole))


def test_a_problem_as_drawn_shares_what_its_rows_say_where_they_are_the_same(whole):
    problem = whole[0]
    _, _, same, other = derived(whole)
    assert same.spectrum is problem.spectrum
    assert same.projections is problem.projections
    assert close(other.curvatures, 2 * problem.curvatures)
    assert close(other.projections**2, 2 * problem.projections**2)


def test_one_output_that_is_a_sum_is_the_problem_of_that_output(whole):
    problem, minimum = whole
    one, gamma = combined(problem, minimum, COEFFICIENTS), minimum.weight_decay
    found, alone = one.minimum(gamma), fl.LeastSquares(problem.inputs, problem.targets @ COEFFICIENTS).minimum(gamma)
    assert close(found.weights, alone.weights, 1e-11)
    assert close(found.noise, alone.noise, 1e-11)
    assert found.loss == pytest.approx(alone.loss, rel=1e-11)
    assert one.projections is problem.projections
    with pytest.raises(InvalidInput, match="coefficients"):
        combined(problem, minimum, COEFFICIENTS[:2])


def test_a_part_feeds_back_what_its_samples_do_and_keeps_the_noise_of_the_whole(whole):
    problem, minimum = whole
    some, found = part(problem, minimum, 40, slice(3))
    assert (some.samples, some.rank, some.population) == (40, 3, problem.population)
    assert found is some.minimum(minimum.weight_decay)
    assert (found.loss, found.noise.tolist()) == (minimum.loss, minimum.noise[:3, :3].tolist())
    z, h, form = some.inputs @ problem.modes[:, :3], problem.curvatures[:3], np.diag([1.0, 2.0, 3.0])
    mean = np.einsum("n,np,nq->pq", np.einsum("np,pq,nq->n", z, form, z), z, z) / 40
    assert close(some.feedback(form), mean - h[:, None] * form * h, 1e-11)
    assert part(problem, minimum, 300) == (problem, minimum)


def test_noise_to_find_a_limit_by_is_the_curvature(whole):
    problem, minimum = whole
    noisy = minimum.with_unit_noise()
    decayed = minimum.weight_decay**2 * minimum.mode_weights.T @ minimum.mode_weights
    assert close(noisy.noise + decayed, np.diag(problem.curvatures))
    assert (noisy.loss, noisy.residuals.any()) == (0.5, False)
    assert minimum.residuals.all()
