"""
The expected loss on unseen data
================================

The law of W gives the expected loss on any data, also on data that the training never saw: where along the run that
loss is least, and what the noise adds.
"""

# sphinx_gallery_alt = "Expected loss on held-out data against the step for three learning rates. The largest "
# sphinx_gallery_alt = "levels off early and high; the two smaller ones go on falling and end at nearly the same "
# sphinx_gallery_alt = "loss."

import matplotlib.pyplot as plt
import numpy as np

import fluctua as fl

data = fl.load("digits")
seen = np.arange(len(data.inputs)) % 5 > 0
problem = fl.LeastSquares(data.inputs[seen], data.targets[seen])
steps = np.unique(np.geomspace(1, 3000, 60).astype(int))

fig, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
for lr in (0.02, 0.05, 0.15):
    sgd = fl.SGD(lr=lr, batch_size=8)
    curve = fl.held_out_curve(problem, sgd, steps, data.inputs[~seen], data.targets[~seen])
    axes.loglog(steps, curve, label=f"lr {lr:g}")
axes.set(xlabel="step", ylabel="expected loss on a fifth held out")
axes.legend()
plt.show()
