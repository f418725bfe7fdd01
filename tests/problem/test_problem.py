"""The problem: every moment against its definition, sample by sample; every array that must be refused."""

import numpy as np
import pytest

import fluctua as fl
import fluctua.problem.moments
from fluctua.errors import FluctuaError, InvalidInput
from helpers.agreement import close

TOLERANCE = {np.float64: 1e-11, np.float32: 3e-5}
dtypes = pytest.mark.parametrize("dtype", TOLERANCE)
decays = pytest.mark.parametrize("decay", [0.0, 0.3])


def draw(samples=700, features=6, outputs=3, dtype=np.float64):
    """Loud and quiet samples, one dead and one duplicated feature: rank 4 of 6."""
    rng = np.random.default_rng(8)
    inputs = rng.normal(size=(samples, features)) * rng.lognormal(0, 0.5, size=(samples, 1))
    inputs[:, 1], inputs[:, 4] = 0, inputs[:, 3]
    return inputs.astype(dtype), (inputs @ rng.normal(size=(features, outputs)) + rng.normal(size=(samples, outputs)))


@pytest.fixture(params=["one block", "several blocks"])
def make(request, monkeypatch):
    """Problems whose products over samples are summed in one block, or in three."""
    if request.param == "several blocks":
        monkeypatch.setattr(fluctua.problem.moments, "BLOCK_ELEMENTS", 1)

    def problem(*args, **kwargs):
        made = fl.LeastSquares(*draw(*args, **kwargs))
        assert len(list(made.blocks(made.rank))) == (1 if request.param == "one block" else 3)
        return made

    return problem


def exact(problem):
    """Inputs and targets in float64."""
    return problem.inputs.astype(float), problem.targets.astype(float)


def optimum(problem, decay):
    """W*, (c, d), the least norm where not unique."""
    x, y = exact(problem)
    rows = np.vstack([x / np.sqrt(len(x)), np.sqrt(decay) * np.eye(x.shape[1])])
    return np.linalg.lstsq(rows, np.vstack([y / np.sqrt(len(x)), np.zeros((x.shape[1], y.shape[1]))]), rcond=1e-9)[0].T


def gradients(problem, weights):
    """Per-sample gradients (W x_i - y_i) x_i^T, (N, c, d)."""
    x, y = exact(problem)
    return np.einsum("nc,nd->ncd", x @ weights.T - y, x)


def gradient_covariance(problem, weights):
    """Covariance of the per-sample gradient at `weights` between all pairs of outputs, (c, c, d, d)."""
    g = gradients(problem, weights)
    mean = g.mean(axis=0)
    return np.einsum("nkd,nle->klde", g, g) / len(g) - np.einsum("kd,le->klde", mean, mean)


def in_modes(problem, matrix):
    return problem.modes.T @ matrix @ problem.modes


@dtypes
def test_modes_and_curvatures_are_those_of_the_second_moment_on_its_range(make, dtype):
    problem = make(dtype=dtype)
    x, _ = exact(problem)
    assert problem.rank == 4
    assert np.all(np.diff(problem.curvatures) < 0)
    assert problem.curvatures.dtype == problem.modes.dtype == np.float64
    np.testing.assert_allclose(problem.modes.T @ problem.modes, np.eye(4), atol=1e-14)
    assert close(problem.modes * problem.curvatures @ problem.modes.T, x.T @ x / len(x), 1e-13)
    assert problem.projections.dtype == dtype
    assert close(problem.projections, x @ problem.modes, TOLERANCE[dtype])
    assert (problem.samples, problem.features, problem.outputs) == (700, 6, 3)


@decays
@dtypes
def test_the_minimum_is_the_least_squares_solution_of_least_norm(make, dtype, decay):
    problem = make(dtype=dtype)
    minimum, weights = problem.minimum(decay), optimum(problem, decay)
    x, y = exact(problem)
    residuals = x @ weights.T - y
    assert close(minimum.weights, weights, 1e-12)
    assert close(minimum.mode_weights, weights @ problem.modes, 1e-12)
    assert close(minimum.residuals, residuals, 1e-12 if dtype == np.float64 else 1e-6)
    assert close(minimum.squared_residuals, np.square(residuals).sum(axis=1), 1e-12)
    loss = 0.5 * np.square(residuals).sum(axis=1).mean() + 0.5 * decay * np.square(weights).sum()
    assert minimum.loss == pytest.approx(loss, rel=1e-12)
    assert np.abs(gradients(problem, minimum.weights).mean(axis=0) + decay * minimum.weights).max() < 1e-12
    np.testing.assert_allclose(minimum.curvatures, problem.curvatures + decay)


@decays
@dtypes
def test_the_noise_is_the_covariance_of_the_per_sample_gradients_at_the_optimum(make, dtype, decay):
    problem = make(dtype=dtype)
    covariance = gradient_covariance(problem, optimum(problem, decay))
    minimum, rtol = problem.minimum(decay), TOLERANCE[dtype]
    assert close(minimum.noise, in_modes(problem, np.einsum("kkij->ij", covariance)), rtol)
    for k in range(3):
        for l in range(3):  # noqa: E741
            block = 0.5 * (covariance[k, l] + covariance[k, l].T)
            assert close(minimum.output_noise(k, l), in_modes(problem, block), rtol)


@decays
@dtypes
def test_the_source_is_the_gradient_covariance_averaged_over_the_law_of_the_weights(make, dtype, decay):
    """An ensemble of weights stands for the law; nothing but the definition of the gradient is used."""
    problem = make(dtype=dtype)
    rng, minimum = np.random.default_rng(2), problem.minimum(decay)
    ensemble = 0.7 * rng.normal(size=(5, 1, 4)) + 0.2 * rng.normal(size=(5, 3, 4)) + 0.5  # V in the modes
    weights = [optimum(problem, decay) + v @ problem.modes.T for v in ensemble]
    average = np.mean([np.einsum("kkij->ij", gradient_covariance(problem, w)) for w in weights], axis=0)
    second = np.einsum("nki,nkj->ij", ensemble, ensemble) / 5
    assert close(minimum.source(second, ensemble.mean(axis=0)), in_modes(problem, average), TOLERANCE[dtype])
    # the mutant: without the mean's own term the source is wrong by much more
    assert np.abs(minimum.source(second) - in_modes(problem, average)).max() > 1e-2 * np.abs(average).max()


@decays
def test_around_the_optimum_the_source_is_noise_plus_feedback(make, decay):
    problem = make()
    minimum = problem.minimum(decay)
    covariance = np.cov(np.random.default_rng(3).normal(size=(4, 9)))
    expected = minimum.noise + problem.feedback(covariance)
    assert close(minimum.source(covariance), expected, 1e-13)
    assert close(minimum.source(covariance, np.zeros((3, 4))), expected, 1e-13)


@dtypes
def test_the_feedback_is_its_sum_over_samples(make, dtype):
    problem = make(dtype=dtype)
    s = np.cov(np.random.default_rng(3).normal(size=(4, 9)))
    z = exact(problem)[0] @ problem.modes
    direct = np.einsum("ni,nj,n->ij", z, z, np.einsum("ni,ij,nj->n", z, s, z)) / len(z)
    curvature = np.diag(problem.curvatures)
    assert close(problem.feedback(s), direct - curvature @ s @ curvature, TOLERANCE[dtype])


def test_the_feedback_is_self_adjoint_under_the_trace_linear_and_positive(make):
    problem = make()
    rng = np.random.default_rng(4)
    a, b = (m + m.T for m in rng.normal(size=(2, 4, 4)))
    assert np.trace(a @ problem.feedback(b)) == pytest.approx(np.trace(problem.feedback(a) @ b), rel=1e-12)
    assert close(problem.feedback(2 * a - b), 2 * problem.feedback(a) - problem.feedback(b), 1e-12)
    for v in rng.normal(size=(5, 4)):
        assert np.linalg.eigvalsh(problem.feedback(np.outer(v, v))).min() > 0
    assert not problem.feedback(np.zeros((4, 4))).any()


@dtypes
def test_weighted_sums_over_samples_are_right_for_any_sign(make, dtype):
    problem = make(dtype=dtype)
    rng = np.random.default_rng(5)
    weights, form = rng.normal(size=700), np.diag([1.0, -2.0, 0.5, 3.0])
    z = exact(problem)[0] @ problem.modes
    total = weights + np.einsum("ni,ij,nj->n", z, form, z)
    for found, q in (
        (problem.scatter(weights=weights), weights),
        (problem.scatter(weights=weights**2), weights**2),
        (problem.scatter(weights=weights, quadratic=form), total),
    ):
        assert close(found, (z * q[:, None]).T @ z / 700, TOLERANCE[dtype])
        np.testing.assert_allclose(found, found.T, rtol=1e-12)
    minimum = problem.minimum()
    r, q = minimum.residuals.astype(float), np.einsum("ni,ij,nj->n", z, form, z)
    assert close(minimum.residual_products(form), (r * q[:, None]).T @ r / 700, TOLERANCE[dtype])
    assert close(minimum.residual_products(None), r.T @ r / 700, TOLERANCE[dtype])


def test_the_rank_counts_the_directions_that_data_can_move():
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(9, 4)), rng.normal(size=9)
    assert fl.LeastSquares(x, y).rank == 4
    assert fl.LeastSquares(x[:3], y[:3]).rank == 3  # fewer samples than features
    assert fl.LeastSquares(x[:, [0, 0, 1]], y).rank == 2
    assert fl.LeastSquares(x * [1, 0, 0, 0], y).rank == 1
    assert fl.LeastSquares(x * [1, 1e-6, 1, 1], y).rank == 4  # flat is not null
    assert fl.LeastSquares(x @ np.ones((4, 7)) + 1, y).rank == 1


def test_each_weight_decay_has_one_minimum_computed_once():
    problem = fl.LeastSquares(*draw(20))
    assert problem.minimum(0.1) is problem.minimum(0.1)
    assert problem.minimum() is problem.minimum(0)
    assert problem.minimum(0.1) is not problem.minimum(0.2)
    for bad in (-0.1, np.nan, "none"):
        with pytest.raises(InvalidInput, match="weight_decay must be"):
            problem.minimum(bad)


@dtypes
def test_float_arrays_are_neither_copied_nor_changed(dtype):
    x, y = draw(50, dtype=dtype)
    y = y.astype(dtype)
    kept = x.copy(), y.copy()
    x.flags.writeable = y.flags.writeable = False
    problem = fl.LeastSquares(x, y)
    assert np.shares_memory(problem.inputs, x)
    assert np.shares_memory(problem.targets, y)
    assert np.shares_memory(fl.LeastSquares(x, y[:, 0]).targets, y)
    fl.predict(problem, fl.SGD(0.01, 4, weight_decay=0.1)).after(3, start="zero")
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(y, kept[1])


def test_one_target_per_sample_may_come_without_a_second_axis():
    x, y = draw(50, outputs=1)
    flat, column = fl.LeastSquares(x, y[:, 0]), fl.LeastSquares(x, y)
    assert flat.outputs == 1
    np.testing.assert_array_equal(flat.minimum().weights, column.minimum().weights)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.bool_, list])
def test_integers_booleans_and_lists_are_read_as_float64(dtype):
    rng = np.random.default_rng(7)
    x, y = rng.integers(0, 2, (30, 3)), rng.integers(0, 2, (30, 2))
    given = (x.tolist(), y.tolist()) if dtype is list else (x.astype(dtype), y.astype(dtype))
    problem, expected = fl.LeastSquares(*given), fl.LeastSquares(x.astype(float), y.astype(float))
    assert problem.inputs.dtype == problem.targets.dtype == np.float64
    np.testing.assert_array_equal(problem.minimum().weights, expected.minimum().weights)


def test_float32_inputs_state_their_precision():
    x, y = draw(50)
    assert fl.LeastSquares(x, y).precision == 1e-12
    assert fl.LeastSquares(x.astype(np.float32), y).precision == 1e-6


X, Y = np.random.default_rng(9).normal(size=(8, 3)), np.random.default_rng(10).normal(size=(8, 2))
HOLE = np.where(np.arange(24).reshape(8, 3) == 16, np.nan, X)
BAD = {
    "NaN in the inputs": (HOLE, Y, r"inputs holds nan at index \(5, 1\): every moment"),
    "infinity in the inputs": (np.where(np.isnan(HOLE), np.inf, X), Y, r"inputs holds inf at index \(5, 1\)"),
    "NaN in the targets": (X, np.where(Y[2, 1] == Y, np.nan, Y), r"targets holds nan at index \(2, 1\)"),
    "NaN in flat targets": (X, np.where(Y[2, 1] == Y, -np.inf, Y)[:, 1], r"targets holds -inf at index \(2, 0\)"),
    "one axis": (X[:, 0], Y, r"inputs must have shape \(samples, features\), got \(8,\)"),
    "three axes": (X[None], Y, r"inputs must have shape \(samples, features\), got \(1, 8, 3\)"),
    "targets with three axes": (X, Y[None], r"targets must have shape \(samples, outputs\), got \(1, 8, 2\)"),
    "a number": (3.0, Y, r"inputs must have shape \(samples, features\), got \(\)"),
    "a number as target": (X, 3.0, r"targets must have shape \(samples, outputs\), got \(\)"),
    "unequal lengths": (X, Y[:7], "inputs hold 8 samples and targets 7"),
    "transposed": (X.T, Y, "inputs hold 3 samples and targets 8"),
    "no samples": (X[:0], Y[:0], r"inputs is empty: its shape is \(0, 3\)"),
    "no features": (X[:, :0], Y, r"inputs is empty: its shape is \(8, 0\)"),
    "no outputs": (X, Y[:, :0], r"targets is empty: its shape is \(8, 0\)"),
    "empty list": ([], [], r"inputs must have shape \(samples, features\), got \(0,\)"),
    "one sample": (X[:1], Y[:1], "a single sample has no gradient noise"),
    "constant inputs": (np.full((8, 3), 2.5), Y, "the inputs are constant: all 8 samples are equal"),
    "all zero inputs": (np.zeros((8, 3)), Y, "the inputs are constant: all 8 samples are equal"),
    "repeated sample": (np.repeat(X[:1], 8, axis=0), Y, "the inputs are constant: all 8 samples are equal"),
    "ragged inputs": ([[1, 2], [3]], [1, 2], "inputs cannot be read as one array"),
    "ragged targets": ([[1, 2], [3, 4]], [[1], [2, 3]], "targets cannot be read as one array"),
    "text": (X.astype(str), Y, "inputs must hold real numbers, got dtype <U"),
    "complex": (X, Y + 1j, "targets must hold real numbers, got dtype complex128"),
    "objects": (X.astype(object), Y, "inputs must hold real numbers, got dtype object"),
    "nothing": (None, Y, "inputs must hold real numbers, got dtype object"),
}


@pytest.mark.parametrize(("inputs", "targets", "message"), BAD.values(), ids=BAD)
def test_data_that_cannot_be_used_are_refused_with_the_reason(inputs, targets, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        fl.LeastSquares(inputs, targets)
    assert isinstance(caught.value, FluctuaError)


def test_inputs_that_agree_only_in_the_first_and_last_sample_are_accepted():
    x = X.copy()
    x[-1] = x[0]
    assert fl.LeastSquares(x, Y).rank == 3


# --- an exact fit ---


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("samples", [15, 80])
def test_an_exact_fit_has_no_noise_and_says_so(dtype, samples):
    """Fewer samples than features, or targets that are a linear map of the inputs: what is left is rounding."""
    rng = np.random.default_rng(4)
    inputs = (rng.normal(size=(samples, 30)) * np.geomspace(100, 1e-2, 30)).astype(dtype)
    targets = rng.normal(size=(samples, 2)) if samples < 30 else inputs.astype(float) @ rng.normal(size=(30, 2))
    problem = fl.LeastSquares(inputs, targets)
    assert problem.minimum().interpolates
    assert problem.minimum().loss == 0
    sgd = fl.SGD(0.5 * fl.max_stable_lr(problem, fl.SGD(1e-9, 4)), 4)
    assert fl.predict(problem, sgd).excess_loss == 0
    for measure in (fl.verify, fl.gradient_noise):
        with pytest.raises(InvalidInput, match="weight_decay > 0"):
            measure(problem, sgd, steps=100, replicas=4)
    assert not problem.minimum(0.1).interpolates
    assert fl.predict(problem, fl.SGD(1e-5, 4, weight_decay=0.1)).excess_loss > 0


@pytest.mark.statistical(alpha=1e-4)
def test_the_approach_to_an_exact_fit_is_predicted():
    rng = np.random.default_rng(5)
    problem = fl.LeastSquares(rng.normal(size=(10, 20)), rng.normal(size=(10, 1)))
    verdict = fl.verify(problem, fl.SGD(0.02, 4), steps=40, replicas=64, rng=1, start="zero", level=1e-4)
    assert verdict.consistent


def test_noise_of_a_millionth_is_noise():
    rng = np.random.default_rng(6)
    inputs = rng.normal(size=(50, 4))
    problem = fl.LeastSquares(inputs, inputs @ rng.normal(size=(4, 1)) + 1e-6 * rng.normal(size=(50, 1)))
    assert not problem.minimum().interpolates
    assert fl.predict(problem, fl.SGD(0.05, 4)).excess_loss > 0
