"""`fluctua sampler`, and `fluctua verify --method`."""

import json

import numpy as np
import pytest

import fluctua as fl
from helpers.commands import SMALL, check

SGLD = ("--method", "sgld", "--noise-variance", "0.5", "--weight-decay", "0.1")


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((50, 3))
    np.savez(tmp_path / "data.npz", X=x, y=x @ [1.0, 2.0, 3.0] + rng.standard_normal(50))
    return "data.npz"


def problem_of(tmp_path):
    held = np.load(tmp_path / "data.npz")
    return fl.LeastSquares(held["X"], held["y"][:, None])


@pytest.fixture
def drawn(tmp_path, data):
    """Draws of SGLD in NumPy from zero, (64, 400, 3)."""
    held, rng = np.load(tmp_path / data), np.random.default_rng(2)
    x, y, w, kept = held["X"], held["y"], np.zeros((64, 3)), []
    for _ in range(400):
        rows = rng.integers(50, size=(64, 8))
        errors = np.einsum("rbd,rd->rb", x[rows], w) - y[rows]
        w = w - 0.1 * (np.einsum("rb,rbd->rd", errors, x[rows]) / 8 + 0.1 * w)
        w = w + np.sqrt(2 * 0.1 * 0.01) * rng.standard_normal(w.shape)
        kept.append(w)
    np.save(tmp_path / "draws.npy", np.stack(kept, axis=1))
    return "draws.npy"


def test_the_inflation_of_every_mode_is_printed_and_in_the_json(run, data, tmp_path):
    code, out, err = run("sampler", data, *SGLD, "--lr", "0.1", "--inflation", "1.05")
    assert (code, err) == (0, "")
    for word in ("target      exp(-L/T), T = 0.01", "full_batch", "inflation   lr ", "relaxation"):
        assert word in out
    code, out, _ = run("sampler", data, *SGLD, "--lr", "0.1", "--inflation", "1.05", "--json")
    found = json.loads(out)
    check(found, "sampler")
    law = fl.predict(problem_of(tmp_path), fl.SGLD(0.1, 8, 0.01, 0.1))
    np.testing.assert_allclose(found["inflation"], law.inflation)
    assert found["rungs"]["exact"] == law.excess_loss
    assert found["lr_for_inflation"]["lr"] == fl.lr_for_inflation(law.law.problem, law.law.sgd, 1.05)


def test_without_a_step_the_one_for_the_inflation_is_taken(run, data, tmp_path):
    given = ("--method", "baoab", "--friction", "1", "--temperature", "0.01", "--prior-variance", "0.1", "--full-batch")
    code, out, _ = run("sampler", data, *given, "--inflation", "1.1", "--json")
    found = json.loads(out)
    assert code == 0
    sampler = fl.BAOAB(1.0, 1.0, None, 0.01, 0.1)
    assert found["recipe"]["lr"] == fl.lr_for_inflation(problem_of(tmp_path), sampler, 1.1)
    assert found["recipe"]["batch_size"] is None
    assert found["recipe"]["weight_decay"] == pytest.approx(0.1)
    check(found, "sampler")


@pytest.mark.statistical(alpha=1e-6)
def test_draws_are_held_against_the_law_and_what_was_found_is_written(run, data, drawn, tmp_path):
    given = ("--lr", "0.1", "--draws", drawn, "--level", "1e-6", "--resolution", "0.5", "--out", "found")
    code, out, err = run("sampler", data, *SGLD, *given)
    assert (code, err) == (0, "")
    assert "PASSED" in out
    names = {path.name for path in (tmp_path / "found").iterdir()}
    figures = {f"{name}.{ending}" for name in ("inflation", "statements") for ending in ("png", "svg")}
    assert names == {"study.json", "study.npz", "report.html", *figures}
    assert run("report", "found", "--out", "again.html")[0] == 0
    assert "Variance along every mode" in (tmp_path / "again.html").read_text()
    code, out, _ = run("sampler", data, *SGLD, *given, "--no-report", "--json")
    check(json.loads(out), "sampler")
    check(json.loads(out)["verdict"], "study")
    np.save(tmp_path / "wrong.npy", 1.5 * np.load(tmp_path / drawn))
    assert run("sampler", data, *SGLD, "--lr", "0.1", "--draws", "wrong.npy", "--no-report")[0] == 1


def test_a_temperature_of_0_is_one(run, data, tmp_path):
    code, out, err = run("sampler", data, "--method", "sgld", "--lr", "0.1", "--noise-variance", "0", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    check(found, "sampler")
    assert found["temperature"] == 0
    assert found["excess_loss"] == pytest.approx(fl.predict(problem_of(tmp_path), fl.SGD(0.1, 8)).excess_loss)


REFUSED = {
    "no method": (("--noise-variance", "1"), "which sampler"),
    "another method": (("--method", "hmc"), "sgld"),
    "no step": (SGLD, "--inflation"),
    "no temperature": (("--method", "sgld", "--lr", "0.1"), "temperature once"),
    "two temperatures": ((*SGLD, "--lr", "0.1", "--temperature", "1"), "temperature once"),
    "two priors": ((*SGLD, "--lr", "0.1", "--prior-variance", "1"), "give one"),
    "no friction": (("--method", "baoa", "--lr", "0.1", "--temperature", "1"), "--friction 1"),
    "a friction of 0": (("--method", "baoa", "--lr", "0.1", "--temperature", "1", "--friction", "0"), "greater than 0"),
    "a prior of 0": (("--method", "sgld", "--lr", "0.1", "--temperature", "1", "--prior-variance", "0"), "got 0"),
    "cold, of none": ((*SGLD, "--lr", "0.1", "--temperature", "0"), "temperature once"),
    "batches of all": ((*SGLD, "--lr", "0.1", "--full-batch", "--batch-size", "4"), "leave --batch-size out"),
    "a draw of all": (
        ("--method", "ula", "--lr", "1", "--temperature", "1", "--sampling", "without_replacement"),
        "every sample",
    ),
    "friction of none": ((*SGLD, "--lr", "0.1", "--friction", "1"), "no option of --method sgld"),
    "every without draws": ((*SGLD, "--lr", "0.1", "--every", "2"), "add --draws"),
    "no such file": ((*SGLD, "--lr", "0.1", "--draws", "none.npy"), "none.npy"),
    "a negative variance": (("--method", "sgld", "--lr", "0.1", "--noise-variance", "-1"), "--noise-variance"),
    "too hot a step": ((*SGLD, "--lr", "9"), "largest stable"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_does_not_fit_is_refused(run, data, why):
    given, words = REFUSED[why]
    code, out, err = run("sampler", data, *given)
    assert (code, out) == (2, "")
    assert words in err.replace("\n", " ")


@pytest.mark.statistical(alpha=1e-6)
def test_verify_takes_samplers(run, data):
    code, out, err = run("verify", data, *SGLD, "--lr", "0.1", *SMALL, "--json")
    found = json.loads(out)
    assert (code, err) == (0 if found["passed"] else 1, "")
    assert found["consistent"]
    check(found, "verdict")
    assert found["identity"]["recipe"]["optimizer"] == "SGLD"
    for given, words in (
        (("--momentum", "0.5"), "no option of --method sgld"),
        (("--schedule", "cosine"), "no option of --method sgld"),
        (("--ema", "0.9"), "average"),
    ):
        code, _, err = run("verify", data, *SGLD, "--lr", "0.1", *given)
        assert code == 2
        assert words in err
    code, _, err = run("verify", data, "--temperature", "1", "--lr", "0.1")
    assert code == 2
    assert "name one by --method" in err
