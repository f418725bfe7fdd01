"""Executors that are handed in: processes of this machine, by joblib, and workers of a cluster, by Dask."""

from .entry import cluster
from .moments_of import moments
from .passes import batches

__all__ = ["batches", "cluster", "moments"]
