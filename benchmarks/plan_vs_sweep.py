"""`fluctua.plan` finds, before any training, a better learning rate than a sweep by real training of three seeds.

4,000 MNIST images, one output (+1 for digits 5 to 9, else -1), batch 32, constant rate, 2,000 steps from zero: the
plan, beside 13 rates trained by torch, three seeds each; 512 further runs at the rate of either decide between them.
Then the recipe that is used everywhere, shuffled epochs, a cosine, momentum 0.9 and weight decay 1e-3, likewise. Then
the range tests of torch-lr-finder and Lightning, which are skipped where they are not installed.

    python benchmarks/plan_vs_sweep.py [--shuffled]     (the second part alone)

Measured on two cores of an AMD EPYC, one thread each (OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1), in 92 seconds:

time     plan 6.2 s, sweep 13.9 s a seed. One seed of the sweep / plan: 2.48 (2.24 to 2.57); all three: 6.7.
rate     plan 0.023, predicted loss 0.21741; sweep 0.0316 (two seeds of three; the other 0.0178).
referee  0.023: 0.21794(33), 0.0316: 0.22101(65). Runs at 0.0316 scatter more (standard deviation 0.015, against
         0.007): a sweep needs some 100 seeds, 220 plans, to tell the two apart by two standard errors.
limit    0.0525, loss at the optimum 0.1829. Five seeds of each range test:
         torch-lr-finder 0.0215 twice, 0.0313, and unstable twice (0.055, 0.066); noise floor 4.0, 4.0 and 7.4 % above
         Lightning 0.0023 to 0.0058; floor 0.3 to 0.8 % above, but after 2,000 steps still at 0.228 to 0.244

torch-lr-finder 0.2.2, Lightning 2.6.6, torch 2.13.0, each with its defaults.

The usual recipe (--shuffled), in one run on two cores of an Intel Xeon with AVX-512 that five to six times as many
processes shared, one thread each; only ratios mean something:

time     one seed of the sweep / plan 0.26 (0.13 to 0.31): the plan takes as long as four seeds of the sweep.
rate     plan 0.051, at the edge of the search, and about 0.1980; sweep 0.0316 (two seeds of three; the other 0.0562).
referee  0.051: 0.19887, 0.0316: 0.19884, 512 runs each: 0.02 % apart. The law of epochs would take longer than the
         sweep here, so that the estimate stands. It is 0.4 % low, and 42 % of the excess loss: the 4,000 images are few
         for their modes, and the rate is near the limit.
"""

from __future__ import annotations

import io
import itertools
import logging
import math
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from asked import asking
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

import fluctua as fl

SAMPLES, BATCH, STEPS = 4000, 32, 2000
SEEDS, FINDER_SEEDS, REFEREES = 3, 5, 512
ONE_LINE = {"momenta": [0.0], "schedules": ["constant"]}
USUAL = {"momenta": [0.9], "schedules": ["cosine"], "sampling": "shuffle", "weight_decay": 1e-3}
RATES = np.geomspace(1e-4, 1e-1, 13)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what `work` returns, and its seconds."""
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return images and one output: +1 for the digits 5 to 9, -1 for the others."""
    mnist = fl.load("mnist")
    high = mnist.targets[:SAMPLES].argmax(axis=1) >= 5
    return mnist.inputs[:SAMPLES], np.where(high, 1, -1).astype(np.float32)[:, None]


def half_square(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return 0.5 * (outputs - targets).square().sum() / len(outputs)


def model_and_loader(pairs: TensorDataset, seed: int, shuffled: bool = False) -> tuple[torch.nn.Linear, DataLoader]:
    torch.manual_seed(seed)
    model = torch.nn.Linear(pairs.tensors[0].shape[1], 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    if shuffled:
        return model, DataLoader(pairs, batch_size=BATCH, shuffle=True)
    sampler = RandomSampler(pairs, replacement=True, num_samples=STEPS * BATCH)
    return model, DataLoader(pairs, batch_size=BATCH, sampler=sampler)


def train(pairs: TensorDataset, lr: float, seed: int, shuffled: bool = False) -> float:
    """Return the full-data loss after a real run of the whole budget, with the weight decay's part."""
    model, loader = model_and_loader(pairs, seed, shuffled)
    usual = {"momentum": 0.9, "weight_decay": USUAL["weight_decay"]} if shuffled else {}
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, **usual)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS) if shuffled else None
    epochs = itertools.chain.from_iterable(itertools.repeat(loader)) if shuffled else loader
    for x, y in itertools.islice(epochs, STEPS):
        optimizer.zero_grad()
        half_square(model(x), y).backward()
        optimizer.step()
        if scheduler:
            scheduler.step()
    with torch.inference_mode():
        loss = float(half_square(model(pairs.tensors[0]), pairs.tensors[1]))
        loss += 0.5 * usual.get("weight_decay", 0.0) * float(model.weight.square().sum())
    return loss if math.isfinite(loss) else math.inf


def torch_lr_finder(pairs: TensorDataset, seed: int) -> float:
    """Return the suggestion of torch-lr-finder's range test, as in its README."""
    import matplotlib as mpl
    from torch_lr_finder import LRFinder

    mpl.use("Agg")
    model, loader = model_and_loader(pairs, seed)
    finder = LRFinder(model, torch.optim.SGD(model.parameters(), lr=1e-7), half_square)
    finder.range_test(loader, end_lr=10, num_iter=100)
    return float(finder.plot(suggest_lr=True)[1])


def lightning(pairs: TensorDataset, seed: int) -> float:
    """Return the suggestion of Lightning's Tuner.lr_find with its defaults."""
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.tuner import Tuner

    class Module(LightningModule):
        def __init__(self, model: torch.nn.Module) -> None:
            super().__init__()
            self.model, self.lr = model, 0.01

        def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
            return half_square(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=self.lr)

    model, loader = model_and_loader(pairs, seed)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(accelerator="cpu", max_epochs=1, default_root_dir=folder, **quiet)
        found = Tuner(trainer).lr_find(Module(model), train_dataloaders=loader)
    return float(found.suggestion())


def take_turns(
    inputs: np.ndarray, targets: np.ndarray, pairs: TensorDataset, shuffled: bool = False
) -> tuple[fl.Plan, np.ndarray]:
    """Print how long a plan from nothing takes beside one seed of the sweep; return the plan and the sweep's losses."""
    plans, sweeps, asked = [], [], USUAL if shuffled else ONE_LINE
    for seed in range(SEEDS):
        plans.append(timed(lambda: fl.plan(fl.LeastSquares(inputs, targets), STEPS, batch_size=BATCH, **asked)))
        sweeps.append(timed(lambda seed=seed: [train(pairs, lr, seed, shuffled) for lr in RATES]))
    plan, sweep = (np.array([seconds for _, seconds in turns]) for turns in (plans, sweeps))
    ratios = sweep / plan
    print(f"seconds: plan {np.median(plan):.1f}, sweep {np.median(sweep):.1f} a seed")
    print(f"sweep of one seed / plan {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})\n")
    return plans[0][0], np.array([losses for losses, _ in sweeps])


def compare(problem: fl.LeastSquares, plan: fl.Plan, losses: np.ndarray) -> None:
    """Print the plan and the sweep, and let many more runs than a sweep would afford decide between them."""
    print(f"{plan.table}\n{plan.words}\n\n{'lr':<9} sweep's final loss: mean, and of each seed")
    for lr, each in zip(RATES, losses.T, strict=True):
        print(f"{lr:<9.3g} {np.mean(each):<10.5g}", *(f"{loss:<9.5g}" for loss in each))
    best = RATES[losses.mean(axis=0).argmin()]
    print(f"best {best:.3g}; of each seed alone:", *(f"{lr:.3g}" for lr in RATES[losses.argmin(axis=1)]))
    sgd = plan.best.sgd
    floor = problem.minimum(sgd.weight_decay).loss
    for name, lr in (("planned", sgd.lr), ("sweep's", best)):
        given = {"steps": STEPS, "replicas": REFEREES, "start": "zero", "records": 1, "rng": 1}
        last = floor + fl.simulate(problem, replace(sgd, lr=float(lr)), **given).replica_losses[:, -1]
        print(
            f"{name} {lr:.3g}: {last.mean():.5f} +- {last.std(ddof=1) / REFEREES**0.5:.5f} over {REFEREES} runs, "
            f"standard deviation of one {last.std(ddof=1):.4f}"
        )


def range_tests(problem: fl.LeastSquares, pairs: TensorDataset) -> None:
    """Print what the range tests suggest, the noise floor there, and where a real run of the budget ends."""
    optimum = problem.minimum().loss
    print(f"\nlimit {fl.max_stable_lr(problem, fl.SGD(RATES[0], BATCH)):.4g}, loss at the optimum {optimum:.5g}")
    for finder, seed in itertools.product((torch_lr_finder, lightning), range(FINDER_SEEDS)):
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                lr = finder(pairs, seed)
        except ImportError as error:
            print(f"{finder.__name__:16} skipped: {error}")
            continue
        try:
            floor = f"{fl.predict(problem, fl.SGD(lr, BATCH)).excess_loss / optimum:.2%} above the optimum"
        except fl.UnstableSGD:
            floor = "unstable"
        end = train(pairs, lr, seed)
        print(f"{finder.__name__:16} {lr:<10.3g} floor {floor}; a real run of {STEPS} steps ends at {end:.5g}")


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument("--shuffled", action="store_true", help="the second part alone")
    shuffled = parser.parse_args().shuffled
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    inputs, targets = data()
    pairs = TensorDataset(torch.from_numpy(inputs), torch.from_numpy(targets))
    print(f"MNIST, {SAMPLES} images, one output, batch {BATCH}, {STEPS} steps from zero; torch {torch.__version__}\n")
    problem = fl.LeastSquares(inputs, targets)
    if not shuffled:
        compare(problem, *take_turns(inputs, targets, pairs))
    print("\nshuffled epochs, cosine, momentum 0.9, weight decay 1e-3")
    compare(problem, *take_turns(inputs, targets, pairs, shuffled=True))
    if not shuffled:
        range_tests(problem, pairs)


if __name__ == "__main__":
    main()
