"""What centring and standardising would do, against doing it."""

import json

import numpy as np
import pytest
from scipy.linalg import eigh

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.planning.input_moments import InputMoments, growth


def rectified(samples=5000, width=128, dtype=np.float64):
    """Features as of a layer behind a ReLU: a large mean, and curvatures over three decades."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(samples, 32))
    hidden = np.maximum(inputs @ rng.normal(size=(32, 256)) / np.sqrt(32), 0)
    features = np.maximum(hidden @ rng.normal(size=(256, width)) / 16 + 0.2, 0)
    return features.astype(dtype), (inputs[:, 0] > 0).astype(int) + (inputs[:, 1] > 0)


@pytest.fixture(scope="module")
def posed():
    features, labels = rectified()
    return features, labels, fl.LeastSquares(features, labels)


PREPARED = {"centred": {"bias": True, "center": True}, "standardised": {"bias": True, "standardize": True}}


@pytest.mark.parametrize("which", PREPARED)
def test_curvatures_are_those_of_the_prepared_inputs(posed, which):
    features, labels, problem = posed
    found = getattr(fl.conditioning(problem, fl.SGD(0.02, 8)), which)
    explicit = fl.LeastSquares(fl.Preparation(**PREPARED[which]).fit_transform(features), labels)
    np.testing.assert_allclose(found.curvatures, explicit.curvatures, rtol=1e-9)
    assert found.condition == pytest.approx(explicit.curvatures[0] / explicit.curvatures[-1], rel=1e-9)


@pytest.mark.parametrize("recipe", [{"momentum": 0.0}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
@pytest.mark.parametrize("batch_size", [1, 8, 64])
@pytest.mark.parametrize("which", PREPARED)
def test_the_rate_is_about_the_same_share_of_the_limit(posed, which, batch_size, recipe):
    """Within the factor that the documentation states; and the relaxation is `predict`'s at that rate."""
    features, labels, problem = posed
    sgd = fl.SGD(0.3 * fl.max_stable_lr(problem, fl.SGD(1, batch_size, **recipe)), batch_size, **recipe)
    found = fl.conditioning(problem, sgd)
    explicit = fl.LeastSquares(fl.Preparation(**PREPARED[which]).fit_transform(features), labels)
    share = getattr(found, which).lr / fl.max_stable_lr(explicit, sgd)
    assert 0.15 < share < 0.6
    same = fl.predict(explicit, fl.SGD(getattr(found, which).lr, batch_size, **recipe))
    assert getattr(found, which).median_relaxation_steps == pytest.approx(np.median(same.relaxation_steps), rel=1e-6)
    now = fl.predict(problem, sgd)
    assert found.given.median_relaxation_steps == pytest.approx(np.median(now.relaxation_steps), rel=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("which", PREPARED)
def test_the_rate_is_so_with_heavy_tails_too(digits, digits_problem, which, momentum):
    """Standardised pixels have a limit 25 times below that of Gaussian inputs with the same curvatures."""
    sgd = fl.SGD(0.3 * fl.max_stable_lr(digits_problem, fl.SGD(1, 8, momentum=momentum)), 8, momentum=momentum)
    explicit = fl.LeastSquares(fl.Preparation(**PREPARED[which]).fit_transform(digits.inputs), digits.targets)
    share = getattr(fl.conditioning(digits_problem, sgd), which).lr / fl.max_stable_lr(explicit, sgd)
    assert 0.15 < share < 0.6


def test_rectified_features_are_advised_to_be_centred(posed):
    found = fl.conditioning(posed[2], fl.SGD(0.02, 8))
    assert found.advised is found.centred
    assert found.centred.options == "--bias --center"
    for words in ("--bias --center would help", "largest curvature 28.1 -> 1.37", "steps, lr 0.02 -> "):
        assert words in found.words


def test_scales_are_advised_to_be_standardised():
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(2000, 10)) * np.logspace(0, 3, 10)
    found = fl.conditioning(fl.LeastSquares(inputs, rng.normal(size=2000)), fl.SGD(1e-7, 8))
    assert found.advised is found.standardised
    assert found.to_dict()["advised"] == "--bias --center --standardize"
    assert found.standardised.condition < 2


def test_a_bias_that_would_be_the_slowest_mode_is_not_advised(posed):
    """In units of a thousandth the same features are centred to curvatures of 10^6 and less, and the bias has 1."""
    features, labels, _ = posed
    found = fl.conditioning(fl.LeastSquares(1e3 * features, labels), fl.SGD(2e-8, 8))
    assert 2 * found.centred.median_relaxation_steps < found.given.median_relaxation_steps
    assert found.centred.condition > found.given.condition
    assert found.advised is found.standardised


def test_a_rate_beyond_the_limit_has_no_relaxation(small_problem):
    found = fl.conditioning(small_problem, fl.SGD(50.0, 8))
    assert found.advised is None
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["given"]["median_relaxation_steps"] is None


@pytest.mark.parametrize("scale", [1e60, 1e9, 1e-9, 1e-60])
def test_the_bias_is_counted_however_far_its_curvature_is(scale):
    rng = np.random.default_rng(4)
    inputs = scale * (rng.normal(size=(200, 3)) + 2)
    problem = fl.LeastSquares(inputs, rng.normal(size=200))
    found = fl.conditioning(problem, fl.SGD(0.1 / problem.curvatures[0], 8))
    assert len(found.centred.curvatures) == 4
    assert 1.0 in found.centred.curvatures
    assert found.advised is found.standardised


def test_features_with_rare_values_are_not_advised_to_be_standardised(digits_problem):
    """A pixel that is lit in one image only has, standardised, a curvature of 1 and a limit a hundred times lower."""
    sgd = fl.SGD(0.05, 8)
    assert fl.conditioning(digits_problem, sgd).advised.options == "--bias --center"


def test_prepared_features_need_no_advice(posed):
    features, labels, _ = posed
    prepared = fl.Preparation(bias=True, standardize=True).fit_transform(features)
    found = fl.conditioning(fl.LeastSquares(prepared, labels), fl.SGD(0.01, 8))
    assert found.advised is None
    assert found.words == ""
    assert found.standardised.median_relaxation_steps == pytest.approx(found.given.median_relaxation_steps, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_offset_is_no_trouble(dtype):
    rng = np.random.default_rng(2)
    offset = 1e9 if dtype == np.float64 else 1e4
    inputs = (rng.normal(size=(500, 3)) + offset).astype(dtype)
    problem = fl.LeastSquares(np.c_[inputs, np.ones(500, dtype)], rng.normal(size=500))
    found = fl.conditioning(problem, fl.SGD(1e-19, 4))
    exact = np.linalg.eigvalsh(np.cov(inputs.astype(float) - offset, rowvar=False, bias=True))
    np.testing.assert_allclose(np.sort(found.centred.curvatures), np.sort(np.append(exact, 1)), rtol=1e-10)


def test_full_batches_have_the_limit_of_the_mean(small_problem):
    sgd = fl.SGD(0.01, small_problem.samples, sampling="without_replacement", weight_decay=0.1)
    found = fl.conditioning(small_problem, sgd)
    expected = 0.01 * (small_problem.curvatures[0] + 0.1) / (found.centred.curvatures[0] + 0.1)
    assert found.centred.lr == pytest.approx(expected, rel=1e-9)


def test_dead_and_repeated_columns_are_left_out():
    rng = np.random.default_rng(3)
    kinds = np.eye(3)[rng.integers(3, size=400)]
    inputs = np.c_[kinds, np.zeros(400), rng.normal(size=(400, 2))]
    found = fl.conditioning(fl.LeastSquares(inputs, rng.normal(size=400)), fl.SGD(0.01, 4))
    assert len(found.centred.curvatures) == len(found.standardised.curvatures) == 2 + 2 + 1


def test_what_counts_unequally_is_refused(small_problem):
    weighted = fl.LeastSquares(small_problem.inputs, small_problem.targets, sample_weight=np.arange(1.0, 61))
    with pytest.raises(InvalidInput, match="samples that count unequally"):
        fl.conditioning(weighted, fl.SGD(0.01, 4))
    with pytest.raises(InvalidInput, match="samples that count unequally"):
        fl.conditioning(small_problem, fl.SGD(0.01, 4, sampling=fl.WeightedSampling(np.arange(1.0, 61))))


@pytest.mark.any_seed
@pytest.mark.parametrize("columns", [3, 80])
def test_the_growth_of_the_noise_is_the_largest_eigenvalue(columns):
    """By Lanczos without the matrix where there are many columns; here against the matrix."""
    rng = np.random.default_rng(columns)
    inputs = np.maximum(rng.normal(0.3, 1, (400, columns)) * rng.uniform(0.5, 2, columns), 0)
    problem = fl.LeastSquares(inputs, rng.normal(size=400))
    deviation = inputs.std(axis=0)
    s = np.c_[(inputs - inputs.mean(axis=0)) / deviation, np.ones(400)]
    found = InputMoments.of(inputs)
    assert growth(problem) == pytest.approx(dense_growth(inputs, inputs), rel=1e-5)
    assert found.spectrum(True)[1] == pytest.approx(dense_growth(s, s), rel=1e-5)
    assert found.spectrum(False)[1] == pytest.approx(dense_growth(s, s * np.append(deviation, 1)), rel=1e-5)


def dense_growth(rows, sized):
    weighted = (rows * np.sum(sized**2, axis=1)[:, None]).T @ rows
    return eigh(weighted, rows.T @ rows, eigvals_only=True)[-1]
