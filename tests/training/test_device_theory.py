"""Gram matrix, modes and K on a device of torch's: NumPy's numbers, whatever the sizes, the types and the weights."""

from __future__ import annotations

import json
import pickle
from copy import copy

import numpy as np
import pytest

import fluctua as fl
from fluctua._validate.devices import Device
from fluctua.errors import InvalidInput, TooLarge
from fluctua.problem.device_products import DeviceProducts, on_device
from fluctua.verification.verdict import Verdict
from helpers.commands import SMALL, check

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.torch
N, D = 300, 7
RTOL = {"float64": 1e-12, "float32": 2e-5, "bfloat16": 2e-5}


def posed(kind="float64", scale=1.0, **more):
    rng = np.random.default_rng(2)
    x = scale * rng.standard_normal((N, D)) * np.geomspace(3, 0.1, D)
    y = rng.standard_normal((N, 2))
    return fl.LeastSquares(torch.from_numpy(x).to(getattr(torch, kind)), y, **more)


def close(found, expected, rtol):
    np.testing.assert_allclose(found, expected, rtol=0, atol=rtol * np.abs(expected).max())


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
@pytest.mark.parametrize("kind", RTOL)
def test_products_are_those_of_numpy(device, kind, scale):
    here = posed(kind, scale)
    there = on_device(posed(kind, scale), device)
    np.testing.assert_allclose(there.curvatures, here.curvatures, rtol=1e-11)
    close(np.abs(there.modes.T @ here.modes), np.eye(D), 1e-10)
    alike = copy(there)
    alike.__dict__.update(spectrum=here.spectrum)
    alike.__dict__.pop("projections", None)
    alike.products = DeviceProducts(there.products.device)
    close(alike.projections, here.projections, RTOL[kind])
    rng = np.random.default_rng(0)
    for weights, size in ((None, 1.0), (rng.standard_normal(N), 1e-3), (np.zeros(N), 1e-30)):  # of both signs; none
        form = size * rng.standard_normal((D, D))
        found = alike.scatter(weights, form + form.T)
        close(found, here.scatter(weights, form + form.T), RTOL[kind])
        np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(alike.scatter(), 0)


WEIGHTS = tuple(1.0 + np.arange(N) % 5)
RECIPES = {
    "plain": {},
    "momentum": {"momentum": 0.9, "weight_decay": 0.01},
    "shuffle": {"sampling": "shuffle"},
    "weighted": {"sampling": fl.WeightedSampling(WEIGHTS)},
    "biased": {"sampling": fl.WeightedSampling(WEIGHTS, unbiased=False)},
}


@pytest.mark.parametrize("name", RECIPES)
def test_predictions_are_those_without_a_device(device, name):
    sgd = fl.SGD(lr=0.01, batch_size=16, **RECIPES[name])
    here, there = fl.predict(posed(), sgd), fl.predict(posed(), sgd, device=device)
    assert isinstance(there.law.problem.products, DeviceProducts)
    assert isinstance(getattr(there.law.problem, "_alike", None) or there.law.problem, fl.LeastSquares)
    np.testing.assert_allclose(there.mode_variances, here.mode_variances, rtol=1e-8)
    later = there.after(50, start="zero").excess_loss
    assert later == pytest.approx(here.after(50, start="zero").excess_loss, rel=1e-8)


def test_a_problem_is_placed_once_and_stays_as_it_was(device):
    problem = posed()
    placed = on_device(problem, device)
    assert on_device(problem, torch.device(device)) is placed is on_device(placed, device)
    assert on_device(problem, None) is problem
    assert "spectrum" not in problem.__dict__ or placed.spectrum is problem.spectrum
    assert not isinstance(problem.products, DeviceProducts)
    assert placed == problem
    sent = placed.feedback(np.eye(D))
    again = pickle.loads(pickle.dumps(placed))  # without what lies on the device
    np.testing.assert_array_equal(again.feedback(np.eye(D)), sent)
    assert len(pickle.dumps(placed)) < 2 * (placed.inputs.nbytes + placed.projections.nbytes + placed.targets.nbytes)


def test_samples_that_do_not_lie_in_memory_are_refused():
    problem = posed()
    problem.inputs = object()
    with pytest.raises(InvalidInput, match="come in chunks"):
        on_device(problem, "cpu")


def test_what_does_not_fit_is_refused_before(monkeypatch):
    monkeypatch.setattr(Device, "room", 100.0)
    with pytest.raises(TooLarge, match="the curvature of 7 inputs would take"):
        fl.predict(posed(), fl.SGD(lr=0.01, batch_size=16), device="cpu")
    problem = posed()
    on_device(problem, "cpu").__dict__.update(spectrum=problem.spectrum)
    with pytest.raises(TooLarge, match="300 samples in 7 modes"):
        fl.predict(problem, fl.SGD(lr=0.01, batch_size=16), device="cpu")


# --- the commands ---


@pytest.fixture
def asked(tmp_path):
    """Data and recipe, as words of a command."""
    np.savez(tmp_path / "x.npz", X=posed().inputs, y=posed().targets)
    return str(tmp_path / "x.npz"), "--lr", "0.01", "--batch-size", "16"


def test_predict_on_the_command_line(run, asked):
    here, there = (json.loads(run("predict", *asked, "--json", *more)[1]) for more in ([], ["--device", "cpu"]))
    assert there["excess_loss"] == pytest.approx(here["excess_loss"], rel=1e-9)


@pytest.mark.usefixtures("curve_alone")
@pytest.mark.statistical(alpha=1e-6)
def test_verify_on_the_command_line_says_where_it_ran(run, asked, tmp_path):
    code, out, _ = run("verify", *asked, *SMALL, "--device", "cpu", "--out", "found", "--json")
    found = json.loads(out)
    check(found, "verdict")
    assert found["consistent"]
    assert code in (0, 1)
    assert (found["identity"]["device"], found["identity"]["batches"]) == ("cpu", "torch")
    assert Verdict.load(tmp_path / "found" / "result.json").run.device == "cpu"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["verify", "digits", "--device", "gpu"], "device must be 'cpu'"),
        (["predict", "nothing.npz", "--device", "mps"], "no float64"),
        (["verify", "digits", "--dynamic", "--device", "cpu"], "--device is of the equal-time verdict"),
        (["predict", "digits", "--loss", "cross-entropy", "--device", "cpu"], "--device is of squared errors"),
        (["verify", "digits", "--loss", "cross-entropy", "--device", "cpu"], "the runs of Softmax are made"),
    ],
)
def test_the_commands_refuse_by_name(run, words, said):
    code, _, err = run(*words)
    assert code == 2
    assert said in " ".join(err.split())
