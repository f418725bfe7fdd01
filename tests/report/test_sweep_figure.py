"""The figure of a sweep: its lines are the predictions, its points the means, and what has no loss is at the edge."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy.stats import t as student

import fluctua as fl
from fluctua.report.figures import draw, draw_svg, save_figures

pytestmark = pytest.mark.any_seed
RATES, SIZES = [0.01, 0.03, 0.1, 0.5], [2, 8]


@pytest.fixture(scope="module")
def sweep(small_problem):
    return fl.sweep(
        small_problem,
        fl.SGD(0.02, 4),
        lr=RATES,
        batch_size=SIZES,
        momentum=[0.0, 0.5],
        steps=60,
        measure=True,
        replicas=8,
        rng=1,
    )


@pytest.fixture(scope="module")
def figure(sweep):
    return draw(sweep)["sweep"]


def cells(sweep, momentum, size):
    return [c for c in sweep.cells if (c.sgd.momentum, c.sgd.batch_size) == (momentum, size)]


def test_theory_goes_through_points_with_their_intervals(sweep, figure):
    for axes, momentum in zip(figure.axes, (0.0, 0.5), strict=True):
        assert axes.get_title(loc="left") == f"momentum {momentum:g}"
        for container, size in zip(axes.containers, SIZES, strict=True):
            assert container.get_label() == f"batch size {size}"
            some = [cell for cell in cells(sweep, momentum, size) if cell.stable]
            points, _, (bars,) = container
            found = points.get_ydata()[: len(some)]
            np.testing.assert_array_equal(found, [cell.measured.excess_loss for cell in some])
            ends = np.array(bars.get_segments()[: len(some)])[:, :, 1]
            widths = student.ppf(0.975, 7) * np.array([cell.measured.error for cell in some])
            np.testing.assert_allclose(np.diff(ends)[:, 0], 2 * widths, rtol=1e-9)
        lines = [line.get_ydata() for line in axes.lines if line.get_linestyle() == "-"]
        for line, size in zip(lines, SIZES, strict=True):
            some = cells(sweep, momentum, size)
            expected = [cell.excess_loss if cell.stable else np.nan for cell in some]
            np.testing.assert_array_equal(line, expected)


def test_what_is_beyond_the_limit_is_at_the_edge_and_limits_are_on_the_axis(sweep, figure):
    axes = figure.axes[0]
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    beyond = [[cell.sgd.lr for cell in cells(sweep, 0.0, size) if not cell.stable] for size in SIZES]
    assert [line.get_xdata().tolist() for line in crosses] == beyond
    assert all(0.9 < y < 1 for line in crosses for y in line.get_ydata())
    ticks = [one.get_segments()[0][0, 0] for one in axes.collections if one.get_transform() != axes.transData]
    limits = {float(cell.limit) for cell in cells(sweep, 0.0, 2) + cells(sweep, 0.0, 8)}
    assert limits <= set(ticks)


def test_axes_say_what_they_show_and_colours_and_markers_differ(figure):
    assert all(axes.get_xscale() == axes.get_yscale() == "log" for axes in figure.axes)
    assert "learning rate" in figure.axes[0].get_xlabel()
    assert figure.axes[0].get_ylabel().startswith("excess loss after $T$ steps")
    looks = {(c[0].get_color(), c[0].get_marker()) for c in figure.axes[0].containers}
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == 2
    assert "60 steps from zero, 8 to 8 runs each" in figure.texts[1].get_text()


def test_nothing_is_cut_and_no_texts_overlap(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    inside = figure.bbox.padded(1)
    for axes in figure.axes:
        box = axes.get_tightbbox(renderer)
        assert inside.x0 <= box.x0 < box.x1 <= inside.x1
        assert inside.y0 <= box.y0 < box.y1 <= inside.y1
        assert axes.get_window_extent(renderer).width > 0.3 * figure.bbox.width
    legend = figure.legends[0].get_window_extent(renderer)
    assert inside.x0 <= legend.x0 < legend.x1 <= inside.x1
    assert legend.y1 <= min(axes.get_tightbbox(renderer).y0 for axes in figure.axes)


def test_a_saved_sweep_gives_the_same_bytes(sweep, tmp_path):
    sweep.save(tmp_path)
    first = [path.read_bytes() for path in save_figures(sweep, tmp_path / "a", ["svg", "png", "pdf"])]
    second = [
        path.read_bytes() for path in save_figures(fl.Sweep.load(tmp_path), tmp_path / "b", ["svg", "png", "pdf"])
    ]
    assert first == second
    assert draw_svg(sweep)["sweep"].startswith("<svg")


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": [1, 4, 16]},
        {"sampling": ["with_replacement", "without_replacement"]},
        {"lr": [0.02], "steps": None},
        {"lr": [0.02, 0.05], "weight_decay": [0.0, 0.1], "batch_size": list(range(1, 10))},
        {"lr": [0.02, 0.05], "momentum": np.linspace(0, 0.9, 14).tolist(), "batch_size": [2, 8]},
        {"lr": [5.0, 9.0]},
        {"momentum": [0.0, 0.5]},
    ],
)
def test_any_axes_can_be_drawn(small_problem, options):
    sweep = fl.sweep(small_problem, fl.SGD(0.02, 4), **{"steps": 20, **options})
    figure = draw(sweep)["sweep"]
    FigureCanvasAgg(figure).draw()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert all(axes.lines for axes in shown)
    assert all(axes.get_window_extent().width > 0.3 * figure.bbox.width for axes in shown)


def test_where_the_optimum_differs_whole_losses_are_drawn(small_problem):
    sweep = fl.sweep(small_problem, fl.SGD(0.02, 4), lr=[0.02, 0.05], weight_decay=[0.0, 0.5], steps=20)
    (axes,) = draw(sweep)["sweep"].axes
    assert axes.get_ylabel().startswith("loss after")
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [cell.loss for cell in sweep.cells[:2]])
