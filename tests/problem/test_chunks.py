"""Samples in chunks: the numbers are those of arrays, in two passes, and what changes between passes is refused."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.problem import chunked
from fluctua.problem.streaming import StreamingMoments


@pytest.fixture(scope="module")
def data():
    return fl.load("digits")


def in_pieces(x, y, rows=500):
    return [(x[k : k + rows], y[k : k + rows]) for k in range(0, len(x), rows)]


RECIPES = {
    "plain": fl.SGD(0.05, 8),
    "momentum, decay": fl.SGD(0.01, 8, momentum=0.9, weight_decay=0.01),
    "epochs": fl.SGD(0.05, 8, sampling="shuffle"),
}


@pytest.mark.parametrize("held", [2**28, 0], ids=["projections kept", "made anew"])
@pytest.mark.parametrize("name", RECIPES)
def test_predictions_are_those_of_arrays(data, name, held, monkeypatch):
    if name == "epochs" and not held:
        return  # an epoch is looked at as a whole
    monkeypatch.setattr(chunked, "_HELD", held)
    sgd, whole = RECIPES[name], fl.LeastSquares(data.inputs, data.targets)
    parts = fl.LeastSquares.from_batches(lambda: iter(in_pieces(data.inputs, data.targets)))
    one, other = (fl.predict(problem, sgd) for problem in (whole, parts))
    assert other.excess_loss == pytest.approx(one.excess_loss, rel=1e-10)
    assert other.optimum_loss == pytest.approx(one.optimum_loss, rel=1e-12)
    np.testing.assert_allclose(other.mode_variances, one.mode_variances, rtol=1e-7)
    if name == "plain":
        assert other.after(50, start="zero").excess_loss == pytest.approx(one.after(50, start="zero").excess_loss)
        assert fl.max_stable_lr(parts, sgd) == pytest.approx(fl.max_stable_lr(whole, sgd), rel=1e-9)


def test_two_passes_find_the_moments_and_the_noise(data):
    passes = []

    def chunks():
        passes.append(1)
        yield from in_pieces(data.inputs[:, 18:24], data.targets)

    problem = fl.LeastSquares.from_batches(chunks)
    assert problem.minimum().noise.shape == (6, 6)
    assert len(passes) == 2


def test_the_same_chunks_give_the_same_bits(data):
    x, y = data.inputs.astype(np.float32), data.targets
    pieces = in_pieces(x, y)
    apart = StreamingMoments(64, 10)
    for piece in pieces:
        apart.merge(pickle.loads(pickle.dumps(StreamingMoments(64, 10).add(*piece))))
    together = StreamingMoments(64, 10)
    for piece in pieces:
        together.add(*piece)
    assert apart == together
    assert fl.LeastSquares.from_batches(pieces).gram.tobytes() == (apart.gram / 1797).tobytes()
    np.testing.assert_allclose(together.gram, x.astype(float).T @ x, rtol=1e-13)


def test_residual_moments_are_the_noise(data):
    minimum = fl.LeastSquares(data.inputs, data.targets).minimum()
    found = StreamingMoments(64, 10, minimum.weights)
    for piece in in_pieces(data.inputs, data.targets):
        found.add(*piece)
    modes = minimum.problem.modes
    np.testing.assert_allclose(modes.T @ found.gram @ modes / 1797, minimum.noise, atol=1e-12)
    assert np.trace(found.products) / 2 / 1797 == pytest.approx(minimum.loss)


def test_labels_are_outputs_by_their_classes(data):
    labelled = in_pieces(data.inputs, data.labels)
    found = fl.LeastSquares.from_batches(labelled, classes=range(10))
    assert found.coding.classes == tuple(range(10))
    np.testing.assert_array_equal(found.targets, data.targets)
    with pytest.raises(InvalidInput, match=r"chunk 0 .* are labels.*classes=range"):
        fl.LeastSquares.from_batches(labelled)
    with pytest.raises(InvalidInput, match="holds the label"):
        fl.LeastSquares.from_batches(labelled, classes=range(9))


@pytest.mark.parametrize(
    ("classes", "words"),
    [([0, 0, 1, 2], "0 twice"), ([0, 1, 2.5], "2.5 is neither"), ([[0], [1]], r"\[0\] is neither")],
)
def test_classes_are_labels_each_once(classes, words):
    with pytest.raises(InvalidInput, match=words):
        fl.LeastSquares.from_batches([(ones(6), np.arange(6) % 3)], classes=classes)


def test_frames_are_not_added_by_place_where_their_columns_differ():
    pandas = pytest.importorskip("pandas")
    here, there = (pandas.DataFrame(ones(6), columns=list(names)) for names in ("ab", "ba"))
    assert fl.LeastSquares.from_batches([(here, ones(6)), (ones(6), ones(6)), (here, ones(6))]).samples == 18
    with pytest.raises(InvalidInput, match=r"chunk 2 .* columns \['b', 'a'\].* differ from column 0 on"):
        fl.LeastSquares.from_batches([(here, ones(6)), (ones(6), ones(6)), (there, ones(6))])


def ones(rows, columns=2):
    return np.arange(rows * columns, dtype=float).reshape(rows, columns) ** 0.5


REFUSED = {
    "generator": (lambda: (piece for piece in [(ones(5), ones(5))]), "read only once.*Give the function"),
    "array": (lambda: ones(5), "must be a function that returns chunks"),
    "nothing": (lambda: 3, "must be a function"),
    "empty": (list, "gave no chunk"),
    "no pair": (lambda: [ones(5)], "chunk 0 .* must be a pair"),
    "narrower": (lambda: [(ones(5), ones(5)), (ones(5, 1), ones(5))], "chunk 1 .* has 1 inputs and 2 outputs"),
    "shorter": (lambda: [(ones(5), ones(5)), (ones(5), ones(4))], r"chunk 1 .*\(5, 2\).*\(4, 2\)"),
    "not a number": (
        lambda: [(ones(5), ones(5)), (ones(5) * [1, np.nan], ones(5))],
        "chunk 1 .*inputs hold nan in row 0",
    ),
    "text": (lambda: [(ones(5).astype(str), ones(5))], "inputs of chunk 0 .* must hold real numbers"),
    "alike": (lambda: [(np.ones((5, 2)), ones(5))] * 2, "inputs are constant: all 10"),
    "single": (lambda: [(ones(1), ones(1))], "single sample"),
    "huge": (lambda: [(ones(5) * 1e80, ones(5))], "largest magnitude"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_moments_are_made_of_is_refused_by_chunk_and_row(name):
    make, words = REFUSED[name]
    with pytest.raises(InvalidInput, match=words):
        fl.LeastSquares.from_batches(make())


@pytest.mark.parametrize("change", ["other numbers", "fewer", "more", "another length", "an iterator that is spent"])
def test_batches_that_change_between_passes_are_refused(change):
    pieces, asked = in_pieces(ones(60, 3) ** 0.3, ones(60, 1)), []
    spent = iter(in_pieces(ones(60, 3) ** 0.3, ones(60, 1), 20))

    def chunks():
        asked.append(1)
        if change == "an iterator that is spent":
            return spent
        if len(asked) == 1:
            return iter(pieces)
        x, y = pieces[0]
        return iter(
            {"other numbers": [(x + 1, y)], "fewer": [], "more": [*pieces, *pieces]}.get(change, [(x[1:], y[1:])])
        )

    problem = fl.LeastSquares.from_batches(chunks)
    with pytest.raises(InvalidInput, match="changed between passes: chunk 0"):
        problem.minimum()


def test_some_samples_give_k_with_its_standard_error(data):
    whole = fl.LeastSquares(data.inputs, data.targets)
    some = fl.LeastSquares.from_batches(in_pieces(data.inputs, data.targets), feedback_samples=600)
    for sgd in (fl.SGD(0.1, 8, weight_decay=1e-3),):
        exact, found = fl.predict(whole, sgd), fl.predict(some, sgd)
        assert found.optimum_loss == exact.optimum_loss
        assert 0 < found.excess_loss_error < 0.1 * exact.excess_loss
        assert abs(found.excess_loss - exact.excess_loss) < 4 * found.excess_loss_error
        late, later = (one.after(100, start="zero") for one in (exact, found))
        assert abs(late.excess_loss - later.excess_loss) < 4 * later.excess_loss_error
        limit = fl.max_stable_lr(some, sgd)
        assert limit.method == "some samples"
        assert abs(limit - fl.max_stable_lr(whole, sgd)) < 4 * limit.error
    discrete = fl.predict(some, fl.SGD(0.1, 8), theory="discrete")  # C is of all samples
    assert discrete.excess_loss == pytest.approx(fl.predict(whole, fl.SGD(0.1, 8), theory="discrete").excess_loss)
    for asked in (
        lambda: fl.simulate(some, sgd, steps=4, replicas=2, rng=1),
        lambda: fl.predict(some, RECIPES["epochs"]),
        lambda: fl.predict(some, fl.SGD(0.1, 8, sampling=fl.WeightedSampling(np.ones(1797)))),
    ):
        with pytest.raises(InvalidInput, match="feedback_samples"):
            asked()


def test_weighted_draws_see_the_chunks(data):
    parts = fl.LeastSquares.from_batches(in_pieces(data.inputs, data.targets))
    whole = fl.LeastSquares(data.inputs, data.targets)
    for unbiased in (True, False):
        sgd = fl.SGD(0.05, 8, sampling=fl.WeightedSampling((data.inputs**2).sum(axis=1), unbiased))
        found = fl.predict(parts, sgd).excess_loss
        assert found == pytest.approx(fl.predict(whole, sgd).excess_loss, rel=1e-10)


@pytest.mark.slow
def test_memory_is_that_of_a_block(monkeypatch):
    monkeypatch.setattr(chunked, "_HELD", 0)
    rows, pieces, d = 8_192, 10, 256

    def chunks():
        for k in range(pieces):
            x = np.random.default_rng(k).standard_normal((rows, d), np.float32)
            yield x, x[:, :1] + 0.1 * x[:, 1:2] ** 2

    tracemalloc.start()
    try:
        assert fl.predict(fl.LeastSquares.from_batches(chunks), fl.SGD(1e-3, 8), theory="discrete").excess_loss > 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    whole = rows * pieces * d * 4
    assert peak < 2.5 * whole  # a block of 2^23 numbers in both precisions, whatever there are
