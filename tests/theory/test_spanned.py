"""States that recall former ones: the promised accuracy with fewer passes, against the recursion step by step."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.theory import spanned
from fluctua.theory.control import loss_rtol

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
starts = pytest.mark.parametrize("start", ["optimum", "zero"])


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


@pytest.mark.usefixtures("recalls")
@starts
@recipes
def test_modes_and_loss_are_as_accurate_as_asked_with_fewer_passes(problem, passes, monkeypatch, name, start):
    truth, prediction = iterated(problem, RECIPES[name], start), fl.predict(problem, RECIPES[name])
    for rtol in (1e-3, 1e-4):
        passes.clear()
        found, few = prediction.after(STEPS, start=start, rtol=rtol), len(passes)
        assert relative(found.mode_variances, np.diag(truth)) < rtol
        h = found.curvatures
        assert abs(h @ found.mode_variances / (h @ np.diag(truth)) - 1) < loss_rtol(rtol)
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
def test_what_is_left_out_is_resolved(problem, monkeypatch):
    """The mutant: a source that recalls what it should not is off by more than was asked."""
    sgd = RECIPES["single samples"]
    truth, prediction = iterated(problem, sgd, "optimum"), fl.predict(problem, sgd)
    monkeypatch.setattr(spanned.SpannedSource, "_left_out", lambda *_: np.array(0.0))
    assert relative(prediction.after(STEPS, rtol=1e-4).mode_variances, np.diag(truth)) > 1e-3


@pytest.mark.usefixtures("recalls")
def test_small_data_and_fine_tolerances_are_asked_every_time(problem, monkeypatch):
    law = fl.predict(problem, RECIPES["single samples"]).law
    assert isinstance(spanned.recalling(law.source, 1e-4), spanned.SpannedSource)
    assert spanned.recalling(law.source, 1e-12) is law.source
    monkeypatch.undo()
    assert spanned.recalling(law.source, 1e-4) is law.source


def test_a_samples_chance_is_how_often_it_is_a_witness():
    chance = np.array([0.5, 0.25, 0.125, 0.125])
    assert np.bincount(spanned._spaced(chance, 64)).tolist() == [32, 16, 8, 8]
