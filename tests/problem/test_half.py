"""Inputs of 16 bits: two bytes a number in memory, and the numbers of the same array in float32."""

import tracemalloc
import warnings

import numpy as np
import pytest

import fluctua as fl
from fluctua._half import HalfArray, as_half
from fluctua.errors import InvalidInput
from fluctua.problem import moments

RNG = np.random.default_rng(5)
X = RNG.normal(size=(300, 12)).astype(np.float16)
Y = RNG.integers(3, size=300)
WIDE = X.astype(np.float32)
WEIGHTS = RNG.uniform(0.5, 2.0, 300)
SGD = fl.SGD(lr=0.02, batch_size=7, momentum=0.5)
EXACT = 1e-6  # what float32 promises
RUN = {"steps": 96, "replicas": 16, "rng": 3, "threads": 1}


def brain(values):
    """The numbers of bfloat16 nearest below, and their bits: float32 without its last 16."""
    bits = (np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return (bits.astype(np.uint32) << 16).view(np.float32), HalfArray(bits, "bfloat16")


def pairs():
    values, half = brain(WIDE)
    return {"float16": (X, WIDE), "bfloat16": (half, values), "fortran": (np.asfortranarray(X), WIDE)}


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "fortran"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_theory_is_that_of_the_same_array_in_float32(kind, weights):
    a, b = (fl.LeastSquares(x, Y, sample_weight=weights) for x in pairs()[kind])
    assert kind == "fortran" or kind in repr(a)
    assert a.inputs.nbytes == 2 * X.size
    assert a.projections.dtype == a.targets.dtype == np.float32
    for sgd in (SGD, fl.SGD(lr=0.02, batch_size=7, sampling="shuffle", weight_decay=0.1)):
        p, q = (fl.predict(problem, sgd) for problem in (a, b))
        np.testing.assert_allclose(p.covariance, q.covariance, rtol=EXACT, atol=EXACT * np.abs(q.covariance).max())
        assert p.optimum_loss == pytest.approx(q.optimum_loss, rel=EXACT)
        other = [fl.held_out_loss(p, x[:50], Y[:50]).expected for x in pairs()[kind]]
        assert other[0] == pytest.approx(other[1], rel=EXACT)
    limits = [fl.max_stable_lr(problem, SGD) for problem in (a, b)]
    assert limits[0] == pytest.approx(limits[1], rel=EXACT)


@pytest.mark.any_seed
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dynamics", ["sgd", "gd", "langevin", "langevin_state_dependent"])
@pytest.mark.parametrize("kind", ["float16", "bfloat16", "fortran"])
def test_runs_are_those_of_the_same_array_in_float32(kind, dynamics, dtype):
    sgd = fl.SGD(lr=0.02, batch_size=7)
    start = {"start": "zero"} if dynamics == "gd" else {}
    a, b = (
        fl.simulate(fl.LeastSquares(x, Y), sgd, dynamics=dynamics, dtype=dtype, **start, **RUN) for x in pairs()[kind]
    )
    np.testing.assert_allclose(a.replica_losses, b.replica_losses, rtol=1e-5 if dtype == np.float32 else EXACT)


@pytest.mark.any_seed
def test_weighted_draws_and_weighted_losses_are_widened_with_their_weights():
    drawn = fl.SGD(lr=0.02, batch_size=7, sampling=fl.WeightedSampling(WEIGHTS))
    for sgd, weights in ((drawn, None), (SGD, WEIGHTS)):
        a, b = (fl.simulate(fl.LeastSquares(x, Y, sample_weight=weights), sgd, **RUN) for x in (X, WIDE))
        np.testing.assert_allclose(a.replica_losses, b.replica_losses, rtol=1e-5)


@pytest.mark.any_seed
def test_columns_that_few_samples_have_are_looked_at_as_they_are():
    sparse = X * (RNG.random(X.shape) < 0.02)
    sparse[:, 0] = X[:, 0]
    sgd = fl.SGD(lr=0.02, batch_size=7, weight_decay=0.01)
    a, b = (fl.simulate(fl.LeastSquares(x, Y), sgd, start="zero", **RUN) for x in (sparse, sparse.astype(np.float32)))
    assert a.run.dtype == b.run.dtype


def peak_of(call):
    tracemalloc.start()
    try:
        found = call()
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.any_seed
def test_a_problem_of_16_bits_costs_its_size_and_blocks(monkeypatch):
    """Nothing widens the whole array: the projection, float32, is all that grows with N and is kept."""
    monkeypatch.setattr(moments, "BLOCK_ELEMENTS", 2**14)
    samples, features = 40_000, 24
    x = np.random.default_rng(1).normal(size=(samples, features)).astype(np.float16)
    y = np.random.default_rng(2).normal(size=samples)
    whole = 4 * x.size
    problem, made = peak_of(lambda: fl.LeastSquares(x, y))
    assert made < 0.45 * whole  # targets as float64, and blocks
    _, found = peak_of(lambda: problem.curvatures)
    assert found < 0.45 * whole
    problem.projections, problem.minimum().noise
    sgd = fl.SGD(lr=0.01, batch_size=8)
    fl.simulate(problem, sgd, steps=8, replicas=2, rng=1, threads=1)  # compiles
    for dynamics in ("sgd", "gd"):
        _, run = peak_of(
            lambda d=dynamics: fl.simulate(problem, sgd, steps=8, replicas=2, rng=1, threads=1, dynamics=d)
        )
        assert run < 0.9 * whole, dynamics
    wide, doubled = peak_of(lambda: fl.LeastSquares(x.astype(np.float32), y))
    assert doubled > whole  # the same look at what widening costs sees it
    assert wide.curvatures == pytest.approx(problem.curvatures, rel=EXACT)


@pytest.mark.parametrize(
    ("spoiled", "words"),
    [(np.inf, r"inputs holds inf at index \(7, 2\)"), (np.nan, r"inputs holds nan at index \(7, 2\)")],
)
def test_what_is_no_number_is_named_in_16_bits_too(spoiled, words):
    x = X.copy()
    x[7, 2] = spoiled
    with pytest.raises(InvalidInput, match=words):
        fl.LeastSquares(x, Y)


def test_the_door_refuses_what_it_refuses_of_wide_arrays():
    for x, words in (
        (X[:, 0], "must have shape"),
        (X[:0], "is empty"),
        (X[:1], "a single sample"),
        (np.repeat(X[:1], 300, axis=0), "constant"),
        (np.zeros_like(X), "constant"),
        (X[:200], "every sample needs its target"),
    ):
        with pytest.raises(InvalidInput, match=words):
            fl.LeastSquares(x, Y[: 1 if len(x) == 1 else 300])


def test_slices_of_16_bits_are_float32():
    values, half = brain(WIDE)
    np.testing.assert_array_equal(half[3:5, 1], values[3:5, 1])
    np.testing.assert_array_equal(half.scaled(WEIGHTS)[[4, 2]], (values[[4, 2]] * WEIGHTS[[4, 2], None]).astype("f4"))
    np.testing.assert_array_equal(np.asarray(half, np.float64), values)
    np.testing.assert_array_equal(half.taken([4, 2])[:], values[[4, 2]])
    assert half[3, 1] == values[3, 1]
    assert half[0].dtype == half.dtype == np.float32
    assert as_half(X).given.base is X or np.shares_memory(as_half(X).given, X)
    np.testing.assert_array_equal(half.table[half.bits], values)
    assert repr(half) == "HalfArray(300 x 12 of bfloat16, read as float32)"


@pytest.mark.torch
def test_tensors_of_16_bits_share_their_memory():
    torch = pytest.importorskip("torch")
    for kind, stored in ((torch.bfloat16, "bfloat16"), (torch.float16, "float16")):
        tensor = torch.tensor(WIDE).to(kind)
        problem = fl.LeastSquares(tensor, Y)
        assert stored in repr(problem)
        assert np.shares_memory(problem.inputs.bits, tensor.view(torch.int16).numpy())
        expected = fl.LeastSquares(tensor.float(), Y)
        np.testing.assert_array_equal(problem.curvatures, expected.curvatures)
    assert "float32" in repr(fl.LeastSquares(torch.tensor(WIDE), Y))


def test_ml_dtypes_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "bfloat16" in repr(fl.LeastSquares(WIDE.astype(ml_dtypes.bfloat16), Y))
