"""Runs of the network and their verdict: foretold against learned, with what is wrong on purpose rejected."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import fluctua as fl
from fluctua.report import render
from fluctua.studies import learning
from fluctua.studies.learning.beginning import begin
from fluctua.studies.learning.runs import learn
from fluctua.studies.learning.tasks import Tasks
from fluctua.verification.conclusion import StatementVerdict
from fluctua.verification.left_out import pseudo_values
from helpers.commands import check

CYCLE = np.roll(np.eye(4), 1, axis=0)
SYMMETRIC, DRIVEN = 0.45 * (CYCLE + CYCLE.T), CYCLE * [0.9, 0.5, 0.2, 1.2] + np.diag([0.3, 0, 0, 0.2])
GIVEN, TARGET = np.array([0, 1, 2, 3]), np.array([1, 2, 3, 0])
RUN = {"steps": 2000, "replicas": 512, "level": 1e-6}
"""Fixed beforehand: error bars of 1 % and below, by which a current of order one is some 50 of them."""


def verdict_of(coupling, rng, **options):
    net = learning.RateNetwork(coupling, gain=0.9, noise=0.05, dt=0.1, **options)
    return fl.verify(net, np.eye(4)[GIVEN], np.eye(4)[TARGET], rng=rng, **RUN)


@pytest.fixture(scope="module")
def driven():
    return verdict_of(DRIVEN, 1)


@pytest.fixture(scope="module")
def symmetric():
    return verdict_of(SYMMETRIC, 2)


@pytest.mark.statistical(alpha=1e-6, miss=1e-9)
def test_regression_holds_and_equilibrium_is_rejected_where_activity_is_driven(driven):
    """What is driven has chi far from S/D and C_1 far from its transpose: tens of error bars, as `RUN` says."""
    assert driven.consistent
    assert {row.name for row in driven.claims} == {"regression", "rotation", "learning", "balance"}
    for name in ("equilibrium", "product of variances", "C_1 transposed"):
        assert (driven.row(name).role, driven.row(name).consistent) == ("mutant", False)
        assert max(abs(each.z) for each in driven.row(name).quantities) > 20


@pytest.mark.statistical(alpha=1e-6, miss=1e-9)
def test_time_reversed_is_rejected_where_speeds_are_blind_to_it():
    """A cycle commutes with its transpose: xi^T chi xi is that of chi^T, and only the rotation tells."""
    net = learning.RateNetwork(0.9 * CYCLE, gain=0.9, noise=0.05, dt=0.1)
    verdict = fl.verify(net, np.eye(4)[0], np.eye(4)[1], rng=5, **{**RUN, "steps": 400, "replicas": 64})
    assert verdict.consistent
    assert verdict.row("C_1 transposed").role == "mutant"
    assert verdict.row("C_1 transposed").worst.name == "rotation"
    assert verdict.row("C_1 transposed").z < -20


@pytest.mark.statistical(alpha=4e-6)  # the claims' family, and three more of them at its level
def test_where_the_coupling_is_symmetric_all_estimators_hold(symmetric):
    assert symmetric.consistent
    for name in ("equilibrium", "product of variances", "C_1 transposed"):
        assert symmetric.row(name).consistent
        assert symmetric.row(name).role != "mutant"


@pytest.mark.any_seed
def test_a_speed_wrong_by_five_per_cent_is_a_statement_of_the_verdict(driven):
    assert {"regression x 1.05", "regression x 0.95"} <= {row.name for row in driven.mutants}
    assert driven.row("regression x 1.05").predicted == pytest.approx(1.05)


@pytest.mark.any_seed
@pytest.mark.parametrize("coupling", [SYMMETRIC, DRIVEN])
def test_a_linear_network_learns_without_noise_whatever_is_drawn(coupling):
    """The noise of the twin without an input is the same, and what is left is the exact speed to rounding."""
    net = learning.RateNetwork(coupling, gain=0.9, noise=0.05, dt=0.1, input_gain=2.0)
    state = fl.predict(net, np.eye(4)[GIVEN], np.eye(4)[TARGET])
    found, grown = learn(
        begin(net, 3, (1, 2), np.random.SeedSequence(5), 1, 4000), Tasks(state.inputs, state.targets), [0.05, 0.1]
    )
    assert found == pytest.approx(np.broadcast_to(state.speeds, found.shape), rel=1e-10)
    changed = [state.overlaps(eps)[0] - state.starts[0] for eps in (0.05, 0.1)]
    assert grown == pytest.approx(np.broadcast_to(changed, grown.shape), rel=1e-10)


@pytest.mark.any_seed
def test_the_derivative_with_tanh_is_that_of_the_runs_themselves():
    """The same noise, learned by a little more and a little less: the tangent is exact for every path."""
    net = learning.RateNetwork(DRIVEN, gain=1.1, noise=0.1, dt=0.1, activation="tanh", input_gain=0.5)
    tasks, eps = Tasks(np.eye(4)[:1], np.eye(4)[1:2]), 1e-5
    begun = begin(net, 40, (2, 2), np.random.SeedSequence(5), 1, 60)
    speeds, grown = learn(begun, tasks, [eps, 2 * eps])
    slope = (2 * grown[:, 0] / eps - grown[:, 1] / (2 * eps)).ravel()
    assert speeds.ravel() == pytest.approx(slope, rel=1e-6)


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-6, miss=1e-9)
def test_the_closure_holds_for_tanh_within_what_it_states_and_lower_rungs_do_not():
    """The linear rung is off by half, in error bars below 1 %."""
    net = learning.RateNetwork(0.9 * SYMMETRIC, 1.0, 0.3, 0.1, "tanh", 0.2)
    verdict = fl.verify(net, np.eye(4)[0], np.eye(4)[1], rng=4, steps=600, replicas=64, level=1e-6)
    assert verdict.consistent
    assert [row.name for row in verdict.claims] == ["gaussian closure"]
    assert "it states" in verdict.facts["Closure"]
    assert abs(verdict.row("linear").z) > 20


@pytest.mark.any_seed
@pytest.mark.parametrize("coupling", [[[0.5]], np.zeros((2, 2)), [[-0.5, 0.2], [0.1, -0.3]]])
def test_the_smallest_networks_have_a_verdict(coupling):
    net = learning.RateNetwork(coupling, gain=0.9, noise=0.05, dt=0.1)
    found = fl.verify(net, np.ones(net.neurons), np.ones(net.neurons), steps=64, replicas=8, rng=1, level=1e-9)
    assert {row.name for row in found.claims} >= {"regression", "learning", "balance"}
    assert all(np.isfinite(row.predicted) for row in found.rows)


@pytest.mark.any_seed
def test_activity_foretells_and_refuses_too_few_samples():
    net = learning.RateNetwork(DRIVEN, gain=0.9, noise=0.05, dt=0.1)
    short = fl.simulate(net, steps=8, replicas=16, rng=1)
    assert short.columns()["variance"] == pytest.approx(np.diag(short.covariance))
    with pytest.raises(fl.FluctuaError, match=r"at least 10 n\^2 = 160 samples.*condition number is"):
        short.speeds(np.eye(4)[0], np.eye(4)[1])
    value, error = short.speeds(np.eye(4)[0], np.eye(4)[1], theory="variances")
    assert error[0] > 0 < value[0]
    with pytest.raises(fl.FluctuaError, match="are 128"):
        fl.verify(net, np.eye(4)[0], np.eye(4)[1], steps=8, replicas=16)
    with pytest.raises(fl.FluctuaError, match="replicas must be at least 2"):
        fl.simulate(net, steps=8, replicas=1)


@pytest.mark.any_seed
def test_the_same_seed_gives_the_same_numbers_on_any_number_of_threads():
    net = learning.RateNetwork(DRIVEN, gain=0.9, noise=0.05, dt=0.1)
    one, two = (fl.simulate(net, steps=70, replicas=8, rng=3, threads=threads) for threads in (1, 2))
    assert one == two
    assert one != fl.simulate(net, steps=70, replicas=8, rng=4)


def test_leaving_groups_out_gives_a_mean_s_error_and_takes_out_a_square_s_bias():
    values = np.random.default_rng(0).normal(size=(12, 3))
    assert pseudo_values((values,), lambda mean: mean) == pytest.approx(values)
    square = pseudo_values((values,), lambda mean: mean**2).mean(axis=0)
    assert square == pytest.approx(values.mean(axis=0) ** 2 - values.var(axis=0, ddof=1) / 12)


@pytest.mark.any_seed
def test_the_verdict_is_a_file_and_a_page(driven, tmp_path):
    check(json.loads(driven.to_json()), "study")
    driven.save(tmp_path)
    assert StatementVerdict.load(tmp_path) == driven
    assert "command" not in driven.identity
    assert list(driven.columns("tasks"))[:4] == ["task", "predicted", "learned", "regression"]
    hostile = dataclasses.replace(driven, title="<script>alert(1)</script>")
    page = render(hostile)
    assert "<script>alert" not in page
    assert all(number in page for number in ("F116", "F117", "F118"))
    assert "C_1 transposed" in page
    assert page.count("<svg") >= 3


@pytest.fixture
def classes(tmp_path):
    rng = np.random.default_rng(3)
    labels = np.repeat([2, 5, 7], 20)
    np.savez(tmp_path / "few.npz", X=rng.normal(size=(60, 5)) + np.eye(8)[labels][:, 2:7], y=labels)


@pytest.mark.any_seed
@pytest.mark.usefixtures("classes")
def test_the_command_runs_the_study_on_a_file_beside_the_symmetric_network(run):
    strict = ["--steps", 200, "--replicas", 8, "--seed", 1, "--level", "1e-9"]
    tasks = ["--task", "5:7", "--task", "2:5"]
    code, out, _ = run("study", "learning", "few.npz", *strict, *tasks, "--gain", 0.5, "--no-report", "--out", "found")
    assert code in {0, 1}
    assert "task 5 -> 7" in out
    found = StatementVerdict.load("found")
    assert found.identity["tasks"] == ["5 -> 7", "2 -> 5"]
    assert "equilibrium, symmetric" in {row.name for row in found.claims}
    assert found.identity["command"].endswith("--steps 200 --replicas 8 --task 5:7 --task 2:5")


@pytest.mark.usefixtures("classes")
@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--task", "5"], "--task must be INPUT:TARGET"),
        (["--task", "5:9"], "unknown class '9'"),
        (["--task", "5:5"], "two classes"),
        (["--gain", "5", "--dt", "1e-3"], "no spontaneous stationary state"),
        (["--noise", "0"], "noise = 0"),
        (["--asymmetry", "2"], "asymmetry must be at most 1"),
        (["--steps", "2", "--replicas", "2"], "condition number"),
    ],
)
def test_the_command_refuses_what_the_study_does(run, options, match):
    code, _, err = run("study", "learning", "few.npz", *options)
    assert code == 2
    assert match in " ".join(err.split())
