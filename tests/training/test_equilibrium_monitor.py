"""The monitor reads off the optimiser's hooks what a complete record of the run says (F80 to F86)."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fluctua.torch import EquilibriumMonitor, transfer  # noqa: E402
from fluctua.torch.part import Part  # noqa: E402
from fluctua.torch.rules import Adaptive  # noqa: E402
from fluctua.verification.equilibrium.looks import SHORTEST  # noqa: E402
from fluctua.verification.equilibrium.unit import Rule  # noqa: E402
from fluctua.verification.equilibrium.work import DOUBLING, pairings, reading  # noqa: E402
from helpers.watched import Training, blocks_of, data, first_look, flat, lengths_of_looks, shortest_block  # noqa: E402

pytestmark = pytest.mark.torch
SGD, Adam, AdamW = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW

DESCENTS = {
    "plain": {"lr": 0.05},
    "decay": {"lr": 0.05, "weight_decay": 0.3},
    "momentum": {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1},
    "dampening": {"lr": 0.03, "momentum": 0.9, "dampening": 0.7},
    "nesterov": {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    "nesterov without decay": {"lr": 0.01, "momentum": 0.9, "nesterov": True},
}
KINDS = {"foreach": {"foreach": True}, "single": {"foreach": False}, "fused": {"fused": True}}


class Record(Training):
    """A run of SGD, and each step's weights before it, gradient and sample of the floor, by the rules of its docs."""

    def __init__(self, options, sign=1.0, **more):
        super().__init__(lambda params: SGD(params, **options), **more)
        self.rule = Rule(options["lr"], *(options.get(name, 0) for name in ("momentum", "dampening", "nesterov")))
        self.momentum = options.get("momentum", 0)
        self.decay, self.sign, self.buffer = options.get("weight_decay", 0), sign, 0
        self.weights, self.gradients, self.floors = [], [], []

    def note(self):
        params = list(self.model.parameters())
        weights = flat(params)
        gradient = self.sign * flat([each.grad for each in params]) + self.decay * weights
        rule, first, old = self.rule, not self.weights, self.buffer + 0 * gradient
        self.buffer = gradient if first else rule.momentum * self.buffer + (1 - rule.dampening) * gradient
        step = gradient + rule.momentum * self.buffer if rule.nesterov else self.buffer
        heavy = rule.momentum and not rule.nesterov  # |u|^2 is that of the buffer as the step before left it
        self.floors.append(rule.floor(step @ step, step @ self.buffer) if not heavy else rule.floor(old @ old))
        self.weights.append(weights)
        self.gradients.append(gradient)

    def read(self, every, look=SHORTEST):
        """Return what a look should have read, with weights and floors sampled in the middle of each unit.

        The error of the floor is that of bins, a power of two times four memories, at most 128 in both windows.
        """
        width = math.ceil(4 / (1 - self.momentum) / every - 1e-9) if self.momentum else 1
        while 16 * look > 128 * width:
            width *= 2
        units = np.array(self.floors)[every:][every // 2 :: every]
        begin, end = math.ceil(16 * look / width), 32 * look // width
        short = units[begin * width : end * width].reshape(end - begin, width).mean(1)
        sampled = np.repeat(np.arange(every // 2, len(self.weights), every), every)
        weights, gradients, floors = (np.array(each) for each in (self.weights, self.gradients, self.floors))
        seen = [blocks_of(each, every, look) for each in (weights[sampled], gradients, floors[sampled])]
        return reading(pairings(*seen[:2]), seen[2], samples=short if len(short) > 16 else None)

    def noise_scale(self, every, look):
        """Return the mean of |g|^2 over the product of the mean gradients of both windows, if that is seen, less 1."""
        gradients = np.array(self.gradients)
        sampled = np.repeat(np.arange(every // 2, len(gradients), every), every)
        means, squares = (blocks_of(each, every, look) for each in (gradients, np.square(gradients[sampled]).sum(1)))
        common = means[:8].mean(0) @ means[8:].mean(0)
        return squares.mean() / common - 1 if common > 0 else math.inf


def agrees(look, read, rel):
    assert look.work == pytest.approx(read.work, rel=rel)
    assert look.work_error == pytest.approx(read.work_error, rel=rel)
    assert look.floor == pytest.approx(read.floor, rel=rel)
    assert look.floor_error == pytest.approx(read.floor_error, rel=rel)
    assert look.gain == pytest.approx(DOUBLING * read.work / read.floor, rel=rel)


KIND_OF = dict(zip(DESCENTS, [*KINDS, *KINDS], strict=True))
EVERY = [(name, kind, 1) for name, kind in KIND_OF.items()] + [(name, "foreach", 5) for name in DESCENTS]


@pytest.mark.parametrize(("name", "kind", "every"), [*EVERY, ("momentum", "single", 2)])
def test_looks_read_what_a_record_of_the_run_says(name, kind, every, device):
    run = Record({**DESCENTS[name], **KINDS[kind]}, device=device)
    monitor = EquilibriumMonitor(run.optimizer, every=every)
    first = shortest_block(every, run.momentum)
    lengths = [each for each in lengths_of_looks() if first <= each <= max(first, 12)]
    run.run(first_look(every, lengths[-1]), run.note)
    looks = list(monitor.evidence)
    assert [each.clock for each in looks] == [32 * length * every for length in lengths]
    for look, length in zip(looks, lengths, strict=True):
        agrees(look, run.read(every, length), 1e-7)
        assert look.noise_scale == pytest.approx(run.noise_scale(every, length), rel=1e-7)
    assert (monitor.gain.value, monitor.floor) == (looks[-1].gain, looks[-1].floor)


def test_what_is_maximised_falls_with_its_sign(device):
    run = Record({"lr": 0.02, "maximize": True, "momentum": 0.5, "weight_decay": 0.4}, sign=-1.0, device=device)
    loss = run.loss
    run.loss = lambda: -loss()
    monitor = EquilibriumMonitor(run.optimizer, every=1)
    look = shortest_block(1, 0.5)
    run.run(first_look(1, look), run.note)
    agrees(monitor.evidence[0], run.read(1, look), 1e-7)


@pytest.mark.parametrize("name", DESCENTS)
def test_the_work_of_a_noiseless_quadratic_is_what_the_mean_weights_lose(name, device):
    """F80 to 1e-12, weight decay included in the loss."""
    options = {**DESCENTS[name], "lr": DESCENTS[name]["lr"] / 4}
    run = Training(lambda params: SGD(params, **options), device=device)
    x, y, decay, path = run.inputs, run.targets, options.get("weight_decay", 0), []

    def penalised(weights):
        matrix, bias = torch.tensor(weights).to(x).split([12, 2])
        loss = 0.5 * (x @ matrix.view(2, 6).T + bias - y).square().sum(1).mean()
        return loss.item() + decay / 2 * (weights @ weights)

    run.loss = lambda: 0.5 * (run.model(x) - y).square().sum(1).mean()
    monitor, look = EquilibriumMonitor(run.optimizer, every=1), shortest_block(1, options.get("momentum", 0))
    run.run(first_look(1, look), lambda: path.append(flat(run.model.parameters())))
    means = blocks_of(np.array(path), 1, look)
    lost = penalised(means[:8].mean(0)) - penalised(means[8:].mean(0))
    assert lost > 1e-6
    assert monitor.evidence[0].work == pytest.approx(lost, rel=0, abs=1e-12)


@pytest.mark.parametrize("kind", [*KINDS, "amsgrad", "decay", "maximize"])
def test_adam_has_the_gradients_of_its_first_moment_and_a_local_unit(kind, device):
    """With a sample at every step both are exact; F84."""
    more = {"amsgrad": {"amsgrad": True}, "decay": {"weight_decay": 0.2}, "maximize": {"maximize": True}}
    options = {"lr": 0.01, **KINDS.get(kind, more.get(kind))}
    run = Training(lambda params: Adam(params, **options), device=device)
    sign = -1.0 if options.get("maximize") else 1.0
    loss, run.loss = run.loss, lambda: sign * loss()
    monitor = EquilibriumMonitor(run.optimizer, every=1)
    weights, gradients = [], []

    def note():
        weights.append(flat(run.model.parameters()))
        gradient = sign * flat([each.grad for each in run.model.parameters()])
        gradients.append(gradient + options.get("weight_decay", 0) * weights[-1])

    look = shortest_block(1, 0.9)
    run.run(first_look(1, look), note)
    w, g = (np.array(each)[1:] for each in (weights, gradients))
    w = w - weights[1]
    both = blocks_of(np.vstack([w[:1], w]), 1, look), blocks_of(np.vstack([g[:1], g]), 1, look)
    products = 0.5 * (w * g).sum(1)
    expected = reading(both[0] @ both[1].T, blocks_of(np.append(products[:1], products), 1, look), local=True)
    agrees(monitor.evidence[0], expected, 1e-7)
    assert monitor.unit == "local"


def test_adams_gradients_are_followed_between_samples():
    """The first moment averages gradients over ten steps: every fourth has most of what is to be known."""
    readings = []
    for every, look in ((1, 48), (4, 12)):
        run = Training(lambda params: Adam(params, lr=0.003))
        monitor = EquilibriumMonitor(run.optimizer, every=every)
        run.run(first_look(every, look))
        readings.append(monitor.evidence[-1])
    assert readings[0].clock == readings[1].clock == 1536
    assert readings[1].work == pytest.approx(readings[0].work, rel=0.1)


@pytest.mark.parametrize("options", [{}, {"amsgrad": True}, {"fused": True}])
def test_decoupled_decay_pulls_with_adams_own_scale(options, device):
    """The force of the decay, weight_decay D w with D = sqrt(v) + eps at the last cut, is part of the mean gradient."""
    run = Training(lambda params: AdamW(params, lr=2e-3, weight_decay=0.5, **options), device=device).run(20)
    (group,), state, rules = run.optimizer.param_groups, run.optimizer.state, Adaptive(decoupled=True)
    part = Part(rules, run.optimizer, group, [group[name] for name in rules.settings])
    second = "max_exp_avg_sq" if "amsgrad" in options else "exp_avg_sq"
    scales = [0.5 * ((state[one][second] / (1 - 0.999**20)).sqrt() + 1e-8) for one in part.params]
    total = [torch.zeros_like(each) for each in part.params]

    def note():
        part.observe(None, None)
        for place, (one, scale) in enumerate(zip(part.params, scales, strict=True)):
            total[place] += one.grad + scale * one.detach()

    before = part.ended().clone()
    run.run(4, note)
    gradients = part.direct(torch.tensor(1)).clone()
    gradients += part.ended() - before
    torch.testing.assert_close(gradients, torch.cat([each.flatten() for each in total]))
    assert part.counted(4)[-1].tolist() == [[1, 1]] * 4


def closure_of(run, lightnings):
    """A closure; where it is Lightning's, in what its precision plugin wraps one in."""

    def closure():
        return run.backward()

    wrapped = functools.partial(lambda closure: closure(), closure)
    wrapped.func.__module__ = "lightning.pytorch.plugins.precision.precision"
    return wrapped if lightnings else closure


def step_with(run, by_name, lightnings):
    closure = closure_of(run, lightnings)
    return run.optimizer.step(closure=closure) if by_name else run.optimizer.step(closure)


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("make", [lambda p: SGD(p, lr=0.02), lambda p: Adam(p, lr=0.01)])
def test_a_closure_of_lightnings_is_seen_when_it_has_set_the_gradients(make, by_name):
    plain, closed = Training(make), Training(make)
    monitors = [EquilibriumMonitor(each.optimizer, every=10) for each in (plain, closed)]
    plain.run(first_look(10))
    for _ in range(first_look(10)):
        assert step_with(closed, by_name, True).requires_grad
    assert len(monitors[0].evidence) == 1
    assert monitors[0].evidence == monitors[1].evidence


def test_what_is_asked_within_a_closure_is_of_the_steps_that_were_made():
    """Lightning evaluates its training step within optimizer.step, and there the gain may be logged."""
    plain, closed = (Training(lambda p: SGD(p, lr=0.02)) for _ in "ab")
    monitors = [EquilibriumMonitor(each.optimizer, every=10) for each in (plain, closed)]
    plain.run(first_look(10))
    backward = closed.backward

    def asking():
        assert len(monitors[1].evidence) == 0
        return backward()

    closed.backward = asking
    for _ in range(first_look(10)):
        step_with(closed, False, True)
    assert len(monitors[0].evidence) == 1
    assert monitors[0].evidence == monitors[1].evidence


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("every", [1, 5])
def test_other_closures_are_refused_in_words_and_training_goes_on(by_name, every):
    run, twin = (Training(lambda p: SGD(p, lr=0.02)) for _ in "ab")
    monitor = EquilibriumMonitor(run.optimizer, every=every)
    for step in range(40):
        step_with(run, by_name, False)
        assert monitor.state == "undecided"
        assert monitor.reason.startswith(f"step {step + 1} was given a closure, and those are refused")
    assert monitor._clock is None
    twin.run(40)
    np.testing.assert_array_equal(flat(run.model.parameters()), flat(twin.model.parameters()))
    run.run(first_look(every) + every)
    assert len(monitor.evidence) == 1
    step_with(run, by_name, False)
    assert (monitor.state, len(monitor.evidence)) == ("undecided", 1)
    assert "was given a closure" in monitor.reason


def test_a_closure_that_is_none_is_no_closure():
    run = Training(lambda p: SGD(p, lr=0.02))
    monitor = EquilibriumMonitor(run.optimizer, every=1)
    for step in range(first_look(1)):
        run.backward()
        run.optimizer.step(None) if step % 2 else run.optimizer.step(closure=None)
    assert len(monitor.evidence) == 1


@pytest.mark.filterwarnings("ignore")  # what the compiler says of itself
@pytest.mark.parametrize("loop", ["step", "whole"])
def test_compiled_steps_are_counted(loop):
    torch.compiler.reset()
    runs = [Training(lambda params: SGD(params, lr=0.05, momentum=0.5)) for _ in range(2)]
    monitors = [EquilibriumMonitor(each.optimizer, every=1) for each in runs]
    runs[0].run(first_look(1, 8))
    step = torch.compile(runs[1].optimizer.step, backend="eager")
    compiled = torch.compile(lambda: (runs[1].backward(), runs[1].optimizer.step()), backend="eager")
    for _ in range(first_look(1, 8)):
        if loop == "step":
            runs[1].backward()
            step()
        else:
            compiled()
    assert monitors[1].evidence[0].work == pytest.approx(monitors[0].evidence[0].work, rel=1e-6)


def test_clipped_gradients_are_taken_as_they_are_applied():
    options = {"lr": 0.05}
    run = Record(options)
    monitor = EquilibriumMonitor(run.optimizer, every=5)

    def clip():
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), 0.5)
        run.note()

    run.run(first_look(5), clip)
    agrees(monitor.evidence[0], run.read(5), 1e-7)


def test_steps_of_accumulated_gradients_count_once():
    run = Training(lambda params: SGD(params, lr=0.05))
    monitor = EquilibriumMonitor(run.optimizer, every=1)
    for _ in range(first_look(1)):
        run.optimizer.zero_grad()
        for _ in range(3):
            (run.loss() / 3).backward()
        run.optimizer.step()
    assert [each.clock for each in monitor.evidence] == [128]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_16_bits_are_summed_in_32(dtype, device):
    run = Training(lambda params: SGD(params, lr=0.05, momentum=0.9), dtype=dtype, device=device)
    monitor = EquilibriumMonitor(run.optimizer, every=10)
    weights = []
    run.run(first_look(10), lambda: weights.append(flat(run.model.parameters())))
    clock = monitor._clock
    assert {each.dtype for each in (clock.parts[0]._sums, *clock._origin, *clock._ends)} == {torch.float32}
    sampled = np.array(weights)[np.repeat(np.arange(5, len(weights), 10), 10)]
    assert monitor.evidence[0].floor > 0
    assert np.isfinite(monitor.evidence[0].work)
    assert np.abs(blocks_of(sampled, 10)).max() < 10


@pytest.mark.parametrize("groups", ["param_group", "tensor"])
def test_groups_have_states_of_their_own_and_add_up(groups):
    def grouped(params):
        weight, bias = params
        return SGD([{"params": [weight], "lr": 0.02}, {"params": [bias], "lr": 0.05, "momentum": 0.5}], lr=0.1)

    runs = [Training(grouped) for _ in range(2)]
    whole, split = (
        EquilibriumMonitor(runs[0].optimizer, every=5),
        EquilibriumMonitor(runs[1].optimizer, every=5, groups=groups),
    )
    for run in runs:
        run.run(first_look(5))
    assert len(split.states) == 2
    assert [each.scope for each in split.evidence] == [*split.states, "all"]
    one, two, total = split.evidence
    assert one.work + two.work == pytest.approx(total.work, rel=1e-12)
    assert total.floor == pytest.approx(whole.floor, rel=1e-12)
    assert total.work == pytest.approx(whole.evidence[0].work, rel=1e-12)
    assert split.gain == pytest.approx(whole.gain, rel=1e-9)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["equilibrated"] * 2, "equilibrated"),
        (["equilibrated", "undecided"], "undecided"),
        (["undecided", "drifting"], "drifting"),
    ],
)
def test_all_groups_have_to_be_equilibrated(states, expected):
    monitor = EquilibriumMonitor(SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1))
    monitor._states = dict(zip("ab", states, strict=True))
    assert monitor.state == expected
    assert bool(monitor.reason) == (expected == "undecided")


@pytest.mark.parametrize("sketch", [None, 7])
@pytest.mark.parametrize("make", [functools.partial(SGD, lr=0.05, momentum=0.5), functools.partial(Adam, lr=0.01)])
def test_columns_are_multiplied_some_at_a_time(make, sketch, monkeypatch):
    """Vectors of 14 numbers, or folded to 7, in pieces of 4 and whole."""
    looks = []
    for width in (4, 4096):
        monkeypatch.setattr(transfer, "_COLUMNS", width)
        run = Training(make)
        monitor = EquilibriumMonitor(run.optimizer, every=2, sketch=sketch)
        run.run(first_look(2, shortest_block(2, 0.9)))
        looks.append(monitor.evidence[0])
    numbers = [[value for value in vars(each).values() if isinstance(value, float)] for each in looks]
    assert len(numbers[0]) == 9
    np.testing.assert_allclose(*numbers, rtol=1e-9)


def test_a_fold_reads_the_same_work_within_its_error_bar():
    """A model of 40,000 weights, folded to 509 numbers; the error of the fold is in the error bar."""
    drawn = torch.Generator().manual_seed(0)
    x, y = torch.randn(64, 400, generator=drawn), torch.randn(64, 100, generator=drawn)
    looks = []
    for sketch in (None, 509):
        model = torch.nn.Linear(400, 100)
        torch.nn.init.zeros_(model.weight)
        torch.nn.init.zeros_(model.bias)
        optimizer = SGD(model.parameters(), lr=0.02)
        monitor = EquilibriumMonitor(optimizer, every=1, sketch=sketch)
        for step in range(first_look(1)):
            optimizer.zero_grad()
            chosen = slice(step % 8 * 8, step % 8 * 8 + 8)
            (model(x[chosen]) - y[chosen]).square().mean().backward()
            optimizer.step()
        looks.append(monitor.evidence[0])
    whole, folded = looks
    assert folded.floor == whole.floor
    assert folded.work_error > whole.work_error
    assert abs(folded.work - whole.work) < 6 * folded.work_error
    assert folded.work == pytest.approx(whole.work, rel=6 / 509**0.5)


def test_the_noise_scale_is_variance_over_the_square_of_the_mean():
    run = Training(lambda params: SGD(params, lr=1e-4))
    monitor = EquilibriumMonitor(run.optimizer, every=1)
    run.run(first_look(1))
    x, y = data()
    residual = run.model(x).detach() - y
    each = torch.cat([residual[:, :, None] * x[:, None, :], residual[:, :, None]], 2).flatten(1)
    mean = each.mean(0)
    expected = (each.square().sum(1).mean() - mean.square().sum()) / 8 / mean.square().sum()
    assert monitor.noise_scale == pytest.approx(expected.item(), rel=0.3)
