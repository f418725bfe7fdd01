"""Given the same batches, the simulator's trajectory is torch.optim.SGD's (F10), up to rounding."""

from dataclasses import replace

import numpy as np
import pytest

import fluctua as fl
from fluctua.simulation.batches import Draws, draw_batches, generators, seed_sequence
from fluctua.simulation.steppers import stepper

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

STEPS = 60
RECIPES = [
    fl.SGD(lr=0.05, batch_size=8),
    fl.SGD(lr=0.05, batch_size=8, sampling="without_replacement", weight_decay=0.03),
    fl.SGD(lr=0.01, batch_size=1, weight_decay=0.5),
    fl.SGD(lr=0.1, batch_size=150, sampling="without_replacement"),
    fl.SGD(lr=0.02, batch_size=8, momentum=0.8),
    fl.SGD(lr=0.02, batch_size=4, momentum=0.8, dampening=0.3, weight_decay=0.03),
    fl.SGD(lr=0.02, batch_size=8, momentum=0.8, nesterov=True, weight_decay=0.03),
    fl.SGD(lr=0.05, batch_size=24, sampling="shuffle"),  # 200 = 8 * 24 + 8
    fl.SGD(lr=0.05, batch_size=24, sampling="shuffle", drop_last=True, weight_decay=0.03),
    fl.SGD(lr=0.02, batch_size=23, sampling="shuffle", momentum=0.8, weight_decay=0.03),  # 200 = 8 * 23 + 16
    fl.SGD(lr=0.02, batch_size=7, sampling="single_shuffle", momentum=0.8, nesterov=True, weight_decay=0.03),
    fl.SGD(lr=0.02, batch_size=33, sampling="sequential", momentum=0.8, dampening=0.3),  # 200 = 6 * 33 + 2
    fl.SGD(lr=0.02, batch_size=199, sampling="shuffle"),  # the last batch is one sample
]
SHUFFLED = fl.SGD(lr=0.02, batch_size=24, sampling="shuffle", momentum=0.8, nesterov=True, weight_decay=0.03)


@pytest.fixture(scope="module")
def problem():
    """200 digits, 10 outputs: rank-deficient, as real images are."""
    digits = fl.load("digits", limit=200)
    return fl.LeastSquares(digits.inputs, digits.targets)


class Training:
    """One training run in torch: nn.Linear, the loss, optim.SGD, and batches given by their indices."""

    def __init__(self, problem, sgd, start, dtype):
        self.x, self.y = (torch.tensor(a, dtype=dtype) for a in (problem.inputs, problem.targets))
        self.model = torch.nn.Linear(problem.features, problem.outputs, bias=False, dtype=dtype)
        with torch.no_grad():
            self.model.weight.copy_(torch.from_numpy(start))
        names = ("lr", "weight_decay", "momentum", "dampening", "nesterov")
        self.optimizer = torch.optim.SGD(self.model.parameters(), **{name: getattr(sgd, name) for name in names})

    def step(self, batch):
        self.step_on(self.x[batch], self.y[batch])

    def step_on(self, x, y):
        self.optimizer.zero_grad()
        loss = 0.5 * (self.model(x) - y).square().sum() / len(x)
        loss.backward()
        self.optimizer.step()

    @property
    def weights(self):
        return self.model.weight.detach().numpy().astype(np.float64)


def start_of(problem, sgd, start):
    weights = problem.minimum(sgd.weight_decay).weights
    return {"zero": np.zeros_like(weights), "optimum": weights}[start]


def largest_difference(problem, sgd, start, dtype, replicas=2):
    """Largest |W_simulator - W_torch| over replicas, steps and weights."""
    minimum, begin = problem.minimum(sgd.weight_decay), start_of(problem, sgd, start)
    runs = [Training(problem, sgd, begin, getattr(torch, dtype)) for _ in range(replicas)]
    ours, theirs = (Draws(generators(seed_sequence(11), replicas), problem.samples, sgd) for _ in range(2))
    state = np.zeros((1 + bool(sgd.momentum), replicas, *begin.shape), dtype)
    state[0] = begin - minimum.weights
    advance, worst = stepper(problem, sgd, "sgd", np.dtype(dtype)), 0.0
    for step in range(STEPS):
        advance(state, ours, 1, step)
        for v, run, batch in zip(state[0], runs, next(theirs.batches(1))[0], strict=True):
            run.step(batch)
            worst = max(worst, float(np.abs(minimum.weights + v - run.weights).max()))
    return worst


@pytest.mark.any_seed
@pytest.mark.parametrize("start", ["zero", "optimum"])
@pytest.mark.parametrize("sgd", RECIPES, ids=str)
def test_in_float64_the_trajectories_are_equal_to_rounding(problem, sgd, start):
    assert largest_difference(problem, sgd, start, "float64") < 1e-10


@pytest.mark.any_seed
@pytest.mark.parametrize("start", ["zero", "optimum"])
@pytest.mark.parametrize("sgd", RECIPES, ids=str)
def test_in_float32_the_trajectories_differ_by_float32_rounding(problem, sgd, start):
    """torch rounds W itself, by half a unit in the last place of its largest entry at most, once for the decay and
    once for the step, plus d + b roundings inside the gradient, each of lr |x| |e| 2^-24 with |x| <= 1 and |e| about
    2. A step of a stable recipe does not enlarge earlier errors on average, so they add up at most linearly; momentum
    repeats each of them 1/(1 - beta) times."""
    largest = np.abs(start_of(problem, sgd, "optimum")).max()
    each = 2 * largest + sgd.lr * (problem.features + sgd.batch_size) * 2
    bound = STEPS * each * 2.0**-24 / (1 - sgd.momentum)
    assert bound < 3e-4 / (1 - sgd.momentum)  # the bound means something: weights are of order one
    assert largest_difference(problem, sgd, start, "float32") < bound


def loss_of(problem, sgd, run):
    error = problem.inputs @ run.weights.T - problem.targets
    return 0.5 * np.sum(error**2) / problem.samples + 0.5 * sgd.weight_decay * np.sum(run.weights**2)


@pytest.mark.any_seed
def test_a_simulators_losses_are_those_of_torch_on_the_replicas_own_batches(problem):
    sgd = fl.SGD(lr=0.05, batch_size=8, weight_decay=0.03)
    found = fl.simulate(problem, sgd, steps=STEPS, replicas=2, records=1, rng=11, start="zero", dtype=np.float64)
    minimum = problem.minimum(sgd.weight_decay)
    for losses, rng in zip(found.replica_losses, generators(seed_sequence(11), 2), strict=True):
        run = Training(problem, sgd, np.zeros_like(minimum.weights), torch.float64)
        for batch in draw_batches(rng, problem.samples, sgd, STEPS):
            run.step(batch)
        assert losses[-1] == pytest.approx(loss_of(problem, sgd, run) - minimum.loss, rel=1e-9)


def shuffled_loader(problem, sgd, seed):
    """torch's own loader of (x, y, index), in float64."""
    data = [torch.tensor(np.asarray(a, np.float64)) for a in (problem.inputs, problem.targets)]
    pairs = torch.utils.data.TensorDataset(*data, torch.arange(problem.samples))
    return torch.utils.data.DataLoader(
        pairs,
        batch_size=sgd.batch_size,
        shuffle=sgd.sampling == "shuffle",
        drop_last=sgd.drop_last,
        generator=torch.Generator().manual_seed(seed),
    )


@pytest.mark.any_seed
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("size", [1, 8, 24, 199, 200])
@pytest.mark.parametrize("sampling", ["shuffle", "sequential"])
def test_an_epoch_has_the_batches_of_torch_s_loader(problem, sampling, size, drop_last):
    sgd = fl.SGD(lr=0.02, batch_size=size, sampling=sampling, drop_last=drop_last)
    loader, draws = shuffled_loader(problem, sgd, 5), Draws(generators(seed_sequence(5), 1), problem.samples, sgd)
    for _ in range(2):
        theirs = [indices.tolist() for _, _, indices in loader]
        assert list(map(len, theirs)) == sgd.batch_sizes(problem.samples).tolist()
        ours = [batch.tolist() for run in draws.batches(len(theirs)) for batch in run[:, 0]]
        assert list(map(len, ours)) == list(map(len, theirs))
        assert (ours == theirs) == (sampling == "sequential")


class Loaded(list):
    """Batches of one replica as a loader gave them."""

    def batches(self, steps):
        return [np.array(indices)[None, None] for indices in self[:steps]]


@pytest.mark.parametrize("drop_last", [False, True])
def test_training_with_torch_s_loader_is_the_simulator_s_trajectory_in_one_call(problem, drop_last):
    sgd = replace(SHUFFLED, drop_last=drop_last)
    minimum, begin = problem.minimum(sgd.weight_decay), start_of(problem, sgd, "zero")
    run, seen = Training(problem, sgd, begin, torch.float64), Loaded()
    loader = shuffled_loader(problem, sgd, 7)
    for _ in range(3):
        for x, y, indices in loader:
            run.step_on(x, y)
            seen.append(indices.tolist())
    state = np.zeros((2, 1, *begin.shape))
    state[0] = begin - minimum.weights
    stepper(problem, sgd, "sgd", np.dtype(np.float64))(state, seen, len(seen), 0)
    assert np.abs(minimum.weights + state[0, 0] - run.weights).max() < 1e-10


@pytest.mark.any_seed
def test_a_shuffled_simulation_s_losses_are_those_of_torch_on_the_replicas_own_permutations(problem):
    found = fl.simulate(problem, SHUFFLED, steps=25, replicas=2, records=1, rng=11, start="zero", dtype=np.float64)
    minimum = problem.minimum(SHUFFLED.weight_decay)
    for losses, rng in zip(found.replica_losses, generators(seed_sequence(11), 2), strict=True):
        run = Training(problem, SHUFFLED, np.zeros_like(minimum.weights), torch.float64)
        orders = [rng.permutation(problem.samples) for _ in range(3)]
        for batch in [order[i : i + 24] for order in orders for i in range(0, problem.samples, 24)][:25]:
            run.step(batch)
        assert losses[-1] == pytest.approx(loss_of(problem, SHUFFLED, run) - minimum.loss, rel=1e-9)


@pytest.mark.any_seed
@pytest.mark.parametrize("change", [{"weight_decay": 0.031}, {"lr": 0.0501}, {"momentum": 0.01}])
def test_another_recipe_is_told_apart(problem, change):
    """The mutant: torch trained with a recipe wrong by 0.2 to 3 %."""
    sgd = fl.SGD(lr=0.05, batch_size=8, weight_decay=0.03)
    other = fl.SGD(**{**sgd.to_dict(), **change})
    begin = start_of(problem, sgd, "zero")
    right, wrong = (Training(problem, recipe, begin, torch.float64) for recipe in (sgd, other))
    for batch in draw_batches(generators(seed_sequence(11), 1)[0], problem.samples, sgd, STEPS):
        right.step(batch)
        wrong.step(batch)
    assert np.abs(right.weights - wrong.weights).max() > 1e-4


def test_a_last_batch_averaged_over_the_full_size_is_told_apart(problem):
    """The mutant: a smaller batch that is divided by b, as if its missing samples had no error."""
    begin = start_of(problem, SHUFFLED, "zero")
    right, wrong = (Training(problem, SHUFFLED, begin, torch.float64) for _ in range(2))
    for x, y, _ in shuffled_loader(problem, SHUFFLED, 7):
        right.step_on(x, y)
        padding = (
            torch.zeros(24 - len(x), x.shape[1], dtype=x.dtype),
            torch.zeros(24 - len(y), y.shape[1], dtype=y.dtype),
        )
        wrong.step_on(torch.cat([x, padding[0]]), torch.cat([y, padding[1]]))
    assert np.abs(right.weights - wrong.weights).max() > 1e-4


class Weighted(Training):
    """A loop that multiplies each sample's loss, whenever it is in a batch, by its factor."""

    def __init__(self, problem, sgd, start, factors):
        super().__init__(problem, sgd, start, torch.float64)
        self.factors = torch.tensor(factors)

    def step(self, batch):
        self.optimizer.zero_grad()
        losses = 0.5 * (self.model(self.x[batch]) - self.y[batch]).square().sum(dim=1)
        (self.factors[batch] * losses).mean().backward()
        self.optimizer.step()


WEIGHTS = np.random.default_rng(4).gamma(2.0, size=200)
LOOPS = {
    "a weighted loss": (WEIGHTS, "with_replacement", WEIGHTS / WEIGHTS.mean()),
    "a weighted loss, shuffled": (WEIGHTS, "shuffle", WEIGHTS / WEIGHTS.mean()),
    "a weighted sampler": (None, fl.WeightedSampling(WEIGHTS, unbiased=False), np.ones(200)),
    "a weighted sampler, losses divided by N p": (None, fl.WeightedSampling(WEIGHTS), WEIGHTS.mean() / WEIGHTS),
    "both": (WEIGHTS, fl.WeightedSampling(WEIGHTS**2, unbiased=False), WEIGHTS / WEIGHTS.mean()),
}


@pytest.mark.any_seed
@pytest.mark.parametrize(("sample_weight", "sampling", "factors"), LOOPS.values(), ids=LOOPS)
def test_a_weighted_loop_is_the_simulator_s_on_the_same_batches(problem, sample_weight, sampling, factors):
    sgd = fl.SGD(lr=0.02, batch_size=8, weight_decay=0.03, momentum=0.8, sampling=sampling)
    ours = fl.LeastSquares(problem.inputs, problem.targets, sample_weight=sample_weight)
    minimum, draws = sgd.seen(ours).minimum(0.03), Draws(generators(seed_sequence(11), 1), 200, sgd)
    run, other = (Weighted(problem, sgd, np.zeros_like(minimum.weights), each) for each in (factors, 1.01 * factors))
    state = np.zeros((2, 1, *minimum.weights.shape))
    state[0] = -minimum.weights
    advance = stepper(ours, sgd, "sgd", np.dtype(np.float64))
    batches = [run[:, 0] for run in draws.batches(STEPS)]
    advance(state, Draws(generators(seed_sequence(11), 1), 200, sgd), STEPS, 0)
    for batch in [one for several in batches for one in several]:
        run.step(batch)
        other.step(batch)
    assert np.abs(minimum.weights + state[0, 0] - run.weights).max() < 1e-11
    assert np.abs(minimum.weights + state[0, 0] - other.weights).max() > 1e-4


def test_torch_s_weighted_sampler_has_these_probabilities():
    """`WeightedRandomSampler` draws by `torch.multinomial`, whose probabilities are the weights over their sum."""
    sampler = torch.utils.data.WeightedRandomSampler(torch.tensor(WEIGHTS), num_samples=3)
    assert sampler.replacement
    np.testing.assert_allclose(
        fl.WeightedSampling(WEIGHTS).probabilities(200), (sampler.weights / sampler.weights.sum()).numpy(), rtol=1e-14
    )
