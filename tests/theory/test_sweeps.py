"""What a run that is swept as a whole is made of: sums over few steps, panels of nodes, a loop that is closed."""

from dataclasses import replace

import numpy as np
import pytest

import fluctua as fl
from fluctua.kernels.constant import gradient_step
from fluctua.kernels.coupled import CoupledKernel
from fluctua.kernels.momentum import step_kernel
from fluctua.kernels.time_varying import course
from fluctua.problem.moments import add_weighted_square, bands, mirrored, quadratic_form, symmetric_form
from fluctua.theory import spanned
from fluctua.theory.asked import Asked
from fluctua.theory.combined import Combined
from fluctua.theory.loop import Loop
from fluctua.theory.made import Made
from fluctua.theory.panels import Panels, thinned
from fluctua.theory.reach import Reach
from fluctua.theory.skeleton import Skeleton
from fluctua.theory.stability import max_stable_lr, surely_stable
from fluctua.theory.sweeps import Sweeps
from fluctua.theory.timeline import Timeline
from fluctua.theory.witnesses import Witnesses

CURVATURES = np.array([9.0, 2.0, 0.5, 0.025, 1e-3, 1e-6])
SPEEDS = {
    "plain": fl.SGD(0.05, 8),
    "momentum": fl.SGD(0.02, 8, momentum=0.9),
    "Nesterov": fl.SGD(0.02, 8, momentum=0.9, nesterov=True),
    "dampened": fl.SGD(0.1, 8, momentum=0.9, dampening=0.5),
}


def kernel(name):
    return step_kernel(CURVATURES, SPEEDS[name].step, SPEEDS[name].lr)


def iterated(name, rates):
    """V at the end per unit of noise in each step, (T, r): the optimiser's own steps, one after another."""
    step, out = SPEEDS[name].step, np.zeros((len(rates), len(CURVATURES)))
    for kick in range(len(rates)):
        s = np.zeros((step.slots, len(CURVATURES)))
        for t, rate in enumerate(rates):
            motion, push = (step.first if t == 0 else step).at(rate)
            s = motion @ s + np.multiply.outer(push, CURVATURES * s[0] + (t == kick))
        out[kick] = s[0]
    return out


@pytest.mark.parametrize("name", SPEEDS)
def test_responses_are_those_of_the_optimiser_step_by_step(name):
    ends, steps = (1, 7, 40), np.array([0, 1, 3, 4, 20, 39])
    asked = [(end, steps[steps < end]) for end in ends]
    for found, (end, inside) in zip(kernel(name).responses(asked), asked, strict=True):
        np.testing.assert_allclose(found, iterated(name, np.full(end, SPEEDS[name].lr))[inside], rtol=1e-9, atol=1e-15)


def test_responses_of_a_chain_are_its_own():
    """Modes near critical damping, whose components feed one another."""
    sgd = SPEEDS["momentum"]
    near = (1 - np.sqrt(0.9)) ** 2 / sgd.lr * np.array([0.999, 1.0, 1.0001])
    chain = step_kernel(near, sgd.step, sgd.lr)
    assert isinstance(chain, CoupledKernel)
    (found,) = chain.responses([(30, np.arange(30))])
    expected = np.zeros((30, 3))
    for kick in range(30):
        state = np.zeros((2, 3))
        for t in range(30):
            motion, push = (sgd.step.first if t == 0 else sgd.step).at(sgd.lr)
            state = motion @ state + np.multiply.outer(push, near * state[0] + (t == kick))
        expected[kick] = state[0]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("name", SPEEDS)
def test_responses_of_a_schedule_are_those_of_the_optimiser_step_by_step(name):
    factors = np.linspace(1.0, 0.1, 40)
    recipe = SPEEDS[name]
    scheduled = replace(recipe, schedule=factors)
    run = course(CURVATURES, scheduled, None, 40)
    asked = [(25, np.array([0, 2, 24])), (40, np.array([0, 1, 2, 24, 25, 39])), (25, np.array([7]))]
    for found, (end, inside) in zip(run.responses(asked), asked, strict=True):
        expected = iterated(name, recipe.lr * factors[:end])[inside]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(("begin", "end"), [(0, 5), (3, 13), (3, 14), (5, 40), (100, 5000)])
def test_thinned_sums_are_those_of_polynomials(begin, end):
    steps, weights = thinned(begin, end)
    assert len(steps) <= 10
    assert np.all(np.diff(steps) > 0)
    assert steps[0] >= begin
    assert steps[-1] < end
    every = (np.arange(begin, end) - begin) / (end - begin)
    for degree in range(10):
        assert weights @ ((steps - begin) / (end - begin)) ** degree == pytest.approx((every**degree).sum(), rel=1e-11)


@pytest.mark.parametrize("name", SPEEDS)
def test_few_steps_stand_for_all_before(name):
    """Second moments under a source that moves: every mode and pair, against the sum over all steps."""
    timeline = Timeline.over(kernel(name), 1.0, np.zeros((6, 6)), 3000, 1e-4)
    at_nodes = np.log1p(timeline.panels.nodes)
    (reach,) = timeline.reached(np.array([3000]))
    (full,) = kernel(name).responses([(3000, np.arange(3000))])
    source = np.log1p(np.arange(3000))
    found = (reach.responses * (reach.weights * (reach.basis @ at_nodes))[:, None]).T @ reach.responses
    expected = (full * source[:, None]).T @ full
    scale = np.sqrt(np.multiply.outer(np.diag(expected), np.diag(expected)))
    assert len(reach.weights) < 700
    assert np.abs((found - expected) / scale).max() < 3e-5  # pairs with one mode that oscillates
    np.testing.assert_allclose(np.diag(found), np.diag(expected), rtol=1e-7)


@pytest.mark.parametrize(("moving", "dense"), [(False, 0), (True, 0), (False, 12)])
def test_panels_carry_polynomials_in_log_time(moving, dense):
    panels = Panels.over([0, 400, 3000], moving, dense)
    nodes, every = panels.nodes, np.arange(3001)
    assert {0, 400, 3000} <= set(nodes.tolist())
    assert set(range(dense + 1)) | {400 + k for k in range(dense + 1)} <= set(nodes.tolist())
    for where, value in ((every <= 400, np.log1p(every)), (every >= 400, np.log1p(every - 400.0 * (every >= 400)))):
        inside = np.isin(nodes, every[where])
        found = panels.basis(every[where])[:, inside] @ value[nodes[inside]]
        error = np.abs(found - value[where])[1:-1]
        assert error.max() < (1e-2 if moving else 1e-12)


def test_a_panel_that_is_cut_has_more_nodes_and_smaller_tails():
    panels, bump = Panels.over([0, 3000]), lambda t: 1 / (1 + (np.log1p(t) - 5.0) ** 2)
    tails = np.abs(panels.tails(bump(panels.nodes)[:, None])).max(axis=(1, 2))
    worst = int(np.argmax(tails))
    finer = panels.split({worst: 2})
    every = np.arange(3001)
    errors = [np.abs(p.basis(every) @ bump(p.nodes) - bump(every)).max() for p in (panels, finer)]
    assert set(panels.nodes[[0, -1]]) <= set(finer.nodes)
    assert errors[1] < 0.2 * errors[0]
    assert np.abs(finer.tails(bump(finer.nodes)[:, None])).max() < tails.max()


def noisy(rng, r=8, samples=400):
    """A problem with a few modes of very different sizes."""
    x = rng.standard_normal((samples, r)) * np.geomspace(3, 0.05, r) * rng.uniform(0.3, 2, (samples, 1))
    return fl.LeastSquares(x, x @ rng.standard_normal((r, 2)) + rng.standard_normal((samples, 2)))


@pytest.mark.parametrize("name", SPEEDS)
def test_a_skeleton_carries_all_responses(name):
    curvatures = np.geomspace(9, 1e-5, 150)
    timeline = Timeline.over(step_kernel(curvatures, SPEEDS[name].step, SPEEDS[name].lr), 1.0, np.eye(150), 2000, 1e-4)
    skeleton = timeline.reaches[0].skeleton
    assert len(skeleton.chosen) < 100
    (other,) = timeline.reached(np.array([1234]))
    for reach in (*timeline.reaches[1:], other):
        root = np.sqrt(np.abs(reach.weights))[:, None]
        off = np.linalg.norm(root * (reach.responses[:, skeleton.chosen] @ skeleton.carried - reach.responses), axis=0)
        assert np.all(off <= 1e-6 * np.linalg.norm(root * reach.responses, axis=0))


def test_a_skeleton_of_modes_that_have_nothing_in_common_is_all_of_them():
    rng = np.random.default_rng(4)
    skeleton = Skeleton.of([rng.standard_normal((500, 90)) for _ in range(2)])
    assert sorted(skeleton.chosen) == list(range(90))
    np.testing.assert_allclose(skeleton.carried[:, skeleton.chosen], np.eye(90), atol=1e-12)


@pytest.mark.parametrize("name", ["plain", "momentum"])
def test_a_closed_loop_comes_back_as_it_is(name):
    """From one visit of all nodes under any source, the shares that the next visit finds again."""
    rng = np.random.default_rng(11)
    problem = noisy(rng)
    minimum = problem.minimum()
    sgd = replace(SPEEDS[name], lr=0.01)
    asked = Asked(minimum, Witnesses(minimum, 300), np.zeros_like(minimum.noise))
    for _ in range(3):
        root = rng.standard_normal((problem.rank, problem.rank))
        asked.ask(made(minimum, root @ root.T), None)
    timeline = Timeline.over(
        step_kernel(problem.curvatures, sgd.step, sgd.lr), 0.1, np.zeros_like(minimum.noise), 300, 1e-4
    )
    reaches, flows, nodes = timeline.reaches, timeline.flows, len(timeline.steps)

    def told(shares, added):
        states = (reach.covariance(minimum.noise, shares, asked.felt, added) for reach in reaches)
        return asked.shares(np.array([asked.seen(state, None) for state in states]))[0]

    used, added = rng.standard_normal((nodes, 3)), np.zeros((2, nodes, problem.rank))
    added[1] = 0.1 * rng.standard_normal(added[1].shape)
    loop = Loop(asked, reaches[0].skeleton)
    closed = loop.closed(reaches, flows, used, told(used, added[0]), added[1] - added[0])
    assert np.abs(closed - used).max() > 0.1
    np.testing.assert_allclose(told(closed, added[1]), closed, rtol=1e-6, atol=1e-8 * np.abs(closed).max())


def test_the_form_of_a_symmetric_matrix_is_its_form():
    rng = np.random.default_rng(5)
    for size in (1, 3, 17):
        z, root = rng.standard_normal((40, size)), rng.standard_normal((size, size))
        np.testing.assert_allclose(symmetric_form(z, root + root.T), quadratic_form(z, root + root.T), rtol=1e-11)
        small = 1e-30 * (root + root.T)
        np.testing.assert_allclose(symmetric_form(z.astype(np.float32), small), quadratic_form(z, small), rtol=1e-4)


def test_bands_are_all_of_a_symmetric_matrix():
    rng = np.random.default_rng(6)
    for size in (1, 3, 17):
        root, z = rng.standard_normal((size, size)), rng.standard_normal((2000, size))
        given = np.full((size, size), 1e3)
        for rows, columns in bands(size):
            given[rows, columns] = (root + root.T)[rows, columns]
        np.testing.assert_array_equal(mirrored(given), root + root.T)
        np.testing.assert_allclose(symmetric_form(z, given), quadratic_form(z, root + root.T), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shift", [-2.0, 0.0, 2.0])
def test_weights_of_either_sign_are_summed_by_their_signs(shift):
    rng = np.random.default_rng(8)
    z, q = rng.standard_normal((60, 5)), shift + rng.uniform(-1, 1, 60)
    total = np.eye(5)
    add_weighted_square(total, z, q)
    expected = np.eye(5) + np.einsum("i,ij,ik->jk", q, z, z)
    np.testing.assert_allclose(total, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", [*SPEEDS, "chain", "cosine"])
def test_some_modes_alone_respond_as_among_all(name):
    """Of kernels, one of them with a chain of modes near critical damping, and of a schedule."""
    modes, asked = np.array([4, 0, 2]), [(30, np.arange(30)), (7, np.array([0, 6]))]
    step, lr = SPEEDS["momentum"].step, SPEEDS["momentum"].lr
    near = (1 - np.sqrt(0.9)) ** 2 / lr * np.array([0.999, 1.0, 1.0001, 0.1, 3.0])
    cosine = replace(SPEEDS["momentum"], schedule=fl.schedules.CosineAnnealingLR(31))
    whole = {"chain": lambda: step_kernel(near, step, lr), "cosine": lambda: course(CURVATURES, cosine, None, 30)}
    found = whole.get(name, lambda: kernel(name))()
    for some, all_of_them in zip(found.only(modes).responses(asked), found.responses(asked), strict=True):
        np.testing.assert_allclose(some, all_of_them[:, modes], rtol=1e-12, atol=1e-300)


def test_what_is_picked_is_a_sum_of_nodes_without_what_was_asked():
    """Once it is asked, nothing is left of the sums that matter, and the forms know the state that was asked."""
    rng = np.random.default_rng(12)
    minimum = noisy(rng).minimum()
    asked, r = Asked(minimum, Witnesses(minimum, 300), np.zeros_like(minimum.noise)), minimum.problem.rank
    states = [root @ root.T for root in rng.standard_normal((6, r, r))]
    asked.ask(made(minimum, states.pop()), None)
    bare, matter = np.array([asked.seen(state, None) for state in states]), rng.standard_normal((2, 5))
    picked = Combined(asked, bare)
    for _ in range(2):
        picked.pick(matter, asked.shares(bare, picked.seen)[1])
    found = list(picked.states([made(minimum, state) for state in states], [None] * 5))
    for seen, (state, mean) in zip(picked.seen, found, strict=True):
        assert mean is None
        np.testing.assert_allclose(asked.seen(asked.state(state), None), seen, atol=1e-9 * np.abs(bare).max())
        np.testing.assert_allclose(asked.shares(seen[None])[0], 0, atol=1e-6)
        asked.ask(state, None)
    before, left = (matter @ asked.shares(bare)[1] for asked in (Asked(minimum, asked.witnesses, asked.begun), asked))
    assert np.abs(left).max() < 1e-9 * np.abs(before).max()


def made(minimum, state):
    """Any S as a sum over elements of C."""
    r = len(state)
    return Made(np.eye(r), (state / minimum.noise)[None], np.zeros(0), np.zeros((0, r)), np.zeros(r))


def test_a_sum_of_sums_is_the_sum_of_their_states():
    """With S(0), sources known at different times, and heat."""
    rng = np.random.default_rng(15)
    r, few = 9, 4
    begun, *sources = (part @ part.T for part in rng.standard_normal((4, r, r)))
    carried, parts, states = rng.standard_normal((few, r)), [], []
    for count in (1, 3, 2):
        forms, (drift, warm) = rng.standard_normal((count, few, few)), rng.standard_normal((2, r))
        forms = forms + forms.transpose(0, 2, 1)
        parts.append(Made(carried, forms, np.ones(1), drift[None], warm))
        summed = sum(carried.T @ form @ carried * source for form, source in zip(forms, sources, strict=False))
        states.append(np.outer(drift, drift) * begun + summed + np.diag(warm))
    shares = rng.standard_normal(3)
    whole = Made.sum(shares, parts)
    found = mirrored(whole.matrix(begun, sources, np.dtype(np.float64)))
    np.testing.assert_allclose(found, np.tensordot(shares, states, 1), rtol=1e-12, atol=1e-12)
    assert whole.matrix(begun, sources, np.dtype(np.float32)).dtype == np.float32


def test_a_reach_sums_sources_over_nodes():
    rng = np.random.default_rng(9)
    r, steps, nodes = 7, 5, 3
    begun, noise, felt = (part @ part.T for part in rng.standard_normal((3, r, r)))
    drift, responses, weights = rng.standard_normal(r), rng.standard_normal((steps, r)), rng.uniform(size=steps)
    basis, shares, added = rng.standard_normal((steps, nodes)), rng.standard_normal((nodes, 1)), np.zeros((nodes, r))
    added[:, 2] = 1.0
    expected = np.outer(drift, drift) * begun
    for t in range(steps):
        source = noise + (basis[t] @ shares[:, 0]) * felt + np.diag(basis[t] @ added)
        expected += weights[t] * np.outer(responses[t], responses[t]) * source
    found = Reach(begun, drift, responses, weights, basis).covariance(noise, shares, [felt], added)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


def test_a_source_that_is_not_smooth_is_not_laid_out():
    alternating = gradient_step(CURVATURES, 0.217)  # m = -0.953
    assert Timeline.over(alternating, 1.0, np.zeros((6, 6)), 3000, 1e-4) is None
    jumps = fl.SGD(0.01, 8, schedule=np.random.default_rng(2).uniform(0.2, 1, 400))
    assert Timeline.over(course(CURVATURES, jumps, None, 400), 1.0, np.zeros((6, 6)), 400, 1e-4) is None
    ripples = fl.SGD(0.01, 8, schedule=1 + 0.09 * (-1.0) ** np.arange(400))
    timeline = Timeline.over(course(CURVATURES, ripples, None, 400), 1.0, np.zeros((6, 6)), 400, 1e-4)
    assert timeline is not None
    assert not timeline.knows(CURVATURES, 1e-5, 1e-7)
    falls = fl.SGD(0.01, 8, schedule=fl.schedules.CosineAnnealingLR(401))
    assert Timeline.over(course(CURVATURES, falls, None, 400), 1.0, np.zeros((6, 6)), 400, 1e-4).knows(
        CURVATURES, 1e-5, 1e-7
    )


@pytest.fixture
def swept(monkeypatch):
    for name, value in (("_LARGE", 0.0), ("_MANY", 0), ("_WITNESSES", 600)):
        monkeypatch.setattr(spanned, name, value)


@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize("start", ["optimum", "zero"])
@pytest.mark.parametrize("average", [None, fl.EMA(0.95), fl.RunningAverage()])
def test_curves_averages_and_averages_of_weights_are_those_of_the_march(digits, monkeypatch, start, average):
    solved, solve = [], Sweeps.solve
    monkeypatch.setattr(Sweeps, "solve", lambda sweeps: (solved.append(solve(sweeps)), solved[-1])[1])
    problem = fl.LeastSquares(digits.inputs, digits.targets)
    prediction = fl.predict(problem, fl.SGD(0.02, 8, momentum=0.9), average=average)
    found = prediction.after([0, 5, 90, 120, 120], start=start, curve=True)
    assert solved == [True]
    monkeypatch.setattr(spanned, "_LARGE", np.inf)
    expected = prediction.after([0, 5, 90, 120, 120], start=start, curve=True, rtol=1e-7)
    np.testing.assert_allclose(found.mode_variances, expected.mode_variances, rtol=1e-4)
    np.testing.assert_allclose(found.curve[1:], expected.curve[1:], rtol=1e-4)
    inputs, targets = digits.inputs[:50], digits.targets[:50]
    given = {"start": start, "average": average}
    truth = fl.held_out_curve(problem, prediction.law.sgd, [3, 60, 120], inputs, targets, **given, rtol=1e-7)
    monkeypatch.setattr(spanned, "_LARGE", 0.0)
    held = fl.held_out_curve(problem, prediction.law.sgd, [3, 60, 120], inputs, targets, **given, rtol=1e-4)
    np.testing.assert_allclose(held, truth, rtol=1e-4)


def alike(rng):
    """Modes of one curvature, which err together in what witnesses know of a rest; and a recipe."""
    return rng.standard_normal((8000, 40)), fl.SGD(0.01, 8)


def clustered(rng):
    """Twelve clusters; heavy momentum, whose source oscillates between the nodes of 60 steps."""
    sizes = 1 / np.sqrt(np.arange(1, 25))
    inputs = 0.15 * rng.standard_normal((6400, 24)) * sizes
    return inputs + (rng.standard_normal((12, 24)) * sizes)[rng.integers(12, size=6400)], fl.SGD(
        0.01, 16, momentum=0.98
    )


@pytest.mark.any_seed
@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize("draw", range(3))
def test_states_that_are_asked_do_not_know_the_witnesses(monkeypatch, draw):
    """Where a sweep asks none, the witnesses' mean is all of K: kept in a state, it made 1e-3 of one sign."""
    monkeypatch.setattr(spanned, "_WITNESSES", 400)
    complete = Sweeps._completed
    monkeypatch.setattr(
        Sweeps,
        "_completed",
        lambda sweeps, allowed, moved: complete(sweeps, allowed, moved) if sweeps._added.any() else (moved, moved),
    )
    rng = np.random.default_rng(draw)
    inputs = rng.standard_normal((8000, 40))
    targets = 0.3 * inputs @ rng.standard_normal((40, 10)) + 0.3 * rng.standard_normal((8000, 10))
    problem, sgd = fl.LeastSquares(inputs, targets), fl.SGD(0.01, 8)
    prediction = fl.predict(problem, replace(sgd, lr=0.5 * float(max_stable_lr(problem, sgd))))
    found = prediction.after(60, rtol=1e-2)
    assert found.estimated_error.passes == 1
    monkeypatch.setattr(spanned, "_LARGE", np.inf)
    truth = prediction.after(60, rtol=1e-7)
    assert abs(found.excess_loss / truth.excess_loss - 1) < 7e-4  # six standard deviations of witnesses' draws


@pytest.mark.any_seed
@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize("made", [alike, clustered])
def test_short_runs_are_as_accurate_as_asked_and_said(monkeypatch, made):
    monkeypatch.setattr(spanned, "_WITNESSES", 1536)
    rng = np.random.default_rng(21)
    inputs, sgd = made(rng)
    targets = 0.3 * inputs @ rng.standard_normal((inputs.shape[1], 10)) + 0.3 * rng.standard_normal((len(inputs), 10))
    problem = fl.LeastSquares(inputs, targets)
    prediction = fl.predict(problem, replace(sgd, lr=0.5 * float(max_stable_lr(problem, sgd))))
    found = prediction.after(60, rtol=1e-3)
    monkeypatch.setattr(spanned, "_LARGE", np.inf)
    truth = prediction.after(60, rtol=1e-7)
    stated = found.estimated_error
    assert np.abs(found.mode_variances / truth.mode_variances - 1).max() < min(1e-3, stated.modes)
    assert abs(found.excess_loss / truth.excess_loss - 1) < min(1e-3, stated.loss)


@pytest.mark.any_seed
@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize("average", [fl.EMA(0.98), fl.EMA(0.8), fl.RunningAverage()])
@pytest.mark.parametrize("rtol", [1e-2, 1e-3, 1e-4])
def test_averages_of_weights_are_as_accurate_as_asked_and_said(monkeypatch, average, rtol):
    """They remember the start, and sources that the weights have forgotten."""
    monkeypatch.setattr(spanned, "_WITNESSES", 1536)
    rng = np.random.default_rng(23)
    inputs = rng.standard_normal((6200, 24)) / np.arange(1, 25) * rng.exponential(size=(6200, 1))
    targets = 0.3 * inputs @ rng.standard_normal((24, 5)) + 0.3 * rng.standard_normal((6200, 5))
    problem, sgd = fl.LeastSquares(inputs, targets), fl.SGD(0.01, 8)
    sgd = replace(sgd, lr=0.3 * float(max_stable_lr(problem, sgd)))
    prediction = fl.predict(problem, sgd, average=average, check_stability=False)
    found = prediction.after(60, start="zero", rtol=rtol)
    monkeypatch.setattr(spanned, "_LARGE", np.inf)
    truth, stated = prediction.after(60, start="zero", rtol=1e-8), found.estimated_error
    assert np.abs(found.mode_variances / truth.mode_variances - 1).max() < min(rtol, stated.modes)
    assert abs(found.excess_loss / truth.excess_loss - 1) < stated.loss


@pytest.mark.any_seed
@pytest.mark.usefixtures("swept")
def test_what_comes_back_of_the_witnesses_mean_is_stated(monkeypatch):
    """What it makes off the diagonal is left out: of clusters, seven thousandths of a mode and of one sign."""
    monkeypatch.setattr(spanned, "_WITNESSES", 1536)
    rng, sizes = np.random.default_rng(525), 1 / np.sqrt(np.arange(1, 37))
    inputs = 0.15 * rng.standard_normal((9000, 36)) * sizes
    inputs += (rng.standard_normal((12, 36)) * sizes)[rng.integers(12, size=9000)]
    targets = 0.3 * inputs @ rng.standard_normal((36, 5)) + 0.3 * rng.standard_normal((9000, 5))
    problem, sgd = fl.LeastSquares(inputs, targets), fl.SGD(0.01, 1)
    sgd = replace(sgd, lr=0.5 * float(max_stable_lr(problem, sgd)))
    prediction = fl.predict(problem, sgd, check_stability=False)
    found = prediction.after(60, start="zero", rtol=1e-2)
    monkeypatch.setattr(spanned, "_LARGE", np.inf)
    truth = prediction.after(60, start="zero", rtol=1e-7)
    assert np.abs(found.mode_variances / truth.mode_variances - 1).max() < found.estimated_error.modes


def test_a_sum_of_states_that_were_asked_is_not_picked_again():
    """Of rests that are no state's, a sum of nodes knows nothing: what is new in it is rounding."""
    rng = np.random.default_rng(13)
    minimum = noisy(rng).minimum()
    asked, r = Asked(minimum, Witnesses(minimum, 300), np.zeros_like(minimum.noise)), minimum.problem.rank
    states = [root @ root.T for root in rng.standard_normal((2, r, r))]
    asked.ask(made(minimum, states[0]), None)
    bare = np.array([asked.seen(a * states[0] + b * states[1], None) for a, b in ((1, 0), (1, 1), (2, -1))])
    picked, rests = Combined(asked, bare), rng.standard_normal((3, 300))
    assert picked.pick(rng.standard_normal((2, 3)), rests)
    assert not picked.pick(rng.standard_normal((2, 3)), rests)
    assert len(picked.seen) == 1


@pytest.mark.any_seed
@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize("lost", [False, True])
def test_heavy_tails_are_predicted_whatever_a_sweep_comes_to(monkeypatch, lost):
    """Modes of one curvature and few samples that are most of K; or a sweep that has lost all numbers."""
    monkeypatch.setattr(spanned, "_WITNESSES", 1536)
    if lost:
        monkeypatch.setattr(Sweeps, "_completed", lambda *_: np.linalg.inv(np.zeros((1, 1))))
    rng = np.random.default_rng(523)
    inputs = rng.standard_normal((9000, 44))
    inputs *= np.sqrt(np.minimum(rng.standard_t(3, (9000, 1)) ** 2 + 0.2, 200))
    targets = 0.3 * inputs @ rng.standard_normal((44, 6)) + 0.3 * rng.standard_normal((9000, 6))
    problem, sgd = fl.LeastSquares(inputs, targets), fl.SGD(0.01, 8, momentum=0.5)
    sgd = replace(sgd, lr=0.5 * float(max_stable_lr(problem, sgd)))
    prediction = fl.predict(problem, sgd, check_stability=False)
    found = prediction.after(60, start="zero")
    monkeypatch.setattr(spanned, "_LARGE", np.inf)
    truth, stated = prediction.after(60, start="zero", rtol=1e-7), found.estimated_error
    assert np.abs(found.mode_variances / truth.mode_variances - 1).max() < min(1e-4, stated.modes)
    assert abs(found.excess_loss / truth.excess_loss - 1) < stated.loss


@pytest.mark.parametrize("name", SPEEDS)
def test_what_is_surely_stable_is_below_the_limit(digits, name):
    problem = fl.LeastSquares(digits.inputs, digits.targets)
    limit = float(max_stable_lr(problem, SPEEDS[name]))
    told = [surely_stable(problem, SPEEDS[name], share * limit) for share in (0.05, 0.2, 1.001, 1.5, 20)]
    assert told == [True, told[1], False, False, False]
