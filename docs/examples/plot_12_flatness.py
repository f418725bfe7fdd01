"""
Is "flat directions fluctuate less" a law?
==========================================

Weights of networks were found to fluctuate more where the loss is steeper. The local picture of a two-layer network
says how much of that is time: soon after a start at the minimum the variance follows the noise, which is larger where
the loss is steep. Later each direction settles, and the relation fades.
"""

# sphinx_gallery_alt = "Variance of the weights against the flatness of the loss along principal directions, both "
# sphinx_gallery_alt = "logarithmic, after 5, 50 and 2,000 steps. They fall steeply after 5 steps, hardly after 2,000."

import matplotlib.pyplot as plt
import torch

import fluctua as fl
import fluctua.torch

torch.set_num_threads(1)  # small products
data = fl.load("digits")
inputs, labels = torch.tensor(data.inputs[:300]), torch.tensor(data.labels[:300]).long()
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(64, 10), torch.nn.Tanh(), torch.nn.Linear(10, 10)).double()
fluctua.torch.minimise(model, "cross_entropy", [(inputs, labels)], weight_decay=0.01, gradient=1e-6)
network = fluctua.torch.local(model, "cross_entropy", [(inputs, labels)], top=30, weight_decay=0.01)
prediction = fl.predict(network, fl.SGD(lr=0.05, batch_size=8, weight_decay=0.01))
print(prediction)

fig, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
for steps, look in ((5, "o#0072B2"), (50, "^#D55E00"), (2000, "s#009E73")):  # Okabe and Ito's colours
    after = prediction.after(steps)
    table = after.columns("flatness")
    label = f"{steps:,} steps: exponent {after.flatness_exponent:.2f}"
    axes.loglog(table["flatness"], table["variance"], look[0], ms=4, color=look[1:], label=label)
axes.set(xlabel="flatness along a principal direction", ylabel="variance of the weights along it")
axes.set_xticks([2, 3, 4, 5, 6, 8], labels=["2", "3", "4", "5", "6", "8"], minor=False)
axes.minorticks_off()
axes.legend()
plt.show()
