"""What a monitor refuses when it is made, and that afterwards it stops nothing: it says "undecided", and why."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

import fluctua.torch  # noqa: E402
from fluctua.errors import InvalidInput, UnknownName  # noqa: E402
from fluctua.torch import EquilibriumLR, EquilibriumMonitor  # noqa: E402
from helpers.watched import Training, first_look, flat, model_on  # noqa: E402

pytestmark = pytest.mark.torch
SGD, Adam = torch.optim.SGD, torch.optim.Adam
ROOT = Path(__file__).resolve().parents[2]


def plain(params):
    return SGD(params, lr=0.05)


def heavy(params):
    return SGD(params, lr=0.02, momentum=0.9)


def weights(shape=(2,), **options):
    return [torch.nn.Parameter(torch.ones(shape, **options))]


def marked(name):
    made = weights()
    setattr(made[0], name, True)
    return made


class Own(SGD):
    """A step of one's own."""

    def step(self, closure=None):  # noqa: ARG002
        return None


class Wrapper(torch.optim.Optimizer):
    """As Accelerate's."""

    def __init__(self, optimizer):
        self.optimizer = optimizer


REFUSED = {
    "delta 0": ({"delta": 0}, "delta must be greater than 0"),
    "delta below 0": ({"delta": -0.1}, "delta must be greater than 0"),
    "delta NaN": ({"delta": float("nan")}, "delta must be a finite number"),
    "delta text": ({"delta": "0.1"}, "delta must be a finite number"),
    "alpha 0": ({"alpha": 0}, "alpha must be greater than 0"),
    "alpha 1/2": ({"alpha": 0.5}, "alpha must be less than 0.5"),
    "alpha 2": ({"alpha": 2}, "alpha must be less than 0.5"),
    "every 0": ({"every": 0}, "every must be at least 1"),
    "every a fraction": ({"every": 1.5}, "every must be a whole number"),
    "every a flag": ({"every": True}, "every must be a whole number"),
    "groups": ({"groups": "tensors"}, "unknown groups 'tensors'. Did you mean 'tensor'"),
    "sketch 0": ({"sketch": 0}, "sketch must be at least 1"),
    "sketch text": ({"sketch": "all"}, "sketch must be a whole number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_arguments_that_mean_nothing_are_refused(case):
    options, words = REFUSED[case]
    optimizer = plain(weights())
    with pytest.raises(InvalidInput, match=words):
        EquilibriumMonitor(optimizer, **options)
    assert not optimizer._optimizer_step_pre_hooks


OPTIMIZERS = {
    "LBFGS": (lambda: torch.optim.LBFGS(weights()), "a LBFGS, and the monitor knows the steps of"),
    "RMSprop": (lambda: torch.optim.RMSprop(weights()), "a RMSprop"),
    "own step": (lambda: Own(weights(), lr=0.1), "a Own"),
    "none": (lambda: torch.nn.Linear(2, 1), "optimizer must be one of torch.optim, got a Linear"),
    "complex": (lambda: plain(weights(dtype=torch.complex64)), "a parameter is complex"),
    "flat, of FSDP": (lambda: plain(marked("_is_flat_param")), "a parameter is sharded"),
    "part of a flat one": (lambda: plain(marked("_fsdp_flattened")), "a parameter is sharded"),
    "meta": (lambda: plain(weights(device="meta")), "no values yet"),
    "lazy": (lambda: plain(torch.nn.LazyLinear(2).parameters()), "no values yet"),
}


@pytest.mark.parametrize("case", OPTIMIZERS)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_optimisers_and_weights_that_cannot_be_followed_are_refused(case):
    make, words = OPTIMIZERS[case]
    with pytest.raises(InvalidInput, match=words):
        EquilibriumMonitor(make())


def test_wrappers_are_seen_through_and_heirs_that_step_alike_are_taken():
    inner = plain(weights())
    assert EquilibriumMonitor(Wrapper(inner)).optimizer is inner
    assert EquilibriumMonitor(type("Named", (SGD,), {})(weights(), lr=0.1)).state == "undecided"


def test_a_run_that_is_too_short_is_undecided():
    run = Training(plain)
    monitor = EquilibriumMonitor(run.optimizer)
    for steps in (0, 1, 63, first_look(16) - 65):
        run.run(steps)
        assert monitor.state == "undecided"
        assert f"after {first_look(16)} steps at one learning rate" in monitor.reason
        assert np.isnan(monitor.gain.value)
        assert np.isnan(monitor.floor)
        assert len(monitor.evidence) == 0
    run.run(1)
    assert len(monitor.evidence) == 1


class Synchronised(TorchDispatchMode):
    """Counts what would wait for the device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, _types, args=(), kwargs=None):
        names = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique", "_to_copy.cpu")
        self.count += any(name in str(function) for name in names)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("make", [plain, heavy, lambda p: Adam(p, lr=0.01, weight_decay=0.1)])
@pytest.mark.parametrize("groups", ["global", "tensor"])
def test_nothing_waits_for_the_device_between_looks(make, groups):
    run = Training(make)
    monitor = EquilibriumMonitor(run.optimizer, every=10, groups=groups)
    counts = []
    for one, steps in ((Training(make), first_look(10) - 1), (run, first_look(10) - 1), (run, 1)):
        with Synchronised() as seen:
            one.run(steps)
            looks = len(monitor.evidence)  # a look is made when it is asked for, or before the next step
        counts.append(seen.count)
    assert looks >= 1
    assert counts[1] == counts[0]
    assert counts[2] > 0


class Counted(TorchDispatchMode):
    """Counts the operations by name."""

    def __init__(self):
        super().__init__()
        self.names = Counter()

    def __torch_dispatch__(self, function, _types, args=(), kwargs=None):
        self.names[str(function).split(".")[1]] += 1
        return function(*args, **(kwargs or {}))


def operations(run, steps):
    with Counted() as seen:
        run.run(steps)
    return seen.names


@pytest.mark.parametrize(("make", "norms", "more"), [(plain, 2, {}), (heavy, 4, {"add_": 2})])
def test_a_sample_and_a_cut_take_few_operations(make, norms, more, monkeypatch):
    """For two tensors; a unit at whose end nothing is cut is visited once, for its sample."""
    visits, met = [], EquilibriumMonitor._met
    monkeypatch.setattr(
        EquilibriumMonitor, "_met", lambda self, *given: visits.append(self._steps) or met(self, *given)
    )
    run, twin = Training(make), Training(make)
    EquilibriumMonitor(run.optimizer)
    for each in (run, twin):
        each.run(16 * 65 - 8)  # a unit passes before the clock starts, and the first window begins after 64 more
    cut, begun, sampled = (operations(run, 16) - operations(twin, 16) for _ in range(3))
    assert visits[-4:] == [16 * 64 + 8, 16 * 65, 16 * 65 + 8, 16 * 66 + 8]
    assert begun == {"linalg_vector_norm": norms, "copy_": 2}
    assert sampled == {"linalg_vector_norm": norms, "add_": 2}
    assert cut - sampled == Counter({"clone": 2, "copy_": 2, "sub_": 1, **more})


@pytest.mark.parametrize("at", [3, 12])
def test_a_rate_that_changes_within_a_unit_is_found_alike_whether_the_monitor_is_asked_or_not(at):
    runs = [Training(plain) for _ in range(2)]
    monitors = [EquilibriumMonitor(each.optimizer) for each in runs]
    for run, monitor in zip(runs, monitors, strict=True):
        run.run(160 + at)
        run.optimizer.param_groups[0]["lr"] = 0.03
        for _ in range(40):
            run.run(1)
            if monitor is monitors[0]:
                assert monitor.state == "undecided"
    assert monitors[0].reason == monitors[1].reason
    assert f"changed at step {176 if at < 8 else 192}, and the clock started anew" in monitors[0].reason


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_nothing_waits_for_a_gpu_between_looks():
    run = Training(heavy, device="cuda", dtype=torch.float32)
    monitor = EquilibriumMonitor(run.optimizer, every=10)
    indices = torch.arange(8, device="cuda")
    run.loss = lambda: (run.model(run.inputs[indices]) - run.targets[indices]).square().mean()
    run.run(10)
    torch.cuda.set_sync_debug_mode("error")
    try:
        run.run(first_look(10) - 11)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert monitor.state == "undecided"
    assert "1290 steps" in monitor.reason
    run.run(1)
    assert len(monitor.evidence) == 1


def test_memory_does_not_grow():
    run = Training(plain)
    monitor = EquilibriumMonitor(run.optimizer, every=1)
    most = []
    for _ in range(24):
        run.run(128)
        most.append(len(monitor._clock.windows.pieces))
    assert 20 < max(most) <= 70
    assert max(most[12:]) <= max(most[:12]) + 4


def state_after(run, monitor, steps, before=lambda: None):
    run.run(steps, before)
    assert monitor.state == "undecided"
    return monitor.reason


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_said_and_the_clock_starts_anew(bad):
    run = Training(plain)
    monitor = EquilibriumMonitor(run.optimizer, every=1)
    run.run(100)
    kept = [each.detach().clone() for each in run.model.parameters()]
    run.run(1, lambda: run.model.weight.grad.fill_(bad))
    reason = state_after(run, monitor, first_look(1) - 101)
    assert "not finite" in reason
    assert "started anew" in reason
    assert monitor.skipped > 0
    with torch.no_grad():
        for each, value in zip(run.model.parameters(), kept, strict=True):
            each.copy_(value)
    run.run(first_look(1) + 1)
    assert np.isfinite(monitor.gain.value)


def test_parameters_without_gradients_stand_still():
    idle = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    runs = [Training(heavy), Training(lambda params: heavy([*params, idle]))]
    monitors = [EquilibriumMonitor(each.optimizer, every=10) for each in runs]
    for run in runs:
        run.run(first_look(10))
    assert monitors[1].gain == pytest.approx(monitors[0].gain, rel=1e-10)


@pytest.mark.parametrize(
    "make",
    [
        lambda params: SGD(params, lr=0.05, weight_decay=0.1),
        lambda params: SGD(params, lr=0.01, momentum=0.2, nesterov=True, weight_decay=0.1),
        lambda params: torch.optim.AdamW(params, lr=0.01, betas=(0.2, 0.9), weight_decay=0.1),
    ],
)
def test_decay_does_not_pull_at_parameters_without_gradients(make):
    """Torch leaves them alone, and their decay adds nothing to the floor."""
    idle = torch.nn.Parameter(torch.full((3,), 100.0, dtype=torch.float64))
    runs = [Training(make), Training(lambda params: make([*params, idle]))]
    monitors = [EquilibriumMonitor(each.optimizer, every=5) for each in runs]
    for run in runs:
        run.run(first_look(5))
    found = [[each.evidence[0].floor, each.evidence[0].work] for each in monitors]
    assert found[1] == pytest.approx(found[0], rel=1e-9)


def test_a_buffer_at_rest_adds_nothing_to_the_floor():
    """A tensor that is frozen after some steps keeps its momentum, which moves it no more."""
    run = Training(lambda params: SGD(params, lr=0.02, momentum=0.2))
    run.run(20)
    monitor = EquilibriumMonitor(run.optimizer, every=5, groups="tensor")
    first = next(iter(run.model.parameters())).requires_grad_(False)
    first.grad = None
    run.run(first_look(5))
    assert next(iter(monitor.evidence)).floor == 0.0


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.Adam, SGD])
def test_a_tensor_that_was_trained_and_rests_now_is_no_part_of_the_noise_scale(optimizer):
    """AdamW knows its second moment, and with that the pull of a decay that does not act on it any more."""
    idle = torch.nn.Parameter(torch.full((3,), 100.0, dtype=torch.float64))

    def pushed():
        idle.grad = torch.ones_like(idle)

    def make(params):
        return optimizer(params, lr=1e-4, weight_decay=0.1)

    runs, found = [Training(make), Training(lambda params: make([*params, idle]))], []
    for run in runs:
        run.run(20, pushed)
        monitor = EquilibriumMonitor(run.optimizer, every=5)
        run.run(first_look(5, 12))
        found.append([monitor.noise_scale, monitor.evidence[0].floor, monitor.evidence[0].work])
    assert 0 < found[0][0] < 10
    assert found[1] == pytest.approx(found[0], rel=1e-9)


@pytest.mark.parametrize("change", [{"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
def test_a_state_may_be_saved_when_a_setting_has_just_changed(change):
    """Samples are of the settings that the clock was started with, and who goes on from the state decides alike."""
    run, again = Training(plain), Training(plain)
    monitor, resumed = (EquilibriumMonitor(each.optimizer, every=5) for each in (run, again))
    run.run(first_look(5) - 1)
    run.optimizer.param_groups[0].update(change)
    saved = monitor.state_dict()
    again.take_up(run)
    resumed.load_state_dict(saved)
    for each in (run, again):
        each.run(1)
    assert len(monitor.evidence) == 1
    assert (resumed.reason, resumed.evidence.to_csv()) == (monitor.reason, monitor.evidence.to_csv())


def test_another_dtype_starts_the_clock_anew():
    model = torch.nn.Linear(3, 1)
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    monitor = EquilibriumMonitor(optimizer, every=4)
    for dtype in (torch.float32, torch.float64):
        model.to(dtype)
        for _ in range(9):
            optimizer.zero_grad()
            model(torch.ones(2, 3, dtype=dtype)).square().mean().backward()
            optimizer.step()
    assert monitor.reason.startswith("the list of parameters changed")


def test_a_state_saved_after_the_data_were_exchanged_holds_nothing_of_before():
    run = Training(plain)
    monitor = EquilibriumMonitor(run.optimizer, every=4)
    run.run(42)
    for each in run.model.parameters():
        each.data = each.data + 1.0
    assert monitor.state_dict()["clock"] is None


def test_the_state_of_another_optimizer_is_refused():
    run, other = Training(plain), Training(decayed)
    monitors = [EquilibriumMonitor(each.optimizer, every=2) for each in (run, other)]
    run.run(10)
    with pytest.raises(InvalidInput, match="the state is of another optimizer"):
        monitors[1].load_state_dict(monitors[0].state_dict())


def test_sparse_gradients_are_said():
    model = torch.nn.Embedding(5, 2, sparse=True)
    optimizer = plain(model.parameters())
    monitor = EquilibriumMonitor(optimizer)
    for _ in range(40):
        optimizer.zero_grad()
        model(torch.tensor([1, 2])).square().sum().backward()
        optimizer.step()
    assert monitor.state == "undecided"
    assert "a gradient is sparse" in monitor.reason


def test_a_rate_of_zero_is_said_and_one_group_may_have_it():
    run = Training(lambda params: SGD(params, lr=0.0))
    monitor = EquilibriumMonitor(run.optimizer, every=1)
    assert "the learning rate is 0: nothing moves" in state_after(run, monitor, 200)
    run.optimizer.param_groups[0]["lr"] = 0.05
    run.run(first_look(1) + 1)
    assert len(monitor.evidence) == 1
    frozen = Training(lambda params: SGD([{"params": [next(params)], "lr": 0.05}, {"params": list(params), "lr": 0.0}]))
    monitor = EquilibriumMonitor(frozen.optimizer, every=1, groups="param_group")
    frozen.run(first_look(1))
    assert np.isfinite(monitor.gain.value)
    assert monitor.states["group 1"] == "undecided"


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
def test_another_rate_starts_the_clock_anew(name):
    run = Training(lambda params: SGD(params, lr=0.02, momentum=0.1))
    monitor = EquilibriumMonitor(run.optimizer, every=2)
    run.run(first_look(2))
    assert len(monitor.evidence) == 1
    run.optimizer.param_groups[0][name] = 0.03
    reason = state_after(run, monitor, 2)
    assert reason.startswith(f"the learning rate or another setting changed at step {first_look(2) + 2}")
    run.run(first_look(2) - 1)
    assert len(monitor.evidence) == 1
    run.run(1)
    assert [each.clock for each in monitor.evidence] == [256, 256]


def test_a_rate_that_is_a_tensor_is_watched_on_its_device(device):
    run = Training(lambda params: SGD(params, lr=torch.tensor(0.05)), device=device)
    same = Training(plain, device=device)
    monitors = [EquilibriumMonitor(each.optimizer, every=1) for each in (run, same)]
    for each in (run, same):
        each.run(first_look(1))
    assert monitors[0].gain == pytest.approx(monitors[1].gain, rel=1e-5)
    run.optimizer.param_groups[0]["lr"].fill_(0.02)
    reason = state_after(run, monitors[0], 64)
    assert reason.startswith("the learning rate changed; the clock started anew")


@pytest.mark.parametrize("make", [plain, heavy])
def test_a_look_that_is_due_is_of_the_rate_that_its_steps_were_made_with(make):
    """Whether the monitor is asked before the rate changes or not, the look is the same."""
    run, asked = Training(make), Training(make)
    monitors = [EquilibriumMonitor(each.optimizer, every=10) for each in (run, asked)]
    for each, monitor in zip((run, asked), monitors, strict=True):
        each.run(first_look(10))
        if each is asked:
            assert len(monitor.evidence) == 1
        each.optimizer.param_groups[0]["lr"] = 0.003
        each.run(11)
        assert each.optimizer.param_groups[0]["lr"] == 0.003
    assert monitors[0].evidence.to_csv() == monitors[1].evidence.to_csv()
    assert "the learning rate or another setting changed" in monitors[0].reason


def test_no_look_is_made_with_a_tensors_new_rate(device):
    run = Training(lambda params: SGD(params, lr=torch.tensor(0.05)), device=device)
    monitor = EquilibriumMonitor(run.optimizer, every=4)
    run.run(first_look(4))
    run.optimizer.param_groups[0]["lr"].fill_(0.005)
    assert len(monitor.evidence) == 0
    assert monitor.reason.startswith("the learning rate changed; the clock started anew")


def test_no_look_is_made_at_weights_that_others_moved():
    run = Training(plain)
    monitor = EquilibriumMonitor(run.optimizer, every=4)
    run.run(first_look(4))
    with torch.no_grad():
        next(run.model.parameters()).add_(5)
    monitor.restart("moved")
    assert (len(monitor.evidence), monitor.reason) == (0, "moved")
    run.run(first_look(4) - 1)
    assert len(monitor.evidence) == 0
    run.run(1)
    assert len(monitor.evidence) == 1


def test_a_rate_that_always_changes_never_starts_the_clock():
    run = Training(plain)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(run.optimizer, 0.999)
    monitor = EquilibriumMonitor(run.optimizer, every=1)
    for _ in range(200):
        run.run(1)
        scheduler.step()
    assert "changed at step" in monitor.reason
    assert monitor._clock is None


def test_a_changed_list_of_parameters_starts_the_clock_anew():
    run = Training(plain)
    monitor = EquilibriumMonitor(run.optimizer, every=1)
    run.run(40)
    run.optimizer.add_param_group({"params": weights(dtype=torch.float64)})
    assert "the learning rate or another setting changed" in state_after(run, monitor, 1) or "list" in monitor.reason
    run.run(first_look(1) + 1)
    assert len(monitor.evidence) == 1
    run.optimizer.param_groups[1]["params"][0] = weights(dtype=torch.float64)[0]
    assert "the list of parameters changed" in state_after(run, monitor, 1)


@pytest.mark.parametrize("where", ["observe", "due", "__init__"])
def test_whatever_fails_in_a_hook_training_goes_on(where, monkeypatch):
    run, twin = Training(plain), Training(plain)
    monitor = EquilibriumMonitor(run.optimizer)

    def fail(*_, **__):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(fluctua.torch.clock.Clock, where, fail)
    run.run(40)
    twin.run(40)
    assert monitor.state == "undecided"
    assert monitor.reason == "the monitor has stopped, OutOfMemoryError: no memory"
    np.testing.assert_array_equal(flat(run.model.parameters()), flat(twin.model.parameters()))


def test_a_monitor_changes_nothing_of_the_run():
    for make in (plain, heavy, lambda p: Adam(p, lr=0.01)):
        watched, alone = Training(make), Training(make)
        EquilibriumMonitor(watched.optimizer, every=1)
        watched.run(300)
        alone.run(300)
        np.testing.assert_array_equal(flat(watched.model.parameters()), flat(alone.model.parameters()))
        assert watched.optimizer.state_dict()["state"].keys() == alone.optimizer.state_dict()["state"].keys()


def test_hooks_come_off():
    run = Training(plain)
    monitor = EquilibriumMonitor(run.optimizer, every=1)
    run.run(10)
    monitor.remove()
    run.run(first_look(1))
    monitor.restart("later")
    assert monitor._steps == 10
    assert not run.optimizer._optimizer_step_pre_hooks


@pytest.mark.parametrize("fused", [False, True])
def test_steps_that_the_gradient_scaler_skips_are_not_counted(fused):
    """Without fusion the optimiser is not called; a fused one skips on the device, and unscales itself."""
    runs = [Training(lambda params: SGD(params, lr=0.05, momentum=0.5, fused=fused), dtype=torch.float32) for _ in "ab"]
    monitors = [EquilibriumMonitor(each.optimizer, every=1) for each in runs]
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=10**6)
    skipped = (200, 205)
    for step in range(first_look(1, 8) + (0 if fused else len(skipped))):
        run = runs[1]
        run.optimizer.zero_grad()
        scaler.scale(run.loss()).backward()
        if step in skipped:
            run.model.weight.grad[0, 0] = float("inf")
        scaler.step(run.optimizer)
        scaler.update()
        runs[0].backward()
        if step not in skipped:
            runs[0].optimizer.step()
    runs[0].run(first_look(1, 8) - monitors[0]._steps)
    one, two = (each.evidence[0] for each in monitors)
    assert two.floor == pytest.approx(one.floor, rel=1e-4 if not fused else 0.05)
    assert two.work == pytest.approx(one.work, rel=1e-4 if not fused else 0.2)
    assert monitors[1].skipped == (len(skipped) if fused else 0)


WORKER = """
import os, sys, torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from fluctua.torch import EquilibriumMonitor
from helpers.watched import Training, first_look, model_on
torch.set_num_threads(1)
rank = int(sys.argv[1])
os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[2], GLOO_SOCKET_IFNAME="lo")
dist.init_process_group("gloo", rank=rank, world_size=2)
model = DistributedDataParallel(model_on(dtype=torch.float32))
run = Training(lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.5), dtype=torch.float32, seed=rank, model=model)
monitor = EquilibriumMonitor(run.optimizer, every=5)
calls = []
for name in ("all_reduce", "broadcast", "all_gather", "send", "barrier"):
    setattr(dist, name, lambda *a, **k: calls.append(name))
run.run(first_look(5, 6))
print(repr((monitor.state, monitor.evidence.to_csv(), calls)))
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_processes_that_train_together_decide_alike_without_a_word(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    port = str(_free_port())
    path = os.pathsep.join(str(ROOT / each) for each in ("tests", "src"))
    runs = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), port],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        for rank in range(2)
    ]
    said = [each.communicate(timeout=120) for each in runs]
    assert [each.returncode for each in runs] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert "step,clock,scope" in said[0][0]
    assert said[0][0].strip().endswith("[])")


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


LAST = 2600


def decayed(params):
    return torch.optim.AdamW(params, lr=0.01, weight_decay=0.1)


@pytest.mark.parametrize(("make", "at"), [(plain, 3), (plain, 703), (heavy, 701), (heavy, 2003), (decayed, 810)])
def test_a_resumed_monitor_decides_bit_by_bit_alike(make, at, tmp_path):
    """In a file that torch reads without running code; the run that was interrupted goes on unchanged."""
    run = Training(make)
    monitor = EquilibriumMonitor(run.optimizer, groups="tensor", every=2)
    run.run(at)
    saved = {"model": run.model, "optimizer": run.optimizer, "monitor": monitor}
    torch.save({name: each.state_dict() for name, each in saved.items()}, tmp_path / "state.pt")
    batches = run.drawn.get_state()
    run.run(LAST - at)

    again = Training(make, seed=7)
    resumed = EquilibriumMonitor(again.optimizer, groups="tensor", every=2)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    again.model.load_state_dict(state["model"])
    again.optimizer.load_state_dict(state["optimizer"])
    resumed.load_state_dict(state["monitor"])
    again.drawn.set_state(batches)
    again.run(LAST - at)
    assert len(monitor.evidence) >= 6
    assert resumed.evidence.to_csv() == monitor.evidence.to_csv()
    assert (resumed.state, resumed.reason, resumed.gain) == (monitor.state, monitor.reason, monitor.gain)


def test_a_resumed_monitor_finds_a_rate_that_was_changed_after_it_was_saved():
    run, again = Training(plain), Training(plain)
    monitor, resumed = (EquilibriumMonitor(each.optimizer, every=2) for each in (run, again))
    run.run(first_look(2))
    saved = monitor.state_dict()
    run.optimizer.param_groups[0]["lr"] = 0.01
    again.take_up(run)
    resumed.load_state_dict(saved)
    for each in (run, again):
        each.run(first_look(2))
    assert "changed at step" in resumed.reason
    assert (resumed.reason, resumed.evidence.to_csv()) == (monitor.reason, monitor.evidence.to_csv())


def test_a_state_is_a_copy():
    run = Training(plain)
    monitor = EquilibriumMonitor(run.optimizer, every=1)
    run.run(70)
    state = monitor.state_dict()
    before = state["clock"]["parts"][0]["_sums"].clone()
    run.run(9)
    assert torch.equal(state["clock"]["parts"][0]["_sums"], before)
    assert not torch.equal(monitor._clock.parts[0]._sums, before)


def test_states_of_other_monitors_are_refused():
    run = Training(plain)
    monitor = EquilibriumMonitor(run.optimizer)
    run.run(20)
    state = monitor.state_dict()
    other = plain([torch.nn.Parameter(torch.ones(3))])
    with pytest.raises(InvalidInput, match="of weights of shapes"):
        EquilibriumMonitor(other).load_state_dict(state)
    with pytest.raises(InvalidInput, match="every = 16, and this one has 7"):
        EquilibriumMonitor(plain(model_on().parameters()), every=7).load_state_dict(state)
    former = {name: value for name, value in state["clock"].items() if name not in ("origin", "ends", "bins")}
    with pytest.raises(InvalidInput, match="another version of fluctua"):
        monitor.load_state_dict({**state, "clock": former, "_every": 5})
    with pytest.raises(InvalidInput, match="another version of fluctua"):
        monitor.load_state_dict({**{name: each for name, each in state.items() if name != "_begun"}, "_phase": 4})
    windows = {name: each for name, each in state["clock"]["windows"].items() if name != "starts"}
    loud = {name: each for name, each in state.items() if name != "_quiet"}
    for earlier in (loud, {**state, "clock": {**state["clock"], "windows": windows}}):
        with pytest.raises(InvalidInput, match="another version of fluctua"):
            monitor.load_state_dict(earlier)
    for broken in ({}, None, 3, {"_steps": 1}):
        with pytest.raises(InvalidInput, match="not that of an EquilibriumMonitor"):
            monitor.load_state_dict(broken)
    assert monitor.state_dict()["_steps"] == 20


@pytest.mark.parametrize("steps", [5, 64, 500, 515])
def test_a_run_before_its_first_look_says_how_many_steps_it_has_made(steps):
    run = Training(plain)
    monitor = EquilibriumMonitor(run.optimizer, every=4)
    run.run(steps)
    assert monitor.reason == f"the first look comes after 516 steps at one learning rate; {steps} have been made"
    run.run(516 - steps)
    assert len(monitor.evidence) == 1


def test_evidence_is_a_table(tmp_path):
    pandas = pytest.importorskip("pandas")
    run = Training(plain)
    monitor = EquilibriumMonitor(run.optimizer, every=1)
    assert repr(monitor).startswith("EquilibriumMonitor(undecided: the first look comes after 129 steps")
    run.run(first_look(1, 6))
    frame = monitor.evidence.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["clock"]) == [128, 192]
    assert list(frame.columns[:4]) == ["step", "clock", "scope", "state"]
    monitor.evidence.to_csv(tmp_path / "looks.csv")
    assert (tmp_path / "looks.csv").read_text() == monitor.evidence.to_csv()
    assert "<table>" in monitor.evidence._repr_html_()
    assert repr(monitor.evidence).startswith("Evidence(2 looks, the last after 192 steps")


def test_unknown_groups_are_of_both_kinds():
    with pytest.raises(UnknownName):
        EquilibriumMonitor(plain(weights()), groups=3)


def test_names_of_the_room():
    assert {"EquilibriumLR", "EquilibriumMonitor"} <= set(dir(fluctua.torch))
    assert fluctua.torch.EquilibriumLR is EquilibriumLR
