"""Emulators that see the whole ring: ψ(t) and V to ψ(t + Δt). Shapes: b batch, n points, m points of the
mesh inside.

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


def change_mesh(psi: Complex[Tensor, "*b n"], points: int) -> Complex[Tensor, "*b points"]:
    """The same waves on another number of points, even like n: those that both meshes tell apart.

    ψ(x_j) = Σ_k c_k e^{ikx_j}, |k| < min(n, points)/2 in units of 2π/L; other waves are dropped. Exact for
    functions without others. What the two meshes have in common, norms included, is the same on both.
    """
    n = psi.shape[-1]
    if points == n:
        return psi
    common = min(n, points) // 2
    waves, other = torch.fft.fft(psi, norm="forward"), psi.new_zeros(*psi.shape[:-1], points)
    other[..., :common] = waves[..., :common]
    other[..., 1 - common :] = waves[..., 1 - common :]
    found: Tensor = torch.fft.ifft(other, norm="forward")
    return found


def between_frames(potential: Float[Tensor, "*b frames n"]) -> Float[Tensor, "*b middles n"]:
    """V halfway from each frame to the next, of V at the frames: by the cubic through four of them.

    (−V₋₁ + 9V₀ + 9V₁ − V₂)/16, with an error of .023 V⁗ Δt⁴; by parabolas in the first and last interval, and
    by the mean of two frames where there are no more.
    """
    first, second = potential[..., :-1, :], potential[..., 1:, :]
    middle = (first + second) / 2
    if potential.shape[-2] < 3:
        return middle
    bend = potential[..., 2:, :] - 2 * potential[..., 1:-1, :] + potential[..., :-2, :]
    bend = torch.cat([bend[..., :1, :], bend, bend[..., -1:, :]], dim=-2)  # at every frame
    return middle - (bend[..., :-1, :] + bend[..., 1:, :]) / 16


class RingEmulator(Network):
    """ψ (b, n) complex and V/v_scale (b, n) to the next ψ (b, n); inside, on a mesh of m points.

    Where V changes with time it is that halfway between the frames.
    """

    task = "dynamics"

    def takes(self) -> tuple[tuple[int, ...], ...]:
        return 2 * super().takes()

    @property
    def mesh(self) -> int:
        """m, the points on which waves are advanced."""
        raise NotImplementedError

    def prepare(self, potential: Float[Tensor, "b n"]) -> tuple[Complex[Tensor, "..."], ...]:
        """What of an advance depends on the potential (b, n) alone; made once for a rollout."""
        raise NotImplementedError

    def advance(
        self, psi: Complex[Tensor, "b m"], prepared: tuple[Complex[Tensor, "..."], ...]
    ) -> Complex[Tensor, "b m"]:
        """One frame on."""
        raise NotImplementedError

    def forward(self, psi: Complex[Tensor, "b n"], potential: Float[Tensor, "b n"]) -> Complex[Tensor, "b n"]:
        found = self.advance(change_mesh(psi, self.mesh), self.prepare(potential))
        return change_mesh(found, psi.shape[-1])


@dataclass(frozen=True)
class UnitaryConfig:
    """Arguments:

    points: n of the ring.
    layers: pairs of a phase in space and a phase in Fourier space.
    bumps: numbers that a phase in Fourier space is made of.
    breadth: of a bump, in units of the distance of two: broader ones make smoother curves.
    mesh: points on which waves are advanced; 0 stands for those of the ring. Waves too short for it are lost.
    open_ends: whether each point has a learned factor below 1, for waves that leave in absorbing layers.
    """

    points: int = 1024
    layers: int = 4
    bumps: int = 48
    breadth: float = 1.0
    mesh: int = 0
    open_ends: bool = False

    def __post_init__(self) -> None:
        if self.points < 2 or self.points % 2 or self.layers < 1 or self.bumps < 2:
            raise InvalidInput(
                f"points is {self.points}, layers {self.layers}, bumps {self.bumps}; points must be even,"
                " layers at least 1 and bumps at least 2"
            )
        if not 0 < self.breadth <= 10:
            raise InvalidInput(f"breadth is {self.breadth}; it must be above 0 and at most 10")
        if self.mesh and (self.mesh % 2 or not 4 <= self.mesh <= self.points):
            raise InvalidInput(
                f"mesh is {self.mesh} with points {self.points}; choose an even number from 4 to the points,"
                " or 0 for the points of the ring"
            )


class UnitaryEmulator(RingEmulator):
    """A product of phases in space and in Fourier space, all learned; the norm is kept by construction.

        ψ' = D_L F⁻¹ e^{−iθ_L(q)} F … D_1 F⁻¹ e^{−iθ_1(q)} F D_0 ψ,   D_s = e^{−i a_s V}

    q is the size of a wave number, θ_s(q) = Σ_p θ_sp exp(−((q − κ_p)/bκ_1)²) with bumps κ_p evenly from 0 to
    the largest: smooth, since neighbouring waves should learn from each other, but free to take any form.
    Nothing says that it is a kinetic energy. Wave packets are made of long waves, so that a coarse `mesh` can
    hold them: V is then the part of it that the mesh can hold. With open ends the last factor in space is
    multiplied by e^{−g(x)²}, g learned: norms fall there, and stay elsewhere.
    """

    bumps: Float[Tensor, "bumps m"]

    def __init__(self, config: UnitaryConfig) -> None:
        super().__init__()
        self.config = config
        c = config
        self.spread = nn.Parameter(torch.zeros(c.layers, c.bumps))
        self.local = nn.Parameter(torch.zeros(c.layers + 1))
        self.ends = nn.Parameter(torch.full((self.mesh,), 0.01)) if c.open_ends else None
        self.register_buffer("bumps", worked_out(self._bumps, c.bumps, self.mesh), persistent=False)

    @property
    def mesh(self) -> int:
        points: int = self.config.mesh or self.config.points
        return points

    def _bumps(self) -> Tensor:
        """exp(−((q − κ_p)/bκ_1)²) at all wave numbers, (bumps, m)."""
        c = self.config
        k = torch.fft.fftfreq(self.mesh, dtype=torch.float64).abs() * 2 * (c.bumps - 1)
        return torch.exp(-(((k - torch.arange(c.bumps)[:, None]) / c.breadth) ** 2)).float()

    def _held(self, potential: Float[Tensor, "b n"]) -> Float[Tensor, "b m"]:
        """What the mesh can hold of V."""
        return change_mesh(potential + 0j, self.mesh).real

    def prepare(self, potential: Float[Tensor, "b n"]) -> tuple[Complex[Tensor, "..."], ...]:
        angles = self.local[:, None, None] * self._held(potential)
        waves, size = self.spread @ self.bumps, torch.ones_like(angles)
        if self.ends is not None:
            size = torch.cat([size[:-1], size[-1:] * torch.exp(-self.ends.square())])
        return torch.polar(size, -angles), torch.polar(torch.ones_like(waves), -waves)

    def advance(
        self, psi: Complex[Tensor, "b m"], prepared: tuple[Complex[Tensor, "..."], ...]
    ) -> Complex[Tensor, "b m"]:
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
        absorbed = torch.exp(-(self.absorbing[:, None, None] * self._held(potential)).abs())
        return local * absorbed, spread * torch.exp(-(self.damping @ self.bumps).abs())
