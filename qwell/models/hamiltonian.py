"""A learned Hamiltonian: energies as the lowest eigenvalues of a small symmetric matrix that depends on V.

    H(v) = T + Φ diag(v) Φᵀ − G Gᵀ,   G = Φ diag(v) Χᵀ,   f_i = λ_i(H)

with T (n, n), Φ (n, points) and Χ (fold, points) learned. T stands for the kinetic energy, Φ for the states
that are kept; the last term is the second-order effect of `fold` states that are not (Löwdin's partitioning,
J. Chem. Phys. 19, 1396 (1951)), their energy denominators learned with Χ. That energies are eigenvalues is
all that is put in (parametric matrix models, Cook et al. 2024, arXiv:2401.11694): at the start Φ and Χ are
cosines, T has evenly spaced levels, and neither ħ, mass, walls nor the mesh are known.

Gradients with respect to v are Hellmann and Feynman's: ∂f_i/∂v_m ≈ (Φᵀ u_i)_m², u_i the eigenvector of H.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qwell.errors import InvalidInput
from qwell.models.eigenvalues import lowest_eigenvalues
from qwell.models.layers import Network, worked_out
from qwell.models.spectral import cosines


@dataclass(frozen=True)
class HamiltonianConfig:
    """Arguments:

    points: M + 1, values of a potential.
    levels: energies predicted, at most `states`.
    states: n, rows of H.
    fold: states that act in second order, 0 for none.
    energy_scale: as in `ResSAConfig`.
    """

    points: int = 101
    levels: int = 10
    states: int = 24
    fold: int = 24
    energy_scale: float = 100.0

    def __post_init__(self) -> None:
        if not 1 <= self.levels <= self.states or self.states + self.fold > self.points:
            raise InvalidInput(
                f"states is {self.states} and fold {self.fold}; states must be at least levels ="
                f" {self.levels}, and both together at most {self.points}"
            )


class Hamiltonian(Network):
    """Potentials (b, points) to energies (b, levels)."""

    recordable = False  # the eigensolver waits for the device

    def __init__(self, config: HamiltonianConfig) -> None:
        super().__init__()
        self.config = config
        n, fold, points = config.states, config.fold, config.points
        self.kept = nn.Parameter(worked_out(lambda: cosines(n, points), n, points))
        folded = worked_out(lambda: 0.1 * cosines(n + fold, points)[n:], fold, points)
        self.folded = nn.Parameter(folded)
        self.kinetic = nn.Parameter(worked_out(lambda: torch.diag(torch.linspace(0, 4, n)), n, n))

    def matrix(self, potential: Float[Tensor, "b points"]) -> Float[Tensor, "b n n"]:
        """H(v)/energy_scale, (b, n, n), symmetric; Φ diag(v) (Φ Χ)ᵀ is v times products of rows."""
        n = self.config.states
        rows = (self.kept.unsqueeze(1) * torch.cat([self.kept, self.folded])).flatten(0, 1)
        products = ((potential / self.config.energy_scale) @ rows.T).unflatten(-1, (n, -1))
        coupling = products[..., n:]
        matrix: Tensor = (self.kinetic + self.kinetic.T) / 2 + products[..., :n] - coupling @ coupling.mT
        return matrix

    def forward(self, potential: Float[Tensor, "b points"]) -> Float[Tensor, "b levels"]:
        with torch.autocast(potential.device.type, enabled=False):  # eigenvalues need their digits
            matrix = self.matrix(potential.to(self.kinetic.dtype))
            energies = lowest_eigenvalues(matrix, self.config.levels)
        answer: Tensor = energies * self.config.energy_scale
        return answer
