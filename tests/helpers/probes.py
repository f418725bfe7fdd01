"""A small network with images to look at, and a probe's loop pasted and run in an interpreter of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch")
nn = torch.nn
torch.set_num_threads(1)

FAR = 6.0
"""Spreads between the loss of one run and the predicted one. Of Gaussian weights the loss is a sum of squares, whose
tail at 6 standard deviations is below 1e-6 from some ten of equal weight on (Laurent and Massart)."""


def pictures(samples=600, seed=0):
    """Images of 8 x 8 with a blob in one of four corners, and noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=samples)
    images = rng.normal(size=(samples, 1, 8, 8)).astype(np.float32)
    for corner in range(4):
        rows, columns = slice(4 * (corner // 2), 4 * (corner // 2) + 4), slice(4 * (corner % 2), 4 * (corner % 2) + 4)
        images[labels == corner, :, rows, columns] += 0.35
    return torch.from_numpy(images), torch.from_numpy(labels)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(24, 4)
    )


def loader(size=32, **options):
    return torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(*pictures()), batch_size=size, shuffle=True, **options
    )


def pasted(code, folder, saved):
    """What a script prints that loads tensors and has the code pasted below, in an interpreter of its own."""
    torch.save(saved, folder / "features.pt")
    script = folder / "train.py"
    script.write_text(
        f"import torch\n\ntorch.set_num_threads(1)\nsaved = torch.load('features.pt')\n"
        f"inputs, targets = saved['X'], saved['y']\n{code}"
    )
    done = subprocess.run([sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    words = re.fullmatch(r"loss (\S+), predicted (?:about )?(\S+) \+- (\S+?)(?: between runs)?\n", done.stdout)
    return tuple(map(float, words.groups()))


def tensors(found):
    return {"X": torch.as_tensor(np.asarray(found.inputs)), "y": torch.as_tensor(np.asarray(found.targets))}
