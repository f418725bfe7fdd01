"""The terms of docs/shuffle.md as sums over steps and samples, without nodes or closed forms.

Knows every sample's g_i and B_i (F40), and m and f of the kernel. For a handful of samples in a handful of batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

import fluctua as fl
from fluctua.theory.law import Law
from fluctua.theory.local.head_shuffle import twin_epochs
from fluctua.theory.reshuffling.memory import EpochMoments
from helpers import softmax_twin

RECIPES = {
    "plain": fl.SGD(0.1, 2, weight_decay=0.3, sampling="shuffle"),
    "whole batches": fl.SGD(0.1, 2, sampling="shuffle", drop_last=True),
    "oscillating": fl.SGD(0.1, 2, momentum=0.8, weight_decay=0.3, sampling="shuffle"),
    "nesterov": fl.SGD(0.02, 2, momentum=0.5, nesterov=True, weight_decay=0.3, sampling="shuffle"),
}


@dataclass(frozen=True, eq=False)
class Reshuffled:
    """One epoch of one recipe on eleven samples, and what is left of any moments along it."""

    sgd: fl.SGD

    outputs = 2

    @cached_property
    def problem(self):
        rng = np.random.default_rng(5)
        return fl.LeastSquares(rng.normal(size=(11, 3)), rng.normal(size=(11, 2)))

    @cached_property
    def law(self):
        return Law(self.problem, self.sgd, "exact").shuffle

    @cached_property
    def moments(self):
        """Second moments and means of the components before every batch and at the end: any."""
        draws = self._components(np.random.default_rng(6).normal(size=(len(self.sizes) + 1, 9, len(self.m))))
        return EpochMoments(draws.swapaxes(1, 2) @ draws, draws[:, : self.outputs])

    def _components(self, drawn):
        """Values of the components: in a mode that oscillates a pair of conjugates."""
        if not np.iscomplexobj(self.m):
            return drawn
        first, second = np.split(drawn, 2, axis=-1)
        between = np.where(self.m[:3].imag, 1j * second, 0)
        return np.concatenate([first + between, np.where(self.m[:3].imag, first, second) - between], axis=-1)

    # -- the kernel and the samples ---------------------------------------------------------------------------------

    @cached_property
    def sizes(self):
        return self.sgd.batch_sizes(11).tolist()

    @cached_property
    def m(self):
        decay = self.law.kernel.decay
        return decay if decay.imag.any() else decay.real

    @cached_property
    def f(self):
        drive = self.law.kernel.drive
        return np.full(len(self.m), -self.sgd.lr) if drive is None else drive if drive.imag.any() else drive.real

    def columns(self, matrix):
        """Components of the last axis summed."""
        return sum(np.split(matrix, len(self.m) // 3, axis=-1))

    def rows(self, matrix):
        return self.columns(matrix.T).T.real

    def tiled(self, matrix):
        return np.concatenate([matrix] * (len(self.m) // 3))

    def response(self, lag):
        """P_u."""
        return np.diag(self.columns(self.f * self.m**lag).real)

    def sigma(self, time):
        return sum((self.f * self.m**u for u in range(time)), 0 * self.m)

    def y(self, time):
        return np.diag(self.columns(self.sigma(time)).real)

    @cached_property
    def b(self):
        z = self.problem.projections
        return z[:, :, None] * z[:, None, :] - np.diag(self.problem.curvatures)

    @cached_property
    def g(self):
        minimum = self.problem.minimum(self.sgd.weight_decay)
        gradients = minimum.residuals[:, :, None] * self.problem.projections[:, None, :]
        return gradients - gradients.mean(axis=0)

    def noise(self, mean):
        """D_i at E V."""
        return self.g + mean @ self.b

    def products(self, covariance, mean):
        """E[D_i(V)^T D_i(V')] of every sample, for E[V^T V'] and E V = E V'."""
        g, b, shift = self.g, self.b, mean @ self.b
        linear = np.einsum("nci,ncj->nij", g, shift)
        return np.einsum("nci,ncj->nij", g, g) + linear + linear.swapaxes(1, 2) + b @ covariance @ b

    def k(self, matrix):
        return (self.b @ matrix @ self.b).mean(axis=0)

    def third(self, covariance, mean, lag):
        return (self.products(covariance, mean) @ self.response(lag) @ self.b).mean(axis=0)

    # -- F41, F42 ---------------------------------------------------------------------------------------------------

    eps, three = 1 / 10, 2 / (10 * 9)

    def two(self, size):
        return ((size - 1) * self.three - self.eps) / size

    # -- the source and the averages --------------------------------------------------------------------------------

    def s(self, time):
        return self.rows(self.columns(self.moments.states[time]))

    def mean(self, time):
        return self.columns(self.moments.means[time]).real

    def source(self, time):
        return self.products(self.s(time), self.mean(time)).mean(axis=0)

    @cached_property
    def average_source(self):
        return np.mean([self.source(t) for t in range(len(self.sizes))], axis=0)

    @cached_property
    def average_state(self):
        return self.moments.states[:-1].mean(axis=0)

    def state_on_path(self, time):
        """The average state, with E s^T E s of this time in the place of its average."""
        squares = [mean.T @ mean for mean in self.moments.means[:-1]]
        return self.average_state + squares[time] - np.mean(squares, axis=0)

    # -- F44 to F49 -------------------------------------------------------------------------------------------------

    def between(self, time, then):
        """E[s(t)^T V(t')]."""
        decayed = (self.m ** (time - then))[:, None] * self.columns(self.moments.states[then])
        return decayed - self.eps * self.sigma(time - then)[:, None] * self.tiled(self.average_source @ self.y(then))

    def anticorrelated_noise(self, time):
        terms = [(self.f * self.m**u)[:, None] * self.tiled(self.source(time)) for u in range(time)]
        average = [(self.f * self.m**u)[:, None] * self.tiled(self.average_source) for u in range(time)]
        return -self.eps * (sum(terms) - sum(average))

    def anticorrelated_feedback(self, time):
        out = 0
        for then in range(time):
            change = self.k(self.rows(self.between(time, then)).T) - self.k(self.s(time))
            moved = np.einsum("nij,ncj->nic", self.b, (self.mean(then) - self.mean(time))[None])
            change += np.einsum("nic,nck->ik", moved, self.g) / len(self.g)
            out = out + (self.f * self.m ** (time - 1 - then))[:, None] * self.tiled(change)
        return -self.eps * out

    def anticorrelated_curvature(self, time):
        terms = [self.between(time, then) @ self.k(self.response(time - 1 - then)) for then in range(time)]
        return -self.eps * sum(terms)

    def correction(self, time):
        """Xi(t)."""
        out = np.zeros((len(self.m), 3), self.m.dtype)
        for v in range(time):
            for w in range(v):
                felt = self.tiled(self.k(self.response(v - 1 - w)) @ self.y(w))
                out -= self.eps * (self.f * self.m ** (time - 1 - v))[:, None] * felt
        return out

    def corrected_response(self, time):
        return -self.eps * self.correction(time) @ self.average_source

    def third_cumulant(self, time):
        """D twice, at t and at one of t' and t'', and B at the other or at t."""
        out = np.zeros((len(self.m), 3), self.m.dtype)
        for one in range(time):
            driven = (self.f * self.m ** (time - 1 - one))[:, None]
            for other in range(time):
                out += self.three * driven * self.tiled(self.felt_twice(one, other, self.response(time - 1 - other)))
                if one == other:
                    s = self.rows(self.columns(self.state_on_path(one)))
                    found = self.tiled(self.third(s, self.mean(one), time - 1 - other))
                    out += (self.two(self.sizes[0]) - self.three) * driven * found
                if other < one:
                    found = self.felt_twice(time, other, self.response(one - 1 - other)).T
                    out += self.three * driven * self.tiled(found)
        return out

    def felt_twice(self, one, other, response):
        """<D_i^T D_i' P B_i>, on the path of the mean at two times."""
        felt = self.noise(self.mean(other)) @ response @ self.b
        return np.einsum("nci,ncj->ij", self.noise(self.mean(one)), felt) / len(self.g)

    def shifted_mean(self, time):
        shift = self.noise_curvature(time) + self.third_shift([self.mean(then) for then in range(time)])
        return self.moments.means[time].T @ shift

    # -- F50, F51 ---------------------------------------------------------------------------------------------------

    def noise_third_cumulant(self, time):
        out = np.zeros((3, 3))
        for then in range(time):
            state = self.columns(self.state_on_path(then))
            left = self.rows((self.m ** (time - then))[:, None] * state)
            out += self.two(self.sizes[time]) * self.third(left, self.mean(then), time - 1 - then)
        return out + out.T

    def noise_fourth_cumulant(self, time):
        products = self.products(self.rows(self.columns(self.state_on_path(time))), self.mean(time))
        beyond, out = products - products.mean(axis=0), np.zeros((3, 3))
        for lag in range(time):
            felt = self.b @ self.response(lag)
            out -= self.eps / self.sizes[time] / self.sizes[0] * (felt @ beyond @ felt.swapaxes(1, 2)).mean(axis=0)
        return out

    # -- F52 to F54 -------------------------------------------------------------------------------------------------

    def noise_curvature(self, time):
        total = self.y(time) + self.rows(self.correction(time)).T
        return -self.eps * (self.g @ total @ self.b).mean(axis=0)

    def third_shift(self, means):
        """F53 after batches before which E V were `means`."""
        out, time = np.zeros((self.outputs, 3)), len(means)
        for one in range(time):
            for other in range(one):
                felt = self.response(one - 1 - other) @ self.b @ self.response(time - 1 - one) @ self.b
                out += self.three * (self.noise(means[other]) @ felt).mean(axis=0)
        return out

    def drift(self, means, time):
        return -self.eps * sum(means[then] @ self.k(self.response(time - 1 - then)) for then in range(time))

    def follow(self, start):
        """E of the components before every batch and at the end, step by step, from F53 on the path of a first pass."""
        decayed = [start * self.m**time for time in range(len(self.sizes) + 1)]
        return self.followed(start, self.followed(start, decayed))

    def followed(self, start, path):
        path, means = [self.columns(mean).real for mean in path], [start]
        for time in range(len(self.sizes)):
            seen = [self.columns(mean).real for mean in means]
            shift = self.noise_curvature(time) + self.third_shift(path[:time]) + self.drift(seen, time)
            means.append(means[-1] * self.m + self.f * np.concatenate([shift] * (len(self.m) // 3), axis=1))
        return np.array(means)

    # -- F43 --------------------------------------------------------------------------------------------------------

    def correlation(self, time):
        """N1."""
        if not time:
            return np.zeros((len(self.m), 3))
        average = -self.eps * self.sigma(time)[:, None] * self.tiled(self.average_source)
        return average + sum(
            getattr(self, name)(time)
            for name in (
                "anticorrelated_noise",
                "anticorrelated_feedback",
                "anticorrelated_curvature",
                "corrected_response",
                "third_cumulant",
                "shifted_mean",
            )
        )

    def variance(self, time):
        """N2."""
        kappa = (11 - self.sizes[time]) / (self.sizes[time] * 10)
        memory = self.noise_third_cumulant(time) + self.noise_fourth_cumulant(time)
        return kappa * self.source(time) + memory

    def states(self, start):
        """The states before every batch and at the end, step by step."""
        states, parts = [start], len(self.m) // 3
        for time in range(len(self.sizes)):
            crossed = (self.m[:, None] * np.concatenate([self.correlation(time)] * parts, axis=1)) * self.f
            noise = np.outer(self.f, self.f) * np.tile(self.variance(time), (parts, parts))
            states.append(np.outer(self.m, self.m) * states[-1] + crossed + crossed.T + noise)
        return np.array(states)


@dataclass(frozen=True, eq=False)
class ReshuffledHead(Reshuffled):
    """The same of the quadratic twin of a head of four classes, whose samples have three rows."""

    outputs = 1

    @cached_property
    def problem(self):
        rng = np.random.default_rng(5)
        return fl.Softmax(4 * rng.normal(size=(11, 1)), rng.permutation(11) % 4)

    @property
    def minimum(self):
        return self.problem.minimum(self.sgd.weight_decay)

    @cached_property
    def law(self):
        return twin_epochs(self.minimum.picture, self.sgd, near=False)

    @cached_property
    def b(self):
        x, modes = self.problem.inputs, self.minimum.modes
        hessians = modes.T @ softmax_twin.hessians(self.minimum.weights, x) @ modes
        return hessians - hessians.mean(axis=0)

    @cached_property
    def g(self):
        x, y = self.problem.inputs, self.problem.targets
        gradients = softmax_twin.gradients(self.minimum.weights, x, y) @ self.minimum.modes
        return (gradients - gradients.mean(axis=0))[:, None]
