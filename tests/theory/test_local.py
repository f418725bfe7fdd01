"""The local theory of heads on digits, F74 to F77 and F79: rungs, their validity, the crossover, shuffled epochs."""

from __future__ import annotations

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, OutsideBowl, UnstableRates
from fluctua.problem.softmax.leading import leading_modes
from fluctua.theory.local.balance import Balance
from fluctua.theory.local.bent_way import _shifts

RUNGS = ("langevin", "discrete", "multiplicative", "anharmonic")
FLOORS = {  # as derived and measured apart from this code
    0.1: (0.00763, 0.00783, 0.00793, 0.00799),
    0.3: (0.02289, 0.02481, 0.02586, 0.02654),
    0.6: (0.0458, 0.0545, 0.0599, 0.0638),
    1.0: (0.0763, 0.1058, 0.1288, 0.1497),
}
MEASURED = {0.1: (0.00798, 1e-5), 0.3: (0.02641, 5e-5), 0.6: (0.0627, 3e-4), 1.0: (0.1454, 1.5e-3)}
"""Runs of another program with a twin as a control variate, and their standard errors."""
METER = {0.1: (0.008, 5e-4), 0.3: (0.026, 5e-4), 0.6: (0.065, 5e-4), 1.0: (0.16, 5e-3)}
"""Anharmonicity, and half of the last digit that was kept of it."""
SHUFFLED = {0.1: (0.005774, 8.4e-5)}
MOMENTUM = {False: (0.024375, 5.7e-5), True: (0.021983, 4.4e-5)}
"""Of lr 0.03 and momentum 0.9, plain and Nesterov's."""


@pytest.fixture(scope="module")
def problem():
    data = fl.load("digits")
    return fl.Softmax(data.inputs, data.labels)


def sgd(lr, size=8, **options):
    return fl.SGD(lr=lr, batch_size=size, weight_decay=1e-2, **options)


def test_the_optimum_of_digits(problem):
    minimum = problem.minimum(1e-2)
    assert minimum.loss == pytest.approx(0.741462, abs=5e-7)
    assert minimum.noise_trace == pytest.approx(2.44128, abs=5e-6)
    assert minimum.accuracy == pytest.approx(0.953, abs=5e-4)
    assert minimum.curvatures[[0, -1]] == pytest.approx([0.8586, 0.01], abs=6e-5)
    assert minimum.gradient_norm < 1e-14


@pytest.mark.parametrize("lr", [0.3, *(pytest.param(lr, marks=pytest.mark.slow) for lr in (0.1, 0.6, 1.0))])
def test_the_rungs_of_digits(problem, lr):
    balance = Balance(problem, sgd(lr))
    found = [balance.state(rung).excess_loss for rung in RUNGS]
    assert found == pytest.approx(FLOORS[lr], rel=1e-3)
    floor, error = MEASURED[lr]
    meter, digits = METER[lr]
    assert balance.anharmonicity == pytest.approx(meter, abs=digits)
    assert abs(found[3] - floor) < 0.3 * meter * floor + 2 * error
    assert abs(found[2] - floor) < meter * floor + 2 * error


@pytest.mark.slow
@pytest.mark.parametrize(("lr", "floor"), [(0.3, 0.02640), (0.6, 0.0623), (1.0, 0.1367)])
def test_the_closure_of_digits(problem, lr, floor):
    found = Balance(problem, sgd(lr)).state("closure")
    assert abs(found.excess_loss - floor) < 4 * found.error + 1e-3 * floor


def test_traces_of_the_noise_need_no_matrix(problem):
    minimum = problem.minimum(1e-2)
    picture = minimum.picture
    exact = [np.diag(picture.noise) @ picture.curvatures**j for j in range(4)]
    traces, errors = minimum.noise_traces(4, probes=64)
    assert traces[0] == pytest.approx(exact[0], rel=1e-12)
    assert (np.abs(traces - exact)[1:] < 4 * errors[1:]).all()
    assert (errors[1:] < 0.1 * np.array(exact[1:])).all()
    # the second order of the floor in the learning rate, eta^2 kappa tr(C H)/8
    assert exact[1] / 8 / 8 == pytest.approx(0.0192, abs=5e-5)


def test_langevin_is_a_trace(problem):
    balance = Balance(problem, sgd(0.3))
    trace = problem.minimum(1e-2).noise_trace
    assert balance.state("langevin").excess_loss == pytest.approx(0.3 / 8 * trace / 4, rel=1e-13)


@pytest.mark.parametrize(
    ("size", "limit"),
    [(64, 2.2735), *(pytest.param(*one, marks=pytest.mark.slow) for one in [(1, 0.6893), (8, 1.9040)])],
)
def test_the_crossover_of_digits(problem, size, limit):
    found = fl.max_stable_lr(problem, sgd(0.1, size))
    assert found == pytest.approx(limit, abs=6e-5)
    assert found.method == "local"


@pytest.mark.slow
@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_at_the_local_level(problem, nesterov):
    found = fl.predict(problem, sgd(0.03, momentum=0.9, nesterov=nesterov))
    floor, error = MOMENTUM[nesterov]
    assert found.theory == "anharmonic"
    assert abs(found.excess_loss - floor) < 3 * error
    assert abs(Balance(problem, found.balance.sgd).state("discrete").excess_loss - floor) > 10 * error


@pytest.mark.slow
def test_shuffled_epochs_are_quieter_than_independent_batches(problem):
    found = fl.predict(problem, sgd(0.1, sampling="shuffle"))
    floor, error = SHUFFLED[0.1]
    assert abs(found.excess_loss - floor) < 2 * error
    assert FLOORS[0.1][3] - floor > 2.5 * error  # what independent batches have


def test_beyond_the_bowl_there_is_no_floor_but_a_crossover(problem):
    with pytest.raises(OutsideBowl, match=r"The crossover is at lr = 1\.90403") as caught:
        fl.predict(problem, sgd(2.0))
    assert caught.value.max_stable_lr == pytest.approx(1.9040, abs=1e-4)
    assert caught.value.anharmonicity == np.inf
    forced = fl.predict(problem, sgd(2.0), theory="discrete", check_stability=False)
    assert (forced.bowl, forced.excess_loss) == ("outside", pytest.approx(0.468, abs=1e-3))
    assert fl.predict(problem, sgd(2.0), check_stability=False).excess_loss == np.inf


@pytest.mark.slow
def test_a_meter_above_30_percent_is_refused_below_the_crossover(problem):
    with pytest.raises(OutsideBowl, match="anharmonicity is 81%"):
        fl.predict(problem, sgd(1.5), theory="multiplicative")
    edge = fl.predict(problem, sgd(1.0))
    assert (edge.bowl, edge.theory) == ("edge", "anharmonic")


@pytest.fixture(scope="module")
def few():
    """Two classes in eight inputs."""
    data = fl.load("digits", classes=[3, 8], limit=120)
    return fl.Softmax(data.inputs[:, 18:26], data.labels)


def test_a_full_batch_has_no_floor(few):
    found = fl.predict(few, sgd(0.1, 120, sampling="without_replacement"))
    assert (found.excess_loss, found.bowl) == (0.0, "inside")
    assert found.limit == pytest.approx(2 / found.curvatures[0])


@pytest.mark.parametrize("rung", ["multiplicative", "anharmonic", "closure"])
def test_finite_time_ends_at_the_floor_of_its_rung(few, rung):
    found = fl.predict(few, sgd(0.2), theory=rung)
    late = found.after(20_000, rtol=1e-6)
    assert late.theory == rung
    assert late.excess_loss == pytest.approx(found.excess_loss, rel=1e-5)
    np.testing.assert_allclose(late.covariance, found.covariance, rtol=0, atol=1e-5 * np.abs(found.covariance).max())
    np.testing.assert_allclose(late.mode_mean, found.mode_mean, rtol=0, atol=1e-5 * np.abs(found.mode_mean).max())
    curve = found.after(50, curve=True)
    assert curve.curve[-1] == pytest.approx(curve.excess_loss, rel=1e-6)
    assert curve.curve[0] == 0


@pytest.mark.parametrize("sampling", ["with_replacement", "shuffle"])
def test_a_law_that_has_settled_is_not_followed_any_further(few, sampling):
    """A thousand million steps take no longer than those until it has; in epochs of 15 a step keeps its place."""
    found = fl.predict(few, sgd(0.2, sampling=sampling))
    near, far = found.after([30_003, 30_007]), found.after([3 + 30_000 * 10**6, 7 + 30_000 * 10**6])
    assert far.steps == (3 + 30_000 * 10**6, 7 + 30_000 * 10**6)
    assert far.excess_loss == pytest.approx(near.excess_loss, rel=1e-6)
    np.testing.assert_allclose(far.covariance, near.covariance, rtol=0, atol=1e-6 * np.abs(near.covariance).max())
    np.testing.assert_allclose(far.mode_mean, near.mode_mean, rtol=0, atol=1e-6 * np.abs(near.mode_mean).max())
    with pytest.raises(InvalidInput, match=r"a learning curve of 10,000,000,000,000 steps would take"):
        found.after(10**13, curve=True)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_mean_that_is_shifted_outlives_the_noise_that_shifted_it(momentum):
    """F168, step by step: the noise is there for 50 steps, and then it is not."""
    h, settled, loudness = np.array([1.0, 0.02]), np.array([0.3, -0.2]), np.repeat([1.0, 0.0], 50)
    expected, weights, buffer = {0: np.zeros(2)}, np.zeros(2), np.zeros(2)
    for step in range(100):
        buffer = momentum * buffer + h * (weights - settled * loudness[step])
        weights = weights - 0.1 * buffer
        expected[step + 1] = weights
    steps = [0, 1, 50, 50, 80, 100]
    found = _shifts(fl.SGD(lr=0.1, batch_size=1, momentum=momentum), h, settled, loudness, steps)
    np.testing.assert_allclose(found, [expected[step] for step in steps], atol=1e-14)
    assert abs(found[-1, 1]) > 0.05 * abs(settled[1])  # the flat mode has kept some


def test_a_schedule_is_followed(few):
    halved = fl.predict(few, sgd(0.2, schedule=[1.0] * 10 + [0.5] * 10))
    assert halved.after(10).excess_loss == pytest.approx(fl.predict(few, sgd(0.2)).after(10).excess_loss, rel=1e-6)
    loud = fl.predict(few, sgd(0.2, schedule=[1.0] * 10 + [500.0] * 2))
    with pytest.warns(UnstableRates, match="at 2 steps"):
        loud.after(12)


def test_results_are_tables(few):
    found = fl.predict(few, sgd(0.2))
    assert list(found.columns()) == ["mode", "curvature", "variance", "temperature", "relaxation_steps"]
    assert found.to_dict()["bowl"] == "inside"
    assert repr(found).startswith("LocalPrediction(anharmonic, stationary: excess_loss=")
    assert "<table" in found._repr_html_()
    assert found == fl.predict(few, sgd(0.2))
    inside = np.trace(found.covariance @ found.modes * found.curvatures @ found.modes.T)
    assert found.excess_loss == pytest.approx(0.5 * inside, rel=1e-9)


@pytest.mark.parametrize(
    ("match", "options"),
    [
        ("averages of the weights are not covered", {"average": fl.EMA(0.9)}),
        ("unknown theory", {"theory": "exact"}),
        ("check_stability must be True or False", {"check_stability": 1}),
    ],
)
def test_what_is_not_covered_is_refused(few, match, options):
    with pytest.raises(InvalidInput, match=match):
        fl.predict(few, sgd(0.1), **options)


@pytest.mark.parametrize(
    ("match", "sampling", "theory"),
    [
        ("repeats one order", "sequential", None),
        ("'closure' is of independent batches", "shuffle", "closure"),
        ("not covered by the law of shuffled", "shuffle", "langevin"),
    ],
)
def test_epochs_that_have_no_law_are_refused(few, match, sampling, theory):
    with pytest.raises(InvalidInput, match=match):
        fl.predict(few, sgd(0.1, sampling=sampling), theory=theory)


def test_leading_modes_stand_for_all(problem, monkeypatch):
    whole = Balance(problem, sgd(0.3))
    some = fl.Softmax(problem.inputs, problem.answers)
    monkeypatch.setattr("fluctua.problem.softmax.optimum.MOST_MODES", 500)
    found = fl.predict(some, sgd(0.3))
    picture = found.balance.picture
    assert (picture.rank, picture.complete) == (64, False)
    assert picture.curvatures[:16] == pytest.approx(whole.picture.curvatures[:16], rel=1e-4)
    trace = np.trace(picture.noise) + picture.noise_beyond
    assert trace == pytest.approx(some.minimum(1e-2).noise_trace, rel=1e-12)
    for rung, allowed in (("langevin", 1e-12), ("discrete", 1e-4), ("multiplicative", 6e-3), ("anharmonic", 6e-3)):
        state = found.balance.state(rung)
        assert state.excess_loss == pytest.approx(whole.state(rung).excess_loss, rel=allowed)
        assert state.error < 1e-4 * state.excess_loss + 1e-15
    assert found.anharmonicity == pytest.approx(whole.anharmonicity, rel=0.03)
    limit = found.limit
    assert abs(limit - 1.9040) < 2 * limit.error
    with pytest.raises(InvalidInput, match="no law at finite time"):
        found.after(3)
    with pytest.raises(InvalidInput, match="draws weights from all modes"):
        fl.predict(some, sgd(0.3), theory="closure")


@pytest.mark.real_data
@pytest.mark.slow
def test_a_head_on_mnist():
    data = fl.load("mnist", limit=8_000)
    problem = fl.Softmax(data.inputs, data.labels)
    found = fl.predict(problem, fl.SGD(lr=0.05, batch_size=16, weight_decay=1e-2))
    minimum = problem.minimum(1e-2)
    assert problem.rank > 2_000
    assert minimum.accuracy > 0.88
    assert minimum.gradient_norm < 1e-6
    assert found.bowl == "inside"
    langevin = found.balance.state("langevin").excess_loss
    assert langevin == pytest.approx(0.05 / 16 * minimum.noise_trace / 4, rel=1e-6)
    assert found.excess_loss_error < 1e-3 * found.excess_loss
    exact = leading_modes(minimum, 256)
    assert exact.curvatures[:32] == pytest.approx(found.curvatures[:32], rel=1e-2)
