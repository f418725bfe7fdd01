"""
Does a two-layer linear network fluctuate less where it is flat?
================================================================

Early on the variance of layer 2 follows the noise, which follows the curvature. On digits that is a transient: once the
directions have settled, flat ones fluctuate more. For Gaussian inputs it stays.
"""

# sphinx_gallery_alt = "Variance against curvature along principal directions of layer 2, both logarithmic. On digits "
# sphinx_gallery_alt = "the points after 10 steps rise and those after 3,000 fall; for Gaussian inputs both rise."

import matplotlib.pyplot as plt
import numpy as np

import fluctua as fl
from fluctua.studies import layers

data = fl.load("digits")
steep = data.inputs @ fl.LeastSquares(data.inputs, data.targets).modes[:, :20]
rng = np.random.default_rng(12345)
white, noise = rng.normal(size=(2000, 16)), rng.normal(size=(2000, 8))
problems = {
    "digits, 20 modes": fl.LeastSquares(steep, data.targets),
    "Gaussian inputs": fl.LeastSquares(white, white[:, :8] * np.geomspace(4, 0.25, 8) + noise),
}

fig, panels = plt.subplots(ncols=2, figsize=(8, 4), layout="constrained")
for axes, (name, problem) in zip(panels, problems.items(), strict=True):
    net = layers.TwoLayer(problem, split="noise")
    law = fl.predict(net, fl.SGD(lr=0.05 * net.edge, batch_size=8), theory="discrete")
    for steps, look in ((10, "o#0072B2"), (3000, "^#D55E00")):  # Okabe and Ito's colours
        layer = law.after(steps).layer(2)
        label = f"{steps:,} steps: slope {layer.slope:+.2f}"
        axes.loglog(layer.curvatures, layer.variances, look[0], ms=4, color=look[1:], label=label)
    axes.set(title=name, xlabel="curvature along a principal direction")
    axes.minorticks_off()
    axes.legend()
panels[0].set_ylabel("variance of layer 2 along it")
plt.show()
