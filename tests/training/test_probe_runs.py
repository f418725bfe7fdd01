"""From a model and a loader to the predicted loss: the loop that a probe prints is pasted and run, shuffled."""

from __future__ import annotations

import json
from importlib import import_module

import numpy as np
import pytest

import fluctua as fl
from helpers.commands import check
from helpers.probes import FAR, loader, network, pasted, pictures, tensors

torch = pytest.importorskip("torch")
ft = import_module("fluctua.torch")

pytestmark = pytest.mark.torch
USUAL = {"momenta": [0.9], "schedules": ["cosine"], "progress": False}


@pytest.fixture(scope="module")
def found():
    """A probe on the flattened layer of a small convolutional network."""
    torch.manual_seed(1)
    return ft.probe(network(), loader(), layer="4", epochs=6, **USUAL)


@pytest.mark.statistical(alpha=1e-6)
@pytest.mark.parametrize("loss", ["mse", pytest.param("half", marks=pytest.mark.slow)])
def test_the_loop_ends_where_it_says(found, tmp_path, loss):
    code = found.torch_code(loss)
    assert "shuffle=True" in code
    assert "CosineAnnealingLR" in code
    measured, predicted, spread = pasted(code, tmp_path, tensors(found))
    times = 2 / 4 if loss == "mse" else 1.0
    assert predicted == pytest.approx(times * found.expected_loss, rel=1e-5)
    assert spread == pytest.approx(times * found.loss_spread, rel=0.1)
    assert abs(measured - predicted) < FAR * spread
    assert spread < 0.02 * predicted


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
def test_a_loop_with_another_rate_ends_elsewhere(found, tmp_path):
    """The mutant: without momentum the run is ten times as slow, and a mean of the loss far above."""
    code = found.torch_code().replace(", momentum=0.9", "")
    measured, predicted, spread = pasted(code, tmp_path, tensors(found))
    assert abs(measured - predicted) > FAR * spread


@pytest.mark.slow
def test_its_numbers_are_those_of_the_verbs(found):
    prepared = np.column_stack([np.asarray(found.inputs), np.ones(600, np.float32)])
    problem = fl.LeastSquares(prepared, np.asarray(found.targets))
    plan = fl.plan(problem, 6 * 19, batch_size=32, momenta=[0.9], schedules=["cosine"], sampling="shuffle")
    assert found.steps == 6 * 19
    assert found.best.sgd == plan.best.sgd
    assert found.expected_loss == plan.best.loss
    assert float(found.limit) == plan.limits[0.9]
    held = fl.SGD(plan.best.sgd.lr, 32, sampling="shuffle", momentum=0.9)
    assert found.floor == pytest.approx(fl.predict(problem, held).excess_loss, rel=1e-12)
    end = fl.predict(problem, plan.best.sgd, check_stability=False).after(found.steps, start="zero")
    assert found.accuracy.expected == pytest.approx(fl.expected_accuracy(end).expected, abs=2e-3)
    assert found.advice.to_dict() == fl.conditioning(problem, held).to_dict()


@pytest.mark.slow
def test_expected_loss_and_held_out_accuracy_of_a_file_are_the_same(found, tmp_path, monkeypatch, run):
    """features.pt on the command line: the same features, in bfloat16 too."""
    monkeypatch.chdir(tmp_path)
    torch.save(tensors(found), "features.pt")
    code, out, _ = run("probe", "features.pt", "--epochs", 6, "--momentum", 0.9, "--schedule", "cosine", "--json")
    told = json.loads(out)
    check(told, "probe")
    assert code == 0
    expected = json.loads(found.to_json())
    check(expected, "probe")
    for name in ("data", "seconds", "notes"):
        del told[name], expected[name]
    assert told == expected


def test_the_command_takes_labels_from_a_file_and_prints_the_loop(tmp_path, monkeypatch, run, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 3)).astype(np.float32), rng.choice(["cat", "dog"], 80)
    np.save("x.npy", x)
    (tmp_path / "labels.csv").write_text("\n".join(["label", *y]))
    asked = ["--budget", 10, "--momentum", 0, "--schedule", "constant", "--sampling", "with_replacement"]
    code, out, _ = run("probe", "x.npy", "--labels", "labels.csv", *asked, "--test-size", 0.25, "--seed", 3, "--torch")
    assert code == 0
    for word in ("limit     lr ", "floor     excess loss", "expected  loss", "(held-out data)", "use       lr "):
        assert word in out
    loop = out[out.index("import numpy") :]
    names = {"inputs": x, "targets": y}
    exec(loop, names)
    assert names["model"].weight.shape == (2, 4)
    capsys.readouterr()
    plain = run("probe", "x.npy", "--labels", "labels.csv", *asked, "--no-bias", "--json")[1]
    assert json.loads(plain)["plan"]["candidates"][0]["recipe"]["batch_size"] == 32
    assert "preparation" not in json.loads(plain)["data"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--budget", 5, "--epochs", 5], "the budget is given twice"),
        (["--bias", "--no-bias"], "contradict"),
        (["--labels", "y.npy", "--targets", "y.npy"], "the same option"),
        (["--loss", "hinge"], "'hinge' is not one of"),
        (["--batch-size", 0], "batch_size must be at least 1"),
    ],
)
def test_the_command_refuses(tmp_path, monkeypatch, run, options, said):
    monkeypatch.chdir(tmp_path)
    np.savez("f.npz", X=np.random.default_rng(0).normal(size=(30, 2)), y=np.arange(30) % 2)
    code, _, err = run("probe", "f.npz", *options)
    assert code == 2
    assert said in err


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_loop_takes_tensors_of_sixteen_bits(dtype):
    images, labels = pictures(120)
    features = torch.relu(images.flatten(1)[:, :6]).to(dtype)
    found = ft.probe(features, labels, center=True, batch_size=16, budget=12, **USUAL)
    for x, y in ((features, labels), (found.inputs, found.targets), (features[:, :, None], labels[:, None])):
        names = {"inputs": x, "targets": y}
        exec(found.torch_code(), names)
        assert float(names["loss"]) == pytest.approx(found.expected_loss / 2, rel=0.2)


def test_it_is_a_line_a_table_and_equal_by_value(found):
    assert repr(found).startswith("Probe(mse of 600 samples, 24 features, float32: loss ")
    assert len(repr(found)) <= 120
    assert found._repr_html_().startswith("<table>")
    assert found == found  # noqa: PLR0124
    assert found.to_csv().startswith("quantity,value\n")
    assert found.columns("candidates")["schedule"] == ["cosine"]
    assert found.words.splitlines()[0].startswith("features  Sequential.4: 600 samples, 24 features, float32")
    weights, bias = found.preparation.unprepared(found.problem.minimum().weights)
    assert (weights.shape, bias.shape) == ((4, 24), (4,))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_features_come_to_the_host_from_a_gpu(found):
    torch.manual_seed(1)
    there = ft.probe(network().cuda(), loader(), layer="4", epochs=6, **USUAL)
    assert there.expected_loss == pytest.approx(found.expected_loss, rel=1e-3)
