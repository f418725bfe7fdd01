"""
The whole learning curve, without fitting
=========================================

The mean of W decays, the noise builds up, and the noise is larger while the weights are far from the optimum. The
exact law contains all three, so the expected loss at every step is known beforehand. Single runs scatter around the
expected loss.
"""

# sphinx_gallery_alt = "Excess loss against the step, both logarithmic. Means of 32 runs lie on the exact curve, "
# sphinx_gallery_alt = "which falls from 0.35 towards the noise floor of 0.009; single runs scatter about it, "
# sphinx_gallery_alt = "and the discrete curve lies below it late."

import matplotlib.pyplot as plt
import numpy as np

import fluctua as fl

data = fl.load("digits")
problem = fl.LeastSquares(data.inputs, data.targets)
sgd, steps = fl.SGD(lr=0.05, batch_size=8), 2000
curve = fl.learning_curve(problem, sgd, steps)
discrete = fl.learning_curve(problem, sgd, steps, theory="discrete")
run = fl.simulate(problem, sgd, steps=steps, replicas=32, rng=3, start="zero")

fig, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
axes.plot(run.watched, run.replica_losses.T, ".", color="#bbbbbb", markersize=3)
axes.plot(run.watched, run.replica_losses.mean(axis=0), "ko", markersize=4, label="mean of 32 real runs")
axes.plot(np.arange(steps + 1), curve, label="exact")
axes.plot(np.arange(steps + 1), discrete, "--", label="discrete: noise does not feel the fluctuation")
axes.axhline(fl.predict(problem, sgd).excess_loss, color="C0", linestyle=":", label="stationary noise floor")
axes.set_xscale("symlog", linthresh=1, linscale=0.4)
axes.set(yscale="log", xlim=(-0.2, 1.2 * steps), xlabel="step", ylabel="excess loss")
axes.legend()
plt.show()
