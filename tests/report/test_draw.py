"""Figures in scripts, notebooks and journals: `fluctua.plot`, sizes, styles, axes of one's own; nothing is cut."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

import fluctua as fl
from fluctua.errors import InvalidInput, UnknownName
from fluctua.report.figures import save_pictures
from fluctua.report.figures.fit import unreadable
from fluctua.report.figures.register import pictures
from fluctua.report.figures.sheet import Sheet
from fluctua.report.figures.size import figure_size

LONG = "a-name-of-data/that goes on " * 6


@pytest.fixture(scope="module")
def results(digits_problem):
    sgd, run = fl.SGD(lr=0.05, batch_size=8), {"steps": 64, "replicas": 16, "rng": 1}
    data = fl.load("digits", limit=100)
    few = fl.LeastSquares(data.inputs[:, 18:24], data.targets)
    curve = fl.predict(digits_problem, sgd).after(64, start="zero", curve=True)
    return {
        "Verdict": fl.verify(digits_problem, sgd, **run).about({"name": LONG}),
        "DynamicVerdict": fl.verify_dynamic(digits_problem, sgd, modes=5, **run),
        "GradientNoise": fl.gradient_noise(digits_problem, sgd, **run),
        "Prediction": curve,
        "Measurement": fl.simulate(digits_problem, sgd, start="zero", **run),
        "Plan": fl.plan(few, 20, batch_size=8, momenta=[0.0], schedules=["constant", "cosine", "linear"]),
        "BatchCosts": fl.batch_costs(few, [1, 16, 64], target=0.4),
        "ndarray": curve.curve,
    }


FIGURES = [
    ("Verdict", "modes"),
    ("Verdict", "balance"),
    ("Verdict", "curve"),
    ("DynamicVerdict", "regression"),
    ("DynamicVerdict", "response"),
    ("DynamicVerdict", "circulation"),
    ("DynamicVerdict", "current"),
    ("GradientNoise", "noise"),
    ("Prediction", "modes"),
    ("Prediction", "curve"),
    ("Measurement", "curve"),
    ("Plan", "plan"),
    ("BatchCosts", "batch_sizes"),
    ("ndarray", "curve"),
]


@pytest.mark.any_seed
def test_every_figure_there_is_is_tested(results):
    assert [(kind, name) for kind, one in results.items() for name in fl.plot.names(one)] == FIGURES


@pytest.mark.any_seed
@pytest.mark.parametrize(("kind", "name"), FIGURES)
@pytest.mark.parametrize("size", ["3.4in", "8.6cm", "17.8cm", None])
def test_nothing_is_cut_and_no_label_lies_over_another(results, kind, name, size):
    """What `fluctua plot --size 3.4in` writes; where it did not fit it would be refused."""
    sheet = Sheet(*figure_size(size))
    with sheet.settings():
        figure = pictures(results[kind])[name](sheet)
        assert not unreadable(figure)
    assert size is None or figure.get_figwidth() == figure_size(size)[0]


def test_what_is_cut_or_covered_is_noticed():
    """The mutants."""
    figure = Figure((3, 2))
    figure.text(0.1, 0.5, "inside")
    assert unreadable(figure) == []
    figure.text(0.15, 0.52, "over it")
    assert unreadable(figure) == ["'inside' lies over 'over it'"]
    figure.text(0.9, 0.1, "a text at the edge")
    assert unreadable(figure)[0] == "'a text at the edge' is cut"


@pytest.mark.any_seed
def test_what_is_said_above_a_narrow_panel_keeps_its_lines(results):
    said = fl.plot.draw(results["Verdict"], "balance", figsize=3.4).axes[1].get_title(loc="left").split("\n")
    assert re.fullmatch(r"\d+ of \d+ lie outside", said[-1])


@pytest.mark.any_seed
def test_a_figure_that_does_not_fit_is_refused(results, tmp_path):
    with pytest.raises(InvalidInput, match=r"balance does not fit into 3.4 x 1.2 inches"):
        fl.plot.draw(results["Verdict"], "balance", figsize=(3.4, 1.2))
    with pytest.raises(InvalidInput, match="does not fit"):
        save_pictures(results["Verdict"], tmp_path, names=["balance"], sheet=Sheet(3.4, 1.2))
    assert not list(tmp_path.iterdir())


@pytest.mark.any_seed
def test_letters_keep_their_size_in_a_column_and_grow_with_a_poster(results):
    sizes = [
        min(text.get_fontsize() for text in fl.plot.draw(results["Verdict"], "curve", figsize=width).findobj(label))
        for width in (3.4, 6.2, 12.4)
    ]
    assert sizes[0] >= 6.0
    assert sizes[2] == pytest.approx(2 * sizes[1])


def label(artist):
    return isinstance(artist, matplotlib.text.Text) and bool(artist.get_text())


@pytest.mark.any_seed
@pytest.mark.parametrize(("kind", "name"), FIGURES)
def test_a_figure_is_drawn_into_axes_of_ones_own(results, kind, name):
    mine = Figure()
    axes = mine.subplots()
    assert fl.plot.draw(results[kind], name, ax=axes) is axes
    assert axes.has_data()
    assert axes.get_xlabel()
    assert len(mine.axes) == 1 + (name == "circulation")  # its colours' bar
    mine.draw_without_rendering()


@pytest.mark.any_seed
def test_several_axes_take_the_panels_in_their_order(results):
    mine = Figure(layout="constrained")
    axes = mine.subplots(2, 2)
    assert fl.plot.draw(results["GradientNoise"], ax=axes) is axes
    assert [one.get_ylabel() for one in axes.flat][0::2] == ["variance of the noise", "excess kurtosis"]
    with pytest.raises(InvalidInput, match="has 2 panels, and 4 axes"):
        fl.plot.draw(results["Verdict"], ax=list(axes.flat))


@pytest.mark.any_seed
@pytest.mark.parametrize("ax", [3, "axes", [], [None], Figure()])
def test_what_are_no_axes_is_refused(results, ax):
    with pytest.raises(InvalidInput, match="ax must be axes"):
        fl.plot.draw(results["Verdict"], ax=ax)


@pytest.mark.any_seed
def test_figsize_and_ax_are_two_sizes(results):
    with pytest.raises(InvalidInput, match="give one of them"):
        fl.plot.draw(results["Verdict"], ax=Figure().subplots(), figsize=3.4)


@pytest.mark.any_seed
def test_a_style_goes_over_our_own_and_leaves_nothing_behind(results):
    before = dict(matplotlib.rcParams)
    dark = fl.plot.draw(results["ndarray"], style="dark_background")
    assert dark.get_facecolor()[:3] == (0.0, 0.0, 0.0)
    large = fl.plot.draw(results["ndarray"], style={"axes.labelsize": 20.0})
    assert large.axes[0].xaxis.label.get_fontsize() == 20.0
    assert dict(matplotlib.rcParams) == before


@pytest.mark.any_seed
@pytest.mark.parametrize("style", ["no-such-style", {"no.such": 1}, 3])
def test_a_style_that_there_is_not_is_refused(results, style):
    with pytest.raises(InvalidInput, match="style"):
        fl.plot.draw(results["ndarray"], style=style)


@pytest.mark.parametrize("result", [3, None, fl.SGD(lr=0.1, batch_size=8), np.zeros((2, 2)), np.array(["a", "b"])])
def test_what_cannot_be_drawn_is_refused_by_name(result):
    with pytest.raises(InvalidInput, match=r"Verdict, .*Plan|learning curve"):
        fl.plot.draw(result)


@pytest.mark.any_seed
def test_a_figure_that_there_is_not_is_refused_with_the_nearest(results):
    with pytest.raises(UnknownName, match="Did you mean 'balance'"):
        fl.plot.draw(results["Verdict"], "balence")
    unbalanced = dataclasses.replace(results["Verdict"], balance=None)
    assert fl.plot.names(unbalanced) == ("modes", "curve")


@pytest.mark.parametrize(
    ("given", "inches"),
    [
        ("3.4in", (3.4, None)),
        ("8.6cm", (8.6 / 2.54, None)),
        ("86 mm", (8.6 / 2.54, None)),
        ("246pt", (246 / 72.27, None)),
        ("3.4x2.5in", (3.4, 2.5)),
        ((3, 2.5), (3.0, 2.5)),
        (np.float64(3.4), (3.4, None)),
        (None, (None, None)),
    ],
)
def test_sizes_are_read_as_journals_state_them(given, inches):
    assert figure_size(given) == pytest.approx(inches)


@pytest.mark.parametrize(
    "given", ["", "3.4", "3.4ft", "1.2.3in", "-3in", "0.1in", "1000in", "nanin", (3,), (1, 2, 3), True]
)
def test_a_size_that_is_none_is_refused(given):
    with pytest.raises(InvalidInput, match=r"size|sides"):
        figure_size(given)


@pytest.mark.any_seed
def test_a_notebook_shows_a_figure_once(results):
    figure = fl.plot.draw(results["ndarray"])
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert not hasattr(figure, "_repr_html_") or figure._repr_html_() is None


def test_the_namespace_is_loaded_late_and_opens_no_figure():
    code = (
        "import sys, fluctua as fl; import numpy as np\n"
        "assert 'plot' in dir(fl) and 'fluctua.plot' not in sys.modules\n"
        "assert fl.plot.names(np.ones(3)) == ('curve',) and 'matplotlib' not in sys.modules\n"
        "fl.plot.draw(np.ones(3)); assert 'matplotlib.pyplot' not in sys.modules\n"
        "import matplotlib; matplotlib.use('agg'); import matplotlib.pyplot as plt\n"
        "fl.plot.draw(np.ones(3)); assert not plt.get_fignums()\n"
        "fl.plot.draw(np.ones(3), ax=plt.gca()); assert plt.get_fignums() == [1]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
