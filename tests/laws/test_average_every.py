"""Averages that are updated every k steps or every epoch: torch's, and every batch and every order of tiny data."""

import json
from math import gcd

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, UnknownFloor
from fluctua.recipe.averages import read_average
from fluctua.simulation.batches import Draws, generators, seed_sequence
from fluctua.simulation.identity import EqualTimeRun
from fluctua.simulation.steppers import slots, stepper
from fluctua.storage.layout import hold_header
from fluctua.theory.law import Law
from helpers.agreement import close
from helpers.enumeration import Enumeration, EpochEnumeration, away_from, error, followed, followed_in_epochs, tiny

LR, SIZE, STEPS = 0.05, 2, 10
OPTIMISERS = {"plain": {}, "momentum": {"momentum": 0.6, "weight_decay": 0.2}}
AVERAGES = {
    "ema, 2": fl.EMA(0.7, 2),
    "ema, epoch": fl.EMA(0.7, "epoch"),
    "running, 2": fl.RunningAverage(3, 2),
    "running, epoch": fl.RunningAverage(2, "epoch"),
}
SAMPLINGS = {"shuffle": EpochEnumeration, "with_replacement": Enumeration}
optimiser_case = pytest.mark.parametrize("optimiser", OPTIMISERS)
sampling_case = pytest.mark.parametrize("sampling", SAMPLINGS)


def setting(optimiser, sampling, lr=LR, **options):
    inputs, targets = tiny("general")  # five samples: an epoch has three steps
    given = OPTIMISERS[optimiser]
    sgd = fl.SGD(lr, SIZE, sampling=sampling, **given, **options)
    return fl.LeastSquares(inputs, targets), sgd, SAMPLINGS[sampling](inputs, targets, lr, SIZE, **given)


# -- what torch does --------------------------------------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.parametrize("epoch", [1, 3, 4])
@pytest.mark.parametrize("decay", [None, 0.8])
def test_it_is_updated_as_a_loop_with_torchs_averaged_model_does_it(decay, epoch):
    """`update_parameters` after each epoch, for SWA from number 2 on; W is seen before the first."""
    torch = pytest.importorskip("torch")
    swa = pytest.importorskip("torch.optim.swa_utils")
    ours = fl.RunningAverage(2 * epoch, epoch) if decay is None else fl.EMA(decay, epoch)
    model, rng, average = torch.nn.Linear(3, 2, bias=False).double(), np.random.default_rng(4), np.zeros((2, 3))
    kept = swa.AveragedModel(model, multi_avg_fn=None if decay is None else swa.get_ema_multi_avg_fn(decay))
    for step, share in enumerate(ours.weights(range(9 * epoch))):
        weights = rng.normal(size=(2, 3))
        with torch.no_grad():
            model.weight.copy_(torch.from_numpy(weights))
        number, last = divmod(step + 1, epoch)
        if not last and number > (2 if decay is None else 0):
            kept.update_parameters(model)
        average += share * (weights - average)
        seen = next(iter(kept.module.parameters())).detach().numpy() if kept.n_averaged else weights
        assert close(average, seen, 1e-13)
    assert int(kept.n_averaged) == (7 if decay is None else 9)


def test_the_shares_of_steps():
    assert fl.RunningAverage(4, 3).weights(range(12)).tolist() == [1] * 6 + [0, 0, 1 / 2, 0, 0, 1 / 3]
    assert fl.EMA(0.75, 3).weights(range(10)).tolist() == [1] * 3 + [0, 0, 0.25, 0, 0, 0.25, 0]
    assert fl.RunningAverage(6, 3).first_update == 9
    assert fl.RunningAverage(5, 3).first_update == 6
    assert fl.EMA(0.5, 10**9).weights(np.array([[10**12 - 1, 5]])).tolist() == [[0.5, 1.0]]


@pytest.mark.parametrize(
    ("options", "steps"), [({"sampling": "shuffle"}, 4), ({"sampling": "shuffle", "drop_last": True}, 3), ({}, 4)]
)
def test_an_epoch_has_as_many_steps_as_the_recipe(options, steps):
    found = fl.RunningAverage(5, "epoch").in_steps(fl.SGD(0.1, 8, **options), 27)
    assert found == fl.RunningAverage(5, steps)
    assert fl.EMA(0.5, "epoch").in_steps(fl.SGD(0.1, 30), 27) == fl.EMA(0.5, 1)


# -- every batch, every order -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("average", AVERAGES)
@sampling_case
@optimiser_case
def test_every_step_of_a_run(optimiser, sampling, average):
    problem, sgd, truth = setting(optimiser, sampling)
    seen, start, size = AVERAGES[average], away_from(truth), truth.optimum.size
    shares = seen.in_steps(sgd, len(truth.inputs)).weights(range(STEPS))
    listed = followed_in_epochs if sampling == "shuffle" else followed
    moments = list(listed(truth, [1.0] * STEPS, shares))
    prediction, losses = fl.predict(problem, sgd, average=seen), []
    for t, whole in enumerate(moments, 1):
        moment = whole[np.ix_(kept := np.r_[:size, len(whole) - 1], kept)]
        losses.append(truth.excess_loss(moment))
        if t in (4, 6, 9):
            now = prediction.after(t, start=start, rtol=1e-15)
            assert error(now.covariance, truth.covariance(moment)) <= 1
            assert error(now.mean, truth.mean(moment)) <= 1
    curve = fl.learning_curve(problem, sgd, STEPS, start=start, average=seen, rtol=1e-15)
    assert error(curve[1:], losses) <= 1


def settled(truth, decay, every, sampling):
    """Moments of the average, over all positions, once nothing changes: powers of the maps of all batches or orders."""
    epochs, size = sampling == "shuffle", truth.optimum.size
    length, whole = len(truth.sizes) if epochs else 1, size + len(truth.maps[0])
    flows, now = [], np.zeros((whole, whole))
    now[-1, -1] = 1
    for first in range(0, length * every // gcd(length, every), length):
        flows += flows_along(truth, [(1 - decay) * ((first + t) % every == 0) for t in range(1, length + 1)], epochs)
    cycle = np.linalg.multi_dot([np.eye(whole**2), *flows[length - 1 :: length][::-1], np.eye(whole**2)])
    now, found = np.linalg.matrix_power(cycle, 2**22) @ now.ravel(), []
    for first in range(0, len(flows), length):
        found += [now] + [flow @ now for flow in flows[first : first + length - 1]]
        now = flows[first + length - 1] @ now
    moments = np.mean(found, axis=0).reshape(whole, whole)
    return truth.covariance(moments[:size, :size]), moments[:size, -1].reshape(truth.optimum.shape)


def flows_along(truth, shares, epochs):
    """What 1, 2, ... batches do to the second moment of (average, state, 1), averaged over all of them."""
    size, flows, everyone = truth.optimum.size, [], frozenset(range(len(truth.inputs)))
    begun = [(np.eye(size + len(truth.maps[0])), everyone)]
    for step, share in enumerate(shares):
        maps = truth._by_batch(truth.sizes[step], False) if epochs else dict(enumerate(truth.maps))
        begun = [
            (extended(maps[batch], share, size) @ before, left.difference(batch) if epochs else left)
            for before, left in begun
            for batch in (truth._continuations(left, truth.sizes[step]) if epochs else maps)
        ]
        products = np.array([each for each, _ in begun])
        pairs = np.einsum("nia,njb->ijab", products, products, optimize=True) / len(products)
        flows.append(pairs.reshape(len(pairs) ** 2, -1))
    return flows


def extended(step, share, size):
    """The map of one batch with the average before the state."""
    out = np.zeros((size + len(step),) * 2)
    out[size:, size:] = step
    out[:size, :size], out[:size, size:] = (1 - share) * np.eye(size), share * step[:size]
    return out


@pytest.mark.parametrize("every", [2, 3, 6])
@sampling_case
def test_a_stationary_average_is_the_one_of_all_batches_or_orders(every, sampling):
    inputs, targets = tiny("one feature") if sampling == "shuffle" else tiny("six samples")
    kind, lr, decay = SAMPLINGS[sampling], 0.3, 0.6
    truth = kind(inputs, targets, lr, 2, momentum=0.5)
    sgd = fl.SGD(lr, 2, momentum=0.5, sampling=sampling)
    found = fl.predict(fl.LeastSquares(inputs, targets), sgd, average=fl.EMA(decay, every))
    covariance, mean = settled(truth, decay, every, sampling)
    assert error(found.covariance, covariance) <= 100  # of powers of the reference's maps
    if sampling == "shuffle":
        assert error(found.mean, mean) <= 100
    assert error(1.01 * found.covariance, covariance) > 1e6


@optimiser_case
@pytest.mark.parametrize("every", [1, 2, "epoch"])
def test_a_mean_over_all_time_ends_at_the_mean_that_epochs_displace(optimiser, every):
    problem, sgd, truth = setting(optimiser, "shuffle")
    average = fl.RunningAverage(4, every)
    found = fl.predict(problem, sgd, average=average)
    places = truth.within(truth.stationary())[[0] if every == "epoch" else [0, 1, 2]]
    expected = np.mean([truth.mean(place) for place in places], axis=0)
    assert error(found.mean, expected) <= 100
    assert error(found.covariance, expected.T @ expected) <= 100
    assert found.excess_loss > 0
    assert fl.predict(problem, fl.SGD(LR, 2), average=average).excess_loss == 0


# -- larger data ------------------------------------------------------------------------------------------------------


def expansion(lr, average, samples=24, **options):
    """The law by the expansion of data whose epochs are too many to be listed."""
    rng = np.random.default_rng(5)
    problem = fl.LeastSquares(rng.normal(size=(samples, 3)), rng.normal(size=(samples, 2)))
    return Law(problem, fl.SGD(lr, 4, weight_decay=0.3, sampling="shuffle", **options), "exact", average, rough=True)


@pytest.mark.parametrize("every", [4, "epoch", 12])
def test_the_expansion_settles_where_a_long_run_ends(every):
    law = expansion(0.3, fl.EMA(0.2, every))
    run, late = law.relaxation(None, 6 * 12, 1e-6), range(6 * 10, 6 * 12)  # every position, with every phase
    for found, expected in zip(law.settled_in_epochs(None), (run.average(late)[0], run.means(late)), strict=True):
        assert close(found, expected, 2e-3)
    there = [6 * 10 + 3, 6 * 11 + 3]
    for found, expected in zip(law.settled_in_epochs(3), (run.average(there)[0], run.means(there)), strict=True):
        assert close(found, expected, 2e-3)


def test_rare_updates_are_a_filter_of_the_weights():
    law = expansion(0.3, fl.EMA(0.2, 13))  # its phases come round after 13 epochs
    run, late = law.relaxation(None, 6 * 19, 1e-6), range(6 * 6, 6 * 19)
    for found, expected in zip(law.settled_in_epochs(None), (run.average(late)[0], run.means(late)), strict=True):
        assert close(found, expected, 5e-3)
    with pytest.raises(InvalidInput, match="every 13 steps, in epochs of 6"):
        law.settled_in_epochs(3)


def test_what_would_follow_too_many_epochs_is_left_open():
    law = expansion(0.03, average := fl.EMA(0.6, 17), samples=120)
    with pytest.warns(UnknownFloor, match="every 17 steps in epochs of 30.*after 17 epochs only") as caught:
        settled = fl.predict(law.problem, law.sgd, average=average)
    assert (caught[0].message.every, caught[0].message.steps, caught[0].message.epochs) == (17, 30, 17)
    assert np.isnan(settled.excess_loss)
    assert settled.after(20).excess_loss > 0


def test_relaxation_takes_the_average_into_account(digits_problem):
    sgd = fl.SGD(0.05, 8)
    weights, found = (fl.predict(digits_problem, sgd, average=each) for each in (None, fl.EMA(0.9, 100)))
    assert found.relaxation_steps.min() == pytest.approx(-100 / np.log(0.9))
    assert found.relaxation_steps.max() == weights.relaxation_steps.max()


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_stationary_average_and_its_spread_are_where_a_long_run_ends(small_problem, momentum):
    """Also at critical damping, where the components of a mode nearly coincide: (1 - sqrt(momentum))^2 = lr h."""
    h = small_problem.minimum(0.3).curvatures
    lr = 0.02 if not momentum else float((1 - np.sqrt(momentum)) ** 2 / h[5])
    sgd = fl.SGD(lr, 8, momentum=momentum, weight_decay=0.3)
    settled = fl.predict(small_problem, sgd, average=fl.EMA(0.5, 50))
    late = settled.after(2000, rtol=1e-7)
    np.testing.assert_allclose(settled.mode_variances, late.mode_variances, rtol=1e-5)
    assert fl.loss_spread(settled, rtol=1e-7).std == pytest.approx(fl.loss_spread(late, rtol=1e-7).std, rel=1e-5)


# -- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.any_seed
@pytest.mark.parametrize("dynamics", ["sgd", "langevin_state_dependent"])
@pytest.mark.parametrize("average", [fl.EMA(0.8, 4), fl.RunningAverage(5, "epoch")], ids=str)
def test_the_simulator_keeps_that_average(small_problem, dynamics, average):
    sgd = fl.SGD(0.01, 16, momentum=0.5)  # sixty samples: four steps an epoch
    state = np.zeros((slots(sgd, average), 2, 3, 12))
    state[0] = state[-1] = 1.0
    advance = stepper(small_problem, sgd, dynamics, np.dtype(float), average)
    draws, kept, number = Draws(generators(seed_sequence(2), 2), 60, sgd), state[0].copy(), 0
    for step in range(1, 18):
        advance(state, draws, 1, step - 1)
        if step % 4 == 0 and step > average.left_out:
            number += 1
            share = 1 / number if isinstance(average, fl.RunningAverage) or number == 1 else 0.2
            kept = kept + share * (state[0] - kept)
        np.testing.assert_allclose(state[-1], kept if number else state[0], rtol=1e-13)


@pytest.mark.statistical(alpha=1e-4)
def test_real_runs_average_once_an_epoch_as_predicted(digits_problem):
    sgd = fl.SGD(0.05, 32, sampling="shuffle")
    average = fl.RunningAverage(57, "epoch")
    verdict = fl.verify(
        digits_problem, sgd, steps=57 * 4, replicas=256, rng=17, average=average, start="zero", level=1e-4
    )
    assert verdict.consistent
    assert verdict.sharp
    assert not verdict.row("exact x 1.05").consistent
    assert verdict.run.average == average
    assert "the ends of all epochs after 57" in verdict.run.average.words
    saved = json.loads(verdict.to_json())
    hold_header(saved, "verdict")
    del saved["identity"]["average"]["every"]  # as versions before it wrote
    hold_header(saved, "verdict")
    assert EqualTimeRun.of(saved["identity"]).average == fl.RunningAverage(57)


# -- what is said of it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("average", [*AVERAGES.values(), fl.EMA(0.5), fl.RunningAverage(3)], ids=str)
def test_an_average_survives_its_description(average):
    assert read_average(json.loads(json.dumps(average.to_dict()))) == average
    assert str(average.every) in average.words or average.every == 1


def test_descriptions_of_before_every_are_read():
    assert read_average({"name": "EMA", "decay": 0.5}) == fl.EMA(0.5)
    assert read_average({"name": "RunningAverage", "start": 3}) == fl.RunningAverage(3)


@pytest.mark.parametrize(
    "average", [fl.EMA(0.5, 12), fl.RunningAverage(5, 12), fl.RunningAverage(11, "epoch")], ids=str
)
@pytest.mark.parametrize("call", ["after", "learning_curve", "simulate", "verify"])
def test_a_run_that_ends_before_the_first_update_is_refused(small_problem, average, call):
    sgd = fl.SGD(0.01, 5, sampling="shuffle")  # twelve steps an epoch
    calls = {
        "after": lambda: fl.predict(small_problem, sgd, average=average).after(11),
        "learning_curve": lambda: fl.learning_curve(small_problem, sgd, 11, average=average),
        "simulate": lambda: fl.simulate(small_problem, sgd, steps=11, replicas=2, average=average),
        "verify": lambda: fl.verify(small_problem, sgd, steps=11, replicas=2, average=average),
    }
    with pytest.raises(InvalidInput, match=r"12 .*and the run has 11: nothing would be averaged"):
        calls[call]()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: fl.EMA(0.5, 0), "every must be at least 1, got 0"),
        (lambda: fl.EMA(0.5, 1.5), "every must be a whole number"),
        (lambda: fl.RunningAverage(0, "epochs"), "every must be a whole number of steps, or 'epoch', got 'epochs'"),
        (lambda: fl.RunningAverage(0, True), "every must be a whole number"),
        (lambda: fl.RunningAverage(0, "epoch").weights(3), "knows its steps once the data are known"),
    ],
)
def test_bad_values_are_refused(make, words):
    with pytest.raises(InvalidInput, match=words):
        make()
