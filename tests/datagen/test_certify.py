"""Certificates are proofs: no level that is said to be within δ is not, counted in exact arithmetic."""

from collections.abc import Iterator
from fractions import Fraction
from inspect import unwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qwell.errors import InvalidInput
from qwell.physics import certify, kernels, potentials, spectrum
from qwell.physics.certify import certified, enclosures, residual_bound, smallest_delta, state_bounds
from qwell.physics.grid import Grid

GRID = Grid(40)
LEVELS = 4


def count_below(row: np.ndarray, shift: Fraction) -> int:
    """How many eigenvalues of H are below a shift: sign changes of leading minors, in whole numbers.

    All is multiplied by a power of 2 that makes it whole; a minor that is 0 has the sign of the one before.
    """
    mesh = len(row) - 1
    kinetic = Fraction(mesh**2, 4)
    diagonal = [Fraction(float(v)) + kinetic - shift for v in row[1:-1]]
    unit = max(8, *(a.denominator for a in diagonal))
    off = int(kinetic * unit / 2) ** 2
    before, minor, positive, count = 0, 1, True, 0
    for a in diagonal:
        before, minor = minor, int(a * unit) * minor - off * before
        still = minor > 0 if minor else positive
        count += still != positive
        positive = still
    return count


def is_within(row: np.ndarray, level: int, energy: float, delta: float | Fraction) -> bool:
    """|E_i − f| ≤ δ, exactly; a level at the upper edge itself is taken as outside."""
    f, d = Fraction(energy), Fraction(delta)
    return count_below(row, f - d) <= level < count_below(row, f + d)


def exact_level(row: np.ndarray, level: int, low: float, high: float) -> Fraction:
    """E_i to 2⁻⁷⁰ of an interval that holds it."""
    a, b = Fraction(low), Fraction(high)
    assert count_below(row, a) <= level < count_below(row, b)
    while b - a > Fraction(1, 2**70) * (1 + abs(a)):
        middle = (a + b) / 2
        a, b = (a, middle) if count_below(row, middle) > level else (middle, b)
    return a


def adversarial() -> np.ndarray:
    """Potentials on 41 points that try the rounding: (n, 41)."""
    x, rng = GRID.x, np.random.default_rng(7)
    well = 700.0 * (np.abs(x) < 0.5) + 30 * x**2  # two wells: levels in pairs, less than 1e-12 apart
    rough = [s * rng.normal(size=x.shape) for s in (1e2, 1e4, 1e6, 1e12, 1e30)]
    smooth = potentials.rows(potentials.factor(kernels.covariance("rbf", GRID, 1e4, 0.2)), 5, "train", 0, 2)
    wall = np.where(np.arange(41) == 20, 1e300**0.3, 0.0)
    return np.stack([0 * x, well, well + 1e-11 * x, 1e-3 * x, 2.0**40 + x, *rough, *smooth, wall])


V = adversarial()
LOW, HIGH = enclosures(V, GRID, LEVELS)
ROWS = pytest.mark.parametrize("row", range(len(V)))


def test_there_are_pairs_that_no_solver_of_doubles_tells_apart() -> None:
    """The wells of the tests below are as bad as they should be: split by less than 1e-12, but not by 0."""
    first, second = (exact_level(V[1], i, LOW[1, i], HIGH[1, i]) for i in (0, 1))
    assert 0 < second - first < 1e-12


@ROWS
def test_every_level_lies_in_its_enclosure(row: int) -> None:
    for i in range(LEVELS):
        assert count_below(V[row], Fraction(LOW[row, i])) <= i < count_below(V[row], Fraction(HIGH[row, i]))
    size = np.abs(V[row]).max() + 2.0 * GRID.mesh**2
    assert (HIGH[row] - LOW[row]).max() < 1e-14 * size


@ROWS
@pytest.mark.parametrize("delta", [0.05, 1e-9, 3e-12])
def test_no_certificate_is_false_at_the_edge(row: int, delta: float) -> None:
    """f = E ± δ(1 ± η): what is certified is true; what is true by more than the rounding is certified."""
    size = np.abs(V[row, 1:-1] + GRID.mesh**2 / 4).max() + GRID.mesh**2 / 8
    for i in range(LEVELS):
        exact = exact_level(V[row], i, LOW[row, i], HIGH[row, i])
        for side in (-1, 1):
            for eta in (-1.0, -1e-3, -1e-9, -1e-12, 0.0, 1e-12, 1e-9, 1e-3):
                f = np.full((1, LEVELS), float(exact + side * Fraction(delta * (1 + eta))))
                proven = certified(V[row : row + 1], GRID, f, delta)[0, i]
                assert not proven or is_within(V[row], i, f[0, i], delta), (i, side, eta)
                margin = 16 * 2.0**-53 * (size + abs(f[0, i]) + delta)
                surely = delta > margin and is_within(V[row], i, f[0, i], delta - margin)
                assert proven or not surely, (i, side, eta)


@settings(deadline=None, max_examples=40)
@given(
    v=arrays(np.float64, (2, 12), elements=st.floats(-1e6, 1e6)),
    f=arrays(np.float64, (2, 3), elements=st.floats(-1e4, 1e4)),
    delta=st.floats(1e-13, 1e4),
)
def test_no_certificate_of_any_potential_is_false(v: np.ndarray, f: np.ndarray, delta: float) -> None:
    grid = Grid(11)
    near = (f + spectrum.eigenvalues(v, grid, 3)) / np.array([[1.0], [1e9]])  # anywhere
    near[1] += spectrum.eigenvalues(v, grid, 3)[1]  # and near
    proven, smallest = certified(v, grid, near, delta), smallest_delta(v, grid, near)
    for k, i in np.ndindex(near.shape):
        assert not proven[k, i] or is_within(v[k], i, near[k, i], delta)
        assert is_within(v[k], i, near[k, i], smallest[k, i])


def test_energies_in_float32_are_taken_as_they_are() -> None:
    """f − δ is not rounded to float32, which would move it by 1e-5 and more."""
    v = np.random.default_rng(4).normal(scale=100, size=(40, 41)).astype(np.float32)
    f = (spectrum.eigenvalues(v, GRID, LEVELS) + 0.05).astype(np.float32)
    proven, smallest = certified(v, GRID, f, 0.05), smallest_delta(v, GRID, f)
    for k, i in np.ndindex(f.shape):
        assert proven[k, i] == is_within(v[k], i, float(f[k, i]), 0.05)
        assert is_within(v[k], i, float(f[k, i]), smallest[k, i])
    assert 0.2 < proven.mean() < 0.8 and smallest.dtype == np.float64


@ROWS
def test_the_smallest_delta_is_true_and_the_distance(row: int) -> None:
    v, size = V[row : row + 1], np.abs(V[row]).max() + 2.0 * GRID.mesh**2
    exact = [exact_level(V[row], i, LOW[row, i], HIGH[row, i]) for i in range(LEVELS)]
    for off in (0.0, 1e-6, -0.3, 1e3):
        f = np.array([[float(e) + off for e in exact]])
        delta = smallest_delta(v, GRID, f)[0]
        for i in range(LEVELS):
            distance = abs(exact[i] - Fraction(f[0, i]))
            assert distance <= Fraction(delta[i]) <= distance + Fraction(1e-14 * size)


@pytest.mark.parametrize(("mesh", "value"), [(2, 0.0), (2, -7.25), (3, 0.0)])
def test_the_smallest_boxes(mesh: int, value: float) -> None:
    """One interior point has E = v + 1/dx², two have v + 1/dx² ∓ 1/2dx²; δ at the very edge is not proven."""
    grid, v = Grid(mesh), np.full((1, mesh + 1), value)
    exact = value + np.array([[1.0]] if mesh == 2 else [[9 / 8, 27 / 8]])
    assert certified(v, grid, exact + 0.25, 0.25 + 1e-12).all()
    assert (
        not certified(v, grid, exact + 0.25, 0.25).any() and not certified(v, grid, exact - 0.25, 0.25).any()
    )
    assert (smallest_delta(v, grid, exact) < 1e-13).all()


def test_what_is_certified_is_one_level_and_not_another() -> None:
    """Of the box, E₁ given as the first level is refused, and a δ that holds both levels certifies it."""
    v, energy = np.zeros((1, 41)), GRID.box_energies(2)
    swapped = energy[::-1][None].copy()
    gap = energy[1] - energy[0]
    assert not certified(v, GRID, swapped, 0.99 * gap).any()
    assert certified(v, GRID, swapped, 1.01 * gap).all()


def test_numbers_that_are_none_are_never_certified() -> None:
    v = np.zeros((4, 41))
    f = np.repeat([[np.nan], [np.inf], [-np.inf], [1e308]], 2, axis=1)
    for delta in (0.05, 1e308):
        assert not certified(v, GRID, f, delta)[:3].any()
    assert not certified(v, GRID, f, 1e3).any()
    assert np.isinf(smallest_delta(v, GRID, f)[:3]).all()


def test_complex_numbers_are_refused_and_not_cast() -> None:
    v, f = np.zeros((1, 33)), np.ones((1, 2))
    plain = [unwrap(proof) for proof in (smallest_delta, residual_bound, state_bounds, certified)]  # of types
    for potential, values in ((v + 1j, f), (v, f + 1j), (v.astype(complex), f)):
        for proof in plain:
            with pytest.raises(InvalidInput, match="must be real"):
                proof(potential, Grid(32), values, *([0.1] if proof is plain[-1] else []))
    with pytest.raises(InvalidInput, match="is complex"):
        unwrap(enclosures)(v + 1j, Grid(32), 2)


def test_answers_do_not_depend_on_the_company() -> None:
    v = np.random.default_rng(0).normal(scale=100, size=(130, 41))
    f = spectrum.eigenvalues(v, GRID, LEVELS) + np.random.default_rng(1).normal(
        scale=0.05, size=(130, LEVELS)
    )
    whole, alone = (certified(v, GRID, f, 0.05), smallest_delta(v, GRID, f)), ([], [])
    for k in range(0, 130, 13):
        alone[0].append(certified(v[k : k + 1], GRID, f[k : k + 1], 0.05))
        alone[1].append(smallest_delta(v[k : k + 1], GRID, f[k : k + 1]))
    for a, b in zip(whole, alone, strict=True):
        np.testing.assert_array_equal(a[::13], np.concatenate(b))
    assert 0.1 < whole[0].mean() < 0.9
    assert certified(v[:0], GRID, f[:0], 0.05).shape == (0, LEVELS)


def test_a_wrong_solver_makes_no_false_enclosure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts are the proof: levels that were off by 3 are enclosed all the same, only less narrowly."""
    right = spectrum.eigenvalues(V[:2], GRID, LEVELS)
    monkeypatch.setattr(certify, "eigenvalues", lambda *_: right + 3.0)
    low, high = enclosures(V[:2], GRID, LEVELS)
    assert (low <= right).all() and (right <= high).all() and (high - low < 30).all()


def states(kind: str) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """A potential, its levels and eigenvectors, and states nearby: of every kernel, or pairs."""
    rng = np.random.default_rng(3)
    for v in (V[[0, 10, 11]] if kind == "apart" else V[[1]])[:, None]:
        energy, wave = spectrum.eigenstates(v, GRID, LEVELS)
        for off in (0.0, 1e-6, 1e-3, 0.1):
            noise = rng.normal(size=wave.shape) * off
            noise[:, :, [0, -1]] = 0
            yield v, energy, wave, (wave + noise) * 10.0 ** rng.integers(-150, 150)


@pytest.mark.parametrize("kind", ["apart", "pairs"])
def test_states_are_bounded(kind: str) -> None:
    """Krylov–Weinstein, Kato–Temple and Davis–Kahan hold of states that are off by any amount."""
    for v, energy, wave, psi in states(kind):
        unit = psi / np.linalg.norm(psi / np.abs(psi).max(), axis=2, keepdims=True) / np.abs(psi).max()
        bounds = state_bounds(v, GRID, psi)
        theta, residual = residual_bound(v, GRID, psi)
        assert (theta == bounds.energy).all() and (residual == bounds.residual).all()
        every = spectrum.eigenvalues(v, GRID, 39)[0]
        rounding = 1e-11 + 1e-15 * np.abs(v).max()  # of scipy
        assert (np.abs(every[:, None] - theta).min(axis=0) <= residual + rounding).all()
        assert (np.abs(energy - theta) <= bounds.energy_within + rounding).all()
        if kind == "apart":
            cosine = np.abs((unit * wave).sum(axis=2))
            assert (np.sqrt(np.maximum(1 - cosine**2, 0)) <= bounds.sine + 1e-7).all()
            assert (np.abs(unit**2 - wave**2).sum(axis=2) <= bounds.density + 1e-7).all()
        else:  # pairs have no gap that doubles can prove, and so nothing is said of their states
            assert (bounds.sine[:, :2] == 1).all()


def test_bounds_of_states_are_attained() -> None:
    """ψ = cos t ψ₀ + sin t ψ₁ of the box: with E₁ − E₀ = g, r = g sin 2t/2 and |E₀ − θ| = g sin² t."""
    v, t = np.zeros((1, 41)), 1e-3
    energy, wave = spectrum.eigenstates(v, GRID, 2)
    psi = np.cos(t) * wave[:, :1] + np.sin(t) * wave[:, 1:]
    bounds, gap = state_bounds(v, GRID, psi), energy[0, 1] - energy[0, 0]
    np.testing.assert_allclose(bounds.residual, gap * np.sin(2 * t) / 2, rtol=1e-6)
    np.testing.assert_allclose(bounds.energy_within, gap * np.sin(t) ** 2, rtol=1e-4)
    np.testing.assert_allclose(bounds.sine, np.sin(t), rtol=1e-4)
    assert (bounds.density >= np.abs(psi**2 - wave[:, :1] ** 2).sum()).all()


def test_the_rounding_of_residuals_is_bounded() -> None:
    """One interior point has E = v + 1 and ψ = 1: the computed residual is 0, and θ is rounded."""
    v = np.zeros((500, 3))
    v[:, 1] = np.random.default_rng(2).normal(size=500)
    bounds = state_bounds(v, Grid(2), np.tile([0.0, 1.0, 0.0], (500, 1, 1)))
    off = [abs(Fraction(a) + 1 - Fraction(b)) for a, b in zip(v[:, 1], bounds.energy[:, 0], strict=True)]
    assert any(off)
    for bound in (bounds.residual, bounds.energy_within):
        assert all(one <= Fraction(b) < 1e-13 for one, b in zip(off, bound[:, 0], strict=True))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v, f, psi: certified(v, GRID, f, 0.0), "delta is 0; give a positive distance"),
        (lambda v, f, psi: certified(v, GRID, f, np.nan), "delta is nan"),
        (lambda v, f, psi: certified(v * np.inf, GRID, f, 0.1), "NaN or infinity"),
        (lambda v, f, psi: certified(v + 1e101, GRID, f, 0.1), "hold up to 1e\\+100"),
        (lambda v, f, psi: certified(v[:, 1:], GRID, f, 0.1), "expected \\(n, 41\\)"),
        (lambda v, f, psi: smallest_delta(v, GRID, np.zeros((2, 40))), "lower --levels"),
        (lambda v, f, psi: smallest_delta(v, GRID, f[:1]), "2 potentials and 1 rows"),
        (lambda v, f, psi: residual_bound(v, GRID, 0 * psi), "0 everywhere"),
        (lambda v, f, psi: residual_bound(v, GRID, psi + 1), "not 0 at the walls"),
        (lambda v, f, psi: residual_bound(v, GRID, psi * np.nan), "a state holds NaN"),
        (lambda v, f, psi: state_bounds(v, GRID, psi[:, :, 1:]), "states have 40 points"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_certified_is_refused(change: object, said: str) -> None:
    v = np.ones((2, 41))
    energy, wave = spectrum.eigenstates(v, GRID, 2)
    with pytest.raises(InvalidInput, match=said):
        change(v, energy, wave)  # type: ignore[operator]
