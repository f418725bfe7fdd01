"""The recipe: what it accepts, what it refuses and how it says so, and its sampling factor."""

import json
from fractions import Fraction

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import FluctuaError, InvalidInput, UnknownName
from fluctua.recipe.sgd import EPOCHS, SAMPLINGS
from helpers.enumeration import list_batches

BAD = [
    ({"lr": 0}, "lr must be greater than 0, got 0"),
    ({"lr": -0.5}, "lr must be greater than 0, got -0.5"),
    ({"lr": float("nan")}, "lr must be a finite number, got nan"),
    ({"lr": float("inf")}, "lr must be a finite number, got inf"),
    ({"lr": "0.1"}, "lr must be a finite number, got '0.1'"),
    ({"lr": None}, "lr must be a finite number, got None"),
    ({"lr": True}, "lr must be a finite number, got True"),
    ({"lr": 1j}, "lr must be a finite number, got 1j"),
    ({"lr": [0.1]}, "lr must be a finite number, got [0.1]"),
    ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ({"batch_size": -3}, "batch_size must be at least 1, got -3"),
    ({"batch_size": 2.5}, "batch_size must be a whole number of at least 1, got 2.5"),
    ({"batch_size": 8.0}, "batch_size must be a whole number of at least 1, got 8.0"),
    ({"batch_size": "8"}, "batch_size must be a whole number of at least 1, got '8'"),
    ({"batch_size": True}, "batch_size must be a whole number of at least 1, got True"),
    ({"batch_size": None}, "batch_size must be a whole number of at least 1, got None"),
    ({"weight_decay": -0.1}, "weight_decay must be at least 0, got -0.1"),
    ({"weight_decay": float("nan")}, "weight_decay must be a finite number, got nan"),
    ({"weight_decay": "none"}, "weight_decay must be a finite number, got 'none'"),
    ({"sampling": "with replacement"}, "unknown sampling 'with replacement'. Did you mean 'with_replacement'?"),
    ({"sampling": "Without_Replacement"}, "Did you mean 'without_replacement'?"),
    ({"sampling": "quantum"}, "Known: with_replacement, without_replacement, shuffle, single_shuffle, sequential."),
    ({"sampling": None}, "unknown sampling 'None'"),
    ({"sampling": "shuffled"}, "Did you mean 'shuffle'?"),
    ({"drop_last": True}, "drop_last needs epochs, and sampling = 'with_replacement' draws independent batches"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[str(change) for change, _ in BAD])
def test_a_bad_value_is_refused_with_the_value_in_the_message(change, message):
    with pytest.raises(InvalidInput) as caught:
        fl.SGD(**{"lr": 0.1, "batch_size": 8} | change)
    assert message in str(caught.value)
    assert isinstance(caught.value, (FluctuaError, ValueError))
    assert isinstance(caught.value, UnknownName) == ("unknown sampling" in str(caught.value))


def test_an_unknown_sampling_carries_its_suggestion():
    with pytest.raises(UnknownName) as caught:
        fl.SGD(0.1, 8, sampling="with_replacment")
    assert caught.value.name == "with_replacment"
    assert caught.value.suggestion == "with_replacement"
    assert caught.value.known == SAMPLINGS


def test_numpy_numbers_become_plain_ones():
    sgd = fl.SGD(np.float32(0.5), np.int16(8), weight_decay=np.float64(0.25))
    assert (type(sgd.lr), type(sgd.batch_size), type(sgd.weight_decay)) == (float, int, float)
    assert sgd == fl.SGD(0.5, 8, weight_decay=0.25)
    assert hash(sgd) == hash(fl.SGD(0.5, 8, weight_decay=0.25))
    assert fl.SGD(1, 8).lr == 1.0


def test_a_recipe_is_frozen_and_survives_json():
    sgd = fl.SGD(0.1, 8, weight_decay=0.01, sampling="shuffle", drop_last=True)
    with pytest.raises(AttributeError):
        sgd.lr = 0.2
    assert fl.SGD(**json.loads(json.dumps(sgd.to_dict()))) == sgd


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("samples", [2, 3, 5])
def test_the_sampling_factor_is_the_variance_of_an_enumerated_batch_mean(samples, sampling):
    values = [Fraction(v) for v in (3, -1, 4, 1, -5)[:samples]]
    centre = sum(values) / samples
    variance = sum((v - centre) ** 2 for v in values) / samples
    for size in range(1, samples + 1):
        means = [sum(values[i] for i in batch) / size for batch in list_batches(samples, size, sampling).tolist()]
        factor = sum((m - centre) ** 2 for m in means) / len(means) / variance
        found = fl.SGD(0.1, size, sampling=sampling).sampling_factor(samples)
        assert found == pytest.approx(float(factor), rel=1e-15, abs=0)


@pytest.mark.parametrize("sampling", ["without_replacement", *EPOCHS])
def test_a_full_batch_without_replacement_has_no_noise_and_a_larger_one_is_refused(sampling):
    assert fl.SGD(0.1, 7, sampling=sampling).sampling_factor(7) == 0.0
    with pytest.raises(InvalidInput, match=r"batch_size = 8 is larger than the 7 samples"):
        fl.SGD(0.1, 8, sampling=sampling).sampling_factor(7)
    assert fl.SGD(0.1, 8).sampling_factor(7) == 1 / 8


@pytest.mark.parametrize("sampling", EPOCHS)
def test_an_epoch_is_cut_into_full_batches_and_one_of_what_is_left(sampling):
    def sizes(samples, size, **options):
        return fl.SGD(0.1, size, sampling=sampling, **options).batch_sizes(samples).tolist()

    assert sizes(10, 4) == [4, 4, 2]
    assert sizes(10, 4, drop_last=True) == [4, 4]
    assert sizes(10, 5) == sizes(10, 5, drop_last=True) == [5, 5]
    assert sizes(10, 10) == sizes(10, 10, drop_last=True) == [10]
    assert sizes(3, 1) == [1, 1, 1]
    assert fl.SGD(0.1, 4, sampling=sampling).batch_sizes(10).dtype == np.int64
    with pytest.raises(InvalidInput, match=r"batch_size = 11 is larger than the 10 samples"):
        sizes(10, 11)


def test_only_samplings_that_run_in_epochs_have_batch_sizes_and_are_refused_where_batches_must_be_independent():
    assert [name for name in SAMPLINGS if fl.SGD(0.1, 8, sampling=name).epochs] == list(EPOCHS)
    for name in SAMPLINGS:
        sgd = fl.SGD(0.1, 8, sampling=name)
        if name in EPOCHS:
            with pytest.raises(InvalidInput, match=f"This is why, and the batches of sampling = '{name}'"):
                sgd.refuse_epochs("This is why")
        else:
            sgd.refuse_epochs("")
            with pytest.raises(InvalidInput, match="have no epochs"):
                sgd.batch_sizes(10)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "lr 0.1, batches of 8 with replacement"),
        ({"sampling": "without_replacement"}, "lr 0.1, batches of 8 without replacement"),
        ({"sampling": "shuffle"}, "lr 0.1, shuffled epochs of batches of 8"),
        ({"sampling": "single_shuffle"}, "lr 0.1, epochs of batches of 8 in one shuffled order"),
        (
            {"sampling": "sequential", "drop_last": True, "momentum": 0.5},
            "lr 0.1, epochs of batches of 8 in data order (incomplete last batch dropped), momentum 0.5",
        ),
    ],
)
def test_a_recipe_in_words(options, words):
    assert fl.SGD(0.1, 8, **options).words == words


def test_two_recipes_that_differ_are_not_equal():
    base = fl.SGD(0.1, 8)
    assert base != fl.SGD(0.1, 9)
    assert base != fl.SGD(0.1, 8, sampling="without_replacement")
    assert fl.SGD(0.1, 8, sampling="shuffle") != fl.SGD(0.1, 8, sampling="shuffle", drop_last=True)
