"""A softmax probe: floor, crossover, plan and loop with cross-entropy, shuffled, and the loop run."""

from __future__ import annotations

import json
from importlib import import_module

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

import fluctua as fl
from fluctua.errors import FluctuaError, InvalidInput
from helpers.commands import check
from helpers.probes import FAR, loader, network, pasted, tensors

torch = pytest.importorskip("torch")
ft = import_module("fluctua.torch")

nn = torch.nn

pytestmark = pytest.mark.torch
HEAD = {"loss": "cross_entropy", "weight_decay": 0.02, "momenta": [0.0], "progress": False}


@pytest.fixture(scope="module")
def found():
    """A softmax probe on the flattened layer of a small convolutional network."""
    torch.manual_seed(1)
    return ft.probe(network(), loader(), layer="4", epochs=20, center=True, **HEAD)


@pytest.fixture(scope="module")
def alone(found):
    """The same, of independent batches."""
    options = {"batch_size": 32, "budget": found.steps, "center": True, "sampling": "without_replacement"}
    return ft.probe(found.inputs, found.targets, **options, **HEAD)


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-6)
def test_the_loop_ends_where_it_says(found, tmp_path):
    code = found.torch_code()
    for line in ("shuffle=True", "torch.nn.CrossEntropyLoss()", "weight_decay=0.02", "0.02 / 2 *"):
        assert line in code
    measured, predicted, spread = pasted(code, tmp_path, tensors(found))
    assert predicted == pytest.approx(found.expected_loss, rel=1e-5)
    assert abs(measured - predicted) < FAR * spread
    assert spread < 0.02 * predicted


RUNS = 200
"""Of each loop, whose mean is held against the estimate: off by u/4, by what path and noise share, by 10 % of noise."""


def mean_excess(found, runs):
    """Of real runs, all at once, above the optimum, and its standard error."""
    x, targets = np.asarray(found.problem.inputs, np.float64), np.eye(4)[found.problem.answers]
    epoch = -(-len(x) // found.sgd.batch_size)
    sgd, rng, weights = found.sgd, np.random.default_rng(5), np.zeros((runs, 4, found.problem.features))
    for step in range(found.steps):
        begin = step % epoch * sgd.batch_size
        if begin == 0:
            orders = rng.permuted(np.tile(np.arange(len(x)), (runs, 1)), axis=1)
        batch = orders[:, begin : begin + sgd.batch_size]
        chances = softmax(x[batch] @ weights.swapaxes(1, 2), axis=2)
        gradient = (chances - targets[batch]).swapaxes(1, 2) @ x[batch] / batch.shape[1]
        weights -= sgd.lr * (gradient + sgd.weight_decay * weights)
    logs = log_softmax(x @ weights.swapaxes(1, 2), axis=2)
    losses = -(logs * targets).sum(axis=2).mean(axis=1) + 0.5 * sgd.weight_decay * (weights**2).sum(axis=(1, 2))
    return losses.mean() - found.plan.optimum_loss, losses.std(ddof=1) / np.sqrt(runs)


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
def test_shuffled_runs_have_the_share_of_the_noise_that_is_told_and_not_the_whole(found):
    """The mutant is the theory of independent batches, without what an epoch takes back."""
    measured, error = mean_excess(found, RUNS)
    expected = found.expected_loss - found.plan.optimum_loss
    apart = fl.plan(found.problem, found.steps, batch_size=32, momenta=[0.0], weight_decay=0.02)
    whole = apart.best.loss - apart.optimum_loss
    assert abs(measured - expected) < 6.5 * error + 0.2 * expected
    assert abs(measured - whole) > 6.5 * error + 0.2 * whole


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
def test_a_small_last_batch_counts_by_its_own_size(found):
    """Two samples of 600 step alone; the mutant is the theory without them, of equal batches."""
    options = {"batch_size": 46, "center": True, **HEAD}
    small = ft.probe(found.inputs, found.targets, budget=20 * 14, **options)
    equal = ft.probe(found.inputs[:598], found.targets[:598], budget=20 * 13, **options)
    measured, error = mean_excess(small, RUNS)
    expected, whole = (each.expected_loss - each.plan.optimum_loss for each in (small, equal))
    assert abs(measured - expected) < 6.5 * error + 0.2 * expected
    assert abs(measured - whole) > 6.5 * error + 0.2 * whole
    assert small.floor > 1.5 * equal.floor


@pytest.mark.parametrize(("size", "more"), [(45, False), (89, True)])
def test_a_last_batch_that_overshoots_is_said(size, more):
    """A single sample, and some are long."""
    x, y = blobs()
    found = ft.probe(x * (1 + 4 * (torch.arange(90) % 10 == 0))[:, None], y, budget=100, batch_size=size, **HEAD)
    assert found.best.uncertain_spread == more
    for text in (found.words, found.torch_code()):
        assert (" or more" in text) == more


def test_its_numbers_are_those_of_the_verbs(found, alone):
    problem = fl.Softmax(found.problem.inputs, np.asarray(found.targets))
    plan = fl.plan(
        problem, found.steps, batch_size=32, momenta=[0.0], weight_decay=0.02, sampling="without_replacement"
    )
    assert found.sgd == fl.SGD(plan.best.sgd.lr, 32, weight_decay=0.02, sampling="shuffle")
    assert float(found.limit) == float(fl.max_stable_lr(problem, plan.best.sgd))
    assert found.plan.optimum_loss == problem.minimum(0.02).loss
    assert found.floor < fl.predict(problem, plan.best.sgd).excess_loss
    assert found.accuracy.optimum == problem.minimum(0.02).accuracy
    prediction = fl.predict(alone.problem, alone.sgd)
    rng, picture = np.random.default_rng(0), alone.problem.minimum(0.02).picture
    mean = prediction.mode_mean
    values, vectors = np.linalg.eigh(prediction.mode_covariance - np.multiply.outer(mean, mean))
    root = vectors * np.sqrt(np.clip(values, 0, None))
    right = []
    for _ in range(2000):
        v = mean + root @ rng.normal(size=len(root))
        weights = prediction.optimum + alone.problem.expanded(picture.out_of(v))
        right.append(np.mean((np.asarray(alone.problem.inputs) @ weights.T).argmax(1) == alone.problem.answers))
    assert alone.accuracy.expected == pytest.approx(np.mean(right), abs=6 * np.std(right) / np.sqrt(2000) + 1e-4)


def test_the_report_names_the_crossover(found):
    assert "is the crossover: above it the weights live outside the bowl, and nothing diverges" in found.words
    assert "nn.CrossEntropyLoss(): lr " in found.words
    assert "exact" not in found.words
    assert found.advice is None
    assert repr(found).startswith("Probe(cross_entropy of 600 samples")


def test_a_file_on_the_command_line_has_the_same_numbers(found, tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    torch.save(tensors(found), "features.pt")
    asked = ["--loss", "cross-entropy", "--weight-decay", 0.02, "--momentum", 0, "--center", "--epochs", 20]
    code, out, _ = run("probe", "features.pt", *asked, "--json")
    told, expected = json.loads(out), json.loads(found.to_json())
    assert code == 0
    for each in (told, expected):
        check(each, "probe")
        for name in ("data", "seconds", "notes"):
            del each[name]
    assert told == expected


def blobs(samples=90, apart=1.0):
    rng = np.random.default_rng(0)
    labels = np.arange(samples) % 3
    return torch.tensor(rng.normal(size=(samples, 2)) + apart * np.eye(3)[labels][:, :2]).float(), torch.tensor(labels)


def test_labels_of_minus_100_do_not_count():
    x, y = blobs()
    marked = torch.cat([y, torch.full((10,), -100)])
    whole = ft.probe(x, y, budget=20, batch_size=8, **HEAD)
    for kind in (torch.float32, torch.bfloat16):
        left = ft.probe(torch.cat([x, x[:10]]).to(kind), marked, budget=20, batch_size=8, **HEAD)
        assert left.samples == 90
        assert any("10 samples with the label -100" in note for note in left.streamed.notes)
        exec(left.torch_code(), {"inputs": left.inputs, "targets": left.targets})
    assert ft.probe(torch.cat([x, x[:10]]), marked, budget=20, batch_size=8, **HEAD).expected_loss == pytest.approx(
        whole.expected_loss, rel=1e-9
    )


def test_targets_that_are_rows_of_probabilities(tmp_path):
    """As nn.CrossEntropyLoss takes them; of batches of all samples there is no noise, and the loop ends as told."""
    x, y = blobs()
    rows = nn.functional.one_hot(y).float()
    given = {"labels": y, "one-hot": rows, "soft": 0.5 * rows + 0.5 / 3, "double": 0.5 * rows.double() + 0.5 / 3}
    found = {name: ft.probe(x, each, budget=20, batch_size=90, **HEAD) for name, each in given.items()}
    assert found["one-hot"].expected_loss == pytest.approx(found["labels"].expected_loss, rel=1e-12)
    for name in ("one-hot", "soft", "double"):
        assert "probabilities of 3 classes" in found[name].words
        assert found[name].accuracy is None
        measured, predicted, _ = pasted(found[name].torch_code(), tmp_path, {"X": x, "y": given[name]})
        assert measured == pytest.approx(predicted, rel=1e-4)
        with pytest.raises(ValueError, match="other data than predicted"):
            exec(found[name].torch_code(), {"inputs": x, "targets": y})
    assert found["soft"].expected_loss > 1.02 * found["labels"].expected_loss  # the loss of the labels is another


def test_whole_numbers_in_floats_are_labels():
    x, y = blobs()
    marked = torch.cat([y, torch.full((10,), -100)])
    more = torch.cat([x, x[:10]])
    for given in (y.float(), y.double()[:, None]):
        found = ft.probe(x, given, budget=20, batch_size=8, **HEAD)
        assert "labels, 3 outputs: 0, 1, 2" in found.words
        assert found.accuracy == ft.probe(x, y, budget=20, batch_size=8, **HEAD).accuracy
    exact, floats = (ft.probe(more, given, budget=20, batch_size=8, **HEAD) for given in (marked, marked.float()))
    assert floats.to_dict() | {"seconds": 0, "data": 0} == exact.to_dict() | {"seconds": 0, "data": 0}
    with pytest.raises(InvalidInput, match="of classes, and the targets of features are values"):
        ft.probe(x, y + 0.5, budget=20, batch_size=8, **HEAD)


def test_the_command_says_nothing_of_labels_that_a_softmax_probe_has_its_own_answer_to(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    x, y = blobs()
    asked = ["--weight-decay", 0.02, "--momentum", 0, "--budget", 20, "--batch-size", 8]
    told = {}
    for name, kind in (("whole", torch.int64), ("floats", torch.float32)):
        torch.save({"X": torch.cat([x, x[:10]]), "y": torch.cat([y, torch.full((10,), -100)]).to(kind)}, f"{name}.pt")
        for spelled in ("cross-entropy", "cross_entropy"):
            code, out, err = run("probe", f"{name}.pt", "--loss", spelled, *asked, "--held-out", f"{name}.pt", "--json")
            assert (code, err) == (0, "")
            found = json.loads(out)
            del found["data"]
            told[name, spelled] = found
    first, *others = told.values()
    assert all(other == first for other in others)
    assert first["held_out_accuracy"] == pytest.approx(first["expected_accuracy"])


def test_text_labels_and_held_out_data(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    x, y = blobs()
    np.savez("f.npz", X=x.numpy(), y=np.array(["ant", "bee", "cow"])[y])
    asked = ["--loss", "cross-entropy", "--weight-decay", 0.05, "--momentum", 0, "--budget", 20, "--seed", 1]
    code, out, _ = run("probe", "f.npz", *asked, "--test-size", 0.3, "--json")
    told = json.loads(out)
    check(told, "probe")
    assert code == 0
    assert told["held_out_accuracy"]["optimum"] > 0.4
    exec(told["torch_code"], {"inputs": x, "targets": np.array(["ant", "bee", "cow"])[y]})


def test_what_cannot_be_is_refused():
    x, y = blobs(apart=60.0)
    with pytest.raises(FluctuaError, match="weight_decay"):
        ft.probe(x, y, **{**HEAD, "weight_decay": 0.0}, budget=20, batch_size=8)
    x, y = blobs()
    with pytest.raises(InvalidInput, match="constant rate"):
        ft.probe(x, y, **HEAD, budget=20, batch_size=8, schedules=["cosine"])
    with pytest.raises(FluctuaError, match="labels"):
        ft.probe(x, torch.randn(90, 1), **HEAD, budget=20, batch_size=8)
