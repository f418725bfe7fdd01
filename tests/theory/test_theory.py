"""Predictions: theory.md's numbers, what must not change them, the ladder, and what is refused."""

import json

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, UnknownName
from helpers.agreement import close

LEVELS = ("exact", "discrete", "langevin", "hessian", "equilibrium")
SMALL = fl.SGD(0.05, 3, weight_decay=0.1)


def random_data(seed=0):
    """Forty loud and quiet samples, five features of very different size, three outputs that share their noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 5)) * [2, 1, 1, 0.3, 0.1] * rng.lognormal(0, 0.5, size=(40, 1))
    return x, x @ rng.normal(size=(5, 3)) + rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3))


def problem_of(seed=0):
    return fl.LeastSquares(*random_data(seed))


# ---- the numbers of theory.md, all printed digits ----


def test_the_optimum_of_digits(digits_problem):
    assert (digits_problem.samples, digits_problem.features, digits_problem.outputs) == (1797, 64, 10)
    assert digits_problem.minimum().loss == pytest.approx(0.15494089737, abs=5e-12)
    assert digits_problem.curvatures[0] == pytest.approx(10.455299687, abs=5e-10)


@pytest.mark.parametrize(
    ("theory", "excess"),
    [
        ("hessian", 0.0072697),
        ("langevin", 0.0072808),
        ("discrete", 0.0091050),
        ("exact", 0.0093549),
        ("equilibrium", 0.0093549),
    ],
)
def test_the_ladder_on_digits(digits_problem, theory, excess):
    assert fl.predict(digits_problem, fl.SGD(0.05, 8), theory=theory).excess_loss == pytest.approx(excess, abs=5e-8)


def test_other_recipes_on_digits(digits_problem):
    assert fl.predict(digits_problem, fl.SGD(0.05, 1)).excess_loss == pytest.approx(0.09457922, abs=5e-9)
    recipe = fl.SGD(0.1, 64, sampling="without_replacement")
    assert fl.predict(digits_problem, recipe).excess_loss == pytest.approx(0.00313556, abs=5e-9)


def test_the_learning_curve_of_digits(digits_problem):
    steps, losses = [0, 1, 10, 100, 200], [0.3450591, 0.3128402, 0.2360220, 0.0704831, 0.0429235]
    curve = fl.learning_curve(digits_problem, fl.SGD(0.05, 8), 200)
    np.testing.assert_allclose(curve[steps], losses, rtol=1e-6)
    prediction = fl.predict(digits_problem, fl.SGD(0.05, 8))
    for t, loss in zip(steps[:4], losses, strict=False):
        assert prediction.after(t, start="zero").excess_loss == pytest.approx(loss, rel=1e-6)


# ---- what must not change a prediction, or change it in a known way ----


@pytest.mark.parametrize("when", ["stationary", 0, 7, 100])
@pytest.mark.parametrize("seed", range(3))
def test_a_rotation_of_the_inputs_rotates_the_covariance(seed, when):
    x, y = random_data(seed)
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(5, 5)))
    base, turned = (at(fl.predict(fl.LeastSquares(z, y), SMALL), when) for z in (x, x @ turn))
    assert close(turned.covariance, turn.T @ base.covariance @ turn)
    assert close(turned.mean, base.mean @ turn)
    assert close(turned.mode_variances, base.mode_variances)
    assert turned.excess_loss == pytest.approx(base.excess_loss, rel=1e-10)


def at(prediction, when):
    return prediction if when == "stationary" else prediction.after(when, start="zero")


@pytest.mark.parametrize("theory", LEVELS)
@pytest.mark.parametrize("when", ["stationary", 7])
def test_units_of_inputs_and_targets_enter_with_their_powers(theory, when):
    """x -> a x with lr -> lr/a^2, gamma -> a^2 gamma: V -> V/a. y -> s y: V -> s V. Losses: s^2."""
    x, y = random_data()
    a, s = 3.0, 0.2
    scaled = fl.SGD(SMALL.lr / a**2, 3, weight_decay=SMALL.weight_decay * a**2)
    base = at(fl.predict(fl.LeastSquares(x, y), SMALL, theory=theory), when)
    found = at(fl.predict(fl.LeastSquares(a * x, s * y), scaled, theory=theory), when)
    assert close(found.covariance, (s / a) ** 2 * base.covariance)
    assert close(found.optimum, s / a * base.optimum)
    assert close(found.temperatures, s**2 * base.temperatures)
    assert close(found.relaxation_steps, base.relaxation_steps)
    assert found.excess_loss == pytest.approx(s**2 * base.excess_loss, rel=1e-10)
    assert found.optimum_loss == pytest.approx(s**2 * base.optimum_loss, rel=1e-10)


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_the_order_of_the_samples_does_not_matter(sampling):
    x, y = random_data()
    order = np.random.default_rng(1).permutation(len(x))
    sgd = fl.SGD(0.05, 3, sampling=sampling)
    assert close(
        fl.predict(fl.LeastSquares(x[order], y[order]), sgd).covariance,
        fl.predict(fl.LeastSquares(x, y), sgd).covariance,
    )


def test_a_doubled_data_set_is_the_same_with_replacement_and_noisier_without():
    x, y = random_data()
    single, double = fl.LeastSquares(x, y), fl.LeastSquares(np.tile(x, (2, 1)), np.tile(y, (2, 1)))
    assert close(fl.predict(double, SMALL).covariance, fl.predict(single, SMALL).covariance)
    without = fl.SGD(0.05, 3, sampling="without_replacement")
    assert fl.predict(double, without).excess_loss > fl.predict(single, without).excess_loss


@pytest.mark.parametrize("steps", [None, 9])
def test_a_rotation_of_the_outputs_rotates_their_covariance_and_keeps_the_sum(steps):
    x, y = random_data()
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))
    base, turned = (fl.predict(fl.LeastSquares(x, t), SMALL) for t in (y, y @ turn))
    if steps:
        base, turned = base.after(steps), turned.after(steps)
    assert close(turned.covariance, base.covariance)
    assert close(turned.output_covariance, turn.T @ base.output_covariance @ turn)


@pytest.mark.parametrize("theory", ["exact", "discrete", "langevin"])
@pytest.mark.parametrize("steps", [None, 9])
def test_the_outputs_add_up(theory, steps):
    prediction = fl.predict(problem_of(), SMALL, theory=theory)
    prediction = prediction if steps is None else prediction.after(steps)
    assert close(sum(prediction.output_block(k, k) for k in range(3)), prediction.mode_covariance, 1e-9)
    a = prediction.law.problem.curvatures
    traces = [[a @ np.diag(prediction.output_block(k, l)) for l in range(3)] for k in range(3)]  # noqa: E741
    assert close(prediction.output_covariance, traces, 1e-9)
    assert np.linalg.eigvalsh(prediction.output_covariance).min() > 0


def test_the_levels_that_know_the_sum_only_still_give_its_trace():
    for theory in ("hessian", "equilibrium"):
        prediction = fl.predict(problem_of(), SMALL, theory=theory)
        total = prediction.law.problem.curvatures @ prediction.mode_variances
        assert np.trace(prediction.output_covariance) == pytest.approx(total, rel=1e-10)
        with pytest.raises(InvalidInput, match=f"theory='{theory}' models the sum over outputs only"):
            prediction.output_block(0, 0)


@pytest.mark.parametrize("theory", LEVELS)
@pytest.mark.parametrize("start", ["optimum", "zero"])
def test_after_a_very_long_time_a_run_is_stationary(theory, start):
    prediction = fl.predict(problem_of(), SMALL, theory=theory)
    late = prediction.after(10**5, start=start)
    np.testing.assert_allclose(late.mode_variances, prediction.mode_variances, rtol=2e-6)
    assert late.excess_loss == pytest.approx(prediction.excess_loss, rel=2e-6)
    assert np.abs(late.mean).max() < 1e-12


# ---- limits and relations between the rungs ----


def test_at_small_lr_the_rungs_become_one():
    """exact/discrete and discrete/langevin tend to 1 linearly in lr."""
    problem, gaps = problem_of(), []
    for lr in (1e-3, 1e-4, 1e-5):
        exact, discrete, langevin = (fl.predict(problem, fl.SGD(lr, 3), theory=t).excess_loss for t in LEVELS[:3])
        gaps.append([exact / discrete - 1, discrete / langevin - 1])
    np.testing.assert_allclose(np.divide(gaps[1], gaps[0]), 0.1, rtol=0.02)
    np.testing.assert_allclose(np.divide(gaps[2], gaps[1]), 0.1, rtol=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_each_effect_that_a_rung_adds_only_adds_noise(seed):
    """Theorems: K maps positive to positive, so exact - discrete is positive; Phi_pp of steps exceeds that of flow."""
    problem = problem_of(seed)
    lr = 0.5 * fl.max_stable_lr(problem, fl.SGD(1.0, 1))
    sgd = fl.SGD(lr, 2)
    exact, discrete, langevin = (fl.predict(problem, sgd, theory=t) for t in LEVELS[:3])
    assert np.linalg.eigvalsh(exact.covariance - discrete.covariance).min() > 0
    assert np.all(discrete.mode_variances > langevin.mode_variances)
    noisier = fl.predict(problem, fl.SGD(lr, 1))
    assert np.linalg.eigvalsh(noisier.covariance - exact.covariance).min() > 0


def test_in_equilibrium_all_modes_are_equally_hot_and_the_loss_is_the_exact_one():
    exact, equilibrium = (fl.predict(problem_of(), SMALL, theory=t) for t in ("exact", "equilibrium"))
    np.testing.assert_allclose(equilibrium.temperatures, equilibrium.temperatures[0], rtol=1e-14)
    assert np.ptp(exact.temperatures) > 0.05 * exact.temperatures.max()
    assert equilibrium.excess_loss == pytest.approx(exact.excess_loss, rel=1e-14)
    assert equilibrium.excess_loss == pytest.approx(0.5 * 3 * equilibrium.temperatures.sum(), rel=1e-14)


@pytest.mark.parametrize("steps", [0, 4, (2, 6)])
def test_equilibrium_keeps_the_exact_loss_also_of_a_start_that_only_decay_can_move(steps):
    x, y = random_data()
    problem = fl.LeastSquares(np.insert(x, 2, 0, axis=1), y)
    start = np.random.default_rng(2).normal(size=(3, 6))
    exact, equilibrium = (fl.predict(problem, SMALL, theory=t).after(steps, start=start) for t in LEVELS[::4])
    assert equilibrium.theory == "equilibrium"
    assert equilibrium.excess_loss == pytest.approx(exact.excess_loss, rel=1e-12)


@pytest.mark.parametrize("sgd", [fl.SGD(0.05, 8), fl.SGD(0.05, 1, weight_decay=0.1), fl.SGD(0.17, 4)], ids=str)
def test_the_trace_of_f1_is_yaida_s_relation(digits_problem, sgd):
    """2<W.G> = eta <|G|^2>: <V.G> = tr(H S), <|G|^2> = tr(H S H) + kappa tr(C + K[S])."""
    prediction = fl.predict(digits_problem, sgd)
    minimum, s, h = digits_problem.minimum(sgd.weight_decay), prediction.mode_covariance, prediction.curvatures
    square = h**2 @ np.diag(s) + sgd.sampling_factor(1797) * np.trace(minimum.source(s))
    assert 4 * prediction.excess_loss == pytest.approx(sgd.lr * square, rel=1e-10)


@pytest.mark.parametrize("theory", ["exact", "discrete", "langevin"])
def test_the_stationary_state_balances_dissipation_and_fluctuation(digits_problem, theory):
    sgd = fl.SGD(0.05, 2, weight_decay=0.03)
    prediction = fl.predict(digits_problem, sgd, theory=theory)
    s, h = prediction.mode_covariance, np.diag(prediction.curvatures)
    dissipation = h @ s + s @ h - (0 if theory == "langevin" else sgd.lr * h @ s @ h)
    noise = digits_problem.minimum(0.03).noise + (digits_problem.feedback(s) if theory == "exact" else 0)
    assert close(dissipation, sgd.lr * noise / 2, 1e-11)


def test_the_quantities_of_a_prediction_follow_from_its_covariance():
    problem = problem_of()
    prediction = fl.predict(problem, SMALL)
    gram = problem.inputs.T @ problem.inputs / problem.samples
    s, h = prediction.covariance, gram + 0.1 * np.eye(5)
    assert prediction.excess_loss == pytest.approx(0.5 * np.trace(h @ s), rel=1e-12)
    assert close(prediction.mode_variances, np.diag(prediction.modes.T @ s @ prediction.modes))
    assert close(prediction.temperatures, prediction.curvatures * prediction.mode_variances / 3)
    assert close(prediction.relaxation_steps, -1 / np.log(1 - 0.05 * prediction.curvatures))
    assert np.trace(prediction.output_covariance) == pytest.approx(np.trace(gram @ s), rel=1e-10)
    assert prediction.optimum.shape == (3, 5)
    assert prediction.optimum_loss == problem.minimum(0.1).loss
    assert not prediction.mean.any()
    assert "stationary: excess_loss=" in repr(prediction)
    assert "after 1..5 (average of 2) steps" in repr(prediction.after([5, 1]))


def test_a_prediction_becomes_json():
    prediction = fl.predict(problem_of(), SMALL).after([2, 4], start="zero")
    found = json.loads(json.dumps(prediction.to_dict()))
    assert found["steps"] == [2, 4]
    assert found["recipe"] == SMALL.to_dict()
    assert found["excess_loss"] == prediction.excess_loss
    assert found["rank"] == len(found["curvatures"]) == len(found["mode_variances"]) == 5
    perfect = fl.LeastSquares(random_data()[0], np.zeros(40))
    assert fl.predict(perfect, fl.SGD(0.05, 3)).to_dict()["relative_excess_loss"] is None


@pytest.mark.parametrize("theory", LEVELS)
def test_data_that_a_linear_map_fits_perfectly_do_not_fluctuate(theory):
    x, _ = random_data()
    problem = fl.LeastSquares(x, x @ np.random.default_rng(1).normal(size=(5, 3)))
    prediction = fl.predict(problem, fl.SGD(0.05, 3), theory=theory)
    assert 0 <= prediction.excess_loss < 1e-25
    assert prediction.after(50, start="zero").excess_loss > 1e-6


# ---- what is refused ----


@pytest.mark.parametrize("call", [fl.predict, lambda p, s, theory: fl.learning_curve(p, s, 3, theory=theory)])
def test_an_unknown_level_comes_with_a_suggestion(call):
    with pytest.raises(UnknownName, match=r"unknown theory 'langevine'\. Did you mean 'langevin'\?") as caught:
        call(problem_of(), SMALL, theory="langevine")
    assert caught.value.suggestion == "langevin"
    assert caught.value.known == LEVELS


@pytest.mark.parametrize("theory", ["exact", "equilibrium", "discrete"])
def test_an_unstable_recipe_is_refused_with_both_numbers(theory):
    problem = problem_of()
    mean_limit = 2 / problem.curvatures[0]
    limit = mean_limit if theory == "discrete" else fl.max_stable_lr(problem, fl.SGD(1.0, 1))
    with pytest.raises(fl.UnstableSGD) as caught:
        fl.predict(problem, fl.SGD(1.1 * limit, 1), theory=theory)
    assert caught.value.lr == 1.1 * limit
    assert caught.value.max_stable_lr == pytest.approx(limit, rel=1e-10)
    assert f"{1.1 * limit:g}" in str(caught.value)
    assert f"{limit:.7g}" in str(caught.value)
    assert isinstance(caught.value, InvalidInput)


@pytest.mark.parametrize("theory", ["exact", "equilibrium", "discrete"])
def test_unchecked_an_unstable_recipe_is_infinite_at_rest_and_exact_at_finite_time(theory):
    problem = problem_of()
    wild = fl.SGD(2.2 / problem.curvatures[0], 1)
    prediction = fl.predict(problem, wild, theory=theory, check_stability=False)
    assert prediction.excess_loss == np.inf
    assert np.isinf(prediction.covariance).all()
    assert np.isinf(prediction.mode_variances).all()
    assert np.isinf(prediction.output_covariance).all()
    if theory != "equilibrium":
        assert np.isinf(prediction.output_block(0, 1)).all()
    curve = fl.learning_curve(problem, wild, 20, theory=theory, start="optimum")
    assert prediction.after(20).excess_loss == pytest.approx(curve[20], rel=1e-9)
    assert curve[20] > 10 * curve[1] > 0


def test_the_langevin_rungs_never_see_the_instability():
    problem = problem_of()
    wild = fl.SGD(10 / problem.curvatures[0], 1)
    assert np.isfinite(fl.predict(problem, wild, theory="langevin").excess_loss)
    assert np.isfinite(fl.predict(problem, wild, theory="hessian").excess_loss)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": np.zeros((5, 3))}, r"start must have the weights' shape \(3, 5\), got \(5, 3\)"),
        ({"start": np.zeros(15)}, r"start must have shape \(outputs, features\), got \(15,\)"),
        ({"start": np.full((3, 5), np.nan)}, r"start holds nan at index \(0, 0\)"),
        ({"start": [[1.0], [2.0, 3.0]]}, "start cannot be read as one array"),
        ({"start": "zeros"}, "unknown start 'zeros'. Did you mean 'zero'?"),
        ({"rtol": 0.0}, "rtol must be greater than 0, got 0"),
        ({"rtol": -1e-3}, "rtol must be greater than 0, got -0.001"),
        ({"rtol": np.nan}, "rtol must be a finite number, got nan"),
        ({"steps": -1}, "steps .* got -1"),
        ({"steps": 1.5}, "steps must be a whole number .* got 1.5"),
        ({"steps": "10"}, "steps must be a whole number .* got '10'"),
        ({"steps": None}, "steps must be a whole number .* got None"),
        ({"steps": True}, "steps must be a whole number .* got True"),
    ],
    ids=str,
)
def test_a_bad_start_tolerance_or_step_count_is_refused(change, message):
    arguments = {"steps": 3} | change
    with pytest.raises(InvalidInput, match=message):
        fl.predict(problem_of(), SMALL).after(**arguments)
    with pytest.raises(InvalidInput, match=message):
        fl.learning_curve(problem_of(), SMALL, **arguments)


def test_outputs_are_refused_where_they_are_not_defined():
    prediction = fl.predict(problem_of(), SMALL)
    away = prediction.after(3, start="zero")
    with pytest.raises(InvalidInput, match="output_covariance is the fluctuation of a run at or from W"):
        _ = away.output_covariance
    with pytest.raises(InvalidInput, match="output_block is the fluctuation of a run at or from W"):
        away.output_block(0, 0)
    for bad, message in ((3, "must be below 3, got 3"), (-1, "must be at least 0, got -1"), (0.5, "whole number")):
        with pytest.raises(InvalidInput, match=message):
            prediction.output_block(0, bad)


def test_a_batch_without_replacement_larger_than_the_data_is_refused():
    with pytest.raises(InvalidInput, match="batch_size = 41 is larger than the 40 samples"):
        fl.predict(problem_of(), fl.SGD(0.01, 41, sampling="without_replacement"))


def test_a_curve_that_overflows_ends_in_infinity(digits_problem):
    curve = fl.learning_curve(digits_problem, fl.SGD(1.0, 4), 700)
    assert not np.isnan(curve).any()
    assert np.isinf(curve[-1])
    assert (np.diff(curve[5:100]) > 0).all()
