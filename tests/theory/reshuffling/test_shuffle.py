"""The law of shuffled epochs: orders in lr against all orders of the samples, invariances, refusals.

What it leaves out, against the enumeration, is of fourth order in lr where the leading order of S and of E V is the
second: terms of second order in r/N, and products of two averages <g B>. At the end of an epoch from W*, where each
sample has come once, S itself is of fourth order, and the error is a share of it at every lr. docs/shuffle.md has
the sizes at rates of use.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import fluctua as fl
from fluctua.theory.law import Law
from fluctua.theory.reshuffling import mean_path
from fluctua.theory.reshuffling.batch_cumulants import BatchCumulants
from fluctua.theory.reshuffling.stationary import Cycle
from fluctua.theory.reshuffling.transient import Epochs
from helpers.agreement import close
from helpers.enumeration import EpochEnumeration, tiny
from helpers.tables import problem_of

OPTIMISERS = {
    "plain": {},
    "decay": {"weight_decay": 0.2},
    "momentum": {"momentum": 0.5},
    "nesterov": {"momentum": 0.5, "nesterov": True},
    "momentum, decay": {"momentum": 0.5, "weight_decay": 0.2},
}
FAR = 3.0  # from W* in every mode and output, where residuals there are of the order of 1
RATE = 0.1  # over the largest |x|^2: far below the stability limit, and far above rounding
CASES = [
    pytest.param(name, size, drop_last, optimiser, id=f"{name}, b {size}, {optimiser}{', dropped' * drop_last}")
    for name in ("six samples", "general", "one loud sample")
    for size in (1, 2)
    for drop_last in ((False, True) if len(tiny(name)[0]) % size else (False,))
    for optimiser in OPTIMISERS
]
case = pytest.mark.parametrize(("name", "size", "drop_last", "optimiser"), CASES)


@cache
def first_epoch(name, size, drop_last, optimiser, halvings, far=False):
    """S and E V at every position of the first epoch from W* or from `far`, (n + 1, ...), and the enumerated ones."""
    inputs, targets = tiny(name)
    problem, options = fl.LeastSquares(inputs, targets), OPTIMISERS[optimiser] | {"drop_last": drop_last}
    sgd = fl.SGD(RATE / np.square(inputs).sum(axis=1).max() / 2**halvings, size, sampling="shuffle", **options)
    truth = EpochEnumeration(inputs, targets, sgd.lr, size, **options)
    start = FAR * np.ones_like(problem.minimum(sgd.weight_decay).mode_weights) if far else None
    begin = truth.optimum if start is None else truth.optimum + start @ problem.modes.T
    moments = list(truth.moments(begin, len(truth.sizes)))
    covariances = np.array([problem.modes.T @ truth.covariance(moment) @ problem.modes for moment in moments])
    return along_an_epoch(problem, sgd, start), (
        covariances,
        np.array([truth.mean(moment) @ problem.modes for moment in moments]),
    )


def along_an_epoch(problem, sgd, start):
    """The law's S and E V at every position of the first epoch, followed until nothing changes."""
    law = Law(problem, sgd, "exact").shuffle
    run = Epochs(law, start, rtol=1e-14)
    found, source, added = run.epoch_from(run.state, run.mean)
    means, places = law.epoch.fold(found.means), range(law.epoch.steps)
    covariances = [law.at(t, found, source, added) for t in places] + [law.kernel.fold(found.states[-1])]
    return np.array(covariances), np.array([law.mean_at(t, means) for t in places] + [means[-1]])


def largest(matrices):
    return np.abs(matrices).max(axis=(1, 2))


def orders(name, size, drop_last, optimiser, which, first, far=False):
    """Powers of lr with which the errors of S (0) or of E V (1) fall from position `first` on, between two halvings."""
    errors = []
    for halvings in (2, 3):
        found, expected = first_epoch(name, size, drop_last, optimiser, halvings, far)
        errors.append(largest(found[which] - expected[which])[first:])
    return np.log2(errors[0] / errors[1])


@case
def test_the_first_batch_is_exact(name, size, drop_last, optimiser):
    (covariances, _), (expected, _) = first_epoch(name, size, drop_last, optimiser, 0)
    assert close(covariances[:2], expected[:2], rtol=1e-12)


@case
def test_the_covariance_is_exact_to_third_order_in_the_rate(name, size, drop_last, optimiser):
    """After two batches of one sample the terms left out are of fifth order."""
    found = orders(name, size, drop_last, optimiser, 0, first=2)
    if size == 1:
        assert abs(found[0] - 5) < 0.2
        found = found[1:]
    assert (np.abs(found - 4) < 0.5).all()


@case
def test_the_mean_is_exact_to_third_order_in_the_rate_and_over_three_batches(name, size, drop_last, optimiser):
    (_, means), (_, expected) = first_epoch(name, size, drop_last, optimiser, 0)
    assert np.abs(means[:4] - expected[:4]).max() < 1e-11 * np.abs(expected).max()
    if len(means) > 4:
        assert (np.abs(orders(name, size, drop_last, optimiser, 1, first=4) - 4) < 0.2).all()


@case
def test_from_far_away_all_is_exact_to_third_order_in_the_rate(monkeypatch, name, size, drop_last, optimiser):
    """Where E V is large, as at the start of training: F45 feels where it was, F53 and F65 feel all of it."""
    monkeypatch.setattr(mean_path, "LEFT_OUT", 1e-15)
    arguments = name, size, drop_last, optimiser
    (covariances, means), (expected, expected_means) = first_epoch(*arguments, 2, far=True)
    assert close(covariances[:2], expected[:2], rtol=1e-12)
    assert np.abs(means[:4] - expected_means[:4]).max() < 1e-11 * np.abs(expected_means).max()
    first = 3 if size == 1 else 2  # after two batches of one sample what is left out is small, and of two orders
    assert (np.abs(orders(*arguments, 0, first, far=True) - 4) < 0.2).all()
    errors = largest(covariances - expected)
    assert errors[2] < (0.05 if size == 1 else 1.0) * errors.max() + 1e-15
    if len(means) > 4:
        assert (np.abs(orders(*arguments, 1, first=4, far=True) - 4) < 0.2).all()


@pytest.mark.parametrize("optimiser", ["plain", "decay"])
def test_the_leading_orders_are_the_second_and_at_the_end_of_an_epoch_the_fourth(optimiser):
    """V is the sum of all g there, and that is zero, but for terms of second order."""
    (_, first), (_, second) = (first_epoch("six samples", 1, False, optimiser, halvings) for halvings in (1, 2))
    for which, powers in ((0, [2, 2, 2, 2, 2, 4]), (1, [2, 2, 2, 2, 2])):
        begun = len(first[which]) - len(powers)  # V = 0 at the start, and E V = 0 after one batch
        found = np.log2(largest(first[which][begun:]) / largest(second[which][begun:]))
        assert (np.abs(found - powers) < 0.2).all()


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_without_third_cumulants_an_order_is_lost(monkeypatch, optimiser):
    monkeypatch.setattr(BatchCumulants, "two", lambda *_: 0.0)
    arguments = "six samples", 2, False, optimiser
    first_epoch.cache_clear()
    found = orders(*arguments, 0, first=2)[0]
    first_epoch.cache_clear()
    assert abs(found - 3) < 0.2


LEFT_OUT = {
    # data, batch size: plain, momentum 0.5, Nesterov 0.5, in per cent, at each share of the stability limit
    ("six samples", 1): {0.02: (0.01, 0.06, 0.04), 0.1: (0.56, 1.10, 0.93), 0.3: (3.6, 7.6, 5.9)},
    ("six samples", 2): {0.02: (-0.08, -0.06, -0.08), 0.1: (-0.04, 0.32, 0.12), 0.3: (1.4, 4.8, 3.0)},
    ("general", 1): {0.02: (-0.15, -0.09, -0.15), 0.1: (-1.03, -0.30, -0.91), 0.3: (-5.5, -2.9, -5.6)},
    ("general", 2): {0.02: (-0.05, -0.05, -0.06), 0.1: (-0.71, -0.62, -0.78), 0.3: (-3.9, -4.1, -4.4)},
}


@pytest.mark.parametrize(("name", "size"), LEFT_OUT)
@pytest.mark.parametrize("optimiser", ["plain", "momentum", "nesterov"])
def test_what_is_left_out_is_as_large_as_documented(name, size, optimiser):
    """By the expansion, of the stationary excess loss, with weight decay 0.2; the table of docs/shuffle.md."""
    inputs, targets = tiny(name)
    problem, options = fl.LeastSquares(inputs, targets), OPTIMISERS[optimiser] | {"weight_decay": 0.2}
    limit = fl.max_stable_lr(problem, fl.SGD(1.0, size, sampling="without_replacement", **options))
    for share, errors in LEFT_OUT[name, size].items():
        expected = errors[["plain", "momentum", "nesterov"].index(optimiser)]
        truth = EpochEnumeration(inputs, targets, share * limit, size, **options)
        losses = [truth.excess_loss(moment) for moment in truth.within(truth.stationary())[:-1]]
        sgd = fl.SGD(share * limit, size, sampling="shuffle", **options)
        assert fl.predict(problem, sgd).excess_loss == pytest.approx(np.mean(losses), rel=1e-7)  # lists the epochs
        law = Law(problem, sgd, "exact")
        loss = 0.5 * law.minimum.curvatures @ np.diag(law.cycle.settled_at(None)[0])
        found = 100 * (loss / np.mean(losses) - 1)
        assert found == pytest.approx(expected, abs=0.06 if share == 0.3 else 0.006)


def first_order(problem, sgd, position):
    """R_s, the first order in lr, from the sum over pairs of batches: -C/(N - 1) between two, kappa C for one."""
    n, m = problem.samples, 1 - sgd.lr * problem.minimum(sgd.weight_decay).curvatures
    total = np.zeros((problem.rank,) * 2)
    sizes = sgd.batch_sizes(n)
    for s in range(position):
        for t in range(position):
            shared = (n - sizes[s]) / sizes[s] if s == t else -1
            total += shared / (n - 1) * np.outer(m ** (position - 1 - s), m ** (position - 1 - t))
    return sgd.lr**2 * problem.minimum(sgd.weight_decay).noise * total


def closed_first_order(problem, sgd, s):
    """R_s in closed form, for equal batches."""
    n, b, m = problem.samples, sgd.batch_size, 1 - sgd.lr * problem.minimum(sgd.weight_decay).curvatures
    rho, kappa, mm = b / (n - b), sgd.sampling_factor(n), np.outer(m, m)
    sums = (1 - m**s) / (1 - m)
    bracket = (1 + rho) * (1 - mm**s) / (1 - mm) - rho * np.outer(sums, sums)
    return sgd.lr**2 * kappa * problem.minimum(sgd.weight_decay).noise * bracket


@pytest.mark.parametrize("size", [4, 7])
@pytest.mark.parametrize("drop_last", [False, True])
def test_the_discrete_rung_is_the_first_order_at_every_position_of_two_epochs(small_problem, size, drop_last):
    """60 samples: 15 batches of 4, or 8 of 7 and one of 4."""
    sgd = fl.SGD(0.02, size, weight_decay=0.1, sampling="shuffle", drop_last=drop_last)
    law, n = fl.predict(small_problem, sgd, theory="discrete"), len(sgd.batch_sizes(60))
    m = 1 - sgd.lr * small_problem.minimum(0.1).curvatures
    whole = first_order(small_problem, sgd, n)
    for s in range(n):
        begun = first_order(small_problem, sgd, s)
        assert np.abs(law.after(s).mode_covariance - begun).max() < 1e-12 * np.abs(whole).max()
        second = np.outer(m**s, m**s) * whole + begun
        assert close(law.after(n + s).mode_covariance, second, rtol=1e-12)
        settled = np.outer(m**s, m**s) * whole / (1 - np.outer(m**n, m**n)) + begun
        assert close(law.at(s).mode_covariance, settled, rtol=1e-12)
        assert np.abs(law.after(s).mean).max() == 0
        if size == 4:
            assert np.abs(begun - closed_first_order(small_problem, sgd, s)).max() < 1e-12 * np.abs(whole).max()


@pytest.fixture(scope="module")
def iris():
    """150 flowers, four measurements in units of their spread, a constant, three classes."""
    return problem_of("iris")


EPOCHS = {
    "whole batches": fl.SGD(0.05, 6, weight_decay=0.03, sampling="shuffle"),
    "a smaller last batch": fl.SGD(0.05, 7, sampling="shuffle"),
    "dropped": fl.SGD(0.05, 7, sampling="shuffle", drop_last=True),
    "large steps": fl.SGD(0.3, 7, weight_decay=0.03, sampling="shuffle"),
    "momentum": fl.SGD(0.02, 7, momentum=0.8, weight_decay=0.03, sampling="shuffle"),
    "nesterov": fl.SGD(0.02, 7, momentum=0.8, nesterov=True, sampling="shuffle"),
}
epochs = pytest.mark.parametrize("sgd", EPOCHS.values(), ids=EPOCHS)


BRIEF = {
    "whole batches": fl.SGD(0.2, 50, weight_decay=0.1, sampling="shuffle"),
    "a smaller last batch": fl.SGD(0.2, 40, weight_decay=0.1, sampling="shuffle"),
    "dropped": fl.SGD(0.2, 40, weight_decay=0.1, sampling="shuffle", drop_last=True),
    "nesterov": fl.SGD(0.1, 40, momentum=0.5, nesterov=True, weight_decay=0.1, sampling="shuffle"),
}
brief = pytest.mark.parametrize("sgd", BRIEF.values(), ids=BRIEF)


@pytest.mark.parametrize("recipe", ["whole batches", pytest.param("large steps", marks=pytest.mark.slow), "momentum"])
def test_twelve_nodes_stand_for_all_steps(iris, recipe):
    """Measured: 2e-5 of the variances, 2e-4 where steps are large, 3e-4 with momentum, whose memory oscillates."""
    shuffle = fl.predict(iris, EPOCHS[recipe]).law.shuffle
    few, every = Cycle(shuffle), Cycle(replace(shuffle, nodes=100))
    assert every.shuffle.epoch.positions.nodes.tolist() == list(range(every.shuffle.epoch.regular))
    for place in (None, 0, 13):
        (covariance, mean), (expected, expected_mean) = few.settled_at(place), every.settled_at(place)
        assert np.abs(np.diag(covariance) / np.diag(expected) - 1).max() < 1e-3
        assert close(mean, expected_mean, rtol=1e-3)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_an_epoch_of_the_whole_data_does_not_fluctuate(small_problem, drop_last, momentum):
    sgd = fl.SGD(0.02, 60, momentum=momentum, sampling="shuffle", drop_last=drop_last)
    law = fl.predict(small_problem, sgd)
    scale = sgd.lr**2 * np.abs(small_problem.minimum(0.0).noise).max()
    for found in (law, law.at(0), law.after(1), law.after(5), law.after(range(3, 9))):
        assert np.abs(found.mode_covariance).max() < 1e-12 * scale
        assert np.abs(found.mean).max() < 1e-12 * np.sqrt(scale)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_epochs_of_one_batch_and_a_rest_dropped_are_independent_batches(small_problem, momentum):
    shuffled = fl.SGD(0.02, 40, weight_decay=0.1, momentum=momentum, sampling="shuffle", drop_last=True)
    drawn = fl.SGD(0.02, 40, weight_decay=0.1, momentum=momentum, sampling="without_replacement")
    found, expected = (fl.predict(small_problem, sgd) for sgd in (shuffled, drawn))
    assert close(found.mode_covariance, expected.mode_covariance, rtol=1e-6)
    for steps in (1, 2, 30):
        at_rest, on_the_way = (found.after(steps, start=start).mode_covariance for start in ("optimum", "zero"))
        assert close(at_rest, expected.after(steps).mode_covariance, rtol=2e-3)
        assert close(on_the_way, expected.after(steps, start="zero").mode_covariance, rtol=2e-3)


@brief
def test_the_order_of_the_samples_changes_nothing(iris, sgd):
    order = np.random.default_rng(0).permutation(iris.samples)
    other = fl.LeastSquares(iris.inputs[order], iris.targets[order])
    assert_equal_laws(*(fl.predict(problem, sgd) for problem in (iris, other)), np.eye(iris.features))


@brief
def test_a_rotation_of_the_inputs_rotates_the_covariance_and_the_mean(iris, sgd):
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(iris.features,) * 2))
    other = fl.LeastSquares(iris.inputs @ turn, iris.targets)
    assert_equal_laws(*(fl.predict(problem, sgd) for problem in (iris, other)), turn)


def assert_equal_laws(one, other, turn):
    """Of inputs x and x turn."""
    for found, expected in zip(looks(other), looks(one), strict=True):
        assert close(found.covariance, turn.T @ expected.covariance @ turn, rtol=1e-9)
        assert close(found.mean, expected.mean @ turn, rtol=1e-9)


def looks(law):
    n = law.law.shuffle.epoch.steps
    return law, law.at(0), law.at(n - 1), law.after(5), law.after(range(5, 9), start="zero")


@epochs
def test_a_stationary_epoch_ends_as_it_began(iris, sgd):
    found = fl.predict(iris, sgd).law.cycle.moments
    assert close(found.states[-1], found.states[0], rtol=1e-5)
    assert close(found.means[-1], found.means[0], rtol=1e-5)


@epochs
def test_the_stationary_values_are_the_average_over_all_positions(iris, sgd):
    """With momentum the average is over nodes that interpolate the state, and the states are followed step by step."""
    law, rtol = fl.predict(iris, sgd), 1e-3 if sgd.momentum else 1e-4
    each = [law.at(position) for position in range(law.law.shuffle.epoch.steps)]
    assert close(np.mean([at.mode_covariance for at in each], axis=0), law.mode_covariance, rtol)
    assert close(np.mean([at.mean for at in each], axis=0), law.mean, rtol)
    assert law.excess_loss == pytest.approx(np.mean([at.excess_loss for at in each]), rel=rtol)


@pytest.mark.parametrize(
    ("recipe", "start"),
    [("whole batches", "optimum"), ("a smaller last batch", "zero"), ("dropped", "zero"), ("nesterov", "optimum")],
)
def test_every_start_ends_in_the_stationary_state(iris, recipe, start):
    sgd = BRIEF[recipe]
    law = fl.predict(iris, sgd)
    n = law.law.shuffle.epoch.steps
    far = n * int(12 * law.relaxation_steps.max() / n + 2)
    averaged = law.after(range(far, far + n), start=start)
    assert np.abs(averaged.mode_variances / law.mode_variances - 1).max() < 2e-3
    assert close(averaged.mean, law.mean, rtol=2e-3)
    for position in (0, n - 1):
        found, expected = law.after(far + position, start=start), law.at(position)
        assert np.abs(found.mode_variances / expected.mode_variances - 1).max() < 2e-3
        assert close(found.mean, expected.mean, rtol=2e-3)


@brief
def test_the_learning_curve_is_the_excess_loss_at_every_step(iris, sgd):
    law, curve = fl.predict(iris, sgd), fl.learning_curve(iris, sgd, 21)
    assert curve.shape == (22,)
    for steps in (0, 1, 2, 3, 10, 21):
        assert law.after(steps, start="zero").excess_loss == pytest.approx(curve[steps], rel=2e-3)


def test_at_says_where_it_is(iris):
    law = fl.predict(iris, EPOCHS["dropped"])
    assert (law.position, law.at(3).position, law.after(3).position) == (None, 3, None)
    assert "3 steps into an epoch" in repr(law.at(3))


SHUFFLED = fl.SGD(0.02, 7, sampling="shuffle")


@pytest.mark.parametrize("sampling", ["single_shuffle", "sequential"])
def test_one_order_for_ever_has_no_covariance_and_says_why(small_problem, sampling):
    with pytest.raises(fl.errors.InvalidInput, match=f"(?s){sampling}.*periodic orbit.*sampling='shuffle'"):
        fl.predict(small_problem, fl.SGD(0.02, 7, sampling=sampling))


@pytest.mark.parametrize(
    ("options", "message"), [({"theory": "langevin"}, "theory='langevin'"), ({"theory": "hessian"}, "theory='hessian'")]
)
def test_what_the_law_does_not_cover_is_refused_with_a_way_out(small_problem, options, message):
    sgd = fl.SGD(0.02, 7, sampling="shuffle")
    for call in (fl.predict, lambda *given, **named: fl.learning_curve(*given, steps=10, **named)):
        with pytest.raises(fl.errors.InvalidInput, match=f"(?s)^{message} is not covered.*without_replacement"):
            call(small_problem, sgd, **options)


def test_dampening_without_momentum_has_no_effect(small_problem):
    plain, dampened = (
        fl.predict(small_problem, fl.SGD(0.02, 7, sampling="shuffle", **o)) for o in ({}, {"dampening": 0.3})
    )
    assert (plain.mode_covariance == dampened.mode_covariance).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda law: law.output_covariance,
        lambda law: law.output_block(0, 1),
        lambda law: law.after(5).output_covariance,
        lambda law: law.after(5).output_block(0, 0),
    ],
)
def test_outputs_are_not_told_apart(small_problem, call):
    with pytest.raises(fl.errors.InvalidInput, match="within an epoch no sample comes twice"):
        call(fl.predict(small_problem, SHUFFLED))


@pytest.mark.parametrize(
    ("law", "position", "message"),
    [
        (lambda problem: fl.predict(problem, SHUFFLED), 9, "below the epoch's 9 steps, got 9"),
        (lambda problem: fl.predict(problem, SHUFFLED), -1, "position must be at least 0"),
        (lambda problem: fl.predict(problem, SHUFFLED), 1.5, "position must be a whole number"),
        (lambda problem: fl.predict(problem, SHUFFLED).after(5), 0, "stationary state of sampling='shuffle'"),
        (lambda problem: fl.predict(problem, SHUFFLED, theory="equilibrium"), 0, "stationary state of"),
        (lambda problem: fl.predict(problem, fl.SGD(0.02, 7)), 0, "stationary state of sampling='shuffle'"),
    ],
)
def test_a_position_that_is_none_is_refused(small_problem, law, position, message):
    with pytest.raises(fl.errors.InvalidInput, match=message):
        law(small_problem).at(position)


def test_a_batch_larger_than_the_data_is_refused(small_problem):
    with pytest.raises(fl.errors.InvalidInput, match="larger than the 60 samples"):
        fl.predict(small_problem, fl.SGD(0.02, 61, sampling="shuffle"))


@pytest.mark.parametrize("theory", ["exact", "discrete"])
def test_an_unstable_recipe_is_refused_or_infinite(small_problem, theory):
    sgd = fl.SGD(5.0, 7, sampling="shuffle")
    with pytest.raises(fl.errors.UnstableSGD):
        fl.predict(small_problem, sgd, theory=theory)
    assert np.isinf(fl.predict(small_problem, sgd, theory=theory, check_stability=False).excess_loss)
