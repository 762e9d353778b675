"""The mesh: x_l = (2l − M)/M for l = 0 … M, walls at x = ±1, spacing dx = 2/M."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from qwell.errors import InvalidInput

FINEST = 2**20  # intervals of a mesh


@dataclass(frozen=True)
class Grid:
    """M + 1 equally spaced points on [−1, 1] between infinitely high walls (spectra paper, §2.2).

    Arguments:
        mesh: M, the number of intervals; M − 1 interior points carry the wave function.

    Raises:
        InvalidInput: M < 2 or M > 2²⁰.
    """

    mesh: int = 100

    def __post_init__(self) -> None:
        if not 2 <= self.mesh <= FINEST:
            raise InvalidInput(
                f"mesh is {self.mesh}; at least 2 intervals are needed, and at most {FINEST:,} allowed"
            )

    @classmethod
    def of_points(cls, points: int) -> Grid:
        """The mesh that has so many points, its ends included; InvalidInput for less than 3."""
        return cls(points - 1)

    @property
    def dx(self) -> float:
        return 2.0 / self.mesh

    @property
    def x(self) -> Float[np.ndarray, "{self.mesh}+1"]:
        """(M+1,) float64 positions, exactly symmetric about 0."""
        return (2.0 * np.arange(self.mesh + 1) - self.mesh) / self.mesh

    def box_energies(self, levels: int) -> Float[np.ndarray, "{levels}"]:
        """E_i = (1/dx²)(1 − cos((i+1)π/M)), the lattice spectrum of the empty box; → π²(i+1)²/8 as M → ∞."""
        angle = np.arange(1, levels + 1) * np.pi / self.mesh
        return 2.0 * np.sin(angle / 2) ** 2 / self.dx**2
