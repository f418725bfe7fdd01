"""
A verdict, and the balance element by element
=============================================

`fluctua.verify` runs the training for real, many times from the optimum, and tests every rung of the ladder on the same
measurement.
"""

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
