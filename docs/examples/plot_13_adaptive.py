"""
How wrong an adaptive step is
=============================

A chain of Langevin steps that adapt to the potential keeps its measure in continuous time, if a correction goes with
them. At a finite step it keeps another one, which follows from the chain without a run. The figure has the bias of the
second moment against the step, for a spring that is stiff in one place.
"""

# sphinx_gallery_alt = "Bias of the second moment against the step, both logarithmic. The fixed step lies highest and "
# sphinx_gallery_alt = "steepest; the adaptive step with the correction is two to five times lower, and the one "
# sphinx_gallery_alt = "with 0.9 of the correction does not go to zero: it dips once and comes back."

import matplotlib.pyplot as plt
import numpy as np

import fluctua as fl
from fluctua.studies.adaptive import Langevin

chains = {
    "fixed step": {"method": "fixed"},
    "adaptive": {"method": "ip"},
    "adaptive, 0.9 of the correction": {"method": "ip", "correction": 0.9},
}
steps = 0.6 * 0.5 ** np.arange(5)

fig, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
for name, asked in chains.items():
    bias = []
    for lr in steps:
        law = fl.predict(Langevin("spring", lr=float(lr), temperature=0.1, **asked), points=1200)
        bias.append(law.mean(np.square) - law.target.mean(np.square))
    axes.loglog(steps, np.abs(bias), "o-", label=name, linewidth=1)
    print(f"{name:<32} bias of E x^2 at lr 0.3: {bias[1]:+.6f}")
axes.set(xlabel="step h, in the fictitious time", ylabel="bias of E $x^2$")
axes.set_title("spring, temperature 0.1", loc="left", fontsize=10)
axes.legend()
plt.show()

# %%
# At one step a wrong correction may have less bias than the right one, so that nearness to the target tells nothing of
# the code. A run tells, held against the law of its own step: ``fl.verify(Langevin("spring", lr=0.3,
# temperature=0.1))``, or ``fluctua study adaptive spring``; see :doc:`/studies/adaptive`.
