"""Batches: the law of a draw, and streams that depend on a replica's number alone."""

import itertools

import numpy as np
import pytest
from scipy.stats import chisquare

import fluctua as fl
from fluctua.sampling import Draws, draw_batches, generators, seed_sequence

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


@pytest.mark.parametrize("size", [1, 2, 5, 6, 9, 10])
def test_without_replacement_a_batch_holds_distinct_samples(size):
    rows = batches(10, size, 500)
    assert rows.shape == (500, size)
    assert rows.min() >= 0
    assert rows.max() < 10
    assert all(len(set(row)) == size for row in rows.tolist())


def test_the_full_batch_without_replacement_is_every_sample_once():
    np.testing.assert_array_equal(batches(7, 7, 20), np.tile(np.arange(7), (20, 1)))


@pytest.mark.statistical(alpha=1e-4)  # few repeats, many repeats, drawn by what is left out
@pytest.mark.parametrize(("samples", "size"), [(8, 2), (8, 4), (7, 5)])
def test_without_replacement_every_subset_is_equally_likely(samples, size):
    assert subset_p_value(batches(samples, size, DRAWS), samples) > 1e-4


def test_a_sampler_that_redraws_unevenly_is_rejected():
    assert subset_p_value(batches(8, 4, DRAWS, draw=neighbour_instead_of_redraw), 8) < 1e-12


@pytest.mark.statistical(alpha=1e-4)
def test_consecutive_batches_are_independent():
    first = np.sort(batches(5, 2, DRAWS), axis=1) @ [5, 1]
    code = np.unique(first, return_inverse=True)[1]  # 10 subsets
    pairs = np.bincount(10 * code[:-1:2] + code[1::2], minlength=100)
    assert chisquare(pairs).pvalue > 1e-4


def test_a_replicas_stream_does_not_depend_on_how_many_there_are():
    few, many = generators(seed_sequence(3), 4), generators(seed_sequence(3), 9)
    for a, b in zip(few, many[:4], strict=True):
        np.testing.assert_array_equal(a.integers(2**60, size=8), b.integers(2**60, size=8))


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


def test_a_spawned_sequence_keeps_its_own_streams():
    parent = np.random.SeedSequence(5)
    streams = [generators(seed, 1)[0].integers(2**60) for seed in (parent, *parent.spawn(2))]
    assert len(set(streams)) == 3


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_batches_do_not_depend_on_how_many_are_taken_at_a_time(sampling):
    sgd = fl.SGD(0.1, 20, sampling=sampling)
    once, bits = (Draws(generators(seed_sequence(3), 2), 50, sgd) for _ in range(2))
    together = np.concatenate(list(once.batches(300)))
    apart = np.concatenate([run for steps in (1, 7, 260, 32) for run in bits.batches(steps)])
    assert together.shape == (300, 2, 20)
    np.testing.assert_array_equal(together, apart)
