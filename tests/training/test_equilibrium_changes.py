"""What changes in the middle of a run: rates within a unit, tensors that are frozen, and where the monitor is asked."""

from __future__ import annotations

import copy
import pickle

import pytest

torch = pytest.importorskip("torch")

from fluctua.torch import EquilibriumLR, EquilibriumMonitor  # noqa: E402
from fluctua.torch.clock import Clock  # noqa: E402
from fluctua.torch.seen import Seen  # noqa: E402
from helpers.watched import Training, first_look  # noqa: E402

pytestmark = pytest.mark.torch
SGD, Adam = torch.optim.SGD, torch.optim.Adam


def plain(params):
    return SGD(params, lr=0.05)


def heavy(params):
    return SGD(params, lr=0.02, momentum=0.5)


def of_tensor(params):
    return SGD(params, lr=torch.tensor(0.05), foreach=False)


def decayed(params):
    return torch.optim.AdamW(params, lr=0.01, betas=(0.5, 0.9), weight_decay=0.1)


def watched(make=plain, **options):
    """A run, and its monitor."""
    run = Training(make)
    return run, EquilibriumMonitor(run.optimizer, **{"every": 4, **options})


@pytest.mark.parametrize("dampening", [0.5, 1.0, -1.0])
def test_dampening_without_momentum_is_nothing_as_in_torch(dampening):
    run, monitor = watched()
    other, damped = watched(lambda params: SGD(params, lr=0.05, dampening=dampening))
    for each in (run, other):
        each.run(first_look(4, 8))
    assert damped.evidence.to_csv() == monitor.evidence.to_csv()
    assert len(monitor.evidence) == 3


def test_a_dampening_that_lets_no_gradient_in_is_said():
    run, monitor = watched(lambda params: SGD(params, lr=0.05, momentum=0.5, dampening=1.0))
    run.run(first_look(4))
    assert monitor.reason.startswith("the dampening is 1: no gradient enters the momentum")


@pytest.mark.parametrize("make", [plain, heavy, lambda params: Adam(params, lr=0.01, betas=(0.5, 0.9))])
@pytest.mark.parametrize("at", [1, 4, 6])
def test_whoever_asks_in_inference_mode_changes_nothing(make, at):
    """Evaluations run in it, and ask; the clock that is started there is written into by training."""
    runs = [watched(make, groups="tensor") for _ in range(3)]
    for (run, monitor), mode in zip(runs, (torch.enable_grad, torch.inference_mode, torch.no_grad), strict=True):
        for _ in range(first_look(4, 6) // at):
            run.run(at)
            with mode():
                assert "stopped" not in monitor.reason
    tables = [monitor.evidence.to_csv() for _, monitor in runs]
    assert len(runs[0][1].evidence) >= 3
    assert tables[1:] == tables[:1] * 2


def test_a_state_may_be_loaded_in_inference_mode():
    (run, monitor), (again, resumed) = (watched() for _ in range(2))
    run.run(70)
    with torch.inference_mode():
        saved = monitor.state_dict()
    again.model.load_state_dict(run.model.state_dict())
    again.drawn.set_state(run.drawn.get_state())
    with torch.inference_mode():
        resumed.load_state_dict(saved)
    for each in (run, again):
        each.run(first_look(4, 6))
    assert resumed.evidence.to_csv() == monitor.evidence.to_csv()
    assert len(monitor.evidence) >= 2


def cyclic(optimizer):
    """Whatever is asked every 16 steps sees the same rate."""
    return torch.optim.lr_scheduler.CyclicLR(optimizer, 0.01, 0.09, step_size_up=8)


def up_and_back(optimizer):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.1 if step % 16 == 3 else 1.0)


@pytest.mark.parametrize("make", [cyclic, up_and_back])
def test_a_rate_that_comes_back_within_a_unit_has_changed(make):
    run, monitor = watched(every=16)
    scheduler = make(run.optimizer)
    for _ in range(first_look(16) + 32):
        run.run(1)
        scheduler.step()
    assert len(monitor.evidence) == 0
    assert monitor.reason.startswith("the learning rate or another setting changed")


@pytest.mark.parametrize("before", [1, 7, 20])
def test_no_look_is_made_where_steps_had_another_rate(before):
    """A look that is due at the end of a unit holds no step with a rate that was set before that end."""
    run, monitor = watched(every=16)
    run.run(first_look(16) - before)
    run.optimizer.param_groups[0]["lr"] = 0.005
    run.run(before + 32)
    assert len(monitor.evidence) == 0
    assert "the learning rate or another setting changed" in monitor.reason


@pytest.mark.parametrize("at", [1, 5, 9, 15])
@pytest.mark.parametrize("back", [False, True])
def test_a_state_saved_when_the_rate_strayed_is_decided_alike(at, back):
    (run, monitor), (again, resumed) = (watched(every=16) for _ in range(2))
    run.run(first_look(16) - 16 + at - 1)
    run.optimizer.param_groups[0]["lr"] = 0.01
    run.run(1)
    if back:
        run.optimizer.param_groups[0]["lr"] = 0.05
    saved = copy.deepcopy(monitor.state_dict())
    again.take_up(run)
    resumed.load_state_dict(saved)
    for each in (run, again):
        each.run(64)
    assert len(monitor.evidence) == len(resumed.evidence) == 0
    assert resumed.reason == monitor.reason


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("options", [{}, {"momentum": 0.5, "nesterov": True}])
def test_a_rate_may_be_a_tensor_of_one_entry(shape, options):
    run, monitor = watched(lambda params: SGD(params, lr=torch.full(shape, 0.05), foreach=False, **options))
    same, expected = watched(lambda params: SGD(params, lr=0.05, **options))
    for each in (run, same):
        each.run(first_look(4, 8))
    assert monitor.gain == pytest.approx(expected.gain, rel=1e-4)
    run.optimizer.param_groups[0]["lr"].mul_(0.5)
    run.run(first_look(4))
    assert "changed" in monitor.reason


def test_a_tensor_in_the_place_of_another_is_watched():
    """As after `optimizer.load_state_dict`: what is then written into the new one would not be seen in the old one."""
    run, monitor = watched(of_tensor)
    run.run(40)
    run.optimizer.load_state_dict(copy.deepcopy(run.optimizer.state_dict()))
    run.run(first_look(4))
    run.optimizer.param_groups[0]["lr"].fill_(0.01)
    assert len(monitor.evidence) == 0
    run.run(40)
    assert monitor.reason.startswith("the learning rate changed; the clock started anew")


def test_what_is_unfrozen_starts_the_clock_anew():
    """Looks of before say nothing of how a tensor goes that has only begun to move."""
    run, monitor = watched()
    run.model.weight.requires_grad_(False)
    run.run(first_look(4, 6))
    assert len(monitor.evidence) == 2
    run.model.weight.requires_grad_(True)
    run.run(12)
    assert monitor.reason.startswith("which parameters require gradients changed")
    run.run(first_look(4) - 4)
    assert monitor.evidence[-1].clock == 128 * 4


def test_a_state_saved_when_a_tensor_was_just_unfrozen_is_decided_alike():
    (run, monitor), (again, resumed) = (watched() for _ in range(2))
    run.model.weight.requires_grad_(False)
    run.run(42)
    saved = monitor.state_dict()
    again.model.load_state_dict(run.model.state_dict())
    again.drawn.set_state(run.drawn.get_state())
    resumed.load_state_dict(saved)
    run.model.weight.requires_grad_(True)
    for each in (run, again):
        each.run(12)
    assert resumed.reason == monitor.reason
    assert monitor.reason.startswith("which parameters require gradients changed")


def test_a_monitor_that_has_stopped_may_be_restarted():
    model = torch.nn.Embedding(5, 2, sparse=True)
    optimizer = plain(model.parameters())
    monitor = EquilibriumMonitor(optimizer, every=4)

    def train(steps):
        for _ in range(steps):
            optimizer.zero_grad()
            model(torch.tensor([1, 2])).square().sum().backward()
            optimizer.step()

    train(20)
    assert "a gradient is sparse" in monitor.reason
    model.sparse = False
    monitor.restart("dense from now on")
    train(first_look(4) + 4)
    assert len(monitor.evidence) == 1


def test_the_default_device_is_not_asked():
    """Signs are drawn, and steps counted, where they are needed."""
    weights = torch.nn.Parameter(torch.zeros(300, dtype=torch.float64))
    optimizer = SGD([weights], lr=0.05, fused=True)
    monitor = EquilibriumMonitor(optimizer, every=1, sketch=16)
    drawn = torch.Generator().manual_seed(0)
    optimizer.found_inf = torch.zeros(())
    with torch.device("meta"):
        for _ in range(first_look(1) + 1):
            weights.grad = torch.randn(300, generator=drawn, dtype=torch.float64, device="cpu")
            optimizer.step()
        assert len(monitor.evidence) == 1


def test_tensors_that_stand_still_have_no_say():
    """One is empty, and one frozen: the others decide."""
    moving, frozen, empty = (torch.nn.Parameter(torch.zeros(size, dtype=torch.float64)) for size in (3, 2, 0))
    optimizer = SGD([moving, frozen, empty], lr=0.1)
    monitor = EquilibriumMonitor(optimizer, every=1, groups="tensor", delta=3)
    drawn = torch.Generator().manual_seed(0)
    for _ in range(first_look(1, 32)):
        moving.grad = moving.detach() + torch.randn(3, generator=drawn, dtype=torch.float64)
        empty.grad = torch.zeros_like(empty)
        optimizer.step()
    assert list(monitor.states.values()) == ["equilibrated", "undecided", "undecided"]
    assert monitor.state == "equilibrated"
    resumed = EquilibriumMonitor(SGD([moving, frozen, empty], lr=0.1), every=1, groups="tensor", delta=3)
    resumed.load_state_dict(monitor.state_dict())
    assert resumed.state == "equilibrated"


def test_where_nothing_moves_nothing_is_decided():
    still = torch.nn.Parameter(torch.ones(3))
    optimizer = plain([still])
    monitor = EquilibriumMonitor(optimizer, every=1, groups="tensor")
    for _ in range(first_look(1)):
        still.grad = torch.zeros(3)
        optimizer.step()
    assert (monitor.state, monitor.reason) == ("undecided", "the floor measured in the windows is not positive")


def test_an_optimiser_may_be_without_parameters_for_a_while():
    run, monitor = watched()
    (group,) = run.optimizer.param_groups
    kept, group["params"] = group["params"], []
    run.run(20)
    assert monitor.reason == "the optimizer has no parameter"
    group["params"] = kept
    run.run(first_look(4) + 4)
    assert len(monitor.evidence) == 1


def test_a_momentum_that_was_set_to_zero_leaves_nesterovs_step_plain():
    run, monitor = watched(lambda params: SGD(params, lr=0.05, momentum=0.5, nesterov=True))
    other, expected = watched()
    run.optimizer.param_groups[0]["momentum"] = 0.0
    for each in (run, other):
        each.run(first_look(4, 6) + 4)
    assert monitor.evidence[0].floor > 0
    run.model.load_state_dict(other.model.state_dict())
    assert "stopped" not in monitor.reason
    assert len(monitor.evidence) == len(expected.evidence)


def clipping(run):
    def clip(*_):
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), 0.3)

    return clip


@pytest.mark.parametrize("make", [plain, lambda params: SGD(params, lr=0.02, momentum=0.5, nesterov=True), decayed])
def test_gradients_are_seen_as_applied_whenever_hooks_were_registered(make):
    (run, monitor), (other, expected) = (Training(make), None), watched(make)
    run.optimizer.register_step_pre_hook(clipping(run))
    monitor = EquilibriumMonitor(run.optimizer, every=4)
    other.optimizer.register_step_pre_hook(clipping(other))
    second = EquilibriumMonitor(other.optimizer, every=4)
    for each in (run, other):
        each.run(first_look(4, 12))
    tables = [each.evidence.to_csv() for each in (monitor, expected, second)]
    assert len(monitor.evidence) >= 1
    assert tables[1:] == tables[:1] * 2
    assert len(other.optimizer._optimizer_step_post_hooks) == 0


def test_a_hook_that_comes_while_the_clock_runs_starts_it_anew():
    run, monitor = watched()
    run.run(42)
    handle = run.optimizer.register_step_pre_hook(clipping(run))
    run.run(12)
    assert monitor.reason.startswith("the order of the hooks changed at step")
    run.run(first_look(4) - 4)
    assert len(monitor.evidence) == 1
    handle.remove()
    monitor.remove()
    assert not run.optimizer._optimizer_step_pre_hooks
    run.run(20)


def test_weights_that_come_later_are_refused_in_words():
    run, monitor = watched()
    run.run(20)
    late = torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))
    run.optimizer.add_param_group({"params": [late]})
    run.run(12, lambda: setattr(late, "grad", torch.ones_like(late)))
    assert monitor.reason.startswith("the monitor has stopped, InvalidInput: a parameter is complex")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda all_of_it: pickle.loads(pickle.dumps(all_of_it))])
@pytest.mark.parametrize("make", [plain, heavy])
def test_a_copy_with_its_optimiser_goes_on_alike(copied, make):
    run, monitor = watched(make, groups="tensor", delta=1e9)
    scheduler = EquilibriumLR(run.optimizer, monitor)
    run.run(first_look(4) + 2)
    model, optimizer, twin, other = copied((run.model, run.optimizer, monitor, scheduler))
    assert twin.optimizer is other.optimizer is optimizer
    assert other.monitor is twin
    assert next(iter(model.parameters())) is optimizer.param_groups[0]["params"][0]
    for _ in range(2):
        for each in (scheduler, other):
            each.step()
        batches = run.drawn.get_state()
        run.run(first_look(4))
        again = Training(lambda _: optimizer, model=model)
        again.drawn.set_state(batches)
        again.run(first_look(4))
    assert len(other.cuts) >= 1
    assert twin.evidence.to_csv() == monitor.evidence.to_csv()
    assert other.get_last_lr() == scheduler.get_last_lr()


def test_steps_that_are_lost_in_rounding_are_said():
    """In bfloat16 a step of 0.01 leaves 100 as it is: the floor is that of steps which are not made."""
    still = torch.nn.Parameter(torch.full((3,), 100.0, dtype=torch.bfloat16))
    optimizer = SGD([still], lr=0.01)
    monitor, drawn = EquilibriumMonitor(optimizer, every=1), torch.Generator().manual_seed(0)
    for _ in range(first_look(1)):
        still.grad = torch.randn(3, generator=drawn).bfloat16()
        optimizer.step()
    assert monitor.state == "undecided"
    assert monitor.reason.startswith("the weights stood still in the windows")
    assert monitor.floor > 0


def test_groups_are_named_by_their_number_in_the_optimiser():
    params = [torch.nn.Parameter(torch.zeros(2)) for _ in "ab"]
    optimizer = SGD([{"params": []}, *({"params": [each]} for each in params)], lr=0.1)
    for kind, names in (
        ("param_group", ["group 1", "group 2"]),
        ("tensor", ["group 1, tensor 0", "group 2, tensor 0"]),
    ):
        monitor = EquilibriumMonitor(optimizer, every=1, groups=kind)
        for _ in range(first_look(1)):
            for each in params:
                each.grad = torch.ones(2)
            optimizer.step()
        assert list(monitor.states) == names


def test_a_failure_after_a_failure_stops_no_training(monkeypatch):
    """A sample fails, and so does the question whether weights of another dtype are the cause."""
    run, monitor = watched()
    run.run(20)

    def fail(*_, **__):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(Clock, "observe", fail)
    monkeypatch.setattr(Seen, "changed", fail)
    run.run(8)
    assert monitor.reason == "the monitor has stopped, OutOfMemoryError: no memory"
