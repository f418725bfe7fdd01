"""The page: whole, standing alone, safe with names from outside, and carrying the verdict's numbers."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, OutputError
from fluctua.report import render, save_report
from fluctua.report.explorer.ranges import Survey, surveyed
from fluctua.report.formulas import _all
from helpers.pages import EVIL, Page


@pytest.fixture(scope="module")
def verdict(small_problem):
    found = fl.verify(small_problem, fl.SGD(lr=0.02, batch_size=4), steps=64, replicas=16, rng=1)
    return surveyed(found.about({"name": "small", "sha256": "ab" * 32}), small_problem)


@pytest.fixture(scope="module")
def page(verdict):
    return Page(render(verdict))


@pytest.mark.any_seed
def test_the_verdict_comes_first_in_words_and_the_ladder_has_every_row(verdict, page):
    words = page.text.split()
    assert words.index(f"{verdict.outcome.capitalize()}.") < words.index("ladder")
    assert verdict.words[1:] in page.text
    for row, cells in zip(verdict.rows, verdict.cells, strict=True):
        assert row.name in page.text
        assert f"{cells[2][:-1]} %" in page.text
    for fact in ("lr 0.02, batches of 4", "64 steps x 16 replicas", "ab" * 32, "60 samples"):
        assert fact in page.text


@pytest.mark.any_seed
def test_the_page_asks_nothing_of_the_network(verdict):
    text = render(verdict)
    addresses = re.findall(r"""(?:src|href|action|poster)\s*=\s*["']([^"']*)""", text) + re.findall(
        r"url\(([^)]*)", text
    )
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses), addresses
    assert "@import" not in text
    assert not re.search(r"\bfetch\(|XMLHttpRequest|import\(", text)


@pytest.mark.any_seed
def test_the_result_is_embedded_and_can_be_downloaded(verdict, page):
    assert page.json("result") == [verdict.to_dict()]
    (link,) = [a for a in page.all("a") if a.get("download") == "result.json"]
    assert json.loads(base64.b64decode(link["href"].split(",")[1])) == verdict.to_dict()


@pytest.mark.any_seed
def test_the_numbers_behind_each_figure_are_there_as_csv(verdict, page):
    tables = {}
    for link in page.all("a"):
        if link.get("download", "").endswith(".csv") and link["href"].startswith("data:text/csv"):
            text = base64.b64decode(link["href"].split(",")[1]).decode()
            columns = zip(*csv.reader(io.StringIO(text)), strict=True)
            tables[link["download"]] = {name: np.array(values, float) for name, *values in columns}
    assert set(tables) == {"modes.csv", "balance.csv", "curve_measured.csv", "curve_predicted.csv"}
    for table in tables.values():
        for name, values in table.items():
            if name not in ("p", "q"):
                np.testing.assert_array_equal(values, verdict.arrays[name])
    np.testing.assert_array_equal(tables["balance.csv"]["p"], verdict.arrays["element"][0])


@pytest.mark.any_seed
def test_no_two_elements_share_an_id_and_every_reference_has_its_element(verdict):
    page = Page(render([verdict, verdict]))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        for name in ("xlink:href", "href", "for", "aria-labelledby"):
            value = attributes.get(name) or ""
            if value.startswith("#") or (value and name in ("for", "aria-labelledby")):
                assert value.removeprefix("#") in ids


@pytest.mark.any_seed
def test_every_control_has_a_label_and_every_figure_a_description(page):
    labelled = {attributes.get("for") for attributes in page.all("label")}
    controls = [attributes for tag in ("input", "select") for attributes in page.all(tag)]
    assert len(controls) >= 9
    for control in controls:
        assert control.get("id") in labelled or "aria-label" in control or control.get("type") == "checkbox"
    assert all(svg.get("aria-label") or "viewbox" in svg for svg in page.all("svg"))
    assert len([d for d in page.all("div") if d.get("role") == "img" and d["aria-label"]]) == 3


@pytest.mark.any_seed
def test_names_from_outside_are_text_and_nothing_else(verdict):
    text = render(verdict.about({"name": EVIL, "sha256": EVIL, "files": {EVIL: EVIL}}))
    page = Page(text)
    assert EVIL in page.text
    assert not page.all("img")
    assert not [attributes for _, attributes in page.tags if "onerror" in attributes]
    assert page.json("result")[0]["data"]["name"] == EVIL
    assert len(page.scripts) == len(Page(render(verdict, brief=[0])).scripts)


@pytest.mark.any_seed
@pytest.mark.usefixtures("curve_alone")
def test_several_verdicts_share_a_page_below_a_table_of_all(verdict):
    failed = dataclasses.replace(verdict, resolution=1e-6)
    page = Page(render([verdict, failed], brief=[0, 1]))
    passed = verdict.passed + failed.passed
    assert f"{passed} of 2 verdicts passed" in page.text
    assert len(page.json("result")) == 2
    assert {a["href"] for a in page.all("a")} >= {"#v1", "#v2"}


@pytest.mark.any_seed
def test_what_to_keep_in_mind_is_about_this_run(verdict):
    def said(changed):
        return Page(render(changed, brief=[0])).text

    assert "relax in more than the run's" in said(verdict)
    assert "directions" not in said(verdict)  # of full rank
    assert "largest stable one" not in said(verdict)
    near = dict(verdict.arrays, explorer_limit=np.array(0.025))
    assert "about 80 % of the largest stable one" in said(dataclasses.replace(verdict, arrays=near))
    quick = dict(verdict.arrays, explorer_relaxation_steps=np.full(12, 3.0))
    assert "relax in more than" not in said(dataclasses.replace(verdict, arrays=quick))
    identity = {**verdict.identity, "problem": [60, 20, 3, 1.0]}
    assert "12 of 20 directions" in said(dataclasses.replace(verdict, identity=identity))
    assert "diverged by step 8" in said(dataclasses.replace(verdict, diverged_at=8))
    assert "too short to tell" in said(dataclasses.replace(verdict, resolution=1e-6))


@pytest.mark.any_seed
@pytest.mark.parametrize("without", ["explorer", "explorer_limit"])
def test_without_a_whole_survey_there_is_no_explorer(verdict, without):
    arrays = {name: values for name, values in verdict.arrays.items() if not name.startswith(without)}
    page = Page(render(dataclasses.replace(verdict, arrays=arrays), brief=[0]))
    assert "What if?" not in page.text
    assert "What was run" in page.text
    assert not [script for attributes, script in page.scripts if "type" not in attributes]


@pytest.mark.any_seed
def test_epochs_a_schedule_and_an_average_are_reported(small_problem, verdict):
    survey = Survey.from_arrays(verdict.arrays).to_arrays()
    for sgd, average, words in (
        (fl.SGD(0.02, 7, sampling="shuffle"), None, "batches that take back their share of the epoch"),
        (fl.SGD(0.02, 4, schedule=fl.schedules.CosineAnnealingLR(64)), None, "The learning rate is constant"),
        (fl.SGD(0.02, 4), fl.EMA(0.9), "the weights are not averaged, other than in the run"),
    ):
        found = fl.verify(small_problem, sgd, steps=64, replicas=8, rng=1, average=average)
        page = Page(render(dataclasses.replace(found, arrays={**found.arrays, **survey}), brief=[0]))
        assert words in page.text
        assert "no picture of F0" in page.text


@pytest.mark.any_seed
def test_a_page_of_a_loaded_result_is_the_same(verdict, tmp_path):
    verdict.save(tmp_path)
    assert render(fl.Verdict.load(tmp_path), brief=[0]) == render(verdict, brief=[0])


@pytest.mark.any_seed
@pytest.mark.usefixtures("curve_alone")
def test_a_page_that_cannot_be_written_leaves_nothing(verdict, tmp_path):
    with pytest.raises(OutputError):
        save_report(verdict, tmp_path / "nowhere" / "report.html")
    with pytest.raises(InvalidInput, match="at least one"):
        render([])
    assert not list(tmp_path.iterdir())


@pytest.mark.any_seed
def test_a_survey_survives_a_result_file(verdict):
    found = Survey.from_arrays(verdict.arrays)
    again = Survey.from_arrays(found.to_arrays())
    np.testing.assert_equal(dataclasses.asdict(again), dataclasses.asdict(found))


@pytest.mark.any_seed
def test_a_model_that_fits_every_sample_has_a_survey_without_an_exact_level():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(5, 8))
    problem = fl.LeastSquares(inputs, inputs @ rng.normal(size=8))
    verdict = fl.verify(problem, fl.SGD(0.02, 2), steps=64, replicas=8, rng=1, start="zero")
    page = Page(render(surveyed(verdict, problem), brief=[0]))
    assert "The exact rung could not be solved" in page.text


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("recipe", "known"),
    [
        ({}, True),
        ({"momentum": 0.9}, True),
        ({"momentum": 0.9, "nesterov": True}, True),
        ({"momentum": 0.9, "dampening": 0.1}, True),
        ({"momentum": 0.995}, False),
        ({"batch_size": 60, "sampling": "without_replacement"}, False),
    ],
    ids=str,
)
def test_the_limit_is_not_extrapolated(small_problem, verdict, recipe, known):
    sgd = fl.SGD(**{"lr": 0.001, "batch_size": 4, **recipe})
    exact = Survey.from_arrays(verdict.arrays).exact
    kappa = sgd.sampling_factor(60)
    assert exact.covers(sgd.step, kappa) is known
    if known:
        limit = exact.limit(sgd.step, kappa, sgd.weight_decay, exact.place_of(0.0))
        assert limit == pytest.approx(fl.max_stable_lr(small_problem, sgd), rel=exact.limit_error)


@pytest.mark.any_seed
def test_the_page_says_how_far_the_exact_level_was_off_at_the_recipe(verdict, page):
    survey = Survey.from_arrays(verdict.arrays)
    assert abs(survey.miss) < 1e-5
    assert survey.floor == verdict.row("exact, stationary").excess_loss
    assert f"the page's was off by {100 * abs(survey.miss):.1g} %" in " ".join(page.text.split())


@pytest.mark.any_seed
def test_lines_lead_to_formulas_that_the_page_carries(page):
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    cited = {a["href"].removeprefix("#") for a in page.all("a") if a.get("class") == "cite"}
    assert cited == {"F0", "F1", "F7", "F8", "F9"}
    assert cited < ids
    facts = page.text[page.text.index("What was run") : page.text.index("To repeat")]
    assert sorted(re.findall(r"\bF\d+\b", facts)) == ["F0", "F8"]
    maths = [attributes["alttext"] for attributes in page.all("math")]
    assert len(maths) == len([one for one in ids if re.fullmatch(r"F\d+", one)])
    assert "H S + S H - \\eta\\,H S H = \\eta \\kappa\\,(C + K[S])" in maths


@pytest.mark.any_seed
def test_formulas_on_a_page_are_the_documentations(monkeypatch):
    pytest.importorskip("latex2mathml")
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "docs" / "_ext")
    from page_formulas import formulas

    assert {number: (each.title, each.latex, each.mathml) for number, each in _all().items()} == {
        number: (each["title"], each["latex"], each["mathml"]) for number, each in formulas().items()
    }


@pytest.mark.any_seed
def test_a_run_that_is_too_short_is_inconclusive_and_says_what_would_do(verdict):
    dull = dataclasses.replace(verdict, resolution=1e-2)
    assert (dull.consistent, dull.passed, dull.outcome) == (True, False, "inconclusive")
    page = Page(render(dull, brief=[0]))
    assert page.text.split().index("Inconclusive.") < page.text.split().index("ladder")
    assert f"about {dull.replicas_needed:,} replicas of as many steps would do" in page.text


@pytest.mark.usefixtures("coarse")
def test_the_survey_has_the_noise_of_every_weight_decay(small_problem):
    found = Survey.from_arrays(surveyed_arrays(small_problem, weight_decay=0.03))
    assert 0.03 in found.weight_decays
    for gamma, noise, loss in zip(found.weight_decays, found.noise, found.optimum_losses, strict=True):
        minimum = small_problem.minimum(float(gamma))
        np.testing.assert_allclose(noise, np.diag(minimum.noise), rtol=1e-11)
        assert loss == pytest.approx(minimum.loss, rel=1e-13)


@pytest.mark.parametrize("sampling", ["with_replacement", "shuffle"])
def test_a_survey_knows_how_slow_the_modes_are(small_problem, monkeypatch, sampling):
    """Without the exact balance, which has no part in it."""
    monkeypatch.setattr("fluctua.report.explorer.ranges.reduced_balance", lambda *_: None)
    found = Survey.from_arrays(surveyed_arrays(small_problem, momentum=0.5, sampling=sampling))
    independent = fl.predict(small_problem, fl.SGD(0.02, 4, momentum=0.5))
    np.testing.assert_allclose(found.relaxation_steps, independent.relaxation_steps)


def surveyed_arrays(problem, **options):
    from fluctua.report.explorer.ranges import survey

    return survey(problem, fl.SGD(0.02, 4, **options)).to_arrays()
