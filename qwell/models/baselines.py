"""The ladder to read errors against: predict the mean, linear regression, a plain multilayer perceptron.

`mean` and `linear` have closed-form solutions, `fit` finds them; `mlp` is trained like any network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from qwell.errors import InvalidInput
from qwell.models.layers import Network


@dataclass(frozen=True)
class LadderConfig:
    """What the closed-form models need to know: `points` = M + 1 accepted and `levels` predicted."""

    points: int = 101
    levels: int = 10


class Mean(Network):
    """f_i = ⟨E_i⟩ over the training set."""

    def __init__(self, config: LadderConfig) -> None:
        super().__init__()
        self.config = config
        self.energy = nn.Parameter(torch.zeros(config.levels))

    def forward(self, potential: Tensor) -> Tensor:
        return self.energy.expand(len(potential), -1)

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the mean of all (potential, energy) batches."""
        total, count = torch.zeros_like(self.energy, dtype=torch.float64), 0
        for _, energy in batches:
            total += energy.sum(0, dtype=torch.float64)
            count += len(energy)
        self.energy.copy_(total / count)


class Linear(Network):
    """f = W v + b by least squares."""

    def __init__(self, config: LadderConfig) -> None:
        super().__init__()
        self.config = config
        self.map = nn.Linear(config.points, config.levels)

    def forward(self, potential: Tensor) -> Tensor:
        return self.map(potential)

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Solve the normal equations, summed over (potential, energy) batches in float64.

        Directions whose variance is below 1e-12 of the largest are left out (the RBF kernel has many).
        """
        size = self.config.points + 1
        gram = torch.zeros(size, size, dtype=torch.float64, device=self.map.weight.device)
        moment = gram.new_zeros(size, self.config.levels)
        for potential, energy in batches:
            design = torch.cat([potential.double(), potential.new_ones(len(potential), 1).double()], dim=1)
            gram += design.T @ design
            moment += design.T @ energy.double()
        scale = gram.diagonal().sqrt()
        solution = torch.linalg.pinv(gram / scale / scale[:, None], rtol=1e-12, hermitian=True) @ (
            moment / scale[:, None]
        )
        solution = solution / scale[:, None]
        self.map.weight.copy_(solution[:-1].T)
        self.map.bias.copy_(solution[-1])


@dataclass(frozen=True)
class MLPConfig:
    """Widths of the hidden layers, and the energy scale as in `ResSAConfig`."""

    points: int = 101
    levels: int = 10
    hidden: tuple[int, ...] = (512, 512, 512)
    energy_scale: float = 100.0

    def __post_init__(self) -> None:
        if not self.hidden or min(self.hidden) < 1:
            raise InvalidInput(f"hidden is {self.hidden}; name at least one positive width")


class MLP(Network):
    """Linear layers with ReLU between."""

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.config = config
        widths = (config.points, *config.hidden)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], config.levels))

    def forward(self, potential: Tensor) -> Tensor:
        return self.layers(potential / self.config.energy_scale) * self.config.energy_scale
