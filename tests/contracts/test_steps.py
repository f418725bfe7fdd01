"""The contract of a step: every optimiser x sampling x schedule x average against a list of all batches, to 1e-12.

An optimiser that is one `Step` enters this file as one line of `STEPS`, and the enumeration as its definition; kernel,
limit, simulation, time domain and epochs follow from the step alone.
"""

from __future__ import annotations

import json
import warnings
from functools import cache
from itertools import product

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, UnknownName, UnstableRates
from fluctua.recipe.reading import read_recipe
from fluctua.simulation import steppers
from helpers.enumeration import Enumeration, EpochEnumeration, away_from, error, followed, tiny
from helpers.weighted_batches import WeightedEnumeration

STEPS = {
    "plain": (fl.SGD, {}),
    "heavy ball": (fl.SGD, {"momentum": 0.8}),
    "dampened": (fl.SGD, {"momentum": 0.8, "dampening": 0.4}),
    "Nesterov": (fl.SGD, {"momentum": 0.8, "nesterov": True}),
    "quasi-hyperbolic": (fl.QHM, {"momentum": 0.8, "nu": 0.7}),
    "quasi-hyperbolic, nu 1": (fl.QHM, {"momentum": 0.9, "nu": 1.0}),
    "quasi-hyperbolic, nu 0": (fl.QHM, {"momentum": 0.9, "nu": 0.0}),
    "quasi-hyperbolic, no momentum": (fl.QHM, {"momentum": 0.0, "nu": 0.6}),
}
HYPERBOLIC = [name for name in STEPS if STEPS[name][0] is fl.QHM]
FACTORS = {"constant": (1.0,) * 5, "moving": (1.0, 0.9, 0.2, 1.3, 0.05)}
AVERAGES = {"weights": None, "EMA": fl.EMA(0.7), "running": fl.RunningAverage(), "tail": fl.RunningAverage(2)}
step_case = pytest.mark.parametrize("name", STEPS)
hyperbolic_case = pytest.mark.parametrize("name", HYPERBOLIC)
DRAWN = {
    "with_replacement": "with_replacement",
    "without_replacement": "without_replacement",
    "weighted": fl.WeightedSampling([2.0, 1.0, 0.5, 3.0, 0.25]),
    "weighted, biased": fl.WeightedSampling([2.0, 1.0, 0.5, 3.0, 0.25], unbiased=False),
}
sampling_case = pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
drawn_case = pytest.mark.parametrize("sampling", DRAWN.values(), ids=DRAWN)


def recipe(name, lr, size, **common):
    kind, options = STEPS[name]
    return kind(lr=lr, batch_size=size, **options, **common)


@cache
def setting(name, sampling, share=0.5):
    """A tiny problem, a recipe at half its limit with weight decay, and its enumeration."""
    inputs, targets = tiny("general")
    problem, common = fl.LeastSquares(inputs, targets), {"sampling": sampling, "weight_decay": 0.1}
    lr = share * fl.max_stable_lr(problem, recipe(name, 1.0, 2, **common))
    sgd, options = recipe(name, lr, 2, **common), {"weight_decay": 0.1, **STEPS[name][1]}
    if isinstance(sampling, fl.WeightedSampling):
        drawn = {"drawn": np.array(sampling.weights), "unbiased": sampling.unbiased}
        return problem, sgd, WeightedEnumeration(inputs, targets, lr, 2, **drawn, **options)
    listed = EpochEnumeration if sampling == "shuffle" else Enumeration
    return problem, sgd, listed(inputs, targets, lr, 2, sampling, **options)


@step_case
@drawn_case
@pytest.mark.parametrize("average", AVERAGES.values(), ids=AVERAGES)
@pytest.mark.parametrize("factors", FACTORS.values(), ids=FACTORS)
def test_every_step_of_a_run(name, sampling, average, factors):
    problem, sgd, truth = setting(name, sampling)
    schedule = None if len(set(factors)) == 1 else factors
    sgd = recipe(name, sgd.lr, 2, sampling=sampling, weight_decay=0.1, schedule=schedule)
    prediction = fl.predict(problem, sgd, average=average)
    shares = np.ones(len(factors)) if average is None else average.weights(np.arange(len(factors)))
    size, shape = truth.optimum.size, truth.optimum.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableRates)
        for step, moment in enumerate(followed(truth, factors, shares), 1):
            if step <= getattr(average, "start", 0):
                continue  # refused: nothing is averaged yet
            now = prediction.after(step, start=away_from(truth), rtol=1e-15)
            blocks = moment[:size, :size].reshape(*shape, *shape)
            assert error(now.covariance, np.einsum("kikj->ij", blocks)) < 1
            assert error(now.mean, moment[:size, -1].reshape(shape)) < 1


@step_case
@drawn_case
def test_the_stationary_state(name, sampling):
    problem, sgd, truth = setting(name, sampling)
    found, expected = fl.predict(problem, sgd), truth.covariance(truth.stationary())
    assert error(found.covariance, expected) <= 10  # of the reference's ill-conditioned system
    assert error(1.01 * found.covariance, expected) > 1e6


@step_case
@drawn_case
def test_the_limit(name, sampling):
    for share, grows in ((0.9999, False), (1.0001, True)):
        assert (setting(name, sampling, share)[2].growth() > 1) == grows


@step_case
@sampling_case
def test_the_time_domain(name, sampling):
    problem, sgd, truth = setting(name, sampling)
    prediction, moment, mean = fl.predict(problem, sgd), truth.stationary(), truth.maps.mean(axis=0)
    (c, d), r = truth.optimum.shape, problem.rank
    read = np.kron(np.eye(c), problem.modes.T) @ np.eye(c * d, len(mean))
    for lag in (0, 1, 2, 5):
        after = np.linalg.matrix_power(mean, lag)
        lagged = (read @ moment @ after.T @ read.T).reshape(c, r, c, r)
        assert error(prediction.lagged_covariance(lag), np.einsum("kikj->ij", lagged)) <= 10
        kicked = (read @ after @ np.eye(len(mean), c * d) @ np.kron(np.eye(c), problem.modes))[:r, :r]
        assert error(np.diag(prediction.response(lag)), kicked) <= 1


def noise(problem, truth, moment):
    """E[D D^T] of a sample's gradient less the mean one, all outputs, in the modes, from the enumerated moment."""
    size, c = truth.optimum.size, truth.outputs
    second, total = moment[:size, :size], np.zeros((size, size))
    single = [np.kron(np.eye(c), np.outer(x, x)) for x in truth.inputs]
    frozen = [np.kron(truth.optimum @ x - y, x) for x, y in zip(truth.inputs, truth.targets, strict=True)]
    for matrix, constant in zip(single, frozen, strict=True):
        apart, at_rest = matrix - np.mean(single, axis=0), constant - np.mean(frozen, axis=0)
        total += apart @ second @ apart.T + np.outer(at_rest, at_rest)
    turn = np.kron(np.eye(c), problem.modes.T)
    return turn @ total @ turn.T


@step_case
def test_entropy_production_is_what_the_spectrum_says(name):
    """A Gaussian process diverges from its reverse by the mean of tr(S^-1 S^T - 1)/2 over frequencies, per step.

    The spectrum S(w) = T Q T^* is that of the mean map's answer T to noise of covariance Q; trapezoidal sums over a
    circle converge geometrically.
    """
    problem, sgd, truth = setting(name, "with_replacement")
    found, q = fl.predict(problem, sgd).entropy_production.total, noise(problem, truth, truth.stationary())
    motion, push = sgd.step.at(sgd.lr)
    turned, total, places = sgd.step.transition(sgd.lr, problem.minimum(0.1).curvatures), 0.0, 2048
    for angle in 2 * np.pi * (np.arange(places) + 0.5) / places:
        answer = np.linalg.solve(np.exp(1j * angle) * np.eye(len(motion)) - turned, push[:, None])[:, 0, 0]
        answer = np.tile(answer, problem.outputs)
        spectrum = answer[:, None] * q * answer.conj()
        total += 0.5 * np.trace(np.linalg.solve(spectrum, spectrum.T) - np.eye(len(q))).real / places
    assert found == pytest.approx(total, rel=1e-9)


class Given:
    """Batches that are given, (steps, replicas, b), in the place of drawn ones."""

    def __init__(self, batches):
        self.given = batches

    def batches(self, steps):
        yield self.given[:steps]


@step_case
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_simulator_takes_the_step(name, dtype):
    """Two steps of every pair of batches: the first and a later one."""
    problem, sgd, truth = setting(name, "without_replacement")
    pairs = np.array(list(product(truth.batches, repeat=2))).swapaxes(0, 1)
    begin = away_from(truth) - truth.optimum
    state = np.zeros((sgd.step.slots, len(pairs[0]), *begin.shape), dtype)
    state[0] = begin
    steppers.stepper(problem, sgd, "sgd", np.dtype(dtype))(state, Given(pairs), 2, 0)
    *_, expected = truth.moments(away_from(truth), 2)
    v = state[0].astype(float)
    allowed = 1 if dtype is np.float64 else 1e6
    assert error(v.mean(axis=0), truth.mean(expected)) <= allowed
    assert error(np.einsum("nki,nkj->ij", v, v) / len(v), truth.covariance(expected)) <= allowed


@pytest.mark.parametrize("name", [name for name in STEPS if name != "dampened"])  # refused in shuffled epochs
def test_shuffled_epochs(name):
    """All orders of an epoch are listed by the law too: stationary at every position, at every step, and the limit."""
    problem, sgd, truth = setting(name, "shuffle", 0.4)
    moments, prediction = truth.within(truth.stationary()), fl.predict(problem, sgd)
    for position, moment in enumerate(moments[:-1]):
        now = prediction.at(position)
        assert error(now.covariance, truth.covariance(moment)) <= 1e3
        assert error(now.mean, truth.mean(moment)) <= 1e3
    for step, moment in enumerate(truth.moments(away_from(truth), 5)):
        now = prediction.after(step, start=away_from(truth))
        assert error(now.covariance, truth.covariance(moment)) <= 1e3
    for share, grows in ((0.9999, False), (1.0001, True)):
        assert (setting(name, "shuffle", share)[2].growth() > 1) == grows


@step_case
def test_a_recipe_survives_its_description(name):
    sgd = recipe(name, 0.1, 4, sampling="shuffle", drop_last=True, schedule=(1.0, 0.5))
    assert read_recipe(json.loads(json.dumps(sgd.to_dict()))) == sgd
    assert len(sgd.step.later.given) == sgd.step.slots


def test_nu_one_is_a_dampened_heavy_ball_and_nu_beta_is_nesterov_s():
    """Stationary, where the first step is forgotten."""
    problem, sgd, _ = setting("quasi-hyperbolic, nu 1", "with_replacement")
    ball = fl.SGD(sgd.lr, 2, weight_decay=0.1, momentum=0.9, dampening=0.9)
    expected = fl.predict(problem, ball).covariance
    np.testing.assert_allclose(fl.predict(problem, sgd).covariance, expected, rtol=1e-12)
    ahead = fl.SGD(0.02, 2, momentum=0.7, nesterov=True)
    same = fl.QHM(lr=0.02 / (1 - 0.7), batch_size=2, momentum=0.7, nu=0.7)
    np.testing.assert_allclose(fl.predict(problem, same).covariance, fl.predict(problem, ahead).covariance, rtol=1e-11)


def test_only_what_the_weights_show_as_a_chain_has_relations_of_yaida():
    alike = {name: recipe(name, 0.1, 2).step.autoregressive for name in STEPS}
    assert [name for name in STEPS if not alike[name]] == ["Nesterov", "quasi-hyperbolic"]


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
def test_a_verdict_on_real_data(digits_problem):
    """The law without nu is some twenty standard errors away: within ten of them with probability below 1e-6."""
    sgd = recipe("quasi-hyperbolic", 0.05, 8)
    verdict = fl.verify(digits_problem, sgd, steps=400, replicas=64, level=1e-6, resolution=0.12, rng=1)
    assert verdict.passed, verdict.table
    wrong = fl.predict(digits_problem, fl.SGD(0.05, 8, momentum=0.8, dampening=0.8)).after(400).excess_loss
    assert abs(wrong - verdict.excess_loss) > 10 * verdict.excess_loss_error


@pytest.mark.statistical(alpha=1e-6)
def test_a_verdict_in_time(small_problem):
    sgd = recipe("quasi-hyperbolic", 0.02, 4)
    verdict = fl.verify_dynamic(small_problem, sgd, steps=600, replicas=64, modes=3, level=1e-6, rng=1)
    assert verdict.consistent, verdict.table
    assert not verdict.relations


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 1.0, "nu": 0.5},
        {"momentum": 0.5, "nu": 1.1},
        {"momentum": 0.5, "nu": -0.1},
        {"momentum": 0.5, "nu": np.nan},
        {"momentum": 0.5, "nu": 0.5, "drop_last": True},
        {"momentum": "0.5", "nu": 0.5},
    ],
)
def test_values_out_of_range_are_refused(options):
    with pytest.raises(InvalidInput):
        fl.QHM(lr=0.1, batch_size=2, **options)


def test_the_reader_says_what_an_optimiser_does_not_have_and_what_it_needs():
    with pytest.raises(InvalidInput, match="QHM does not have dampening, nesterov"):
        read_recipe(
            {
                "optimizer": "QHM",
                "lr": 0.1,
                "batch_size": 2,
                "momentum": 0.5,
                "nu": 0.5,
                "dampening": 0.1,
                "nesterov": True,
            }
        )
    with pytest.raises(InvalidInput, match="QHM needs momentum, nu"):
        read_recipe({"optimizer": "QHM", "lr": 0.1, "batch_size": 2})
    with pytest.raises(UnknownName, match="QHM"):
        read_recipe({"optimizer": "QHMM", "lr": 0.1, "batch_size": 2})
