"""Cuts of the learning rate when nothing is left to gain, alone and beside torch's schedulers; and real digits."""

from __future__ import annotations

import logging

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fluctua.errors import InvalidInput  # noqa: E402
from fluctua.torch import EquilibriumLR, EquilibriumMonitor  # noqa: E402
from helpers.watched import Training, first_look  # noqa: E402

pytestmark = pytest.mark.torch
SGD, schedulers = torch.optim.SGD, torch.optim.lr_scheduler


class Watched:
    """A run whose learning rate is cut by the monitor, looked at as often as can be."""

    def __init__(self, make=lambda params: SGD(params, lr=0.05), *, delta=0.5, others=lambda _optimizer: (), **options):
        self.run = Training(make)
        self.monitor = EquilibriumMonitor(self.run.optimizer, every=1, delta=delta)
        self.others = others(self.run.optimizer)
        options = {"factor": 0.1, "schedulers": self.others, **options}
        self.scheduler = EquilibriumLR(self.run.optimizer, self.monitor, **options)

    def train(self, steps):
        rates = []
        for _ in range(steps):
            self.run.run(1)
            for each in (*self.others, self.scheduler):
                each.step()
            rates.append(self.run.optimizer.param_groups[0]["lr"])
        return rates


def test_the_rate_is_cut_at_equilibrium_and_not_before(caplog):
    caplog.set_level(logging.INFO, logger="fluctua.torch")
    watched = Watched(min_lr=1e-3)
    rates = watched.train(2500)
    first = rates.index(pytest.approx(0.005))
    looks = [each for each in watched.monitor.evidence if each.step <= first + 1]
    assert [each.state == "equilibrated" for each in looks] == [False] * (len(looks) - 1) + [True]
    assert sorted(set(rates), reverse=True) == pytest.approx([0.05, 0.005])
    cuts = list(watched.scheduler.cuts)
    assert [each.look.state for each in cuts] == ["equilibrated"] * len(cuts)
    assert cuts[0].after == pytest.approx((0.005,))
    assert watched.scheduler.get_last_lr() == pytest.approx([0.005])
    assert f"step {cuts[0].look.step}: learning rate 0.05 to 0.005, gain" in caplog.text
    after = next(each for each in watched.monitor.evidence if each.step > first + 1)
    assert after.clock == 128
    table = watched.scheduler.cuts.columns()
    assert list(table)[:3] == ["step", "before", "after"]
    assert not watched.scheduler.finished


def force(watched, state="equilibrated", looks=1):
    """Let the monitor say so, as if it had looked."""
    watched.train(first_look(1) + 1)
    for _ in range(looks):
        watched.monitor._looks.append(watched.monitor._looks[-1])
        watched.monitor._states = {"all": state}
        watched.scheduler.step()


@pytest.mark.parametrize("patience", [0, 1, 2])
def test_patience_is_a_number_of_further_looks_that_agree(patience):
    watched = Watched(patience=patience, delta=1e-9)
    force(watched, looks=patience)
    assert watched.scheduler.get_last_lr() == [0.05]
    watched.scheduler.step()
    assert watched.scheduler.get_last_lr() == [0.05]
    force(watched, "undecided")
    force(watched, looks=patience + 1)
    assert watched.scheduler.get_last_lr() == pytest.approx([0.005])
    assert watched.monitor.reason.startswith("the learning rate was cut at step")
    assert watched.monitor.state == "undecided"


def test_at_the_least_rate_nothing_is_cut_and_the_run_is_finished():
    watched = Watched(min_lr=0.04, delta=1e-9)
    force(watched)
    assert watched.scheduler.get_last_lr() == [0.04]
    assert not watched.scheduler.finished
    force(watched)
    force(watched)
    assert watched.scheduler.get_last_lr() == [0.04]
    assert watched.scheduler.finished
    assert len(watched.scheduler.cuts) == 2
    above = Watched(min_lr=0.2, delta=1e-9)
    force(above)
    assert above.scheduler.get_last_lr() == [0.05]


def test_groups_have_least_rates_of_their_own():
    watched = Watched(
        lambda params: SGD([{"params": [next(params)]}, {"params": list(params), "lr": 0.2}], lr=0.1),
        min_lr=[0.05, 0.0],
        delta=1e-9,
    )
    force(watched)
    assert watched.scheduler.get_last_lr() == pytest.approx([0.05, 0.02])
    assert [each["initial_lr"] for each in watched.run.optimizer.param_groups] == pytest.approx([0.05, 0.02])


OTHERS = {
    "lambda": lambda o: (schedulers.LambdaLR(o, lambda step: min(1.0, (step + 1) / 10)),),
    "linear": lambda o: (schedulers.LinearLR(o, 0.1, 1.0, 10),),
    "sequential": lambda o: (
        schedulers.SequentialLR(o, [schedulers.LinearLR(o, 0.1, 1, 10), schedulers.LambdaLR(o, lambda _: 1.0)], [10]),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_cuts_go_on_under_a_warm_up_and_torchs_schedulers(name):
    watched = Watched(others=OTHERS[name], delta=1e-9)
    rates = watched.train(30)
    assert rates[0] < 0.05
    assert rates[-1] == pytest.approx(0.05)
    assert watched.monitor.evidence == Watched().monitor.evidence
    force(watched)
    assert watched.train(20) == pytest.approx([0.005] * 20)


def update_from_the_present_rate(monkeypatch):
    """Update this scheduler as those without a closed form: from the rate that the group happens to have."""
    usual = schedulers.LRScheduler._update_lr

    def update(scheduler, epoch=None):
        if not isinstance(scheduler, EquilibriumLR):
            return usual(scheduler, epoch)
        for group, rate in zip(scheduler.optimizer.param_groups, scheduler.get_lr(), strict=True):
            group["lr"] = rate
        return None

    monkeypatch.setattr(schedulers.LRScheduler, "_update_lr", update)


class ByStep(schedulers.SequentialLR):
    """Hands over by ``step(0)``, as older versions of torch do."""

    def step(self):
        self.last_epoch += 1
        place = sum(each <= self.last_epoch for each in self._milestones)
        starts = self.last_epoch in self._milestones
        self._schedulers[place].step(*[0] * starts)


class ByPrivateUpdate(ByStep):
    """Hands over by `_update_lr(0)`, as newer ones do."""

    def step(self):
        if self.last_epoch + 1 not in self._milestones:
            super().step()
            return
        self.last_epoch += 1
        self._schedulers[self._milestones.index(self.last_epoch) + 1]._update_lr(0)


@pytest.mark.parametrize("plain_update", [False, True])
@pytest.mark.parametrize("kind", [schedulers.SequentialLR, ByStep, ByPrivateUpdate])
def test_it_may_follow_a_warm_up_in_sequence(kind, plain_update, monkeypatch):
    """Whatever version of torch hands over: the rate is the base rate from the milestone on."""
    run = Training(lambda params: SGD(params, lr=0.05))
    monitor = EquilibriumMonitor(run.optimizer, every=1)
    cut = EquilibriumLR(run.optimizer, monitor)
    whole = kind(run.optimizer, [schedulers.LinearLR(run.optimizer, 0.1, 1, 10), cut], [10])
    if plain_update:
        update_from_the_present_rate(monkeypatch)
    for _ in range(145):
        run.run(1)
        whole.step()
    assert run.optimizer.param_groups[0]["lr"] == pytest.approx(0.05)
    assert cut.get_last_lr() == pytest.approx([0.05])
    assert monitor.evidence[0].clock == 128
    assert isinstance(cut, schedulers.LRScheduler)


def test_a_rate_that_is_a_tensor_is_cut_in_place():
    watched = Watched(lambda params: SGD(params, lr=torch.tensor(0.05)), delta=1e-9)
    rate = watched.run.optimizer.param_groups[0]["lr"]
    force(watched)
    assert watched.run.optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == pytest.approx(0.005)


def test_a_resumed_scheduler_decides_alike():
    watched = Watched(patience=1, delta=1e-9)
    force(watched)
    state = watched.scheduler.state_dict()
    again = Watched(patience=1, delta=1e-9)
    again.train(first_look(1) + 1)
    again.monitor.load_state_dict(watched.monitor.state_dict())
    again.scheduler.load_state_dict(state)
    for each in (watched, again):
        each.monitor._looks.append(each.monitor._looks[-1])
        each.scheduler.step()
    assert again.scheduler.get_last_lr() == watched.scheduler.get_last_lr() == pytest.approx([0.005])
    assert again.scheduler.cuts == watched.scheduler.cuts
    with pytest.raises(InvalidInput, match="not that of an EquilibriumLR"):
        again.scheduler.load_state_dict({"last_epoch": 3})


@pytest.mark.parametrize("tensor", [False, True])
def test_a_look_at_another_rate_cuts_nothing(tensor):
    """Steps are many between calls, and another scheduler has just changed the rate that the look was at."""
    watched = Watched(lambda params: SGD(params, lr=torch.tensor(0.05) if tensor else 0.05), delta=1e9)
    drop = schedulers.MultiStepLR(watched.run.optimizer, [1])
    watched.run.run(first_look(1, 6))
    assert watched.monitor.state == "equilibrated"
    drop.step()
    watched.scheduler.step()
    assert watched.scheduler.get_last_lr() == pytest.approx([0.005])
    watched.run.run(first_look(1, 12))  # a tensor is compared at looks
    watched.scheduler.step()
    assert watched.scheduler.get_last_lr() == pytest.approx([0.0005])


def test_looks_of_a_warm_up_cut_nothing_after_it():
    """A warm-up at one rate, long enough to come to equilibrium at it."""
    run = Training(lambda params: SGD(params, lr=0.05))
    monitor = EquilibriumMonitor(run.optimizer, every=16, delta=1e9)
    cut = EquilibriumLR(run.optimizer, monitor)
    constant, warm = schedulers.ConstantLR(run.optimizer, 0.1, 10**9), first_look(16) + 19
    whole = schedulers.SequentialLR(run.optimizer, [constant, cut], [warm])
    for _ in range(warm):
        run.run(1)
        whole.step()
    assert monitor.state == "equilibrated"
    run.run(1)
    whole.step()
    assert cut.get_last_lr() == [0.05]
    assert len(cut.cuts) == 0


def test_a_scheduler_goes_on_with_a_monitor_that_began_anew():
    watched, again = Watched(delta=1e-9), Watched(delta=1e-9)
    force(watched, "undecided", looks=5)
    again.scheduler.load_state_dict(watched.scheduler.state_dict())
    again.scheduler.step()
    force(again)
    assert again.scheduler.get_last_lr() == pytest.approx([0.005])


def test_a_group_that_came_later_is_cut_once():
    """Its initial rate, from which a scheduler that is made later computes, goes with its rate."""
    watched = Watched(delta=1e-9)
    late = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    watched.run.optimizer.add_param_group({"params": [late], "lr": 0.5})
    force(watched)
    group = watched.run.optimizer.param_groups[1]
    assert (group["lr"], group["initial_lr"]) == pytest.approx((0.05, 0.05))


def test_a_cut_that_another_scheduler_undoes_is_told_once(caplog):
    watched = Watched(others=lambda o: (schedulers.LambdaLR(o, lambda _: 1.0),), schedulers=(), delta=1e-9)
    force(watched)
    watched.train(5)
    assert watched.run.optimizer.param_groups[0]["lr"] == 0.05
    assert [each.message for each in caplog.records if each.levelname == "WARNING"] == [
        "the cut at step 129 was undone: give the scheduler that computes the rate as schedulers=[...]"
    ]


def test_a_state_that_was_loaded_is_not_written_into():
    watched = Watched(delta=1e-9)
    state = watched.scheduler.state_dict()
    watched.scheduler.load_state_dict(state)
    force(watched)
    assert watched.scheduler.base_lrs == pytest.approx([0.005])
    assert state["base_lrs"] == [0.05]


class Accelerated:
    """As Accelerate's scheduler: torch's is within."""

    def __init__(self, scheduler):
        self.scheduler = scheduler

    def step(self):
        self.scheduler.step()


def test_wrappers_of_schedulers_are_seen_through():
    watched = Watched(others=lambda o: (Accelerated(schedulers.LambdaLR(o, lambda _: 1.0)),), delta=1e-9)
    force(watched)
    assert watched.train(5) == pytest.approx([0.005] * 5)


def _elsewhere(_):
    return (schedulers.LambdaLR(SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1), lambda _: 1.0),)


@pytest.mark.parametrize(
    ("others", "words"),
    [
        (lambda _: (None,), "schedulers must be those of torch.optim.lr_scheduler, got None"),
        (lambda o: schedulers.LambdaLR(o, lambda _: 1.0), "schedulers must be a list of torch's"),
        (_elsewhere, "the scheduler LambdaLR is of another optimizer"),
    ],
)
def test_schedulers_that_a_cut_would_not_reach_are_refused(others, words):
    with pytest.raises(InvalidInput, match=words):
        Watched(others=others)


REFUSED = {
    "factor 0": ({"factor": 0}, "factor must be greater than 0"),
    "factor 1": ({"factor": 1.0}, "factor must be less than 1"),
    "min_lr": ({"min_lr": -1e-3}, "min_lr must be at least 0"),
    "min_lr of groups": ({"min_lr": [0.1, 0.2]}, "min_lr must be a number or one for each of the 1 groups, got 2"),
    "patience": ({"patience": -1}, "patience must be at least 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_arguments_that_mean_nothing_are_refused(case):
    options, words = REFUSED[case]
    with pytest.raises(InvalidInput, match=words):
        Watched(**options)


def test_a_monitor_of_another_optimiser_is_refused():
    one, two = (SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1) for _ in range(2))
    with pytest.raises(InvalidInput, match="the monitor is of another optimizer"):
        EquilibriumLR(one, EquilibriumMonitor(two))
    with pytest.raises(InvalidInput, match="monitor must be an EquilibriumMonitor"):
        EquilibriumLR(one, two)


RUNS, BATCH, LR = 6, 16, 0.05


@pytest.mark.slow
def test_on_digits_every_run_fires_between_54_and_91_epochs(digits):
    """Shuffled epochs, no decay, delta 0.1: the true gain passes 0.1 floors after 54.

    Runs are tensors of one optimiser. The seed is fixed; of 500 runs of the benchmark 495 fire at the look after 10,240
    steps, which are 91 epochs, and five at the next.
    """
    x = torch.tensor(digits.inputs, dtype=torch.float32)
    y = torch.nn.functional.one_hot(torch.tensor(np.asarray(digits.labels)), 10).float()
    together = torch.zeros(RUNS, 10, x.shape[1])
    params = [torch.nn.Parameter(each) for each in together]
    optimizer = SGD(params, lr=LR)
    monitor = EquilibriumMonitor(optimizer, groups="tensor", delta=0.1)
    drawn, fired = torch.Generator().manual_seed(0), {}
    for epoch in range(1, 92):
        orders = torch.stack([torch.randperm(len(x), generator=drawn) for _ in params])
        for chosen in orders.split(BATCH, dim=1):
            inputs = x[chosen]
            residual = inputs @ together.mT - y[chosen]
            for each, gradient in zip(params, residual.mT @ inputs / chosen.shape[1], strict=True):
                each.grad = gradient
            optimizer.step()
        for name, state in monitor.states.items():
            if state == "equilibrated":
                fired.setdefault(name, epoch)
    assert len(fired) == RUNS
    assert min(fired.values()) >= 54
