"""
Momentum is not a larger learning rate
======================================

Textbooks replace momentum by an effective rate, lr/(1 - momentum). If that were right, the noise floor at a fixed
effective rate would not depend on the momentum. The noise floor falls with the momentum, near the limit several times.
"""

# sphinx_gallery_alt = "Noise floor against momentum at three fixed effective rates. The floor falls with the "
# sphinx_gallery_alt = "momentum, by a few per cent at the smallest rate and threefold at the largest."

import matplotlib.pyplot as plt
import numpy as np

import fluctua as fl

data = fl.load("digits")
problem = fl.LeastSquares(data.inputs, data.targets)
betas = np.linspace(0, 0.95, 20)

fig, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
for effective in (0.02, 0.08, 0.15):
    floors = []
    for beta in betas:
        sgd = fl.SGD(lr=effective * (1 - beta), batch_size=8, momentum=beta)
        floors.append(fl.predict(problem, sgd, check_stability=False).excess_loss)
    axes.semilogy(betas, floors, label=f"lr/(1 - momentum) = {effective:g}")
axes.set(xlabel="momentum", ylabel="noise floor")
axes.legend()
plt.show()
