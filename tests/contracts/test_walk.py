"""From a file of features to the predicted loss: plan, paste, train; what is pasted runs in a fresh interpreter."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fluctua as fl

pytestmark = pytest.mark.torch
pytest.importorskip("torch")
RUNS = 16
FAR = 5.5  # standard errors of a mean of 16 losses, whose spread is known to some 10 %: 4.9 at least, P < 1e-6
EXPANSION = 0.02  # of the excess loss: what the law of shuffled epochs may leave out (docs/shuffle.md)
S = fl.schedules


def embeddings(samples, features, classes=10):
    """Features as a network leaves them: float16, of falling scales, with a mean for each class."""
    rng = np.random.default_rng(1)
    labels = rng.integers(classes, size=samples)
    means = 0.75 * rng.normal(size=(classes, features))
    scales = np.arange(1, features + 1) ** -0.5
    inputs = ((rng.normal(size=(samples, features)) + means[labels]) * scales) @ np.linalg.qr(
        rng.normal(size=(features, features))
    )[0]
    return (inputs * np.sqrt(10 / np.mean((inputs**2).sum(axis=1)))).astype(np.float16), labels


def called(directory, *command):
    """What a command prints, in an interpreter of its own."""
    given = [sys.executable, *map(str, command)]
    ended = subprocess.run(given, cwd=directory, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def pasted(code, directory, npz):
    """What a script prints that loads the arrays and has the code pasted below: the loss, the predicted one, +-."""
    script = directory / "train.py"
    head = f"import numpy as np\n\nwith np.load({str(npz)!r}) as data:\n    inputs, targets = data['X'], data['y']\n\n"
    script.write_text(head + code)
    return told(called(directory, script))


def told(printed):
    words = re.fullmatch(r"loss (\S+), predicted (?:about )?(\S+) \+- (\S+?)(?: between runs)?\n", printed)
    return tuple(map(float, words.groups()))


@pytest.mark.statistical(alpha=1e-4)
@pytest.mark.parametrize(
    ("samples", "features", "budget"), [(600, 24, 120), pytest.param(2000, 64, 300, marks=pytest.mark.slow)]
)
def test_the_walk_from_features_to_the_predicted_loss(tmp_path, samples, features, budget):
    inputs, labels = embeddings(samples, features)
    np.savez(tmp_path / "features.npz", X=inputs, y=labels)
    asked = ["--sampling", "shuffle", "--schedule", "cosine", "--momentum", 0.9, "--budget", budget, "--torch"]
    printed = called(tmp_path, "-m", "fluctua", "plan", "features.npz", *asked)
    report, code = printed[: printed.index("import ")], printed[printed.index("import ") :]
    loss, predicted, spread = pasted(code, tmp_path, "features.npz")
    assert f"{predicted:.6g}" in report
    assert abs(loss - predicted) < 6 * spread
    assert spread < 0.01 * predicted  # and that says something


def test_a_loop_refuses_the_whole_file_where_some_of_its_samples_were_chosen(tmp_path):
    inputs, labels = embeddings(300, 6, classes=3)
    np.savez(tmp_path / "features.npz", X=inputs, y=labels)
    asked = ["--lr", 0.01, "--steps", 30, "--start", "zero", "--classes", "0,2", "--center", "--bias", "--torch"]
    printed = called(tmp_path, "-m", "fluctua", "predict", "features.npz", *asked)
    code, kept = printed[printed.index("import ") :], np.isin(labels, [0, 2])
    with pytest.raises(
        ValueError, match=r"other data than predicted: .*300, 7.*300, 3.*, not \(\d+, 7\), .*: give as inputs"
    ):
        exec(code, {"inputs": inputs, "targets": labels})
    exec(code, {"inputs": inputs[kept], "targets": labels[kept]})


PAGE = Path(__file__).parents[2] / "docs" / "howto" / "learning_rate.md"


@pytest.mark.statistical(alpha=1e-4)
def test_the_loop_on_the_page_is_the_one_that_is_written_and_ends_as_it_says(tmp_path):
    page = PAGE.read_text(encoding="utf-8")
    command = re.search(r"`fluctua (plan digits .* --torch)`", page)[1]
    (loop,) = re.findall(r"```python\n(import numpy.*?)```", page, re.DOTALL)
    assert called(tmp_path, "-m", "fluctua", *command.split()).endswith(f"\n\n{loop}")
    digits = fl.load("digits")
    np.savez(tmp_path / "digits.npz", X=digits.inputs, y=digits.labels)
    loss, predicted, spread = pasted(loop, tmp_path, "digits.npz")
    assert abs(loss - predicted) < 6 * spread


NUMBERS = np.random.default_rng(2)
INPUTS = NUMBERS.normal(size=(150, 8)) * np.linspace(2.0, 0.3, 8)
VALUES = INPUTS @ NUMBERS.normal(size=(8, 3)) + NUMBERS.normal(size=(150, 3))
WEIGHTS = NUMBERS.gamma(2.0, size=150)
STEPS = 50
CASES = {
    "with replacement": (fl.SGD(0.01, 16, 0.4), None),
    "without, momentum, a line": (
        fl.SGD(0.02, 8, sampling="without_replacement", momentum=0.8, schedule=S.LinearLR(1.0, 0.0, STEPS)),
        None,
    ),
    "shuffled, Nesterov, cosine, decay": (
        fl.SGD(0.02, 8, 0.05, "shuffle", momentum=0.8, nesterov=True, schedule=S.CosineAnnealingLR(STEPS)),
        None,
    ),
    "shuffled, an EMA": (fl.SGD(0.06, 8, sampling="shuffle", drop_last=True), fl.EMA(0.8)),
    "weights, a mean": (fl.SGD(0.04, 8, sampling=fl.WeightedSampling(WEIGHTS)), fl.RunningAverage(20)),
    "biased, one cycle": (
        fl.SGD(
            0.06,
            8,
            sampling=fl.WeightedSampling(WEIGHTS, unbiased=False),
            schedule=S.OneCycleLR(total_steps=STEPS, cycle_momentum=False),
        ),
        None,
    ),
    "QHM, epochs": (
        fl.QHM(0.05, 8, momentum=0.8, nu=0.6, sampling="shuffle", schedule=S.PerEpoch(S.ExponentialLR(0.8), 19)),
        None,
    ),
}
MUTANTS = {  # by theory 14 to 250 standard errors away
    "without the half": ("return 0.5 *", "return"),
    "a rate that is 30 % off": ("lr=0.01", "lr=0.013"),
    "no decay": ("weight_decay=0.4", "weight_decay=0.0"),
    "a mean over outputs too": (".sum(dim=1).mean()", ".mean()"),
    "fewer steps": ("16 * 50", "16 * 40"),
}
MANY = """
import contextlib, io, json, sys
import numpy as np
import torch

torch.set_num_threads(1)
given, loops = np.load(sys.argv[1]), json.load(open(sys.argv[2]))
losses = {}
for name, code in loops.items():
    losses[name] = []
    for seed in range(int(sys.argv[3])):
        names = dict(given)
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code.replace("manual_seed(0)", f"manual_seed({seed})"), names)
        losses[name].append(float(names["loss"]))
print(json.dumps(losses))
"""


def written(name, loss="half"):
    """A loop, the mean and the spread of its loss by `loss_spread`, and what the mean may be off by."""
    sgd, average = CASES[name]
    problem = fl.LeastSquares(INPUTS, VALUES)
    end = fl.predict(problem, sgd, average=average, check_stability=False).after(STEPS, start="zero")
    code = fl.torch_code(problem, sgd, STEPS, average=average, prediction=end, loss=loss)
    spread = fl.loss_spread(end)
    return code, end.optimum_loss + spread.mean, spread.std, EXPANSION * spread.mean * sgd.epochs


@pytest.fixture(scope="module")
def losses(tmp_path_factory):
    """Losses of 16 runs of each loop, and of each mutant of the first, all in one fresh interpreter."""
    place = tmp_path_factory.mktemp("loops")
    loops = {f"{name}, {loss}": written(name, loss)[0] for name in CASES for loss in ("half", "mse")}
    first = loops["with replacement, half"]
    for name, (right, wrong) in MUTANTS.items():
        assert right in first
        loops[name] = first.replace(right, wrong)
    (place / "loops.json").write_text(json.dumps(loops))
    (place / "many.py").write_text(MANY)
    np.savez(place / "given.npz", inputs=INPUTS, targets=VALUES, weights=WEIGHTS)
    return json.loads(called(place, "many.py", "given.npz", "loops.json", RUNS))


def off(losses, expected, spread, allowed=0.0):
    """By how many standard errors the mean of the losses is off, beyond what is allowed."""
    return max(abs(np.mean(losses) - expected) - allowed, 0.0) / (spread / np.sqrt(len(losses)))


@pytest.mark.statistical(alpha=1e-6)
@pytest.mark.parametrize("loss", ["half", "mse"])
@pytest.mark.parametrize("name", CASES)
def test_loops_end_at_the_predicted_loss(losses, name, loss):
    _, *expected = written(name)
    times = 2 / 3 if loss == "mse" else 1.0
    assert off(losses[f"{name}, {loss}"], *(times * each for each in expected)) < FAR


@pytest.mark.statistical(alpha=1e-6, miss=1e-4)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_loop_that_is_wrong_is_told_apart(losses, name):
    _, *expected = written("with replacement")
    assert off(losses[name], *expected) > FAR


@pytest.mark.parametrize("name", CASES)
def test_what_a_loop_prints_is_what_was_predicted(name):
    """And its spread, from the sum over outputs alone, is that of `loss_spread` to a third."""
    code, expected, spread, _ = written(name)
    predicted, said = map(float, re.search(r"predicted (\S+) \+- (\S+) between runs", code).groups())
    assert predicted == pytest.approx(expected, rel=1e-5)
    assert said == pytest.approx(spread, rel=0.35)
