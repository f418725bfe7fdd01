"""Planning, schedules and averages on the command line."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import fluctua as fl
from helpers.commands import SMALL, check


def test_plan_prints_a_table_and_what_to_use(run):
    code, out, err = run(
        "plan",
        "digits",
        "--budget",
        100,
        "--schedule",
        "constant",
        "--schedule",
        "linear",
        "--momentum",
        0,
        "--batch-size",
        8,
        "--batch-size",
        32,
    )
    assert (code, err) == (0, "")
    for word in ("100 steps of 8 samples", "of limit", "use       lr ", "LinearLR", "cost      to training loss"):
        assert word in out
    assert max(map(len, out.splitlines())) <= 110


@pytest.mark.statistical(alpha=3e-4)
def test_plan_json_follows_the_schema_and_the_check_agrees(run):
    code, out, _ = run(
        "plan",
        "digits",
        "--samples",
        1600,
        "--batch-size",
        16,
        "--momentum",
        0.5,
        "--schedule",
        "cosine",
        "--check",
        "--replicas",
        16,
        "--seed",
        4,
        "--json",
    )
    result = json.loads(out)
    check(result, "plans")
    assert code == 0
    assert result["plans"][0]["steps"] == 100
    assert len(result["rehearsal"]["runs"]) == 2  # twice the winner's rate is beyond the limit


def test_plan_says_what_is_skipped_and_which_rate_is_at_the_edge(run):
    """After two steps every decay ends best at the largest rate that is tried."""
    asked = ("plan", "digits", "--budget", 2, "--batch-size", 64)
    code, out, err = run(*asked)
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    assert "skipped " in words
    assert "with momentum 0.9: only the best 2 schedules of momentum 0 are tried with it" in words
    assert "at the edge of the search, where the loss still falls" in words
    assert "`verify` rejects a true theory more often" in words
    (found,) = check_plans(run(*asked, "--json"))
    assert len(found["candidates"]) + len(found["skipped"]) == 10
    assert {one["momentum"] for one in found["skipped"]} == {0.9}
    assert all("name the schedule" in one["reason"] for one in found["skipped"])
    assert any(one["at_edge"] for one in found["candidates"])
    assert {one["method"] for one in found["limits"]} == {"exact"}


def check_plans(answer):
    """The plans of a command's JSON, which follows the schema."""
    code, out, err = answer
    assert (code, err) == (0, "")
    result = json.loads(out)
    check(result, "plans")
    return result["plans"]


def test_plan_in_shuffled_epochs_tries_schedules(run, tmp_path):
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(60, 2))
    np.savez(tmp_path / "some.npz", X=inputs, y=inputs @ [1.0, 2.0] + rng.normal(size=60))
    asked = ("--budget", 12, "--batch-size", 10, "--momentum", 0, "--sampling", "shuffle", "--json")
    (found,) = check_plans(run("plan", tmp_path / "some.npz", *asked))
    assert {one["shape"] for one in found["candidates"]} == {"constant", "linear", "cosine", "step", "inverse"}
    assert [one["exact"] for one in found["candidates"][:2]] == [True, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "either --budget STEPS or --samples"),
        (("--budget", 10, "--samples", 10), "either --budget STEPS or --samples"),
        (("--budget", 0), "steps must be at least 1"),
        (("--budget", 10, "--check", "--replicas", 8), "--replicas must be at least 16, got 8"),
        (("--budget", 10, "--schedule", "cosin"), "Did you mean 'cosine'?"),
    ],
)
def test_a_plan_without_a_budget_or_with_a_wrong_name_is_refused(run, arguments, message):
    code, out, err = run("plan", "digits", *arguments)
    assert code == 2
    assert "steps of" not in out
    assert message in err


OTHERS = {"exponential": "ExponentialLR", "onecycle": "OneCycleLR", "warmup-cosine": "SequentialLR"}


def test_plan_tries_the_schedules_that_are_asked_for(run):
    asked = [word for name in OTHERS for word in ("--schedule", name)]
    code, out, err = run("plan", "digits", "--budget", 60, "--momentum", 0, *asked, "--json")
    assert code == 0, err
    result = json.loads(out)
    check(result, "plans")
    found = {one["shape"]: one["recipe"]["schedule"]["name"] for one in result["plans"][0]["candidates"]}
    assert found == OTHERS


@pytest.mark.any_seed
@pytest.mark.parametrize(("command", "schema"), [("predict", "prediction"), ("verify", "verdict")])
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.usefixtures("undrawn")
def test_every_name_makes_its_schedule(run, command, schema, name):
    code, out, err = run(
        command, "digits", *(SMALL if command == "verify" else SMALL[:2]), "--schedule", name, "--json"
    )
    assert code in (0, 1), err
    result = json.loads(out)
    check(result, schema)
    recipe = (result if command == "predict" else result["identity"])["recipe"]
    assert recipe["schedule"]["name"] == OTHERS[name]


@pytest.mark.any_seed
@pytest.mark.parametrize("command", ["predict", "verify"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--schedule", "cosine"), "CosineAnnealingLR(T_max=64"),
        (("--schedule", "rates.npy"), "a schedule of 64 rates"),
        (("--tail", "20"), "averaged over all steps after 44"),
        (("--ema", "0.9"), "averaged with decay 0.9"),
        (("--ema", "0.9", "--average-every", "16"), "averaged with decay 0.9 every 16 steps"),
        (("--tail", "40", "--average-every", "16"), "averaged over one step in 16 after 24"),
    ],
)
@pytest.mark.usefixtures("undrawn")
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
    assert "fluctua: warning: from step 0 to step" in err


LOOP = ("--schedule", "linear", "--momentum", 0, "--batch-size", 16, "--torch")


def code_in(out):
    """The loops at the end of what was printed, each from its first import on."""
    return [f"import numpy{part}" for part in out.split("import numpy")[1:]]


def test_a_plan_ends_with_its_loop_in_torch_and_json_has_it_for_both_losses(run):
    code, out, err = run("plan", "digits", "--budget", 40, *LOOP)
    assert (code, err) == (0, "")
    asked = ("plan", "digits", "--budget", 40, *LOOP)
    (found,) = check_plans(run(*asked, "--json"))
    assert out.endswith(found["torch_code"]["half"])
    assert run(*asked, "mse")[1].endswith(found["torch_code"]["mse"])
    best = found["candidates"][0]
    assert f"lr={best['recipe']['lr']}" in found["torch_code"]["half"]
    assert f"predicted {best['loss']:.6g} +- " in found["torch_code"]["half"]
    assert "torch.nn.MSELoss()" in found["torch_code"]["mse"]
    assert out.index("use       lr") < out.index("import numpy")
    assert "import numpy" not in run(*asked[:-1])[1]


def test_each_batch_size_has_its_loop(run):
    _, out, err = run("plan", "digits", "--budget", 20, "--batch-size", 64, *LOOP)
    assert err == ""
    assert [re.findall(r"batch_size=(\d+)", each) for each in code_in(out)] == [["64"], ["16"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("plan", "--torch", "digits", "--budget", 10),
            "'digits' is no loss. Give half or mse, or --torch alone, after",
        ),
        (("plan", "digits", "--budget", 10, "--torch", "sum"), "'sum' is no loss"),
        (("predict", "digits", "--torch"), "give it with --steps and --start zero"),
        (("predict", "digits", "--steps", 5, "--torch", "mse"), "give it with --steps and --start zero"),
        (("predict", "digits", "--start", "zero", "--torch"), "needs --steps"),
    ],
)
def test_a_loop_of_no_loss_or_no_run_is_refused(run, arguments, message):
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert message in " ".join(err.split())


def test_predict_writes_the_loop_of_the_recipe_that_was_asked_about(run):
    asked = ("--steps", 30, "--start", "zero", "--ema", 0.9, "--average-every", "epoch", "--limit", 200, "--torch")
    code, out, err = run("predict", "digits", "--lr", 0.05, "--schedule", "onecycle", *asked)
    assert (code, err) == (0, "")
    (loop,) = code_in(out)
    for words in (
        "max_lr=0.05, total_steps=30, cycle_momentum=False",
        "if step % 25 == 0:",
        "get_ema_multi_avg_fn(0.9)",
    ):
        assert words in " ".join(loop.split()).replace("( ", "(")
    code, out, _ = run("predict", "digits", "--lr", 0.05, "--schedule", "onecycle", *asked, "--json")
    result = json.loads(out)
    check(result, "prediction")
    assert result["torch_code"].endswith(f"limit=200); inputs, targets = data.inputs, data.targets\n{loop}")
    assert f"predicted {result['optimum_loss'] + result['excess_loss']:.6g} +- " in loop


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ((), "y.reshape(-1, 1) == np.unique(y)"),
        (("--classes", "8,3"), "classes = [8, 3]"),
        (("--classes", "3,8"), "y.reshape(-1, 1) == np.unique(y)"),
        (("--limit", 6), "classes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"),
    ],
)
def test_labels_of_a_data_set_have_the_columns_that_the_plan_had(run, choice, words):
    asked = ("--lr", 0.05, "--batch-size", 4, "--steps", 5, "--start", "zero", "--torch", "mse")
    code, out, _ = run("predict", "digits", *choice, *asked)
    assert code == 0
    assert words in out


def test_values_of_a_file_are_no_labels(run, tmp_path):
    inputs = np.random.default_rng(3).normal(size=(60, 2))
    np.savez(tmp_path / "some.npz", X=inputs, y=inputs @ [1.0, 2.0] + 0.1 * inputs[:, 0] ** 2)
    code, out, _ = run("predict", tmp_path / "some.npz", "--steps", 5, "--start", "zero", "--torch")
    assert code == 0
    assert "np.unique" not in out
    assert "y.reshape(len(x), -1)" in out


@pytest.mark.parametrize(
    "command", [("plan", "--budget", 20, *LOOP[:-1]), ("predict", "--steps", 20, "--start", "zero")]
)
def test_a_loop_says_which_line_selects_its_samples(run, command):
    name, *options = command
    _, out, err = run(name, "digits", "--classes", "3,8", "--limit", 100, *options, "--torch")
    assert err == ""
    (line,) = [line for line in out.splitlines() if line.startswith("# data = ")]
    there = {"fluctua": fl}
    exec(line.removeprefix("# "), there)
    chosen = fl.load("digits", classes=[3, 8], limit=100)
    np.testing.assert_array_equal(there["inputs"], chosen.inputs)
    np.testing.assert_array_equal(there["targets"], chosen.targets)
    assert "# data = " not in run(name, "digits", *options, "--torch")[1]
