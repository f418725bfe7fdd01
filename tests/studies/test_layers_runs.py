"""Runs of two-layer nets: the compiled step against plain NumPy, what is measured of them, and the law against it."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.simulation.batches import Draws, generators, seed_sequence
from fluctua.studies import layers
from fluctua.studies.layers.frame import balance_of
from fluctua.studies.layers.stepper import descend
from helpers.two_layers import data_of, gaussian, steep_digits, tiny

EARLY = list(range(10, 20))
FAR = 5.3  # standard errors: 1.2e-7 two-sided


def by_hand(net, batches, lr):
    """The weights of one replica after its batches, in NumPy."""
    x, y = data_of(net)
    first, second = net.first, net.second
    for rows in batches:
        hidden = x[rows] @ first.T
        error = (hidden @ second.T - y[rows]) / len(rows)
        first, second = first - lr * second.T @ error.T @ x[rows], second - lr * error.T @ hidden
    return first, second


@pytest.mark.any_seed
def test_a_compiled_step_is_the_step_by_hand():
    net = tiny(samples=9, features=3, outputs=2, hidden=4)
    batches = np.random.default_rng(0).integers(9, size=(30, 5, 4))
    x, y = data_of(net)
    first, second = (np.repeat(each[None], 5, axis=0) for each in (net.first, net.second))
    descend(first, second, x, y, batches, 0.01)
    for replica in range(5):
        one, two = by_hand(net, batches[:, replica], 0.01)
        assert np.allclose(first[replica], one, rtol=1e-12, atol=1e-14)
        assert np.allclose(second[replica], two, rtol=1e-12, atol=1e-14)


@pytest.mark.any_seed
def test_what_is_measured_is_the_covariance_about_the_replica_mean():
    net, sgd = tiny(samples=9, features=3, outputs=2, hidden=4), fl.SGD(lr=0.01, batch_size=2)
    found = fl.simulate(net, sgd, steps=12, replicas=70, rng=3, records=[5, 12], threads=2)
    runs, modes = [], net.frame.modes
    for rng in generators(seed_sequence(3), 70):
        drawn, looks = Draws([rng], 9, sgd), []
        for steps in (5, 7):
            (batches,) = drawn.batches(steps)
            looks.append(batches[:, 0])
        runs.append([by_hand(net, looks[0], 0.01), by_hand(net, np.concatenate(looks), 0.01)])
    weights = np.array([[np.concatenate([one.ravel(), two.ravel()]) for one, two in run] for run in runs])
    about = (weights - weights.mean(axis=0)) @ modes
    covariance = np.einsum("arp,arq->pq", about, about) / (2 * 69)
    assert np.allclose(found.mode_covariance, covariance, rtol=1e-9, atol=1e-18)
    assert np.allclose(found.replica_variances.mean(axis=0), found.mode_variances)
    assert found.replica_traces.mean(axis=0) == pytest.approx([found.layer(1).trace, found.layer(2).trace])
    balance = np.mean([balance_of(*run[1]) for run in runs], axis=0) - net.balance
    assert np.allclose(found.balance_drift, balance, atol=1e-14)
    assert np.trace(balance) == pytest.approx(found.replica_drifts.mean())
    again = fl.simulate(net, sgd, steps=12, replicas=70, rng=3, records=[5, 12], threads=1)
    assert again == found
    assert "variance_error" in found.columns()
    assert repr(found).startswith("LayersMeasurement(70 replicas")


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
def test_the_early_window_on_digits_obeys_the_law_and_no_other():
    """2,048 runs of 20 steps: excess loss, traces, slope and drift within 5.3 standard errors of sampling alone.

    An error of 5 % is 6.8 standard errors of the excess loss, 11 of a trace: together it is missed with far less than
    1e-6. The slope of a law that "flat directions fluctuate more" lies hundreds of them off.
    """
    net, sgd = layers.TwoLayer(steep_digits()), fl.SGD(lr=0.02, batch_size=8)
    found = fl.simulate(net, sgd, steps=20, replicas=2048, records=EARLY, rng=1)
    (law,) = fl.predict(net, sgd).over([EARLY])
    assert scores(found, law) < FAR
    assert scores(found, law, 1.05) > FAR
    assert scores(found, law, 0.95) > FAR
    slopes = found.slopes_along(law.layer(2))
    error = slopes.std(ddof=1) / np.sqrt(len(slopes))
    assert abs(slopes.mean() - law.flatness_slope) < 7.5 * error  # Student's t of 31 degrees of freedom: 2e-8
    assert slopes.mean() > 2
    for rung in ("langevin", "isotropic"):  # the drift to leading order is 20 standard errors off
        assert scores(found, fl.predict(net, sgd, theory=rung).after(EARLY)) > FAR


def scores(found, law, factor=1.0):
    """The largest deviation of excess loss, traces and drift, in standard errors."""
    numbers = [found.replica_excess, *found.replica_traces.T, found.replica_drifts]
    said = [law.excess_loss, law.layer(1).trace, law.layer(2).trace, np.trace(law.balance_drift)]
    return max(
        abs(x.mean() - factor * y) / (x.std(ddof=1) / np.sqrt(len(x))) for x, y in zip(numbers, said, strict=True)
    )


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
def test_gaussian_inputs_at_the_split_of_noise():
    """C of the study: 256 runs of 2,000 steps; the law's own error, O(lr), is added to that of sampling."""
    net = layers.TwoLayer(gaussian(), hidden=8, split="noise")
    sgd = fl.SGD(lr=0.01, batch_size=16)
    late = list(range(1000, 2000, 50))
    law = fl.predict(net, sgd).after(late)
    assert [law.layer(1).trace, law.layer(2).trace] == pytest.approx([0.0272516, 0.0125260], rel=3e-4)
    assert law.quadratic_loss == pytest.approx(0.0409219, rel=3e-4)
    assert law.flatness_slope == pytest.approx(0.759837, abs=3e-3)
    found = fl.simulate(net, sgd, steps=2000, replicas=256, records=late, rng=1)
    for numbers, said in ((found.replica_excess, law.excess_loss), (found.replica_traces[:, 1], law.layer(2).trace)):
        error = np.hypot(numbers.std(ddof=1) / 16, law.stated_error * said)
        assert abs(numbers.mean() - said) < FAR * error
        assert abs(numbers.mean() - 1.05 * said) > FAR * error
