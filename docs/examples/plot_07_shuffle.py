"""
Shuffled epochs fluctuate less
==============================

``DataLoader(shuffle=True)`` shows every sample once per epoch, so the rest of the epoch takes back most of what a
batch did to the flat modes. The law of shuffled epochs contains that memory. The law of independent batches does not.
"""

# sphinx_gallery_alt = "Variance of the weights against the curvature of the mode. In shuffled epochs flat modes "
# sphinx_gallery_alt = "fluctuate ten times less or more than with independent batches; the steepest mode is the "
# sphinx_gallery_alt = "same in both."

import matplotlib.pyplot as plt

import fluctua as fl

data = fl.load("digits")
problem = fl.LeastSquares(data.inputs, data.targets)

fig, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
for sampling in ("without_replacement", "shuffle"):
    prediction = fl.predict(problem, fl.SGD(lr=0.05, batch_size=16, sampling=sampling))
    axes.loglog(prediction.curvatures, prediction.mode_variances, ".-", label=prediction.law.sgd.words, linewidth=1)
    print(f"{sampling:<20} noise floor {prediction.excess_loss:.6f}")
axes.set(xlabel="curvature of the mode", ylabel="variance of the weights along it")
axes.legend()
plt.show()
