"""EquilibriumLR against step, cosine and plateau schedules: an MLP on MNIST and a small CNN on CIFAR-10, five seeds.

    python benchmarks/equilibrium_training.py [--tiny] [--task mnist] [--device cuda] [--seconds 480] [--out FILE]
    python benchmarks/equilibrium_training.py --pack data.npz         # for a machine without the publishers' files
    python benchmarks/equilibrium_training.py --data data.npz

Every arm has the same start, batches, momentum 0.9 and weight decay, and at most the same number of steps. "step" (a
tenth at half and at three quarters) and "cosine" (to zero) know that number. "plateau" (torch's ReduceLROnPlateau on
the epoch's training loss, patience 5) and "equilibrium" (EquilibriumLR at delta 0.1 and at delta 1) do not: they cut by
ten twice, and stop where they say so for a third time. Printed and written as JSON: steps made, the final loss on all
training samples, the error on held-out samples, and the steps at which the rate was cut; the mean of seeds, with its
standard error. The runs are made seed by seed, and none is begun after `--seconds`.

The claim: without knowing the budget, EquilibriumLR ends at a lower training loss than the plateau schedule, or ends
there in fewer steps. Where a schedule that knows the budget wins, the table says so.
"""

from __future__ import annotations

import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from asked import amount, asking, positive, there, to_write
from torch import nn
from torch.optim import lr_scheduler

MOMENTUM, FACTOR, CUTS = 0.9, 0.1, 2
HELD_OUT = 10_000


@dataclass(frozen=True)
class Task:
    name: str
    shape: tuple[int, ...]
    lr: float
    weight_decay: float
    batch_size: int
    epochs: int

    def model(self) -> nn.Module:
        if self.name == "mnist":
            return nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
        layers: list[nn.Module] = []
        for before, after in ((3, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, 10))


TASKS = {
    "mnist": Task("mnist", (1, 28, 28), lr=0.05, weight_decay=5e-4, batch_size=128, epochs=30),
    "cifar10": Task("cifar10", (3, 32, 32), lr=0.02, weight_decay=2e-3, batch_size=128, epochs=60),
}


@dataclass
class Run:
    task: str
    arm: str
    seed: int
    steps: int = 0
    loss: float = float("nan")
    error: float = float("nan")
    seconds: float = 0.0
    cuts: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Data:
    inputs: torch.Tensor
    labels: torch.Tensor
    held_inputs: torch.Tensor
    held_labels: torch.Tensor


def images(task: Task, path: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return images as numbers from 0 to 255, and labels."""
    if path:
        with np.load(path) as kept:
            return kept[f"{task.name}_images"], kept[f"{task.name}_labels"]
    import fluctua as fl

    data = fl.load(task.name)
    return np.rint(np.asarray(data.inputs, np.float32) * 255).astype(np.uint8), np.asarray(data.labels, np.uint8)


def pack(path: str) -> None:
    """Write what fits through a small door: MNIST, and a part of CIFAR-10."""
    arrays = {}
    for task, count in ((TASKS["mnist"], None), (TASKS["cifar10"], 13_000)):
        pixels, labels = images(task, None)
        arrays |= {f"{task.name}_images": pixels[:count], f"{task.name}_labels": labels[:count]}
    np.savez_compressed(path, **arrays)


def load(task: Task, path: str | None, device: torch.device, samples: int | None) -> Data:
    pixels, labels = images(task, path)
    order = np.random.default_rng(0).permutation(len(pixels))[:samples]
    x = torch.from_numpy(pixels[order]).to(device).float().div_(255).reshape(-1, *task.shape)
    x -= x.mean((0, 2, 3), keepdim=True)
    x /= x.std((0, 2, 3), keepdim=True)
    y = torch.from_numpy(labels[order].astype(np.int64)).to(device)
    held = min(HELD_OUT, len(x) // 5)
    return Data(x[held:], y[held:], x[:held], y[:held])


class Control:
    """What an arm does after a step and after an epoch; `over` where it wants no more."""

    over = False

    def after_step(self) -> None: ...

    def after_epoch(self, loss: float) -> None: ...


class Known(Control):
    """A schedule of torch's that knows the number of steps."""

    def __init__(self, scheduler: lr_scheduler.LRScheduler) -> None:
        self.after_step = scheduler.step  # type: ignore[method-assign]


class Plateau(Control):
    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.group, self.cuts = optimizer.param_groups[0], 0
        self.scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=FACTOR, patience=5)

    def after_epoch(self, loss: float) -> None:
        before = self.group["lr"]
        self.scheduler.step(loss)
        self.cuts += self.group["lr"] < before
        self.over = self.cuts > CUTS


class Equilibrium(Control):
    def __init__(self, optimizer: torch.optim.Optimizer, delta: float) -> None:
        from fluctua.torch import EquilibriumLR, EquilibriumMonitor

        monitor = EquilibriumMonitor(optimizer, delta=delta)
        least = optimizer.param_groups[0]["lr"] * FACTOR**CUTS
        self.scheduler = EquilibriumLR(optimizer, monitor, factor=FACTOR, min_lr=least)

    def after_step(self) -> None:
        self.scheduler.step()
        self.over = self.scheduler.finished


Arm = Callable[[torch.optim.Optimizer, int], Control]
ARMS: dict[str, Arm] = {
    "constant": lambda _optimizer, _steps: Control(),
    "step": lambda o, steps: Known(lr_scheduler.MultiStepLR(o, [steps // 2, steps * 3 // 4], FACTOR)),
    "cosine": lambda o, steps: Known(lr_scheduler.CosineAnnealingLR(o, steps)),
    "plateau": lambda o, _steps: Plateau(o),
    "equilibrium, delta 0.1": lambda o, _steps: Equilibrium(o, 0.1),
    "equilibrium, delta 1": lambda o, _steps: Equilibrium(o, 1.0),
}


def train(task: Task, data: Data, arm: str, seed: int) -> Run:
    run, began = Run(task.name, arm, seed), time.perf_counter()
    torch.manual_seed(seed)
    model = task.model().to(data.inputs.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=task.lr, momentum=MOMENTUM, weight_decay=task.weight_decay)
    per_epoch = len(data.inputs) // task.batch_size
    control, rate = ARMS[arm](optimizer, task.epochs * per_epoch), task.lr
    for _ in range(task.epochs):
        total = torch.zeros((), device=data.inputs.device)
        order = torch.randperm(len(data.inputs), device=data.inputs.device)
        for batch in order[: per_epoch * task.batch_size].split(task.batch_size):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(data.inputs[batch]), data.labels[batch])
            loss.backward()
            optimizer.step()
            control.after_step()
            total += loss.detach()
            run.steps += 1
            now = optimizer.param_groups[0]["lr"]
            if arm != "cosine" and now < rate:
                run.cuts.append(run.steps)
            rate = now
            if control.over:
                break
        if control.over:
            break
        run.losses.append(float(total) / per_epoch)
        control.after_epoch(run.losses[-1])
        if arm == "plateau" and optimizer.param_groups[0]["lr"] < rate:
            run.cuts.append(run.steps)
            rate = optimizer.param_groups[0]["lr"]
        if control.over:
            break
    run.loss = measured(model, data.inputs, data.labels)[0]
    run.error = measured(model, data.held_inputs, data.held_labels)[1]
    run.seconds = time.perf_counter() - began
    return run


@torch.no_grad()
def measured(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Return the mean loss and the share of wrong answers."""
    loss, wrong = 0.0, 0.0
    for x, y in zip(inputs.split(5000), labels.split(5000), strict=True):
        z = model(x)
        loss += float(nn.functional.cross_entropy(z, y, reduction="sum"))
        wrong += float((z.argmax(1) != y).sum())
    return loss / len(labels), wrong / len(labels)


def summary(runs: list[Run]) -> list[dict[str, Any]]:
    rows = []
    for key in dict.fromkeys((run.task, run.arm) for run in runs):
        mine = [run for run in runs if (run.task, run.arm) == key]
        row: dict[str, Any] = {"task": key[0], "arm": key[1], "runs": len(mine)}
        for name in ("steps", "loss", "error", "seconds"):
            values = np.array([getattr(run, name) for run in mine], float)
            row[name] = float(values.mean())
            row[f"{name}_se"] = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
        rows.append(row | {"cuts": [run.cuts for run in mine]})
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    print(f"{'task':9}{'arm':25}{'runs':>5}{'steps':>9}{'training loss':>24}{'held-out error':>20}{'seconds':>9}")
    for row in rows:
        loss, error = (f"{row[name]:.5f} +- {row[f'{name}_se']:.5f}" for name in ("loss", "error"))
        print(
            f"{row['task']:9}{row['arm']:25}{row['runs']:5}{row['steps']:9.0f}{loss:>24}{error:>20}{row['seconds']:9.1f}"
        )


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument("--task", choices=list(TASKS), action="append", help="default: both")
    parser.add_argument("--seeds", type=positive, default=5)
    parser.add_argument("--epochs", type=positive, help="of every arm (default: the task's)")
    parser.add_argument("--seconds", type=amount, default=480.0, help="no run is begun after so long (default 480)")
    parser.add_argument(
        "--data", type=there, help=".npz written by --pack; without it fluctua loads the publishers' files"
    )
    parser.add_argument("--pack", type=to_write, metavar="FILE", help="write such a file and stop")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=to_write, help="JSON (default: $OUT/equilibrium_training.json, or only print)")
    parser.add_argument("--tiny", action="store_true", help="2,500 samples, 3 epochs, 2 seeds: does it run?")
    options = parser.parse_args()
    if options.pack:
        pack(options.pack)
        return
    warnings.filterwarnings("ignore", message="Detected call of .lr_scheduler.step")
    out = options.out or (os.environ.get("OUT") and str(Path(os.environ["OUT"]) / "equilibrium_training.json"))
    device, began, runs = torch.device(options.device), time.perf_counter(), []
    processor = platform.processor() or platform.machine()
    about = {"device": torch.cuda.get_device_name() if device.type == "cuda" else processor}
    about |= {"torch": torch.__version__, "numpy": np.__version__}
    seeds, samples = (2, 2_500) if options.tiny else (options.seeds, None)
    tasks = [TASKS[name] for name in options.task or TASKS]
    data = {task.name: load(task, options.data, device, samples) for task in tasks}
    for seed in range(seeds):
        for task in tasks:
            epochs = options.epochs or (3 if options.tiny else task.epochs)
            each = Task(**{**asdict(task), "shape": task.shape, "epochs": epochs})
            for arm in ARMS:
                if time.perf_counter() - began > options.seconds:
                    continue
                runs.append(train(each, data[task.name], arm, seed))
                if out:
                    whole = {"about": about, "summary": summary(runs), "runs": [asdict(run) for run in runs]}
                    Path(out).write_text(json.dumps(whole, indent=1) + "\n")
        show(summary(runs))
        print(f"{time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
