"""The scripts of validation/ agree with someone else's code, and notice when they should not."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "validation"
if not FOLDER.is_dir():
    pytest.skip("validation/ is not part of the source distribution", allow_module_level=True)

RUNS, STEPS, SEED = 1024, 400, 0
"""Fixed beforehand: an error bar of about 0.25 %, so that 2 % is 8 of them and chance stays within 4.4."""

pytestmark = pytest.mark.torch


def script(name):
    spec = importlib.util.spec_from_file_location(f"validation_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_scipys_lyapunov_solvers_give_the_same_covariances(capsys):
    assert script("discrete_lyapunov").main([]) == 0
    assert capsys.readouterr().out.count("exact") == 3


def test_a_covariance_wrong_by_a_millionth_disagrees_with_scipy():
    assert script("discrete_lyapunov").main(["--wrong-by=1e-6"]) == 1


@pytest.fixture(scope="module")
def torch_loop():
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    yield script("torch_loop")
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def torch_runs(torch_loop):
    return torch_loop.train(RUNS, STEPS, SEED)


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-5)  # |z| < 4.4 with 1,024 runs
def test_a_training_loop_in_torch_has_the_predicted_excess_loss(torch_loop, torch_runs):
    assert torch_loop.agree(torch_runs, STEPS)


@pytest.mark.slow
@pytest.mark.parametrize("wrong_by", [-0.02, 0.02])
def test_an_excess_loss_wrong_by_two_per_cent_disagrees_with_torch(torch_loop, torch_runs, wrong_by):
    assert not torch_loop.agree(torch_runs, STEPS, wrong_by)


@pytest.fixture(scope="module")
def harada_sasa():
    return script("harada_sasa")


@pytest.fixture(scope="module")
def bands(harada_sasa):
    return harada_sasa.measure(modes=5, chunks=8, steps=500, seed=SEED)


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-5)
def test_the_spectrum_s_excess_over_the_response_is_the_entropy_production(harada_sasa, bands):
    assert harada_sasa.agree(bands, modes=5)


@pytest.mark.slow
@pytest.mark.parametrize("wrong_by", [-0.1, 0.1])
def test_an_entropy_production_wrong_by_ten_per_cent_disagrees_with_the_spectrum(harada_sasa, bands, wrong_by):
    assert not harada_sasa.agree(bands, modes=5, wrong_by=wrong_by)


def test_a_disagreement_is_exit_code_1(torch_loop, capsys):
    assert torch_loop.main(["--runs=16", "--steps=40", "--wrong-by=2"]) == 1
    assert "DISAGREE" in capsys.readouterr().out


SAMPLERS = {"blackjax": "blackjax_sgld", "posteriors": "posteriors_samplers"}
DRAWS = "--chains=128", "--steps=12000", "--every=20", "--level=1e-6"


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-6, miss=1e-6)  # detectable below 2 %: 3 % of the variances is 11 standard errors
@pytest.mark.parametrize("library", SAMPLERS)
def test_a_library_s_sgld_passes_and_with_a_temperature_ten_per_cent_off_it_fails(library, capsys):
    pytest.importorskip(library)
    made = script(SAMPLERS[library])
    assert made.main([*DRAWS, "--temperature-off=0.1"]) == 1
    assert "NOT consistent: variances" in capsys.readouterr().out
    made.main(DRAWS)
    assert "NOT consistent" not in capsys.readouterr().out


@pytest.mark.any_seed
def test_diffusers_samples_are_those_of_the_chains(capsys):
    pytest.importorskip("diffusers")
    assert script("diffusers_samplers").main(["--samples=20"]) == 0
    assert script("diffusers_samplers").main(["--samples=20", "--wrong-by=1e-4"]) == 1
    assert capsys.readouterr().out.count("DISAGREES") == 30
