"""What a device draws: SplitMix64's numbers, and batches that follow from them with the probabilities they should."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest

import fluctua as fl
from fluctua._validate.devices import device_of
from fluctua.simulation.batches import generators, seed_sequence
from fluctua.simulation.on_device import draws as drawing
from fluctua.simulation.on_device.draws import TorchDraws
from fluctua.simulation.on_device.stream import Stream

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.torch
KNOWN = (6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431)
"""The first numbers of SplitMix64 from the seed 1234567, as Rosetta Code's page of it has them."""


class Seed:
    """A seed whose key is given."""

    def __init__(self, key):
        self.key = key

    def generate_state(self, count, kind):
        return np.full(count, self.key, kind)


def stream_of(*keys, device="cpu"):
    return Stream(map(Seed, keys), device_of(device))


def unsigned(words):
    return [int(word) % 2**64 for word in words.cpu().ravel()]


def reference(key, place):
    """SplitMix64 in whole numbers of any size."""
    z = (key + (place + 1) * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def draws_of(samples, sgd, replicas=3, device="cpu"):
    return TorchDraws(generators(seed_sequence(4), replicas), samples, sgd, np.dtype(float), device_of(device))


def test_the_numbers_are_splitmix64s(device):
    assert unsigned(stream_of(1234567, device=device).words(0, 1, 4)) == list(KNOWN)
    keys = 5, 2**64 - 7
    found = stream_of(*keys, device=device).words(3, 2, 5)
    expected = [reference(key, 5 * step + i) for step in (3, 4) for key in keys for i in range(5)]
    assert unsigned(found) == expected


@pytest.mark.parametrize("bound", [1, 3, 1797, 2**31])
def test_whole_numbers_are_the_words_share_of_the_bound(device, bound):
    stream = stream_of(11, 12, device=device)
    assert stream.below(bound, 2, 3, 4).ravel().tolist() == [
        word * bound // 2**64 for word in unsigned(stream.words(2, 3, 4))
    ]


def test_uniform_and_normal_numbers_are_of_the_words(device):
    stream = stream_of(11, 12, device=device)
    uniform = np.array([word >> 11 for word in unsigned(stream.words(7, 2, 6))]).reshape(2, 2, 6) / 2**53
    np.testing.assert_array_equal(stream.uniform(7, 2, 6).cpu(), uniform)
    radius, angle = np.sqrt(-2 * np.log(1 - uniform[..., :3])), 2 * np.pi * uniform[..., 3:]
    both = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    np.testing.assert_allclose(stream.normal(7, 2, 5, torch.float64).cpu(), both[..., :5], rtol=1e-12)
    single = stream.normal(7, 2, 5, torch.float32).cpu()
    np.testing.assert_allclose(single, both[..., :5], rtol=2e-6, atol=1e-6)


class Listed:
    """In the place of a stream: every sequence of whole numbers below the bounds, each as a step's."""

    def __init__(self, bounds):
        self.rows = torch.tensor(list(product(*(range(bound) for bound in bounds))))
        self.keys = torch.zeros(1, dtype=torch.int64)
        self.bounds = bounds

    def below(self, bound, step, steps, each):
        del step
        assert bound.tolist() == list(self.bounds)
        assert (steps, each) == tuple(self.rows.shape)
        return self.rows[:, None].clone()


@pytest.mark.any_seed
@pytest.mark.parametrize(("samples", "size"), [(4, 1), (4, 2), (4, 3), (4, 4), (5, 3)])
def test_every_subset_is_drawn_equally_often(samples, size):
    """All sequences that Floyd's algorithm may draw, listed: every subset follows from as many of them."""
    draws = draws_of(samples, fl.SGD(lr=0.1, batch_size=size, sampling="without_replacement"))
    draws._stream = Listed(range(samples - size + 1, samples + 1))
    drawn = draws._distinct(0, len(draws._stream.rows), size)[:, 0]
    found, counts = np.unique(np.sort(drawn.numpy(), axis=1), axis=0, return_counts=True)
    assert [tuple(row) for row in found.tolist()] == list(combinations(range(samples), size))
    assert len(set(counts)) == 1


@pytest.mark.any_seed
def test_weighted_samples_have_their_share_of_the_unit_interval(device):
    weights = (1.0, 0.0, 2.0, 5.0)
    draws = draws_of(
        4, fl.SGD(lr=0.1, batch_size=6, sampling=fl.WeightedSampling(weights, unbiased=False)), device=device
    )
    (batches,) = draws.batches(5, 3)
    for uniform, sample in zip(draws._stream.uniform(5, 3, 6).ravel().tolist(), batches.ravel().tolist(), strict=True):
        assert sample == np.searchsorted(np.cumsum(weights) / 8, uniform, side="right")
    assert Fraction(draws._reached[0].item()) == Fraction(1, 8)


@pytest.mark.any_seed
@pytest.mark.parametrize("held", [1, 2**22])
@pytest.mark.parametrize("sampling", ["shuffle", "single_shuffle", "sequential"])
def test_an_epoch_is_an_order_of_all_samples(device, sampling, held, monkeypatch):
    monkeypatch.setattr(drawing, "HELD", held)
    draws, samples = draws_of(10, fl.SGD(lr=0.1, batch_size=4, sampling=sampling), device=device), np.arange(10)
    runs = [run.cpu().numpy() for run in draws.batches(0, 9)]
    assert [run.shape[2] for run in runs for _ in run] == [4, 4, 2] * 3
    steps = [step for run in runs for step in run]
    epochs = [np.concatenate(steps[i : i + 3], axis=1) for i in (0, 3, 6)]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch, axis=1), [samples] * 3)
    orders = {tuple(order) for epoch in epochs for order in epoch.tolist()}
    assert len(orders) == {"shuffle": 9, "single_shuffle": 3, "sequential": 1}[sampling]
    (later,) = draws.batches(4, 1)
    np.testing.assert_array_equal(later.cpu()[0], epochs[1][:, 4:8])
    if sampling == "shuffle":
        words = np.array(unsigned(draws._stream.words(1, 1, 10)), np.uint64).astype(np.int64).reshape(3, 10)
        np.testing.assert_array_equal(epochs[1], words.argsort(axis=1))


@pytest.mark.any_seed
def test_a_large_batch_is_the_beginning_of_an_order(device):
    draws = draws_of(200, fl.SGD(lr=0.1, batch_size=90, sampling="without_replacement"), device=device)
    batches = torch.cat(list(draws.batches(3, 2))).cpu().numpy()
    assert batches.shape == (2, 3, 90)
    assert all(len(set(batch)) == 90 for step in batches.tolist() for batch in step)
    np.testing.assert_array_equal(batches[1], draws._orders(4, 200).cpu()[:, :90])
