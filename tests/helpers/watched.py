"""A small regression in torch, trained while everything that a monitor may know of the run is written down."""

from __future__ import annotations

import math

import torch

from fluctua.verification.equilibrium.looks import PER_LOOK, SHORTEST
from fluctua.verification.equilibrium.work import BLOCKS

SAMPLES, BATCH = 96, 8


def data(device="cpu", dtype=torch.float64):
    """Inputs and targets, on a device."""
    drawn = torch.Generator().manual_seed(5)
    inputs = torch.randn(SAMPLES, 6, generator=drawn) * torch.linspace(1.5, 0.3, 6)
    targets = inputs @ torch.randn(6, 2, generator=drawn) + torch.randn(SAMPLES, 2, generator=drawn)
    return inputs.to(device, dtype), targets.to(device, dtype)


def model_on(device="cpu", dtype=torch.float64, bias=True):
    """A linear model whose weights are zero."""
    model = torch.nn.Linear(6, 2, bias=bias, device=device, dtype=dtype)
    with torch.no_grad():
        for each in model.parameters():
            each.zero_()
    return model


class Training:
    """Steps of a model on batches drawn with replacement, always the same for a seed."""

    def __init__(self, make, *, device="cpu", dtype=torch.float64, seed=1, model=None):
        self.model = model_on(device, dtype) if model is None else model
        self.optimizer = make(self.model.parameters())
        self.inputs, self.targets = data(device, dtype)
        self.drawn = torch.Generator().manual_seed(seed)

    def loss(self):
        """Loss of the next batch."""
        chosen = torch.randint(0, SAMPLES, (BATCH,), generator=self.drawn)
        return 0.5 * (self.model(self.inputs[chosen]) - self.targets[chosen]).square().sum(1).mean()

    def backward(self):
        """Set the gradients of the next batch."""
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss

    def run(self, steps, before=lambda: None):
        """Train so many steps, and do something before each."""
        for _ in range(steps):
            self.backward()
            before()
            self.optimizer.step()
        return self

    def take_up(self, other):
        """Go on from where another run is: weights, optimizer and the batches to come."""
        self.model.load_state_dict(other.model.state_dict())
        self.optimizer.load_state_dict(other.optimizer.state_dict())
        self.drawn.set_state(other.drawn.get_state())


def flat(tensors):
    """One vector of several tensors, in float64."""
    return torch.cat([each.detach().reshape(-1).double().cpu() for each in tensors]).numpy()


def shortest_block(every, momentum=0.0):
    """Samples in the blocks of the first look: four memories of the momentum at least."""
    needed = math.ceil(4 / (1 - momentum) / every - 1e-9) if momentum else 1
    return next(each for each in lengths_of_looks() if each >= max(needed, SHORTEST))


def lengths_of_looks():
    """Two looks an octave up to blocks of 16 samples, then four."""
    yield from (4, 6, 8, 12)
    for octave in range(4, 12):
        yield from (quarter * 2**octave // 4 for quarter in (4, 5, 6, 7))


def first_look(every, look=SHORTEST):
    """Steps after which the look with blocks of so many samples is made: a unit passes before the clock starts."""
    return (PER_LOOK * look + 1) * every


def blocks_of(values, every, look=SHORTEST):
    """Means over the 2m blocks of that look of a value for each step from the first on."""
    long = look * every
    last = values[every:][(PER_LOOK - 2 * BLOCKS) * long : PER_LOOK * long]
    return last.reshape(2 * BLOCKS, long, *values.shape[1:]).mean(1)
