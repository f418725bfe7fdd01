"""Runs on a device of torch's: the compiled loop's trajectories, streams that no company changes, what is refused."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

import fluctua as fl
from fluctua import schedules
from fluctua._validate.devices import Device, device_of
from fluctua.errors import InvalidInput, MissingPackage, ResultError, TooLarge
from fluctua.report.words import run_words
from fluctua.simulation.batches import generators, seed_sequence
from fluctua.simulation.on_device.arithmetic import DeviceArithmetic
from fluctua.simulation.on_device.draws import TorchDraws
from fluctua.simulation.on_device.graphs import recorded
from fluctua.simulation.on_device.room import Room
from fluctua.simulation.on_device.runs import DeviceRuns
from fluctua.simulation.on_device.steps import DeviceSteps
from fluctua.simulation.steppers import Setting, slots
from fluctua.storage.checkpoint import Checkpoint
from fluctua.storage.results import load_arrays

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.torch, pytest.mark.any_seed]
N, STEPS = 11, 37
GIVEN = {"lr": 0.1, "batch_size": 4}
KINETIC = {"temperature": 0.02, "friction": 0.8, "weight_decay": 0.1}


def posed(dtype=np.float64, **more):
    """Eleven samples, so that epochs of batches of 4 end in one of 3; one direction has no data."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((N, 3))
    return fl.LeastSquares(np.column_stack([x, x[:, 0]]).astype(dtype), rng.standard_normal((N, 2)), **more)


@pytest.fixture(scope="module")
def problem():
    return posed()


def numbers(found):
    """All numbers of a measurement but the identity."""
    fields = (field.name for field in dataclasses.fields(found) if field.name != "identity")
    return {name: np.asarray(getattr(found, name), float) for name in fields if getattr(found, name) is not None}


def assert_same(one, other, rtol=0.0):
    """Of the size of an array, or of the rounding of what cancels in it where all replicas do the same."""
    assert numbers(one).keys() == numbers(other).keys()
    for name, value in numbers(one).items():
        size, rest = np.abs(value).max(initial=0.0), 1e-9 if name == "covariance_error" else 1e-15  # a root of squares
        np.testing.assert_allclose(
            numbers(other)[name], value, rtol=0, atol=rtol * size + rest * (rtol > 0), err_msg=name
        )


def run(problem, sgd, replicas=9, **more):
    return fl.simulate(problem, sgd, **{"steps": STEPS, "replicas": replicas, "rng": 5, "dtype": "float64", **more})


WEIGHTS = tuple(1.0 + np.arange(N))
CASES = {
    "plain": (fl.SGD(**GIVEN), {}),
    "from zero": (fl.SGD(**GIVEN, weight_decay=0.2), {"start": "zero"}),
    "momentum": (fl.SGD(**GIVEN, momentum=0.9, dampening=0.3), {"start": "zero"}),
    "nesterov": (fl.SGD(**GIVEN, momentum=0.8, nesterov=True), {}),
    "qhm": (fl.QHM(**GIVEN, momentum=0.9, nu=0.7), {}),
    "ema": (fl.SGD(**GIVEN, momentum=0.5), {"average": fl.EMA(0.9, every=3)}),
    "tail": (fl.SGD(**GIVEN), {"average": fl.RunningAverage(start=20)}),
    "schedule": (fl.SGD(**GIVEN, schedule=schedules.CosineAnnealingLR(STEPS)), {}),
    "distinct": (fl.SGD(**GIVEN, sampling="without_replacement"), {}),
    "shuffle": (fl.SGD(**GIVEN, sampling="shuffle"), {}),
    "dropped": (fl.SGD(**GIVEN, sampling="shuffle", drop_last=True), {"average": fl.EMA(0.9, every="epoch")}),
    "one order": (fl.SGD(**GIVEN, sampling="single_shuffle"), {}),
    "data order": (fl.SGD(**GIVEN, sampling="sequential"), {"start": "zero"}),
    "weighted": (fl.SGD(**GIVEN, sampling=fl.WeightedSampling(WEIGHTS)), {}),
    "biased": (fl.SGD(**GIVEN, sampling=fl.WeightedSampling(WEIGHTS, unbiased=False)), {}),
    "full batch": (fl.SGD(**GIVEN), {"dynamics": "gd", "start": "zero"}),
    "sgld": (fl.SGLD(**GIVEN, temperature=0.02, weight_decay=0.1), {}),
    "baoa": (fl.BAOA(**GIVEN, **KINETIC), {}),
    "obabo": (fl.OBABO(lr=0.1, batch_size=None, **KINETIC), {"start": "zero"}),
}


@pytest.mark.parametrize("name", CASES)
def test_numpy_batches_give_the_compiled_trajectories(problem, device, name):
    sgd, more = CASES[name]
    here, there = run(problem, sgd, **more), run(problem, sgd, device=device, batches="numpy", **more)
    assert_same(here, there, rtol=1e-11)
    assert there.run.batches == "numpy"


@pytest.mark.parametrize("name", ["schedule", "dropped", "distinct", "weighted", "baoa", "obabo"])
def test_batches_drawn_there_follow_from_the_seed_and_the_number_of_the_replica(problem, device, name, monkeypatch):
    """However many run beside it, and however few fit side by side."""
    sgd, more = CASES[name]
    few, many = (run(problem, sgd, replicas, device=device, **more) for replicas in (9, 24))
    again = run(problem, sgd, 24, device=device, batches="torch", **more)
    assert_same(many, again)
    monkeypatch.setattr(Room, "side_by_side", lambda self, sizes, left: [1] * len(sizes))  # noqa: ARG005
    np.testing.assert_allclose(few.replica_losses, many.replica_losses[:9], rtol=1e-11)
    assert_same(many, run(problem, sgd, 24, device=device, **more), rtol=1e-11)
    assert len({tuple(row) for row in few.replica_variances}) == 9


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("sampling", ["with_replacement", fl.WeightedSampling(WEIGHTS)], ids=["alike", "weighted"])
def test_rows_of_16_bits_stay_so(device, kind, sampling):
    rows = torch.from_numpy(posed().inputs).to(getattr(torch, kind))
    half = fl.LeastSquares(rows, posed().targets, sample_weight=WEIGHTS)
    wide = fl.LeastSquares(rows.double().numpy(), posed().targets, sample_weight=WEIGHTS)
    sgd = fl.SGD(**GIVEN, sampling=sampling)
    found, expected = (run(each, sgd, device=device, dtype="float32") for each in (half, wide))
    assert_same(expected, found, rtol=3e-4)
    assert Setting(half, sgd, np.dtype("float32")).inputs.stored == kind


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_that_diverges_says_where(problem, device, dtype):
    sgd = fl.SGD(lr=50.0, batch_size=4)
    here, there = (
        fl.simulate(problem, sgd, steps=400, replicas=4, rng=1, dtype=dtype, **more)
        for more in ({}, {"device": device, "batches": "numpy"})
    )
    assert here.diverged_at == there.diverged_at is not None


def test_the_measurement_carries_the_device(problem, device):
    found = run(problem, fl.SGD(**GIVEN), device=device)
    assert found.identity["device"] == str(device_of(device)) == found.run.device
    assert found.run.batches == "torch"
    assert "device" not in run(problem, fl.SGD(**GIVEN)).identity
    assert run(problem, fl.SGD(**GIVEN)).run.device is None


def test_an_interrupted_run_goes_on_where_it_was_and_nowhere_else(problem, device, tmp_path, monkeypatch):
    path, sgd = tmp_path / "kept.npz", fl.SGD(**GIVEN, sampling="shuffle")
    monkeypatch.setattr(Room, "side_by_side", lambda self, sizes, left: [1] * len(sizes))  # noqa: ARG005
    company, done = DeviceRuns._company, []

    def stopped(self, chunks):
        done.append(len(chunks))
        if len(done) == 4:
            raise KeyboardInterrupt
        return company(self, chunks)

    with monkeypatch.context() as patched:
        patched.setattr(DeviceRuns, "_company", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(problem, sgd, 24, device=device, checkpoint=path)
    assert 1 <= load_arrays(path)[1]["chunks"] < 8
    for other, named in (({}, "device"), ({"device": device, "batches": "numpy"}, "batches")):
        with pytest.raises(ResultError, match=named):
            run(problem, sgd, 24, checkpoint=path, **other)
    resumed = run(problem, sgd, 24, device=device, checkpoint=path)
    assert_same(run(problem, sgd, 24, device=device), resumed)
    assert not path.exists()
    kept = Checkpoint(path, resume=True)  # which its owner keeps until the result is written
    done = [run(problem, sgd, 24, device=device, checkpoint=kept) for _ in range(2)]
    assert_same(*done)


@pytest.mark.statistical(alpha=1e-6)
def test_the_law_holds_of_batches_drawn_there(device):
    data = fl.load("digits", classes=[3, 8], limit=150)
    problem = fl.LeastSquares(data.inputs, data.targets)
    sgd = fl.SGD(lr=0.02, batch_size=8, sampling="without_replacement", momentum=0.5)
    verdict = fl.verify(problem, sgd, steps=200, replicas=96, rng=7, level=1e-6, device=device)
    assert verdict.consistent
    assert verdict.run.device == str(device_of(device))
    assert f"on {verdict.run.device}, seed 7" in run_words(verdict)


# --- nothing waits for the host ---


def steps_on(device, sgd, average, problem):
    setting = Setting(problem, sgd, np.dtype(np.float64), average)
    arithmetic = DeviceArithmetic(device)
    state = arithmetic.state(slots(sgd, average), 5, problem.outputs, problem.features, dtype=setting.dtype)
    draws = TorchDraws(generators(seed_sequence(1), 5), problem.samples, sgd, setting.dtype, device)
    return DeviceSteps(setting, arithmetic, whole=sgd.batch_size is None), state, draws


@pytest.mark.parametrize("name", ["plain", "ema", "distinct", "dropped", "weighted", "baoa", "obabo"])
def test_no_step_asks_the_device_for_a_number(problem, name):
    """On the meta device, where there are none, whatever asks for one raises: drawing and stepping ask for nothing."""
    sgd, more = CASES[name]
    meta = Device("cpu", "meta", torch.device("meta"))
    steps, state, draws = steps_on(meta, sgd, more.get("average"), problem)
    steps.advance(state, draws, STEPS, 0)
    with pytest.raises(RuntimeError, match="meta"):
        state.sum().item()


def test_a_sorted_batch_asks_for_none_either(problem):
    meta = Device("cpu", "meta", torch.device("meta"))
    wide = fl.LeastSquares(np.tile(problem.inputs, (30, 1)), np.tile(problem.targets, (30, 1)))
    sgd = fl.SGD(lr=0.1, batch_size=200, sampling="without_replacement")
    steps, state, draws = steps_on(meta, sgd, None, wide)
    assert draws._independent == draws._sorted
    steps.advance(state, draws, 3, 0)


class FakeCuda:
    """What of torch.cuda a recording uses: work in a capture is noted, and done when it is launched."""

    def __init__(self):
        self.capturing, self.calls = False, []

    def Stream(self, *_):  # noqa: N802
        return SimpleNamespace(wait_stream=lambda _: None)

    current_stream = Stream

    def stream(self, _):
        return nullcontext()

    def CUDAGraph(self):  # noqa: N802
        return SimpleNamespace(replay=lambda: self.calls.append("replay"))

    @contextmanager
    def graph(self, _, **__):
        self.capturing = True
        yield
        self.capturing = False


def test_a_recording_leaves_what_it_changes_as_it_was_and_is_launched_as_one(monkeypatch):
    cuda, state = FakeCuda(), torch.zeros(3)
    place = Device("cuda", "none", torch.device("cpu"))
    monkeypatch.setattr(Device, "torch", SimpleNamespace(cuda=cuda))

    def work():
        cuda.calls.append("captured" if cuda.capturing else "run")
        if not cuda.capturing:
            state.add_(1)

    launch = recorded(work, state, place)
    assert cuda.calls == ["run", "run", "captured"]
    assert not state.any()
    launch()
    assert cuda.calls[-1] == "replay"


# --- precision and memory are the device's ---


def precisions():
    """What products of float32 are made in, said in both of torch's ways."""
    backends = torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None)
    newer = [each.fp32_precision for each in backends if hasattr(each, "fp32_precision")]
    return newer or [torch.get_float32_matmul_precision()]


def set_as_before(_):
    torch.set_float32_matmul_precision("medium")


def set_as_since(value):
    torch.backends.cuda.matmul.fp32_precision = value


@pytest.mark.parametrize("ask", [set_as_before, set_as_since])
def test_products_are_in_all_bits_of_float32_and_the_setting_comes_back(ask):
    if ask is set_as_since and not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        pytest.skip("torch before 2.9 knows one way")
    ask("tf32")
    fewer = precisions()
    try:
        with device_of("cpu").at_work():
            assert not {"tf32", "bf16", "medium"} & set(precisions())
        assert precisions() == fewer
        assert {"tf32", "medium"} & set(fewer)
    finally:
        torch.set_float32_matmul_precision("highest")


def test_memory_that_ran_out_is_said():
    with pytest.raises(TooLarge, match=r"memory of device cpu ran out: tried 9 GiB"), device_of("cpu").at_work():
        raise torch.OutOfMemoryError("tried 9 GiB")


def test_what_does_not_fit_is_refused_before(problem, monkeypatch):
    room = Room(common=100.0, replica=10.0, chunk=50.0)
    assert room.side_by_side([8, 8, 8, 7], 300.0) == [2, 2]
    assert room.side_by_side([8, 8], 0.0) == [1, 1]
    assert room.side_by_side([], 300.0) == []
    monkeypatch.setattr(Device, "room", 1e6)
    with pytest.raises(TooLarge, match="of the memory of device cpu") as caught:
        run(problem, fl.SGD(**GIVEN), device="cpu")
    assert caught.value.needed > caught.value.available == 1e6


# --- what is refused ---


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"device": "mps"}, "no float64"),
        ({"device": "gpu"}, "got 'gpu'"),
        ({"device": 0}, "got 0"),
        ({"device": "meta"}, "got 'meta'"),
        ({"device": "cpu", "threads": 2}, "threads=2 are workers of the compiled loop"),
        ({"device": "cpu", "batches": "jax"}, "torch, numpy"),
        ({"batches": "torch"}, "Give a device"),
        ({"device": "cpu", "dynamics": "langevin"}, "sgd and gd do"),
    ],
)
def test_what_a_device_cannot_do_is_refused_by_name(problem, given, said):
    with pytest.raises(InvalidInput, match=said):
        run(problem, fl.SGD(**GIVEN), **given)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_with_the_build_of_torch(problem):
    with pytest.raises(
        InvalidInput, match=f"device='cuda:1' is not there: torch {torch.__version__}".replace("+", r"\+")
    ):
        run(problem, fl.SGD(**GIVEN), device=torch.device("cuda", 1))


def test_a_gpu_beyond_the_last_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InvalidInput, match="the last of 2 is 'cuda:1'"):
        device_of("cuda:2")


def test_heads_are_refused_by_name():
    data = fl.load("digits", classes=[3, 8], limit=100)
    head, sgd = fl.Softmax(data.inputs, data.labels), fl.SGD(lr=0.05, batch_size=8, weight_decay=0.1)
    for verb in (fl.predict, fl.verify, lambda *given, **more: fl.simulate(*given, steps=5, replicas=2, **more)):
        with pytest.raises(InvalidInput, match="Softmax are made without a device"):
            verb(head, sgd, device="cpu")


def test_verify_refuses_before_the_theory(problem):
    with pytest.raises(InvalidInput, match="threads=1"):
        fl.verify(problem, fl.SGD(**GIVEN), device="cpu", threads=1)


def test_without_torch_it_says_what_to_install(problem, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingPackage, match=r"pip install 'fluctua\[torch\]'"):
        run(problem, fl.SGD(**GIVEN), device="cuda")
