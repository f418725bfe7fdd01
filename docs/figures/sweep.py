"""Draw sweep.png: 96 recipes on digits, theory as lines through real runs.

    python docs/figures/sweep.py

The figure of `fluctua sweep digits --lr 0.002:0.2:12 --momentum 0,0.9 --measure --seed 1`, wider. On two cores: half a
minute.
"""

from __future__ import annotations

from pathlib import Path

import fluctua as fl
from fluctua.cli.lists import numbers
from fluctua.report.figures.frame import style
from fluctua.report.figures.sweep_figure import lines

OUT = Path(__file__).with_name("sweep.png")
WIDTH, HEIGHT = 10.0, 4.2
SIZES, MOMENTA = [2, 8, 32, 128], [0.0, 0.9]


def main() -> None:
    data = fl.load("digits")
    problem = fl.LeastSquares(data.inputs, data.targets)
    axes = {"lr": numbers("--lr", ["0.002:0.2:12"]), "batch_size": SIZES, "momentum": MOMENTA}
    sweep = fl.sweep(problem, fl.SGD(0.05, 8), **axes, steps=1000, measure=True, rng=1).about(data.about)
    print(sweep.words)
    with style():
        figure = lines(sweep, columns=5)
    figure.set_size_inches(WIDTH, HEIGHT)
    figure.get_layout_engine().set(rect=(0, 0, 1, 0.9), wspace=0.04)
    for text, place in zip(figure.texts, (0.985, 0.935), strict=True):
        text.set_y(place)
    with style():
        figure.savefig(OUT)


if __name__ == "__main__":
    main()
