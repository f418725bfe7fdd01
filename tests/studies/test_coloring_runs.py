"""Runs of colouring against their laws: energies, currents, acceptances, and what must be rejected (F121 to F127)."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, TooLarge, UnknownName
from fluctua.studies import coloring
from fluctua.studies.coloring import command, small
from fluctua.verification.conclusion import StatementVerdict
from fluctua.verification.statements import stated
from helpers.commands import check
from helpers.pages import Page

MEASURED = {0.5: (1.24573, 4.0e-4), 0.8: (0.67893, 5.0e-4)}
"""E/N and its error of other code, vertices in order, q 5, c 19, N 20,000."""


@pytest.fixture(autouse=True)
def _short(request, monkeypatch):
    """Where it is not looked at no law of one batch for a sweep."""
    if "reject_all" not in request.node.name:
        monkeypatch.setattr(small, "_BESIDE", 100)


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
def test_runs_of_flags_obey_the_exact_law_and_reject_all_that_is_wrong():
    """Every mutant lies 7 error bars away or more by design of `if_told`; the nearest, the other order, 20."""
    graph, move = coloring.named("K222"), coloring.SGDLike(0.8)
    verdict = fl.verify(graph, move, sweeps=20_000, replicas=64, rng=5, level=1e-6)
    assert verdict.passed, verdict.table
    wrong = {"T x 1.05", "T x 0.95", "exp(-E/T_E)", "exp(-E/T0)", "accept if it falls", "vertices in order"}
    assert {row.name for row in verdict.mutants} == wrong | {"one batch for a sweep"}
    assert [each.name for each in verdict.row("exact").quantities][:3] == ["E", "Var E", "entropy"]
    assert set(verdict.tables) == {"energy", "temperatures", "temperature against the batch", "measured temperature"}
    assert verdict.arrays["temperature_matched"][0] == pytest.approx(0.64722, rel=0.02)
    assert verdict.arrays["energy_matched"][-1] == pytest.approx(1.3131981775 / 6, rel=1e-3)


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
@pytest.mark.parametrize(
    ("name", "move", "wrong"),
    [
        ("K4", coloring.SGDLike(0.8, "sweep", "sequential"), "a batch for every visit"),
        ("K222", coloring.SGDLike(0.8, order="sequential"), "vertices at random"),
        ("K222", coloring.Metropolis(0.6), "T x 1.05"),
    ],
    ids=str,
)
def test_orders_and_kinds_of_batches_tell_one_another_apart(name, move, wrong):
    verdict = fl.verify(coloring.named(name), move, sweeps=10_000, replicas=64, rng=6, level=1e-6)
    assert verdict.passed, verdict.table
    assert wrong in {row.name for row in verdict.mutants}


@pytest.mark.statistical(alpha=1e-6)
def test_where_no_vertex_has_more_than_two_edges_there_is_nothing_to_reject():
    verdict = fl.verify(coloring.named("C6"), coloring.SGDLike(0.5), sweeps=5_000, replicas=64, rng=7, level=1e-6)
    assert verdict.passed, verdict.table
    assert verdict.row("exp(-E/T0)").role == verdict.row("vertices in order").role == "unresolved"
    assert "nothing to reject here" in verdict.facts["Equilibrium"]


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
def test_on_a_large_graph_one_temperature_has_the_energy_and_is_none_of_the_moves():
    """T_1/T_3 lies 40 error bars from 1, a temperature off by 5 % 15, one batch for a sweep 20."""
    graph = coloring.planted(4000, colors=5, degree=19, rng=1)
    verdict = fl.verify(graph, coloring.SGDLike(0.8), sweeps=200, replicas=16, rng=2, level=1e-6)
    assert verdict.passed, verdict.table
    assert [row.name for row in verdict.claims] == ["Metropolis at the matched T", "acceptance of flags"]
    wrong = {row.name for row in verdict.mutants}
    assert {"T x 1.05", "T x 0.95", "Metropolis at T0", "one batch for a sweep", "T_1 = T_2 = T_3"} <= wrong
    order = fl.verify(graph, coloring.Metropolis(0.85), sweeps=200, replicas=16, rng=3, level=1e-6)
    assert order.consistent, order.table
    assert order.row("T x 1.05").role == "mutant"


@pytest.mark.slow
@pytest.mark.statistical(alpha=2e-6)
@pytest.mark.parametrize("batch", MEASURED)
def test_energies_of_large_graphs_are_those_of_other_code(batch):
    """Within 5 combined standard errors (alpha 6e-7 each), and the closure is near: 0.1 % and 1.2 % off in energy."""
    graph, (energy, error) = coloring.planted(20_000, colors=5, degree=19, rng=1), MEASURED[batch]
    move = coloring.SGDLike(batch, order="sequential")
    runs = fl.simulate(graph, move, sweeps=200, burn_in=100, replicas=8, rng=11)
    off = runs.energy_per_vertex - energy
    assert abs(off) < 5 * math.hypot(error, runs.energy_error / 20_000)
    assert runs.energy_per_vertex == pytest.approx(fl.predict(graph, move).energy_per_vertex, rel=0.03)


@pytest.mark.statistical(alpha=1e-6)
def test_the_table_of_acceptances_and_the_flags_have_one_law():
    """The same move by acc(n, m) and by the flag of every edge: energies and entropy production agree."""
    graph, move = coloring.named("C20(1,2)"), coloring.SGDLike(0.7)
    table, flags = (fl.simulate(graph, move, sweeps=4000, replicas=64, rng=8 + k, flags=bool(k)) for k in range(2))
    for one in (table, flags):
        assert (one.made.sum(axis=(1, 2)) == 20 * 4000).all()
        assert (one.taken <= one.made).all()
    off = {"E": table.sums[:, 0] - flags.sums[:, 0], "entropy": table.entropies - flags.entropies}
    assert stated("one law", "claim", dict.fromkeys(off, 0.0), off).p_value > 1e-6


@pytest.mark.any_seed
def test_a_replica_depends_on_the_seed_and_its_number_alone():
    graph, move = coloring.planted(100, colors=5, degree=10, rng=1), coloring.SGDLike(0.8)
    one = fl.simulate(graph, move, sweeps=20, replicas=2, rng=1, threads=1)
    more = fl.simulate(graph, move, sweeps=20, replicas=4, rng=1, threads=2)
    assert one == fl.simulate(graph, move, sweeps=20, replicas=2, rng=1)
    assert (more.final[:2] == one.final).all()
    assert (more.curve[:2] == one.curve).all()
    assert one != fl.simulate(graph, move, sweeps=20, replicas=2, rng=2)


@pytest.mark.any_seed
@pytest.mark.parametrize("flags", [False, True])
@pytest.mark.parametrize("move", [coloring.SGDLike(0.6), coloring.SGDLike(1.0, "sweep", "sequential")], ids=str)
def test_energies_are_those_of_the_colourings(move, flags):
    graph = coloring.Graph([[0, 1], [0, 1], [1, 2], [2, 3], [3, 0], [0, 2]], colors=3, vertices=6)
    runs = fl.simulate(graph, move, sweeps=7, burn_in=3, replicas=5, rng=3, flags=flags)
    assert [graph.energy(each) for each in runs.final] == runs.curve[:, -1].tolist()
    assert runs.times.tolist() == list(range(1, 11))
    assert runs.sums[:, 0] == pytest.approx(runs.curve[:, 3:].mean(axis=1))
    assert runs.sums[:, 1] == pytest.approx((runs.curve[:, 3:] ** 2).mean(axis=1))


@pytest.mark.any_seed
@pytest.mark.parametrize(("order", "said"), [("random", "at random"), ("sequential", "as in the published code")])
def test_a_large_verdict_says_the_order_and_draws_no_curve_that_takes_long(order, said):
    star = coloring.Graph([[0, leaf] for leaf in range(1, 261)], colors=3)
    verdict = fl.verify(star, coloring.SGDLike(0.5, order=order), sweeps=200, replicas=4, rng=1)
    assert said in verdict.facts["Order"]
    assert "temperature_tree" not in verdict.arrays


@pytest.mark.any_seed
def test_a_full_batch_is_descent_that_may_be_simulated():
    graph = coloring.planted(200, colors=5, degree=12, rng=1)
    runs = fl.simulate(graph, coloring.SGDLike(1.0), sweeps=20, replicas=3, rng=1, burn_in=0)
    assert (np.diff(runs.curve, axis=1) <= 0).all()
    stays = fl.simulate(graph, coloring.SGDLike(1.0), sweeps=2, replicas=2, rng=1, start="planted")
    assert stays.energy == 0
    assert stays.overlaps.shape == (2,)
    with pytest.raises(InvalidInput, match="T = 0"):
        fl.verify(graph, coloring.SGDLike(1.0))


@pytest.mark.any_seed
def test_what_runs_leave_is_a_line_and_a_table():
    runs = fl.simulate(coloring.named("K4"), coloring.SGDLike(0.8), sweeps=50, replicas=4, rng=1)
    assert len(repr(runs)) <= 120
    assert "ColoringRuns" in runs._repr_html_()
    assert list(runs.columns()) == ["replica", "E", "E^2"]
    assert len(runs.columns("curve")["sweep"]) == 60
    assert fl.simulate(coloring.named("K4"), coloring.SGDLike(0.8, "sweep"), sweeps=9, rng=1).entropy_production > 1e9


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"sweeps": 0}, "sweeps must be at least 1"),
        ({"replicas": 1}, "replicas must be at least 2"),
        ({"burn_in": -1}, "burn_in must be at least 0"),
        ({"start": "planted"}, "needs planted groups"),
        ({"start": "warm"}, "start must be 'random', 'planted' or colourings"),
        ({"start": [0, 1]}, "one colour for each of the 4 vertices"),
        ({"start": [[0, 1, 2, 0]] * 3}, "one colouring for each of 4 replicas"),
        ({"start": [0, 1, 2, 3]}, "colours from 0 to 2; got 3"),
        ({"flags": 2}, "flags must be True or False"),
        ({"move": None}, "move must be coloring.SGDLike"),
        ({"progress": 3}, "progress must be a function"),
    ],
)
def test_runs_that_cannot_be_are_refused(asked, match):
    with pytest.raises(InvalidInput, match=match):
        fl.simulate(coloring.named("K4"), **{"move": coloring.SGDLike(0.8), "sweeps": 5, "replicas": 4, **asked})


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"replicas": 1}, "replicas must be at least 2"),
        ({"sweeps": 2.5}, "sweeps must be a whole number"),
        ({"level": 2}, "level must be less than 1"),
        ({"resolution": 0}, "resolution must be greater than 0"),
        ({"progress": 3}, "progress must be a function"),
        ({"move": coloring.SGDLike(0.99999)}, r"the energy would change .* times in each run, .* or a smaller batch"),
    ],
)
def test_verdicts_that_cannot_be_are_refused(asked, match):
    with pytest.raises(InvalidInput, match=match):
        fl.verify(coloring.named("K222"), **{"move": coloring.SGDLike(0.8), **asked})


@pytest.mark.any_seed
def test_runs_that_would_not_end_are_refused():
    with pytest.raises(TooLarge, match="sweeps = 20,000,000,000,000"):
        fl.simulate(coloring.named("C300"), coloring.SGDLike(0.8), sweeps=2 * 10**13, replicas=2)


@pytest.mark.any_seed
def test_the_study_writes_its_verdict_its_page_and_its_figures(run, tmp_path):
    short = "--sweeps", "3000", "--seed", "1"
    code, out, _ = run("study", "coloring", "K222", "--colors", "3", "--batch", "0.8", "--exact", *short)
    place = tmp_path / "fluctua-study-coloring"
    verdict = StatementVerdict.load(place)
    assert code == (0 if verdict.passed else 1)
    assert verdict.table in out
    assert {path.stem for path in place.glob("*.png")} == {"energy", "statements", "temperature"}
    page = Page((place / "report.html").read_text())
    cited = {a["href"].removeprefix("#") for a in page.all("a") if a.get("class") == "cite"}
    assert {"F121", "F122", "F123", "F125"} <= cited <= {attributes.get("id") for _, attributes in page.tags}
    assert "fluctua study coloring K222 --colors 3 --batch 0.8 --sweeps 3000 --exact" in page.text


@pytest.mark.any_seed
def test_edges_of_a_file_are_a_study_and_json_obeys_the_schema(run, tmp_path):
    (tmp_path / "edges.csv").write_text("0,1\n1,2\n2,0\n2,3\n")
    asked = "--metropolis", "0.7", "--sweeps", "500", "--replicas", "16", "--seed", "2", "--json", "--no-report"
    code, out, _ = run("study", "coloring", "edges.csv", *asked)
    found = json.loads(out)
    check(found, "study")
    assert code == (0 if found["passed"] else 1)
    assert found["identity"]["edges"] == 4


@pytest.mark.any_seed
def test_planted_graphs_of_a_seed_are_a_study(run):
    asked = "--vertices", "500", "--degree", "10", "--sweeps", "60", "--seed", "3", "--shared-batch", "--no-report"
    code, out, _ = run("study", "coloring", "planted", *asked, "--json")
    assert code in (0, 1)
    assert json.loads(out)["identity"]["move"] == "SGDLike(batch=0.8, batches='sweep', order='sequential')"
    assert json.loads(out)["identity"]["colors"] == 5


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("asked", "match"),
    [
        (("K22x",), "Did you mean 'K222'"),
        (("C60", "--exact"), "11 vertices fit"),
        (("K222", "--vertices", "10"), "--vertices is of a planted graph"),
        (("K222", "--batch", "1.5"), "batch must be at most 1"),
        (("K222", "--batch", "1"), "T = 0"),
        (("K222", "--metropolis", "0.5", "--batch", "0.5"), "leave out --batch"),
        (("planted", "--vertices", "101"), "no multiple of colors"),
        (("planted", "--colors", "1"), "colors must be at least 2"),
        (("none.csv",), "does not exist"),
    ],
)
def test_bad_input_is_refused_by_the_command(run, asked, match):
    code, _, err = run("study", "coloring", *asked)
    assert code == 2
    assert match in " ".join(err.split())


def test_rows_of_the_reproduction_are_keywords_of_the_study():
    assert set(command.STUDY.rows) >= set(command.STUDY.quick) == {"K222"}
    with pytest.raises(UnknownName, match="Did you mean 'sequential'"):
        command.run(graph="K222", order="sequentially", rng=1)
