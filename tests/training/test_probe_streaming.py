"""A loader streamed once: what comes out of any model and any batches, and what is refused."""

from __future__ import annotations

import random
import re
import weakref
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

from fluctua._half import HalfArray
from fluctua.errors import InvalidInput, TooLarge, UnknownName

torch = pytest.importorskip("torch")
ft, telling = import_module("fluctua.torch"), import_module("fluctua.torch.telling")
Keys, streamed = import_module("fluctua.torch.batches").Keys, import_module("fluctua.torch.streaming").streamed
nn, data_of_torch = torch.nn, torch.utils.data
DataLoader, Dataset, Subset = data_of_torch.DataLoader, data_of_torch.Dataset, data_of_torch.Subset

pytestmark = pytest.mark.torch
BRIEF = {"momenta": [0.0], "schedules": ["constant"], "sampling": "with_replacement", "budget": 8, "progress": False}


def pairs(samples=20, features=3, size=8, seed=0):
    """Batches of (x, y), the last one smaller."""
    x = torch.randn(samples, features, generator=torch.Generator().manual_seed(seed))
    y = torch.arange(samples) % 3
    return [(x[i : i + size], y[i : i + size]) for i in range(0, samples, size)]


def stream(source, loader, layer=None, limit=None, **keys):
    return streamed(source, loader, layer, Keys(**keys), limit, None)


def whole(found):
    kept = found.kept.whole
    return kept.float().numpy() if isinstance(kept, torch.Tensor) else kept


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.ReLU(), nn.Linear(4, 2))


def test_features_are_the_model_s_in_eval_mode_and_all_is_as_before():
    model = small()
    model[2].eval()  # a part that its user has frozen
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = stream(model, pairs())
    assert [part.training for part in model.modules()] == [True, True, True, False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        expected = torch.cat([model.eval()(x) for x, _ in pairs()])
    np.testing.assert_array_equal(whole(found), expected.numpy())
    np.testing.assert_array_equal(found.targets, np.arange(20) % 3)
    assert found.batch_size == 8
    assert not found.notes


@pytest.mark.parametrize("layer", ["0", "3"])
def test_a_layer_s_output_is_taken_and_the_hook_removed(layer):
    model = small()
    found = stream(model, pairs(), layer)
    assert not any(part._forward_hooks for part in model.modules())
    with torch.no_grad():
        expected = torch.cat([model.eval()[: int(layer) + 1](x) for x, _ in pairs()])
    np.testing.assert_array_equal(whole(found), expected.numpy())


@pytest.mark.parametrize("broken", [0, 1])
def test_an_error_leaves_the_model_as_it_was(broken):
    model, batches = small(), pairs()
    batches[broken] = (torch.randn(8, 5), batches[broken][1])
    with pytest.raises(RuntimeError) as raised:
        stream(model, batches, "3")
    assert f"batch {broken + 1} of the loader" in raised.value.__notes__[0]
    assert all(part.training for part in model.modules())
    assert not any(part._forward_hooks for part in model.modules())
    assert torch.is_grad_enabled()


def test_a_layer_of_a_convolution_is_flattened_and_no_gradient_is_kept():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 4 * 4, 3))
    batches = [(torch.randn(5, 1, 6, 6), torch.arange(5) % 2)]
    found = stream(model, batches, "1")
    assert found.shape == (2, 4, 4)
    assert whole(found).shape == (5, 32)
    assert not found.kept._held.requires_grad


class Writes(nn.Module):
    """What comes behind a layer may write into its output, as torchvision's residual networks do."""

    def __init__(self, out=lambda x: x):
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.wrapped = nn.Module()
        self.wrapped.forward = out

    def forward(self, x):
        y = self.layer(x)
        self.wrapped(y)
        nn.functional.relu(y, inplace=True)
        return y.mul_(0.0)


@pytest.mark.parametrize("out", [lambda x: x, lambda x: {"x": x}, lambda x: (x,), lambda x: x[:, :2]])
def test_a_layer_s_output_is_what_it_put_out_though_it_is_written_into(out):
    model = Writes(out)
    found = {layer: stream(model, pairs(), layer) for layer in ("layer", "wrapped")}
    with torch.no_grad():
        expected = torch.cat([model.layer(x) for x, _ in pairs()]).numpy()
    assert expected.min() < 0
    np.testing.assert_array_equal(whole(found["layer"]), expected)
    np.testing.assert_array_equal(whole(found["wrapped"]), expected[:, : whole(found["wrapped"]).shape[1]])


def test_a_frame_of_features():
    pandas = pytest.importorskip("pandas")
    x, y = torch.randn(30, 2).numpy(), pandas.Series(np.arange(30) % 3)
    one, other = (ft.probe(given, y, batch_size=4, **BRIEF) for given in (x, pandas.DataFrame(x)))
    assert one.expected_loss == other.expected_loss


class Twice(nn.Module):
    def __init__(self, times=2):
        super().__init__()
        self.used, self.unused, self.times = nn.Linear(3, 3), nn.Linear(3, 3), times

    def forward(self, x):
        for _ in range(self.times):
            x = self.used(x)
        return x


@pytest.mark.parametrize(("layer", "said"), [("used", "ran 2 times"), ("unused", "did not run")])
def test_a_layer_that_does_not_run_once_is_refused(layer, said):
    with pytest.raises(InvalidInput, match=said):
        stream(Twice(), pairs(), layer)


def test_an_unknown_layer_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'unused'"):
        stream(Twice(), pairs(), "unsed")
    with pytest.raises(InvalidInput, match=r"layer = '0' is a layer of a torch.nn.Module"):
        stream(lambda x: x, pairs(), "0")


def test_a_compiled_model_s_layer_is_seen():
    model = torch.compile(small(), backend="eager")
    assert whole(stream(model, pairs(), "0")).shape == (20, 4)


class Sentences(nn.Module):
    """Takes what a tokenizer gives, and puts out what Hugging Face's models do."""

    def forward(self, input_ids, attention_mask=None):
        assert attention_mask is not None
        return {"pooler_output": input_ids.float().mean(1, keepdim=True) * torch.ones(1, 2), "hidden": None}


def tokens(**more):
    return [
        {
            "input_ids": torch.arange(12).reshape(4, 3) + k,
            "attention_mask": torch.ones(4, 3),
            "labels": torch.arange(4) % 2,
            **more,
        }
        for k in range(3)
    ]


def test_batches_that_are_dictionaries():
    found = stream(Sentences(), tokens())
    assert whole(found)[:, 0].tolist() == [1 + 3 * row + k for k in range(3) for row in range(4)]
    assert found.targets.tolist() == [0, 1] * 6
    one = stream(lambda batch: batch["input_ids"].float(), tokens())
    assert whole(one).shape == (12, 3)
    named = stream(None, tokens(), inputs="input_ids", targets="labels")
    np.testing.assert_array_equal(whole(named), whole(one))
    image = [{"image": x, "label": y} for x, y in pairs()]
    assert whole(stream(small(), image)).shape == (20, 2)  # forward(input) has another name for it
    assert whole(stream(None, image)).shape == (20, 3)


def test_entries_that_a_model_does_not_take_are_named():
    with pytest.raises(InvalidInput, match=r"the model takes no idx. Say which entry"):
        stream(Sentences(), tokens(idx=torch.arange(4)))
    with pytest.raises(InvalidInput, match=r"input_ids, attention_mask beside the labels, and no model"):
        stream(None, tokens())


def test_longer_tuples_need_to_be_told():
    batches = [(k, x, y) for k, (x, y) in enumerate(pairs())]
    with pytest.raises(InvalidInput, match=r"has 3 parts.*targets_key=1"):
        stream(None, batches)
    assert whole(stream(None, batches, inputs=1, targets=2)).shape == (20, 3)
    with pytest.raises(InvalidInput, match=r"targets_key = 3 is no place in it"):
        stream(None, batches, targets=3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_features_keep_their_precision(dtype):
    batches = [(x.to(getattr(torch, dtype)), y) for x, y in pairs(40)]
    found = ft.probe(None, batches, **BRIEF)
    assert found.dtype == dtype
    inputs = np.asarray(found.data.inputs)
    np.testing.assert_array_equal(inputs, torch.cat([x for x, _ in batches]).float().numpy())
    assert isinstance(found.inputs, HalfArray) == (dtype == "bfloat16")
    assert dtype in repr(found)


def test_images_of_bytes_become_float32():
    batches = [((100 * x.abs()).to(torch.uint8), y) for x, y in pairs()]
    assert whole(stream(None, batches)).dtype == np.float32


def test_labels_of_every_kind():
    x = torch.randn(30, 3)
    for labels in (
        torch.arange(30) % 3,
        (torch.arange(30) % 3)[:, None],
        np.arange(30) % 3,
        [k % 3 for k in range(30)],
        list("abc") * 10,
    ):
        assert ft.probe(None, [(x, labels)], **BRIEF).problem.outputs == 3
    values = torch.randn(30, 2, dtype=torch.bfloat16)
    assert ft.probe(None, [(x, values)], **BRIEF).problem.coding.kind == "values"


def test_features_and_labels_as_two_arrays():
    x, y = torch.randn(30, 2, 2), torch.arange(30) % 3
    one, other = (
        ft.probe(features, labels, batch_size=4, **BRIEF) for features, labels in ((x, y), (x.numpy(), y.tolist()))
    )
    assert one.expected_loss == other.expected_loss
    assert (one.features, one.streamed.shape) == (4, (2, 2))
    with pytest.raises(InvalidInput, match="30 samples of features and 29 labels"):
        ft.probe(x, y[1:], **BRIEF)
    with pytest.raises(InvalidInput, match="labels must be an array too"):
        ft.probe(x, DataLoader(data_of_torch.TensorDataset(x, y), shuffle=True), **BRIEF)


class Counted(Dataset):
    """Counts how often each sample is asked for."""

    def __init__(self, samples=20):
        self.asked = np.zeros(samples, int)

    def __len__(self):
        return len(self.asked)

    def __getitem__(self, k):
        self.asked[k] += 1
        return torch.tensor([float(k), 1.0 + k % 2]), k % 2


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_loader_is_streamed_once(shuffle):
    data, model = Counted(), nn.Linear(2, 2)
    found = ft.probe(model, DataLoader(data, batch_size=8, shuffle=shuffle), **BRIEF)
    assert (data.asked == 1).all()
    assert found.sgd.batch_size == 8
    assert any("shuffles" in note for note in found.streamed.notes) == shuffle
    assert any("shuffles" in line for line in found.words.splitlines()) == shuffle


def test_a_generator_and_a_limit():
    found = stream(None, (pair for pair in pairs(100)), limit=13)
    np.testing.assert_array_equal(whole(found), np.concatenate([x for x, _ in pairs(100)])[:13])
    assert len(found.targets) == 13

    def endless():
        while True:
            yield pairs(8)[0]

    assert whole(stream(None, endless(), limit=20)).shape == (20, 3)


class Augmented(Counted):
    """Adds noise, or is told of a transform that does."""

    def __init__(self, draw=None, transform=None):
        super().__init__()
        self.draw, self.transform = draw, transform

    def __getitem__(self, k):
        x, y = super().__getitem__(k)
        return x + 0.1 * float(self.draw() if self.draw else 0), y


class RandomFlip:
    def __call__(self, x):
        return x


@pytest.mark.any_seed
@pytest.mark.parametrize("draw", [lambda: torch.randn(()), np.random.rand, random.random])
def test_a_loader_that_draws_random_numbers_is_noted(draw):
    for data in (Augmented(draw), Subset(Augmented(draw), range(20))):
        assert any("as one that augments does" in note for note in stream(None, DataLoader(data, batch_size=4)).notes)


def test_a_loader_whose_transforms_are_random_is_noted():
    data = Augmented(transform=SimpleNamespace(transforms=[RandomFlip()]))
    (note,) = stream(None, DataLoader(Subset(data, range(20)), batch_size=4)).notes
    assert "augments (RandomFlip)" in note
    assert not stream(None, DataLoader(Augmented(transform=np.abs), batch_size=4)).notes


def test_features_that_are_random_in_eval_mode_are_noted():
    found = stream(lambda x: nn.functional.dropout(x, 0.5), pairs())
    assert any("features draw random numbers" in note for note in found.notes)


def test_samples_that_come_twice_and_samples_that_are_dropped_are_noted():
    data = Counted()
    for sampler in (
        data_of_torch.WeightedRandomSampler(torch.ones(20), 20),
        data_of_torch.RandomSampler(data, replacement=True),
    ):
        (note,) = stream(None, DataLoader(data, batch_size=4, sampler=sampler)).notes
        assert "with replacement" in note
    (note,) = stream(None, DataLoader(data, batch_size=8, drop_last=True)).notes
    assert "4 samples were not seen" in note


BAD = float("nan")
REFUSED = {
    "an empty loader": (None, [], "gave no batch"),
    "no loader": (None, 3, "must be an iterable of batches"),
    "a name": (None, "features.pt", "must be an iterable of batches"),
    "inputs alone": (None, [torch.randn(4, 3)], r"one array of shape \(4, 3\), and a probe needs labels"),
    "a tuple of one": (None, [(torch.randn(4, 3),)], r"has one part, and \(inputs, labels\) was expected"),
    "a dictionary without labels": (None, [{"x": torch.randn(4, 3)}], "a probe needs labels, such as"),
    "rows that do not match": (None, [(torch.randn(4, 3), torch.arange(5))], "4 rows of features.*and 5 labels"),
    "samples, not batches": (None, [(torch.randn(3), 1)], "these are samples and no batches"),
    "a changing width": (None, [(torch.randn(4, k), torch.arange(4)) for k in (3, 2)], "batch 2 has 2 features"),
    "a changing precision": (
        None,
        [(torch.randn(4, 3, dtype=kind), torch.arange(4)) for kind in (torch.float32, torch.float64)],
        "batch 2 has features in float64, and those before were in float32",
    ),
    "changing labels": (
        None,
        [(torch.randn(4, 3), torch.randn(4, k)) for k in (1, 2)],
        r"labels of batch 2 have the shape \(4, 2\)",
    ),
    "NaN": (None, [pairs()[0], (torch.tensor([[1.0], [BAD]]).expand(2, 3), torch.arange(2))], "nan of sample 9"),
    "an overflow of float16": (
        None,
        [(torch.full((4, 3), 1e6).half(), torch.arange(4))],
        "inf of sample 0.*float16 ends at 65,504: use bfloat16",
    ),
    "complex numbers": (lambda x: x + 1j, pairs(), "complex64, and real numbers were expected"),
    "several tensors": (lambda x: (x, x[:, :1]), pairs(), r"of 2 tensors: 0 \(8, 3\), 1 \(8, 1\)"),
    "no tensor": (lambda _: None, pairs(), "NoneType, and a tensor was expected"),
    "one number": (lambda x: x.sum(), pairs(), r"have the shape \(\), and a row for each sample"),
    "a class": (nn.ReLU, pairs(), "is the class ReLU: give an instance"),
    "no model": (3, pairs(), "features_or_model must be"),
    "an empty batch": (None, [(torch.zeros(0, 3), torch.arange(0))], "a row for each sample was expected"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_in_words(name):
    source, loader, said = REFUSED[name]
    with pytest.raises(InvalidInput, match=re.compile(said, re.DOTALL)):
        ft.probe(source, loader, **BRIEF)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"loss": "hinge"}, "unknown loss 'hinge'"),
        ({"epochs": 3}, "the budget is given twice"),
        ({"budget": 0}, "budget must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"bias": 1}, "bias must be True or False"),
        ({"limit": 1}, "limit must be at least 2"),
        ({"progress": 3}, "progress must be a function"),
    ],
)
def test_options_are_refused_before_the_loader_is_touched(options, said):
    def never():
        raise AssertionError
        yield

    with pytest.raises(InvalidInput, match=said):
        ft.probe(None, never(), **{**BRIEF, **options})


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(InvalidInput, match="batch"):
        ft.probe(None, pairs(), **{**BRIEF, "sampling": "shuffle"}, batch_size=21)


def test_what_would_not_fit_is_refused_at_the_first_batch(monkeypatch):
    monkeypatch.setattr("fluctua._validate.sizes.available_bytes", lambda: 2.0**27)
    taken = []

    class Large(Dataset):
        def __len__(self):
            return 10**6

        def __getitem__(self, k):
            taken.append(k)
            return torch.zeros(512), k % 2

    with pytest.raises(TooLarge, match=r"1,000,000 samples of 512 features in float32 would take about"):
        stream(None, DataLoader(Large(), batch_size=4))
    assert len(taken) == 4
    batches = [(torch.zeros(4, 512), torch.arange(4))] * 250_000
    with pytest.raises(TooLarge, match="1,000,000 samples"):  # a list says how many there are, too
        stream(None, batches)


def test_features_are_copied_and_batches_let_go():
    kept = []

    def model(x):
        kept.append(weakref.ref(out := x * 2))
        return out

    found = stream(model, pairs())
    assert whole(found).shape == (20, 3)
    assert not any(each() is not None for each in kept[:-1])


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_told_after_two_seconds(monkeypatch, capsys, terminal):
    clock = iter(np.arange(0.0, 1000.0, 1.5))
    monkeypatch.setattr(telling.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    with telling.told(True) as report:
        report("features", 0.1)
        assert not capsys.readouterr().err
        report("features", 0.2)
        assert "features: 20% after 3 s" in capsys.readouterr().err
    with telling.told(False) as report:
        report("features", 0.5)
    shares = []
    with telling.told(shares.append) as report:
        report("plan", 0.5)
    assert shares == [0.5]
