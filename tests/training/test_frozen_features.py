"""A softmax head on the frozen features of a small convolutional network, trained here: verified by real runs."""

import numpy as np
import pytest

import fluctua as fl

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def features():
    """Features of digits, of a network that was trained on half of them, with a bias; and the labels."""
    data = fl.load("digits")
    images = torch.tensor(data.inputs, dtype=torch.float32).reshape(-1, 1, 8, 8)
    labels = torch.tensor(np.asarray(data.labels, dtype=np.int64))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 3),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Flatten(),
            torch.nn.Linear(72, 16),
        )
        head = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(16, 10))
        optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=1e-2)
        for step in range(150):
            rows = torch.arange(step * 64, step * 64 + 64) % 900
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(head(body(images[rows])), labels[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        found = torch.relu(body(images)).double().numpy()
    return np.column_stack([found / found.std(), np.ones(len(found))]), np.asarray(data.labels)


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-6, miss=1e-3)
def test_the_floor_of_a_head_on_frozen_features_is_as_predicted(features):
    problem = fl.Softmax(*features)
    sgd = fl.SGD(lr=0.2, batch_size=16, weight_decay=1e-2)
    assert problem.minimum(1e-2).accuracy > 0.9
    verdict = fl.verify(problem, sgd, steps=1500, replicas=32, rng=4, level=1e-6, resolution=0.1)
    assert verdict.passed
    assert not verdict.row("langevin").consistent
