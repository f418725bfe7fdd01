"""
Does fluctuation foretell learning?
===================================

A noisy network that remembers the ten digits could learn to answer one of them by another, for ninety tasks. How fast
follows from its fluctuation before learning. Where the coupling is symmetric, variances are enough. Where activity is
driven from digit to digit they are not, and a regression on lagged covariances is.
"""

# sphinx_gallery_alt = "Speed foretold against true speed for ninety tasks, two panels. Left, symmetric coupling: all "
# sphinx_gallery_alt = "estimators lie on the diagonal. Right, driven: variances and equilibrium lie high above it, "
# sphinx_gallery_alt = "in no order, and the regression lies on it."

import matplotlib.pyplot as plt
import numpy as np

import fluctua as fl
from fluctua.studies import learning

data = fl.load("digits")
tasks = [(i, j) for i in range(10) for j in range(10) if i != j]
given, target = np.array(tasks).T

fig, panels = plt.subplots(ncols=2, figsize=(7, 3.8), layout="constrained")
for axes, asymmetry in zip(panels, (0.0, 0.5), strict=True):
    patterns, coupling = learning.memories(data.inputs, data.labels, asymmetry)
    net = learning.RateNetwork(coupling, gain=0.8, noise=0.05, dt=0.1)
    inputs, targets = patterns[given], patterns[target]
    exact = learning.speed(net, inputs, targets)
    for theory, look in (("variances", "^#D55E00"), ("equilibrium", "s#E69F00")):  # Okabe and Ito's colours
        foretold = learning.speed(net, inputs, targets, theory=theory)
        axes.plot(exact, foretold, look[0], ms=3, color=look[1:], label=theory)
        ratios = foretold / exact
        print(f"asymmetry {asymmetry}: {theory} over exact, {ratios.min():.4f} to {ratios.max():.4f}")
    value, error = fl.simulate(net, steps=500, replicas=128, rng=1).speeds(inputs, targets)
    axes.errorbar(exact, value, error, fmt="o", ms=3, color="#0072B2", lw=0.6, label="regression, of a short run")
    axes.axline((exact[0], exact[0]), slope=1, color="0.3", lw=0.8)
    axes.set(xlabel="speed of learning", title=f"asymmetry {asymmetry}")
panels[0].set_ylabel("foretold from fluctuation")
panels[0].legend(fontsize=8)
plt.show()

# %%
# The linear law is exact, so that the speed needs no run. `fluctua study learning digits` measures it by learning; see
# the page on the study.
