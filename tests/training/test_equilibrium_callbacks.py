"""The callbacks of docs/monitor.md as they stand there, called by Lightning and by Hugging Face's Trainer."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import fluctua.torch  # noqa: E402

pytestmark = pytest.mark.torch
PAGE = Path(__file__).parents[2] / "docs" / "monitor.md"
STEPS, CUT = 3200, 3088
"""What the page's runs last, and the look at which they have come to rest."""


def callback(name, base):
    """The class of that name in the page, made one of the library's callbacks."""
    shown = {"torch": torch, "fluctua": fluctua}
    for example in doctest.DocTestParser().get_examples(PAGE.read_text()):
        if example.source.startswith(f"class {name}:"):
            exec(example.source, shown)
    return type(name, (shown[name], base), {})()


def pairs():
    drawn = torch.Generator().manual_seed(0)
    x = torch.randn(512, 4, generator=drawn)
    noise = torch.randn(512, 1, generator=drawn)
    return torch.utils.data.TensorDataset(x, x @ torch.tensor([[1.0], [2.0], [0.0], [-1.0]]) + noise)


def loader():
    torch.manual_seed(1)
    return torch.utils.data.DataLoader(pairs(), batch_size=16, shuffle=True)


def of_lightning(automatic):
    """A linear model of Lightning's, which steps its optimizer itself or lets the Trainer do it."""
    pytorch = importlib.import_module("lightning.pytorch")

    class Model(pytorch.LightningModule):
        automatic_optimization = automatic

        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(4, 1)

        def training_step(self, batch, _):
            loss = torch.nn.functional.mse_loss(self.linear(batch[0]), batch[1])
            if not automatic:
                optimizer = self.optimizers()
                optimizer.zero_grad()
                self.manual_backward(loss)
                optimizer.step()
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.05)

    return Model()


def is_cut_once_and_in_time(cuts, step):
    assert cuts.monitor._steps == step
    (cut,) = cuts.scheduler.cuts
    assert cut.look.state == "equilibrated"
    assert cut.look.step <= CUT
    assert {round(each, 9) for each in cuts.scheduler.get_last_lr()} == {0.005}


@pytest.mark.parametrize("automatic", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_lightnings_trainer_calls_the_callback(automatic, tmp_path):
    pytorch = pytest.importorskip("lightning.pytorch")
    cuts = callback("Cuts", pytorch.Callback)
    names = "logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"
    quiet = dict.fromkeys(names, False)
    trainer = pytorch.Trainer(accelerator="cpu", max_steps=STEPS, callbacks=[cuts], default_root_dir=tmp_path, **quiet)
    trainer.fit(of_lightning(automatic), loader())
    is_cut_once_and_in_time(cuts, STEPS)


@pytest.mark.filterwarnings("ignore")
def test_hugging_faces_trainer_calls_the_callback(tmp_path):
    pytest.importorskip("accelerate")
    transformers = pytest.importorskip("transformers")

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(4, 1)

        def forward(self, x, labels):
            found = self.linear(x)
            return {"loss": torch.nn.functional.mse_loss(found, labels), "logits": found}

    rows = [{"x": x, "labels": y} for x, y in pairs()]
    cuts = callback("TrainerCuts", transformers.TrainerCallback)
    options = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=STEPS,
        per_device_train_batch_size=16,
        learning_rate=0.05,
        optim="sgd",
        lr_scheduler_type="constant",
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    transformers.Trainer(model=Model(), args=options, train_dataset=rows, callbacks=[cuts]).train()
    is_cut_once_and_in_time(cuts, STEPS)
