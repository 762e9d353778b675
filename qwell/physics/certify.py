"""Certificates: proofs that a level lies within δ of an energy, in float64 with every rounding bounded.

For the symmetric tridiagonal matrix H of a mesh (`spectrum`), a_l = v_l + 2b on the diagonal, −b = −1/(2dx²)
beside it, the pivots of H − s = LDLᵀ,

    q_l = (a_l − s) − b²/q_{l−1},   q_1 = a_1 − s,

have n(s) negative signs, as many as H has eigenvalues below s (Sylvester). So n(s) ≤ i says E_i ≥ s, and
n(s) > i says E_i < s. What is certified is a level of that matrix, on that mesh, and not of the continuum.

**Rounding.** Let u = 2⁻⁵³ and |e| ≤ u. The computed pivots obey

    q_l = ((a_l(1 + e₁) − s)(1 + e₂) − b²(1 + e₃)(1 + e₄)/q_{l−1})(1 + e₅).

With q_l/(1 + e₅) as pivots, which have the same signs, this is exact for a matrix whose diagonal is off by
|δa_l| ≤ u(2|a_l| + |s|) and whose off-diagonal by |δb| ≤ 3ub/2, up to terms in u². A pivot of modulus below
2⁻⁹⁰⁰ is taken as −2⁻⁹⁰⁰, which moves the diagonal by 2⁻⁸⁹⁹ at most, and underflow moves it by less. By Weyl
the i-th eigenvalue of that matrix is within ‖δH‖ ≤ max|δa| + 2|δb| of that of H, and so, as b ≥ 1/2, within

    ε(s) = 4u(max|a_l| + b + |s|):   n(s) ≤ i proves E_i ≥ s − ε(s), n(s) > i proves E_i < s + ε(s).

Each count is a proof of its own: none relies on counts growing with s, or on a solver. For M = 100, σ = 100,
ε is some 2e-12. 1/dx² = M²/4 and b = M²/8 are exact in float64; so are potentials stored in float32.

Sources: J. W. Demmel, I. Dhillon, H. Ren, Electron. Trans. Numer. Anal. 3 (1995) 116; W. Kahan, Stanford
report CS41 (1966); W. Barth, R. S. Martin, J. H. Wilkinson, Numer. Math. 9 (1967) 386. Of bounds from states:
G. Temple, Proc. R. Soc. A 119 (1928) 276; T. Kato, J. Phys. Soc. Japan 4 (1949) 334,
doi 10.1143/JPSJ.4.334; C. Davis, W. M. Kahan, SIAM J. Numer. Anal. 7 (1970) 1, doi 10.1137/0707001.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from qwell.errors import InvalidInput
from qwell.physics.compiled import compiled
from qwell.physics.grid import Grid
from qwell.physics.spectrum import check_potential, eigenvalues

U = 2.0**-53  # unit roundoff of float64
LEAST = 2.0**-900  # pivots below it are taken as −LEAST
LARGEST = 1e100  # potentials beyond it are refused, so that nothing overflows
WIDTH = 64
# Rows of the scratch array as offsets, see `lanes`.
SHIFT, PIVOT, COUNT = (WIDTH * row for row in range(3))


@compiled()
def _pivots(diagonal: np.ndarray, square: float, w: np.ndarray) -> None:
    """w[COUNT] ← n(w[SHIFT]) in every lane; diagonal (points, WIDTH), square = b²."""
    for k in range(WIDTH):
        w[PIVOT + k], w[COUNT + k] = np.inf, 0.0
    for i in range(diagonal.shape[0]):
        for k in range(WIDTH):
            q = (diagonal[i, k] - w[SHIFT + k]) - square / w[PIVOT + k]
            q = -LEAST if abs(q) < LEAST else q
            w[COUNT + k] += 1.0 if q < 0 else 0.0
            w[PIVOT + k] = q


@compiled()
def _count(inner: np.ndarray, b: float, shifts: np.ndarray, counts: np.ndarray) -> None:
    """Fill counts (n, m) with n(shifts) for potentials (n, points), WIDTH of them side by side."""
    n, points = inner.shape
    diagonal, w = np.empty((points, WIDTH)), np.empty(3 * WIDTH)
    for start in range(0, n, WIDTH):
        for k in range(WIDTH):
            row = min(start + k, n - 1)  # the last group repeats its last potential
            for i in range(points):
                diagonal[i, k] = inner[row, i] + 2.0 * b
        for j in range(shifts.shape[1]):
            for k in range(WIDTH):
                w[SHIFT + k] = shifts[min(start + k, n - 1), j]
            _pivots(diagonal, b * b, w)
            for k in range(min(WIDTH, n - start)):
                counts[start + k, j] = int(w[COUNT + k])


@dataclass(frozen=True)
class _Matrices:
    """The matrices H of some potentials: v_l (n, M−1) float64, b, and max|a_l| + b of each, (n, 1)."""

    inner: np.ndarray
    b: float
    size: np.ndarray

    @classmethod
    def of(cls, potential: np.ndarray, grid: Grid, levels: int) -> _Matrices:
        if np.iscomplexobj(potential):
            raise InvalidInput("a potential is complex; certificates are of real ones: give its real part")
        check_potential(potential, grid, levels)
        inner = np.ascontiguousarray(potential[:, 1:-1], dtype=np.float64)
        if len(inner) and (largest := float(np.abs(inner).max())) > LARGEST:
            raise InvalidInput(
                f"a potential reaches {largest:.3g}; certificates hold up to {LARGEST:g} ħ²/(m·length²)"
            )
        b = grid.mesh**2 / 8
        return cls(inner, b, np.abs(inner + 2 * b).max(axis=1, keepdims=True) + b)

    def __getitem__(self, rows: np.ndarray) -> _Matrices:
        return _Matrices(self.inner[rows], self.b, self.size[rows])

    def hold(self, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """Whether counts at lower and upper (n, levels) are n ≤ i and n > i in all columns i."""
        levels = np.arange(lower.shape[1])
        counts = np.empty((len(lower), 2 * len(levels)), dtype=np.int64)
        _count(self.inner, self.b, np.concatenate([lower, upper], axis=1), counts)
        proven: np.ndarray = (counts[:, : len(levels)] <= levels) & (counts[:, len(levels) :] > levels)
        return proven

    def rounding(self, shift: np.ndarray) -> np.ndarray:
        """ε(s), (n, levels)."""
        epsilon: np.ndarray = 4 * U * (self.size + np.abs(shift))
        return epsilon


def certified(
    potential: Float[np.ndarray, "n points"], grid: Grid, energy: Float[np.ndarray, "n levels"], delta: float
) -> Bool[np.ndarray, "n levels"]:
    """Whether |E_i − f_i| ≤ δ is proven, by n(f_i − δ + μ) ≤ i and n(f_i + δ − μ) > i.

    The margin μ = 8u(max|a_l| + b + |f_i| + δ) is at least ε and the rounding of the two shifts. So true is a
    proof; and false is one of |E_i − f_i| > δ − 2μ. Nothing is solved for.

    Arguments:
        potential: (n, M+1) float64 or narrower, energy units ħ²/(m·length²), finite, at most 1e100 in
            modulus; the values at the walls do not enter.
        grid: the mesh.
        energy: f_i, (n, levels) float64 or narrower, of the lowest levels in ascending order, in the same
            units. NaN and infinity are never certified.
        delta: δ, energy units.

    Returns: (n, levels) bool.

    Raises InvalidInput for wrong shapes, potentials that are not finite or too large, and δ that is not a
    positive number.
    """
    check_delta(delta)
    matrices = _Matrices.of(potential, grid, _levels(potential, energy))
    with np.errstate(over="ignore", invalid="ignore"):
        f = energy.astype(np.float64)
        margin = 8 * U * (matrices.size + np.abs(f) + delta)
        lower, upper = (f - delta) + margin, (f + delta) - margin
    return matrices.hold(lower, upper)


def enclosures(
    potential: Float[np.ndarray, "n points"], grid: Grid, levels: int
) -> tuple[Float[np.ndarray, "n {levels}"], Float[np.ndarray, "n {levels}"]]:
    """Proven bounds, low_i ≤ E_i ≤ high_i, of the lowest levels.

    Two counts beside what `lanes` finds, 2ε below and above it, are the proof; where one fails, the distance
    is made four times as large until both hold.

    Arguments, errors: as for `spectrum.eigenvalues`; potentials are at most 1e100 in modulus.

    Returns: low and high, (n, levels) float64; mostly 6ε from each other, 1e-11 for M = 100 and σ = 100.
    """
    matrices = _Matrices.of(potential, grid, levels)
    energy = eigenvalues(potential, grid, levels, "lanes")
    reach = 2 * matrices.rounding(energy)
    low, high = np.empty_like(energy), np.empty_like(energy)
    rows = np.arange(len(energy))
    while len(rows):
        here = matrices[rows]
        lower, upper = energy[rows] - reach[rows], energy[rows] + reach[rows]
        low[rows] = np.nextafter(lower - here.rounding(lower), -np.inf)
        high[rows] = np.nextafter(upper + here.rounding(upper), np.inf)
        failed = ~here.hold(lower, upper)
        reach[rows] *= np.where(failed, 4.0, 1.0)
        rows = rows[failed.any(axis=1)]
    return low, high


def smallest_delta(
    potential: Float[np.ndarray, "n points"], grid: Grid, energy: Float[np.ndarray, "n levels"]
) -> Float[np.ndarray, "n levels"]:
    """The smallest δ that can be proven of each level: max(high_i − f_i, f_i − low_i), rounded up.

    It is at least |E_i − f_i|, and larger by at most the width of the level's `enclosures`, mostly 6ε.

    Arguments, errors: as for `certified`.

    Returns: (n, levels) float64, infinite where f_i is NaN or infinite.
    """
    low, high = enclosures(potential, grid, _levels(potential, energy))
    with np.errstate(over="ignore"):
        f = energy.astype(np.float64)
        delta = np.nextafter(np.maximum(high - f, f - low), np.inf)
    proven: np.ndarray = np.where(np.isfinite(energy), delta, np.inf)
    return proven


def residual_bound(
    potential: Float[np.ndarray, "n points"], grid: Grid, state: Float[np.ndarray, "n levels points"]
) -> tuple[Float[np.ndarray, "n levels"], Float[np.ndarray, "n levels"]]:
    """θ = ⟨ψ|H|ψ⟩/⟨ψ|ψ⟩ and r ≥ ‖(H − θ)ψ‖/‖ψ‖: some eigenvalue lies within r of θ (Krylov, Weinstein).

    r holds of θ as it is returned. The computed residual is made larger by its rounding,
    (2M + 12)u of itself and 8u(max|a_l| + b + |θ|).

    Arguments:
        potential, grid: as for `certified`.
        state: ψ, (n, levels, M+1) float64 or narrower, of any norm but 0; 0 at the walls.

    Returns: θ and r, (n, levels) float64, energy units.

    Raises InvalidInput for states that are not finite, not 0 at the walls, or 0 everywhere.
    """
    return _residual(_Matrices.of(potential, grid, _levels(potential, state)), _scaled(state, grid))


@dataclass(frozen=True)
class StateBounds:
    """What is proven of approximate states ψ of the lowest levels; each array is (n, levels) float64.

    Arguments:
        energy: θ = ⟨ψ|H|ψ⟩/⟨ψ|ψ⟩, energy units.
        residual: r ≥ ‖(H − θ)ψ‖/‖ψ‖, energy units.
        gap: g ≤ |E_j − θ| for every level j but i; 0 where none is proven.
        energy_within: |E_i − θ| ≤ r²/g and rounding (Temple, Kato); infinite without a gap.
        sine: of the angle between ψ and the eigenvector ψ_i: sin ∠ ≤ r/g, at most 1 (Davis, Kahan).
    """

    energy: Float[np.ndarray, "n levels"]
    residual: Float[np.ndarray, "n levels"]
    gap: Float[np.ndarray, "n levels"]
    energy_within: Float[np.ndarray, "n levels"]
    sine: Float[np.ndarray, "n levels"]

    @property
    def density(self) -> Float[np.ndarray, "n levels"]:
        """Σ_l |ψ(l)²/‖ψ‖² − ψ_i(l)²| ≤ 2 sin ∠."""
        return 2 * self.sine


def state_bounds(
    potential: Float[np.ndarray, "n points"], grid: Grid, state: Float[np.ndarray, "n levels points"]
) -> StateBounds:
    """How far energies, wave functions and densities can be from those of the levels, see `StateBounds`.

    The gap is proven by the `enclosures` of the neighbouring levels.

    Arguments, errors: as for `residual_bound`; the states are of the lowest levels in ascending order.
    """
    levels = _levels(potential, state)
    matrices = _Matrices.of(potential, grid, levels)
    energy, residual = _residual(matrices, _scaled(state, grid))
    low, high = enclosures(potential, grid, min(levels + 1, grid.mesh - 1))
    away = np.full((len(energy), 1), np.inf)  # no level is below the lowest, nor above the highest
    above = np.concatenate([low[:, 1:], away], axis=1)[:, :levels] - energy
    below = energy - np.concatenate([-away, high[:, : levels - 1]], axis=1)
    gap = np.maximum(np.nextafter(np.minimum(above, below), -np.inf), 0.0)
    # |θ − ⟨H⟩|: sums of M + 1 terms of at most three roundings each, and one of the quotient
    rounding = (2 * grid.mesh + 20) * U * (matrices.size + matrices.b)
    true_gap = np.nextafter(gap - rounding, -np.inf)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        within = (residual**2 / true_gap) * (1 + 8 * U) + 2 * rounding
        sine = np.nextafter(residual / gap, np.inf)
    within = np.where(true_gap > 0, within, np.inf)
    return StateBounds(energy, residual, gap, within, np.where(gap > 0, np.minimum(sine, 1.0), 1.0))


def check_delta(delta: float) -> None:
    """Raise InvalidInput unless δ is a positive number."""
    if not (math.isfinite(delta) and delta > 0):
        raise InvalidInput(f"delta is {delta:g}; give a positive distance in ħ²/(m·length²), say 0.05")


def _residual(matrices: _Matrices, psi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `residual_bound`, of states of largest value 1/2 to 1."""
    v, b, middle = matrices.inner[:, None], matrices.b, psi[:, :, 1:-1]
    neighbours = b * (psi[:, :, :-2] + psi[:, :, 2:])
    square = np.einsum("nlx,nlx->nl", middle, middle)
    energy = np.einsum("nlx,nlx->nl", middle, (v + 2 * b) * middle - neighbours) / square
    off = ((v + 2 * b) - energy[:, :, None]) * middle - neighbours
    residual = np.sqrt(np.einsum("nlx,nlx->nl", off, off) / square)
    rounding = 8 * U * (matrices.size + b + np.abs(energy))
    return energy, residual * (1 + (2 * middle.shape[2] + 12) * U) + rounding


def _scaled(state: np.ndarray, grid: Grid) -> np.ndarray:
    """States times powers of 2, their largest values 1/2 to 1; InvalidInput as `residual_bound` says."""
    if state.shape[2] != grid.mesh + 1:
        raise InvalidInput(f"states have {state.shape[2]} points; a mesh of {grid.mesh} has {grid.mesh + 1}")
    if not np.isfinite(state).all():
        raise InvalidInput("a state holds NaN or infinity; remove or repair it")
    if state[:, :, [0, -1]].any():
        raise InvalidInput("a state is not 0 at the walls; set its first and last value to 0")
    psi = state.astype(np.float64)
    largest = np.abs(psi).max(axis=2, keepdims=True)
    if not largest.all():
        raise InvalidInput("a state is 0 everywhere, which is no state; leave it out")
    scaled: np.ndarray = np.ldexp(psi, -np.frexp(largest)[1])
    return scaled


def _levels(potential: np.ndarray, values: np.ndarray) -> int:
    """How many levels (n, levels, …) has; InvalidInput unless there is a row for each potential."""
    if np.iscomplexobj(potential) or np.iscomplexobj(values):
        raise InvalidInput("potentials, energies and states must be real; of complex ones give the real part")
    if len(values) != len(potential):
        raise InvalidInput(f"there are {len(potential):,} potentials and {len(values):,} rows of levels")
    return int(values.shape[1])
