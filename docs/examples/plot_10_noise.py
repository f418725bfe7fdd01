"""
Is the gradient noise Gaussian?
===============================

Theory predicts the covariance of the gradient noise, and that the noise has no memory. The noise is not Gaussian: its
excess kurtosis falls as 1/b with the batch size b, and is far from 0 at small batches. There SGD is not a Langevin
process.
"""

# sphinx_gallery_alt = "Excess kurtosis of the gradient noise against the batch size, both logarithmic. Measured "
# sphinx_gallery_alt = "points lie on the predicted line, which falls as one over the batch size from 8 to 0.03."

import matplotlib.pyplot as plt

import fluctua as fl

data = fl.load("digits")
problem = fl.LeastSquares(data.inputs, data.targets)
noise = fl.gradient_noise(problem, fl.SGD(lr=0.05, batch_size=8), steps=300, replicas=16, rng=5)
print(noise.words)

fig, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
axes.errorbar(noise.batch_sizes, noise.steep_kurtoses, 2 * noise.steep_errors, fmt="ko", label="measured")
axes.loglog(noise.batch_sizes, noise.steep_predicted, label="theory")
axes.set(xlabel="batch size", ylabel="excess kurtosis, steepest modes")
axes.legend()
plt.show()
