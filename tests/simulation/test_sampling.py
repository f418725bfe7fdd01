"""Batches: the law of a draw, and streams that depend on a replica's number alone."""

import itertools
import tracemalloc

import numpy as np
import pytest
from scipy.stats import chisquare

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.recipe.sgd import EPOCHS, SAMPLINGS
from fluctua.simulation.batches import Draws, draw_batches, generators, seed_sequence

DRAWS = 40_000


def batches(samples, size, steps, sampling="without_replacement", seed=1, draw=draw_batches):
    return draw(generators(seed_sequence(seed), 1)[0], samples, fl.SGD(0.1, size, sampling=sampling), steps)


def subset_p_value(rows, samples):
    """Chi-square of the unordered batches against the uniform law over all subsets."""
    subsets = dict.fromkeys(itertools.combinations(range(samples), rows.shape[1]), 0)
    for row in np.sort(rows, axis=1).tolist():
        subsets[tuple(row)] += 1
    return chisquare(list(subsets.values())).pvalue


def neighbour_instead_of_redraw(rng, samples, sgd, steps):
    """Mutant: a repeated entry moves to the next free index instead of being drawn again."""
    rows = rng.integers(samples, size=(steps, sgd.batch_size))
    for row in rows:
        for i in range(1, len(row)):
            while row[i] in row[:i]:
                row[i] = (row[i] + 1) % samples
    return rows


@pytest.mark.any_seed
@pytest.mark.parametrize(("samples", "size"), [(1, 1), (5, 12), (1797, 8)])
def test_with_replacement_every_index_is_in_range(samples, size):
    rows = batches(samples, size, 300, "with_replacement")
    assert rows.shape == (300, size)
    assert rows.dtype == np.int64
    assert rows.min() >= 0
    assert rows.max() < samples


@pytest.mark.statistical(alpha=1e-4)
def test_with_replacement_ordered_pairs_are_uniform():
    rows = batches(5, 2, DRAWS, "with_replacement")
    assert chisquare(np.bincount(rows @ [5, 1], minlength=25)).pvalue > 1e-4


WEIGHTS = np.array([3.0, 0.0, 1.0, 0.5, 2.0])


def weighted_p_value(rows, weights):
    """Chi-square of ordered pairs against the product of their samples' probabilities."""
    chance = weights / weights.sum()
    seen, expected = np.bincount(rows @ [5, 1], minlength=25), np.outer(chance, chance).ravel()
    assert not seen[expected == 0].any()
    return chisquare(seen[expected > 0], len(rows) * expected[expected > 0]).pvalue


@pytest.mark.statistical(alpha=1e-4, miss=1e-6)
@pytest.mark.parametrize("unbiased", [True, False])
def test_weighted_draws_have_their_probabilities_and_are_independent(unbiased):
    rows = batches(5, 2, DRAWS, fl.WeightedSampling(WEIGHTS, unbiased=unbiased))
    assert weighted_p_value(rows, WEIGHTS) > 1e-4
    assert weighted_p_value(rows, WEIGHTS * [1.05, 1, 1, 1, 1]) < 1e-4


@pytest.mark.any_seed
def test_weights_of_zero_at_either_end_are_never_drawn():
    rows = batches(5, 4, 3000, fl.WeightedSampling([0, 1, 1e-3, 1, 0], unbiased=False))
    assert set(np.unique(rows)) <= {1, 2, 3}


@pytest.mark.any_seed
@pytest.mark.parametrize("size", [1, 2, 5, 6, 9, 10])
def test_without_replacement_a_batch_holds_distinct_samples(size):
    rows = batches(10, size, 500)
    assert rows.shape == (500, size)
    assert rows.min() >= 0
    assert rows.max() < 10
    assert all(len(set(row)) == size for row in rows.tolist())


@pytest.mark.any_seed
def test_the_full_batch_without_replacement_is_every_sample_once():
    np.testing.assert_array_equal(batches(7, 7, 20), np.tile(np.arange(7), (20, 1)))


@pytest.mark.statistical(alpha=1e-4)  # few repeats, many repeats, drawn by what is left out
@pytest.mark.parametrize(("samples", "size"), [(8, 2), (8, 4), (7, 5)])
def test_without_replacement_every_subset_is_equally_likely(samples, size):
    assert subset_p_value(batches(samples, size, DRAWS), samples) > 1e-4


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
def test_a_sampler_that_redraws_unevenly_is_rejected():
    assert subset_p_value(batches(8, 4, DRAWS, draw=neighbour_instead_of_redraw), 8) < 1e-12


@pytest.mark.statistical(alpha=1e-4)
def test_consecutive_batches_are_independent():
    first = np.sort(batches(5, 2, DRAWS), axis=1) @ [5, 1]
    code = np.unique(first, return_inverse=True)[1]  # 10 subsets
    pairs = np.bincount(10 * code[:-1:2] + code[1::2], minlength=100)
    assert chisquare(pairs).pvalue > 1e-4


@pytest.mark.any_seed
def test_a_replicas_stream_does_not_depend_on_how_many_there_are():
    few, many = generators(seed_sequence(3), 4), generators(seed_sequence(3), 9)
    for a, b in zip(few, many[:4], strict=True):
        np.testing.assert_array_equal(a.integers(2**60, size=8), b.integers(2**60, size=8))


@pytest.mark.any_seed
def test_replicas_and_seeds_have_different_streams():
    first = {int(rng.integers(2**60)) for seed in range(20) for rng in generators(seed_sequence(seed), 20)}
    assert len(first) == 400


def test_a_seed_may_be_an_int_a_sequence_a_generator_or_fresh():
    assert seed_sequence(5).entropy == 5
    child = np.random.SeedSequence(5).spawn(2)[1]
    assert seed_sequence(child) is child
    a, b = (seed_sequence(np.random.default_rng(2)).entropy for _ in range(2))
    assert a == b
    assert seed_sequence(None).entropy != seed_sequence(None).entropy


def test_a_generator_gives_a_new_seed_each_time_it_is_asked():
    rng = np.random.default_rng(2)
    assert seed_sequence(rng).entropy != seed_sequence(rng).entropy


@pytest.mark.any_seed
def test_a_spawned_sequence_keeps_its_own_streams():
    parent = np.random.SeedSequence(5)
    streams = [generators(seed, 1)[0].integers(2**60) for seed in (parent, *parent.spawn(2))]
    assert len(set(streams)) == 3


@pytest.mark.any_seed
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize(("samples", "size"), [(50, 20), (50, 50), (2000, 3), (70_000, 60_000)])
def test_batches_do_not_depend_on_how_many_are_taken_at_a_time(sampling, samples, size):
    sgd = fl.SGD(0.1, size, sampling=sampling)
    once, bits = (Draws(generators(seed_sequence(3), 2), samples, sgd) for _ in range(2))
    pieces = (1, 7, 260, 32) if samples < 3000 else (1, 2, 5)
    together = list(once.batches(sum(pieces)))
    apart = [run for steps in pieces for run in bits.batches(steps)]
    assert sum(map(len, together)) == sum(map(len, apart)) == sum(pieces)
    assert all(run.flags.c_contiguous and run.dtype == np.int64 for run in together)
    for one, other in zip(itertools.chain(*together), itertools.chain(*apart), strict=True):
        np.testing.assert_array_equal(one, other)


def epochs_of(sampling, samples, size, epochs, replicas=2, drop_last=False, order=Draws):
    """The indices of each epoch as its batches came, (epochs, replicas, N) or less what is dropped; and their sizes."""
    sgd = fl.SGD(0.1, size, sampling=sampling, drop_last=drop_last)
    steps = len(sgd.batch_sizes(samples))
    draws = order(generators(seed_sequence(3), replicas), samples, sgd)
    found = [[batch for run in draws.batches(steps) for batch in run] for _ in range(epochs)]
    sizes = [[batch.shape[1] for batch in epoch] for epoch in found]
    return np.array([np.concatenate(epoch, axis=1) for epoch in found]), sizes


@pytest.mark.any_seed
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("samples", "size"), [(10, 3), (12, 4), (7, 7), (5, 4), (300, 1), (1, 1)])
@pytest.mark.parametrize("sampling", EPOCHS)
def test_an_epoch_visits_every_sample_once_in_batches_of_the_stated_sizes(sampling, samples, size, drop_last):
    indices, sizes = epochs_of(sampling, samples, size, 4, drop_last=drop_last)
    expected = fl.SGD(0.1, size, sampling=sampling, drop_last=drop_last).batch_sizes(samples).tolist()
    assert sizes == [expected] * 4
    assert indices.shape == (4, 2, sum(expected))
    for order in indices.reshape(8, -1):
        assert len(set(order.tolist())) == len(order)
        assert set(order.tolist()) <= set(range(samples))


@pytest.mark.any_seed
def test_shuffled_epochs_are_each_replicas_own_permutations_in_turn():
    indices, _ = epochs_of("shuffle", 50, 8, 5, replicas=3)
    for replica, rng in enumerate(generators(seed_sequence(3), 3)):
        np.testing.assert_array_equal(indices[:, replica], [rng.permutation(50) for _ in range(5)])


@pytest.mark.any_seed
@pytest.mark.parametrize("drop_last", [False, True])
def test_a_single_shuffle_is_repeated_and_differs_between_replicas(drop_last):
    indices, sizes = epochs_of("single_shuffle", 50, 8, 5, replicas=3, drop_last=drop_last)
    first = [rng.permutation(50)[: sum(sizes[0])] for rng in generators(seed_sequence(3), 3)]
    np.testing.assert_array_equal(indices, np.tile(first, (5, 1, 1)))


@pytest.mark.any_seed
@pytest.mark.parametrize("drop_last", [False, True])
def test_sequential_epochs_are_in_the_order_of_the_data(drop_last):
    indices, sizes = epochs_of("sequential", 50, 8, 5, replicas=3, drop_last=drop_last)
    np.testing.assert_array_equal(indices, np.tile(np.arange(sum(sizes[0])), (5, 3, 1)))


def permutation_p_values(indices):
    """Chi-square of the orders, and of pairs of successive epochs and of replicas, against uniform laws."""
    samples = indices.shape[-1]
    place = {order: i for i, order in enumerate(itertools.permutations(range(samples)))}
    codes = np.array([[place[tuple(order)] for order in epoch] for epoch in indices.tolist()])
    count = len(place)
    epochs, replicas = count * codes[:-1:2] + codes[1::2], count * codes[:, :-1:2] + codes[:, 1::2]
    tables = (codes, count), (epochs, count**2), (replicas, count**2)
    return [chisquare(np.bincount(table.ravel(), minlength=size)).pvalue for table, size in tables]


@pytest.mark.statistical(alpha=1e-4)
def test_shuffled_orders_are_uniform_and_independent_of_the_epoch_before_and_of_other_replicas():
    indices, _ = epochs_of("shuffle", 4, 1, 1000, replicas=30)
    assert min(permutation_p_values(indices)) > 1e-4 / 3


@pytest.mark.statistical(alpha=1e-4)
def test_single_orders_are_uniform_over_replicas():
    indices, _ = epochs_of("single_shuffle", 4, 1, 1, replicas=20_000)
    orders = np.unique(indices[0], axis=0, return_counts=True)[1]
    assert len(orders) == 24
    assert chisquare(orders).pvalue > 1e-4


class Mutant(Draws):
    """Epochs whose orders come from `order(rng, samples)`."""

    def __init__(self, rngs, samples, sgd, order):
        super().__init__(rngs, samples, sgd)
        self.order = order

    def batches(self, steps):
        orders = np.stack([self.order(rng, self.samples) for rng in self.rngs])
        return [orders.T[:steps, :, None]]


def naive_shuffle(rng, samples):
    """Every place is swapped with any other: N^N equally likely ways to N! orders."""
    order = np.arange(samples)
    for i, j in enumerate(rng.integers(samples, size=samples)):
        order[[i, j]] = order[[j, i]]
    return order


def one_in_fifty_unshuffled(rng, samples):
    return rng.permutation(samples) if rng.random() > 0.02 else np.arange(samples)


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
@pytest.mark.parametrize("order", [naive_shuffle, one_in_fifty_unshuffled])
def test_a_shuffle_that_is_not_uniform_is_rejected(order):
    indices, _ = epochs_of("shuffle", 4, 1, 1000, replicas=30, order=lambda *given: Mutant(*given, order))
    assert min(permutation_p_values(indices)) < 1e-12


@pytest.mark.any_seed
def test_no_more_than_one_epoch_of_a_replica_and_a_block_of_steps_is_held():
    samples, replicas = 60_000, 4
    sgd = fl.SGD(0.1, 1, sampling="shuffle")
    draws = Draws(generators(seed_sequence(1), replicas), samples, sgd)
    tracemalloc.start()
    longest = max(run.size for run in draws.batches(150_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert longest <= 256 * replicas
    assert peak < 2 * samples * replicas + 8 * samples + 2**20  # the orders, one permutation as it is drawn, a block


@pytest.mark.any_seed
def test_an_epoch_is_not_drawn_as_if_its_batches_were_independent():
    with pytest.raises(InvalidInput, match="Use sampling='without_replacement'"):
        batches(10, 2, 5, "shuffle")
    with pytest.raises(InvalidInput, match="batch_size = 11 is larger than the 10 samples"):
        Draws(generators(seed_sequence(1), 1), 10, fl.SGD(0.1, 11, sampling="shuffle"))
