"""What a two-layer net refuses, at its door and before any work."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import FarDrift, InvalidInput
from fluctua.studies import layers
from helpers.two_layers import steep_digits, tiny

WIDE = {"samples": 7, "features": 3, "outputs": 2, "hidden": 3}


def test_a_bottleneck_is_refused_with_the_rank():
    with pytest.raises(InvalidInput, match=r"hidden = 4 units cannot hold the optimum W\*, of rank 10"):
        layers.TwoLayer(steep_digits(), hidden=4)


@pytest.mark.parametrize("hidden", [0, -1, 2.5, "ten", True])
def test_hidden_units_are_counted(hidden):
    with pytest.raises(InvalidInput, match="hidden"):
        layers.TwoLayer(steep_digits(), hidden=hidden)


def test_a_split_has_a_name():
    with pytest.raises(InvalidInput, match=r"split 'balance'\. Did you mean 'balanced'"):
        layers.TwoLayer(steep_digits(), split="balance")


def test_data_that_are_fitted_exactly_are_refused():
    with pytest.raises(InvalidInput, match="fits all 3 samples exactly"):
        layers.TwoLayer(fl.LeastSquares(np.eye(3), np.eye(3)), hidden=3)


@pytest.mark.parametrize("problem", [None, np.eye(3), fl.SGD(lr=0.1, batch_size=1)])
def test_the_problem_is_least_squares(problem):
    with pytest.raises(InvalidInput, match="problem"):
        layers.TwoLayer(problem)


def test_weights_off_the_manifold_are_refused_with_how_far():
    net = tiny(**WIDE)
    first, second = net.first @ net.problem.modes.T, net.second
    with pytest.raises(InvalidInput, match=r"off the manifold W2 W1 = W\*: their loss exceeds L\* = .* by .*%"):
        layers.TwoLayer(net.problem, weights=(1.05 * first, second))
    near = layers.TwoLayer(net.problem, weights=(first * (1 + 1e-6), second))
    assert np.abs(near.second @ near.first - net.second @ net.first).max() < 1e-12  # brought onto it


@pytest.mark.parametrize(
    "weights",
    [
        np.eye(3),
        (np.eye(3),),
        (np.ones((3, 4)), np.ones((2, 3))),
        (np.ones((3, 3)), np.ones((2, 4))),
        (np.full((3, 3), np.nan), np.ones((2, 3))),
        ("a", "b"),
    ],
)
def test_weights_are_two_matrices_that_fit(weights):
    with pytest.raises(InvalidInput, match="weights"):
        layers.TwoLayer(tiny(**WIDE).problem, weights=weights)


def test_weights_say_how_many_units_there_are():
    net = tiny(**WIDE)
    given = (net.first @ net.problem.modes.T, net.second)
    assert layers.TwoLayer(net.problem, weights=given).hidden == 3
    with pytest.raises(InvalidInput, match="hidden = 4"):
        layers.TwoLayer(net.problem, hidden=4, weights=given)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"momentum": 0.9}, "momentum = 0.9 is not covered.*first order in lr"),
        ({"weight_decay": 0.01}, "weight_decay = 0.01 is not covered.*another one"),
        ({"schedule": fl.schedules.CosineAnnealingLR(100)}, "a schedule is not covered"),
        ({"sampling": "shuffle"}, "independent batches"),
        ({"sampling": fl.WeightedSampling([1.0] * 7)}, "weighted sampling"),
    ],
)
def test_recipes_that_were_not_derived_are_refused_by_every_verb_with_the_reason(options, reason):
    net, sgd = tiny(**WIDE), fl.SGD(lr=0.01, batch_size=2, **options)
    for verb in (
        fl.predict,
        fl.max_stable_lr,
        lambda *given: fl.simulate(*given, steps=10, replicas=4),
        lambda *given: fl.verify(*given, steps=30, replicas=16),
    ):
        with pytest.raises(InvalidInput, match=f"(?s){reason}"):
            verb(net, sgd)


def test_other_optimisers_and_averages_are_refused():
    net = tiny(**WIDE)
    with pytest.raises(InvalidInput, match=r"fluctua\.SGD alone"):
        fl.predict(net, fl.QHM(lr=0.01, batch_size=2, momentum=0.9, nu=0.7))
    with pytest.raises(InvalidInput, match="averages of the weights"):
        fl.predict(net, fl.SGD(lr=0.01, batch_size=2), average=fl.EMA(0.9))


def test_a_rate_beyond_the_limit_of_the_net_is_refused_with_that_limit():
    """Two layers lower the limit from 0.191 to 0.0164."""
    net = layers.TwoLayer(steep_digits(None))
    assert net.edge == pytest.approx(0.016420, abs=1e-6)
    with pytest.raises(fl.UnstableSGD) as refused:
        fl.predict(net, fl.SGD(lr=0.05, batch_size=8))
    assert refused.value.max_stable_lr == net.edge
    assert (
        fl.predict(net, fl.SGD(lr=0.05, batch_size=8), theory="discrete", check_stability=False).after(3).excess_loss
        > 0
    )


def test_a_far_drift_is_warned_of():
    net, sgd = tiny(**WIDE), fl.SGD(lr=0.1 * tiny(**WIDE).edge, batch_size=1)
    with pytest.warns(FarDrift, match="drifts by") as warned:
        fl.predict(net, sgd, theory="langevin").after(100_000)
    assert warned[0].message.share > 0.05
    assert warned[0].message.steps == 100_000


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"steps": 0}, "steps"),
        ({"replicas": 3}, "replicas"),
        ({"records": 11}, "records"),
        ({"records": [0, 5]}, "records"),
        ({"records": [5, 11]}, "records"),
        ({"records": "all"}, "records"),
        ({"threads": 0}, "threads"),
        ({"rng": "seed"}, "rng"),
        ({"progress": 3}, "progress"),
    ],
)
def test_runs_are_refused_before_they_begin(options, word):
    net = tiny(**WIDE)
    with pytest.raises(InvalidInput, match=word):
        fl.simulate(net, fl.SGD(lr=0.01, batch_size=2), **{"steps": 10, "replicas": 8, **options})


def test_batches_larger_than_the_data_are_refused():
    sgd = fl.SGD(lr=0.01, batch_size=8, sampling="without_replacement")
    for verb in (fl.predict, lambda *given: fl.simulate(*given, steps=3, replicas=4)):
        with pytest.raises(InvalidInput, match="8"):
            verb(tiny(**WIDE), sgd)


@pytest.mark.parametrize(
    "options", [{"theory": "exact"}, {"level": 2.0}, {"resolution": 0.0}, {"steps": 5}, {"nodes": 0}]
)
def test_verify_is_refused_before_it_begins(options):
    with pytest.raises(InvalidInput, match=next(iter(options))):
        fl.verify(tiny(**WIDE), fl.SGD(lr=0.01, batch_size=2), **{"steps": 30, "replicas": 16, **options})


def test_a_prediction_has_two_layers_and_a_drift_at_finite_time():
    prediction = fl.predict(tiny(**WIDE), fl.SGD(lr=0.01, batch_size=2))
    with pytest.raises(InvalidInput, match="layers 1 and 2"):
        prediction.layer(3)
    with pytest.raises(InvalidInput, match=r"\.after\(steps\)\.balance_drift"):
        prediction.balance_drift  # noqa: B018
    with pytest.raises(InvalidInput, match="steps"):
        prediction.after([-1])


def test_other_verbs_say_which_take_a_net():
    with pytest.raises(InvalidInput, match=r"fluctua\.predict, fluctua\.simulate, fluctua\.verify"):
        fl.learning_curve(tiny(**WIDE), fl.SGD(lr=0.01, batch_size=2), steps=3)


def test_layers_without_a_slope_say_so_in_silence():
    start = fl.predict(tiny(**WIDE), fl.SGD(lr=0.01, batch_size=2)).after(0)
    assert np.isnan(start.flatness_slope)
    assert start.to_dict()["flatness_slope"] is None
    alike = layers.Layer(2, np.diag([3.0, 2.0]), np.diag([0.3, 0.1 + 0.2]), 1.0, (2, 1))  # but for rounding
    assert np.isnan(alike.slope)


def test_a_spectrum_needs_noise():
    with pytest.raises(InvalidInput, match="fit the data exactly"):
        layers.spectrum_moments(10, 10)
    with pytest.raises(InvalidInput, match="exactly"):
        layers.noise_spectrum(fl.LeastSquares(np.eye(3), np.eye(3)))
