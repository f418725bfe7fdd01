"""The page of a dynamic verdict, alone and beside one at equal times."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json

import numpy as np
import pytest

import fluctua as fl
from fluctua.report import render
from helpers.pages import EVIL, Page


@pytest.fixture(scope="module")
def verdict(small_problem):
    found = fl.verify_dynamic(small_problem, fl.SGD(0.02, 4), steps=80, replicas=64, modes=5, rng=1, lags=[1, 3])
    return found.about({"name": "small", "sha256": "ab" * 32})


@pytest.fixture(scope="module")
def page(verdict):
    return Page(render(verdict))


@pytest.mark.any_seed
def test_the_words_the_statements_the_entropy_and_the_relations_are_there(verdict, page):
    assert verdict.words[1:] in page.text
    for row in (*verdict.rows, *verdict.relations):
        assert row.name in page.text
        assert f"{row.z_rms:.2f}" in page.text
    for each in verdict.entropy:
        assert f"{each.predicted:.4g}" in page.text
        assert f"{each.measured:.4g}" in page.text if each.resolves else "unresolved" in page.text
    for fact in ("lr 0.02, batches of 4", "80 steps x 64 replicas", "1, 3 steps apart", "ab" * 32, "60 samples"):
        assert fact in page.text


@pytest.mark.any_seed
def test_the_numbers_behind_the_figures_are_there_as_csv(verdict, page):
    tables = {}
    for link in page.all("a"):
        if link.get("download", "").endswith(".csv"):
            text = base64.b64decode(link["href"].split(",")[1]).decode()
            columns = zip(*csv.reader(io.StringIO(text)), strict=True)
            tables[link["download"]] = {name: np.array(values, float) for name, *values in columns}
    assert set(tables) == {"regression.csv", "response.csv", "circulation.csv", "current.csv"}
    a, response, lag_of = verdict.arrays, tables["response.csv"], {1: 0, 3: 1}
    elements = (response[name] for name in ("lag", "p", "q", "correlation", "by_response"))
    for lag, p, q, found, said in zip(*elements, strict=True):
        assert found == a["measured_lagged"][lag_of[lag], int(p), int(q)]
        assert said == a["by_response"][lag_of[lag], int(p), int(q)]
    current = tables["circulation.csv"]["predicted"].reshape(5, 5)
    np.testing.assert_array_equal(current, 0.5 * (a["lagged"][0] - a["lagged"][0].T))
    predicted = tables["regression.csv"]["response_predicted"].reshape(2, 5)
    np.testing.assert_allclose(predicted, a["responses"], rtol=1e-12)


@pytest.mark.any_seed
def test_the_result_is_embedded_and_can_be_downloaded(verdict, page):
    assert page.json("result") == [verdict.to_dict()]
    (link,) = [a for a in page.all("a") if a.get("download") == "dynamic.json"]
    assert json.loads(base64.b64decode(link["href"].split(",")[1])) == verdict.to_dict()


@pytest.mark.any_seed
@pytest.mark.usefixtures("curve_alone")
def test_it_shares_a_page_with_a_verdict_at_equal_times(verdict, small_problem):
    equal = fl.verify(small_problem, fl.SGD(0.02, 4), steps=64, replicas=16, rng=1)
    page = Page(render([equal, verdict]))
    assert f"{equal.passed + verdict.passed} of 2 verdicts passed" in page.text
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert page.json("result") == [equal.to_dict(), verdict.to_dict()]


@pytest.mark.any_seed
def test_names_from_outside_are_text_and_nothing_else(verdict):
    page = Page(render(verdict.about({"name": EVIL, "sha256": EVIL})))
    assert EVIL in page.text
    assert not page.all("img")
    assert not [attributes for _, attributes in page.tags if "onerror" in attributes]


@pytest.mark.any_seed
def test_what_to_keep_in_mind_is_about_this_run(verdict):
    def said(changed):
        return Page(render(changed, brief=[0])).text

    assert ("too short to tell" in said(verdict)) != verdict.sharp
    assert "few, so uncertain" not in said(verdict)
    assert "few, so uncertain" in said(dataclasses.replace(verdict, identity={**verdict.identity, "replicas": 16}))
    hidden = dataclasses.replace(verdict.circulation, resolvable=False)
    assert "do not tell SGD from equilibrium" in said(dataclasses.replace(verdict, circulation=hidden))


@pytest.mark.any_seed
def test_one_mode_has_no_circulation_and_a_page(small_problem):
    found = fl.verify_dynamic(small_problem, fl.SGD(0.02, 4), steps=40, replicas=32, modes=1, rng=1, lags=[1])
    assert "pairs of modes circulate" not in Page(render(found)).text
