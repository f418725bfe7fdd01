"""Langevin dynamics with a step that adapts, and the measure that it keeps.

The paper is Leroy, Leimkuhler, Latz and Higham, SIAM J. Sci. Comput. 46, A3574 (2024). The law of a chain of Euler's
steps at finite step is exact in one dimension, and runs are held against it. In more dimensions, and underdamped,
chains are simulated.
"""

from .chain import Langevin
from .law import ChainLaw
from .potentials import DoubleWell, Harmonic, Narrow, Spring, SpringMonitor, Uniform
from .runs import ChainRuns
from .underdamped import Underdamped
from .verified import verify_chain

__all__ = [
    "ChainLaw",
    "ChainRuns",
    "DoubleWell",
    "Harmonic",
    "Langevin",
    "Narrow",
    "Spring",
    "SpringMonitor",
    "Underdamped",
    "Uniform",
    "verify_chain",
]
