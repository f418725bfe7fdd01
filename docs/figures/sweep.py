"""Draw sweep.png: 96 recipes on digits, theory as lines through real runs.

    python docs/figures/sweep.py

The figure of `fluctua sweep digits --momentum 0,0.9 --measure --seed 1`, wider. On two cores: half a minute.
"""

from __future__ import annotations

from pathlib import Path

import fluctua as fl
from fluctua.planning.grid import usual_rates
from fluctua.report.figures import draw
from fluctua.report.figures.frame import style

OUT = Path(__file__).with_name("sweep.png")
WIDTH, HEIGHT = 10.0, 4.3
SIZES, MOMENTA = [2, 8, 32, 128], [0.0, 0.9]


def main(steps: int = 1000) -> None:
    data = fl.load("digits")
    problem = fl.LeastSquares(data.inputs, data.targets)
    rates = usual_rates(problem, [fl.SGD(1.0, size, momentum=beta) for size in SIZES for beta in MOMENTA])
    axes = {"lr": rates, "batch_size": SIZES, "momentum": MOMENTA}
    sweep = fl.sweep(problem, fl.SGD(0.05, 8), **axes, steps=steps, measure=True, rng=1).about(data.about)
    print(sweep.words)
    figure = draw(sweep)["sweep"]
    figure.set_size_inches(WIDTH, HEIGHT)
    figure.get_layout_engine().set(rect=(0, 0, 1, 0.9), wspace=0.04)
    for text, place in zip(figure.texts, (0.985, 0.935), strict=True):
        text.set_y(place)
    figure.legends[0].set_ncols(5)
    with style():
        figure.savefig(OUT)


if __name__ == "__main__":
    main()
