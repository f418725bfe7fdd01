"""
The largest stable learning rate
================================

Above the limit of stability the variance of the weights grows without bound. Small batches lower the limit below the
textbook 2/h_max. Momentum raises the limit for large batches and lowers it for small ones.
"""

# sphinx_gallery_alt = "Largest stable learning rate against the batch size, both logarithmic. Without momentum "
# sphinx_gallery_alt = "it rises to 2/h_max; with momentum 0.9 it starts seven times lower at batches of one "
# sphinx_gallery_alt = "sample and ends twice as high."

import matplotlib.pyplot as plt

import fluctua as fl

data = fl.load("digits")
problem = fl.LeastSquares(data.inputs, data.targets)
sizes = [1, 2, 4, 8, 16, 32, 64, 128, 256]

fig, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
for momentum in (0.0, 0.5, 0.9):
    limits = [fl.max_stable_lr(problem, fl.SGD(lr=0.01, batch_size=b, momentum=momentum)) for b in sizes]
    axes.loglog(sizes, limits, "o-", label=f"momentum {momentum:g}")
axes.axhline(2 / problem.curvatures[0], color="k", linestyle=":", label="$2/h_{max}$")
axes.set(xlabel="batch size", ylabel="largest stable learning rate")
axes.legend()
plt.show()
