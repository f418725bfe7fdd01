"""Many runs of SGD in plain NumPy, from the definition of a step, and how often their weights are right."""

import numpy as np


def orders(rng, samples, runs, steps, batch, shuffle):
    """Yield the samples of each step's batches, (runs, b): independent draws, or epochs in fresh random orders."""
    if not shuffle:
        for _ in range(steps):
            yield rng.integers(samples, size=(runs, batch))
        return
    done = 0
    while done < steps:
        order = np.argsort(rng.random((runs, samples)), axis=1)
        for begin in range(0, samples, batch):
            if done < steps:
                yield order[:, begin : begin + batch]
                done += 1


def trained(inputs, targets, sgd, steps, runs, rng, start):
    """Weights after `steps`, (runs, c, d), in the precision of the inputs."""
    weights = np.repeat(np.asarray(start, inputs.dtype)[None], runs, axis=0)
    buffer = np.zeros_like(weights)
    rates = sgd.rates(np.arange(steps)).astype(inputs.dtype)
    batches = orders(rng, len(inputs), runs, steps, sgd.batch_size, sgd.sampling == "shuffle")
    for rate, batch in zip(rates, batches, strict=True):
        x = inputs[batch]
        errors = x @ weights.transpose(0, 2, 1) - targets[batch]
        gradient = errors.transpose(0, 2, 1) @ x / batch.shape[1] + sgd.weight_decay * weights
        buffer = sgd.momentum * buffer + gradient
        weights -= rate * buffer
    return weights


def accuracies(weights, inputs, labels):
    """Accuracy of each run, (runs,), by the largest output."""
    return np.array([np.mean((inputs @ each.T).argmax(axis=1) == labels) for each in weights])
