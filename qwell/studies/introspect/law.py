"""What two latent numbers are, in ways that do not depend on a basis.

If z = B(ψ, ψ') then every update is M̂(V) = B M(V) B⁻¹: determinants, traces, and traces of products are those
of the Schrödinger equation's own cell matrices; ρ = zᵀQz with Q of rank one; and with nothing known but the
cell's length a, u(V) = −(arccos(tr M̂/2)/a)² is the law ψ'' = u(V)ψ.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from qwell.physics.cells import cell_matrices

GRID = np.linspace(-2.4, 2.4, 49)
BARS = {
    "r2_forward": 0.999, "r2_backward": 0.999, "determinant": 5e-4, "trace": 0.02, "pair_traces": 2e-3,
    "slope": 0.01, "energy": 0.005, "born": 0.01,
}  # fmt: skip


@dataclass(frozen=True)
class Law:
    """The tests of two latent numbers.

    Arguments:
        r2_forward, r2_backward: of (ψ, ψ') from z, and z from (ψ, ψ'), linear, without constants.
        determinant: largest |det M̂ − 1|.
        trace: largest error of tr M̂, over the range of the exact one.
        pair_traces: largest error of tr M̂(V)M̂(V').
        conjugation: ‖M̂B − BM‖/‖B‖, the mean over V.
        slope, energy: u(V) = slope·V − energy, fitted.
        bend: the coefficient of V² in a fit with one more term.
        born: second over first eigenvalue of Q, in units in which z is white.
    """

    r2_forward: float
    r2_backward: float
    determinant: float
    trace: float
    pair_traces: float
    conjugation: float
    slope: float
    energy: float
    bend: float
    born: float

    def failures(self, energy: float) -> list[str]:
        """The tests that the latent numbers do not pass, for a true energy."""
        found = asdict(self)
        wrong = [name for name in ("r2_forward", "r2_backward") if not found[name] >= BARS[name]]
        wrong += [
            name for name in ("determinant", "trace", "pair_traces", "born") if not found[name] <= BARS[name]
        ]
        wrong += ["slope"] if not abs(self.slope - 1) <= BARS["slope"] else []
        wrong += ["energy"] if not abs(self.energy / energy - 1) <= BARS["energy"] else []
        return wrong


def blind_law(matrices: np.ndarray, cell: float) -> np.ndarray:
    """u = −(arccos(tr M̂/2)/a)² of ψ'' = uψ, (n,), read off updates (n, 2, 2) and the cell's length a."""
    trace = np.trace(matrices, axis1=1, axis2=2)
    return -((np.emath.arccos(trace / 2).real / cell) ** 2)


def examine(
    matrices: np.ndarray, z: np.ndarray, states: np.ndarray, density: np.ndarray, energy: float, cell: float
) -> Law:
    """Test latent numbers against the Schrödinger equation.

    Arguments:
        matrices: learned updates at the potentials `GRID`, (49, 2, 2).
        z: latent numbers, (samples, 2); states: (ψ, ψ') there; density: ρ there, (samples,).
        energy, cell: E and a of the physics to be tested.
    """
    exact = cell_matrices(GRID - energy, cell)
    _, r2_forward = _regress(z, states)
    backward, r2_backward = _regress(states, z)
    trace, true = (np.trace(m, axis1=1, axis2=2) for m in (matrices, exact))
    pairs, true_pairs = (np.einsum("aij,bji->ab", m, m) for m in (matrices, exact))
    u = blind_law(matrices, cell)
    bend, _, _ = np.polyfit(GRID, u, 2)
    slope, intercept = np.polyfit(GRID, u, 1)
    basis = backward.T  # z = B s
    broken = matrices @ basis - basis @ exact
    return Law(
        r2_forward,
        r2_backward,
        float(np.abs(np.linalg.det(matrices) - 1).max()),
        float(np.abs(trace - true).max() / np.ptp(true)),
        float(np.abs(pairs - true_pairs).max()),
        float(np.linalg.norm(broken, axis=(1, 2)).mean() / np.linalg.norm(basis)),
        float(slope),
        float(-intercept),
        float(bend),
        born(z, density),
    )


def born(z: np.ndarray, density: np.ndarray) -> float:
    """|λ₂/λ₁| of Q in ρ = zᵀQz, z made white: 0 if ρ is the square of one linear form."""
    values, vectors = np.linalg.eigh(z.T @ z / len(z))
    white = z @ (vectors / np.sqrt(values))
    i, j = np.triu_indices(z.shape[1])
    products = white[:, i] * white[:, j]
    found = np.linalg.lstsq(products, density, rcond=None)[0]
    q = np.zeros((z.shape[1],) * 2)
    q[i, j] += found / 2
    q[j, i] += found / 2
    sizes = np.sort(np.abs(np.linalg.eigvalsh(q)))[::-1]
    return float(sizes[1] / sizes[0])


def _regress(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float]:
    """X of b ≈ a X, and the smallest R² of the columns of b."""
    x = np.linalg.lstsq(a, b, rcond=None)[0]
    return x, float((1 - ((b - a @ x) ** 2).sum(0) / ((b - b.mean(0)) ** 2).sum(0)).min())
