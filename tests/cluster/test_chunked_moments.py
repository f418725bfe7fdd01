"""Moments of chunks that lie on workers: the sums of this process, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

import fluctua as fl
from fluctua.distributed import batches, moments
from fluctua.errors import InvalidInput
from fluctua.problem.streaming import StreamingMoments

array = pytest.importorskip("dask.array")
CHUNKS = (40, 7, 53, 100)
SUMS = ("samples", "chunks", "gram", "crossed", "products", "largest_input", "largest_target", "longest")


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    return rng.normal(size=(200, 9)).astype(np.float32), rng.normal(size=(200, 2))


def summed(samples, weights=None):
    found, begin = StreamingMoments(9, 2, weights), 0
    for length in CHUNKS:
        found.add(*(each[begin : begin + length] for each in samples))
        begin += length
    return found


@pytest.mark.parametrize("weights", [None, np.full((2, 9), 0.3)])
def test_sums_are_those_of_one_process_whoever_makes_them(samples, weights, loopback):
    x, y = (array.from_array(each, chunks=(CHUNKS, -1)) for each in samples)
    here = summed(samples, weights)
    with fl.cluster(loopback.address):
        there = moments(x, y, weights)
        parted = moments(x.rechunk({1: 4}), y.rechunk({0: 200}), weights)
    for found in (there, parted, moments(x, y, weights)):
        for name in SUMS:
            np.testing.assert_array_equal(getattr(found, name), getattr(here, name), err_msg=name)


@pytest.mark.slow
@pytest.mark.any_seed
def test_passes_for_k_are_made_where_the_chunks_are_with_the_bits_of_one_process(samples, loopback, monkeypatch):
    """In blocks that cross the chunks; a process that makes none itself finds the same floor."""
    monkeypatch.setattr("fluctua.problem.chunked._HELD", 0)
    monkeypatch.setattr("fluctua.problem.moments.BLOCK_ELEMENTS", 1)
    x, y = (array.from_array(np.tile(each, (4, 1)), chunks=(4 * CHUNKS, -1)) for each in samples)
    sgd = fl.SGD(0.01, 4)

    def found():
        problem = fl.LeastSquares.from_batches(batches(x, y))
        return fl.predict(problem, sgd).excess_loss, problem.feedback(np.eye(9))

    here = found()
    with fl.cluster(loopback.address), monkeypatch.context() as patch:
        patch.setattr("fluctua.problem.products.Products.scattered", None)
        there = found()
    assert here[0] == there[0]
    np.testing.assert_array_equal(here[1], there[1])
    whole = fl.LeastSquares(x.compute(), y.compute())
    np.testing.assert_allclose(here[0], fl.predict(whole, sgd).excess_loss, rtol=1e-5)


def test_what_cannot_be_summed_is_named(samples):
    x, y = (array.from_array(each, chunks=(CHUNKS, -1)) for each in samples)
    spoiled = samples[0].copy()
    spoiled[44, 3] = np.nan
    for inputs, targets, words in (
        (samples[0], y, "inputs must be a dask.array, got ndarray"),
        (x, samples[1], "targets must be a dask.array"),
        (x, y[:50], r"inputs have the shape \(200, 9\) and targets \(50, 2\)"),
        (x[:, 0], y, r"inputs have the shape \(200,\)"),
        (x[x[:, 0] > 0], y, "lengths that Dask does not know"),
        (array.from_array(spoiled, chunks=(CHUNKS, -1)), y, r"chunk 1 .* nan in row 4 of it, column 3"),
    ):
        with pytest.raises(InvalidInput, match=words):
            moments(inputs, targets)
    assert moments(x, y[:, 0]).crossed.shape == (1, 9)
