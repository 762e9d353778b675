"""The networks U_θ(r), and what they see of a point.

paper     d-32-32-128-128-1, ReLU, the second layer of 128 added to the first: the released scripts'
plain     tanh, of the coordinates
radius    tanh, of the coordinates and r: symmetric states need not discover it
coulomb   N(r)/r: has the singularity of −1/r built in, and so knows part of the answer
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from qwell.errors import InvalidInput, unknown
from qwell.models.fields import perceptron
from qwell.studies.inverse.config import FIELDS


class Field(nn.Module):
    """U_θ: points (n, d) → (n,)."""

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class PaperField(Field):
    """The released scripts' network; its weights are multiplied by `shrink` (δ of the paper)."""

    def __init__(self, dimensions: int, shrink: float = 0.01, ceiling: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.ceiling = ceiling
        widths = [dimensions, 32, 32, 128, 128, 1]
        self.layers = nn.ModuleList(
            nn.Linear(a, b, dtype=torch.float64) for a, b in itertools.pairwise(widths)
        )
        for layer, width in zip(self.layers, widths, strict=False):
            for parameter in layer.parameters():
                bound = shrink * width**-0.5
                nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        one, two, three, four, last = self.layers
        h = torch.relu(three(torch.relu(two(torch.relu(one(x))))))
        h = h + torch.relu(four(h))
        out = last(h)[:, 0]
        return self.ceiling * torch.sigmoid(out) if self.ceiling else out


class SmoothField(Field):
    """s N((f(r) − f̄)/w), tanh: scaled to what is to be fitted.

    Arguments:
        kind: "plain", "radius" or "coulomb".
        dimensions: d.
        layers: hidden widths.
        centre, width: of the coordinates.
        height: of the potential.
        activation: of `ACTIVATIONS`.
        seed: of the weights.
    """

    def __init__(
        self,
        kind: str,
        dimensions: int,
        layers: tuple[int, ...],
        centre: float = 0.0,
        width: float = 1.0,
        height: float = 1.0,
        activation: str = "Tanh",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if kind not in FIELDS[1:]:
            raise InvalidInput(unknown("field", kind, FIELDS))
        self.kind, self.centre, self.width, self.height = kind, centre, width, height
        inputs = dimensions + (kind == "radius")
        self.network = perceptron(inputs, layers, activation=activation, seed=seed)

    def features(self, x: Tensor) -> Tensor:
        """What N sees, (n, f)."""
        x = (x - self.centre) / self.width
        return torch.cat([x, x.norm(dim=-1, keepdim=True)], -1) if self.kind == "radius" else x

    def factor(self, x: Tensor) -> Tensor:
        """What N is multiplied by, (n,)."""
        return (
            self.height / x.norm(dim=-1) if self.kind == "coulomb" else torch.full_like(x[:, 0], self.height)
        )

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.factor(x) * self.network(self.features(x))[:, 0]
        return found
