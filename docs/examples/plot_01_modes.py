"""
How far every mode fluctuates
=============================

SGD at a constant learning rate never comes to rest. How far the weights fluctuate along each mode of the curvature
follows from the data, the learning rate and the batch size, without a run. The figure has the ladder of theories, from
a single temperature to the exact law.
"""

# sphinx_gallery_alt = "Variance of the weights against the curvature of the mode, both logarithmic. Equilibrium "
# sphinx_gallery_alt = "falls as a straight line over seven decades; the other four rungs lie together near "
# sphinx_gallery_alt = "0.001 for nearly all modes."

import matplotlib.pyplot as plt

import fluctua as fl

data = fl.load("digits")
problem = fl.LeastSquares(data.inputs, data.targets)
sgd = fl.SGD(lr=0.05, batch_size=8)

fig, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
for theory in ("equilibrium", "hessian", "langevin", "discrete", "exact"):
    prediction = fl.predict(problem, sgd, theory=theory)
    axes.loglog(prediction.curvatures, prediction.mode_variances, ".-", label=theory, linewidth=1)
    print(f"{theory:<12} noise floor {prediction.excess_loss:.6f}")
axes.set(xlabel="curvature of the mode, $h_p$", ylabel="variance of the weights along it, $S_{pp}$")
axes.set_title(f"digits: {sgd.words}", loc="left", fontsize=10)
axes.legend()
plt.show()

# %%
# "equilibrium" is given the exact noise floor and still misses nearly every mode: SGD has no single temperature. The
# rungs above it are too close to tell apart in this picture; :doc:`plot_02_verdict` tells them apart with a run.
