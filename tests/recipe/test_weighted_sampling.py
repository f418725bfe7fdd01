"""`WeightedSampling` and `sample_weight` at the door: what is accepted, and where recipe and problem meet."""

import json

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import FluctuaError, InvalidInput
from fluctua.problem.subsample import part

BAD = {
    "negative": ([1.0, -0.5], "must be at least 0, got -0.5 at index 1"),
    "not finite": ([1.0, np.nan], "holds nan at index"),
    "all zero": ([0.0, 0.0], "all 0"),
    "empty": ([], "is empty"),
    "a matrix": ([[1.0, 2.0]], r"must have shape \(samples,\)"),
    "text": (["a", "b"], "real numbers"),
    "hardly there": ([1.0, 1e-14], "less than 1e-12 of the mean"),
    "vanishing": ([1e300, 1e-300], "less than 1e-12 of the mean"),
}


@pytest.mark.parametrize(("weights", "reason"), BAD.values(), ids=BAD)
def test_what_is_no_weight_is_refused_by_name(weights, reason):
    with pytest.raises(InvalidInput, match=f"weights.*{reason}"):
        fl.WeightedSampling(weights)
    with pytest.raises(InvalidInput, match=f"sample_weight.*{reason}"):
        fl.LeastSquares([[1.0], [2.0]], [[1.0], [3.0]], sample_weight=weights)


@pytest.mark.parametrize("given", [[1, 3], (1.0, 3.0), np.array([2, 6]), np.float32([0.5, 1.5]), [1e300, 3e300]])
def test_only_ratios_count(given):
    sampling = fl.WeightedSampling(given)
    assert sampling.probabilities(2).tolist() == [0.25, 0.75]
    problem = fl.LeastSquares([[1.0], [2.0]], [[1.0], [3.0]], sample_weight=given)
    assert problem.sample_weight.tolist() == [0.5, 1.5]
    assert problem.minimum().weights[0, 0] == pytest.approx((0.5 * 1 + 1.5 * 6) / (0.5 + 1.5 * 4), rel=1e-14)


def test_it_is_a_short_value():
    sampling = fl.WeightedSampling(np.arange(1, 2001))
    assert repr(sampling) == "WeightedSampling(2,000 weights, unbiased)"
    assert len(repr(fl.SGD(0.1, 2, sampling=sampling))) < 250
    assert sampling == fl.WeightedSampling(range(1, 2001))
    assert hash(sampling) == hash(fl.WeightedSampling(list(range(1, 2001))))
    assert sampling != fl.WeightedSampling(np.arange(1, 2001), unbiased=False)
    assert (sampling == "with_replacement") is False
    assert fl.SGD(0.1, 2, sampling=sampling).words == "lr 0.1, weighted batches of 2 with replacement (unbiased)"
    with pytest.raises(AttributeError):
        sampling.unbiased = False


def test_json_has_it_as_a_plain_object():
    sgd = fl.SGD(0.1, 2, sampling=fl.WeightedSampling([1, 3], unbiased=False))
    said = json.loads(json.dumps(sgd.to_dict()))
    assert said["sampling"] == {"name": "WeightedSampling", "weights": [1.0, 3.0], "unbiased": False}
    assert fl.SGD(**said) == sgd
    assert fl.SGD(0.1, 2, sampling={"name": "WeightedSampling", "weights": [1, 3]}).sampling.unbiased


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"name": "Weighted", "weights": [1, 2]},
        {"name": "WeightedSampling"},
        {"name": "WeightedSampling", "weights": [1, 2], "more": 1},
        {"name": "WeightedSampling", "weights": [1, 2], "unbiased": 3},
        [1.0, 2.0],
        fl.WeightedSampling,
    ],
)
def test_another_description_is_refused(given):
    with pytest.raises(FluctuaError):
        fl.SGD(0.1, 2, sampling=given)


@pytest.mark.parametrize("given", [np.ones(3), [1.0, 2.0], fl.WeightedSampling])
def test_weights_alone_are_told_what_to_be_wrapped_in(given):
    with pytest.raises(InvalidInput, match=r"sampling must be one of .*, or fluctua\.WeightedSampling\(weights\), got"):
        fl.SGD(0.1, 2, sampling=given)


def test_epochs_are_none_of_it():
    sgd = fl.SGD(0.1, 2, sampling=fl.WeightedSampling([1, 2]))
    assert not sgd.epochs
    with pytest.raises(InvalidInput, match=r"sampling = 'weighted' draws independent batches"):
        sgd.batch_sizes(2)
    with pytest.raises(InvalidInput, match=r"drop_last needs epochs, and sampling = WeightedSampling\(2 weights"):
        fl.SGD(0.1, 2, sampling=fl.WeightedSampling([1, 2]), drop_last=True)


def weighted(count=59, **options):
    return fl.SGD(0.02, 4, sampling=fl.WeightedSampling(np.arange(count) + 1.0, **options))


@pytest.mark.parametrize("ask", [fl.predict, fl.max_stable_lr, lambda p, s: fl.simulate(p, s, steps=2, replicas=2)])
def test_a_weight_for_every_sample_is_asked_for_where_problem_and_recipe_meet(small_problem, ask):
    with pytest.raises(InvalidInput, match="WeightedSampling holds 59 weights for 60 samples"):
        ask(small_problem, weighted())
    with pytest.raises(InvalidInput, match="sample_weight holds 59 weights for 60 samples"):
        fl.LeastSquares(small_problem.inputs, small_problem.targets, sample_weight=np.ones(59))


def test_an_unbiased_draw_must_reach_every_sample_that_counts(small_problem):
    drawn = np.ones(60)
    drawn[7] = 0
    sgd = fl.SGD(0.02, 4, sampling=fl.WeightedSampling(drawn))
    with pytest.raises(InvalidInput, match=r"weight 0 for 1 samples that the loss has, sample 7 first"):
        fl.predict(small_problem, sgd)
    x, y = small_problem.inputs, small_problem.targets
    left_out = fl.predict(fl.LeastSquares(x, y, sample_weight=drawn), sgd)
    others = fl.LeastSquares(x[drawn > 0], y[drawn > 0])
    np.testing.assert_allclose(left_out.optimum, others.minimum().weights, rtol=1e-11, atol=1e-14)
    assert left_out.excess_loss == pytest.approx(fl.predict(others, fl.SGD(0.02, 4)).excess_loss, rel=1e-11)


def test_a_problem_as_drawn_is_not_drawn_in_another_way(small_problem):
    drawn = fl.predict(small_problem, weighted(60)).law.problem
    assert fl.predict(drawn, weighted(60)).law.problem is drawn
    for sampling in ("with_replacement", "shuffle", fl.WeightedSampling(np.ones(60))):
        with pytest.raises(InvalidInput, match=r"Use the (problem|one) that it was made from"):
            fl.predict(drawn, fl.SGD(0.01, 4, sampling=sampling))


def test_rows_without_inputs_are_refused_where_only_they_count():
    with pytest.raises(InvalidInput, match="inputs of 0 alone"):
        fl.LeastSquares([[0.0], [2.0]], [[1.0], [3.0]], sample_weight=[1, 0])
    problem = fl.LeastSquares([[0.0], [2.0]], [[1.0], [3.0]])
    with pytest.raises(InvalidInput, match="inputs of 0 alone"):
        fl.predict(problem, fl.SGD(0.1, 1, sampling=fl.WeightedSampling([1, 0], unbiased=False)))


def test_rows_are_not_called_equal_because_their_weights_make_them_so():
    problem = fl.LeastSquares([[1.0], [2.0], [4.0]], [1.0, 2.0, 3.5], sample_weight=[16, 4, 1])
    assert np.ptp(problem.inputs) == 0
    assert problem.minimum().weights[0, 0] == pytest.approx((16 + 4 * 4 + 14) / (3 * 16), rel=1e-14)
    with pytest.raises(InvalidInput, match="inputs are constant"):
        fl.LeastSquares([[1.0], [1.0]], [1.0, 2.0], sample_weight=[1, 2])


@pytest.mark.parametrize("unbiased", [True, False])
def test_one_sample_drawn_again_and_again_has_no_noise(unbiased):
    x, y = np.array([[1.0, 2.0], [2.0, 1.0], [4.0, 1.0]]), [1.0, 2.0, 3.5]
    problem = fl.LeastSquares(x, y, sample_weight=[0, 1, 0])
    sgd = fl.SGD(0.01, 1, weight_decay=0.1, sampling=fl.WeightedSampling([0, 1, 0], unbiased=unbiased))
    with pytest.raises(InvalidInput, match="a single sample has no gradient noise"):
        fl.predict(problem, sgd)


def test_float32_labels_and_a_part_keep_their_weights(digits):
    weights = 1 + digits.inputs[:, 20]
    problem = fl.LeastSquares(digits.inputs.astype(np.float32), digits.labels, sample_weight=weights)
    double = fl.LeastSquares(digits.inputs, digits.labels, sample_weight=weights)
    assert problem.inputs.dtype == problem.targets.dtype == np.float32
    assert problem.coding.kind == "labels"
    assert repr(problem).endswith("float32, weighted)")
    assert problem.minimum().loss == pytest.approx(double.minimum().loss, rel=1e-5)
    sgd = fl.SGD(0.05, 8, sampling=fl.WeightedSampling(weights))
    drawn = sgd.seen(double)
    small, minimum = part(drawn, drawn.minimum(), 900, slice(20))
    assert small.importance.shape == (900,)
    np.testing.assert_allclose(minimum.noise, drawn.minimum().noise[:20, :20])
    whole = float(fl.max_stable_lr(part(drawn, drawn.minimum(), 1797, slice(20))[0], sgd))
    assert float(fl.max_stable_lr(small, sgd)) == pytest.approx(whole, rel=0.05)
