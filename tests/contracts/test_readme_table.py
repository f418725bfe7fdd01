"""The README's table: every cell is run.

An exact cell gives the number, and in time the mean over every sequence of batches of a tiny problem; an expansion or a
closure gives one, and cites the page with its measured error; a refused cell raises `FluctuaError`; a dash stands where
the function takes no such argument.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import FluctuaError

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = [[cell.strip() for cell in line.strip("|").split("|")] for line in README.splitlines() if line.startswith("|")]
COLUMNS, ROWS = LINES[0][1:-1], {first: cells for first, *cells in LINES[2:]}
CELLS = [(quantity, column) for quantity in ROWS for column in COLUMNS]
STEPS, SMALL, TINY = 20, 60, 3
DASH = "\N{EN DASH}"
COSINE = fl.schedules.CosineAnnealingLR(40)


def problem(samples, sample_weight=None):
    """Normal inputs and targets, two outputs; and three samples that were held out."""
    rng = np.random.default_rng(5)
    inputs = rng.normal(size=(samples + 3, 3))
    targets = inputs @ rng.normal(size=(3, 2)) + rng.normal(size=(samples + 3, 2))
    return fl.LeastSquares(inputs[3:], targets[3:], sample_weight=sample_weight), (inputs[:3], targets[:3])


def unequal(samples):
    """Positive weights of the samples, of mean one."""
    weights = np.arange(1.0, samples + 1)
    return weights / weights.mean()


def recipe(**options):
    return fl.SGD(**{"lr": 0.05, "batch_size": 2, "weight_decay": 0.1, **options})


MOMENTUM = [{"momentum": 0.5}, {"momentum": 0.5, "dampening": 0.2}, {"momentum": 0.5, "nesterov": True}]
QHM = {"lr": 0.05, "batch_size": 2, "weight_decay": 0.1, "momentum": 0.6, "nu": 0.7}
RECIPES = {
    "independent": [(recipe(), None), (recipe(sampling="without_replacement"), None)],
    "momentum": [*((recipe(**options), None) for options in MOMENTUM), (fl.QHM(**QHM), None)],
    "schedule": [(recipe(schedule=COSINE), None), (recipe(schedule=[1.0, 0.5] * 10, momentum=0.5), None)],
    "average": [
        (recipe(), fl.EMA(0.7)),
        (recipe(momentum=0.5), fl.RunningAverage(1)),
        (recipe(schedule=COSINE), fl.EMA(0.7)),
    ],
    "shuffled": [
        (recipe(sampling="shuffle", batch_size=25, **options), None)
        for options in ({}, {"drop_last": True}, *MOMENTUM, {"schedule": COSINE})
    ]
    + [
        (recipe(sampling="shuffle", batch_size=25, momentum=0.5, schedule=COSINE), average)
        for average in (fl.EMA(0.7), fl.RunningAverage(1))
    ]
    + [(fl.QHM(**{**QHM, "batch_size": 25, "sampling": "shuffle"}), None)],
}
"""Of each column: recipes, each with the average of the weights that is looked at."""


def cases(column, samples):
    """Problems, held-out data, recipes and averages of a column: plain, with sample weights, drawn by weights."""
    plain, held_out = problem(samples)
    weighted, _ = problem(samples, unequal(samples))
    found = [(data, held_out, *one) for one in RECIPES[column] for data in (plain, weighted)]
    if column == "independent":
        drawn = [recipe(sampling=fl.WeightedSampling(unequal(samples)[::-1], unbiased=u)) for u in (True, False)]
        found += [(data, held_out, sgd, None) for data in (plain, weighted) for sgd in drawn]
    return found


def predicted(data, sgd, average):
    return fl.predict(data, sgd, average=average)


def planned(data, sgd, _average, _held_out):
    schedule = "constant" if sgd.schedule is None else "cosine"
    sampling, momenta = sgd.sampling, [sgd.momentum]
    plan = fl.plan(data, 8, batch_size=sgd.batch_size, momenta=momenta, schedules=[schedule], sampling=sampling)
    best = plan.best
    end = plan.optimum_loss + fl.learning_curve(data, best.sgd, 8)[-1]
    assert best.loss == pytest.approx(end, rel=1e-3)
    return best.loss


QUANTITIES = {
    "`predict`": lambda data, sgd, average, _: predicted(data, sgd, average).covariance,
    "`.after`, `learning_curve`": lambda data, sgd, average, _: [
        predicted(data, sgd, average).after(STEPS, start="zero").excess_loss,
        fl.learning_curve(data, sgd, STEPS, average=average)[-1],
    ],
    "`max_stable_lr`": lambda data, sgd, _average, _: fl.max_stable_lr(data, sgd),
    "`held_out_loss`": lambda data, sgd, average, held_out: (
        fl.held_out_loss(predicted(data, sgd, average), *held_out).expected
    ),
    "`held_out_curve`": lambda data, sgd, average, held_out: fl.held_out_curve(
        data, sgd, [STEPS], *held_out, average=average
    ),
    "`.output_block`": lambda data, sgd, average, _: predicted(data, sgd, average).output_block(0, 1),
    "`plan`": planned,
    "`.lagged_covariance`": lambda data, sgd, average, _: predicted(data, sgd, average).lagged_covariance(2),
    "`.response`": lambda data, sgd, average, _: predicted(data, sgd, average).response(2),
    "`loss_spread`": lambda data, sgd, average, _: fl.loss_spread(predicted(data, sgd, average)).std,
    "`.entropy_production`": lambda data, sgd, average, _: predicted(data, sgd, average).entropy_production.total,
    "`gradient_noise`": lambda data, sgd, _average, _: (
        fl.gradient_noise(data, sgd, steps=8, replicas=4, rng=1).steep_predicted
    ),
}
"""By the names of the functions that a row ends with: how to ask for it."""


def asked(quantity):
    """The functions' names, as the row has them, and how to ask."""
    names = quantity[quantity.index("`") :]
    return names, QUANTITIES[names]


def test_the_table_has_the_rows_and_columns_that_are_run():
    assert [asked(quantity)[0] for quantity in ROWS] == list(QUANTITIES)
    assert list(RECIPES) == COLUMNS


@pytest.mark.filterwarnings("ignore::fluctua.errors.UncertainSpread")  # said near the limit
@pytest.mark.any_seed
@pytest.mark.parametrize(("quantity", "column"), CELLS)
def test_every_cell_of_the_table_is_true(quantity, column):
    names, ask = asked(quantity)
    cell = ROWS[quantity][COLUMNS.index(column)]
    if cell == DASH:
        function = getattr(fl, names.strip("`"))
        assert "average" not in inspect.signature(function).parameters
        return
    for data, held_out, sgd, average in cases(column, SMALL)[: 1 if ask is planned else None]:
        if cell == "refused":
            with pytest.raises(FluctuaError):
                ask(data, sgd, average, held_out)
        else:
            assert np.isfinite(ask(data, sgd, average, held_out)).all()


@pytest.mark.parametrize("quantity", [name for name, cells in ROWS.items() if "held" in cells])
def test_a_schedule_s_stationary_state_is_that_of_its_first_rate_held(quantity):
    data, held_out = problem(SMALL)
    for sgd, average in RECIPES["schedule"]:
        plain = replace(sgd, schedule=None)
        found, held = (np.asarray(asked(quantity)[1](data, one, average, held_out)) for one in (sgd, plain))
        assert np.allclose(found, held, rtol=1e-12)


@pytest.mark.parametrize("column", COLUMNS[:-1])
def test_what_is_exact_in_time_is_the_mean_over_every_sequence_of_batches(column):
    for data, held_out, sgd, average in cases(column, TINY):
        for one in (sgd, replace(sgd, sampling="without_replacement")):
            weights, chances, counts = every_run(data, one, average, steps=3)
            after = predicted(data, one, average).after(3, start="zero", rtol=1e-12)
            apart = weights - after.optimum
            elsewhere = chances @ data_loss(weights, *held_out)
            excess = chances @ data_loss(weights, *rows(data), counts, one.weight_decay)
            assert np.allclose(after.covariance, np.einsum("n,ncd,nce->de", chances, apart, apart), rtol=1e-10)
            assert after.optimum_loss + after.excess_loss == pytest.approx(excess, rel=1e-10)
            assert fl.held_out_loss(after, *held_out).expected == pytest.approx(elsewhere, rel=1e-10)
            curve = fl.learning_curve(data, one, 3, average=average, rtol=1e-12)
            assert after.optimum_loss + curve[-1] == pytest.approx(excess, rel=1e-10)
            curve = fl.held_out_curve(data, one, [3], *held_out, average=average, rtol=1e-12)
            assert curve[0] == pytest.approx(elsewhere, rel=1e-10)


def data_loss(weights, inputs, targets, counts=1.0, decay=0.0):
    """The loss of each of many weights, (n,), from its definition; sample i counts counts_i times, 1 in the mean."""
    errors = np.einsum("ncd,sd->nsc", weights, inputs) - targets
    return 0.5 * (counts * (errors**2).sum(axis=2)).mean(axis=1) + 0.5 * decay * (weights**2).sum(axis=(1, 2))


def rows(data):
    """Inputs and targets as they were given: a problem keeps them times the square roots of the sample weights."""
    root = np.ones((data.samples, 1)) if data.sample_weight is None else np.sqrt(data.sample_weight)[:, None]
    return data.inputs / root, data.targets / root


def every_run(data, sgd, average, steps):
    """Weights, or their average, after `steps` steps from zero of torch's loop, for every sequence of batches.

    With the chance of each sequence, and how often each sample counts in the loss that is descended.
    """
    places, weighted = range(data.samples), isinstance(sgd.sampling, fl.WeightedSampling)
    replaced = weighted or sgd.sampling == "with_replacement"
    batches = list(product(places, repeat=sgd.batch_size) if replaced else combinations(places, sgd.batch_size))
    drawn = np.array(sgd.sampling.weights) if weighted else np.ones(data.samples)
    counts = np.ones(data.samples) if data.sample_weight is None else data.sample_weight
    factors = counts / drawn if weighted and sgd.sampling.unbiased else counts
    runs = list(product(batches, repeat=steps))
    chances = np.array([drawn[np.array(run).ravel()].prod() for run in runs])
    shares = [1.0] * steps if average is None else average.weights(range(steps))
    weights = np.array([torch_loop(data, sgd, run, shares, factors) for run in runs])
    return weights, chances / chances.sum(), factors * drawn


def torch_loop(data, sgd, batches, shares, factors):
    """One run from zero, as torch.optim.SGD steps, and the average's update after each step."""
    rates = sgd.rates(range(len(batches)))
    weights = buffer = seen = np.zeros((data.outputs, data.features))
    for step, (batch, share) in enumerate(zip(map(list, batches), shares, strict=True)):
        gradient = batch_gradient(data, weights, batch, factors) + sgd.weight_decay * weights
        buffer, direction = torch_step(sgd, buffer, gradient, first=step == 0)
        weights = weights - rates[step] * direction
        seen = seen + share * (weights - seen)
    return seen


def batch_gradient(data, weights, batch, factors):
    """The mean over a batch of the samples' gradients, each times its factor."""
    x, y = (part[batch] for part in rows(data))
    return (x @ weights.T - y).T @ (factors[batch][:, None] * x) / len(batch)


def torch_step(sgd, buffer, gradient, first):
    """The momentum buffer after a gradient, and the direction of the step."""
    if isinstance(sgd, fl.QHM):
        buffer = sgd.momentum * buffer + (1 - sgd.momentum) * gradient
        return buffer, (1 - sgd.nu) * gradient + sgd.nu * buffer
    buffer = gradient if first or not sgd.momentum else sgd.momentum * buffer + (1 - sgd.dampening) * gradient
    return buffer, gradient + sgd.momentum * buffer if sgd.nesterov else buffer


def test_nothing_approximate_is_called_exact():
    for quantity, (*cells, shuffled, _) in ROWS.items():
        closed = asked(quantity)[0] in {"`loss_spread`", "`.entropy_production`", "`gradient_noise`"}
        assert shuffled in {"refused", "closure" if closed else "expansion"}
        assert set(cells) <= {"refused", DASH, *(["closure"] if closed else ["exact", "held"])}


def test_a_closure_is_not_exact():
    data, _ = problem(TINY)
    weights, *_ = every_run(data, recipe(), None, steps=3)
    losses = data_loss(weights, data.inputs, data.targets, decay=0.1)
    spread = fl.loss_spread(predicted(data, recipe(), None).after(3, start="zero"))
    assert spread.std != pytest.approx(losses.std(), rel=1e-3)
    assert spread.std == pytest.approx(losses.std(), rel=0.5)


def test_an_average_s_stationary_state_is_where_it_ends():
    data, _ = problem(SMALL)
    for sgd, average in RECIPES["average"][:1]:
        settled = predicted(data, sgd, average)
        assert np.allclose(settled.after(5000).covariance, settled.covariance, rtol=1e-6)


@pytest.mark.parametrize("quantity", ROWS)
def test_what_is_not_exact_cites_the_page_with_its_measured_error(quantity):
    *cells, error = ROWS[quantity]
    if not {"expansion", "closure"} & set(cells):
        assert error == ""
        return
    words, place, anchor = re.fullmatch(r"\[([^]]*)\]\(([^)#]*)#([^)]*)\)", error).groups()
    page = (ROOT / place).read_text(encoding="utf-8")
    headings = [re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in page.splitlines()]
    assert anchor in headings
    assert set(re.findall(r"\d[\d.]*", words)) <= set(re.findall(r"\d[\d.]*\d|\d", page))
