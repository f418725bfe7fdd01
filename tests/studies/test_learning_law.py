"""The law of a rate network: numbers on digits, and everything against loops and sums that share nothing with it."""

from __future__ import annotations

import numpy as np
import pytest

import fluctua as fl
from fluctua.studies import learning
from fluctua.studies.learning.foretelling import balance, response_by
from fluctua.studies.learning.patterns import pairs

SMALL = {"gain": 0.8, "noise": 0.05, "dt": 0.1}
RNG = np.random.default_rng(7)
RANDOM = RNG.normal(size=(4, 4))
COUPLINGS = {
    "symmetric": (RANDOM + RANDOM.T) / 6,
    "driven": RNG.normal(size=(4, 4)) / 2.5,
    "one way": np.diag([0.9, 0.9, 0.9], k=1),  # no eigenvectors but one
}
U, XI = RNG.normal(size=(2, 4))


@pytest.fixture(scope="module")
def digits():
    data = fl.load("digits")
    return lambda share: learning.memories(data.inputs, data.labels, share)


def net_of(coupling, **options):
    return learning.RateNetwork(coupling, **{**SMALL, **options})


def stationary_mean(coupling, pushed, *, steps=20_000, gain=0.8, dt=0.1):
    """The mean activity of a linear network, by its steps."""
    x = np.zeros(len(coupling))
    for _ in range(steps):
        x = x + dt * (-x + gain * (coupling @ x) + pushed)
    return x


@pytest.mark.parametrize(
    ("share", "trace", "two", "fastest", "slowest", "ratios", "correlation"),
    [
        (
            0.0,
            3.785808337,
            (4.104269921, 4.836725905),
            (3, 4, 10.589697887),
            (5, 7, 2.017207652),
            (1.0252, 1.0590),
            0.999996,
        ),
        (
            0.5,
            3.619080559,
            (1.196271222, 1.277591667),
            (2, 3, 1.743165597),
            (7, 8, 1.047445601),
            (1.2631, 2.7953),
            0.576,
        ),
    ],
)
def test_speeds_of_ninety_tasks_on_digits(digits, share, trace, two, fastest, slowest, ratios, correlation):
    patterns, coupling = digits(share)
    given, target = pairs(10)
    exact = fl.predict(net_of(coupling), patterns[given], patterns[target])
    product = learning.speed(net_of(coupling), patterns[given], patterns[target], theory="variances")
    named = {(i, j): v for i, j, v in zip(given, target, exact.speeds, strict=True)}
    assert np.trace(exact.covariance) == pytest.approx(trace, abs=1e-9)
    assert (named[0, 1], named[3, 8]) == pytest.approx(two, abs=1e-9)
    assert set(max(named, key=named.get)) == set(fastest[:2])  # with a symmetric coupling either way round
    assert max(named.values()) == pytest.approx(fastest[2], abs=1e-9)
    assert set(min(named, key=named.get)) == set(slowest[:2])
    assert min(named.values()) == pytest.approx(slowest[2], abs=1e-9)
    over = product / exact.speeds
    assert (over.min(), over.max()) == pytest.approx(ratios, abs=5e-5)
    assert np.corrcoef(np.log(product), np.log(exact.speeds))[0, 1] == pytest.approx(correlation, abs=5e-4)


def test_learning_time_is_not_that_of_the_initial_speed_on_digits(digits):
    patterns, coupling = digits(0.0)
    exact = fl.predict(net_of(coupling), patterns[0], patterns[1])
    assert exact.strengths(1.0)[0] == pytest.approx(4.830565, abs=5e-7)
    assert (1 - exact.starts[0]) / exact.speeds[0] == pytest.approx(0.599577, abs=5e-7)
    assert exact.overlaps(exact.strengths(1.0)[0])[0] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("memories", "gain", "mean"),
    [(0, 0.4, 0.16), (1, 0.8, 0.648893), (5, 0.95, 1.059855), (10, 0.8, 0.818030), (10, 0.95, 1.779392)],
)
def test_speed_grows_with_the_gain_and_with_every_memory(digits, memories, gain, mean):
    """E v over random tasks is g^2 gamma (tr chi/N)^2, which a basis of tasks has on average too."""
    patterns, whole = digits(0.0)
    norm = np.linalg.norm(patterns.T @ patterns, 2)
    net = net_of(patterns[:memories].T @ patterns[:memories] / norm, gain=gain)
    given, target = (each.ravel() for each in np.indices((64, 64)))
    assert learning.speed(net, np.eye(64)[given], np.eye(64)[target]).mean() == pytest.approx(mean, abs=6e-7)
    assert np.allclose(patterns.T @ patterns / norm, whole, atol=1e-15)


@pytest.mark.parametrize("name", COUPLINGS)
def test_covariance_is_the_fixed_point_of_the_steps(name):
    """F114 against a linear system of n^2 equations."""
    net = net_of(COUPLINGS[name])
    state = fl.predict(net, U, XI)
    step = np.eye(4) - 0.1 * (np.eye(4) - 0.8 * net.coupling)
    direct = np.linalg.solve(np.eye(16) - np.kron(step, step), 2 * 0.05 * 0.1 * np.eye(4).ravel()).reshape(4, 4)
    assert np.allclose(state.covariance, direct, rtol=0, atol=1e-13)
    assert np.allclose(state.lagged, step @ direct, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", COUPLINGS)
def test_regression_is_exact_and_equilibrium_where_the_coupling_is_symmetric(name):
    """F116, and F117, the balance of fluctuation and learning, against the inverse."""
    net = net_of(COUPLINGS[name])
    state = fl.predict(net, U, XI)
    true = np.linalg.inv(np.eye(4) - 0.8 * net.coupling)
    regression, equilibrium = (
        response_by(each, state.covariance, state.lagged, net.noise, net.dt) for each in ("regression", "equilibrium")
    )
    assert np.allclose(regression, true, rtol=0, atol=1e-11)
    assert np.allclose(equilibrium, true, rtol=0, atol=1e-11) == net.symmetric == (name == "symmetric")
    fluctuating, learned = balance(regression, state.covariance, net.noise, net.dt)
    assert np.allclose(fluctuating, learned, rtol=0, atol=1e-12)
    backwards = response_by("regression", state.covariance, state.lagged.T, net.noise, net.dt)
    assert np.allclose(backwards, true, rtol=0, atol=1e-11) == net.symmetric


def test_product_of_variances_is_right_in_the_limit_of_short_steps():
    off = [
        learning.speed(net_of(COUPLINGS["symmetric"], dt=dt), U, XI, theory="variances")
        / learning.speed(net_of(COUPLINGS["symmetric"], dt=dt), U, XI)
        - 1
        for dt in (0.1, 0.05, 0.025)
    ]
    assert off[1] / off[0] == pytest.approx(0.5, abs=0.03)
    assert off[2] / off[1] == pytest.approx(0.5, abs=0.015)
    half = learning.speed(net_of(COUPLINGS["symmetric"]), U, XI, theory="response")
    assert (half / learning.speed(net_of(COUPLINGS["symmetric"]), U, XI))[0] < 1 + off[0][0]


@pytest.mark.parametrize("name", COUPLINGS)
def test_speed_and_finite_learning_are_those_of_the_steps(name):
    """F115 and F118 against the mean of the network, stepped to rest before and after learning."""
    coupling = COUPLINGS[name]
    state = fl.predict(net_of(coupling, input_gain=1.5), U, XI)
    pushed = 0.8 * 1.5 * U

    def overlap(eps):
        return XI @ stationary_mean(coupling + eps * np.multiply.outer(XI, U), pushed)

    assert state.starts[0] == pytest.approx(overlap(0.0), abs=1e-11)
    assert state.speeds[0] == pytest.approx((overlap(1e-6) - overlap(-1e-6)) / 2e-6, rel=1e-7)
    assert state.overlaps(0.03)[0] == pytest.approx(overlap(0.03), abs=1e-10)


def test_learning_beyond_its_end_is_refused_with_the_strength_at_which_it_ends():
    state = fl.predict(net_of(COUPLINGS["driven"]), U, U)
    end = float(state.largest_learned[0])
    with pytest.raises(learning.LearnedTooFar, match="beyond eps") as found:
        state.overlaps(1.01 * end)
    most = found.value.largest
    grown = np.linalg.eigvals(0.8 * (COUPLINGS["driven"] + most * np.multiply.outer(U, U))).real.max()
    assert most <= end * (1 + 1e-12)
    assert grown == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(
    ("gain", "share", "values"),
    [
        (0.5, 0.0, (0.063032, 0.060381, 0.059018, 0.058238)),
        (0.8, 0.0, (0.359667, 0.410427, 0.344555, 0.326800)),
        (0.8, 0.5, (0.186811, 0.119627, 0.114400, 0.112369)),
        (1.0, 0.0, (1.112855, None, 1.078043, 0.958601)),
    ],
)
def test_rungs_of_tanh_on_digits(digits, gain, share, values):
    patterns, coupling = digits(share)
    net = learning.RateNetwork(coupling, gain, 0.2, 0.1, "tanh", 0.1)
    for theory, value in zip(("variances", "linear", "frozen", "gaussian"), values, strict=True):
        if value is None:
            with pytest.raises(learning.NoSpontaneousState, match="gain = 1 "):
                learning.speed(net, patterns[0], patterns[1], theory=theory)
        else:
            assert learning.speed(net, patterns[0], patterns[1], theory=theory)[0] == pytest.approx(value, abs=6e-7)


def test_the_closure_s_finite_learning_on_digits_and_its_slope(digits):
    """F119: the derivative, whose gains move too, against differences of stationary states."""
    patterns, coupling = digits(0.5)
    state = fl.predict(learning.RateNetwork(coupling, 0.8, 0.2, 0.1, "tanh", 0.1), patterns[0], patterns[1])
    grown = [float(state.overlaps(eps)[0] - state.starts[0]) for eps in (0.25, 0.5, 1.0)]
    assert grown == pytest.approx([0.023121, 0.039183, 0.059804], abs=6e-7)
    assert state.speeds[0] == pytest.approx((state.overlaps(2e-4)[0] - state.starts[0]) / 2e-4, rel=1e-3)
    near, far = ((state.overlaps(eps)[0] - state.starts[0]) / eps for eps in (1e-3, 2e-3))
    assert state.speeds[0] == pytest.approx(2 * near - far, rel=1e-5)
    assert state.own_error == pytest.approx(0.6 * (0.114400 / 0.112369 - 1), abs=1e-5)


def test_a_network_with_tanh_that_hardly_moves_is_linear():
    quiet = {"noise": 1e-8, "input_gain": 1e-4, "activation": "tanh"}
    for theory in ("gaussian", "frozen", "variances"):
        small = learning.speed(net_of(COUPLINGS["driven"], **quiet), U, XI, theory=theory)
        same = None if theory != "variances" else theory
        linear = learning.speed(net_of(COUPLINGS["driven"], noise=1e-8, input_gain=1e-4), U, XI, theory=same)
        assert small[0] == pytest.approx(linear[0], rel=1e-6)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"coupling": np.eye(4), "gain": 1.0}, "no spontaneous stationary state.*It ends at gain = 1"),
        ({"coupling": np.diag([-9.0, 0, 0, 0]), "dt": 0.3}, "dt = 0.3 is too long a step: from 0.243"),
        ({"noise": 0.0}, "noise = 0: without noise"),
        ({"noise": -1.0}, "noise must be at least 0"),
        ({"dt": 0.0}, "dt must be greater than 0"),
        ({"gain": np.nan}, "gain must be a finite number"),
        ({"coupling": np.ones((2, 3))}, "square matrix"),
        ({"coupling": [[np.inf]]}, "holds inf"),
        ({"activation": "relu"}, "activation"),
        ({"activation": "tanh", "dt": 2.5}, "dt = 2.5 is too long"),
    ],
)
def test_networks_that_are_none_are_refused(options, match):
    with pytest.raises(fl.FluctuaError, match=match):
        net_of(**{"coupling": COUPLINGS["driven"], **options})


def test_the_gain_at_which_the_spontaneous_state_ends_is_told():
    with pytest.raises(learning.NoSpontaneousState) as found:
        net_of(np.diag([0.5, 0.2]), gain=2.5)
    assert (found.value.gain, found.value.largest_gain) == (2.5, 2.0)
    assert net_of(np.diag([0.5, 0.2]), gain=2.5, activation="tanh").largest_gain == 2.0  # tanh goes on


@pytest.mark.parametrize(
    ("given", "target", "match"),
    [
        (np.zeros(4), XI, "inputs is zero"),
        ([U, U], [XI, np.zeros(4)], r"targets\[1\] is zero"),
        (U[:3], XI, "each of the 4 neurons, got a pattern of 3"),
        ([U, U], [XI], "come in pairs, got 2 inputs and 1"),
        (U, [np.nan, 1, 1, 1], "holds nan"),
        ("abcd", XI, "inputs"),
    ],
)
def test_tasks_that_are_none_are_refused(given, target, match):
    with pytest.raises(fl.FluctuaError, match=match):
        learning.speed(net_of(COUPLINGS["driven"]), given, target)


def test_a_target_that_is_orthogonal_to_every_response_is_refused():
    turning = (np.eye(2) - [[1.0, 1.0], [-1.0, 0.0]]) / 0.8  # the inverse of that has a zero on its diagonal
    with pytest.raises(fl.FluctuaError, match=r"targets\[0\] is orthogonal"):
        learning.speed(net_of(turning), [1.0, 0.0], [1.0, 0.0])


@pytest.mark.parametrize("net", [None, "digits", np.eye(2)])
def test_what_is_no_network_is_refused_by_name(net):
    for verb in (learning.speed, learning.verify_network):
        with pytest.raises(fl.FluctuaError, match="net must be a network"):
            verb(net, [1.0, 0.0], [0.0, 1.0])
    with pytest.raises(fl.FluctuaError, match="net must be a network"):
        learning.simulate_network(net, steps=3, replicas=3)


def test_a_theory_that_the_network_has_not_is_named():
    with pytest.raises(fl.FluctuaError, match="gaussian"):
        learning.speed(net_of(COUPLINGS["driven"]), U, XI, theory="gaussian")
    with pytest.raises(fl.FluctuaError, match="Did you mean 'regression'"):
        learning.speed(net_of(COUPLINGS["driven"]), U, XI, theory="regresion")


@pytest.mark.parametrize(
    ("inputs", "labels", "share", "match"),
    [
        (np.eye(3), [1, 1, 1], 0.0, "at least two classes"),
        (np.eye(3), [1, 2], 0.0, "one for each of the 3 samples"),
        (np.eye(3), [1, 2, 3], 1.5, "asymmetry must be at most 1"),
        ([[1.0, 0], [0, 1], [0.5, 0.5]], [1, 2, 3], 0.0, "mean of class 3 is that of all samples"),
        ([[1.0, 0], [0, 1]], [1, 2], 0.5, "patterns of the classes cancel"),
    ],
)
def test_memories_that_are_none_are_refused(inputs, labels, share, match):
    with pytest.raises(fl.FluctuaError, match=match):
        learning.memories(inputs, labels, share)


def test_other_verbs_refuse_a_network_and_say_which_take_it():
    with pytest.raises(fl.FluctuaError, match=r"fluctua\.predict, fluctua\.simulate, fluctua\.verify"):
        fl.sweep(net_of(COUPLINGS["driven"]), fl.SGD(0.1, 2), lr=[0.1])
