"""The command line as a user meets it: what it prints, its exit codes, what it leaves on disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

from fluctua.cli import main

SMALL = ["--steps", "64", "--replicas", "16", "--seed", "1"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLUCTUA_DATA", raising=False)


@pytest.fixture
def run(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return stopped.value.code, out, err

    return call


@pytest.fixture
def features(tmp_path):
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(200, 6))
    np.savez(
        tmp_path / "features.npz", X=inputs, y=(inputs @ rng.normal(size=6) + rng.normal(size=200) > 0).astype(int)
    )
    return tmp_path / "features.npz"


def test_verify_prints_the_ladder_and_writes_its_files(run, tmp_path):
    code, out, err = run("verify", "digits", *SMALL, "--resolution", "0.5")
    assert code == 0, out
    assert err == ""
    for word in ("lr 0.05, batches of 8", "61 modes", "langevin", "exact, stationary", "PASSED", "(95 %)"):
        assert word in out
    assert max(map(len, out.split("PASSED")[0].splitlines())) <= 100
    written = sorted(path.name for path in (tmp_path / "fluctua-digits").iterdir())
    stems = {"balance", "curve", "modes"}
    assert written == sorted([f"{s}.{e}" for s in stems for e in ("png", "svg")] + ["result.json", "result.npz"])


def test_a_failed_verdict_has_exit_code_one(run):
    code, out, _ = run("verify", "digits", *SMALL, "--resolution", "0.001")
    assert code == 1
    assert "FAILED" in out


def test_verify_json_follows_the_schema_and_names_the_data(run):
    _, out, _ = run("verify", "digits", *SMALL, "--json")
    result = json.loads(out)
    jsonschema.validate(result, json.loads((files("fluctua") / "schemas" / "verdict.json").read_text()))
    assert result["data"]["name"].startswith("digits")
    assert len(result["data"]["sha256"]) == 64


def test_the_same_seed_gives_the_same_numbers(run):
    first, second = (json.loads(run("verify", "digits", *SMALL, "--json")[1]) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("dynamics", ["langevin", "langevin_state_dependent"])
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
    schema = json.loads((files("fluctua") / "schemas" / "prediction.json").read_text())
    for extra in ([], ["--steps", "200", "--start", "zero"], ["--theory", "langevin"]):
        result = json.loads(run("predict", "digits", "--lr", "0.05", *extra, "--json")[1])
        jsonschema.validate(result, schema)
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
    jsonschema.validate(result, json.loads((files("fluctua") / "schemas" / "prediction.json").read_text()))
    assert result["recipe"]["nesterov"] is True
    assert result["held_out"]["expected"] == pytest.approx(result["held_out"]["optimum"] + result["held_out"]["excess"])


def test_predict_tells_the_spread_between_runs_and_refuses_it_where_outputs_are_not_told_apart(run, features):
    options = "predict", features, "--lr", "0.02", "--spread"
    code, out, _ = run(*options)
    assert code == 0
    assert "spread        loss between runs: +-" in out
    result = json.loads(run(*options, "--json")[1])
    jsonschema.validate(result, json.loads((files("fluctua") / "schemas" / "prediction.json").read_text()))
    assert result["spread"]["mean"] == pytest.approx(result["excess_loss"])
    code, _, err = run(*options, "--theory", "hessian")
    assert code == 2
    assert "sum over outputs" in err


def test_verify_passes_with_momentum_and_refuses_what_torch_refuses(run):
    code, out, _ = run("verify", "digits", *SMALL, "--momentum", "0.5", "--dampening", "0.2", "--resolution", "0.5")
    assert code == 0
    assert "momentum 0.5 (dampening 0.2)" in out
    for wrong in (["--nesterov"], ["--momentum", "1"], ["--momentum", "0.9", "--dampening", "0.1", "--nesterov"]):
        code, _, err = run("verify", "digits", *SMALL, *wrong)
        assert code == 2
        assert "momentum" in err


def test_an_average_of_the_weights_is_predicted_verified_and_drawn(run, tmp_path):
    code, out, _ = run("predict", "digits", "--lr", "0.05", "--ema", "0.99")
    assert code == 0
    assert "exact, stationary, averaged with decay 0.99" in out
    assert "excess loss   0.00118734" in out
    code, out, _ = run("verify", "digits", *SMALL, "--ema", "0.9", "--resolution", "0.5", "--json", "--out", "ema")
    assert code == 0
    jsonschema.validate(json.loads(out), json.loads((files("fluctua") / "schemas" / "verdict.json").read_text()))
    assert sorted(path.name for path in (tmp_path / "ema").glob("*.png")) == ["curve.png", "modes.png"]
    code, _, err = run("verify", "digits", "--ema", "1")
    assert code == 2
    assert "decay must be less than 1" in err


def test_shuffled_epochs_are_predicted_averaged_and_at_a_position(run, features):
    options = "predict", features, "--lr", "0.02", "--batch-size", "32", "--sampling", "shuffle"
    code, out, _ = run(*options)
    assert code == 0
    assert "shuffled epochs of batches of 32" in out
    assert "theory        exact, stationary, averaged over the epoch\n" in out
    assert "exact, stationary, 3 steps into an epoch\n" in run(*options, "--position", 3)[1]
    assert "exact, after 1,000 steps\n" in run(*options, "--steps", "1000")[1]
    schema = json.loads((files("fluctua") / "schemas" / "prediction.json").read_text())
    found = [json.loads(run(*options, "--json", *extra)[1]) for extra in ([], ["--position", "0"], ["--drop-last"])]
    for result in found:
        jsonschema.validate(result, schema)
    assert [result["position"] for result in found] == [None, 0, None]
    assert [result["recipe"]["drop_last"] for result in found] == [False, False, True]
    assert len({result["excess_loss"] for result in found}) == 3


def test_shuffled_epochs_are_verified_beside_independent_batches(run, features, tmp_path):
    code, out, err = run("verify", features, *SMALL, "--lr", "0.02", "--sampling", "shuffle", "--drop-last")
    assert code in (0, 1), err
    for word in ("shuffled epochs of batches of 8 (incomplete last batch dropped)", "independent batches"):
        assert word in out
    assert "langevin" not in out
    assert {path.stem for path in (tmp_path / "fluctua-features").glob("*.png")} == {"curve", "modes"}


SHUFFLE = ("--sampling", "shuffle")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "--position", 3), "Use --sampling shuffle"),
        (("predict", *SHUFFLE, "--position", 25), "to 24, its last step; got 25"),
        (("predict", *SHUFFLE, "--position", -1), "got -1"),
        (("predict", *SHUFFLE, "--position", 3, "--steps", 9), "has its position already"),
        (("predict", *SHUFFLE, "--spread"), "covariances of single outputs"),
        (("predict", "--drop-last"), "drop_last needs epochs"),
        (("verify", "--sampling", "sequential"), "periodic orbit"),
        (("verify", "--sampling", "single_shuffle"), "periodic orbit"),
        (("plan", "--budget", 50, *SHUFFLE), "learning curves of independent batches"),
        (("noise", *SHUFFLE), "no memory"),
    ],
)
def test_what_is_not_there_in_epochs_is_refused(run, features, tmp_path, arguments, message):
    command, *options = arguments
    code, _, err = run(command, features, *options)
    assert code == 2
    assert message in err
    assert {path.name for path in tmp_path.iterdir()} == {"features.npz"}


def test_a_users_file_is_verified_and_predicted(run, features, tmp_path):
    code, out, _ = run("verify", features, *SMALL, "--resolution", "0.5")
    assert code in (0, 1)
    assert "200 samples, 6 inputs, 2 outputs" in out
    assert (tmp_path / "fluctua-features" / "result.json").exists()
    assert run("predict", features)[0] == 0


def test_noise_prints_and_draws(run, tmp_path):
    code, out, _ = run("noise", "digits", "--steps", "50", "--replicas", "8", "--seed", "2", "--level", "1e-6")
    assert code == 0, out
    for word in ("mean", "covariance", "memory", "excess kurtosis"):
        assert word in out
    names = {path.name for path in (tmp_path / "fluctua-digits").iterdir()}
    assert names == {"noise.json", "noise.png", "noise.svg"}
    schema = json.loads((files("fluctua") / "schemas" / "noise.json").read_text())
    jsonschema.validate(json.loads((tmp_path / "fluctua-digits" / "noise.json").read_text()), schema)


IN_TIME = ["--dynamic", "--steps", "64", "--replicas", "16", "--modes", "4", "--seed", "1"]


def test_verify_dynamic_prints_its_statements_and_writes_its_files(run, tmp_path):
    code, out, err = run("verify", "digits", *IN_TIME, "--level", "1e-9", "--resolution", "0.9")
    assert err == ""
    for word in ("correlation = S x response", "equilibrium FDT, no current", "pairs of modes", "areas", "plug-in",
                 "seen from step 32 on"):  # fmt: skip
        assert word in out
    assert code in (0, 1)
    assert ("PASSED" if code == 0 else "FAILED") in out
    assert max(map(len, out.split("PASSED")[0].split("FAILED")[0].splitlines())) <= 100
    directory = tmp_path / "fluctua-digits"
    written = sorted(path.name for path in directory.iterdir())
    stems = {"circulation", "current", "regression", "response"}
    assert written == sorted([f"{s}.{e}" for s in stems for e in ("png", "svg")] + ["dynamic.json", "dynamic.npz"])
    before = {path.name: path.read_bytes() for path in directory.glob("*.svg")}
    assert run("plot", directory, "--out", tmp_path / "again")[0] == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").glob("*.svg")} == before


def test_verify_dynamic_prints_json_of_the_published_schema(run, features):
    _, out, _ = run("verify", features, *IN_TIME, "--lags", "1,4", "--json")
    schema = json.loads((files("fluctua") / "schemas" / "dynamic.json").read_text())
    found = json.loads(out)
    jsonschema.validate(found, schema)
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


def test_plot_redraws_the_same_figures_from_the_result(run, tmp_path):
    run("verify", "digits", *SMALL)
    directory = tmp_path / "fluctua-digits"
    before = {path.name: path.read_bytes() for path in directory.glob("*.svg")}
    code, _, _ = run("plot", directory, "--out", tmp_path / "again")
    assert code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").glob("*.svg")} == before


@pytest.mark.parametrize("name", ["verdict", "dynamic", "prediction", "noise"])
def test_the_schemas_are_published(run, name):
    code, out, _ = run("schema", name)
    assert code == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(out))


def test_data_list_and_path(run, tmp_path):
    code, out, _ = run("data", "list", "--data-dir", tmp_path)
    assert code == 0
    assert {"digits", "mnist", "emnist", "cifar10"} <= set(out.split())
    assert isinstance(json.loads(run("data", "list", "--data-dir", tmp_path, "--json")[1]), list)
    assert run("data", "path", "--data-dir", tmp_path)[1].strip() == str(tmp_path)


def _bad_file(tmp_path, **arrays):
    np.savez(tmp_path / "bad.npz", **arrays)
    return ["verify", "bad.npz"]


BAD = {
    "nan": (lambda p: _bad_file(p, X=[[1.0, np.nan], [1, 2]], y=[0, 1]), "nan"),
    "infinity": (lambda p: _bad_file(p, X=[[1.0, np.inf], [1, 2]], y=[0, 1]), "inf"),
    "shape": (lambda p: _bad_file(p, X=[1.0, 2.0], y=[0, 1]), "shape"),
    "mismatch": (lambda p: _bad_file(p, X=np.eye(3), y=[0, 1]), "3"),
    "empty": (lambda p: _bad_file(p, X=np.empty((0, 2)), y=np.empty(0, int)), "empty"),
    "one sample": (lambda p: _bad_file(p, X=[[1.0, 2.0]], y=[1.5]), "single sample"),
    "constant": (lambda p: _bad_file(p, X=np.ones((5, 2)), y=[0, 1, 0, 1, 0]), "constant"),
    "batch 0": (lambda _: ["verify", "digits", "--batch-size", "0"], "at least 1, got 0"),
    "batch -3": (lambda _: ["verify", "digits", "--batch-size", "-3"], "got -3"),
    "batch > N": (lambda _: ["verify", "digits", "--batch-size", "2000", "--sampling", "without_replacement"], "1797"),
    "lr 0": (lambda _: ["verify", "digits", "--lr", "0"], "greater than 0"),
    "lr < 0": (lambda _: ["predict", "digits", "--lr", "-0.1"], "greater than 0"),
    "lr nan": (lambda _: ["predict", "digits", "--lr", "nan"], "finite"),
    "unstable": (lambda _: ["verify", "digits", "--lr", "0.3"], "0.1886971"),
    "data": (lambda _: ["verify", "digist"], "Did you mean 'digits'?"),
    "sampling": (lambda _: ["verify", "digits", "--sampling", "with_replacment"], "Did you mean 'with_replacement'?"),
    "theory": (lambda _: ["predict", "digits", "--theory", "exat"], "Did you mean 'exact'?"),
    "command": (lambda _: ["verfy", "digits"], "Did you mean 'verify'?"),
    "option": (lambda _: ["verify", "digits", "--batchsize", "8"], "--batch-size"),
    "missing file": (lambda _: ["verify", "nowhere.npz"], "does not exist"),
    "missing data": (lambda p: ["verify", "mnist", "--data-dir", str(p)], "fluctua data fetch mnist"),
    "result": (lambda _: ["plot", "nowhere"], "no such result"),
    "schema": (lambda _: ["schema", "verdit"], "Did you mean 'verdict'?"),
    "seed": (lambda _: ["verify", "digits", "--seed", "-1"], "seed"),
    "no argument": (lambda _: ["verify"], "DATA"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_paragraph_and_exit_code_two_and_leaves_nothing(run, tmp_path, case):
    make, expected = BAD[case]
    code, out, err = run(*make(tmp_path))
    assert code == 2
    assert expected in err
    assert "Traceback" not in err + out
    assert {path.name for path in tmp_path.iterdir()} <= {"bad.npz"}


@pytest.mark.parametrize(("content", "word"), [(b"", "bad"), (b"PK\x03\x04 cut short", "bad"), (b"text", "bad")])
def test_a_corrupt_file_is_refused(run, tmp_path, content, word):
    (tmp_path / "bad.npz").write_bytes(content)
    code, _, err = run("verify", "bad.npz")
    assert code == 2
    assert word in err


def test_an_unwritable_output_is_refused_before_any_work(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    began = time.perf_counter()
    code, out, err = run("verify", "digits", "--out", tmp_path / "file" / "sub")
    assert code == 2
    assert "--out" in err
    assert out == ""
    assert time.perf_counter() - began < 5


def test_debug_shows_the_traceback():
    with pytest.raises(ValueError, match="digist"):
        main(["--debug", "verify", "digist"])


def test_force_simulates_beyond_the_limit_and_reports_divergence(run):
    code, out, _ = run(
        "verify", "digits", "--lr", "0.5", "--force", "--steps", "1000", "--replicas", "4", "--seed", "1"
    )
    assert code == 1
    assert "diverged" in out


def test_an_interrupt_keeps_finished_replicas_and_resume_gives_the_same_numbers(run, tmp_path):
    arguments = ["verify", "digits", "--steps", "1000", "--replicas", "64", "--seed", "4", "--threads", "1", "--json"]
    whole = run(*arguments, "--out", tmp_path / "whole")[1]
    checkpoint = tmp_path / "cut" / "checkpoint.npz"
    child = subprocess.Popen([sys.executable, "-m", "fluctua", *arguments, "--out", "cut"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=dict(os.environ), text=True)  # fmt: skip
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


def test_plan_prints_a_table_and_what_to_use(run):
    code, out, err = run("plan", "digits", "--budget", 100, "--schedule", "constant", "--schedule", "linear",
                         "--momentum", 0, "--batch-size", 8, "--batch-size", 32)  # fmt: skip
    assert (code, err) == (0, "")
    for word in ("100 steps of 8 samples", "of limit", "use       lr ", "LinearLR", "cost      to training loss"):
        assert word in out
    assert max(map(len, out.splitlines())) <= 110


@pytest.mark.statistical(alpha=3e-4)
def test_plan_json_follows_the_schema_and_the_check_agrees(run):
    code, out, _ = run("plan", "digits", "--samples", 1600, "--batch-size", 16, "--momentum", 0.5,
                       "--schedule", "cosine", "--check", "--replicas", 16, "--seed", 4, "--json")  # fmt: skip
    result = json.loads(out)
    jsonschema.validate(result, json.loads((files("fluctua") / "schemas" / "plans.json").read_text()))
    assert code == 0
    assert result["plans"][0]["steps"] == 100
    assert len(result["rehearsal"]["runs"]) == 2  # twice the winner's rate is beyond the limit


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "either --budget STEPS or --samples"),
        (("--budget", 10, "--samples", 10), "either --budget STEPS or --samples"),
        (("--budget", 0), "steps must be at least 1"),
        (("--budget", 10, "--schedule", "cosin"), "Did you mean 'cosine'?"),
    ],
)
def test_a_plan_without_a_budget_or_with_a_wrong_name_is_refused(run, arguments, message):
    code, _, err = run("plan", "digits", *arguments)
    assert code == 2
    assert message in err


@pytest.mark.parametrize("command", ["predict", "verify"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--schedule", "cosine"), "CosineAnnealingLR(T_max=64"),
        (("--schedule", "rates.npy"), "a schedule of 64 rates"),
        (("--tail", "20"), "averaged over all steps after 44"),
        (("--ema", "0.9"), "averaged with decay 0.9"),
    ],
)
def test_schedules_and_averages(run, command, options, words, tmp_path):
    np.save(tmp_path / "rates.npy", np.linspace(1, 0.5, 64))
    code, out, err = run(command, "digits", *(SMALL if command == "verify" else SMALL[:2]), *options)
    assert code in (0, 1), err
    assert words in " ".join(out.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--schedule", "cosine"), "needs --steps"),
        (("--tail", "20"), "needs --steps"),
        (("--steps", "10", "--tail", "20"), "more steps than the run"),
        (("--steps", "10", "--tail", "5", "--ema", "0.9"), "give one"),
        (("--steps", "10", "--schedule", "cosin"), "Did you mean 'cosine'?"),
        (("--steps", "10", "--schedule", "none.npy"), "does not exist"),
    ],
)
def test_schedules_and_averages_that_do_not_fit_are_refused(run, options, message):
    code, _, err = run("predict", "digits", *options)
    assert code == 2
    assert message in err


def test_a_rate_above_the_limit_is_a_warning(run):
    code, _, err = run("predict", "digits", "--lr", "0.3", "--schedule", "cosine", "--steps", "50")
    assert code == 0
    assert "fluctua: warning: from step 0 on" in err
