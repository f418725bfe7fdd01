"""What a local picture of a network refuses, and what it says."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest

import fluctua as fl

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch
torch.set_num_threads(1)

import fluctua.torch as ft  # noqa: E402  (needs torch)
from fluctua.errors import InvalidInput, NotConverged, OutsideBowl, UnknownName  # noqa: E402

nn = torch.nn
DECAY = 0.02


def data(samples=40):
    torch.manual_seed(0)
    return torch.randn(samples, 3).double(), torch.randint(2, (samples,))


def network(*between):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), *between, nn.Linear(4, 2)).double()


def refused(said, model=None, loss="cross_entropy", loader=None, error=InvalidInput, **options):
    with pytest.raises(error, match=said):
        ft.local(
            network(nn.Tanh()) if model is None else model, loss, [data()] if loader is None else loader, **options
        )


@pytest.mark.parametrize("module", [nn.Dropout(0.5), nn.BatchNorm1d(4), nn.RReLU(), nn.AlphaDropout(0.1)])
def test_modules_in_training_mode(module):
    refused(rf"1 is a {type(module).__name__} in training mode.*model.eval\(\)", network(module))


def test_batch_norm_and_dropout_in_eval_mode_are_taken():
    model = network(nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.5)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ft.minimise(model, "cross_entropy", [data()], weight_decay=0.1)
    found = ft.local(model, "cross_entropy", [data()], top=4, weight_decay=0.1)
    assert (found.curvatures > 0).all()
    assert torch.equal(model[1].running_mean, before["1.running_mean"])


def test_batch_norm_without_running_statistics():
    refused("without running statistics", network(nn.BatchNorm1d(4, track_running_stats=False)).eval())


def test_a_model_that_is_none_or_has_nothing_to_train():
    refused("must be a torch.nn.Module", lambda x: x)
    refused("no parameter that trains", network(nn.Tanh()).requires_grad_(False))


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_reductions_other_than_the_mean(reduction):
    refused(f"reduction = '{reduction}'", loss=nn.CrossEntropyLoss(reduction=reduction))


def test_a_loss_that_sums_over_samples_without_saying_so():
    refused(
        "a sum over samples. Use reduction='mean'",
        loss=lambda out, y: nn.functional.cross_entropy(out, y, reduction="sum"),
    )
    refused("must be one real number", loss=lambda out, y: nn.functional.cross_entropy(out, y, reduction="none"))


def test_a_loss_that_is_no_mean_over_samples():
    refused("no mean over samples", loss=nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]).double()))
    refused("no mean over samples", loss=lambda out, y: nn.functional.cross_entropy(out - out.mean(0), y))


def test_a_loss_that_is_no_mean_over_the_last_samples():
    """Which come in the order of their classes, or are left out at the end."""
    x, y = data(2000)
    for loss, labels in (
        (nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]).double()), torch.arange(2000) // 1990),
        ("cross_entropy", torch.where(torch.arange(2000) > 1997, -100, y)),
    ):
        refused("no mean over samples", loss=loss, loader=[(x, labels)])
        with pytest.raises(InvalidInput, match="no mean over samples"):
            ft.minimise(network(nn.Tanh()), loss, [(x, labels)])


def test_parameters_without_values_and_of_sixteen_bits():
    for model in (nn.LazyLinear(2), nn.Linear(3, 2, device="meta")):
        refused("a parameter has no values yet", model)
    for kind, bits in ((torch.bfloat16, "bfloat16"), (torch.float16, "float16")):
        half = network(nn.Tanh()).to(kind)
        refused(f"are in {bits}, whose rounding", half)
        refused("dtype must be torch.float64, torch.float32 or None", half, dtype=kind)
        with pytest.raises(InvalidInput, match=r"model.float\(\)"):
            ft.minimise(half, "cross_entropy", [data()])
        refused("at no minimum", half, dtype=torch.float64)


def test_a_random_loss():
    refused("the loss is random", loss=lambda out, y: nn.functional.cross_entropy(nn.functional.dropout(out), y))


def test_a_loss_that_does_not_fit_or_is_unknown():
    refused("could not be computed", loss="mse", loader=[(data()[0], torch.randn(40, 7).double())])
    refused("Did you mean 'cross_entropy'", loss="crossentropy", error=UnknownName)
    refused("loss must be a function", loss=nn.CrossEntropyLoss)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.out = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, dropout=0.0), nn.Linear(4, 2)

    def forward(self, x):
        return self.out(self.layer(x).mean(1))


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.slow
def test_attention_is_taken_where_it_has_a_second_derivative():
    torch.manual_seed(0)
    model, given = Attention().double().eval(), (torch.randn(20, 3, 4).double(), torch.randint(2, (20,)))
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert np.isfinite(ft.minimise(model, "cross_entropy", [given], weight_decay=0.1, gradient=1e-4).loss)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION):
        refused("no second derivative .*SDPBackend.MATH", model, loader=[given], weight_decay=0.1)


def test_loaders_that_are_empty():
    refused("the loader is empty", loader=[])
    refused("the loader is empty", loader=[(torch.zeros(0, 3).double(), torch.zeros(0).long())])
    spent = iter([data()])
    next(spent)
    refused("read once", loader=spent)


def test_loaders_that_hold_what_is_not_finite():
    x, y = data()
    x[3, 1] = float("nan")
    refused("the inputs of batch 0 .* not finite", loader=[(x, y)])
    infinite = [(data()[0], torch.full((40, 2), value).double()) for value in (0.0, float("inf"))]
    refused("the targets of batch 1 .* not finite", loss="mse", loader=infinite)


@pytest.mark.parametrize(
    "batch", ["ab", torch.zeros(4, 3), (torch.zeros(4, 3),), (torch.zeros(4, 3), torch.zeros(5)), {"x": 1}]
)
def test_batches_that_are_no_pair(batch):
    refused("batch 0 of the loader", loader=[batch])


def test_loaders_that_are_none():
    refused("loader must yield batches", loader=torch.zeros(3))
    refused("loader must yield batches", loader=3)


def test_a_random_loader():
    class Noisy(torch.utils.data.Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, i):
            return data()[0][i] + torch.tensor(np.random.default_rng().normal()), data()[1][i]

    refused("the loader is random", loader=torch.utils.data.DataLoader(Noisy(), batch_size=8))
    kept = torch.utils.data.TensorDataset(*data(41))
    refused("drop_last", loader=torch.utils.data.DataLoader(kept, batch_size=10, shuffle=True, drop_last=True))


def test_more_directions_than_parameters():
    refused("at most the 26 parameters that train, got 27", top=27)
    refused("top must be at least 1", top=0)


def test_weights_that_are_at_no_minimum():
    refused(r"at no minimum: the gradient .*fluctua.torch.minimise")
    diverged = network(nn.Tanh())
    with torch.no_grad():
        diverged[0].weight[0, 0] = float("nan")
    refused("has diverged", diverged)


def test_a_saddle_is_said_and_its_directions_are_left_out_by_their_curvature():
    model = network(nn.Tanh())
    with torch.no_grad():
        for value in model.parameters():
            value.zero_()
    y = torch.tensor([0, 1] * 20)
    x = torch.cat([data()[0][:20], data()[0][:20]])[torch.arange(40).view(2, 20).T.flatten()]
    x = x + 0.5 * y[:, None]  # hidden units that all are zero have no gradient, and would help
    model[2].bias.data.zero_()
    found = ft.local(model, "cross_entropy", [(x, y)], top=26)
    assert found.saddle
    assert found.left_out.min() == pytest.approx(found.lowest_curvature)
    assert len(found.curvatures) + len(found.left_out) == 26
    assert "a saddle" in repr(found)
    with pytest.raises(InvalidInput, match="at a saddle: the Hessian has an eigenvalue of -"):
        found.predict(fl.SGD(lr=0.1, batch_size=4))
    assert found.predict(fl.SGD(lr=0.1, batch_size=4), check_stability=False).excess_loss >= 0


@pytest.fixture(scope="module")
def settled():
    model = network(nn.Tanh())
    ft.minimise(model, "cross_entropy", [data()], weight_decay=DECAY)
    return ft.local(model, "cross_entropy", [data()], top=10, weight_decay=DECAY)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"weight_decay": 0.0}, "its place depends on it"),
        ({"sampling": "shuffle"}, "independent batches"),
        ({"sampling": fl.WeightedSampling(np.arange(1.0, 41.0))}, "WeightedSampling is not covered"),
        ({"batch_size": 41, "sampling": "without_replacement"}, "41"),
    ],
)
def test_recipes_that_are_not_covered(settled, options, said):
    sgd = fl.SGD(**{"lr": 0.01, "batch_size": 4, "weight_decay": DECAY, **options})
    for asked in (
        lambda: fl.predict(settled, sgd),
        lambda: settled.measure(sgd, steps=2),
        lambda: fl.max_stable_lr(settled, sgd),
    ):
        with pytest.raises(InvalidInput, match=said):
            asked()


def test_the_verbs_take_a_network_and_others_say_which_do(settled):
    sgd = fl.SGD(lr=0.01, batch_size=4, weight_decay=DECAY)
    assert fl.predict(settled, sgd).excess_loss == settled.predict(sgd).excess_loss
    assert fl.max_stable_lr(settled, sgd) == settled.predict(sgd).max_stable_lr
    with pytest.raises(InvalidInput, match=r"LocalNetwork is taken by .*fluctua.predict"):
        fl.verify(settled, sgd, steps=10)
    with pytest.raises(UnknownName, match="theory"):
        fl.predict(settled, sgd, theory="exact")


def test_a_floor_where_the_loss_is_not_quadratic(settled):
    limit = fl.max_stable_lr(settled, fl.SGD(lr=0.01, batch_size=1, weight_decay=DECAY))
    assert limit.method == "local"
    above = fl.SGD(lr=1.01 * limit, batch_size=1, weight_decay=DECAY)
    with pytest.raises(OutsideBowl) as refusal:
        fl.predict(settled, above)
    assert refusal.value.max_stable_lr == limit
    assert np.isinf(fl.predict(settled, above, check_stability=False).excess_loss)
    near = fl.SGD(lr=0.97 * limit, batch_size=1, weight_decay=DECAY)
    bent = fl.predict(settled, near, check_stability=False)
    meters = (bent.anharmonicity, bent.anharmonicity_error), (bent.noise_anharmonicity, bent.noise_anharmonicity_error)
    outside = [value for value, error in meters if abs(value) > 0.3 or error > 0.15]
    with pytest.raises(OutsideBowl) as refusal:
        fl.predict(settled, near)
    assert refusal.value.anharmonicity == outside[0]


def test_a_loss_without_a_minimum_is_not_minimised_and_has_no_picture():
    with pytest.raises(NotConverged, match="weight_decay > 0"):
        ft.minimise(nn.Linear(3, 2).double(), lambda outputs, _: outputs.mean(), [data()], rounds=30)
    separable = data()[0], (data()[0][:, 0] > 0).long()
    model = nn.Linear(3, 2).double()
    with suppress(NotConverged):
        ft.minimise(model, "cross_entropy", [separable], rounds=30)
    refused("weight_decay", model, loader=[separable], top=4)


def test_a_network_that_fits_every_sample_does_not_fluctuate():
    model, x = nn.Linear(3, 2, bias=False).double(), data()[0]
    target = x @ torch.randn(3, 2).double()
    ft.minimise(model, "mse", [(x, target)], gradient=1e-13)
    found = ft.local(model, "mse", [(x, target)], top=6)
    assert fl.predict(found, fl.SGD(lr=0.01, batch_size=4)).excess_loss == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("record", [[0, 3], [11], []])
def test_steps_that_are_not_of_the_run(settled, record):
    with pytest.raises(InvalidInput, match="record"):
        settled.measure(fl.SGD(lr=0.01, batch_size=4, weight_decay=DECAY), steps=10, record=record)
