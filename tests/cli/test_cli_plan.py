"""Planning, schedules and averages on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

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
