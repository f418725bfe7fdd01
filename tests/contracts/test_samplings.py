"""What every sampling owes, as one contract: laws that enumeration finds, batches that add up, words, and JSON.

A sampling is a class of `recipe/sampling.py`. A new one is added to `SAMPLINGS` here, and has to pass all of it.
"""

from dataclasses import replace

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.recipe.sampling import SAMPLINGS as NAMES
from fluctua.recipe.sampling import read_sampling, sampler_of
from fluctua.simulation.batches import Draws, generators, seed_sequence
from fluctua.theory.source import Source
from helpers.enumeration import Enumeration, EpochEnumeration, away_from, error, tiny
from helpers.weighted_batches import WeightedEnumeration

WEIGHTS = [2.0, 1.0, 0.5, 3.0, 0.25]
SAMPLINGS = {
    **{name: name for name in NAMES},
    "weighted, unbiased": fl.WeightedSampling(WEIGHTS),
    "weighted, biased": fl.WeightedSampling(WEIGHTS, unbiased=False),
}
OPTIMISERS = {"plain": {}, "momentum": {"momentum": 0.6}}
every = pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
STEPS = 5
ITERATED = 100  # of 1e-12: the stationary state of epochs is iterated to 1e-10


def recipe_and_truth(sampling, momentum, size=2, decay=0.2):
    """A recipe at 0.3 of the limit of independent batches, and all that may happen to it."""
    inputs, targets = tiny("general")
    optimiser, sampler = {"momentum": momentum, "weight_decay": decay}, sampler_of(sampling)
    problem = fl.LeastSquares(inputs, targets)
    lr = 0.3 * float(fl.max_stable_lr(problem, fl.SGD(1.0, 1, **optimiser)))
    sgd = fl.SGD(lr, size, sampling=sampling, **optimiser)
    if isinstance(sampling, fl.WeightedSampling):
        known = {"drawn": np.array(WEIGHTS), "unbiased": sampling.unbiased}
        return problem, sgd, WeightedEnumeration(inputs, targets, lr, size, **known, **optimiser)
    kind = EpochEnumeration if sampler.remembers else Enumeration
    return problem, sgd, kind(inputs, targets, lr, size, sampling=sampling, **optimiser)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@every
def test_every_sampling_with_every_optimiser_is_as_enumerated(sampling, optimiser):
    problem, sgd, truth = recipe_and_truth(sampling, OPTIMISERS[optimiser].get("momentum", 0.0))
    if sgd.epochs and sampling != "shuffle":
        with pytest.raises(InvalidInput, match="repeats one order"):
            fl.predict(problem, sgd)
        return
    start, prediction = away_from(truth), fl.predict(problem, sgd)
    for t, moment in enumerate(truth.moments(start, STEPS)):
        now = prediction.after(t, start=start, rtol=1e-15)
        assert error(now.covariance, truth.covariance(moment)) <= 1
        assert error(now.mean, truth.mean(moment)) <= 1
        assert error(now.excess_loss, truth.excess_loss(moment)) <= 1
    moment = truth.stationary()
    settled = truth.within(moment)[:-1].mean(axis=0) if sgd.epochs else moment
    assert error(prediction.covariance, truth.covariance(settled)) <= (ITERATED if sgd.epochs else 1)


@every
def test_kappa_times_the_source_is_the_covariance_of_the_enumerated_gradients(sampling):
    """At any weights; in an epoch that of its first batch."""
    problem, sgd, truth = recipe_and_truth(sampling, 0.0)
    if sgd.epochs:
        truth = Enumeration(truth.inputs, truth.targets, sgd.lr, 2, "without_replacement", 0.2)
    weights = away_from(truth)
    steps = (truth.step(weights) - weights) / sgd.lr
    chances = getattr(truth, "probabilities", np.full(len(steps), 1 / len(steps)))
    mean = np.tensordot(chances, steps, 1)
    expected = np.einsum("n,nki,nkj->ij", chances, steps - mean, steps - mean)
    source = Source.of(problem, sgd)
    modes = source.minimum.problem.modes
    v = (weights - truth.optimum) @ modes
    assert error(source.at(v.T @ v, v), modes.T @ expected @ modes) <= 1


@pytest.mark.any_seed
@every
def test_batches_are_of_the_sizes_stated_and_an_epoch_has_every_sample_once(sampling):
    sgd = fl.SGD(0.1, 2, sampling=sampling)
    runs = list(Draws(generators(seed_sequence(3), 4), 5, sgd).batches(9))
    assert sum(map(len, runs)) == 9
    sizes = [run.shape[2] for run in runs for _ in run]
    assert sizes == ([2, 2, 1] * 3 if sgd.epochs else [2] * 9)
    if sgd.epochs:
        one = np.concatenate([batch for run in runs[:2] for batch in run], axis=1)
        assert (np.sort(one, axis=1) == np.arange(5)).all()
    if sgd.sampler.distinct:
        assert all((np.diff(np.sort(batch, axis=1)) > 0).all() for run in runs for batch in run)


@every
def test_a_sampling_is_read_back_from_what_is_written_of_it(sampling):
    sgd = fl.SGD(0.1, 2, sampling=sampling)
    again = fl.SGD(**sgd.to_dict())
    assert again == sgd
    assert hash(again) == hash(sgd)
    assert read_sampling(sgd.to_dict()["sampling"]) == sampling
    assert "batches of 2" in sgd.words


@every
def test_a_recipe_says_what_its_sampling_does(sampling):
    sgd = fl.SGD(0.1, 2, sampling=sampling)
    assert sgd.sampling == sampling
    assert sgd.sampling_factor(5) == (3 / 8 if sgd.sampler.distinct else 1 / 2)
    assert sgd.epochs == (sampling in ("shuffle", "single_shuffle", "sequential"))
    for changed in (replace(sgd, lr=0.2), replace(sgd, batch_size=3)):
        assert changed.sampling == sampling
