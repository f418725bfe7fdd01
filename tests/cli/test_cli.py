"""The command line as a user meets it: what it prints, its exit codes, what it leaves on disk."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import fluctua as fl
from helpers.commands import SMALL, check


@pytest.mark.statistical(alpha=1e-6)
@pytest.mark.usefixtures("coarse", "curve_alone")
def test_verify_prints_the_ladder_and_writes_its_files(run, tmp_path):
    code, out, err = run("verify", "digits", *SMALL, "--replicas", 64, "--report", "--resolution", "0.5")
    assert code == 0, out
    assert err == ""
    for word in ("lr 0.05, batches of 8", "61 modes", "langevin", "exact, stationary", "PASSED", "(95 %)"):
        assert word in out
    assert max(map(len, out.split("PASSED")[0].splitlines())) <= 100
    written = sorted(path.name for path in (tmp_path / "fluctua-digits").iterdir())
    assert written == ["curve.png", "curve.svg", "report.html", "result.json", "result.npz"]


@pytest.mark.any_seed
@pytest.mark.usefixtures("undrawn")
def test_a_verdict_that_is_not_sharp_is_inconclusive_with_exit_code_one(run):
    code, out, _ = run("verify", "digits", *SMALL, "--resolution", "0.01")
    assert code == 1
    outcome = json.loads(Path("fluctua-digits/result.json").read_text())["outcome"]
    assert outcome == "inconclusive"
    assert "\nINCONCLUSIVE  consistent" in out
    assert "FAILED" not in out
    assert re.search(
        r"about [\d,]+ replicas of as many steps\s+would\s+do,\s+or\s+[\d,]+\s+of\s+at\s+least\s+[\d,]+\s+steps", out
    )


@pytest.mark.any_seed
@pytest.mark.usefixtures("undrawn")
def test_verify_json_follows_the_schema_and_names_the_data(run):
    _, out, _ = run("verify", "digits", *SMALL, "--json")
    result = json.loads(out)
    check(result, "verdict")
    assert result["data"]["name"].startswith("digits")
    assert len(result["data"]["sha256"]) == 64


@pytest.mark.any_seed
@pytest.mark.usefixtures("undrawn")
def test_the_same_seed_gives_the_same_numbers(run):
    first, second = (json.loads(run("verify", "digits", *SMALL, "--json")[1]) for _ in range(2))
    assert first == second


@pytest.mark.any_seed
@pytest.mark.parametrize("dynamics", ["langevin", "langevin_state_dependent"])
@pytest.mark.usefixtures("undrawn")
def test_other_dynamics_are_held_against_their_own_law(run, features, dynamics):
    _, out, _ = run("verify", features, *SMALL, "--dynamics", dynamics, "--json")
    assert json.loads(out)["theory"] == ("langevin" if dynamics == "langevin" else "exact")


def test_predict_prints_the_numbers_of_theory_md(run):
    code, out, _ = run("predict", "digits", "--lr", "0.05", "--batch-size", "8")
    assert code == 0
    assert "excess loss   0.00935486" in out
    assert "L(W*) = 0.1549409" in out
    code, out, _ = run("predict", "digits", "--lr", "0.02", "--batch-size", "4")
    assert "0.1834962" in out


def test_predict_json_follows_the_schema_stationary_and_at_a_step(run):
    for extra in ([], ["--steps", "200", "--start", "zero"], ["--theory", "langevin"]):
        result = json.loads(run("predict", "digits", "--lr", "0.05", *extra, "--json")[1])
        check(result, "prediction")
    assert json.loads(run("predict", "digits", "--lr", "0.05", "--steps", "200", "--start", "zero", "--json")[1])[
        "excess_loss"
    ] == pytest.approx(0.0429235, rel=1e-4)


def test_predict_knows_momentum_and_held_out_data(run, features, tmp_path):
    rng = np.random.default_rng(4)
    np.savez(tmp_path / "other.npz", X=rng.normal(size=(50, 6)), y=np.arange(50) % 2)
    options = (
        "predict",
        features,
        "--lr",
        "0.02",
        "--momentum",
        "0.9",
        "--nesterov",
        "--held-out",
        tmp_path / "other.npz",
    )
    code, out, _ = run(*options)
    assert code == 0
    assert "momentum 0.9 (Nesterov)" in out
    assert "held out      other.npz" in out
    result = json.loads(run(*options, "--json")[1])
    check(result, "prediction")
    assert result["recipe"]["nesterov"] is True
    assert result["held_out"]["expected"] == pytest.approx(result["held_out"]["optimum"] + result["held_out"]["excess"])


@pytest.mark.parametrize(("momentum", "nu"), [("0.9", "0.7"), ("0", "0.7"), ("0.9", "0")])
def test_predict_takes_quasi_hyperbolic_momentum_with_any_zero_in_it(run, features, momentum, nu):
    code, out, _ = run("predict", features, "--optimizer", "QHM", "--momentum", momentum, "--nu", nu, "--json")
    assert code == 0
    result = json.loads(out)
    check(result, "prediction")
    problem = fl.LeastSquares(*(np.load(features)[name] for name in "Xy"))
    sgd = fl.QHM(result["recipe"]["lr"], 8, float(momentum), float(nu))
    assert result["recipe"] == sgd.to_dict()
    assert result["excess_loss"] == pytest.approx(fl.predict(problem, sgd).excess_loss, rel=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--nu", "0.7"), "the optimizer QHM needs momentum"),
        (("--momentum", "0.9"), "the optimizer QHM needs nu"),
        (("--momentum", "0.9", "--nu", "0.7", "--nesterov"), "QHM does not have nesterov"),
        (("--momentum", "0.9", "--nu", "0.7", "--dampening", "0"), "QHM does not have dampening"),
        (("--momentum", "1", "--nu", "0.7"), "momentum must be less than 1"),
    ],
)
def test_predict_says_what_quasi_hyperbolic_momentum_needs(run, features, options, message):
    code, out, err = run("predict", features, "--optimizer", "QHM", *options)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize(("lr", "uncertain"), [(0.02, False), (0.7, True)])
def test_where_the_spread_is_uncertain_the_report_and_its_json_say_so(run, features, lr, uncertain):
    """The limit is 1.03."""
    options = "predict", features, "--lr", lr, "--batch-size", 8, "--spread"
    _, out, err = run(*options)
    assert (" or more (Gaussian closure)" in out) == ("too small" in err) == uncertain
    result = json.loads(run(*options, "--json")[1])
    check(result, "prediction")
    assert result["spread"]["uncertain"] is uncertain


def test_predict_tells_the_spread_between_runs_and_refuses_it_where_outputs_are_not_told_apart(run, features):
    options = "predict", features, "--lr", "0.02", "--spread"
    code, out, _ = run(*options)
    assert code == 0
    assert "spread        loss between runs: +-" in out
    result = json.loads(run(*options, "--json")[1])
    check(result, "prediction")
    assert result["spread"]["mean"] == pytest.approx(result["excess_loss"])
    shuffled = json.loads(run(*options, "--sampling", "shuffle", "--json")[1])
    check(shuffled, "prediction")
    assert 0 < shuffled["spread"]["std"] < 0.9 * result["spread"]["std"]
    code, _, err = run(*options, "--theory", "hessian")
    assert code == 2
    assert "sum over outputs" in err


@pytest.mark.statistical(alpha=1e-6)
@pytest.mark.usefixtures("undrawn")
def test_verify_passes_with_momentum_and_refuses_what_torch_refuses(run):
    code, out, _ = run(
        "verify", "digits", *SMALL, "--momentum", "0.5", "--dampening", "0.2", "--replicas", 64, "--resolution", "0.5"
    )
    assert code == 0
    assert "momentum 0.5 (dampening 0.2)" in out
    for wrong in (["--nesterov"], ["--momentum", "1"], ["--momentum", "0.9", "--dampening", "0.1", "--nesterov"]):
        code, _, err = run("verify", "digits", *SMALL, *wrong)
        assert code == 2
        assert "momentum" in err


@pytest.mark.statistical(alpha=1e-6)
def test_an_average_of_the_weights_is_predicted_verified_and_drawn(run, tmp_path):
    code, out, _ = run("predict", "digits", "--lr", "0.05", "--ema", "0.99")
    assert code == 0
    assert "exact, stationary, averaged with decay 0.99" in out
    assert "excess loss   0.00118734" in out
    code, out, _ = run(
        "verify", "digits", *SMALL, "--ema", "0.9", "--replicas", 64, "--resolution", "0.5", "--json", "--out", "ema"
    )
    assert code == 0
    check(json.loads(out), "verdict")
    assert sorted(path.name for path in (tmp_path / "ema").glob("*.png")) == ["curve.png", "modes.png"]
    code, _, err = run("verify", "digits", "--ema", "1")
    assert code == 2
    assert "decay must be less than 1" in err


@pytest.mark.any_seed
@pytest.mark.usefixtures("undrawn")
def test_an_average_once_an_epoch_is_predicted_verified_and_read_again(run, features, tmp_path):
    options = features, "--lr", "0.02", "--sampling", "shuffle", "--average-every", "epoch"
    result = json.loads(run("predict", *options, "--ema", "0.5", "--json")[1])
    check(result, "prediction")
    assert result["average"] == {"name": "EMA", "decay": 0.5, "every": "epoch"}
    asked = "--tail", 100, "--steps", 150, "--replicas", 16, "--json", "--no-report", "--out", "swa"
    code, out, _ = run("verify", *options, *asked)
    assert code in (0, 1)
    check(json.loads(out), "verdict")
    assert fl.Verdict.load(tmp_path / "swa").run.average == fl.RunningAverage(50, "epoch")


def test_shuffled_epochs_are_predicted_averaged_and_at_a_position(run, features):
    options = "predict", features, "--lr", "0.02", "--batch-size", "32", "--sampling", "shuffle"
    code, out, _ = run(*options)
    assert code == 0
    assert "shuffled epochs of batches of 32" in out
    assert "theory        exact, stationary, averaged over the epoch\n" in out
    assert "exact, stationary, 3 steps into an epoch\n" in run(*options, "--position", 3)[1]
    assert "exact, after 1,000 steps\n" in run(*options, "--steps", "1000")[1]
    found = [json.loads(run(*options, "--json", *extra)[1]) for extra in ([], ["--position", "0"], ["--drop-last"])]
    for result in found:
        check(result, "prediction")
    assert [result["position"] for result in found] == [None, 0, None]
    assert [result["recipe"]["drop_last"] for result in found] == [False, False, True]
    assert len({result["excess_loss"] for result in found}) == 3


@pytest.mark.statistical(alpha=1e-6)
def test_the_semi_analytic_level_stands_beside_the_law(run, features):
    options = "predict", features, "--lr", "0.02", "--batch-size", "32", "--sampling", "shuffle", "--orders", "64"
    code, out, err = run(*options, "--seed", "3")
    assert (code, err) == (0, "")
    assert "semi-analytic, from 64 orders of one epoch" in out
    result = json.loads(run(*options, "--seed", "3", "--json")[1])
    check(result, "prediction")
    assert len(result["semi_analytic"]["mode_variances"]) == result["rank"]
    assert abs(result["semi_analytic"]["excess_loss"] / result["excess_loss"] - 1) < 0.5


@pytest.mark.statistical(alpha=1e-6)
def test_the_semi_analytic_level_follows_a_run_with_a_schedule(run, features):
    options = "predict", features, "--lr", "0.02", "--batch-size", "32", "--sampling", "shuffle", "--orders", "64"
    followed = *options, "--schedule", "cosine", "--steps", "9", "--start", "zero", "--seed", "3"
    code, out, err = run(*followed)
    assert (code, err) == (0, "")
    assert "semi-analytic, from 64 orders of each epoch" in out
    result = json.loads(run(*followed, "--json")[1])
    check(result, "prediction")
    assert result["excess_loss_error"] is None
    assert abs(result["semi_analytic"]["excess_loss"] / result["excess_loss"] - 1) < 0.1


@pytest.mark.any_seed
def test_shuffled_epochs_are_verified_beside_independent_batches(run, features, tmp_path):
    code, out, err = run("verify", features, *SMALL, "--lr", "0.02", "--sampling", "shuffle", "--drop-last")
    assert code in (0, 1), err
    for word in ("shuffled epochs of batches of 8 (incomplete last batch dropped)", "independent batches"):
        assert word in out
    assert "langevin" not in out
    assert {path.stem for path in (tmp_path / "fluctua-features").glob("*.png")} == {"curve", "modes"}


@pytest.mark.any_seed
@pytest.mark.usefixtures("undrawn")
def test_a_users_file_is_verified_and_predicted(run, features, tmp_path):
    code, out, _ = run("verify", features, *SMALL, "--resolution", "0.5")
    assert code in (0, 1)
    assert "200 samples, 6 inputs, 2 outputs" in out
    assert (tmp_path / "fluctua-features" / "result.json").exists()
    assert run("predict", features)[0] == 0


@pytest.mark.statistical(alpha=1e-6)
def test_noise_prints_and_draws(run, tmp_path):
    code, out, _ = run("noise", "digits", "--steps", "50", "--replicas", "8", "--seed", "2", "--level", "1e-6")
    assert code == 1, out
    assert "\nINCONCLUSIVE\n" in out  # too few replicas to be sharp
    for word in ("mean", "covariance", "memory", "excess kurtosis"):
        assert word in out
    names = {path.name for path in (tmp_path / "fluctua-digits").iterdir()}
    assert names == {"noise.json", "noise.png", "noise.svg"}
    check(json.loads((tmp_path / "fluctua-digits" / "noise.json").read_text()), "noise")


FILES = ["dynamic.json", "dynamic.npz", "report.html"]
IN_TIME = ["--dynamic", "--steps", "64", "--replicas", "16", "--modes", "4", "--seed", "1"]


@pytest.mark.any_seed
def test_verify_dynamic_prints_its_statements_and_writes_its_files(run, features, tmp_path):
    code, out, err = run("verify", features, *IN_TIME, "--level", "1e-9", "--resolution", "0.9")
    assert err == ""
    for word in (
        "correlation = S x response",
        "equilibrium FDT, no current",
        "pairs of modes",
        "areas",
        "plug-in",
        "seen from step 32 on",
    ):
        assert word in out
    assert code in (0, 1)
    directory = tmp_path / "fluctua-features"
    outcome = json.loads((directory / "dynamic.json").read_text())["outcome"].upper()
    assert (outcome == "PASSED") == (code == 0)
    assert max(map(len, out.split(f"\n{outcome}  ")[0].splitlines())) <= 100
    directory = tmp_path / "fluctua-features"
    written = sorted(path.name for path in directory.iterdir())
    stems = {"circulation", "current", "regression", "response"}
    assert written == sorted(
        [f"{s}.{e}" for s in stems for e in ("png", "svg")] + ["dynamic.json", "dynamic.npz", "report.html"]
    )
    before = {path.name: path.read_bytes() for path in directory.glob("*.svg")}
    assert run("report", directory, "--out", tmp_path / "again.html")[0] == 0
    assert (tmp_path / "again.html").read_bytes() == (directory / "report.html").read_bytes()
    assert run("plot", directory, "--out", tmp_path / "again")[0] == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").glob("*.svg")} == before


@pytest.mark.any_seed
@pytest.mark.usefixtures("undrawn")
def test_verify_dynamic_prints_json_of_the_published_schema(run, features):
    _, out, _ = run("verify", features, *IN_TIME, "--lags", "1,4", "--json", "--no-report")
    found = json.loads(out)
    check(found, "dynamic")
    assert found["identity"]["lags"] == [1, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dynamic", "--theory", "exact"), "--theory is of the equal-time verdict"),
        (("--dynamic", "--start", "zero"), "--start is of the equal-time verdict"),
        (("--dynamic", "--lags", "1,x"), "numbers of steps between commas"),
        (("--dynamic", "--sampling", "shuffle"), "a motion without memory"),
        (("--modes", "4"), "--modes, --lags and --entropy are of --dynamic"),
    ],
)
def test_what_the_dynamic_verdict_cannot_do_is_refused(run, features, tmp_path, options, message):
    code, _, err = run("verify", features, *options)
    assert code == 2
    assert message in err
    assert {path.name for path in tmp_path.iterdir()} == {"features.npz"}


@pytest.mark.any_seed
def test_plot_redraws_the_same_figures_from_the_result(run, features, tmp_path):
    run("verify", features, *SMALL)
    directory = tmp_path / "fluctua-features"
    figures = {f"{name}.{kind}" for name in ("balance", "curve", "modes") for kind in ("png", "svg")}
    assert {path.name for path in directory.iterdir()} == {*figures, "result.json", "result.npz"}
    before = {path.name: path.read_bytes() for path in directory.glob("*.svg")}
    code, _, _ = run("plot", directory, "--out", tmp_path / "again")
    assert code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").glob("*.svg")} == before


@pytest.mark.parametrize("name", sorted(path.stem for path in (Path(fl.__file__).parent / "schemas").glob("*.json")))
def test_the_schemas_are_published(run, name):
    code, out, _ = run("schema", name)
    assert code == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(out))


def test_the_help_on_schemas_names_them_all_in_whole_words(run):
    said = run("schema", "--help")[1].replace(",", " ").replace(".", " ").split()
    assert {path.stem for path in (Path(fl.__file__).parent / "schemas").glob("*.json")} <= set(said)


def test_data_list_and_path(run, tmp_path):
    code, out, _ = run("data", "list", "--data-dir", tmp_path)
    assert code == 0
    assert {"digits", "mnist", "emnist", "cifar10"} <= set(out.split())
    assert isinstance(json.loads(run("data", "list", "--data-dir", tmp_path, "--json")[1]), list)
    assert run("data", "path", "--data-dir", tmp_path)[1].strip() == str(tmp_path)


@pytest.mark.any_seed
@pytest.mark.usefixtures("undrawn")
def test_force_simulates_beyond_the_limit_and_reports_divergence(run):
    code, out, _ = run(
        "verify", "digits", "--lr", "0.5", "--force", "--steps", "1000", "--replicas", "4", "--seed", "1", "--no-report"
    )
    assert code == 1
    assert "diverged" in out


@pytest.mark.any_seed
@pytest.mark.usefixtures("undrawn")
def test_an_interrupt_keeps_finished_replicas_and_resume_gives_the_same_numbers(run, tmp_path):
    arguments = [
        "verify",
        "digits",
        "--steps",
        "1000",
        "--replicas",
        "64",
        "--seed",
        "4",
        "--threads",
        "1",
        "--no-report",
        "--json",
    ]
    whole = run(*arguments, "--out", tmp_path / "whole")[1]
    checkpoint = tmp_path / "cut" / "checkpoint.npz"
    child = subprocess.Popen(
        [sys.executable, "-m", "fluctua", *arguments, "--out", "cut"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ),
        text=True,
    )
    while not checkpoint.exists() and child.poll() is None:
        time.sleep(0.005)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130, "the run ended before it was interrupted"
    assert "--resume" in err
    assert "Traceback" not in err
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["checkpoint.npz"]
    code, resumed, _ = run(*arguments, "--out", tmp_path / "cut", "--resume")
    assert code in (0, 1)
    assert resumed == whole
    assert not checkpoint.exists()


@pytest.mark.statistical(alpha=1e-6)
def test_the_figure_of_the_noise_is_drawn_again(run, features, tmp_path):
    code, _, err = run("noise", features, "--steps", "20", "--replicas", "4", "--seed", "2", "--level", "1e-7")
    assert (code, err) == (1, "")
    place = tmp_path / "fluctua-features"
    for again in ("noise.json", "."):
        code, out, err = run("plot", place / again, "--format", "svg", "--out", tmp_path / "again")
        assert (code, err) == (0, "")
        assert out.endswith("noise.svg\n")
        assert (tmp_path / "again" / "noise.svg").read_bytes() == (place / "noise.svg").read_bytes()
    held = json.loads((place / "noise.json").read_text())
    (place / "noise.json").write_text(json.dumps({**held, "level": "much"}))
    code, _, err = run("plot", place)
    assert code == 2
    assert "noise.json does not hold what a result must: level" in err


@pytest.mark.statistical(alpha=1e-6)
@pytest.mark.usefixtures("curve_alone")
def test_a_verdict_leaves_no_noise_of_other_data_beside_it(run, features, tmp_path):
    noise = ("noise", features, "--steps", "20", "--replicas", "4", "--seed", "2", "--level", "1e-7")
    assert run(*noise)[0] == 1
    beside = tmp_path / "fluctua-features" / "noise.json"
    run("verify", features, *SMALL, "--lr", "0.01", "--resolution", "0.5")
    assert beside.exists()
    run("verify", features, *SMALL, "--limit", "150", "--resolution", "0.5")
    assert sorted(path.name for path in beside.parent.glob("noise.*")) == []
    assert run(*noise)[0] == 1  # of all samples again: the verdict of some goes
    assert not (beside.parent / "result.npz").exists()
    assert not (beside.parent / "report.html").exists()
