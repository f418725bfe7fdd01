"""fluctua in PyTorch's training loop: `import fluctua.torch`; needs `pip install 'fluctua[torch]'`.

Everything attaches through torch's public hooks. The core neither imports nor needs torch.
"""

from importlib import import_module
from typing import Any

from .._optional import needed

needed("torch", "fluctua.torch")

__all__ = [
    "EquilibriumLR",
    "EquilibriumMonitor",
    "LocalNetwork",
    "Minimised",
    "NetworkPrediction",
    "NetworkRuns",
    "Probe",
    "local",
    "minimise",
    "probe",
]

_LATER = {
    "EquilibriumLR": "scheduler",
    "EquilibriumMonitor": "monitor",
    "LocalNetwork": "networks",
    "NetworkPrediction": "network_prediction",
    "Minimised": "minima",
    "NetworkRuns": "network_runs",
    "Probe": "probing",
    "local": "local_picture",
    "minimise": "minima",
    "probe": "probing",
}
"""Public names and their modules: loaded where they are asked for."""


def __dir__() -> list[str]:
    """The public names, and no module that was imported on the way."""
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """Return what is loaded where it is asked for."""
    if name not in _LATER:
        names = ", ".join(sorted(__all__))
        raise AttributeError(f"module 'fluctua.torch' has no attribute {name!r}; its names: {names}")
    globals()[name] = found = getattr(import_module(f".{_LATER[name]}", __name__), name)
    return found
