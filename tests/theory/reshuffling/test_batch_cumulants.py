"""F41 and F42: joint cumulants of the batches of one epoch, against all orders of six samples."""

from itertools import permutations

import numpy as np
import pytest

from fluctua.theory.reshuffling.batch_cumulants import BatchCumulants

SIZES = (2, 2, 1, 1)


@pytest.fixture(scope="module")
def batches():
    return BatchCumulants(6)


@pytest.fixture(scope="module")
def values():
    """Five numbers of every sample, whose averages over the samples are zero, (5, 6)."""
    numbers = np.random.default_rng(0).normal(size=(5, 6))
    return numbers - numbers.mean(axis=1, keepdims=True)


def batch_means(numbers):
    """Of every order, (orders, batches)."""
    ordered = numbers[np.array(list(permutations(range(6))))]
    return np.array([each.mean(axis=1) for each in np.split(ordered, np.cumsum(SIZES)[:-1], axis=1)]).T


@pytest.mark.parametrize("size", [1, 2])
def test_the_variance_of_a_batch_and_the_covariance_of_two(batches, values, size):
    """F41."""
    one, other = batch_means(values[0]), batch_means(values[1])
    at, common = SIZES.index(size), (values[0] * values[1]).mean()
    assert np.mean(one[:, at] * other[:, at]) == pytest.approx(
        (batches.variance(size) - batches.eps) * common, rel=1e-12
    )
    for elsewhere in set(range(4)) - {at}:
        assert np.mean(one[:, at] * other[:, elsewhere]) == pytest.approx(-batches.eps * common, rel=1e-12)


def test_the_third_cumulant_of_three_batches(batches, values):
    """F42, c_3."""
    one, two, three = (batch_means(each) for each in values[:3])
    expected = (values[0] * values[1] * values[2]).mean()
    for places in permutations(range(4), 3):
        found = np.mean(one[:, places[0]] * two[:, places[1]] * three[:, places[2]])
        assert found == pytest.approx(batches.three * expected, rel=1e-12)


@pytest.mark.parametrize("size", [1, 2])
def test_the_third_cumulant_of_a_batch_twice_and_another_one(batches, values, size):
    """F42, c_2."""
    one, two, three = (batch_means(each) for each in values[:3])
    at, expected = SIZES.index(size), (values[0] * values[1] * values[2]).mean()
    for elsewhere in set(range(4)) - {at}:
        found = np.mean(one[:, at] * two[:, at] * three[:, elsewhere])
        assert found == pytest.approx(batches.two(size) * expected, rel=1e-12)


@pytest.mark.parametrize(("size", "other"), [(2, 2), (1, 2), (1, 1)])
def test_the_fourth_cumulant_of_a_sample_s_products_in_two_batches(batches, values, size, other):
    """F42, c_4: what the squares of one sample, in one batch and in another, have in common."""
    one, two = (batch_means(values[k] * values[k + 1]) for k in (0, 2))
    at = SIZES.index(size)
    elsewhere = next(k for k, found in enumerate(SIZES) if found == other and k != at)
    covariance = np.mean(values[0] * values[1] * values[2] * values[3])
    covariance -= np.mean(values[0] * values[1]) * np.mean(values[2] * values[3])
    found = np.mean(one[:, at] * two[:, elsewhere]) - one.mean(axis=0)[at] * two.mean(axis=0)[elsewhere]
    assert found / (size * other) == pytest.approx(batches.four(size, other) * covariance, rel=1e-12)


def test_two_samples_have_no_third_batch():
    assert BatchCumulants(2).three == 2
