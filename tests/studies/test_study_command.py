"""The command of a study: found by its name, with a verdict, a page, figures and a row of the reproduction."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fluctua as fl
from fluctua import studies
from fluctua.report import render
from fluctua.studies import adaptive, learning
from fluctua.studies.adaptive import Langevin, evidence
from fluctua.verification.conclusion import StatementVerdict
from helpers.commands import check
from helpers.pages import Page

pytestmark = pytest.mark.usefixtures("no_curve")
SHORT = "--steps", "4000", "--replicas", "64", "--seed", "1"


@pytest.fixture
def no_curve(monkeypatch):
    """The bias at one step alone."""
    monkeypatch.setattr(evidence, "OCTAVES", np.zeros(1))


def test_studies_are_found_by_their_folders():
    assert "adaptive" in studies.names()
    assert studies.find("adaptive").name == "adaptive"


def test_verbs_take_the_noun_of_a_study_by_name_too():
    chain = adaptive.Langevin("harmonic", method="fixed")
    assert fl.predict(problem=chain, theory="target") == fl.predict(chain, theory="target")
    net = learning.RateNetwork([[0.0, 0.5], [0.5, 0.0]], gain=0.8, noise=0.05, dt=0.1)
    assert fl.predict(problem=net, inputs=[1, 0], targets=[0, 1]) == fl.predict(net, [1, 0], [0, 1])


def test_a_study_that_there_is_not_is_refused_by_name(run):
    code, _, err = run("study", "adaptve", "spring")
    assert code == 2
    assert "Did you mean 'adaptive'?" in err
    code, _, err = run("study", "adaptive", "spring", "--method", "naive", "--no-correction")
    assert code == 2
    assert "--method ip" in err
    code, _, err = run("study", "adaptive", "sprnig")
    assert code == 2
    assert "Did you mean 'spring'?" in err


@pytest.mark.any_seed
def test_a_study_writes_its_verdict_its_page_and_its_figures(run, tmp_path):
    code, out, _ = run("study", "adaptive", "spring", *SHORT)
    place = tmp_path / "fluctua-study-adaptive"
    verdict = StatementVerdict.load(place)
    assert code == (0 if verdict.passed else 1)
    assert verdict.table in out
    assert {path.name for path in place.iterdir()} == {
        "study.json",
        "study.npz",
        "report.html",
        *(f"{name}.{ending}" for name in ("bias", "density", "statements") for ending in ("png", "svg")),
    }
    page = Page((place / "report.html").read_text())
    cited = {a["href"].removeprefix("#") for a in page.all("a") if a.get("class") == "cite"}
    assert cited == {"F100", "F101", "F102"}
    assert cited <= {attributes.get("id") for _, attributes in page.tags}
    assert "0.9 of the correction" in page.text
    assert "curvature with eigenvalues" not in page.text
    assert "fluctua study adaptive spring --method ip --lr 0.3 --temperature 0.1 --steps 4000" in page.text
    assert page.json("result")[0]["study"] == "adaptive"
    (place / "bias.png").unlink()
    assert run("plot", str(place), "--figure", "bias", "--format", "png")[0] == 0
    assert (place / "bias.png").exists()
    assert run("report", str(place), "--out", "again.html")[0] == 0
    assert (tmp_path / "again.html").read_text() == (place / "report.html").read_text()


@pytest.mark.any_seed
def test_json_obeys_the_schema_and_nothing_else_is_printed(run):
    code, out, _ = run("study", "adaptive", "spring", "--no-correction", *SHORT, "--json", "--no-report")
    check(json.loads(out), "study")
    found = json.loads(out)
    assert code == (0 if found["passed"] else 1)
    assert found["facts"]["Keeps, as lr goes to 0"] == "exp(-V/T)/g"


@pytest.mark.any_seed
def test_the_study_is_a_row_of_the_reproduction(run, tmp_path, monkeypatch):
    from fluctua.studies.adaptive import command

    monkeypatch.setitem(command.STUDY.quick["IP"], "steps", 2000)
    monkeypatch.setitem(command.STUDY.quick["IP"], "replicas", 32)
    code, out, _ = run("reproduce", "--quick", "--study", "adaptive", "--json")
    check(json.loads(out), "reproduction")
    (row,) = json.loads(out)["studies"]
    assert (row["study"], row["row"]) == ("adaptive", "IP")
    assert json.loads(out)["cells"] == []
    assert code == (0 if row["verdict"]["passed"] else 1)
    place = tmp_path / "fluctua-reproduction"
    assert "| adaptive | IP | 2,000 | 32 |" in (place / "summary.md").read_text()
    assert "(kept)" in run("reproduce", "--quick", "--study", "adaptive")[1]


@pytest.mark.any_seed
def test_several_verdicts_of_studies_share_a_page_with_others(small_problem):
    chain = Langevin("spring", lr=0.3, temperature=0.1)
    one = fl.verify(chain, steps=2000, replicas=16, rng=1)
    other = fl.verify(small_problem, fl.SGD(0.02, 4), steps=64, replicas=8, rng=1)
    page = Page(render([one, other], brief=[0, 1]))
    assert "curvature with eigenvalues" in page.text
    assert "the monitor" in page.text
    assert page.text.count("What was run") == 2
    assert fl.plot.names(one) == ("bias", "density", "statements")


@pytest.mark.any_seed
@pytest.mark.parametrize(
    "asked",
    [
        ("layers", "--steps", 200, "--replicas", 16, "--hidden", 3),
        ("diffusion", "--steps", 5, "--score", "mixture", "--samples", 1000),
    ],
)
def test_targets_may_lie_in_a_file_of_their_own(run, tmp_path, asked):
    """As for any command on data; what repeats the study names that file, too."""
    rng = np.random.default_rng(0)
    x, (name, *options) = rng.normal(size=(60, 3)), asked
    y = (x[:, 0] > 0).astype(int)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    np.savez(tmp_path / "both.npz", X=x, y=y)
    apart, both = (
        run("study", name, *data, *options, "--seed", 1, "--json", "--no-report", "--out", "out")
        for data in (("x.npy", "--targets", "y.npy"), ("both.npz",))
    )
    assert json.loads(apart[1])["rows"] == json.loads(both[1])["rows"]
    assert f"{name} x.npy --targets y.npy" in json.loads(apart[1])["identity"]["command"]
    if name == "layers":
        assert "(--targets y.npy)" in " ".join(run("study", name, "x.npy", *options)[2].split())
