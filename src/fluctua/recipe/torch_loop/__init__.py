"""A recipe written out as a training loop in torch: text that runs as it is. Nothing here imports torch.

Each part of a recipe is one module, which knows the lines of every sampling, schedule, optimiser or average.
"""
