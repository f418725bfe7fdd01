"""torch's nn.MSELoss is another loss: what is printed for it reproduces the run, weight decay included."""

import json
import re

import numpy as np
import pytest

import fluctua as fl
from fluctua.cli import main
from fluctua.recipe.mse_loss import for_mse_loss

RNG = np.random.default_rng(3)
SAMPLES, FEATURES = 50, 3
X = RNG.normal(size=(SAMPLES, FEATURES))
STEPS = 60
NUMBER = r"([-+0-9.e]+)"
PRINTED = {
    "sum": rf"\.sum\(1\)\.mean\(\): lr {NUMBER}, weight_decay {NUMBER}",
    "mean": rf"nn\.MSELoss\(\).*: lr {NUMBER}, weight_decay {NUMBER}",
}


def data(outputs):
    rng = np.random.default_rng(outputs)
    return X @ rng.normal(size=(FEATURES, outputs)) + rng.normal(size=(SAMPLES, outputs))


@pytest.fixture(params=[1, 2, 3, 10])
def targets(request):
    return data(request.param)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(list(map(str, arguments)))
    assert left.value.code == 0
    return capsys.readouterr().out


def printed(text):
    """The pairs (lr, weight_decay) printed for the two losses."""
    return {kind: tuple(map(float, re.search(words, text).groups())) for kind, words in PRINTED.items()}


def trained(torch, targets, kind, lr, decay, **options):
    """W after full batches of torch's own SGD from zero."""
    model = torch.nn.Linear(FEATURES, targets.shape[1], bias=False).double()
    torch.nn.init.zeros_(model.weight)
    optimiser = torch.optim.SGD(model.parameters(), lr=lr, weight_decay=decay, **options)
    inputs, y, mse = torch.tensor(X), torch.tensor(targets), torch.nn.MSELoss()
    for _ in range(STEPS):
        optimiser.zero_grad()
        out = model(inputs)
        (mse(out, y) if kind == "mean" else 0.5 * ((out - y) ** 2).sum(1).mean()).backward()
        optimiser.step()
    return model.weight.detach().numpy()


OPTIONS = [{}, {"momentum": 0.9}, {"momentum": 0.8, "dampening": 0.3}, {"momentum": 0.9, "nesterov": True}]


def flags(options):
    return [
        part for name, value in options.items() for part in ((f"--{name}",) if value is True else (f"--{name}", value))
    ]


@pytest.mark.torch
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_following_the_printed_numbers_gives_the_predicted_weights(targets, options, tmp_path, capsys):
    torch = pytest.importorskip("torch")
    np.savez(tmp_path / "data.npz", X=X, y=targets)
    full = ["--batch-size", SAMPLES, "--sampling", "without_replacement", "--lr", 0.0371, "--weight-decay", 0.053]
    text = run(capsys, "predict", tmp_path / "data.npz", *full, *flags(options))
    recipe = fl.SGD(0.0371, SAMPLES, 0.053, "without_replacement", **options)
    after = fl.predict(fl.LeastSquares(X, targets), recipe).after(STEPS, start="zero")
    for kind, numbers in printed(text).items():
        weights = trained(torch, targets, kind, *numbers, **options)
        np.testing.assert_allclose(after.optimum + after.mean, weights, rtol=1e-12, atol=1e-12)


@pytest.mark.torch
def test_the_numbers_of_a_plan_do_so_too(tmp_path, capsys):
    torch, targets = pytest.importorskip("torch"), data(10)
    np.savez(tmp_path / "data.npz", X=X, y=targets)
    asked = [
        "plan",
        tmp_path / "data.npz",
        "--budget",
        STEPS,
        "--batch-size",
        SAMPLES,
        "--weight-decay",
        0.05,
        "--sampling",
        "without_replacement",
        "--momentum",
        0,
        "--schedule",
        "constant",
    ]
    text, best = run(capsys, *asked), json.loads(run(capsys, *asked, "--json"))["plans"][0]["candidates"][0]["recipe"]
    assert printed(text)["sum"] == (best["lr"], 0.05)
    after = fl.predict(fl.LeastSquares(X, targets), fl.SGD(**best)).after(STEPS, start="zero")
    weights = trained(torch, targets, "mean", *printed(text)["mean"])
    np.testing.assert_allclose(after.optimum + after.mean, weights, rtol=1e-12, atol=1e-12)


def test_both_numbers_and_their_factors_are_printed(tmp_path, capsys):
    np.savez(tmp_path / "data.npz", X=X, y=data(10))
    text = run(capsys, "predict", tmp_path / "data.npz", "--lr", 0.1, "--weight-decay", 0.05)
    assert printed(text) == {"sum": (0.1, 0.05), "mean": (0.5, 0.01)}
    assert "mean over 10 outputs too" in text
    assert "(c/2 = 5 times the lr, 2/c = 0.2 times the weight decay)" in text
    same = for_mse_loss(fl.SGD(0.1, 8, 0.05), 2)
    assert (same.lr, same.weight_decay) == (0.1, 0.05)


S = fl.schedules
OWN_RATES = [
    S.CosineAnnealingLR(40, 0.01),
    S.CosineAnnealingWarmRestarts(7, 2, 0.01),
    S.OneCycleLR(max_lr=0.03, total_steps=40, cycle_momentum=False),
    S.SequentialLR([S.LinearLR(0.1, 1.0, 5), S.CosineAnnealingLR(35, 0.01)], [5]),
    S.PerEpoch(S.CosineAnnealingLR(5, 0.01), 8),
]
FACTORS = [
    None,
    S.StepLR(9),
    S.OneCycleLR(total_steps=40, cycle_momentum=False),
    S.ChainedScheduler([S.StepLR(9), S.LinearLR()]),
    S.ArrayLR([0.5] * 40),
]


@pytest.mark.parametrize("schedule", [*OWN_RATES, *FACTORS], ids=str)
def test_every_rate_of_a_schedule_goes_with_lr(schedule):
    """Also an eta_min and a max_lr, which are rates and no factors."""
    sgd, steps = fl.SGD(0.1, 8, 0.05, schedule=schedule), np.arange(40)
    np.testing.assert_allclose(for_mse_loss(sgd, 10).rates(steps), 5 * sgd.rates(steps), rtol=1e-13)
