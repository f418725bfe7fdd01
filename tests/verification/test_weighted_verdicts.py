"""Verdicts of weighted sampling and weighted losses: the right theory passes, one that counts samples alike fails."""

import json
from dataclasses import replace
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.report.explorer.ranges import survey
from fluctua.report.in_time import SectionInTime
from fluctua.report.section import Section
from fluctua.storage.layout import schema_text

WEIGHTS = np.random.default_rng(8).gamma(1.5, size=60) + 0.1
RECIPE = fl.SGD(lr=0.01, batch_size=4, weight_decay=0.05)
KINDS = {
    "counted": (WEIGHTS, "with_replacement"),
    "drawn, unbiased": (None, fl.WeightedSampling(WEIGHTS)),
    "counted and drawn, biased": (WEIGHTS, fl.WeightedSampling(WEIGHTS[::-1], unbiased=False)),
}
kinds = pytest.mark.parametrize(("counted", "sampling"), KINDS.values(), ids=KINDS)
OPTIONS = {"steps": 400, "replicas": 192, "level": 1e-6, "rng": 5}


def setting(small_problem, counted, sampling):
    problem = fl.LeastSquares(small_problem.inputs, small_problem.targets, sample_weight=counted)
    return problem, replace(RECIPE, sampling=sampling)


@pytest.mark.statistical(alpha=4e-6, miss=1e-4)
@kinds
def test_the_law_is_consistent_with_runs_and_a_wrong_one_is_not(small_problem, counted, sampling):
    problem, sgd = setting(small_problem, counted, sampling)
    verdict = fl.verify(problem, sgd, resolution=0.2, **OPTIONS)
    assert verdict.passed
    assert not verdict.row("exact x 0.8").consistent


@pytest.mark.statistical(alpha=1e-5, miss=1e-4)
def test_a_law_that_counts_samples_alike_is_rejected(small_problem):
    """The mutant: runs of weighted batches, against the noise of batches drawn uniformly."""
    problem, sgd = setting(small_problem, *KINDS["drawn, unbiased"])
    uniform = replace(sgd, sampling="with_replacement")
    run = fl.simulate(problem, sgd, steps=400, replicas=192, rng=5)
    ratio = fl.predict(problem, uniform).excess_loss / fl.predict(problem, sgd).excess_loss
    assert abs(np.log(ratio)) > 0.05
    right, wrong = (fl.predict(problem, each).after(run.recorded.tolist()).excess_loss for each in (sgd, uniform))
    assert abs(run.excess_loss - right) < 5 * run.excess_loss_error
    assert abs(run.excess_loss - wrong) > 8 * run.excess_loss_error


@pytest.mark.statistical(alpha=2e-6)
def test_the_noise_and_the_theorem_in_time_hold_too(small_problem):
    sgd = replace(RECIPE, sampling=fl.WeightedSampling(WEIGHTS), momentum=0.5)
    noise = fl.gradient_noise(small_problem, sgd, steps=150, replicas=16, rng=3, level=1e-6)
    assert noise.consistent
    assert fl.verify_dynamic(small_problem, sgd, steps=160, replicas=64, modes=4, rng=3, level=1e-6).consistent


@pytest.mark.statistical(alpha=2e-6)
@pytest.mark.parametrize("dynamics", ["langevin", "langevin_state_dependent"])
def test_a_langevin_process_has_the_weighted_noise(small_problem, dynamics):
    sgd = replace(RECIPE, sampling=fl.WeightedSampling(WEIGHTS))
    assert fl.verify(small_problem, sgd, dynamics=dynamics, **{**OPTIONS, "steps": 100, "replicas": 32}).consistent


@pytest.mark.any_seed
def test_a_saved_verdict_has_its_sampling_back(small_problem, tmp_path):
    sgd = replace(RECIPE, sampling=fl.WeightedSampling(WEIGHTS, unbiased=False))
    verdict = fl.verify(small_problem, sgd, steps=20, replicas=4, rng=1)
    verdict.save(tmp_path)
    again = fl.Verdict.load(tmp_path)
    assert fl.SGD(**again.identity["recipe"]) == sgd
    assert again.to_json() == verdict.to_json()
    schema = json.loads((files("fluctua") / "schemas" / "verdict.json").read_text())
    jsonschema.validate(json.loads(again.to_json()), schema)
    section = Section(verdict=again, key="a")
    assert "weighted batches of 4 with replacement (biased)" in section.title
    assert section.command == ""  # no option of a command has weights


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("ask", "load", "shown", "schema"),
    [(fl.verify, fl.Verdict, Section, "verdict"), (fl.verify_dynamic, fl.DynamicVerdict, SectionInTime, "dynamic")],
)
def test_a_verdict_says_that_its_loss_is_weighted(small_problem, tmp_path, ask, load, shown, schema):
    identities = []
    for weights in (None, WEIGHTS, WEIGHTS[::-1]):
        problem = fl.LeastSquares(small_problem.inputs, small_problem.targets, sample_weight=weights)
        verdict = ask(problem, RECIPE, steps=24, replicas=4, rng=1).about({"name": "mine"})
        verdict.save(tmp_path)
        again = load.load(tmp_path)
        assert again.to_json() == verdict.to_json()
        jsonschema.validate(json.loads(again.to_json()), json.loads(schema_text(schema)))
        section, said = shown(verdict=again, key="a"), "mine" if weights is None else "mine with sample weights"
        assert section.title.startswith(f"{said}{':' if ask is fl.verify else ','}")
        assert dict(section.facts)["Data"].startswith(f"{said}: 60 samples")
        assert bool(section.command) == (weights is None)  # no option of a command has weights
        identities.append(again.identity["problem"])
    assert [len(each) for each in identities] == [4, 5, 5]
    assert identities[1][4] != identities[2][4]


@pytest.mark.any_seed
def test_a_look_at_the_noise_says_of_what(small_problem):
    problem = fl.LeastSquares(small_problem.inputs, small_problem.targets, sample_weight=WEIGHTS)
    found = fl.gradient_noise(problem, RECIPE, steps=20, replicas=2, rng=1)
    loss = problem.minimum(RECIPE.weight_decay).loss
    assert found.identity["problem"] == [60, 12, 3, loss, found.run.problem.sample_weight]
    assert found.run.problem.sample_weight


@pytest.mark.any_seed
def test_a_plan_takes_a_weighted_sampling_and_a_page_does_not(small_problem):
    sampling = fl.WeightedSampling(WEIGHTS, unbiased=False)
    found = fl.plan(small_problem, 50, batch_size=4, sampling=sampling, momenta=[0.0], schedules=["constant", "linear"])
    best = found.best
    after = fl.predict(small_problem, best.sgd, check_stability=False).after(50, start="zero")
    assert best.loss == pytest.approx(after.optimum_loss + after.excess_loss, rel=1e-3)
    assert fl.rehearse(small_problem, found, replicas=16, rng=1).agrees
    with pytest.raises(InvalidInput, match="it has no WeightedSampling"):
        survey(small_problem, best.sgd)
