"""float32 and float64 data have the same shuffled epochs, to the rounding of products over samples."""

import numpy as np
import pytest

import fluctua as fl

RNG = np.random.default_rng


@pytest.mark.parametrize(("lr", "size", "momentum"), [(0.03, 8, 0.0), (0.1, 4, 0.0), (0.002, 10, 0.9)])
def test_ordinary_features_have_a_floor_in_either(lr, size, momentum):
    inputs, labels = RNG(7).normal(size=(300, 20)), RNG(8).integers(0, 3, 300)
    recipe = fl.SGD(lr, size, sampling="shuffle", momentum=momentum)
    double, single = (
        fl.predict(fl.LeastSquares(inputs.astype(dtype), labels), recipe).excess_loss
        for dtype in (np.float64, np.float32)
    )
    assert single == pytest.approx(double, rel=3e-4)


@pytest.mark.slow
@pytest.mark.any_seed
def test_a_model_that_fits_exactly_has_the_limit_of_its_expansion():
    """Random epochs, all of whose maps are known, against the expansion, which has no noise to see a limit by."""
    from fluctua.theory.reshuffling.limit import _expanded, epoch_limit

    rng = RNG(0)
    problem = fl.LeastSquares(rng.normal(size=(60, 80)), rng.normal(size=60))
    recipe = fl.SGD(1.0, 8, sampling="shuffle")
    listed = epoch_limit(problem, recipe)
    assert listed.method == "random epochs"
    expanded = _expanded(problem, recipe)
    assert float(expanded) == pytest.approx(float(listed), rel=0.03)
