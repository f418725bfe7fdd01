"""The accuracy of a probe: its integral against SciPy's, its covariances against enumeration, and against real runs."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.theory.margins import chances
from fluctua.theory.output_noise import Solved
from helpers.enumeration import Enumeration, tiny
from helpers.trained import accuracies, trained

RNG = np.random.default_rng(3)
X = RNG.normal(size=(80, 6))
LABELS = (X @ RNG.normal(size=(6, 3)) + 0.8 * RNG.normal(size=(80, 3))).argmax(axis=1)


def gaussians(outputs, count=40):
    rng = np.random.default_rng(outputs)
    roots = rng.normal(size=(count, outputs, outputs))
    return 2 * rng.normal(size=(count, outputs)), roots @ roots.transpose(0, 2, 1), rng.integers(outputs, size=count)


def by_scipy(mean, covariance, label):
    """To 5e-5, in a twelfth of the time of 1e-5: a hundredth of what is allowed each, and forty errors make 1e-5."""
    contrast = -np.delete(np.eye(len(mean)), label, 0)
    contrast[:, label] += 1
    law = multivariate_normal(-contrast @ mean, contrast @ covariance @ contrast.T, abseps=5e-5, releps=5e-5)
    return law.cdf(np.zeros(len(mean) - 1))


@pytest.mark.parametrize("outputs", [2, 3, 5, 10])
def test_the_chance_of_a_label_is_scipys(outputs):
    """To the stated 5e-3 in each sample and 2e-4 in the mean of forty; one margin to 6.5 standard deviations."""
    means, covariances, labels = gaussians(outputs)
    found = chances(means, covariances, labels)
    expected = np.array([by_scipy(*each) for each in zip(means, covariances, labels, strict=True)])
    each, mean = (1e-10, 1e-10) if outputs == 2 else (5e-3, 2e-4)
    assert np.abs(found - expected).max() < each
    assert abs(np.mean(found - expected)) < mean
    assert np.abs(chances(means, 1.1 * covariances, labels) - expected).max() > 2 * each  # what 10 % do


def test_the_labels_share_one_and_a_shift_of_all_outputs_changes_nothing():
    means, covariances, _ = gaussians(4)
    every = [chances(means, covariances, np.full(len(means), k)) for k in range(4)]
    np.testing.assert_allclose(np.sum(every, axis=0), 1, atol=8e-3)  # four times 2e-3
    moved = chances(means + 7.0, covariances + 3.0, np.zeros(len(means), int))
    np.testing.assert_allclose(moved, every[0], atol=1e-12)


def test_without_noise_the_largest_output_decides_and_the_first_of_equal_ones():
    means = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 2.0, 1.0]])
    assert chances(means, np.zeros((3, 3, 3)), np.array([0, 1, 1])).tolist() == [1, 0, 1]


def test_outputs_that_move_together_in_part_are_decided_by_what_is_left():
    """A covariance without full rank: the first two margins are one and the same."""
    spread = np.diag([1.0, 0.0, 0.0])
    found = chances(np.array([[0.3, 0.0, 0.0]]), spread[None], np.array([0]))
    assert found == pytest.approx(norm.cdf(0.3), abs=2e-6)


@pytest.mark.parametrize("options", [{}, {"momentum": 0.5, "weight_decay": 0.2}], ids=str)
def test_the_covariances_between_outputs_are_the_enumerated_ones(options):
    inputs, targets = tiny("general")
    truth, problem = Enumeration(inputs, targets, 0.02, 2, **options), fl.LeastSquares(inputs, targets)
    prediction = fl.predict(problem, fl.SGD(0.02, 2, **options))
    size, (outputs, features) = truth.optimum.size, truth.optimum.shape
    moment = truth.stationary()
    joint = moment[:size, :size] - np.outer(moment[:size, -1], moment[:size, -1])
    blocks = joint.reshape(outputs, features, outputs, features)
    expected = np.einsum("nd,kdle,ne->nkl", inputs, blocks, inputs)
    found = Solved(prediction, 1e-12).at(inputs @ prediction.modes, np.nan)
    np.testing.assert_allclose(found, 0.5 * (expected + expected.transpose(0, 2, 1)), rtol=1e-9, atol=1e-15)


def by_definition(prediction, inputs, labels):
    """Accuracy of Gaussian outputs with the predicted mean and `output_block`'s covariances, by SciPy."""
    weights, outputs = prediction.optimum + prediction.mean, len(prediction.optimum)
    total = 0.0
    blocks = np.array([[prediction.output_block(k, l) for l in range(outputs)] for k in range(outputs)])  # noqa: E741
    for x, label in zip(inputs, labels, strict=True):
        z = x @ prediction.modes
        total += by_scipy(weights @ x, np.einsum("d,klde,e->kl", z, blocks, z), label)
    return total / len(inputs)


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_it_is_the_definition_on_training_and_on_held_out_data(sampling):
    prediction = fl.predict(fl.LeastSquares(X[:60], LABELS[:60]), fl.SGD(0.1, 4, sampling=sampling))
    for some, given in ((slice(0, 60), ()), (slice(60, None), (X[60:], LABELS[60:]))):
        found = fl.expected_accuracy(prediction, *given, pairs=True)
        assert found.expected == pytest.approx(by_definition(prediction, X[some], LABELS[some]), abs=2e-4)
        right = (X[some] @ prediction.optimum.T).argmax(axis=1) == LABELS[some]
        assert found.optimum == right.mean()
        assert found.samples == len(right)
        assert found.pairs


def test_one_output_decides_against_the_middle_as_two_do():
    """Targets -1 and 1 are the difference of two one-hot columns, so the decisions are the same."""
    two = (LABELS > 0).astype(int)
    sgd = fl.SGD(0.05, 4)
    pair = fl.expected_accuracy(fl.predict(fl.LeastSquares(X, two), sgd), pairs=True)
    single = fl.predict(fl.LeastSquares(X, 2.0 * two - 1), sgd)
    assert fl.expected_accuracy(single).expected == pytest.approx(pair.expected, abs=1e-3)
    chance = norm.cdf(
        (2 * two - 1) * (X @ single.optimum[0]) / np.sqrt(np.einsum("nd,de,ne->n", X, single.covariance, X))
    )
    assert fl.expected_accuracy(single).expected == pytest.approx(chance.mean(), abs=1e-10)
    assert fl.expected_accuracy(single).pairs


def test_weights_count_as_in_the_loss():
    weights = RNG.uniform(0.2, 3, len(X)) * (np.arange(len(X)) % 7 > 0)
    sgd = fl.SGD(0.05, 4)
    found = fl.expected_accuracy(fl.predict(fl.LeastSquares(X, LABELS, sample_weight=weights), sgd))
    prediction = fl.predict(fl.LeastSquares(X, LABELS), fl.SGD(0.05, 4, sampling=fl.WeightedSampling(weights, False)))
    right = (X @ prediction.optimum.T).argmax(axis=1) == LABELS
    for each in (found, fl.expected_accuracy(prediction)):
        assert each.optimum == pytest.approx(np.average(right, weights=weights), rel=1e-12)
    unbiased = fl.SGD(0.05, 4, sampling=fl.WeightedSampling(weights + 0.1))
    plain = fl.expected_accuracy(fl.predict(fl.LeastSquares(X, LABELS), unbiased))
    assert plain.optimum == fl.expected_accuracy(fl.predict(fl.LeastSquares(X, LABELS), sgd)).optimum


@pytest.mark.parametrize("average", [None, fl.EMA(0.9)])
def test_shared_out_it_keeps_the_variance_of_all_outputs(average):
    prediction = fl.predict(fl.LeastSquares(X, LABELS), fl.SGD(0.1, 4), average=average)
    solved, shared = (fl.expected_accuracy(prediction, pairs=pairs) for pairs in (True, False))
    assert shared.change == pytest.approx(solved.change, rel=0.15)
    assert not shared.pairs


def test_an_unstable_recipe_has_none_and_a_full_batch_has_that_of_its_mean():
    problem = fl.LeastSquares(X, LABELS)
    assert np.isnan(fl.expected_accuracy(fl.predict(problem, fl.SGD(9.0, 4), check_stability=False)).expected)
    whole = fl.predict(problem, fl.SGD(0.1, 80, sampling="without_replacement")).after(3, start="zero")
    right = (X @ (whole.optimum + whole.mean).T).argmax(axis=1) == LABELS
    assert fl.expected_accuracy(whole).expected == pytest.approx(right.mean(), abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"inputs": X}, "labels are missing"),
        ({"inputs": X, "labels": np.full(80, 9)}, "holds the label 9"),
        ({"inputs": X[:, :5], "labels": LABELS}, "5 features and the training data 6"),
        ({"inputs": X[:5], "labels": LABELS}, "every sample needs its label"),
        ({"inputs": X, "labels": np.full((80, 3), 0.5)}, "not a 1 in the column"),
        ({"pairs": "yes"}, "pairs"),
    ],
)
def test_what_has_no_accuracy_is_refused(arguments, told):
    prediction = fl.predict(fl.LeastSquares(X, LABELS), fl.SGD(0.1, 4))
    with pytest.raises(InvalidInput, match=told):
        fl.expected_accuracy(prediction, **arguments)


@pytest.mark.parametrize("targets", [X[:, 0], X[:, :3], np.eye(3)[LABELS] * 0.9, np.ones((80, 1))])
def test_values_have_none(targets):
    with pytest.raises(InvalidInput, match=r"accuracy (is of|needs two) labels"):
        fl.expected_accuracy(fl.predict(fl.LeastSquares(X, targets, targets_are="values"), fl.SGD(0.01, 4)))


def test_columns_do_not_know_labels_and_an_average_over_steps_has_no_moment():
    prediction = fl.predict(fl.LeastSquares(X, np.eye(3)[LABELS]), fl.SGD(0.1, 4))
    assert fl.expected_accuracy(prediction, X, np.eye(3)[LABELS]) == fl.expected_accuracy(prediction)
    with pytest.raises(InvalidInput, match="name no labels"):
        fl.expected_accuracy(prediction, X, LABELS)
    with pytest.raises(InvalidInput, match="averaged over 2"):
        fl.expected_accuracy(prediction.after([3, 4]))
    with pytest.raises(InvalidInput, match="sum over outputs"):
        fl.expected_accuracy(fl.predict(prediction.law.problem, fl.SGD(0.1, 4), theory="hessian"), pairs=True)


GAUSSIAN = 0.05
"""By how much of the loss of accuracy the Gaussian may be off here; docs/spread.md states it."""
ALPHA = MISS = 1e-4
RUNS = 2000


@pytest.mark.slow
@pytest.mark.statistical(alpha=ALPHA, miss=3 * MISS)
def test_real_runs_find_the_labels_as_often_as_predicted(digits_problem, digits):
    """Digits, lr 0.05, b 8, 300 steps from W*: how far the accuracy falls in 2,000 runs, a normal test of their mean.

    The prediction p is rejected where it is farther than 5 % of p and z(alpha/2) standard errors s from the mean m. If
    p is within 5 % of the truth, that happens with probability alpha at most. A mutant q is missed with probability
    MISS at most where it is z(MISS) s outside that window of the truth, which is within 5 % of p.
    """
    sgd, steps = fl.SGD(0.05, 8), 300
    prediction = fl.predict(digits_problem, sgd).after(steps)
    found = fl.expected_accuracy(prediction, pairs=True)
    mean, error = measured_fall(prediction, sgd, steps, digits, found.optimum)
    assert within(-found.change, mean, error)
    means, noise = digits.inputs @ (prediction.optimum + prediction.mean).T, Solved(prediction, 1e-3)
    covariances = noise.at(digits.inputs @ prediction.modes, np.nan)
    fall = lambda changed: found.optimum - chances(means, changed, digits.labels).mean()  # noqa: E731
    assert fall(covariances) == pytest.approx(-found.change, rel=1e-9)
    alike = noise.variances(digits.inputs @ prediction.modes)[:, None, None] * np.eye(10) / 10
    for mutant in (fall(0.75 * covariances), fall(1.25 * covariances), fall(alike)):
        needed = GAUSSIAN * (mutant - found.change) + (norm.isf(ALPHA / 2) + norm.isf(MISS)) * error
        assert abs(mutant + found.change) > needed  # so that MISS is what it says
        assert not within(mutant, mean, error)


def within(predicted, mean, error):
    """Whether the mean of the runs, with its standard error, is what was predicted, to what the Gaussian costs."""
    return abs(predicted - mean) <= GAUSSIAN * predicted + norm.isf(ALPHA / 2) * error


def measured_fall(prediction, sgd, steps, data, optimum):
    """Mean fall of the accuracy from that at W*, over RUNS, and its standard error."""
    rng, labels = np.random.default_rng(31), data.labels
    found = [
        accuracies(
            trained(data.inputs, data.targets, sgd, steps, RUNS // 8, rng, prediction.optimum), data.inputs, labels
        )
        for _ in range(8)
    ]
    falls = optimum - np.concatenate(found)
    return falls.mean(), falls.std(ddof=1) / np.sqrt(RUNS)


def test_many_samples_take_fewer_points_each_and_the_mean_stays():
    rng = np.random.default_rng(3)
    means, factors = rng.normal(size=(6000, 5)), 0.5 * rng.normal(size=(6000, 5, 5))
    covariances, labels = factors @ factors.transpose(0, 2, 1), rng.integers(5, size=6000)
    parts = [chances(means[rows], covariances[rows], labels[rows]) for rows in (slice(0, 3000), slice(3000, None))]
    found, finer = chances(means, covariances, labels), np.concatenate(parts)
    assert 0 < np.abs(found - finer).max() < 2e-2
    assert found.mean() == pytest.approx(finer.mean(), abs=1e-4)
