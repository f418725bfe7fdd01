"""Verdicts on samplers: their own ladder down to the target, and the inflation of every mode."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

import fluctua as fl
from fluctua.report import save_report
from fluctua.report.figures import save_figures
from fluctua.simulation.measurement import Measurement
from helpers.commands import check

TEMPERATURE = 0.5 / 442
LEVEL = 1e-6


@pytest.fixture(scope="module")
def problem():
    x, y = load_diabetes(return_X_y=True)
    return fl.LeastSquares((x - x.mean(0)) / x.std(0), ((y - y.mean()) / y.std())[:, None])


@pytest.fixture(scope="module")
def sampler():
    return fl.SGLD(lr=0.05, batch_size=8, temperature=TEMPERATURE, weight_decay=0.01)


@pytest.fixture(scope="module")
def verdict(problem, sampler):
    return fl.verify(problem, sampler, steps=2000, replicas=512, records=64, rng=7, level=LEVEL, resolution=0.08)


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)  # 8 % is 11 standard errors of the excess loss; discrete 12 in mode 1
def test_the_exact_law_holds_and_every_lower_rung_and_both_mutants_are_rejected(verdict):
    assert [row.name for row in verdict.rows][:5] == ["target", "full_batch", "langevin", "discrete", "exact"]
    assert verdict.consistent
    rejected = {row.name for row in verdict.rows if not row.consistent}
    assert rejected >= {"target", "full_batch", "langevin", "exact x 1.08", "exact x 0.92"}
    assert 0.6 < verdict.tested.comparison.z_rms < 1.9  # over 10 modes; outside by chance once in 1e6 and less
    assert verdict.balance is not None
    assert abs(verdict.balance.trace_ratio - 1) < 0.05


@pytest.mark.any_seed
def test_its_table_has_the_inflation_of_every_mode(verdict, problem, sampler):
    law, a = fl.predict(problem, sampler), verdict.arrays
    np.testing.assert_allclose(a["target"], law.target)
    names, *rows = verdict.to_csv(table="inflation").splitlines()
    assert names.split(",")[:4] == ["curvatures", "target", "measured_inflation", "measured_errors"]
    found = np.array([row.split(",") for row in rows], dtype=float)
    np.testing.assert_allclose(found[:, 2], a["measured_variances"] / law.target)
    assert len(found) == 10


@pytest.mark.any_seed
def test_it_is_kept_drawn_and_put_on_a_page_without_an_explorer(verdict, problem, tmp_path):
    from fluctua.report.explorer.ranges import surveyed

    check(json.loads(verdict.to_json()), "verdict")
    surveyed(verdict, problem).save(tmp_path)
    kept = fl.Verdict.load(tmp_path)
    assert kept.to_json() == verdict.to_json()
    save_figures(kept, tmp_path)
    assert {path.stem for path in tmp_path.glob("*.svg")} == {"inflation", "modes", "balance", "curve"}
    page = save_report(kept, tmp_path / "page.html").read_text()
    assert "Variance along every mode over that of the target" in page
    assert "inflation.csv" in page


@pytest.mark.statistical(alpha=1e-6)
def test_a_full_batch_fluctuates_by_its_temperature_alone(problem):
    found = fl.verify(problem, fl.ULA(0.2, TEMPERATURE, 0.01), steps=200, replicas=64, rng=3, level=LEVEL)
    assert found.consistent
    assert not found.row("target").consistent
    with pytest.raises(fl.errors.InvalidInput, match="does not fluctuate"):
        fl.verify(problem, fl.ULA(0.2, 0.0, 0.01))


@pytest.mark.any_seed
def test_a_measurement_knows_its_sampler(problem):
    for made in (fl.SGHMC(0.1, 1.0, 8, TEMPERATURE, 0.01), fl.ULA(0.1, TEMPERATURE, 0.01)):
        run = fl.simulate(problem, made, steps=5, replicas=2, rng=1)
        assert isinstance(run, Measurement)
        assert run.run.recipe == made


@pytest.mark.any_seed
def test_a_sweep_has_the_inflation_of_every_cell(problem, sampler, tmp_path):
    found = fl.sweep(problem, sampler, lr=[0.01, 0.05, 0.5], steps=50, measure=True, replicas=4, rng=1)
    law = fl.predict(problem, sampler)
    assert found.cells[1].predicted.inflation == pytest.approx(law.inflation[0], rel=1e-12)
    assert found.cells[1].floor == pytest.approx(law.excess_loss, rel=1e-12)
    assert found.cells[2].predicted.inflation is None
    assert "inflation" in found.table.splitlines()[0]
    check(found.to_dict(), "sweep")
    found.save(tmp_path)
    assert fl.Sweep.load(tmp_path).table == found.table
    full = fl.sweep(problem, fl.ULA(0.1, TEMPERATURE, 0.01), lr=[0.05, 0.1], steps=20, measure=True, replicas=4, rng=1)
    check(full.to_dict(), "sweep")
