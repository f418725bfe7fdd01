"""
What an average of the weights buys
===================================

An exponential moving average of the weights, as ``torch.optim.swa_utils`` keeps it, forgets the noise of the steep
modes. The flat modes move more slowly than the average forgets, and keep their noise.
"""

# sphinx_gallery_alt = "Variance along the modes against their curvature: the weights, and averages of three "
# sphinx_gallery_alt = "decays. The longer the average, the lower the variance of steep modes, up to a "
# sphinx_gallery_alt = "thousandfold; flat modes keep theirs."

import matplotlib.pyplot as plt

import fluctua as fl

data = fl.load("digits")
problem = fl.LeastSquares(data.inputs, data.targets)
sgd = fl.SGD(lr=0.05, batch_size=8)

fig, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
for decay in (None, 0.9, 0.99, 0.999):
    average = None if decay is None else fl.EMA(decay)
    prediction = fl.predict(problem, sgd, average=average)
    name = "the weights themselves" if decay is None else f"average, decay {decay:g}"
    axes.loglog(prediction.curvatures, prediction.mode_variances, ".-", label=name, linewidth=1)
    print(f"{name:<24} noise floor {prediction.excess_loss:.6f}")
axes.set(xlabel="curvature of the mode", ylabel="variance along it")
axes.legend()
plt.show()
