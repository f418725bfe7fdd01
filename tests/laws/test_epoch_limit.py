"""The stability limit of shuffled epochs, against the spectral radius of all epochs listed."""

import copy
import json
import pickle

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import NotConverged, UncertainLimit
from fluctua.theory.reshuffling import limit as epoch_limit
from fluctua.theory.reshuffling import orders
from fluctua.theory.stability import independent_limit
from fluctua.theory.stable_limit import StableLimit
from helpers import all_orders
from helpers.thinning import thinned

SMALL = np.array([[1, 0.3], [-0.5, 1], [0.7, -1.2], [0.2, 0.4], [2, 0.1], [-0.3, -0.8]])
OPTIMISERS = {
    "plain": {},
    "decay": {"weight_decay": 0.3},
    "momentum": {"momentum": 0.5},
    "heavy": {"momentum": 0.9},
    "nesterov": {"momentum": 0.6, "nesterov": True, "weight_decay": 0.1},
}


def one_left_over(samples=65, features=5, seed=1):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(samples, features))
    return fl.LeastSquares(inputs, inputs @ np.ones(features) + rng.normal(size=samples))


def shuffled(size, lr=1.0, **options):
    return fl.SGD(lr, size, sampling="shuffle", **options)


FEW = [(6, 2, 0), (5, 2, 3), (5, 1, 4), (6, 3, 5)]


@thinned(4, ("few", FEW), ("size", [1, 2, 3, 4, 5]), ("optimiser", list(OPTIMISERS)))
def test_of_few_samples_it_is_where_the_radius_of_all_epochs_passes_one(few, size, optimiser):
    samples, features, seed = few
    rng = np.random.default_rng(seed)
    inputs = SMALL if seed == 0 else rng.normal(size=(samples, features)) * rng.lognormal(size=(samples, 1))
    if size >= samples:
        pytest.skip("one batch of all")
    options = OPTIMISERS[optimiser]
    found = fl.max_stable_lr(fl.LeastSquares(inputs, rng.normal(size=samples)), shuffled(size, **options))
    start = 0.3 * found  # only where the search begins
    assert found == pytest.approx(all_orders.limit(inputs, size, start, **options), rel=1e-8)
    assert found.method == "all epochs"
    assert found.error == 0


@thinned(2, ("data", [(65, 5, 1), (33, 3, 2), (41, 8, 3)]), ("momentum", [0.0, 0.9]))
def test_one_sample_left_over_is_not_forgotten(data, momentum):
    samples, features, seed = data
    problem = one_left_over(samples, features, seed)
    found = fl.max_stable_lr(problem, shuffled(samples - 1, momentum=momentum))
    expected = all_orders.limit(problem.inputs, samples - 1, 0.05 * found, momentum=momentum)
    assert found == pytest.approx(expected, rel=1e-8)
    assert found.orders == samples


@pytest.mark.parametrize(("momentum", "expected"), [(0.0, 1.0367), (0.9, 0.0620)])
def test_the_limits_reported_with_one_of_65_left_over(momentum, expected):
    assert fl.max_stable_lr(one_left_over(), shuffled(64, momentum=momentum)) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("momentum", "expected"), [(0.0, 1.6961), (0.9, 0.8409)])
def test_one_batch_an_epoch_is_independent_batches(momentum, expected):
    problem = fl.LeastSquares(SMALL, [1.0, -1, 0.5, 2, 0, 1])
    found = fl.max_stable_lr(problem, shuffled(4, momentum=momentum, drop_last=True))
    assert found == pytest.approx(expected, abs=5e-5)
    assert found == fl.max_stable_lr(problem, fl.SGD(1.0, 4, momentum=momentum, sampling="without_replacement"))
    listed = all_orders.limit(SMALL, 4, 0.05 * expected, momentum=momentum, drop_last=True)
    assert found == pytest.approx(listed, rel=1e-8)
    assert found.method == "exact"


def test_a_full_batch_has_the_limit_of_gradient_descent():
    problem = fl.LeastSquares(SMALL, [1.0, -1, 0.5, 2, 0, 1])
    assert fl.max_stable_lr(problem, shuffled(6)) == pytest.approx(2 / problem.curvatures[0], rel=1e-12)


DRAWN = {
    "one left over": (one_left_over(), 64, 0.0),
    "with momentum": (one_left_over(), 64, 0.9),
    "two left over": (fl.LeastSquares(np.vstack([SMALL, 1.3 * SMALL[:2]]), np.arange(8.0)), 3, 0.0),
    "nothing left over": (fl.LeastSquares(np.vstack([SMALL, 1.3 * SMALL[:2]]), np.arange(8.0)), 2, 0.5),
    "single samples": (fl.LeastSquares(SMALL, np.arange(6.0)), 1, 0.0),
}


@pytest.mark.statistical(alpha=1e-5)
@pytest.mark.parametrize("name", DRAWN)
def test_random_epochs_find_it_within_their_error(monkeypatch, name):
    """Six standard errors of 1,024 pairs, and the 2e-4 to which it is sought; means of few large terms are skewed."""
    problem, size, momentum = DRAWN[name]
    exact = fl.max_stable_lr(problem, shuffled(size, momentum=momentum))
    monkeypatch.setattr(orders, "_LISTED", 0)
    found = fl.max_stable_lr(problem, shuffled(size, momentum=momentum))
    assert found.method == "random epochs"
    assert abs(found - exact) < 6 * found.error + 2e-4 * exact
    assert found.error < 0.03 * exact


@pytest.mark.parametrize("size", [1, 3])
def test_many_orders_weighted_average_to_all_of_them(size):
    """The importance of the last batch and the strata of a single sample change no expectation."""
    chance = np.array([0.1, 0.2, 0.4, 0.05, 0.05, 0.1, 0.1])
    sizes = np.array(all_orders.sizes_of(7, size if size > 1 else 3))
    drawn = orders.draw_orders(sizes if size > 1 else np.array([3, 3, 1]), chance, 20_000, np.random.default_rng(0))
    assert drawn.weights.sum() == pytest.approx(1)
    last = np.bincount(drawn.samples[:, -1], drawn.weights, minlength=7)
    if drawn.strata is not None:
        np.testing.assert_allclose(last, 1 / 7, rtol=1e-12)
    else:
        np.testing.assert_allclose(last, 1 / 7, atol=0.02)
    assert (np.sort(drawn.samples, axis=1) == np.arange(drawn.samples.shape[1])).all()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_expansion_is_sought_from_below(monkeypatch, momentum):
    """It found 1.363 and 2.304: beyond the limit the law has solutions that are none."""
    exact = fl.max_stable_lr(one_left_over(), shuffled(64, momentum=momentum))
    monkeypatch.setattr(epoch_limit, "chosen_orders", lambda *_: None)
    with pytest.warns(UncertainLimit, match="found by expansion"):
        found = fl.max_stable_lr(one_left_over(), shuffled(64, momentum=momentum))
    assert found.method == "expansion"
    assert abs(found - exact) < found.error


def test_of_data_fitted_exactly_it_is_the_same_as_of_any_targets():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(3, 5))
    limits = [fl.max_stable_lr(fl.LeastSquares(inputs, y), shuffled(1)) for y in (rng.normal(size=3), np.zeros(3))]
    in_range = np.linalg.svd(inputs, full_matrices=False)
    expected = all_orders.limit(in_range[0] * in_range[1], 1, 0.05 * limits[0])
    assert limits == pytest.approx([expected] * 2, rel=1e-8)


def test_the_scale_of_the_inputs_scales_it_and_flat_columns_change_nothing():
    problem = one_left_over()
    limit = fl.max_stable_lr(problem, shuffled(64))
    scaled = fl.LeastSquares(1e4 * problem.inputs, problem.targets)
    assert fl.max_stable_lr(scaled, shuffled(64)) == pytest.approx(1e-8 * limit, rel=1e-8)
    flat = np.column_stack([problem.inputs, 1e-5 * np.random.default_rng(0).normal(size=65)])
    assert fl.max_stable_lr(fl.LeastSquares(flat, problem.targets), shuffled(64)) == pytest.approx(limit, rel=1e-5)


def test_an_uncertain_limit_is_said(monkeypatch):
    monkeypatch.setattr(orders, "_LISTED", 0)
    monkeypatch.setattr(epoch_limit, "_DOUBTFUL", 1e-3)
    problem, size, momentum = DRAWN["two left over"]
    with pytest.warns(UncertainLimit, match=r"uncertain: .* found by random epochs. It may be lower") as caught:
        found = fl.max_stable_lr(problem, shuffled(size, momentum=momentum))
    assert caught[0].message.max_stable_lr == found
    assert caught[0].message.error == found.error > 1e-3 * found


def test_a_limit_is_a_float_that_can_be_copied_and_written():
    limit = StableLimit(0.5, "random epochs", 0.01, 64, 0.1)
    assert limit * 2 == 1.0
    assert json.dumps({"x": limit}) == '{"x": 0.5}'
    for other in (pickle.loads(pickle.dumps(limit)), copy.deepcopy(limit)):
        assert (other, other.method, other.error, other.orders, other.largest_share) == (
            0.5,
            "random epochs",
            0.01,
            64,
            0.1,
        )


def test_plans_stay_below_the_limit_of_the_epochs():
    problem = one_left_over()
    found = fl.plan(problem, 20, batch_size=64, sampling="shuffle", schedules=["constant", "cosine"])
    limits = {momentum: fl.max_stable_lr(problem, shuffled(64, momentum=momentum)) for momentum in found.limits}
    for momentum, limit in found.limits.items():
        assert limit == limits[momentum] or limit.method == "independent batches"
    assert all(one.sgd.lr <= 0.9 * limits[one.sgd.momentum] for one in found.candidates)


def test_plans_of_large_data_stay_below_that_of_independent_batches_of_both_sizes():
    problem = one_left_over()
    both = [fl.max_stable_lr(problem, fl.SGD(1.0, b, sampling="without_replacement")) for b in (64, 1)]
    assert independent_limit(problem, shuffled(64)) == min(both)


def test_a_search_that_finds_no_stable_rate_says_so():
    with pytest.raises(NotConverged):
        epoch_limit._first_crossing(lambda _: 1.0, 0.0, 0.7, 1e-6)
    with pytest.raises(NotConverged):
        epoch_limit._first_zero(lambda _: -1.0, 1.0)
