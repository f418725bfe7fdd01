"""The study of diffusion: its command, page, figures, plan, and rows of the reproduction."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fluctua as fl
from fluctua.report import render
from fluctua.studies import diffusion
from fluctua.studies.diffusion.pictured import image_side
from fluctua.studies.diffusion.told import facts_of
from fluctua.verification.conclusion import StatementVerdict
from helpers.commands import check
from helpers.pages import Page


@pytest.mark.any_seed
def test_the_command_predicts_and_writes_what_it_found(run, tmp_path):
    """Whole matrices hold at every seed; the seed draws the figure's samples alone."""
    code, out, err = run("study", "diffusion", "digits", "--steps", "20", "--eta", "0", "--accuracy", "0.01")
    assert code == 0, err
    place = tmp_path / "fluctua-study-diffusion"
    verdict = StatementVerdict.load(place)
    assert [row.name for row in verdict.claims] == ["exact", "cosine law"]
    assert {row.name for row in verdict.mutants} >= {"exact x 1.02", "ode", "first order", "eta 0.05"}
    assert "0.8085" in out
    assert "DPM-Solver++(2M), 31 steps, predicted grid" in out
    assert "predicted 283" in out
    assert fl.plot.names(verdict) == ("kept", "circle", "grids", "samples", "statements")
    assert all((place / f"{name}.png").exists() for name in fl.plot.names(verdict))
    page = Page((place / "report.html").read_text())
    cited = {a["href"].removeprefix("#") for a in page.all("a") if a.get("class") == "cite"}
    assert {"F128", "F129", "F131", "F132", "F133", "F135"} <= cited
    assert cited <= {attributes.get("id") for _, attributes in page.tags}
    assert "fluctua study diffusion digits --accuracy 0.01" in page.text


@pytest.mark.any_seed
def test_the_command_samples_where_asked_and_its_json_obeys_the_schema(run):
    asked = "--steps", "10", "--spacing", "predicted", "--solver", "2m", "--betas", "cosine", "--verify"
    code, out, _ = run("study", "diffusion", *asked, "--samples", "2000", "--seed", "1", "--json", "--no-report")
    found = json.loads(out)
    check(found, "study")
    assert code == (0 if found["passed"] else 1)
    assert "--spacing predicted --betas cosine --solver 2m --verify --samples 2000" in found["identity"]["command"]
    assert found["identity"]["sampler"]["solver"] == "2m"


@pytest.mark.any_seed
def test_any_file_is_sampled_and_two_columns_are_a_cloud(run, tmp_path):
    rows = np.random.default_rng(0).normal(size=(60, 3)) * [3.0, 1.0, 0.2]
    text = "\n".join(",".join(map(str, [*row, k % 2])) for k, row in enumerate(rows))
    (tmp_path / "points.csv").write_text(f"a,b,c,label\n{text}\n")
    code, _, err = run("study", "diffusion", str(tmp_path / "points.csv"), "--out", str(tmp_path / "out"))
    assert code == 0, err
    verdict = StatementVerdict.load(tmp_path / "out")
    assert verdict.arrays["sample_shape"].tolist() == [400, 2]
    assert fl.plot.draw(verdict, "samples", figsize=3.4) is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--steps", "30"), "does not divide"),
        (("--eta", "-1"), "eta must be at least 0"),
        (("--eta", "2"), "more fresh noise"),
        (("--solver", "2m", "--eta", "1"), "has no place"),
        (("--spacing", "even"), "leading"),
        (("--accuracy", "1.5"), "accuracy must be less than 1"),
        (("--verify", "--samples", "10"), "samples must be at least 1000"),
        (("--samples", "5000"), "--samples draws nothing without --verify"),
        (("--lr", "5"), "none is trained"),
        (("--score", "training", "--batch-size", "4"), "none is trained"),
        (("--accuracy", "1e-9"), "reaches 0.999999999 of the variance"),
    ],
)
def test_bad_options_are_refused(run, options, words):
    code, _, err = run("study", "diffusion", "digits", *options)
    assert code == 2
    assert words in " ".join(err.split())


@pytest.mark.any_seed
def test_the_study_is_a_row_of_the_reproduction(run, monkeypatch):
    from fluctua.studies.diffusion import command

    row = next(iter(command.STUDY.quick))
    monkeypatch.setitem(command.STUDY.quick, row, {"steps": 5, "verify": True, "samples": 2000})
    code, out, _ = run("reproduce", "--quick", "--study", "diffusion", "--json")
    found = json.loads(out)["studies"]
    assert (found[0]["study"], found[0]["row"]) == ("diffusion", row)
    assert code == (0 if all(each["verdict"]["passed"] for each in found) else 1)


@pytest.mark.any_seed
def test_the_verdict_of_python_is_kept_and_drawn(tmp_path):
    line = diffusion.GaussianData(mean=[0.5], covariance=[[0.4]])
    verdict = fl.verify(line, diffusion.DDIM(steps=10, eta=0.3), samples=2000, rng=1)
    verdict.save(tmp_path)
    assert StatementVerdict.load(tmp_path) == verdict
    assert {"measured at eta 0", "measured at eta 0.3", "measured at eta 0.5"} <= set(verdict.tables)
    assert "Variance kept" in render(verdict)


def test_square_images_are_told_from_other_data():
    assert [image_side(n) for n in (64, 784, 3072, 3, 16, 65)] == [8, 28, 32, 0, 0, 0]


def test_the_first_order_method_is_named_beside_the_second_order_one():
    data = diffusion.GaussianData([0.0, 0.0], np.diag([1.0, 0.1]))
    one, two = (fl.predict(data, diffusion.DDIM(steps=5, spacing="predicted", solver=each)) for each in ("ddim", "2m"))
    words = facts_of(fl.predict(data, diffusion.DDIM(steps=5, solver="2m")))["On the predicted grid"]
    assert words == f"W2 = {one.w2:.4f}; with DPM-Solver++(2M) {two.w2:.4f}"
