"""How each recipe's step is done in torch."""

from __future__ import annotations

from functools import singledispatch

from ..quasi_hyperbolic import QHM
from ..sgd import SGD, Recipe
from .layout import assigned, options

__all__ = ["optimizer"]

_QHM = '''

class QHM(torch.optim.Optimizer):
    """Quasi-hyperbolic momentum (arXiv:1810.06801)."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            momentum, nu = group["momentum"], group["nu"]
            for p in group["params"]:
                g = p.grad + group["weight_decay"] * p
                buf = self.state[p].setdefault("buf", torch.zeros_like(p))
                buf.mul_(momentum).add_(g, alpha=1 - momentum)
                p.sub_((1 - nu) * g + nu * buf, alpha=group["lr"])

'''


@singledispatch
def optimizer(sgd: Recipe) -> list[str]:
    """Return the lines that make the optimizer of a `model`."""
    raise NotImplementedError(type(sgd).__name__)


@optimizer.register
def _(sgd: SGD) -> list[str]:
    names = ("momentum", "dampening", "nesterov") if sgd.momentum else ()
    given = {name: getattr(sgd, name) for name in ("weight_decay", *names) if getattr(sgd, name)}
    return assigned(
        f"optimizer = torch.optim.SGD({', '.join(['model.parameters()', *options({'lr': sgd.lr, **given})])})"
    )


@optimizer.register
def _(sgd: QHM) -> list[str]:
    given = options({name: getattr(sgd, name) for name in ("lr", "momentum", "nu", "weight_decay")})
    held = ", ".join(part.replace("=", '": ', 1).join(('"', "")) for part in given)
    return [*_QHM.split("\n"), *assigned(f"optimizer = QHM(model.parameters(), {{{held}}})")]
