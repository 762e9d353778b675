"""A neural operator in cosine modes: Fourier layers as in the FNO (Li et al. 2021, arXiv:2010.08895).

    u ← u + gelu(W u + Cᵀ (R_k · (C u)_k)),   (C u)_k = Σ_l c_k(x_l) u(x_l),  k = 0 … modes − 1

with W pointwise, R_k one matrix of channels a mode, and cosines instead of complex exponentials, because a
box has walls and is not a ring. Shapes: b batch, c channels, p positions, k modes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qwell.errors import InvalidInput
from qwell.models.layers import Network, worked_out


@dataclass(frozen=True)
class SpectralConfig:
    """Arguments:

    points: M + 1, values of a potential.
    levels: energies predicted.
    channels: of the features.
    modes: cosine modes kept, at most `points`.
    layers: Fourier layers.
    hidden: width of the layer before the last.
    energy_scale: as in `ResSAConfig`.
    """

    points: int = 101
    levels: int = 10
    channels: int = 32
    modes: int = 24
    layers: int = 4
    hidden: int = 256
    energy_scale: float = 100.0

    def __post_init__(self) -> None:
        if not (1 <= self.modes <= self.points and self.channels >= 1 and self.layers >= 1):
            raise InvalidInput(
                f"modes is {self.modes}, channels {self.channels}, layers {self.layers}; all must be at"
                f" least 1, and modes at most {self.points}"
            )


def cosines(modes: int, points: int) -> Float[Tensor, "{modes} {points}"]:
    """Orthonormal cosines c_k(x_l) ∝ cos(kπ(l + ½)/points), (modes, points)."""
    k, l = torch.arange(modes)[:, None], torch.arange(points)[None, :]
    basis = torch.cos(torch.pi * k * (l + 0.5) / points) * (2 / points) ** 0.5
    return torch.cat([basis[:1] / 2**0.5, basis[1:]])


class FourierLayer(nn.Module):
    """u + gelu(W u + Cᵀ R C u), (b, c, p) to the same."""

    basis: Float[Tensor, "k p"]

    def __init__(self, channels: int, modes: int, points: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv1d(channels, channels, 1)
        shape = (modes, channels, channels)
        self.mixing = nn.Parameter(worked_out(lambda: torch.randn(shape) / channels, *shape))
        basis = worked_out(lambda: cosines(modes, points), modes, points)
        self.register_buffer("basis", basis, persistent=False)

    def forward(self, u: Float[Tensor, "b c p"]) -> Float[Tensor, "b c p"]:
        mixed = torch.einsum("bck,kcd->bdk", u @ self.basis.T, self.mixing) @ self.basis
        return u + nn.functional.gelu(self.pointwise(u) + mixed)


class Spectral(Network):
    """Potentials (b, points) to energies (b, levels): lift, Fourier layers, modes of the result, two linear
    layers."""

    basis: Float[Tensor, "k p"]
    x: Float[Tensor, "p"]

    def __init__(self, config: SpectralConfig) -> None:
        super().__init__()
        self.config = config
        c = config
        self.lift = nn.Conv1d(2, c.channels, 1)
        self.layers = nn.Sequential(*(FourierLayer(c.channels, c.modes, c.points) for _ in range(c.layers)))
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(c.channels * c.modes, c.hidden), nn.GELU(), nn.Linear(c.hidden, c.levels)
        )
        basis = worked_out(lambda: cosines(c.modes, c.points), c.modes, c.points)
        self.register_buffer("basis", basis, persistent=False)
        self.register_buffer("x", torch.linspace(-1, 1, c.points), persistent=False)

    def forward(self, potential: Float[Tensor, "b points"]) -> Float[Tensor, "b levels"]:
        v = potential / self.config.energy_scale
        u = self.layers(self.lift(torch.stack([v, self.x.expand_as(v)], dim=1)))
        energies: Tensor = self.head(u @ self.basis.T) * self.config.energy_scale
        return energies
