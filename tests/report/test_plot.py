"""The figures: do they carry the verdict's numbers, whole, readable and the same every time?"""

import dataclasses
import importlib
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import t as student

import fluctua as fl
from fluctua.errors import OutputError, UnknownName
from fluctua.report import figures as plot
from fluctua.report.figures.noise_figure import noise
from fluctua.report.figures.sheet import Sheet, settle
from fluctua.theory.ladder import RUNGS

style = importlib.import_module("fluctua.report.figures.frame")  # the name in the package is its function
FILES = {f"{name}.{kind}" for name in ("modes", "balance", "curve") for kind in ("png", "svg")}


@pytest.fixture(scope="module")
def verdict(digits_problem):
    sgd = fl.SGD(lr=0.05, batch_size=8)
    return fl.verify(digits_problem, sgd, steps=64, replicas=16, rng=1).about({"name": "digits"})


@pytest.fixture(scope="module")
def figures(verdict):
    return plot.draw(verdict)


@pytest.fixture(scope="module")
def files(verdict, tmp_path_factory):
    return plot.save_figures(verdict, tmp_path_factory.mktemp("figures"))


def changed(verdict, **arrays):
    return dataclasses.replace(verdict, arrays={**verdict.arrays, **arrays})


def stationary_at(verdict, level):
    rows = [dataclasses.replace(r, excess_loss=level) if "stationary" in r.name else r for r in verdict.rows]
    return dataclasses.replace(verdict, rows=tuple(rows))


def errorbar(axes):
    """Points and lower and upper ends of the error bars of the only errorbar in `axes`."""
    (container,) = axes.containers
    points, _, (bars,) = container
    ends = np.array(bars.get_segments())
    return points.get_xydata().T, ends[:, 0, 1], ends[:, 1, 1]


def line(axes, label):
    (found,) = (artist for artist in axes.lines if artist.get_label().startswith(label))
    return found.get_xydata().T


@pytest.mark.any_seed
def test_every_axis_says_what_it_shows(figures):
    assert set(figures) == {"modes", "balance", "curve"}
    for figure in figures.values():
        texts = [text.get_text() for text in figure.texts]
        assert texts[1] == ("digits: lr 0.05, batches of 8 with replacement, 64 steps from the optimum, 16 replicas")
        for axes in figure.axes:
            assert axes.get_ylabel()
            assert axes.get_xlabel() or axes.get_shared_x_axes().joined(axes, figure.axes[-1])


@pytest.mark.any_seed
def test_modes_carry_the_measured_and_the_predicted_variances(verdict, figures):
    upper, lower = figures["modes"].axes
    h, measured = verdict.arrays["curvatures"], verdict.arrays["measured_variances"]
    bar = student.ppf(0.975, 15) * verdict.arrays["measured_errors"]
    for axes, unit in ((upper, 1), (lower, verdict.arrays["predicted_exact"])):
        points, low, high = errorbar(axes)
        np.testing.assert_array_equal(points, [h, measured / unit])
        np.testing.assert_allclose(low, (measured - bar) / unit, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(high, (measured + bar) / unit, rtol=1e-9)
    for name in RUNGS:
        words = style.RUNGS[name][2]
        np.testing.assert_array_equal(line(upper, words), [h, verdict.arrays[f"predicted_{name}"]])
    bottom, top = lower.get_ylim()
    assert f"cut at {bottom:g} and {top:g}; 2 of 61 points" in lower.get_title(loc="left")
    ratio = measured / verdict.arrays["predicted_exact"]
    assert sum(ratio > top) + sum(ratio < bottom) == 2


@pytest.mark.any_seed
def test_the_rungs_below_are_divided_by_the_theory_and_nothing_near_is_lost(verdict, figures):
    lower = figures["modes"].axes[1]
    rungs = [np.asarray(drawn.get_ydata()) for drawn in lower.lines[1:5]]
    for name, drawn in zip([name for name in RUNGS if name != "exact"], rungs, strict=True):
        ratio = verdict.arrays[f"predicted_{name}"] / verdict.arrays["predicted_exact"]
        seen = np.isfinite(drawn)
        np.testing.assert_array_equal(drawn[seen], ratio[seen])
        bottom, top = lower.get_ylim()
        assert not np.any((ratio[~seen] > bottom) & (ratio[~seen] < top))


@pytest.mark.any_seed
def test_the_theory_under_test_is_the_unit_and_thick(verdict):
    rows = [dataclasses.replace(r, name=r.name.replace("exact,", "langevin,")) for r in verdict.rows]
    figures = plot.draw(dataclasses.replace(verdict, theory="langevin", rows=tuple(rows)))
    upper, lower = figures["modes"].axes
    (thick,) = (artist for artist in upper.lines if artist.get_linewidth() == 1.8)
    np.testing.assert_array_equal(thick.get_ydata(), verdict.arrays["predicted_langevin"])
    ratio = verdict.arrays["measured_variances"] / verdict.arrays["predicted_langevin"]
    np.testing.assert_array_equal(errorbar(lower)[0][1], ratio)
    assert "langevin" in lower.get_ylabel()


@pytest.mark.any_seed
def test_balance_shows_the_diagonal_and_the_pairs(verdict, figures):
    left, right = figures["balance"].axes
    f, d, e = (verdict.arrays[name] for name in ("fluctuation", "dissipation", "dissipation_error"))
    p, q = verdict.arrays["element"]
    points, _, high = errorbar(left)
    np.testing.assert_array_equal(points, [f[:61], d[:61]])
    np.testing.assert_allclose(high, (d + 2 * e)[:61], rtol=1e-12)
    unit = np.sqrt(f[p] * f[q])[p < q]
    x, y = line(right, "one pair")
    assert len(x) == 61 * 60 / 2
    np.testing.assert_array_equal([x, y], [f[p < q] / unit, d[p < q] / unit])
    for axes in (left, right):
        assert axes.get_xlim() == axes.get_ylim()
        start, end = line(axes, "balance").T
        assert start[0] == start[1]
        assert end[0] == end[1]


@pytest.mark.any_seed
def test_the_means_of_pairs_are_weighted_by_precision(verdict, figures):
    x, y = line(figures["balance"].axes[1], "one pair")
    p, q = verdict.arrays["element"]
    f, e = verdict.arrays["fluctuation"], verdict.arrays["dissipation_error"]
    error = (e / np.sqrt(f[p] * f[q]))[p < q]
    points, low, high = errorbar(figures["balance"].axes[1])
    steepest = np.argsort(x)[-91:]
    weight = error[steepest] ** -2.0
    np.testing.assert_allclose(points[1][-1], np.average(y[steepest], weights=weight))
    np.testing.assert_allclose(points[0][-1], np.average(x[steepest], weights=weight))
    assert np.median((high - low)[:20]) == pytest.approx(4 / np.sqrt(np.median(error**-2.0) * 91.5), rel=0.3)


@pytest.mark.any_seed
def test_negative_elements_of_the_diagonal_are_counted(verdict):
    dissipation = verdict.arrays["dissipation"].copy()
    dissipation[[3, 5]] *= -1
    left = plot.draw(changed(verdict, dissipation=dissipation))["balance"].axes[0]
    assert "2 of 61 negative" in left.get_title(loc="left")


@pytest.mark.any_seed
def test_shuffled_epochs_are_drawn_beside_independent_batches(small_problem):
    sgd = fl.SGD(lr=0.02, batch_size=7, sampling="shuffle")
    verdict = fl.verify(small_problem, sgd, steps=64, replicas=8, rng=1)
    figures = plot.draw(verdict)
    assert set(figures) == {"modes", "curve"}
    upper = figures["modes"].axes[0]
    for words, name in (("law of shuffled epochs", "exact"), ("exact for independent", "independent batches")):
        np.testing.assert_array_equal(line(upper, words)[1], verdict.arrays[f"predicted_{name}"])
    (curve,) = figures["curve"].axes
    np.testing.assert_array_equal(line(curve, "exact theory")[1], verdict.arrays["curve"])
    texts = {text.get_text() for figure in figures.values() for text in figure.texts}
    assert any("shuffled epochs of batches of 7" in text for text in texts)


@pytest.mark.any_seed
def test_curve_carries_theory_mean_band_and_stationary_level(verdict, figures):
    (axes,) = figures["curve"].axes
    arrays = verdict.arrays
    np.testing.assert_array_equal(line(axes, "exact theory"), [arrays["curve_steps"], arrays["curve"]])
    points, low, _ = errorbar(axes)
    np.testing.assert_array_equal(points, [arrays["watched"], arrays["loss_mean"]])
    np.testing.assert_allclose(low, arrays["loss_mean"] - student.ppf(0.975, 15) * arrays["loss_error"], atol=1e-12)
    band = {tuple(vertex) for vertex in axes.collections[0].get_paths()[0].vertices}
    for name in ("loss_low", "loss_high"):
        assert set(zip(arrays["watched"], arrays[name], strict=True)) <= band
    assert set(line(axes, "its stationary level")[1]) == {verdict.row("exact, stationary").excess_loss}
    assert axes.get_yscale() == "linear"


@pytest.mark.any_seed
def test_a_falling_curve_has_a_logarithmic_axis(verdict):
    steps = verdict.arrays["curve_steps"]
    (axes,) = plot.draw(changed(verdict, curve=0.01 + 0.5 / (1 + steps)))["curve"].axes
    assert axes.get_yscale() == "log"
    assert line(axes, "exact theory")[1][0] == 0.51


@pytest.mark.any_seed
@pytest.mark.parametrize(("level", "words"), [(np.inf, "no stationary level"), (5.0, "stationary level, 5, is far")])
def test_a_level_that_cannot_be_drawn_is_told(verdict, level, words):
    (axes,) = plot.draw(stationary_at(verdict, level))["curve"].axes
    assert words in axes.get_title(loc="left")
    assert axes.get_ylim()[1] < 1


@pytest.mark.any_seed
def test_a_saved_result_gives_the_same_files_to_the_byte(verdict, files, tmp_path):
    verdict.save(tmp_path)
    assert {path.name for path in files} == FILES == {path.name for path in files[0].parent.iterdir()}
    for path in plot.save_figures(fl.Verdict.load(tmp_path), tmp_path / "again", ["svg"]):
        assert path.read_bytes() == (files[0].parent / path.name).read_bytes()


@pytest.mark.any_seed
@pytest.mark.usefixtures("curve_alone")
def test_one_figure_is_laid_out_once_for_every_format(verdict, tmp_path, monkeypatch):
    laid = []
    monkeypatch.setattr(plot, "settle", lambda figure: (laid.append(figure), settle(figure)))
    monkeypatch.setattr(plot, "_SVG", {})
    kinds = ["pdf", "png", "svg"]
    together = [path.read_bytes() for path in plot.save_figures(verdict, tmp_path / "a", kinds)]
    assert len(laid) == 1
    monkeypatch.setattr(plot, "_SVG", {})
    alone = [plot.save_figures(verdict, tmp_path / kind, [kind])[0].read_bytes() for kind in reversed(kinds)]
    assert together == alone[::-1]  # no format moves anything in another


@pytest.mark.any_seed
@pytest.mark.usefixtures("curve_alone")
def test_the_users_settings_neither_matter_nor_change(verdict, files, tmp_path):
    mine = {"font.size": 30.0, "text.usetex": True, "axes.grid": False, "svg.hashsalt": "mine", "savefig.dpi": 7}
    with matplotlib.rc_context(mine):
        before = dict(matplotlib.rcParams)
        for path in plot.save_figures(verdict, tmp_path):
            assert path.read_bytes() == (files[0].parent / path.name).read_bytes()
        assert dict(matplotlib.rcParams) == before


@pytest.mark.any_seed
def test_nothing_half_written(verdict, tmp_path, monkeypatch):
    def fail(_, handle, **__):
        handle.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OutputError, match="No space left"):
        plot.save_figures(verdict, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.any_seed
def test_an_unknown_format_is_refused_before_anything_is_written(verdict, tmp_path):
    with pytest.raises(UnknownName, match="Did you mean 'png'"):
        plot.save_figures(verdict, tmp_path / "new", ["svg", "pngg"])
    assert not (tmp_path / "new").exists()


@pytest.mark.any_seed
@pytest.mark.parametrize("name", ["$x^2_{$.npz", "50$_a_b$.npz", r"\frac$\alpha$", "a long name " * 20])
@pytest.mark.usefixtures("curve_alone")
def test_names_of_data_are_shown_as_they_are(verdict, tmp_path, name):
    named = verdict.about({"name": name})
    text = plot.draw(named)["curve"].texts[1]
    assert text.get_text().replace("\n", " ").startswith(name.strip())
    assert not text.get_parse_math()
    assert plot.save_figures(named, tmp_path)


@pytest.mark.any_seed
@pytest.mark.parametrize("share", [0.4, 1.0])
def test_what_is_not_finite_is_left_out(verdict, share):
    keep = ("curvatures", "element", "watched", "curve_steps", "predicted_langevin")
    arrays = {name: values.copy() for name, values in verdict.arrays.items()}
    for name in set(arrays) - set(keep):
        ruined = arrays[name][int((1 - share) * len(arrays[name])) :]
        ruined[:] = np.resize([np.nan, np.inf, 1e300, -1e300], len(ruined))
    figures = plot.draw(stationary_at(dataclasses.replace(verdict, diverged_at=64, arrays=arrays), np.inf))
    for figure in figures.values():
        figure.draw_without_rendering()
    upper = figures["modes"].axes[0]
    assert "diverged by step 64" in upper.figure.texts[1].get_text().replace("\n", " ")
    np.testing.assert_array_equal(line(upper, "Langevin")[1], verdict.arrays["predicted_langevin"])


@pytest.mark.any_seed
def test_a_diverged_verdict_can_be_loaded_and_drawn(verdict, tmp_path):
    stationary_at(dataclasses.replace(verdict, diverged_at=64), np.inf).save(tmp_path)
    (axes,) = plot.draw(fl.Verdict.load(tmp_path))["curve"].axes
    assert "no stationary level" in axes.get_title(loc="left")


@pytest.mark.any_seed
@pytest.mark.usefixtures("curve_alone")
def test_hundreds_of_points_become_pixels_in_an_svg(verdict, files, tmp_path, monkeypatch):
    monkeypatch.setattr(style, "MANY", 10)
    monkeypatch.setattr(plot, "_SVG", {})  # drawn anew, and not kept
    (path,) = plot.save_figures(verdict, tmp_path, ["svg"])
    assert b"<image" in path.read_bytes()
    assert b"<image" not in (files[0].parent / "modes.svg").read_bytes()


@pytest.mark.any_seed
def test_the_noise_figure_carries_measured_and_predicted(digits_problem, tmp_path):
    found = fl.gradient_noise(digits_problem, fl.SGD(lr=0.05, batch_size=8), steps=50, replicas=8, rng=1)
    with Sheet().settings():
        figure = noise(found, Sheet())
    variance, memory, kurtosis, size = figure.axes
    np.testing.assert_array_equal(line(variance, "predicted")[1], found.predicted_variances)
    np.testing.assert_array_equal(errorbar(variance)[0], [found.curvatures, found.variances])
    np.testing.assert_array_equal(errorbar(memory)[0][1], found.correlations)
    np.testing.assert_array_equal(errorbar(kurtosis)[0][1], found.kurtoses)
    np.testing.assert_array_equal(errorbar(size)[0], [found.batch_sizes, found.steep_kurtoses])
    for axes in figure.axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()
    assert [path.name for path in plot.save_figures(found, tmp_path)] == ["noise.png", "noise.svg"]


@pytest.fixture(scope="module")
def in_time(digits_problem):
    return fl.verify_dynamic(digits_problem, fl.SGD(lr=0.05, batch_size=8), steps=64, replicas=16, modes=5, rng=1)


@pytest.mark.any_seed
def test_the_figures_in_time_carry_what_was_measured_and_predicted(in_time):
    figures, a = plot.draw(in_time), in_time.arrays
    assert set(figures) == {"regression", "response", "circulation", "current"}
    left, right = figures["regression"].axes
    np.testing.assert_array_equal(left.lines[0].get_ydata()[a["lags"]], a["lagged"][:, 0, 0] / a["covariance"][0, 0])
    np.testing.assert_array_equal(right.lines[0].get_ydata(), a["dense_responses"][:, 0])
    np.testing.assert_array_equal(right.containers[0][0].get_xydata().T, [a["lags"], a["measured_responses"][:, 0]])
    modes, pairs = figures["response"].axes
    lost = (a["measured_covariance"] - a["measured_lagged"]) / a["covariance"]
    np.testing.assert_allclose(errorbar(modes)[0][1], np.diagonal(lost, axis1=1, axis2=2).ravel())
    assert len(errorbar(pairs)[0][0]) == len(a["lags"]) * 5 * 4
    predicted, measured, both, _bar = figures["circulation"].axes
    shown = [axes.images[0].get_array() for axes in (predicted, measured)]
    assert len(errorbar(both)[0][0]) == 10
    np.testing.assert_allclose(errorbar(both)[0], [each[np.triu_indices(5, 1)] for each in shown])
    np.testing.assert_array_equal(shown[0], -shown[0].T)
    flows = [axes.collections[-1] for axes in figures["current"].axes]
    np.testing.assert_array_equal(flows[0].U, a["current"][:, 0])
    np.testing.assert_allclose(flows[1].V, 0.5 * (a["measured_current"] - a["measured_current"][::-1])[:, 1])
    for figure in figures.values():
        for axes in figure.axes:
            assert axes.get_xlabel()


@pytest.mark.any_seed
def test_one_mode_has_no_current_to_draw(digits_problem, tmp_path):
    one = fl.verify_dynamic(digits_problem, fl.SGD(lr=0.05, batch_size=8), steps=40, replicas=8, modes=1, rng=1)
    drawn = {path.name for path in plot.save_figures(one, tmp_path, ["svg"])}
    assert drawn == {"regression.svg", "response.svg"}


@pytest.mark.any_seed
def test_from_elsewhere_there_is_no_balance_to_draw(verdict):
    assert set(plot.draw(dataclasses.replace(verdict, balance=None))) == {"modes", "curve"}


def test_importing_costs_no_matplotlib_and_drawing_no_pyplot():
    code = (
        "import sys, fluctua.report.figures; from fluctua.report.figures.sheet import Sheet\n"
        "assert 'matplotlib' not in sys.modules\n"
        "with Sheet().settings(): Sheet().canvas('a', 'b', 3.0)\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
