"""docs/howto/loops.md: what a loop in torch does, said as a recipe, gives torch's weights."""

import numpy as np
import pytest

import fluctua as fl

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch
RNG = np.random.default_rng(8)
SAMPLES, MICRO, COUNT, STEPS = 48, 12, 4, 40
X, Y = RNG.normal(size=(SAMPLES, 3)), RNG.normal(size=(SAMPLES, 2))
LABELS = RNG.choice(3, SAMPLES, p=[0.6, 0.3, 0.1])


def halves(out, y):
    return 0.5 * ((out - y) ** 2).sum(1)


def trained(step, targets=Y, scheduler=None, **options):
    """W after STEPS of torch from zero, each with the gradient that `step(model, targets)` leaves, and the rates."""
    model, rates = torch.nn.Linear(3, targets.shape[1], bias=False).double(), []
    torch.nn.init.zeros_(model.weight)
    optimiser = torch.optim.SGD(model.parameters(), **options)
    stepped = None if scheduler is None else scheduler(optimiser)
    for _ in range(STEPS):
        optimiser.zero_grad()
        step(model, torch.tensor(targets))
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if stepped is not None:
            stepped.step()
    return model.weight.detach().numpy(), rates


def full(model, targets):
    halves(model(torch.tensor(X)), targets).mean().backward()


def check(weights, problem, lr, decay=0.0, **options):
    """Full batches have no noise, so that E W is W."""
    sgd = fl.SGD(lr, SAMPLES, decay, "without_replacement", **options)
    after = fl.predict(problem, sgd, check_stability=False).after(STEPS, start="zero")
    np.testing.assert_allclose(after.optimum + after.mean, weights, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("divided", [True, False])
def test_gradient_accumulation(divided):
    def step(model, targets):
        for begin in range(0, SAMPLES, MICRO):
            rows = slice(begin, begin + MICRO)
            loss = halves(model(torch.tensor(X[rows])), targets[rows]).mean()
            (loss / COUNT if divided else loss).backward()

    weights, _ = trained(step, lr=0.02, weight_decay=0.3, momentum=0.5)
    times = 1 if divided else COUNT
    check(weights, fl.LeastSquares(X, Y), 0.02 * times, 0.3 / times, momentum=0.5)


def test_class_weights_are_rows_times_their_root():
    root = np.sqrt(np.array([1.0, 2.0, 5.0]))[LABELS][:, None]

    def step(model, targets):
        (torch.tensor(root[:, 0] ** 2) * halves(model(torch.tensor(X)), targets)).mean().backward()

    weights, _ = trained(step, np.eye(3)[LABELS], lr=0.05)
    check(weights, fl.LeastSquares(root * X, root * np.eye(3)[LABELS]), 0.05)
    counted = fl.LeastSquares(X, np.eye(3)[LABELS], sample_weight=root[:, 0] ** 2)
    check(weights, counted, 0.05 * np.mean(root**2))  # whose weights have a mean of one


def test_decay_acts_on_the_constant_column_as_on_a_bias():
    model = torch.nn.Linear(3, 2).double()
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.4)
    for _ in range(STEPS):
        optimiser.zero_grad()
        halves(model(torch.tensor(X)), torch.tensor(Y)).mean().backward()
        optimiser.step()
    weights = np.c_[model.weight.detach().numpy(), model.bias.detach().numpy()]
    check(weights, fl.LeastSquares(np.c_[X, np.ones(SAMPLES)], Y), 0.1, 0.4)


def test_centred_data_have_the_weights_of_a_free_intercept():
    from sklearn.linear_model import Ridge

    problem = fl.LeastSquares(X - X.mean(0), Y - Y.mean(0))
    np.testing.assert_allclose(problem.minimum(0.4).weights, Ridge(alpha=0.4 * SAMPLES).fit(X, Y).coef_, rtol=1e-10)


def test_a_schedule_stepped_once_an_epoch_is_each_factor_repeated():
    def epochs(optimiser):  # steps of 8 batches each
        return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.9 ** (step // 8))

    weights, rates = trained(full, scheduler=epochs, lr=0.1)
    schedule = np.repeat(0.9 ** np.arange(STEPS // 8), 8)
    np.testing.assert_allclose(fl.SGD(0.1, 8, schedule=schedule).rates(np.arange(STEPS)), rates, rtol=1e-12)
    check(weights, fl.LeastSquares(X, Y), 0.1, schedule=schedule)


def test_one_cycle_is_an_array_of_its_own_rates():
    def cycle(optimiser):
        return torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=0.1, total_steps=STEPS + 1, cycle_momentum=False)

    weights, rates = trained(full, scheduler=cycle, lr=0.1, momentum=0.9)
    check(weights, fl.LeastSquares(X, Y), 1.0, momentum=0.9, schedule=rates)
