"""
Schedules, without a sweep
==========================

The exact learning curve holds for any schedule. Schedules are compared in expectation, instead of run by run.
"""

# sphinx_gallery_alt = "Expected excess loss against the step for four schedules. All fall together at first; "
# sphinx_gallery_alt = "the constant rate ends highest, step decay in the middle after a sudden drop, cosine and "
# sphinx_gallery_alt = "linear lowest."

import matplotlib.pyplot as plt

import fluctua as fl

data = fl.load("digits")
problem = fl.LeastSquares(data.inputs, data.targets)
steps = 500
schedules = {
    "constant": None,
    "cosine": fl.schedules.CosineAnnealingLR(steps),
    "linear": fl.schedules.LinearLR(1.0, 0.0, steps),
    "step": fl.schedules.StepLR(steps // 3),
}

fig, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
for name, schedule in schedules.items():
    curve = fl.learning_curve(problem, fl.SGD(lr=0.1, batch_size=8, schedule=schedule), steps)
    axes.loglog(curve[1:], label=name)
    print(f"{name:<10} excess loss after {steps} steps {curve[-1]:.5f}")
axes.set(xlabel="step", ylabel="expected excess loss", title="peak lr 0.1, batches of 8, from zero")
axes.legend()
plt.show()
