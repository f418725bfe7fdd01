"""
A verdict, and the balance element by element
=============================================

`fluctua.verify` runs the training for real, many times from the optimum, and tests every rung of the ladder on the same
measurement.
"""

# sphinx_gallery_alt = "Dissipation against fluctuation. Left: single modes lie on the diagonal over seven "
# sphinx_gallery_alt = "decades. Right: pairs of modes scatter about the diagonal, and their means lie on it "
# sphinx_gallery_alt = "within error bars."

# sphinx_gallery_alt = "Above: measured variance of each mode, on the curve of the exact theory. Below: the "
# sphinx_gallery_alt = "ratio of both, about 1 within error bars, while the discrete and Langevin rungs are 5 % "
# sphinx_gallery_alt = "low and more."

import textwrap

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import fluctua as fl
from fluctua.report.figures import draw


def show(figure: Figure) -> None:
    """Show a figure that was drawn without pyplot."""
    plt.figure().canvas.manager.canvas.figure = figure
    plt.show()


data = fl.load("digits")
problem = fl.LeastSquares(data.inputs, data.targets)
verdict = fl.verify(problem, fl.SGD(lr=0.05, batch_size=8), steps=1000, replicas=256, rng=7)
verdict = verdict.about({"name": data.name})
print(verdict.table)
print(textwrap.fill(verdict.words, 76))

# %%
# The fluctuation-dissipation balance, F0, is a statement about a whole matrix. Both sides are measured along the
# runs. The elements lie on the diagonal within their error bars.

figures = draw(verdict)
show(figures["balance"])

# %%
# Mode by mode the lower rungs are off by a few per cent or more. The run tells all of them apart.

show(figures["modes"])
