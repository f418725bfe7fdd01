"""When two arrays agree."""

import numpy as np


def close(found, expected, rtol=1e-10):
    """Agreement in the largest element: cancellation leaves the small ones to rounding."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    return bool(np.abs(found - expected).max() <= rtol * np.abs(expected).max())  # NaN is not close
