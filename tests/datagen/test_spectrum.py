"""The laws a spectrum obeys, for both solvers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.linalg import eigh_tridiagonal

from qwell.datagen.audit.spectra import TOLERANCE, energy_deviation
from qwell.errors import InvalidInput
from qwell.physics import kernels, lanes, potentials, spectrum
from qwell.physics.galerkin import galerkin
from qwell.physics.grid import Grid

GRID = Grid(100)
UNIT = GRID.box_energies(1)[0]
SOLVERS = pytest.mark.parametrize("solver", spectrum.SOLVERS)
random_potentials = arrays(np.float64, (3, 101), elements=st.floats(-1000, 1000, width=32))


def random_set(kernel: str, sigma: float, n: int) -> np.ndarray:
    root = potentials.factor(kernels.covariance(kernel, GRID, sigma, 0.2))
    return potentials.rows(root, 5, "train", 0, n).astype(np.float32)


@SOLVERS
@pytest.mark.parametrize("mesh", [11, 100, 301])
def test_empty_box_has_the_lattice_spectrum(solver: str, mesh: int) -> None:
    grid = Grid(mesh)
    energies = spectrum.eigenvalues(np.zeros((2, mesh + 1)), grid, 10, solver)
    exact = (1 - np.cos(np.arange(1, 11) * np.pi / mesh)) / grid.dx**2
    rounding = np.finfo(float).eps * 2 / grid.dx**2 if mesh > 100 else 0.0  # of the norm of H, LAPACK's limit
    np.testing.assert_allclose(energies, [exact, exact], rtol=1e-12, atol=rounding)


@SOLVERS
def test_empty_box_tends_to_the_continuum_at_second_order(solver: str) -> None:
    exact = np.pi**2 / 8 * np.arange(1, 6) ** 2
    errors = [
        np.abs(spectrum.eigenvalues(np.zeros((1, m + 1)), Grid(m), 5, solver)[0] - exact) for m in (100, 200)
    ]
    np.testing.assert_allclose(errors[0] / errors[1], 4.0, rtol=0.01)


@SOLVERS
def test_harmonic_oscillator(solver: str) -> None:
    """V = ω²x²/2 with ω = 60: E_i = ω(i + ½) less ω²(2i² + 2i + 1)dx²/32, the lattice's first-order shift."""
    grid, omega, i = Grid(400), 60.0, np.arange(4)
    energies = spectrum.eigenvalues(0.5 * omega**2 * grid.x[None] ** 2, grid, 4, solver)[0]
    lattice = omega * (i + 0.5) - omega**2 * (2 * i**2 + 2 * i + 1) * grid.dx**2 / 32
    np.testing.assert_allclose(energies, lattice, rtol=2e-5)


@SOLVERS
@settings(deadline=None, max_examples=30)
@given(v=random_potentials, shift=st.floats(-500, 500))
def test_a_constant_shifts_every_level(solver: str, v: np.ndarray, shift: float) -> None:
    moved = spectrum.eigenvalues(v + shift, GRID, 10, solver)
    np.testing.assert_allclose(moved, spectrum.eigenvalues(v, GRID, 10, solver) + shift, atol=1e-9)


@SOLVERS
@settings(deadline=None, max_examples=30)
@given(v=random_potentials)
def test_reflection_leaves_the_spectrum(solver: str, v: np.ndarray) -> None:
    mirrored = spectrum.eigenvalues(np.ascontiguousarray(v[:, ::-1]), GRID, 10, solver)
    np.testing.assert_allclose(mirrored, spectrum.eigenvalues(v, GRID, 10, solver), atol=1e-9)


@SOLVERS
@settings(deadline=None, max_examples=30)
@given(v=random_potentials, more=arrays(np.float64, (3, 101), elements=st.floats(0, 300, width=32)))
def test_levels_rise_with_the_potential_within_weyl_bounds(
    solver: str, v: np.ndarray, more: np.ndarray
) -> None:
    lower = spectrum.eigenvalues(v, GRID, 10, solver)
    upper = spectrum.eigenvalues(v + more, GRID, 10, solver)
    inner = more[:, 1:-1]
    assert (upper - lower >= inner.min(axis=1, keepdims=True) - 1e-9).all()
    assert (upper - lower <= inner.max(axis=1, keepdims=True) + 1e-9).all()


@SOLVERS
def test_walls_are_infinite(solver: str) -> None:
    v = random_set("m3", 100.0, 5).astype(float)
    other = v.copy()
    other[:, [0, -1]] = 1e6
    np.testing.assert_array_equal(
        spectrum.eigenvalues(v, GRID, 10, solver), spectrum.eigenvalues(other, GRID, 10, solver)
    )


def test_state_i_has_i_nodes_and_unit_norm() -> None:
    _, waves = spectrum.eigenstates(random_set("m3", 100.0, 50), GRID, 10)
    np.testing.assert_allclose((waves**2).sum(axis=2), 1.0, rtol=1e-12)
    assert (waves[:, :, [0, -1]] == 0).all()
    for state in waves:
        for i, psi in enumerate(state):
            inside = psi[np.abs(psi) > 1e-9 * np.abs(psi).max()]
            assert (np.diff(np.sign(inside)) != 0).sum() == i


def test_hellmann_feynman() -> None:
    """∂E_i/∂v_m = ψ_i(m)²."""
    v = random_set("rbf", 100.0, 3).astype(float)
    _, waves = spectrum.eigenstates(v, GRID, 10)
    for m in (20, 50, 77):
        step = np.zeros(101)
        step[m] = 1e-3
        slope = (spectrum.eigenvalues(v + step, GRID, 10) - spectrum.eigenvalues(v - step, GRID, 10)) / 2e-3
        np.testing.assert_allclose(slope, waves[:, :, m] ** 2, atol=2e-8)


def test_eigenstates_solve_the_schroedinger_equation() -> None:
    v = random_set("exp", 100.0, 10)
    energies, waves = spectrum.eigenstates(v, GRID, 10)
    diagonal, off = spectrum.hamiltonian(v, GRID)
    inner = waves[:, :, 1:-1]
    h_psi = diagonal[:, None] * inner
    h_psi[..., 1:] += off * inner[..., :-1]
    h_psi[..., :-1] += off * inner[..., 1:]
    assert np.abs(h_psi - energies[..., None] * inner).max() < 1e-9


def test_galerkin_is_an_upper_bound_that_closes() -> None:
    v = random_set("m3", 100.0, 20)
    exact = spectrum.eigenvalues(v, GRID, 10)
    few, many, all_modes = (galerkin(v, GRID, 10, modes) for modes in (20, 40, 99))
    assert (few >= exact - 1e-8).all() and (many >= exact - 1e-8).all()
    assert np.abs(many - exact).max() < np.abs(few - exact).max()
    np.testing.assert_allclose(all_modes, exact, atol=1e-8)


@pytest.mark.parametrize(
    ("kernel", "sigma"),
    [
        ("rbf", 100.0),
        ("m5", 1000.0),
        ("m3", 100.0),
        ("exp", 1000.0),
        pytest.param("rbf", 1000.0, marks=pytest.mark.slow),
        pytest.param("m5", 100.0, marks=pytest.mark.slow),
        pytest.param("m3", 1000.0, marks=pytest.mark.slow),
        pytest.param("exp", 100.0, marks=pytest.mark.slow),
    ],
)
def test_lanes_agree_with_scipy(kernel: str, sigma: float) -> None:
    v = random_set(kernel, sigma, 10_000)
    reference = spectrum.eigenvalues(v, GRID, 10)
    assert energy_deviation(spectrum.eigenvalues(v, GRID, 10, "lanes"), reference, UNIT) < TOLERANCE


def adversarial() -> dict[str, np.ndarray]:
    x = GRID.x
    return {
        "zero": np.zeros(101),
        "constant": np.full(101, -37.5),
        "huge constant": np.full(101, 1e6),
        "steep well": np.where(np.abs(x) < 0.3, -1e5, 0.0),
        "steep well of one point": np.where(np.arange(101) == 50, -1e5, 0.0),
        "steep wall": np.where(np.abs(x) < 0.1, 1e6, 0.0),
        "near-degenerate double well": np.where(np.abs(x) < 0.5, 1e4, 0.0),
        "degenerate to rounding": np.where(np.abs(x) < 0.8, 1e5, 0.0),
        "nearly symmetric double well": np.where(np.abs(x) < 0.4, 3e3, 0.0) + 1e-7 * x,
        "many wells": 5e3 * (np.arange(101) % 10 == 0),
        "alternating": 1e4 * (-1.0) ** np.arange(101),
        "ramp": 1e4 * x,
        "oscillator": 0.5 * 100.0**2 * x**2,
        "too rough for the recurrence": 1e8 * (np.arange(101) % 2),
    }


@pytest.mark.parametrize("name", adversarial())
@pytest.mark.parametrize("levels", [1, 10, 99])
def test_lanes_agree_with_scipy_on_adversarial_potentials(name: str, levels: int) -> None:
    v = adversarial()[name][None]
    reference = spectrum.eigenvalues(v, GRID, levels)
    assert energy_deviation(spectrum.eigenvalues(v, GRID, levels, "lanes"), reference, UNIT) < TOLERANCE


@pytest.mark.parametrize("mesh", [386, 800, 1600])
@pytest.mark.parametrize("sigma", [100.0, 1000.0, 1e4])
def test_lanes_on_fine_meshes_where_minors_leave_float64(mesh: int, sigma: float) -> None:
    grid = Grid(mesh)
    smooth = (
        sigma
        * np.random.default_rng(mesh).normal(size=(6, 8))
        @ np.sin(np.arange(1, 9)[:, None] * np.pi * (grid.x + 1) / 2)
    )
    wells = np.where(np.abs(grid.x) < 0.5, 100 * sigma, 0.0) + sigma * 1e-6 * grid.x  # nearly degenerate
    rough = sigma * np.random.default_rng(1).normal(size=(2, mesh + 1))
    v = np.concatenate([smooth, wells[None], rough])
    assert lanes.tractable(v, grid).all()  # or scipy would be compared with itself
    reference = spectrum.eigenvalues(v, grid, 10)
    ours = spectrum.eigenvalues(v, grid, 10, "lanes")
    assert energy_deviation(ours, reference, grid.box_energies(1)[0]) < TOLERANCE


def test_dividing_large_minors_changes_no_bit() -> None:
    grid, levels = Grid(300), 10
    v = np.stack([np.zeros(301), 40 * np.cos(9 * grid.x), 1e3 * grid.x**2])
    scale = 2 * grid.dx**2
    found = [np.empty((3, levels)) for _ in range(2)]
    for out, block in zip(found, (grid.mesh, lanes.BLOCK), strict=True):
        lanes._solve(v[:, 1:-1].copy(), scale, scale * grid.box_energies(levels), out, block)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(("mesh", "levels"), [(20, 4), (100, 10), (100, 50), (300, 10), (900, 3)])
def test_the_reference_is_scipy_s_own(mesh: int, levels: int) -> None:
    """To the bit where all eigenvalues are found; to rounding of the norm of H where few are."""
    grid = Grid(mesh)
    v = np.random.default_rng(0).normal(0, 300, (5, mesh + 1)).cumsum(1)
    diagonal, off = spectrum.hamiltonian(v, grid)
    expected = [eigh_tridiagonal(d, off, eigvals_only=True)[:levels] for d in diagonal]
    found = spectrum.eigenvalues(v, grid, levels)
    few = mesh > spectrum.FEW * levels
    assert few or np.array_equal(found, expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14 * np.abs(diagonal).max())


def test_lanes_treat_every_potential_alone() -> None:
    """Order and company do not change a bit of a result."""
    wild = 5e5 * np.cos(40 * GRID.x)[None]  # minors of this one leave float64
    v = np.concatenate([random_set("m3", 100.0, 200), wild, np.stack(list(adversarial().values()))[:-1]])
    assert lanes.tractable(v, GRID).all()
    together = lanes.eigenvalues(v, GRID, 10)
    shuffled = np.random.default_rng(0).permutation(len(v))
    np.testing.assert_array_equal(lanes.eigenvalues(v[shuffled], GRID, 10), together[shuffled])
    np.testing.assert_array_equal(lanes.eigenvalues(v[7:8], GRID, 10), together[7:8])


@pytest.mark.parametrize("mesh", [2, 3, 5, 8, 33, 300])
def test_lanes_on_other_meshes(mesh: int) -> None:
    grid = Grid(mesh)
    v = np.random.default_rng(mesh).normal(size=(70, mesh + 1)) * 100
    levels = min(mesh - 1, 10)
    assert lanes.tractable(v, grid).all()  # or scipy would be compared with itself
    reference = spectrum.eigenvalues(v, grid, levels)
    ours = spectrum.eigenvalues(v, grid, levels, "lanes")
    assert energy_deviation(ours, reference, grid.box_energies(1)[0]) < TOLERANCE


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_what_is_not_finite(bad: float) -> None:
    v = np.zeros((3, 101))
    v[1, 4] = bad
    with pytest.raises(InvalidInput, match="potential 1 holds NaN"):
        spectrum.eigenvalues(v, GRID, 10)


def test_refuses_wrong_shapes_levels_and_solvers() -> None:
    with pytest.raises(InvalidInput, match=r"expected \(n, 101\)"):
        spectrum.eigenvalues(np.zeros((3, 100)), GRID, 10)
    with pytest.raises(InvalidInput, match="99 interior points"):
        spectrum.eigenvalues(np.zeros((3, 101)), GRID, 100)
    with pytest.raises(InvalidInput, match="scipy, lanes"):
        spectrum.eigenvalues(np.zeros((3, 101)), GRID, 10, "magic")
