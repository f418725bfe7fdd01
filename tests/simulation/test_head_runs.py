"""Runs of softmax and logistic heads: the same as torch's on the same batches, and twins that follow the quadratic."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.simulation.batches import Draws, generators, seed_sequence
from fluctua.simulation.head_losses import HeadLosses
from helpers.enumeration import list_batches

GAMMA = 0.02


def small(classes=3, samples=40, features=4, seed=0, **given):
    rng = np.random.default_rng(seed)
    labels = np.arange(samples) % classes
    inputs = rng.standard_normal((samples, features)) + 0.7 * labels[:, None] * (np.arange(features) % 2)
    inputs[:, 0] = 1.0  # a bias
    return (fl.Logistic if classes == 2 else fl.Softmax)(inputs, labels, **given)


def batches_of(problem, sgd, steps, replicas, seed):
    """The batches of each step, (R, b)."""
    draws = Draws(generators(seed_sequence(seed), replicas), problem.samples, sgd)
    return [step for run in draws.batches(steps) for step in run]


RECIPES = [
    fl.SGD(lr=0.4, batch_size=3, weight_decay=GAMMA),
    fl.SGD(lr=0.4, batch_size=3, weight_decay=GAMMA, sampling="without_replacement"),
    fl.SGD(lr=0.3, batch_size=6, weight_decay=GAMMA, sampling="shuffle", momentum=0.8, nesterov=True),
    fl.SGD(lr=0.3, batch_size=3, weight_decay=GAMMA, momentum=0.9, dampening=0.5),
    fl.SGD(lr=0.3, batch_size=3, weight_decay=GAMMA, schedule=fl.schedules.CosineAnnealingLR(30)),
]


@pytest.mark.torch
@pytest.mark.any_seed
@pytest.mark.parametrize("sgd", RECIPES, ids=lambda sgd: sgd.words)
@pytest.mark.parametrize("start", ["optimum", "zero"])
def test_runs_are_those_of_torch_on_the_same_batches(sgd, start):
    torch = pytest.importorskip("torch")
    problem, steps = small(), 30
    run = fl.simulate(problem, sgd, steps=steps, replicas=3, rng=5, start=start, records=4, dtype=np.float64)
    optimum = problem.minimum(GAMMA)
    x, y = torch.tensor(problem.inputs), torch.tensor(problem.targets)

    def whole(w):
        return float(torch.nn.functional.cross_entropy(x @ w.T, y) + GAMMA / 2 * (w**2).sum()) - optimum.loss

    for replica in range(3):
        w = torch.nn.Parameter(torch.tensor(optimum.weights if start == "optimum" else np.zeros((3, 4))))
        options = {"momentum": getattr(sgd, "momentum", 0.0), "dampening": sgd.dampening, "nesterov": sgd.nesterov}
        optimizer = torch.optim.SGD([w], lr=sgd.lr, weight_decay=GAMMA, **options)
        losses = [whole(w.detach())]
        for step, batch in enumerate(batches_of(problem, sgd, steps, 3, 5)):
            optimizer.param_groups[0]["lr"] = float(sgd.rates(step))
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(x[batch[replica]] @ w.T, y[batch[replica]]).backward()
            optimizer.step()
            losses.append(whole(w.detach()))
        assert run.replica_losses[replica] == pytest.approx(np.array(losses)[run.watched], rel=1e-9, abs=1e-13)


@pytest.mark.any_seed
@pytest.mark.parametrize("curved", [True, False], ids=["head", "twin"])
@pytest.mark.parametrize(
    "problem",
    [
        small(),
        small(2),
        small(label_smoothing=0.2),
        small(class_weight=[1.0, 2.0, 0.5]),
        small(2, class_weight={0: 3.0, 1: 1.0}),
    ],
    ids=["softmax", "logistic", "smoothed", "weighted", "weighted logistic"],
)
def test_a_run_and_its_twin_are_what_they_say_step_by_step(problem, curved):
    sgd, steps = fl.SGD(lr=0.5, batch_size=4, weight_decay=GAMMA), 25
    run = fl.simulate(problem, sgd, steps=steps, replicas=2, rng=3, records=5, control="quadratic")
    found, minimum = run if curved else run.twin, problem.minimum(GAMMA)
    x, y, pair = problem.inputs, problem.targets, isinstance(problem, fl.Logistic)
    factors = np.ones(len(x)) if problem.factors is None else problem.factors

    def logits(w, rows=slice(None)):
        z = x[rows] @ w.T
        return np.hstack([np.zeros_like(z), z]) if pair else z

    best = minimum.weights
    h = np.einsum("n,nab,ni,nj->aibj", factors, _spread(softmax(logits(best), axis=1)), x, x) / len(x)
    h = h[1:, :, 1:] if pair else h
    for replica in range(2):
        v, losses = np.zeros_like(best), [0.0]
        for batch in batches_of(problem, sgd, steps, 2, 3):
            i = batch[replica]
            p = softmax(logits(best, i), axis=1)
            moved = np.hstack([np.zeros((len(i), 1)), x[i] @ v.T]) if pair else x[i] @ v.T
            error = softmax(logits(best + v, i), axis=1) if curved else p + np.einsum("nab,nb->na", _spread(p), moved)
            error = ((error - y[i]) * factors[i, None])[:, 1 if pair else 0 :]
            v = v - sgd.lr * (error.T @ x[i] / len(i) + GAMMA * (best + v))
            if curved:
                each = -(log_softmax(logits(best + v), axis=1) * y).sum(axis=1) * factors
                losses.append(each.mean() + GAMMA / 2 * np.sum((best + v) ** 2) - minimum.loss)
            else:
                losses.append(0.5 * np.einsum("ai,aibj,bj", v, h, v) + GAMMA / 2 * np.sum(v**2))
        assert found.replica_losses[replica] == pytest.approx(np.array(losses)[run.watched], rel=1e-9, abs=1e-12)


def _spread(p):
    return np.einsum("na,ab->nab", p, np.eye(p.shape[1])) - p[:, :, None] * p[:, None, :]


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_the_law_of_the_twin_is_that_of_all_batches(sampling, momentum):
    problem = small(3, samples=6, features=2)
    sgd = fl.SGD(lr=0.3, batch_size=2, weight_decay=0.1, sampling=sampling, momentum=momentum)
    minimum, steps = problem.minimum(0.1), [1, 2, 3, 7, 12]
    p, r, x = minimum.probabilities, minimum.residuals, problem.inputs
    size = minimum.weights.size
    moment = np.zeros((2 * size + 1,) * 2)  # of (V, buffer, 1)
    moment[-1, -1] = 1.0
    maps = []
    for batch in list_batches(6, 2, sampling):
        h = np.mean([np.kron(_spread(p[[i]])[0], np.outer(x[i], x[i])) for i in batch], axis=0) + 0.1 * np.eye(size)
        g = np.mean([np.outer(r[i], x[i]) for i in batch], axis=0).ravel() + 0.1 * minimum.weights.ravel()
        buffer = np.hstack([h, momentum * np.eye(size), g[:, None]])
        weights = np.hstack([np.eye(size), np.zeros((size, size + 1))]) - 0.3 * buffer
        maps.append(np.vstack([weights, buffer, np.eye(2 * size + 1)[-1:]]))
    hessian = np.einsum("nab,ni,nj->aibj", _spread(p), x, x).reshape(size, size) / 6 + 0.1 * np.eye(size)
    law = fl.predict(problem, sgd, theory="multiplicative", check_stability=False)
    for step in range(1, 13):
        moment = np.mean([one @ moment @ one.T for one in maps], axis=0)
        if step in steps:
            found = law.after(step, rtol=1e-9)
            assert found.covariance == pytest.approx(moment[:size, :size], rel=1e-12, abs=1e-13)
            assert found.excess_loss == pytest.approx(0.5 * np.vdot(hessian, moment[:size, :size]), rel=1e-12)


def test_the_excess_loss_is_that_of_all_samples():
    problem = small(3, class_weight=[1.0, 2.0, 0.5])
    minimum = problem.minimum(GAMMA)
    v = 0.5 * np.random.default_rng(1).standard_normal((4, 3, 4))
    z = np.einsum("nd,rcd->rnc", problem.inputs, minimum.weights + v)
    losses = -(log_softmax(z, axis=-1) * problem.targets).sum(axis=-1) @ problem.factors / problem.samples
    losses += GAMMA / 2 * np.sum((minimum.weights + v) ** 2, axis=(1, 2))
    measures = HeadLosses(minimum, np.dtype(float))
    assert measures.excess(v) == pytest.approx(losses - minimum.loss, rel=1e-9)
    tiny = 1e-5 * v
    assert measures.excess(tiny) == pytest.approx(measures.quadratic(tiny), rel=1e-3)


@pytest.mark.any_seed
def test_full_batches_find_the_optimum_of_scikit_learn():
    problem = small(3)
    sgd = fl.SGD(lr=1.0, batch_size=40, weight_decay=GAMMA, sampling="without_replacement")
    run = fl.simulate(problem, sgd, steps=2000, replicas=2, rng=1, start="zero", records=1)
    assert np.abs(run.replica_losses[:, -1]).max() < 1e-12
    model = LogisticRegression(C=1 / (GAMMA * 40), fit_intercept=False, tol=1e-10, max_iter=10_000)
    model.fit(problem.inputs, problem.targets.argmax(axis=1))
    assert problem.minimum(GAMMA).weights == pytest.approx(model.coef_, abs=1e-5)


@pytest.fixture(scope="module")
def digits():
    data = fl.load("digits")
    return fl.Softmax(data.inputs, data.labels)


@pytest.fixture(scope="module")
def controlled(digits):
    sgd = fl.SGD(lr=0.3, batch_size=8, weight_decay=1e-2)
    return fl.simulate(digits, sgd, steps=800, replicas=24, rng=2, records=8, control="quadratic")


@pytest.mark.statistical(alpha=1e-6)
def test_the_twin_cuts_the_error_bar_and_follows_its_law(digits, controlled):
    law = fl.predict(digits, controlled.run.recipe, theory="multiplicative")
    law = law.after(controlled.recorded.tolist(), rtol=1e-3, curve=True)
    calm = controlled.controlled(law.curve[controlled.watched], law.mode_variances)
    assert controlled.excess_loss_error > 4 * calm.excess_loss_error  # 8 to 12: 4 is beyond 6 sigma of two spreads
    twin = controlled.twin
    assert abs(twin.excess_loss - law.excess_loss) < 8 * twin.excess_loss_error  # t of 23: 5e-8
    assert abs(calm.excess_loss - law.excess_loss * 1.02) < 8 * calm.excess_loss_error  # u is 2.6 % when settled


@pytest.mark.any_seed
def test_a_twin_changes_nothing_about_the_run(digits, controlled):
    sgd = controlled.run.recipe
    alone = fl.simulate(digits, sgd, steps=800, replicas=24, rng=2, records=8, threads=1)
    assert np.array_equal(alone.replica_losses, controlled.replica_losses)
    assert np.array_equal(alone.replica_variances, controlled.replica_variances)
    assert alone.twin is None


@pytest.mark.any_seed
@pytest.mark.parametrize("control", [None, "quadratic"])
def test_an_interrupted_run_goes_on_to_the_same_numbers(tmp_path, control):
    problem, sgd, path = small(), fl.SGD(lr=0.4, batch_size=3, weight_decay=GAMMA), tmp_path / "run"
    asked = {"steps": 3000, "replicas": 20, "rng": 4, "threads": 1, "control": control, "records": 4}

    def pressed(_fraction):
        if path.exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fl.simulate(problem, sgd, **asked, checkpoint=path, progress=pressed)
    whole = fl.simulate(problem, sgd, **asked)
    assert fl.simulate(problem, sgd, **asked, checkpoint=path) == whole
    assert not path.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dynamics": "langevin"}, "dynamics='sgd'"),
        ({"control": "cubic"}, "control"),
        ({"start": np.zeros((2, 2))}, "shape"),
        ({"start": "middle"}, "start"),
        ({"dtype": "float16"}, "float32 or float64"),
        ({"records": 60}, "records"),
    ],
)
def test_what_no_run_can_do_is_refused(change, words):
    with pytest.raises(InvalidInput, match=words):
        fl.simulate(small(), fl.SGD(lr=0.4, batch_size=3, weight_decay=GAMMA), **{"steps": 50, "replicas": 2, **change})


def test_least_squares_need_no_twin():
    problem = fl.LeastSquares(np.eye(4), np.arange(4.0))
    with pytest.raises(InvalidInput, match="their own quadratic"):
        fl.simulate(problem, fl.SGD(lr=0.1, batch_size=2), steps=5, replicas=2, control="quadratic")


@pytest.mark.any_seed
def test_runs_without_twins_cannot_be_controlled():
    run = fl.simulate(small(), fl.SGD(lr=0.1, batch_size=2, weight_decay=GAMMA), steps=5, replicas=2)
    with pytest.raises(InvalidInput, match="control='quadratic'"):
        run.controlled(np.zeros(6), np.zeros(8))
