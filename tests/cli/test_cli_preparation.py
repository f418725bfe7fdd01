"""--bias, --center, --standardize and --test-size, on every command that poses a problem."""

import json

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

import fluctua as fl
from helpers.commands import SMALL, check

OPTIONS = ["--bias", "--center", "--test-size", "0.2", "--seed", "1"]


@pytest.fixture
def train(tmp_path):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(300, 5)) + 4
    labels = (inputs[:, 0] > 4).astype(int) + (inputs[:, 1] > 4)
    np.savez(tmp_path / "train.npz", X=inputs, y=labels)
    np.savez(tmp_path / "held.npz", X=inputs[:40] + 0.1, y=labels[:40])
    return inputs, labels


def by_hand(inputs, labels, **switches):
    """The same with scikit-learn's split and explicit arrays."""
    train, test, known, unknown = train_test_split(inputs, labels, test_size=0.2, random_state=1, stratify=labels)
    preparation = fl.Preparation(**switches)
    problem = fl.LeastSquares(preparation.fit_transform(train, known), preparation.encode(known))
    return problem, preparation.transform(test), preparation.encode(unknown)


def test_predict_prepares_splits_and_scores_what_was_held_out(run, train):
    code, out, err = run("predict", "train.npz", *OPTIONS, "--lr", "0.02", "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    check(result, "prediction")
    problem, inputs, targets = by_hand(*train, bias=True, center=True)
    prediction = fl.predict(problem, fl.SGD(0.02, 8))
    assert result["excess_loss"] == pytest.approx(prediction.excess_loss, rel=1e-9)
    assert result["held_out"]["expected"] == pytest.approx(
        fl.held_out_loss(prediction, inputs, targets).expected, rel=1e-9
    )
    done = result["data"]["preparation"]
    assert {key: done[key] for key in ("bias", "center", "standardize", "test_size", "held_out", "seed")} == {
        "bias": True,
        "center": True,
        "standardize": False,
        "test_size": 0.2,
        "held_out": 60,
        "seed": 1,
    }
    assert result["held_out"]["data"]["preparation"] == done


@pytest.mark.usefixtures("train")
def test_the_words_say_what_was_done(run):
    _, out, _ = run("predict", "train.npz", *OPTIONS, "--standardize", "--lr", "0.02")
    assert "prepared  centred, standardised, a column of ones; 20 % held out, seed 1\n" in out
    assert "240 samples, 6 inputs" in out
    assert "held out      train.npz, held out: " in out
    assert "prepared  centred, no bias\n" in run("predict", "train.npz", "--center", "--lr", "0.02")[1]
    assert "prepared" not in run("predict", "train.npz", "--lr", "0.02")[1]


@pytest.mark.usefixtures("train")
def test_held_out_files_are_prepared_as_the_training_was(run):
    _, out, _ = run(
        "predict", "train.npz", "--bias", "--standardize", "--held-out", "held.npz", "--lr", "0.02", "--json"
    )
    preparation = fl.Preparation(bias=True, standardize=True)
    train = preparation.fit_transform(fl.load("train.npz"))
    held_out = preparation.transform(fl.load("held.npz"))
    prediction = fl.predict(fl.LeastSquares(train.inputs, train.targets), fl.SGD(0.02, 8))
    expected = fl.held_out_loss(prediction, held_out.inputs, held_out.targets).expected
    assert json.loads(out)["held_out"]["expected"] == pytest.approx(expected, rel=1e-9)
    assert json.loads(out)["data"]["sha256"] == train.sha256


def test_plan_minimises_the_loss_of_what_was_held_out(run, train):
    code, out, _ = run(
        "plan", "train.npz", *OPTIONS, "--budget", "50", "--schedule", "constant", "--momentum", "0", "--json"
    )
    assert code == 0
    result = json.loads(out)
    check(result, "plans")
    assert result["data"]["preparation"]["seed"] == 1
    problem, inputs, targets = by_hand(*train, bias=True, center=True)
    same = fl.plan(problem, 50, batch_size=32, schedules=["constant"], momenta=[0.0], held_out=(inputs, targets))
    assert result["plans"][0]["objective"] == "held-out"
    assert same.best.loss == pytest.approx(result["plans"][0]["candidates"][0]["loss"], rel=1e-6)


@pytest.mark.usefixtures("train")
@pytest.mark.any_seed
def test_noise_says_what_was_done(run):
    code, out, _ = run("noise", "train.npz", *OPTIONS, "--steps", 8, "--replicas", 4, "--level", 1e-6, "--json")
    assert code in (0, 1)
    check(json.loads(out), "noise")
    assert json.loads(out)["data"]["preparation"]["center"]


@pytest.mark.any_seed
@pytest.mark.usefixtures("train", "undrawn")
def test_verify_has_it_in_the_result_on_the_page_and_in_the_command_to_repeat(run, tmp_path, monkeypatch):
    monkeypatch.setattr("fluctua.cli.verify.with_survey", lambda verdict, *_: verdict)
    options = [option for option in SMALL if option != "--no-report"]
    run("verify", "train.npz", *options, "--bias", "--standardize", "--test-size", "60", "--lr", "0.02")
    result = json.loads((tmp_path / "fluctua-train" / "result.json").read_text())
    check(result, "verdict")
    assert result["data"]["preparation"]["test_size"] == 60
    page = (tmp_path / "fluctua-train" / "report.html").read_text()
    assert "<dt>Prepared<dd>centred, standardised, a column of ones; 60 samples held out, seed 1\n" in page
    command = page.split("<pre>")[1].split("</pre>")[0]
    assert " --bias --center --standardize --test-size 60 " in command
    again = command.replace("DATA", "train.npz").split()[1:]
    run(*again, "--out", "again", "--no-report", "--level", "1e-6")
    repeated = json.loads((tmp_path / "again" / "result.json").read_text())
    assert repeated["excess_loss"] == result["excess_loss"]
    assert repeated["data"] == result["data"]


@pytest.mark.any_seed
@pytest.mark.usefixtures("train", "undrawn")
def test_a_split_and_a_run_share_a_fresh_seed(run):
    quick = ["--steps", "16", "--replicas", "8", "--level", "1e-6", "--no-report", "--json", "--lr", "0.02"]
    result = json.loads(run("verify", "train.npz", "--test-size", "0.2", *quick)[1])
    assert str(result["data"]["preparation"]["seed"]) == result["identity"]["entropy"]


@pytest.mark.any_seed
@pytest.mark.usefixtures("train", "undrawn")
def test_the_verdict_in_time_says_it_too(run, tmp_path):
    options = ["--dynamic", *SMALL[:-1], "--modes", 2, "--lr", "0.02", *OPTIONS[:-2]]
    run("verify", "train.npz", *options)
    result = json.loads((tmp_path / "fluctua-train" / "dynamic.json").read_text())
    check(result, "dynamic")
    assert result["data"]["preparation"]["bias"]
    page = (tmp_path / "fluctua-train" / "report.html").read_text()
    assert "<dt>Prepared<dd>centred, a column of ones; 20 % held out, seed 1\n" in page
    assert "fluctua verify train.npz --dynamic --bias --center --test-size 0.2 " in page


def test_predict_advises_and_says_by_how_much(run, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "relu.npz", X=np.maximum(rng.normal(size=(500, 8)) + 2, 0), y=rng.integers(2, size=500))
    _, out, _ = run("predict", "relu.npz", "--lr", "0.01")
    assert "advice        --bias --center would help, at a rate that is by estimate as near to the limit:\n" in out
    assert max(map(len, out.splitlines())) <= 100
    problem = fl.LeastSquares(*(getattr(fl.load("relu.npz"), name) for name in ("inputs", "targets")))
    found = fl.conditioning(problem, fl.SGD(0.01, 8))
    assert found.words.splitlines()[-1] in out
    result = json.loads(run("predict", "relu.npz", "--lr", "0.01", "--json")[1])
    check(result, "prediction")
    assert result["conditioning"] == found.to_dict()
    assert "advice" not in run("predict", "relu.npz", "--lr", "0.01", "--bias", "--center")[1]


REFUSED = {
    "two held-out": (["--test-size", "0.2", "--held-out", "held.npz"], "--test-size 0.2 splits .* --held-out held.npz"),
    "no size": (["--test-size", "much"], "neither a share of the samples"),
    "all": (["--test-size", "300"], "leaves 0 to train on"),
    "none": (["--test-size", "0"], "test_size must be at least 1"),
    "a share of one": (["--test-size", "1.0"], "above 0 and below 1"),
    "nan": (["--test-size", "nan"], "test_size must be a finite number"),
    "a negative seed": (["--test-size", "0.2", "--seed", "-1"], "seed|rng"),
}


@pytest.mark.usefixtures("train")
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(run, case):
    options, words = REFUSED[case]
    code, out, err = run("predict", "train.npz", *options)
    assert (code, out) == (2, "")
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(err)


@pytest.mark.usefixtures("train")
def test_a_resumed_run_needs_the_seed_of_its_split(run):
    code, _, err = run("verify", "train.npz", "--test-size", "0.2", "--resume")
    assert code == 2
    assert "--resume with --test-size 0.2 needs the --seed of the interrupted run" in err


def test_a_class_that_a_split_would_leave_untrained_is_refused(run, train, tmp_path):
    inputs, labels = train
    labels = labels.copy()
    labels[7] = 9
    np.savez(tmp_path / "rare.npz", X=inputs, y=labels)
    code, _, err = run("plan", "rare.npz", "--budget", "9", "--test-size", "0.2")
    assert code == 2
    assert "the label 9 has a single sample" in err
