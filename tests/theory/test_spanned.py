"""States that recall former ones: the promised accuracy with fewer passes, against the recursion step by step."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.theory import spanned, witnesses
from fluctua.theory.allowance import Allowance
from fluctua.theory.control import loss_rtol
from fluctua.theory.sweeps import Sweeps

STEPS = 150
RECIPES = {
    "single samples": fl.SGD(0.05, 1),
    "batches of eight": fl.SGD(0.05, 8),
    "batches of 64": fl.SGD(0.02, 64, weight_decay=0.01),
    "94 % of the limit": fl.SGD(0.1235, 2),
    "momentum": fl.SGD(0.01, 8, momentum=0.9),
    "cosine": fl.SGD(0.08, 4, schedule=fl.schedules.CosineAnnealingLR(STEPS + 1)),
    "cosine and momentum": fl.SGD(0.01, 8, momentum=0.9, schedule=fl.schedules.CosineAnnealingLR(STEPS + 1)),
}
recipes = pytest.mark.parametrize("name", RECIPES)
STARTS = ["optimum", "zero"]
starts = pytest.mark.parametrize("start", STARTS)


@pytest.fixture(scope="module")
def problem(digits):
    return fl.LeastSquares(digits.inputs, digits.targets)


@pytest.fixture
def recalls(monkeypatch):
    """As on large data: some samples tell what is new."""
    for name, value in (("_LARGE", 0.0), ("_MANY", 0), ("_WITNESSES", 600)):
        monkeypatch.setattr(spanned, name, value)


@pytest.fixture
def passes(monkeypatch):
    calls, right = [], fl.LeastSquares.scatter
    monkeypatch.setattr(fl.LeastSquares, "scatter", lambda *args, **kw: (calls.append(1), right(*args, **kw))[1])
    return calls


def iterated(problem, sgd, start):
    """S after the last step: second moments of (V, u), and the mean, one step after another."""
    minimum, z = problem.minimum(sgd.weight_decay), problem.projections
    h, a, decay = minimum.curvatures, problem.curvatures, sgd.weight_decay * minimum.mode_weights
    k, r = sgd.step.slots, problem.rank
    begun = -minimum.mode_weights if start == "zero" else np.zeros_like(minimum.mode_weights)
    mean = np.hstack([begun] + [np.zeros_like(begun)] * (k - 1))
    moment = mean.T @ mean
    for rate in sgd.rates(np.arange(STEPS)):
        motion, push = sgd.step.at(rate)
        step = np.kron(motion, np.eye(r)) + np.kron(np.outer(push, np.eye(k)[0]), np.diag(h))
        v = mean[:, :r]
        errors = minimum.squared_residuals + 2 * np.sum((z @ v.T) * minimum.residuals, axis=1)
        errors = errors + np.einsum("ni,ni->n", z @ moment[:r, :r], z)
        cross = decay.T @ (v * a)
        gradients = a[:, None] * moment[:r, :r] * a + decay.T @ decay - cross - cross.T
        source = sgd.sampling_factor(len(z)) * ((z * errors[:, None]).T @ z / len(z) - gradients)
        moment = step @ moment @ step.T + np.kron(np.outer(push, push), source)
        mean = mean @ step.T
    return moment[:r, :r]


def relative(found, expected):
    return np.abs(np.asarray(found) / expected - 1).max()


@pytest.fixture(params=["swept", "marched"])
def way(request, monkeypatch):
    """All nodes of a run at once, or an interval after another, as where the source is not smooth."""
    if request.param == "marched":
        monkeypatch.setattr(Sweeps, "solve", lambda _: False)
    return request.param


@pytest.fixture(scope="module")
def truth(problem):
    """Every-step iteration, once for each recipe and start."""
    return {(name, start): iterated(problem, RECIPES[name], start) for name in RECIPES for start in STARTS}


@pytest.mark.usefixtures("recalls", "way")
@starts
@recipes
def test_modes_and_loss_are_as_accurate_as_asked_and_said(problem, truth, passes, monkeypatch, name, start):
    variances, prediction = np.diag(truth[name, start]), fl.predict(problem, RECIPES[name])
    _ = prediction.law.minimum.noise  # C is one more pass, once
    for rtol in (1e-3, 1e-4):
        passes.clear()
        found, few = prediction.after(STEPS, start=start, rtol=rtol), len(passes)
        h, stated = found.curvatures, found.estimated_error
        modes, loss = relative(found.mode_variances, variances), abs(h @ found.mode_variances / (h @ variances) - 1)
        assert modes < rtol
        assert loss < loss_rtol(rtol)
        assert (modes < stated.modes, loss < stated.loss) == (True, True)
        assert stated.modes < 2 * rtol
        assert stated.loss < 2 * loss_rtol(rtol)
        assert stated.passes == few
        with monkeypatch.context() as patch:
            patch.setattr(spanned, "_LARGE", np.inf)
            passes.clear()
            prediction.after(STEPS, start=start, rtol=rtol)
            assert few < len(passes)


@pytest.mark.usefixtures("recalls")
def test_what_former_states_share_adds_up_to_no_more_than_was_asked(monkeypatch):
    """Witnesses miss the same of every state, and errors of one sign add up: weighed by a third, to 1.4 rtol."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2000, 30)) / np.sqrt(np.arange(1, 31))
    targets = 0.3 * inputs @ rng.normal(size=(2, 30)).T + rng.normal(size=(2000, 2))
    problem = fl.LeastSquares(inputs, targets)
    prediction = fl.predict(problem, fl.SGD(0.6 * fl.max_stable_lr(problem, fl.SGD(0.1, 8)), 8))
    found = prediction.after(200, rtol=1e-3).mode_variances
    monkeypatch.setattr(spanned, "_LARGE", np.inf)
    assert relative(found, prediction.after(200, rtol=1e-8).mode_variances) < 1e-3


@pytest.mark.usefixtures("recalls")
def test_sweeps_take_fewer_passes_than_a_march(problem, passes, monkeypatch):
    counts = []
    for swept in (True, False):
        with monkeypatch.context() as patch:
            if not swept:
                patch.setattr(Sweeps, "solve", lambda _: False)
            for sgd in RECIPES.values():
                prediction = fl.predict(problem, sgd)
                passes.clear()
                prediction.after(STEPS)
                counts.append(len(passes))
    few, many = np.reshape(counts, (2, -1))
    assert np.all(few < many)
    assert 4 * few.sum() < 3 * many.sum()


@pytest.mark.usefixtures("recalls")
@pytest.mark.parametrize("way", ["swept", "marched"])
def test_what_is_left_out_is_resolved(problem, truth, monkeypatch, way):
    """The mutant: a source that recalls what it should not is off by more than was asked."""
    prediction = fl.predict(problem, RECIPES["single samples"])
    if way == "marched":
        monkeypatch.setattr(Sweeps, "solve", lambda _: False)
    monkeypatch.setattr(witnesses.Witnesses, "_at_most", lambda _, mean, *__: 0.0 * mean)
    monkeypatch.setattr(Allowance, "returned", lambda *_: np.zeros(2))
    found = prediction.after(STEPS, rtol=1e-4).mode_variances
    assert relative(found, np.diag(truth["single samples", "optimum"])) > 1e-3


@pytest.mark.usefixtures("recalls")
def test_small_data_and_fine_tolerances_are_asked_every_time(problem, monkeypatch):
    law = fl.predict(problem, RECIPES["single samples"]).law
    assert isinstance(spanned.recalling(law.source, 1e-4), spanned.SpannedSource)
    assert spanned.recalling(law.source, 1e-12) is law.source
    monkeypatch.undo()
    assert spanned.recalling(law.source, 1e-4) is law.source


def test_a_samples_chance_is_how_often_it_is_a_witness():
    chance = np.array([0.5, 0.25, 0.125, 0.125])
    assert np.bincount(witnesses._spaced(chance, 64)).tolist() == [32, 16, 8, 8]
