"""Emulators that see the whole ring: ψ(t) and V to ψ(t + Δt). Shapes: b batch, n points.

They are linear in ψ over the complex numbers by construction, so that the Cauchy–Riemann relations and
superposition hold exactly; what they do with V, and how ψ spreads, is learned.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from qwell.errors import InvalidInput
from qwell.models.layers import Network, worked_out


class RingEmulator(Network):
    """ψ (b, n) complex and V/v_scale (b, n) to the next ψ (b, n)."""

    task = "dynamics"

    def prepare(self, potential: Float[Tensor, "b n"]) -> tuple[Complex[Tensor, "..."], ...]:
        """What of an advance depends on the potential (b, n) alone; made once for a rollout."""
        raise NotImplementedError

    def advance(
        self, psi: Complex[Tensor, "b n"], prepared: tuple[Complex[Tensor, "..."], ...]
    ) -> Complex[Tensor, "b n"]:
        """One frame on."""
        raise NotImplementedError

    def forward(self, psi: Complex[Tensor, "b n"], potential: Float[Tensor, "b n"]) -> Complex[Tensor, "b n"]:
        return self.advance(psi, self.prepare(potential))


@dataclass(frozen=True)
class UnitaryConfig:
    """Arguments:

    points: n of the ring.
    layers: pairs of a phase in space and a phase in Fourier space.
    bumps: numbers that a phase in Fourier space is made of.
    """

    points: int = 1024
    layers: int = 4
    bumps: int = 48

    def __post_init__(self) -> None:
        if self.points < 2 or self.points % 2 or self.layers < 1 or self.bumps < 2:
            raise InvalidInput(
                f"points is {self.points}, layers {self.layers}, bumps {self.bumps}; points must be even,"
                " layers at least 1 and bumps at least 2"
            )


class UnitaryEmulator(RingEmulator):
    """A product of phases in space and in Fourier space, all learned; the norm is kept by construction.

        ψ' = D_L F⁻¹ e^{−iθ_L(q)} F … D_1 F⁻¹ e^{−iθ_1(q)} F D_0 ψ,   D_s = e^{−i a_s V}

    q is the size of a wave number, θ_s(q) = Σ_p θ_sp exp(−((q − κ_p)/κ_1)²) with bumps κ_p evenly from 0 to
    the largest: smooth, since neighbouring waves should learn from each other, but free to take any form.
    Nothing says that it is a kinetic energy.
    """

    bumps: Float[Tensor, "bumps n"]

    def __init__(self, config: UnitaryConfig) -> None:
        super().__init__()
        self.config = config
        c = config
        self.spread = nn.Parameter(torch.zeros(c.layers, c.bumps))
        self.local = nn.Parameter(torch.zeros(c.layers + 1))
        self.register_buffer("bumps", worked_out(self._bumps, c.bumps, c.points), persistent=False)

    def _bumps(self) -> Tensor:
        """exp(−((q − κ_p)/κ_1)²) at all wave numbers, (bumps, points)."""
        c = self.config
        k = torch.fft.fftfreq(c.points, dtype=torch.float64).abs() * 2 * (c.bumps - 1)
        return torch.exp(-((k - torch.arange(c.bumps)[:, None]) ** 2)).float()

    def prepare(self, potential: Float[Tensor, "b n"]) -> tuple[Complex[Tensor, "..."], ...]:
        angles = self.local[:, None, None] * potential
        waves = self.spread @ self.bumps
        return torch.polar(torch.ones_like(angles), -angles), torch.polar(torch.ones_like(waves), -waves)

    def advance(
        self, psi: Complex[Tensor, "b n"], prepared: tuple[Complex[Tensor, "..."], ...]
    ) -> Complex[Tensor, "b n"]:
        local, spread = prepared
        psi = psi * local[0]
        for s in range(self.config.layers):
            psi = torch.fft.ifft(torch.fft.fft(psi) * spread[s]) * local[s + 1]
        return psi


class SpectralEmulator(UnitaryEmulator):
    """The same without the norm: factors may shrink waves too, as in a linear neural operator, but not blow
    them up.

    e^{−iθ} becomes e^{−iθ − |γ|}, with γ(q) of bumps like θ, and e^{−iaV} becomes e^{−iaV − |cV|}.
    """

    def __init__(self, config: UnitaryConfig) -> None:
        super().__init__(config)
        self.damping = nn.Parameter(torch.full((config.layers, config.bumps), 1e-3))
        self.absorbing = nn.Parameter(torch.full((config.layers + 1,), 1e-3))

    def prepare(self, potential: Float[Tensor, "b n"]) -> tuple[Complex[Tensor, "..."], ...]:
        local, spread = super().prepare(potential)
        absorbed = torch.exp(-(self.absorbing[:, None, None] * potential).abs())
        return local * absorbed, spread * torch.exp(-(self.damping @ self.bumps).abs())
