"""A recipe as a loop in torch: the loop takes the recipe's steps, on the recipe's batches, at the recipe's rates."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, UnknownName
from fluctua.recipe.mse_loss import for_mse_loss
from fluctua.recipe.torch_loop.layout import WIDTH, assigned, number
from helpers.loops import Watched, by_hand
from helpers.thinning import thinned

S = fl.schedules
RNG = np.random.default_rng(5)
SAMPLES, SIZE, STEPS = 45, 7, 40  # epochs of 7 steps, of which the last has 3 samples; 5 epochs and 5 steps
X = RNG.normal(size=(SAMPLES, 4)) * [2.0, 1.0, 0.5, 0.2]
LABELS = RNG.choice([3, 8, 21], SAMPLES)
WEIGHTS = RNG.gamma(2.0, size=SAMPLES)
ONE_HOT = (LABELS[:, None] == np.unique(LABELS)).astype(float)
SAMPLINGS = {
    "with replacement": {},
    "without": {"sampling": "without_replacement"},
    "shuffle": {"sampling": "shuffle"},
    "dropped": {"sampling": "shuffle", "drop_last": True},
    "one order": {"sampling": "single_shuffle"},
    "in order": {"sampling": "sequential", "drop_last": True},
    "biased": {"sampling": fl.WeightedSampling(WEIGHTS, unbiased=False)},
    "unbiased": {"sampling": fl.WeightedSampling(WEIGHTS)},
}
SCHEDULES = {
    "constant": None,
    "cosine": S.CosineAnnealingLR(STEPS),
    "cosine with a floor": S.CosineAnnealingLR(STEPS, 0.01),
    "linear": S.LinearLR(1.0, 0.0, STEPS),
    "beyond torch's linear": S.LinearLR(0.0, 1.5, 10),
    "inverse": S.InverseTimeLR(STEPS / 10),
    "exponential": S.ExponentialLR(0.9),
    "step": S.StepLR(14),
    "milestones": S.MultiStepLR([10, 30], 0.3),
    "polynomial": S.PolynomialLR(STEPS, 2.0),
    "restarts": S.CosineAnnealingWarmRestarts(7, 2, 0.001),
    "a while": S.ConstantLR(0.25, 9),
    "beyond torch's constant": S.ConstantLR(1.25, 9),
    "one cycle": S.OneCycleLR(max_lr=0.07, total_steps=STEPS, cycle_momentum=False),
    "one cycle of lr": S.OneCycleLR(total_steps=STEPS, cycle_momentum=False, three_phase=True),
    "one cycle that lands nowhere": S.OneCycleLR(total_steps=STEPS, cycle_momentum=False, pct_start=1.0),
    "warm-up": S.SequentialLR([S.LinearLR(0.1, 1.0, 5), S.CosineAnnealingLR(35, 0.002)], [5]),
    "a sequence that torch has not": S.SequentialLR([S.PerEpoch(S.ExponentialLR(0.5), 3), S.InverseTimeLR(4)], [9]),
    "product": S.ChainedScheduler([S.LinearLR(0.1, 1.0, 10), S.ExponentialLR(0.95)]),
    "each epoch": S.PerEpoch(S.ExponentialLR(0.7), 7),
    "each epoch, by hand": S.PerEpoch([1.0, 0.5, 0.75, 0.1, 0.2, 0.3], 7),
    "array": S.ArrayLR(np.linspace(1.0, 0.013, STEPS)),
}
STEPPERS = {
    "plain": {},
    "momentum": {"momentum": 0.8},
    "dampening": {"momentum": 0.8, "dampening": 0.3},
    "nesterov": {"momentum": 0.8, "nesterov": True},
    "decay": {"weight_decay": 0.05},
    "both": {"momentum": 0.5, "weight_decay": 0.05},
    "qhm": {"momentum": 0.8, "nu": 0.6},
}
AVERAGES = {
    "weights": None,
    "EMA": fl.EMA(0.7),
    "EMA of epochs": fl.EMA(0.7, every="epoch"),
    "mean": fl.RunningAverage(),
    "mean of the tail": fl.RunningAverage(17, every=3),
}


def recipe(lr, size, **options):
    return (fl.QHM if "nu" in options else fl.SGD)(lr, size, **options)


def posed(**options):
    return fl.LeastSquares(X, LABELS, **options)


def factors_of(sgd, sample_weight=None):
    """What the loss of each sample is multiplied by in a batch."""
    own = np.ones(SAMPLES) if sample_weight is None else sample_weight / np.mean(sample_weight)
    drawn = sgd.sampling
    return own / (WEIGHTS / WEIGHTS.mean()) if isinstance(drawn, fl.WeightedSampling) and drawn.unbiased else own


def check(monkeypatch, sgd, average=None, loss="half", sample_weight=None):
    """A loop's rates, its weights on its own batches, and its last loss; return the loop."""
    torch = pytest.importorskip("torch")
    problem = posed(sample_weight=sample_weight)
    code = fl.torch_code(problem, sgd, STEPS, average=average, loss=loss, dtype="float64")
    given = {"inputs": X, "targets": LABELS, "weights": WEIGHTS, "sample_weight": sample_weight}
    found = Watched(torch, monkeypatch, code, **given)
    told = for_mse_loss(sgd, 3) if loss == "mse" else sgd
    expected = told.rates(np.arange(STEPS))
    assert np.abs(np.array(found.rates) - expected).max() <= 1e-14 * expected.max()
    counted = None if average is None else average.in_steps(sgd, SAMPLES)
    weights = by_hand(X, ONE_HOT, sgd, found.batches, factors_of(sgd, sample_weight), counted)
    np.testing.assert_allclose(found.weights, weights, rtol=1e-11, atol=1e-13)
    assert found.loss == pytest.approx(
        objective(weights, sgd, sample_weight) * (2 / 3 if loss == "mse" else 1), rel=1e-12
    )
    assert isinstance(found.names["model"], torch.nn.Linear)
    return found


def objective(weights, sgd, sample_weight=None):
    """The loss that the batches descend, of all samples."""
    own = factors_of(sgd, sample_weight)
    if isinstance(sgd.sampling, fl.WeightedSampling):
        own = own * WEIGHTS / WEIGHTS.mean()
    errors = ((X @ weights.T - ONE_HOT) ** 2).sum(axis=1)
    return 0.5 * np.mean(own * errors) + 0.5 * sgd.weight_decay * np.sum(weights**2)


def check_batches(batches, sampling):
    """Sizes, and what is distinct among what."""
    sizes, name = [len(batch) for batch in batches], sampling.get("sampling", "with_replacement")
    assert len(batches) == STEPS
    if name not in ("shuffle", "single_shuffle", "sequential"):
        assert sizes == [SIZE] * STEPS
        distinct = all(len(set(batch)) == SIZE for batch in batches)
        assert distinct == (name == "without_replacement")
        return
    epoch = fl.SGD(0.1, SIZE, **sampling).batch_sizes(SAMPLES).tolist()
    assert sizes == [epoch[step % len(epoch)] for step in range(STEPS)]
    orders = [list(chain(*batches[i : i + len(epoch)])) for i in range(0, STEPS - len(epoch) + 1, len(epoch))]
    assert all(len(set(order)) == len(order) for order in orders)
    assert (len(set(map(tuple, orders))) == 1) == (name != "shuffle")
    assert (orders[0] == list(range(len(orders[0])))) == (name == "sequential")


@pytest.mark.torch
@thinned(5, ("sampling", SAMPLINGS), ("stepper", STEPPERS), ("average", AVERAGES))
def test_a_loop_takes_the_recipes_steps_on_the_recipes_batches(monkeypatch, sampling, stepper, average):
    sgd = recipe(0.05, SIZE, **SAMPLINGS[sampling], **STEPPERS[stepper], schedule=S.CosineAnnealingLR(STEPS, 0.01))
    for loss in ("half", "mse"):
        check_batches(check(monkeypatch, sgd, AVERAGES[average], loss).batches, SAMPLINGS[sampling])


@pytest.mark.torch
@thinned(3, ("schedule", SCHEDULES), ("stepper", ["plain", "nesterov", "qhm"]), ("loss", ["half", "mse"]))
def test_a_loop_has_the_rates_of_the_schedule(monkeypatch, schedule, stepper, loss):
    sgd = recipe(0.05, SIZE, sampling="shuffle", **STEPPERS[stepper], schedule=SCHEDULES[schedule])
    check(monkeypatch, sgd, loss=loss)


@pytest.mark.torch
@pytest.mark.parametrize("sampling", ["with replacement", "shuffle", "biased", "unbiased"])
@pytest.mark.parametrize("loss", ["half", "mse"])
def test_weights_of_samples_multiply_their_losses(monkeypatch, sampling, loss):
    sgd = fl.SGD(0.03, SIZE, 0.05, momentum=0.5, **SAMPLINGS[sampling])
    check(monkeypatch, sgd, loss=loss, sample_weight=RNG.gamma(1.0, size=SAMPLES) * 3)


@pytest.mark.torch
def test_a_sample_that_is_never_drawn_and_weighs_nothing_is_no_trouble(monkeypatch):
    weights = np.where(np.arange(SAMPLES) % 5 == 0, 0.0, WEIGHTS)
    code = fl.torch_code(posed(sample_weight=weights), fl.SGD(0.03, SIZE, sampling=fl.WeightedSampling(weights)), STEPS)
    torch = pytest.importorskip("torch")
    found = Watched(torch, monkeypatch, code, inputs=X, targets=LABELS, weights=weights, sample_weight=weights)
    assert np.isfinite(found.weights).all()
    assert np.isfinite(found.loss)


@pytest.mark.torch
@thinned(9, ("schedule", SCHEDULES), ("stepper", STEPPERS), ("average", AVERAGES))
def test_full_batches_end_at_the_predicted_mean(monkeypatch, schedule, stepper, average):
    """Against the theory: without noise W is E W."""
    torch, problem = pytest.importorskip("torch"), posed()
    sgd = recipe(0.05, SAMPLES, sampling="without_replacement", **STEPPERS[stepper], schedule=SCHEDULES[schedule])
    code = fl.torch_code(problem, sgd, STEPS, average=AVERAGES[average], dtype="float64")
    found = Watched(torch, monkeypatch, code, inputs=X, targets=LABELS)
    after = fl.predict(problem, sgd, average=AVERAGES[average], check_stability=False).after(STEPS, start="zero")
    np.testing.assert_allclose(after.optimum + after.mean, found.weights, rtol=1e-10, atol=1e-11)


TARGETS = {
    "text": (np.array(["zebra", "ape", "bee"])[LABELS % 3], {}),
    "bytes": (np.array([b"zebra", b"ape", b"bee"])[LABELS % 3], {}),
    "objects": (np.array(["zebra", "ape", "bee"], dtype=object)[LABELS % 3], {}),
    "classes with gaps, one a row": (np.array([700, 5, 12], np.int16)[LABELS % 3][:, None], {}),
    "bool": (LABELS == 3, {}),
    "float labels": ((LABELS % 3).astype(float), {"targets_are": "labels"}),
    "values": (X[:, 0] + 0.1 * X[:, 1] ** 2, {}),
    "whole values": (np.arange(SAMPLES) % 4, {"targets_are": "values"}),
    "values, one a row": (X[:, :1] + 1.0, {}),
    "three outputs": (X[:, :3] ** 2, {}),
    "one-hot": (ONE_HOT, {}),
    "big-endian": (X[:, 0].astype(">f8"), {}),
}
INPUTS = {
    "float64": X,
    "float32": X.astype(np.float32),
    "float16": X.astype(np.float16),
    "integers": np.round(4 * X).astype(np.int8),
    "unsigned": np.round(4 * X - 4 * X.min()).astype(np.uint16),
    "flags": X > 0,
    "big-endian": X.astype(">f4"),
    "in columns": np.asfortranarray(X),
}


@pytest.mark.torch
@pytest.mark.parametrize(
    ("inputs", "targets"), [*(("float64", name) for name in TARGETS), *((name, "text") for name in INPUTS)]
)
def test_inputs_and_targets_are_read_as_the_problem_reads_them(monkeypatch, inputs, targets):
    torch = pytest.importorskip("torch")
    x, (y, options) = INPUTS[inputs], TARGETS[targets]
    problem = fl.LeastSquares(x, y, **options)
    rate = float(f"{0.2 / problem.curvatures[0]:.3g}")
    sgd = fl.SGD(rate, SAMPLES, sampling="without_replacement")
    after = fl.predict(problem, sgd).after(STEPS, start="zero")
    for precision, accuracy in (("float32", 1e-4), ("float64", 1e-10)):
        code = fl.torch_code(problem, sgd, STEPS, prediction=after, dtype=precision)
        found = Watched(torch, monkeypatch, code, inputs=x, targets=y)
        assert found.weights.dtype == precision
        np.testing.assert_allclose(found.weights, after.optimum + after.mean, rtol=accuracy, atol=accuracy)
        assert found.loss == pytest.approx(after.optimum_loss + after.excess_loss, rel=accuracy)


def written():
    """Loops of every sampling, step, average, schedule and loss."""
    for number_of, (name, options) in enumerate(SAMPLINGS.items()):
        stepper, average = list(STEPPERS.values())[number_of % 7], list(AVERAGES.values())[number_of % 5]
        sgd = recipe(0.05, SIZE, **options, **stepper)
        for loss in ("half", "mse"):
            yield f"{name}, {loss}", fl.torch_code(posed(), sgd, STEPS, average=average, loss=loss)
            weighted = posed(sample_weight=WEIGHTS)
            yield f"weighted, {name}, {loss}", fl.torch_code(weighted, sgd, STEPS, average=average, loss=loss)
    for name, schedule in SCHEDULES.items():
        yield name, fl.torch_code(posed(), fl.SGD(0.05, SIZE, schedule=schedule), STEPS)


def test_the_text_is_pep_8_and_uses_what_it_imports(tmp_path):
    for place, (name, code) in enumerate(written()):
        compile(code, name, "exec")
        assert max(map(len, code.splitlines())) <= WIDTH, name
        assert not any(line.endswith(" ") for line in code.splitlines()), name
        assert len(code.splitlines()) < 80, name
        (tmp_path / f"loop_{place}.py").write_text(code)
    names = 'builtins=["inputs", "targets", "weights", "sample_weight", "start"]'
    rules = ["--select", "E,W,F,I,N,B,UP,SIM", "--line-length", "79", "--config", names, "--isolated"]
    found = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *rules, tmp_path], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout


def test_long_statements_are_opened_at_their_brackets():
    assert assigned("a = f(1)") == ["a = f(1)"]
    long = assigned(f"a = f('{'x, ' * 10}', (1, 2), b={'9' * 40})")
    assert long == ["a = f(", f"    '{'x, ' * 10}',", "    (1, 2),", f"    b={'9' * 40},", ")"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.067 * 5, "0.335"), (0.1, "0.1"), (1 / 3, "0.3333333333333333"), (2.0, "2")]
)
def test_numbers_are_as_short_as_they_can_be(value, text):
    assert number(value) == text
    assert float(number(value)) == pytest.approx(value, rel=5e-16)


def test_torch_itself_is_not_imported():
    code = (
        "import sys, fluctua as fl; "
        "p = fl.LeastSquares([[1.0], [2.0], [4.0]], [1.0, 2.0, 3.0]); "
        "fl.torch_code(p, fl.SGD(0.01, 2), 5); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


SGD = fl.SGD(0.05, SIZE)
REFUSED = {
    "another loss": (lambda: fl.torch_code(posed(), SGD, 5, loss="mean"), UnknownName, "loss 'mean'.*half, mse"),
    "another dtype": (lambda: fl.torch_code(posed(), SGD, 5, dtype="float16"), UnknownName, "float32"),
    "no steps": (lambda: fl.torch_code(posed(), SGD, 0), InvalidInput, "steps must be at least 1"),
    "no recipe": (lambda: fl.torch_code(posed(), 0.1, 5), InvalidInput, "sgd must be a recipe"),
    "a schedule that ends": (
        lambda: fl.torch_code(posed(), replace(SGD, schedule=[1.0, 0.5]), 5),
        InvalidInput,
        "2 rates and the run 5 steps",
    ),
    "an average that never begins": (
        lambda: fl.torch_code(posed(), SGD, 5, average=fl.RunningAverage(9)),
        InvalidInput,
        "nothing would be averaged",
    ),
    "batches larger than the data": (
        lambda: fl.torch_code(posed(), fl.SGD(0.1, 99, sampling="shuffle"), 5),
        InvalidInput,
        "larger than the 45 samples",
    ),
    "too few weights": (
        lambda: fl.torch_code(posed(), fl.SGD(0.1, 5, sampling=fl.WeightedSampling([1.0, 2.0])), 5),
        InvalidInput,
        "WeightedSampling",
    ),
    "another prediction": (
        lambda: fl.torch_code(posed(), SGD, 5, prediction=fl.predict(posed(), SGD).after(6, start="zero")),
        InvalidInput,
        r"after 6 steps.*after\(5",
    ),
    "a stationary prediction": (
        lambda: fl.torch_code(posed(), SGD, 5, prediction=fl.predict(posed(), SGD)),
        InvalidInput,
        "the loop of lr 0.05",
    ),
    "from the optimum": (
        lambda: fl.torch_code(posed(), SGD, 5, prediction=fl.predict(posed(), SGD).after(5)),
        InvalidInput,
        "does not start from weights of zero",
    ),
    "a candidate of one's own": (
        lambda: fl.Candidate(SGD, "constant", 0.1, exact=True).torch_code(),
        InvalidInput,
        r"no plan has made it: use fluctua\.torch_code",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_loop_is_refused(name):
    call, kind, words = REFUSED[name]
    with pytest.raises(kind, match=words):
        call()
