"""Draw modes.png: the variance of every mode of the weights on digits, predicted and measured.

    python docs/figures/modes.py

The figure "modes" of `fluctua verify digits --seed 1`, with its two panels side by side. On two cores: half a minute.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.gridspec import GridSpec

import fluctua as fl
from fluctua.report.figures import draw
from fluctua.report.figures.frame import style

OUT = Path(__file__).with_name("modes.png")
WIDTH, HEIGHT = 10.0, 4.0


def main() -> None:
    data = fl.load("digits")
    problem = fl.LeastSquares(data.inputs, data.targets)
    verdict = fl.verify(problem, fl.SGD(lr=0.05, batch_size=8), steps=2000, replicas=512, rng=1).about(data.about)
    print(verdict.words)
    figure = draw(verdict)["modes"]
    figure.set_size_inches(WIDTH, HEIGHT)
    figure.get_layout_engine().set(rect=(0, 0, 1, 0.91), wspace=0.04)
    for axes, panel in zip(figure.axes, GridSpec(1, 2, figure=figure), strict=True):
        axes.set_subplotspec(panel)
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(figure.axes[-1].get_xlabel())
    for text, place in zip(figure.texts, (0.98, 0.93), strict=True):
        text.set_y(place)
    figure.legends[0].remove()
    with style():
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        figure.savefig(OUT)


if __name__ == "__main__":
    main()
