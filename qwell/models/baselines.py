"""The ladder to read errors against: predict the mean, linear regression, a plain multilayer perceptron.

`mean` and `linear` have closed-form solutions, `fit` finds them; `mlp` is trained like any network and may be
given what is known of every spectrum beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qwell.errors import InvalidInput
from qwell.models.layers import MirroredLinear, Network


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

    def forward(self, potential: Float[Tensor, "b points"]) -> Float[Tensor, "b levels"]:
        return self.energy.expand(len(potential), -1)

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Float[Tensor, "_ points"], Float[Tensor, "_ levels"]]]) -> None:
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

    def forward(self, potential: Float[Tensor, "b points"]) -> Float[Tensor, "b levels"]:
        energies: Tensor = self.map(potential)
        return energies

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Float[Tensor, "_ points"], Float[Tensor, "_ levels"]]]) -> None:
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
    """What a perceptron is made of.

    Arguments:
        points, levels: M + 1 accepted, and energies predicted.
        hidden: widths of the hidden layers.
        energy_scale: potentials and energies are divided by it inside, as in `ResSAConfig`.
        centred: put in that E(v + c) = E(v) + c: the network sees v − ⟨v⟩, and ⟨v⟩ is added to its answer.
        offset: put in the mean spectrum of the training set: only what differs from it is learned.
        mirrored: put in that E(v(x)) = E(v(−x)): the first layer is a `MirroredLinear`.
        averaged: put in the same by another way, better with `--mirror`: the network learns from potentials
            either way round, and answers with the mean over both.

    The last four are laws or numbers put in, not learned; each can be left out (`--set mirrored=false`).
    Raises InvalidInput for widths that are none, and for `mirrored` and `averaged` at once.
    """

    points: int = 101
    levels: int = 10
    # what models and runs were that do not say it, from before these defaults
    hidden: tuple[int, ...] = field(default=(384, 384, 384, 384), metadata={"absent": (512, 512, 512)})
    energy_scale: float = 100.0
    centred: bool = field(default=True, metadata={"absent": False})
    offset: bool = field(default=True, metadata={"absent": False})
    mirrored: bool = field(default=True, metadata={"absent": False})
    averaged: bool = field(default=False, metadata={"absent": False})

    def __post_init__(self) -> None:
        if self.mirrored and self.averaged:
            raise InvalidInput("mirrored and averaged put in the same law; add --set mirrored=false")
        if not self.hidden or min(self.hidden) < 1:
            raise InvalidInput(f"hidden is {self.hidden}; name at least one positive width")


class MLP(Network):
    """f(v) = ⟨v⟩ + Ē + s N((v − ⟨v⟩)/s): linear layers N with ReLU between, s the energy scale.

    Of an averaged network, once it has learned, N(u) is the mean of that of u(x) and of u(−x).

    ⟨v⟩ and Ē stand there if the configuration puts them in. Of a mirrored network the first layer has GELU,
    for a ReLU of both orientations trains worse.
    """

    mean_spectrum: Float[Tensor, "levels"]

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.config = config
        first, *hidden = config.hidden
        layers: list[nn.Module] = (
            [MirroredLinear(config.points, first)]
            if config.mirrored
            else [nn.Linear(config.points, first), nn.ReLU()]
        )
        for inputs, outputs in pairwise((first, *hidden)):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(config.hidden[-1], config.levels))
        if config.offset:
            self.register_buffer("mean_spectrum", torch.zeros(config.levels))

    def put_in(self, potential: Float[Tensor, "b points"], energy: Float[Tensor, "b levels"]) -> None:
        """Take the mean spectrum Ē = ⟨E − ⟨v⟩⟩ from training rows, if the configuration asks for it."""
        if self.config.offset:
            if self.config.centred:
                energy = energy - potential.mean(1, keepdim=True)
            self.mean_spectrum.copy_(energy.mean(0))

    def forward(self, potential: Float[Tensor, "b points"]) -> Float[Tensor, "b levels"]:
        scale, mean = self.config.energy_scale, None
        if self.config.centred:
            mean = potential.mean(1, keepdim=True)
            potential = potential - mean
        energy = self.layers(potential / scale) * scale
        if self.config.averaged and not self.training:
            energy = (energy + self.layers(potential.flip(-1) / scale) * scale) / 2
        if self.config.offset:
            energy = energy + self.mean_spectrum
        answer: Tensor = energy if mean is None else energy + mean
        return answer
