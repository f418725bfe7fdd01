"""The study of diffusion: its command, page, figures, plan, and rows of the reproduction."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import fluctua as fl
from fluctua.report import render
from fluctua.studies import diffusion
from fluctua.studies.diffusion.pictured import image_side
from fluctua.studies.diffusion.told import facts_of
from fluctua.verification.conclusion import StatementVerdict
from helpers.commands import check
from helpers.pages import Page


@pytest.fixture
def points(tmp_path):
    """A file of 60 rows, three columns and two classes."""
    rows = np.random.default_rng(0).normal(size=(60, 3)) * [3.0, 1.0, 0.2]
    text = "\n".join(",".join(map(str, [*row, k % 2])) for k, row in enumerate(rows))
    (tmp_path / "points.csv").write_text(f"a,b,c,label\n{text}\n")
    return tmp_path / "points.csv"


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
    assert "no deviation beyond rounding" in out  # nothing was sampled
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
def test_any_file_is_sampled_and_two_columns_are_a_cloud(run, points, tmp_path):
    code, _, err = run("study", "diffusion", str(points), "--out", str(tmp_path / "out"))
    assert code == 0, err
    verdict = StatementVerdict.load(tmp_path / "out")
    assert verdict.arrays["sample_shape"].tolist() == [400, 2]
    assert fl.plot.draw(verdict, "samples", figsize=3.4) is not None


@pytest.mark.any_seed
def test_no_figure_of_an_earlier_study_stays_or_is_listed_and_other_pictures_are_left_alone(run, points, tmp_path):
    asked = "study", "diffusion", str(points), "--steps", "5", "--seed", "1", "--out", "out", "--no-report"
    run(*asked, "--score", "training", "--samples", "1000")
    (tmp_path / "out" / "cat.png").write_bytes(b"a picture")
    assert (tmp_path / "out" / "memorisation.png").exists()
    code, out, err = run(*asked)
    assert code == 0, err
    assert "and circle, grids, kept, samples, statements as .png and .svg" in " ".join(out.split())
    drawn = {path.stem for path in (tmp_path / "out").glob("*.png")}
    assert drawn == {"cat", "circle", "grids", "kept", "samples", "statements"}


@pytest.mark.any_seed
def test_inputs_alone_are_enough_and_give_what_they_give_with_labels(run, tmp_path):
    """No targets are asked for where none is used: in an array, an archive, and a table whose inputs are named."""
    rows = np.random.default_rng(0).normal(size=(60, 3)) * [3.0, 1.0, 0.2]
    np.save(tmp_path / "rows.npy", rows)
    np.savez(tmp_path / "alone.npz", X=rows)
    np.savez(tmp_path / "labelled.npz", X=rows, y=np.arange(60) % 2)
    np.savetxt(tmp_path / "table.csv", rows, delimiter=",", header="a,b,c", comments="", fmt="%.17g")
    found = []
    for name, *options in (["rows.npy"], ["alone.npz"], ["labelled.npz"], ["table.csv", "--inputs-key", "*"]):
        asked = str(tmp_path / name), "--steps", "5", "--seed", "1", *options, "--json", "--no-report"
        code, out, err = run("study", "diffusion", *asked)
        assert code == 0, err
        found.append(json.loads(out))
    assert all(each["rows"] == found[0]["rows"] for each in found)
    assert len({each["data"]["sha256"] for each in found}) == 2  # labels are in it, where there are some


def test_a_table_without_a_label_has_its_inputs_named(run, tmp_path):
    """A label under a name that nobody knows is no input: what they are is said, or the table is refused."""
    rows = np.random.default_rng(0).normal(size=(60, 3))
    np.savetxt(tmp_path / "table.csv", rows, delimiter=",")
    code, _, err = run("study", "diffusion", str(tmp_path / "table.csv"))
    assert code == 2
    assert "--inputs-key '*'" in " ".join(err.split())
    np.save(tmp_path / "rows.npy", rows)
    code, _, err = run("study", "diffusion", str(tmp_path / "rows.npy"), "--score", "mixture")
    assert code == 2
    assert "the data have no labels" in " ".join(err.split())


CHOSEN = {
    "mixture": (("--score", "mixture", "--samples", "1000"), "mixture of 2 class Gaussians", "memorisation"),
    "training": (
        ("--score", "training", "--samples", "1000", "--components", "2"),
        "training set of 60",
        "memorisation",
    ),
    "trained": (("--trained", "20", "--lr", "0.05", "--batch-size", "4", "--samples", "20"), "20 steps from", "refund"),
}


@pytest.mark.any_seed
@pytest.mark.parametrize("name", CHOSEN)
def test_another_denoiser_is_sampled_repeated_and_drawn(run, points, tmp_path, name):
    """Whatever the verdict: it says what repeats it, and no text of its figure is cut or over another one."""
    options, words, figure = CHOSEN[name]
    code, _, err = run("study", "diffusion", str(points), "--steps", "5", *options, "--seed", "1", "--out", "out")
    verdict = StatementVerdict.load(tmp_path / "out")
    assert code == (0 if verdict.passed else 1), err
    assert words in verdict.title
    assert fl.plot.names(verdict) == (figure, "statements")
    assert " ".join(options[:2]) in verdict.identity["command"]
    for drawn in (verdict, replace(verdict, title=f"{verdict.title}, " + "of a long name " * 9)):
        hold_texts(fl.plot.draw(drawn, figure))


def hold_texts(figure):
    """Nothing is outside the figure, and no label of an axis's ticks is over the next one."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer, inside = canvas.get_renderer(), figure.bbox.padded(1)
    for each in (*figure.axes, *figure.texts):
        box = each.get_tightbbox(renderer) if each in figure.axes else each.get_window_extent(renderer)
        assert inside.x0 <= box.x0 < box.x1 <= inside.x1
        assert inside.y0 <= box.y0 < box.y1 <= inside.y1
    for axes in figure.axes:
        assert axes.yaxis.label.get_window_extent(renderer).height <= axes.get_window_extent(renderer).height
        shown = [each for minor in (False, True) for each in axes.xaxis.get_ticklabels(minor=minor) if each.get_text()]
        boxes = sorted((each.get_window_extent(renderer) for each in shown), key=lambda box: box.x0)
        assert all(one.x1 < two.x0 for one, two in pairwise(boxes))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--score", "mixture", "--trained", "10"), "two denoisers"),
        (("--components", "62"), "components must be at most 61"),
        (("--trained", "0"), "steps must be at least 1"),
        (("--trained", "10", "--samples", "19"), "samples must be at least 20"),
        (("--score", "training", "--samples", "999"), "samples must be at least 1000"),
        (("--score", "training", "--solver", "corrected"), "solver='corrected'"),
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


def test_a_mixture_needs_labels_and_training_needs_a_stable_lr(run, tmp_path):
    rows = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    np.savez(tmp_path / "rows.npz", X=rows, y=rows[:, 0])
    code, _, err = run("study", "diffusion", str(tmp_path / "rows.npz"), "--score", "mixture")
    assert code == 2
    assert "the data have no labels" in " ".join(err.split())
    code, _, err = run("study", "diffusion", str(tmp_path / "rows.npz"), "--trained", "10", "--lr", "9")
    assert code == 2
    assert "lr <" in err


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
