"""The trial function φ(x) = (x − a)(b − x) N(f(x)), its derivatives, and rules of integration.

f(x) = x, and |x − c|³/6 for every kink c of the potential: there φ''' jumps, as ψ₀''' does. Without the
factor (x − a)(b − x), as in the paper, ∫φHφ has no lower bound: e^{6x} has ⟨H⟩ < 0.
Shapes: q points.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from qwell.errors import InvalidInput
from qwell.models.fields import perceptron
from qwell.models.jets import derivatives, parameter_jacobian

PANEL = 20


class Wave(NamedTuple):
    """φ, φ', φ'' at points, (q,) each; φ'' only where it was asked for."""

    value: Tensor
    slope: Tensor
    bend: Tensor | None = None

    def less(self, amount: Tensor, other: Wave) -> Wave:
        """This wave less so much of another."""
        bend = None if self.bend is None or other.bend is None else self.bend - amount * other.bend
        return Wave(self.value - amount * other.value, self.slope - amount * other.slope, bend)

    def over(self, number: Tensor) -> Wave:
        """This wave divided by a number."""
        bend = None if self.bend is None else self.bend / number
        return Wave(self.value / number, self.slope / number, bend)


@dataclass(frozen=True)
class Rule:
    """∫ f dx ≈ Σ w_q f(x_q).

    Arguments:
        x, w: points and weights, (q,) float64.
    """

    x: Tensor
    w: Tensor

    def to(self, dtype: torch.dtype) -> Rule:
        return Rule(self.x.to(dtype), self.w.to(dtype))


def legendre(region: tuple[float, float], points: int, breaks: tuple[float, ...] = ()) -> Rule:
    """Gauss–Legendre in panels of 20 points, none of which has a break inside; at least `points` in all."""
    nodes, weights = np.polynomial.legendre.leggauss(PANEL)
    corners = np.array([region[0], *sorted(breaks), region[1]])
    width = (region[1] - region[0]) / max(1, points // PANEL)
    x, w = [], []
    for a, b in itertools.pairwise(corners):
        edges = np.linspace(a, b, max(1, int(np.ceil((b - a) / width - 1e-9))) + 1)
        half = np.diff(edges)[:, None] / 2
        x.append((edges[:-1, None] + half * (1 + nodes)).ravel())
        w.append((half * weights).ravel())
    return Rule(torch.from_numpy(np.concatenate(x)), torch.from_numpy(np.concatenate(w)))


def rectangle(region: tuple[float, float], points: int) -> Rule:
    """The paper's rule: equally spaced points of equal weight."""
    x = torch.linspace(*region, points, dtype=torch.float64)
    return Rule(x, torch.full_like(x, (region[1] - region[0]) / points))


class Trial(nn.Module):
    """φ(x) = (x − a)(b − x) N(f(x)), callable.

    Arguments:
        region: (a, b).
        layers: hidden widths of N, tanh.
        kinks: c, see above.
        walls: whether φ has the factor (x − a)(b − x).
        sign: 1 for φ(x) + φ(a + b − x), even about the middle of the region; −1, odd; or 0.
        dtype, seed: of the weights.

    Raises InvalidInput for layers that no network has.
    """

    def __init__(
        self,
        region: tuple[float, float],
        layers: tuple[int, ...],
        kinks: tuple[float, ...] = (),
        walls: bool = True,
        dtype: torch.dtype = torch.float64,
        seed: int = 0,
        sign: int = 0,
    ) -> None:
        super().__init__()
        if not layers:
            raise InvalidInput("a trial function needs at least one hidden layer, e.g. --layers 10,10")
        self.region, self.kinks, self.walls, self.sign = region, kinks, walls, sign
        self.network = perceptron(1 + len(kinks), layers, dtype=dtype, seed=seed)
        if sign:  # without biases a network of tanh is odd: of φ(x) + φ(−x) nothing would be left
            first: nn.Linear = self.network[0]  # type: ignore[assignment]
            generator = torch.Generator().manual_seed(seed)
            nn.init.normal_(first.bias, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """φ(x), (q,), as it is: not normalised."""
        both = self._both(x)
        values: Tensor = self._factor(both)[0] * self.network(self._features(both)[0])[:, 0]
        return self._added(values, self.sign)

    def waves(self, x: Tensor, second: bool = False) -> Wave:
        """φ, φ' and, if wanted, φ'' at x (q,)."""
        value, slope, bend = self._one_sided(self._both(x), second)
        bend = None if bend is None else self._added(bend, self.sign)
        return Wave(self._added(value, self.sign), self._added(slope, -self.sign), bend)

    def _both(self, x: Tensor) -> Tensor:
        """Points, and their mirror images if they are wanted."""
        return torch.cat([x, sum(self.region) - x]) if self.sign else x

    def _added(self, values: Tensor, sign: int) -> Tensor:
        """Values at points, more or less those at the mirror images."""
        if not sign:
            return values
        here, there = values.chunk(2)
        return here + there if sign > 0 else here - there

    def _one_sided(self, x: Tensor, second: bool) -> Wave:
        """φ and its derivatives without what is mirrored."""
        f, df, ddf = self._features(x)
        e, de, dde = self._factor(x)
        jet = derivatives(self.network, f, "hessian" if second else "first")
        n, dn = jet.value[:, 0], (jet.first[:, 0] * df).sum(-1)
        if jet.second is None:
            return Wave(e * n, de * n + e * dn)
        ddn = torch.einsum("qa,qab,qb->q", df, jet.second[:, 0], df) + (jet.first[:, 0] * ddf).sum(-1)
        return Wave(e * n, de * n + e * dn, dde * n + 2 * de * dn + e * ddn)

    def jacobian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """∂φ/∂θ and ∂φ'/∂θ at every point, (q, P) each, without a graph."""
        with torch.no_grad():
            both = self._both(x)
            f, df, _ = self._features(both)
            e, de = (t.unsqueeze(-1) for t in self._factor(both)[:2])
            pair: Any = torch.func.jvp(lambda at: parameter_jacobian(self.network, at)[:, 0], (f,), (df,))
            j, dj = pair
            return self._added(e * j, self.sign), self._added(de * j + e * dj, -self.sign)

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """f, f', f'', (q, 1 + kinks) each."""
        from_kinks = [x - c for c in self.kinks]
        f = [x, *(d.abs() ** 3 / 6 for d in from_kinks)]
        df = [torch.ones_like(x), *(d * d.abs() / 2 for d in from_kinks)]
        ddf = [torch.zeros_like(x), *(d.abs() for d in from_kinks)]
        return torch.stack(f, -1), torch.stack(df, -1), torch.stack(ddf, -1)

    def _factor(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """4 (x − a)(b − x)/(b − a)², at most 1, and its derivatives."""
        if not self.walls:
            one = torch.ones_like(x)
            return one, 0 * one, 0 * one
        a, b = self.region
        s = 4 / (b - a) ** 2
        return s * (x - a) * (b - x), s * (a + b - 2 * x), torch.full_like(x, -2 * s)
