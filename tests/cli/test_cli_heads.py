"""Commands with --loss cross-entropy."""

import json

import numpy as np
import pytest

from helpers.commands import check

HEAD = ["--loss", "cross-entropy", "--weight-decay", "1e-2"]
SMALL = ["digits", "--classes", "0,3,8", "--limit", "300", *HEAD]


def test_predict_says_where_the_weights_live(run):
    code, out, _ = run("predict", *SMALL, "--lr", "0.3")
    assert code == 0
    assert "softmax, cross-entropy of 3 classes" in out
    assert "inside the quadratic bowl" in out
    assert "nothing diverges there" in out


def test_predict_says_what_the_theory_may_be_off_by(run):
    for rung, told in (("anharmonic", True), ("discrete", False)):  # the latter leaves K out, and states nothing
        asked = [*SMALL, "--lr", "0.3", "--theory", rung]
        stated = json.loads(run("predict", *asked, "--json")[1])["stated_error"]
        assert (stated > 0) == told
        assert (f"own error is up to {stated:.2g} of that" in run("predict", *asked)[1]) == told


def test_predictions_keep_to_their_schema(run):
    for more in ([], ["--steps", "50"]):
        code, out, _ = run("predict", *SMALL, "--lr", "0.3", "--json", *more)
        assert code == 0
        found = json.loads(out)
        check(found, "prediction")
        assert found["loss"] == "softmax"


@pytest.mark.any_seed
def test_verify_writes_its_verdict_figures_and_page(run, tmp_path):
    out = tmp_path / "out"
    asked = [*SMALL, "--lr", "0.3", "--steps", "400", "--replicas", "16", "--seed", "1", "--level", "1e-6"]
    code, text, _ = run("verify", *asked, "--resolution", "0.5", "--out", str(out))
    assert code in (0, 1)
    assert "crossover" in text
    assert {"report.html", "floors.png", "modes.png", "result.json"} <= {path.name for path in out.iterdir()}
    check(json.loads((out / "result.json").read_text()), "verdict")
    page = (out / "report.html").read_text()
    assert "fluctua verify digits" in page
    assert "--loss cross-entropy" in page


def test_sweep_and_plan_keep_to_their_schemas(run, tmp_path):
    code, out, _ = run(
        "sweep", *SMALL, "--lr", "0.1,99", "--batch-size", "8", "--steps", "50", "--json", "--out", tmp_path
    )
    assert code == 0
    check(json.loads(out), "sweep")
    code, out, _ = run("plan", *SMALL, "--budget", "50", "--batch-size", "8", "--momentum", "0", "--json")
    assert code == 0
    check(json.loads(out), "plans")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["predict", *SMALL, "--spread"], "--spread"),
        (["predict", *SMALL, "--held-out", "test"], "--held-out"),
        (["predict", *SMALL, "--schedule", "cosine", "--steps", "9"], "--schedule"),
        (["predict", *SMALL, "--theory", "exact"], "theory"),
        (["verify", *SMALL, "--dynamic"], "--dynamic"),
        (["verify", *SMALL, "--start", "zero"], "start"),
        (["sweep", *SMALL, "--schedule", "cosine"], "--schedule"),
        (["plan", *SMALL, "--budget", "9", "--check"], "--check"),
        (["plan", *SMALL, "--budget", "9", "--schedule", "cosine"], "cosine"),
        (["predict", "digits", "--loss", "hinge"], "hinge"),
    ],
)
def test_what_a_head_cannot_do_is_refused_by_name(run, command, words):
    code, _, err = run(*command)
    assert code == 2
    assert words in err


def test_values_are_no_classes(run, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "values.npz"
    np.savez(path, X=rng.standard_normal((30, 3)), y=rng.standard_normal(30))
    code, _, err = run("predict", str(path), *HEAD)
    assert code == 2
    assert "are values" in err


@pytest.mark.any_seed
@pytest.mark.parametrize("schedule", [(), ("--schedule", "cosine")])
def test_a_page_of_shuffled_epochs_is_written_whole(run, tmp_path, schedule):
    """Rungs that epochs have not are in no figure, and cost no verdict; under a schedule there is no one rate."""
    asked = *SMALL[:2], "0,3", "--limit", "60", *HEAD, "--sampling", "shuffle", *schedule
    code, _, err = run("verify", *asked, "--steps", "60", "--replicas", "8", "--out", str(tmp_path / "kept"))
    assert code in (0, 1), err
    assert (tmp_path / "kept" / "report.html").exists()
    assert (tmp_path / "kept" / "floors.png").exists() == (not schedule)
