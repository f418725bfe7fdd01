"""
The temperature of a batch
==========================

A move that is accepted on a random share of the edges works like heat. Which temperature has its energy follows before
any run, exactly on a small graph and by a closure on a large one. It is not the one temperature of an equilibrium:
moves by one conflict and by three have temperatures of their own.
"""

# sphinx_gallery_alt = "Two panels. Left, temperature against the share of the edges in a batch: the closure lies "
# sphinx_gallery_alt = "above T0 and both fall; points of the exact law of the octahedron lie between them. Right, "
# sphinx_gallery_alt = "T_k against the change k of the energy: it falls with k, and that of an equilibrium is flat."

import matplotlib.pyplot as plt
import numpy as np

import fluctua as fl
from fluctua.studies import coloring

large, small = coloring.planted(20_000, colors=5, degree=19, rng=1), coloring.named("K222")
batches = np.linspace(0.2, 0.95, 16)

fig, (left, right) = plt.subplots(ncols=2, figsize=(7.4, 3.8), layout="constrained")
tree = [fl.predict(large, coloring.SGDLike(float(b))).temperature for b in batches]
zero = [coloring.SGDLike(float(b)).zero_temperature for b in batches]
exact = {b: fl.predict(small, coloring.SGDLike(b)).temperature for b in (0.3, 0.5, 0.7, 0.8, 0.9)}
left.semilogy(batches, tree, color="#0072B2", label="tree closure, planted graph")
left.plot(list(exact), list(exact.values()), "o", color="0.2", label="exact, octahedron")
left.plot(batches, zero, "--", color="#D55E00", label="T0 = -1/ln(1 - B)")
left.set(xlabel="share B of the edges in a batch", ylabel="temperature")
left.legend(fontsize=8)

move = coloring.SGDLike(batch=0.8)
law = fl.predict(large, move)
runs = fl.simulate(large, move, sweeps=60, burn_in=60, replicas=4, rng=1)
for name, found, look in (("closure", law, "_"), ("measured", runs, "o")):
    shown = [(k, value) for k, value in found.temperatures.items() if k < 6]
    colour, size = ("#0072B2", 12) if name == "closure" else ("0.2", 4)
    right.plot(*zip(*shown, strict=True), look, color=colour, ms=size, label=name)
    print(f"{name:<9}", ", ".join(f"T_{k} {value:.3f}" for k, value in shown[:3]))
right.axhline(law.temperature, color="0.5", lw=0.8, label="an equilibrium")
right.set(xlabel="change k of the energy", ylabel="$T_k$", title="B = 0.8")
right.legend(fontsize=8)
plt.show()

# %%
# ``fl.verify(large, move)``, or ``fluctua study coloring planted``, holds both against runs and rejects the
# equilibrium; see :doc:`/studies/coloring`.
