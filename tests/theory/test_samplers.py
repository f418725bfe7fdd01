"""Samplers on real data and at known limits, F90 to F99: numbers, closed forms, the step for an inflation, refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

import fluctua as fl
from fluctua.errors import InvalidInput, NotConverged, UnstableSGD
from fluctua.kernels.thermal import Thermal
from fluctua.recipe.reading import read_recipe
from fluctua.theory import spanned

HEAT, DECAY = 0.5 / 442, 0.01
KINETIC = (fl.SGHMC, fl.BAOA, fl.BAOAB, fl.ABOBA, fl.OBABO)
SPLITTINGS = KINETIC[1:]
kinetic_case = pytest.mark.parametrize("kind", KINETIC)
splitting_case = pytest.mark.parametrize("kind", SPLITTINGS)
NUMBERS = {
    "SGLD": (
        fl.SGLD(0.05, 8, HEAT, DECAY),
        {"full_batch": 0.0058075072, "langevin": 0.0125723430, "discrete": 0.0131094117, "exact": 0.0136008234},
        (6.220670, 1.012326),
        0.4109609833,
    ),
    "BAOA": (
        fl.BAOA(0.2, 1.0, 8, HEAT, DECAY),
        {"full_batch": 0.0056561086, "discrete": 0.0340017566, "exact": 0.0395971403},
        (22.958997, 1.054856),
        0.7676416653,
    ),
    "SGHMC": (
        fl.SGHMC(0.1, 1.0, 8, HEAT, DECAY),
        {"full_batch": 0.0064400272, "discrete": 0.0246561200, "exact": 0.0272022783},
        (18.471541, 1.027613),
        0.2254599498,
    ),
}
"""Excess losses on diabetes, steepest and flattest inflation, largest stable step: from brute force beforehand."""


@pytest.fixture(scope="module")
def diabetes():
    found = load_diabetes()
    inputs, targets = ((each - each.mean(axis=0)) / each.std(axis=0) for each in (found.data, found.target))
    return fl.LeastSquares(inputs, targets)


@pytest.fixture(scope="module")
def curvatures(diabetes):
    return diabetes.minimum(DECAY).curvatures


def printed(value, expected):
    """Whether a number has all the digits that were printed of the other."""
    return abs(value - expected) <= 0.51 * 10.0 ** -len(f"{expected:.10f}".split(".")[1])


@pytest.mark.parametrize("name", NUMBERS)
def test_the_numbers_of_diabetes(diabetes, name):
    sampler, losses, inflation, limit = NUMBERS[name]
    for theory, expected in {**losses, "target": 10 * HEAT / 2}.items():
        assert printed(fl.predict(diabetes, sampler, theory=theory).excess_loss, expected)
    found = fl.predict(diabetes, sampler)
    assert found.inflation[[0, -1]] == pytest.approx(inflation, abs=5.1e-7)
    assert float(fl.max_stable_lr(diabetes, sampler)) == pytest.approx(limit, rel=1e-9)
    assert 1.01 * losses["exact"] > found.excess_loss > 0.99 * losses["exact"]


def test_finite_time_of_diabetes(diabetes):
    found = fl.predict(diabetes, NUMBERS["SGLD"][0]).after([500, 1000], rtol=1e-8)
    assert printed(found.excess_loss, 0.0134351880)


def test_full_batches_have_closed_forms(diabetes, curvatures):
    h = curvatures

    def inflation(kind, *given):
        return fl.predict(diabetes, kind(*given, HEAT, DECAY)).inflation

    assert inflation(fl.ULA, 0.05) == pytest.approx(1 / (1 - 0.05 * h / 2), rel=1e-13)
    eps, al = 0.1, 1.0
    momentum = 2 * al / (2 * al - eps * al**2 - eps * h * (2 - 1.5 * eps * al + eps**2 * h / 2))
    found = fl.predict(diabetes, fl.SGHMC(eps, al, None, HEAT, DECAY))
    assert found.kinetic_temperatures == pytest.approx(HEAT * momentum, rel=1e-13)
    assert found.inflation == pytest.approx(momentum * (1 - eps * al / 2 + eps**2 * h / 2), rel=1e-13)
    beyond = 1 / (1 - 0.3**2 * h / 4)
    for kind, position, momentum in (
        (fl.BAOA, 1, 1),
        (fl.BAOAB, 1, 1 / beyond),
        (fl.ABOBA, 1, beyond),
        (fl.OBABO, beyond, 1),
    ):
        found = fl.predict(diabetes, kind(0.3, 0.7, None, HEAT, DECAY))
        assert found.inflation == pytest.approx(position * np.ones(10), rel=1e-12)
        assert found.kinetic_temperatures == pytest.approx(HEAT * momentum * np.ones(10), rel=1e-12)


@pytest.mark.parametrize("kind", [fl.SGLD, *KINETIC])
def test_a_full_batch_is_a_batch_of_all_samples_without_replacement(diabetes, kind):
    options = {} if kind is fl.SGLD else {"friction": 1.0}
    full, all_drawn, rung = (
        fl.predict(
            diabetes, kind(lr=0.1, batch_size=size, temperature=HEAT, sampling=sampling, **options), theory=theory
        )
        for size, sampling, theory in (
            (None, "with_replacement", "exact"),
            (442, "without_replacement", "exact"),
            (8, "with_replacement", "full_batch"),
        )
    )
    assert np.array_equal(full.covariance, all_drawn.covariance)
    assert np.array_equal(full.covariance, rung.covariance)
    assert full.entropy_production.total == 0 if kind not in (fl.ABOBA,) else True
    assert fl.predict(diabetes, fl.ULA(0.1, HEAT)).excess_loss == (
        full.excess_loss if kind is fl.SGLD else pytest.approx(5 * HEAT, rel=0.3)
    )


@kinetic_case
def test_small_steps_sample_the_target_and_are_sgd_beyond_friction(diabetes, kind):
    """To first order in the step; a strongly damped momentum is SGLD of the rate lr/friction."""
    small = fl.predict(diabetes, kind(1e-5, 1.0, 8, HEAT, DECAY))
    assert small.inflation == pytest.approx(np.ones(10), abs=1e-2)
    damped = fl.predict(diabetes, kind(0.01, 20.0, 8, HEAT, DECAY)).inflation
    assert damped == pytest.approx(fl.predict(diabetes, fl.SGLD(0.01 / 20, 8, HEAT, DECAY)).inflation, rel=0.02)


def test_friction_forgets_a_momentum_into_a_plain_step(diabetes):
    """OBABO without memory: SGLD of the rate lr^2/2."""
    found = fl.predict(diabetes, fl.OBABO(0.3, 100 / 0.31, 8, HEAT, DECAY)).inflation
    assert found == pytest.approx(fl.predict(diabetes, fl.SGLD(0.3**2 / 2, 8, HEAT, DECAY)).inflation, rel=1e-12)


@pytest.mark.parametrize("lr", [1e-7, 1e-4])
@kinetic_case
def test_flat_modes_keep_their_digits(kind, lr):
    """Full batches of a splitting leave the target's variance, however many steps a mode takes to relax."""
    step = kind(lr, 0.5, None, 0.7).step
    found = Thermal(np.array([1e-6, 1.0]), step, lr, 1)
    shown = found.variances(found.at_rest, shown=True) * found.curvatures / 0.7
    assert shown == pytest.approx([1.0, 1.0], rel=1e-3 if kind is fl.SGHMC else 1e-8)
    assert found.after(10**14)[0, 0, 1] == pytest.approx(found.at_rest[0, 0, 1], rel=1e-6)


def test_moments_by_doubling_are_those_step_by_step():
    for step in (fl.BAOAB(0.4, 0.5, None, 0.7).step, fl.SGLD(0.4, None, 0.7).step, fl.OBABO(0.4, 0.5, None, 0.7).step):
        thermal = Thermal(np.array([0.3, 2.0]), step, 0.4, 3)
        for number, moments in enumerate(thermal.along(13)):
            assert thermal.after(number) == pytest.approx(moments, rel=1e-12, abs=1e-15)
        last = thermal.variances(thermal.at_rest, shown=True)
        assert thermal.read([10**6, 2, 2], np.ones(2))[0] == pytest.approx(last.sum(), rel=1e-9)
        twice = (thermal.after(5) + 2 * thermal.after(2)) / 3
        assert thermal.mean([2, 5, 2]) == pytest.approx(twice, rel=1e-12)


def test_entropy_production_is_what_the_spectrum_says():
    """As for SGD in the contract of steps, with thermal noise beside that of batches."""
    rng = np.random.default_rng(8)
    problem = fl.LeastSquares(rng.normal(size=(5, 3)), rng.normal(size=(5, 2)))
    for sampler in (
        fl.SGLD(0.1, 2, 0.05),
        fl.SGHMC(0.2, 1.5, 2, 0.05),
        fl.OBABO(0.5, 0.7, 2, 0.05),
        fl.BAOAB(0.5, 0.7, 2, 0.05),
    ):
        found, law = fl.predict(problem, sampler), fl.predict(problem, sampler).law
        push, warm = sampler.step.at(sampler.lr)[1], sampler.step.thermal(sampler.lr)
        noise = joint(problem, law, found)
        turned, total, places = sampler.step.transition(sampler.lr, found.curvatures), 0.0, 600
        for angle in 2 * np.pi * (np.arange(places) + 0.5) / places:
            whole = np.linalg.inv(np.exp(1j * angle) * np.eye(len(push)) - turned)
            answer, heat = (np.tile(whole[:, 0] @ each, 2) for each in (push, warm))
            spectrum = answer[:, None] * noise * answer.conj() + np.diag(np.abs(heat) ** 2)
            total += 0.5 * np.trace(np.linalg.solve(spectrum, spectrum.T) - np.eye(6)).real / places
        assert found.entropy_production.total == pytest.approx(total, rel=1e-9)


def joint(problem, law, found):
    """kappa (C + K[S]) of all outputs together, from the samples and the blocks of S, (c r, c r)."""
    z, residuals, kappa = problem.projections, law.minimum.residuals, law.source.kappa
    out = np.zeros((2, 3, 2, 3))
    for k in range(2):
        for l in range(2):  # noqa: E741
            block = found.output_block(k, l)
            each = residuals[:, k] * residuals[:, l] + np.einsum("ni,ij,nj->n", z, block, z)
            a = np.diag(problem.curvatures)
            out[k, :, l] = kappa * ((z * each[:, None]).T @ z / len(z) - a @ block @ a)
    return out.reshape(6, 6)


def test_the_step_for_an_inflation(diabetes):
    for sampler in (fl.SGLD(1.0, 8, HEAT, DECAY), fl.BAOAB(1.0, 1.0, 8, HEAT, DECAY), fl.ULA(1.0, HEAT, DECAY)):
        step = fl.lr_for_inflation(diabetes, sampler, 1.05)
        worst = fl.predict(diabetes, replace(sampler, lr=float(step))).inflation
        assert worst.max() == step.inflation <= 1.05
        assert step.inflation > 1.05 - 1e-8
        assert (step.mode, step.limit) == (1 + int(worst.argmax()), "inflation")
        assert fl.predict(diabetes, replace(sampler, lr=step * (1 + 1e-8))).inflation.max() > 1.05
    assert float(step) == pytest.approx(2 * (1 - 1 / 1.05) / step.curvature, rel=1e-9)


def test_the_step_for_an_inflation_where_something_else_limits_it(diabetes):
    exact = fl.lr_for_inflation(diabetes, fl.BAOAB(1.0, 1.0, None, HEAT, DECAY), 1.05)
    assert exact.limit == "stability"
    assert exact.max_stable_lr * (1 - 2e-6) < exact < exact.max_stable_lr
    assert fl.predict(diabetes, fl.BAOAB(float(exact), 1.0, None, HEAT, DECAY)).inflation.max() < 1.05
    narrow = fl.lr_for_inflation(diabetes, fl.SGHMC(0.01, 1.0, None, HEAT, DECAY, beta=1e4), 1.02)
    assert narrow.inflation == pytest.approx(1 / 1.02, rel=1e-8)
    assert "mode" in repr(narrow)
    assert "inflation" in narrow._repr_html_()
    assert type(narrow)(*narrow.__reduce__()[1]) == narrow
    for wrong, factor, said in (
        (fl.SGD(1.0, 8), 1.05, "sampler must be a sampler"),
        (fl.SGLD(1.0, 8, 0.0), 1.05, "is 0"),
    ):
        with pytest.raises(InvalidInput, match=said):
            fl.lr_for_inflation(diabetes, wrong, factor)
    with pytest.raises(InvalidInput, match="inflation must be"):
        fl.lr_for_inflation(diabetes, fl.SGLD(1.0, 8, HEAT), 1.0)


def test_directions_without_data_have_the_prior_s_spread():
    inputs = np.array([[1.0, 2.0, 0.0], [0.5, -1.0, 0.0], [1.5, 1.0, 0.0], [0.2, 0.1, 0.0]])
    problem = fl.LeastSquares(inputs, inputs[:, :2])
    found = fl.predict(problem, fl.ULA(0.1, 0.3, weight_decay=0.2))
    assert found.covariance[2, 2] == pytest.approx(2 * 0.3 / 0.2 / (1 - 0.1 * 0.2 / 2))
    target = fl.predict(problem, fl.ULA(0.1, 0.3, weight_decay=0.2), theory="target")
    curvature = inputs.T @ inputs / 4 + 0.2 * np.eye(3)
    assert target.covariance == pytest.approx(2 * 0.3 * np.linalg.inv(curvature), rel=1e-12)
    assert target.excess_loss == pytest.approx(2 * 3 * 0.3 / 2, rel=1e-12)


def test_a_run_that_is_swept_knows_thermal_noise(monkeypatch):
    """Many samples: all nodes of a run at once, from states that witnesses recall."""
    data = fl.load("digits", classes=[3, 8], limit=160)
    problem = fl.LeastSquares(data.inputs[:, data.inputs.std(axis=0) > 0], data.targets)
    prediction = fl.predict(problem, fl.SGLD(0.03, 4, 1e-4, 0.1))
    fine = prediction.after([60], start="zero", rtol=1e-6, curve=True)
    for name, value in (("_LARGE", 0.0), ("_MANY", 0), ("_WITNESSES", 120)):
        monkeypatch.setattr(spanned, name, value)
    swept = prediction.after([60], start="zero", rtol=1e-4, curve=True)
    assert swept.estimated_error.passes < fine.estimated_error.passes
    assert swept.mode_variances == pytest.approx(fine.mode_variances, rel=1e-4)
    assert swept.curve == pytest.approx(fine.curve, rel=2e-6)


def test_an_improper_posterior_is_refused():
    problem = fl.LeastSquares([[1.0, 2.0], [2.0, 4.0], [0.5, 1.0]], [1.0, 0.0, 2.0])
    for ask in (fl.predict, lambda *given: fl.learning_curve(*given, 3), fl.lr_for_inflation):
        with pytest.raises(InvalidInput, match=r"improper: the inputs leave 1 of 2 directions .* Use weight_decay > 0"):
            ask(problem, fl.SGLD(0.01, 1, 0.1))
    assert fl.predict(problem, fl.SGLD(0.01, 1, 0.0)).excess_loss > 0
    assert fl.predict(problem, fl.SGLD(0.01, 1, 0.1, weight_decay=0.1)).excess_loss > 0


REFUSED = {
    "temperature": (lambda: fl.SGLD(0.1, 8, -1.0), "temperature must be"),
    "temperature, none": (lambda: fl.SGLD(0.1, 8, None), "temperature must be"),
    "friction": (lambda: fl.BAOAB(0.1, 0.0, 8, 0.1), "friction must be greater than 0"),
    "friction, negative": (lambda: fl.SGHMC(0.1, -1.0, 8, 0.1), "friction must be greater than 0"),
    "friction, forgotten": (lambda: fl.OBABO(1.0, 101.0, 8, 0.1), "nothing of the momentum is left"),
    "friction, hardly any": (lambda: fl.BAOA(1e-3, 1e-6, 8, 0.1), "below 1e-08: a step loses next to nothing"),
    "friction, nearly forgotten": (lambda: fl.ABOBA(1.0, 11.0, 8, 0.1), "above 10: next to nothing"),
    "beta": (lambda: fl.SGHMC(0.1, 1.0, 8, 0.5, beta=41.0), r"2 friction - temperature lr beta = -0.05, .* beta <= 40"),
    "beta, negative": (lambda: fl.SGHMC(0.1, 1.0, 8, 0.5, beta=-1.0), "beta must be"),
    "step": (lambda: fl.SGLD(0.0, 8, 0.1), "lr must be greater than 0"),
    "batch": (lambda: fl.BAOA(0.1, 1.0, 0, 0.1), "batch_size must be"),
    "epochs": (lambda: fl.SGLD(0.1, 8, 0.1, sampling="shuffle"), "law of SGLD is of independent batches.*without_repl"),
    "schedule": (
        lambda: fl.SGHMC(0.1, 1.0, 8, 0.1, schedule=(1.0, 0.5)),
        "SGHMC has no schedule: .* Leave schedule out",
    ),
    "full batch, drawn": (lambda: fl.SGLD(0.1, None, 0.1, sampling="without_replacement"), "Leave sampling out"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_samplers_that_are_none_are_refused(name):
    make, said = REFUSED[name]
    with pytest.raises(InvalidInput, match=said):
        make()


def test_beyond_the_limit_the_real_condition_is_named(diabetes, curvatures):
    steepest = curvatures[0]
    with pytest.raises(UnstableSGD, match=r"det F = 1 - lr friction \+ lr\^2 h < 1 .*BAOAB") as caught:
        fl.predict(diabetes, fl.SGHMC(1.01 / steepest, 1.0, None, HEAT, DECAY))
    assert caught.value.max_stable_lr == pytest.approx(1 / steepest, rel=1e-12)
    with pytest.raises(UnstableSGD, match="largest stable"):  # flat modes overshoot instead
        fl.predict(diabetes, fl.SGHMC(0.11, 20.0, None, HEAT, DECAY))
    for kind in SPLITTINGS:
        limit = fl.max_stable_lr(diabetes, kind(1.0, 1.0, None, HEAT, DECAY))
        assert float(limit) == pytest.approx(2 / np.sqrt(steepest), rel=1e-12)
        with pytest.raises(UnstableSGD):
            fl.predict(diabetes, kind(1.001 * limit, 1.0, None, HEAT, DECAY))
        unstable = fl.predict(diabetes, kind(1.001 * limit, 1.0, 8, HEAT, DECAY), check_stability=False)
        assert np.isinf(unstable.excess_loss)
        assert np.isfinite(unstable.after(5).excess_loss)


def test_what_is_not_covered_is_refused_by_name(diabetes):
    sampler = fl.SGLD(0.05, 8, HEAT, DECAY)
    with pytest.raises(InvalidInput, match="law of SGLD is of its draws, and not of an average"):
        fl.predict(diabetes, sampler, average=fl.EMA(0.9))
    head = fl.Logistic(diabetes.inputs, diabetes.targets[:, 0] > 0)
    asked = {
        fl.conditioning: (diabetes,),
        fl.gradient_noise: (diabetes,),
        fl.semi_analytic: (diabetes,),
        fl.torch_code: (diabetes,),
        fl.max_stable_lr: (head,),
        fl.predict: (head,),
    }
    for verb, (problem,) in asked.items():
        with pytest.raises(InvalidInput, match=r"is a sampler, and this is not covered for samplers"):
            verb(problem, sampler, **({"steps": 5} if verb in (fl.torch_code,) else {}))
    sgd = fl.predict(diabetes, fl.SGD(0.05, 8))
    for ask in (lambda: sgd.target, lambda: sgd.inflation):
        with pytest.raises(InvalidInput, match="SGD has no temperature"):
            ask()
    for theory in ("hessian", "equilibrium"):
        with pytest.raises(InvalidInput, match="Known: exact, discrete, langevin, full_batch, target"):
            fl.predict(diabetes, sampler, theory=theory)
    with pytest.raises(InvalidInput, match="unknown theory"):
        fl.predict(diabetes, fl.SGD(0.05, 8), theory="target")


@pytest.mark.parametrize("kind", [fl.SGLD, fl.ULA, *KINETIC])
def test_a_sampler_survives_its_description(diabetes, kind):
    options = {} if kind in (fl.SGLD, fl.ULA) else {"friction": 0.7}
    for size in (None, 8):
        sizes = {} if kind is fl.ULA else {"batch_size": size}
        sampler = kind(lr=0.01, temperature=HEAT, weight_decay=DECAY, **sizes, **options)
        assert read_recipe(json.loads(json.dumps(sampler.to_dict()))) == sampler
        assert eval(repr(sampler), vars(fl)) == sampler
        found = fl.predict(diabetes, sampler)
        described = json.loads(json.dumps(found.to_dict()))
        assert described["inflation"] == found.inflation.tolist()
        assert found.columns()["target"] == pytest.approx(HEAT / found.curvatures)
        assert "temperature 0.00113" in sampler.words


def test_a_law_that_is_not_found_is_no_step(monkeypatch, diabetes):
    from fluctua.theory import inflated

    def lost(*_, **__):
        raise NotConverged("it", 1, 1.0, 0.0)

    monkeypatch.setattr(inflated, "predict", lost)
    with pytest.raises(NotConverged, match="Use a larger factor"):
        fl.lr_for_inflation(diabetes, fl.SGLD(1.0, 8, HEAT))
