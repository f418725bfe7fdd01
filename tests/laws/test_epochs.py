"""Epochs of tiny problems: the enumeration against brute force and limits, the simulator against the enumeration."""

from functools import cache
from itertools import chain, permutations, product

import numpy as np
import pytest
from scipy.stats import t as student

import fluctua as fl
from fluctua.recipe.sgd import EPOCHS
from fluctua.simulation import steppers as dynamics
from fluctua.simulation.batches import Draws
from helpers.enumeration import Enumeration, EpochEnumeration, away_from, error, tiny

OPTIMISERS = {
    "plain": {},
    "decay": {"weight_decay": 0.2},
    "momentum": {"momentum": 0.6, "dampening": 0.3, "weight_decay": 0.2},
    "nesterov": {"momentum": 0.6, "nesterov": True},
}
CASES = [
    pytest.param(name, size, drop_last, optimiser, id=f"{name}, b {size}, {optimiser}{', dropped' * drop_last}")
    for name, sizes in {"dead feature": (1, 2, 3, 4), "fewer samples than features": (1, 2)}.items()
    for size in sizes
    for drop_last in ((False, True) if len(tiny(name)[0]) % size else (False,))
    for optimiser in OPTIMISERS
]
case = pytest.mark.parametrize(("name", "size", "drop_last", "optimiser"), CASES)
ASKED = 3e-5  # Student's t of a mean of skewed numbers can double the tail: tests ask for this and state 1e-4


@cache
def setting(name, size, drop_last, optimiser, sampling="shuffle"):
    """A tiny problem, a stable recipe, and its enumeration."""
    inputs, targets = tiny(name)
    options = OPTIMISERS[optimiser]
    lr = 0.8 / (np.square(inputs).sum(axis=1).max() + options.get("weight_decay", 0))
    sgd = fl.SGD(lr, size, sampling=sampling, drop_last=drop_last, **options)
    truth = EpochEnumeration(inputs, targets, lr, size, sampling, drop_last=drop_last, **options)
    return fl.LeastSquares(inputs, targets), sgd, truth


def cut(order, truth):
    """An order of the samples as the batches of an epoch."""
    return np.split(np.array(order), np.cumsum(truth.sizes))[: len(truth.sizes)]


def trained(truth, batches):
    """The states (V, u) after each step of one run over the given batches, from the definition of torch.optim.SGD."""
    w, u = away_from(truth), np.zeros(truth.optimum.shape)
    for t, batch in enumerate(batches):
        g = sum(np.outer(w @ truth.inputs[i] - truth.targets[i], truth.inputs[i]) for i in batch) / len(batch)
        g = g + truth.weight_decay * w
        u = g if t == 0 or not truth.momentum else truth.momentum * u + (1 - truth.dampening) * g
        w = w - truth.lr * (g + truth.momentum * u if truth.nesterov else u)
        yield np.concatenate([(w - truth.optimum).ravel(), *([u.ravel()] if truth.momentum else []), [1.0]])


def brute_force(truth, epochs):
    """Second moments after each step, over all orders of all epochs."""
    orders = [cut(order, truth) for order in permutations(range(len(truth.inputs)))]
    runs = [list(trained(truth, chain(*chosen))) for chosen in product(orders, repeat=epochs)]
    return np.einsum("rti,rtj->tij", runs, runs) / len(runs)


@case
def test_the_enumeration_is_the_average_over_all_orders_of_two_epochs(name, size, drop_last, optimiser):
    _, _, truth = setting(name, size, drop_last, optimiser)
    steps = 2 * len(truth.sizes)
    _, *found = truth.moments(away_from(truth), steps)
    assert error(found, brute_force(truth, 2)) <= 1
    *_, short = truth.moments(away_from(truth), steps - 1)
    assert error(short, found[-2]) <= 1


@case
def test_the_stationary_moment_is_the_same_one_epoch_later_and_every_start_tends_to_it(
    name, size, drop_last, optimiser
):
    _, _, truth = setting(name, size, drop_last, optimiser)
    fixed = truth.stationary()
    assert error(truth.within(fixed)[-1], fixed) <= 10  # a solve, and an epoch of rounding
    assert truth.growth() < 1


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize(("size", "drop_last"), [(3, True), (4, True), (5, False)])
def test_an_epoch_of_one_batch_is_an_independent_batch(size, drop_last, optimiser):
    _, sgd, truth = setting("general", size, drop_last, optimiser)
    options = OPTIMISERS[optimiser]
    single = Enumeration(truth.inputs, truth.targets, sgd.lr, size, "without_replacement", **options)
    for found, expected in zip(*(one.moments(away_from(one), 4) for one in (truth, single)), strict=True):
        assert error(found, expected) <= 1
    assert error(truth.stationary(), single.stationary()) <= 1
    assert truth.growth() == pytest.approx(single.growth(), rel=1e-12)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_first_batch_of_an_epoch_is_an_independent_one_and_the_second_is_not(size, optimiser):
    _, sgd, truth = setting("six samples", size, False, optimiser)
    single = Enumeration(truth.inputs, truth.targets, sgd.lr, size, "without_replacement", **OPTIMISERS[optimiser])
    (_, *found), (_, *expected) = (list(one.moments(away_from(one), 2)) for one in (truth, single))
    assert error(found[0], expected[0]) <= 1
    assert error(found[1], expected[1]) > 1e8


def test_six_samples_have_so_many_epochs():
    counts = {
        (size, drop_last): [len(products) for products in setting("six samples", size, drop_last, "plain")[2].products]
        for size, drop_last in ((1, False), (2, False), (4, False), (4, True), (6, False))
    }
    assert counts == {
        (1, False): [1, 6, 30, 120, 360, 720, 720],
        (2, False): [1, 15, 90, 90],
        (4, False): [1, 15, 15],
        (4, True): [1, 15],
        (6, False): [1, 1],
    }


class Given(list):
    """Batches chosen by the test, (replicas, b) a step."""

    def batches(self, steps):
        return [batch[None] for batch in self[:steps]]


def simulated(problem, sgd, truth, source, steps, replicas):
    """States (V, u, 1) of the simulator's replicas after each step, (R, m)."""
    advance = dynamics.stepper(problem, sgd, "sgd", np.dtype(np.float64))
    state = np.zeros((1 + bool(sgd.momentum), replicas, *truth.optimum.shape))
    state[0] = away_from(truth) - truth.optimum
    for step in range(steps):
        given = Given([source[step]]) if isinstance(source, list) else source
        advance(state, given, 1, step)
        yield np.column_stack([*state.reshape(len(state), replicas, -1), np.ones(replicas)])


@case
def test_the_simulator_on_every_order_is_the_enumeration(name, size, drop_last, optimiser):
    problem, sgd, truth = setting(name, size, drop_last, optimiser)
    orders = [cut(order, truth) for order in permutations(range(problem.samples))]
    chosen = [first + second for first, second in product(orders, repeat=2)]
    batches = [np.array(step) for step in zip(*chosen, strict=True)]
    _, *expected = truth.moments(away_from(truth), len(batches))
    for states, moment in zip(
        simulated(problem, sgd, truth, batches, len(batches), len(chosen)), expected, strict=True
    ):
        assert error(states.T @ states / len(states), moment) <= 1


@case
def test_a_single_order_is_the_data_s_averaged_over_orders_of_the_data(name, size, drop_last, optimiser):
    problem, sgd, truth = setting(name, size, drop_last, optimiser, "sequential")
    x, y, options = truth.inputs, truth.targets, OPTIMISERS[optimiser]
    orders, steps = list(permutations(range(problem.samples))), 2 * len(truth.sizes)
    each = [
        EpochEnumeration(x[list(o)], y[list(o)], truth.lr, size, "sequential", drop_last=drop_last, **options)
        for o in orders
    ]
    start = away_from(truth)
    _, *expected = np.mean([list(one.moments(start, steps)) for one in each], axis=0)
    batches = [np.array(step) for step in zip(*(2 * cut(order, truth) for order in orders), strict=True)]
    found = simulated(problem, sgd, truth, batches, steps, len(orders))
    for states, moment in zip(found, expected, strict=True):
        assert error(states.T @ states / len(states), moment) <= 1


@case
def test_the_simulator_in_the_order_of_the_data_is_the_enumeration_of_that_order(name, size, drop_last, optimiser):
    problem, sgd, truth = setting(name, size, drop_last, optimiser, "sequential")
    steps = 3 * len(truth.sizes) - 1
    _, *expected = truth.moments(away_from(truth), steps)
    source = Draws([np.random.default_rng(1)], problem.samples, sgd)
    for (state,), moment in zip(simulated(problem, sgd, truth, source, steps, 1), expected, strict=True):
        assert error(np.outer(state, state), moment) <= 1


@cache
def shuffled_losses(drop_last):
    problem, sgd, truth = setting("six samples", 4, drop_last, "momentum")
    run = fl.simulate(problem, sgd, steps=6, records=6, replicas=20_000, rng=8, start=away_from(truth), dtype="float64")
    return truth, run.watched.tolist()[1:], run.replica_losses[:, 1:]


def smallest_p_value(losses, expected):
    """Times the number of steps: of the mean losses against the expected ones."""
    z = (losses.mean(axis=0) - expected) / (losses.std(axis=0, ddof=1) / np.sqrt(len(losses)))
    return losses.shape[1] * 2 * student.sf(np.abs(z).max(), len(losses) - 1)


@pytest.mark.statistical(alpha=1e-4)
@pytest.mark.parametrize("drop_last", [False, True])
def test_simulated_losses_are_the_enumerated_ones_and_no_others(drop_last):
    """Six steps are three epochs, or six where the last batch is dropped; the mutants are wrong by 2 % or by kind."""
    truth, steps, losses = shuffled_losses(drop_last)
    expected = np.array([truth.excess_loss(moment) for moment in truth.moments(away_from(truth), 6)])[steps]
    assert smallest_p_value(losses, expected) > ASKED
    assert smallest_p_value(losses, 0.98 * expected) < ASKED
    _, _, other = setting("six samples", 4, not drop_last, "momentum")
    wrong = np.array([other.excess_loss(moment) for moment in other.moments(away_from(other), 6)])[steps]
    assert smallest_p_value(losses, wrong) < ASKED


@pytest.mark.any_seed
@pytest.mark.parametrize("sampling", EPOCHS)
def test_epochs_have_no_balance_of_independent_steps_and_say_what_was_run(small_problem, sampling):
    run = fl.simulate(small_problem, fl.SGD(0.02, 7, sampling=sampling, drop_last=True), steps=30, replicas=9, rng=1)
    assert run.balance is None
    assert run.balance_error is None
    assert run.identity["recipe"]["sampling"] == sampling
    assert run.identity["recipe"]["drop_last"] is True
    same = run.replica_losses.std(axis=0).max() < 1e-12  # float32 rounds a replica alike in any company
    assert same == (sampling == "sequential")


ORBITS = {
    "plain": {"weight_decay": 0.3},
    "dropped": {"weight_decay": 0.3, "drop_last": True},
    "heavy ball": {"weight_decay": 0.3, "momentum": 0.5, "dampening": 0.2},
    "nesterov": {"weight_decay": 0.3, "momentum": 0.5, "nesterov": True},
}


@pytest.mark.parametrize("options", ORBITS.values(), ids=ORBITS)
@pytest.mark.parametrize("sampling", ["single_shuffle", "sequential"])
def test_one_order_for_ever_ends_on_a_periodic_orbit(small_problem, sampling, options):
    """An epoch of one order is one affine map; when its transient is gone nothing fluctuates between epochs."""
    sgd = fl.SGD(0.02, 7, sampling=sampling, **options)
    length, replicas = len(sgd.batch_sizes(60)), 5
    draws = Draws([np.random.default_rng(seed) for seed in range(replicas)], 60, sgd)
    advance = dynamics.stepper(small_problem, sgd, "sgd", np.dtype(np.float64))
    state = np.ones((1 + bool(sgd.momentum), replicas, small_problem.outputs, small_problem.features))
    settled = 800  # epochs; the slowest mode has shrunk by e^-35 and more
    advance(state, draws, settled * length, 0)
    orbits = []
    for epoch in range(settled, settled + 2):
        orbit = [state.copy()]
        for step in range(epoch * length, (epoch + 1) * length):
            advance(state, draws, 1, step)
            orbit.append(state.copy())
        orbits.append(np.array(orbit))
    size = np.abs(orbits[0]).max()
    assert size > 1e-3
    assert np.abs(orbits[0] - orbits[1]).max() < 1e-10 * size
    assert np.abs(orbits[0][-1] - orbits[0][0]).max() < 1e-10 * size
    assert np.abs(orbits[0][1] - orbits[0][0]).max() > 1e-3 * size
    apart = np.ptp(orbits[0][0][0], axis=0).max() / size
    assert (apart == 0) if sampling == "sequential" else (apart > 1e-2)


@pytest.mark.any_seed
def test_an_orbit_is_measured_without_spread_by_the_simulator(small_problem):
    """Records at one position of an epoch have one loss per replica, in one shuffled order as in the data's."""
    for sampling in ("single_shuffle", "sequential"):
        sgd = fl.SGD(0.02, 6, weight_decay=0.3, sampling=sampling)
        run = fl.simulate(
            small_problem, sgd, steps=8000, records=799, replicas=4, rng=1, dtype=np.float64, start="zero"
        )
        assert (np.diff(run.recorded[::10]) % 10 == 0).all()
        late = run.replica_losses[:, np.isin(run.watched, run.recorded[::-10][:5])]
        assert np.ptp(late, axis=1).max() < 1e-10 * late.max()


@pytest.mark.statistical(alpha=1e-6)
def test_a_fresh_order_in_every_epoch_does_not_settle(small_problem):
    sgd = fl.SGD(0.02, 6, weight_decay=0.3, sampling="shuffle")
    run = fl.simulate(small_problem, sgd, steps=8000, records=799, replicas=4, rng=1, dtype=np.float64, start="zero")
    late = run.replica_losses[:, np.isin(run.watched, run.recorded[::-10][:5])]
    assert np.ptp(late, axis=1).min() > 0.1 * late.mean()
