"""
One temperature for all modes?
==============================

The temperature of a mode is :math:`h_p S_{pp}` over the number of outputs. In equilibrium all modes would have the same
temperature. In SGD the temperature of a mode follows the noise of that mode, over many orders of magnitude.
"""

# sphinx_gallery_alt = "Temperature of the modes against their curvature, both logarithmic, for three learning "
# sphinx_gallery_alt = "rates. The points rise together over eight decades, and a larger learning rate lifts all "
# sphinx_gallery_alt = "of them."

import matplotlib.pyplot as plt

import fluctua as fl

data = fl.load("digits")
problem = fl.LeastSquares(data.inputs, data.targets)

fig, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
for lr in (0.01, 0.05, 0.15):
    prediction = fl.predict(problem, fl.SGD(lr=lr, batch_size=8))
    axes.loglog(prediction.curvatures, prediction.temperatures, ".", label=f"lr {lr:g}")
    spread = prediction.temperatures.max() / prediction.temperatures.min()
    print(f"lr {lr:g}: hottest mode over coldest {spread:.2g}")
axes.set(xlabel="curvature of the mode", ylabel="temperature of the mode")
axes.legend()
plt.show()
