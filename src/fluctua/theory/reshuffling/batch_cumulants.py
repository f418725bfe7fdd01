"""How batches of one epoch depend on one another, as they share no sample: F41 and F42."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BatchCumulants"]


@dataclass(frozen=True)
class BatchCumulants:
    """Joint cumulants of the means of batches of one epoch, in units of a sample's.

    Parameters
    ----------
    population : int
        N, the number of samples that batches are drawn from.
    """

    population: int

    @property
    def eps(self) -> float:
        """F41: 1/(N - 1); the covariance of two batches is -eps times a sample's."""
        return 1 / (self.population - 1)

    def variance(self, size: int) -> float:
        """F41: (1 + eps)/b, the variance of a batch of `size` less the covariance of two batches."""
        return (1 + self.eps) / size

    @property
    def three(self) -> float:
        """F42: c_3, the third cumulant of three batches."""
        return 2 * self.eps / max(self.population - 2, 1)

    def two(self, size: int) -> float:
        """F42: c_2(b), the third cumulant of a batch of `size`, twice, and another one."""
        return ((size - 1) * self.three - self.eps) / size

    def four(self, size: int, other: int) -> float:
        """F42: c_4(b, b'), the fourth cumulant of two batches of these sizes, each of them twice."""
        return -self.eps / (size * other)
