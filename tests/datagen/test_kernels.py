"""Kernels: closed forms, limits, and the statistics of what is drawn from them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwell.physics import kernels, potentials
from qwell.physics.grid import Grid

GRID = Grid(100)
FAMILY = [("rbf", None), ("m5", None), ("m3", None), ("exp", None), ("matern", 0.8)]


@pytest.mark.parametrize(("nu", "name"), [(0.5, "exp"), (1.5, "m3"), (2.5, "m5")])
def test_matern_agrees_with_closed_forms(nu: float, name: str) -> None:
    ours = kernels.covariance("matern", GRID, 100.0, 0.2, nu)
    closed = kernels.covariance(name, GRID, 100.0, 0.2)
    np.testing.assert_allclose(ours, closed, rtol=1e-12, atol=0)


def test_matern_tends_to_rbf() -> None:
    ours = kernels.covariance("matern", GRID, 1.0, 0.5, 100.0)
    np.testing.assert_allclose(ours, kernels.covariance("rbf", GRID, 1.0, 0.5), atol=5e-3)


def test_rbf_is_the_gaussian_of_the_paper() -> None:
    k = kernels.covariance("rbf", GRID, 100.0, 0.2)
    assert k[0, 10] == pytest.approx(1e4 * np.exp(-(0.2**2) / (2 * 0.2**2)), rel=1e-13)


@given(st.floats(0.1, 50.0), st.floats(0.0, 40.0))
def test_matern_is_a_correlation(nu: float, u: float) -> None:
    value = kernels.matern(np.array([u]), nu)[0]
    assert 0 <= value <= 1 + 1e-9


@pytest.mark.parametrize(("name", "nu"), FAMILY)
def test_covariance_is_symmetric_positive_with_diagonal_sigma_squared(name: str, nu: float | None) -> None:
    k = kernels.covariance(name, GRID, 7.0, 0.2, nu)
    np.testing.assert_array_equal(k, k.T)
    np.testing.assert_allclose(np.diag(k), 49.0, rtol=1e-12)
    assert np.linalg.eigvalsh(k).min() > -1e-10 * 49


@pytest.mark.parametrize(("name", "nu"), FAMILY)
def test_factor_squares_to_the_covariance(name: str, nu: float | None) -> None:
    k = kernels.covariance(name, GRID, 100.0, 0.2, nu)
    root = potentials.factor(k)
    np.testing.assert_allclose(root @ root, k, atol=1e-12 * np.linalg.eigvalsh(k).max())


@pytest.mark.parametrize(("name", "nu"), FAMILY)
def test_sample_covariance_is_the_kernel(name: str, nu: float | None) -> None:
    """Each of the 5151 entries scatters by s = sqrt((K_ll K_mm + K_lm²)/n), the worst by under 5.5 s."""
    n = 40_000
    k = kernels.covariance(name, GRID, 100.0, 0.2, nu)
    v = potentials.rows(potentials.factor(k), 11, "train", 0, n)
    error = np.sqrt((np.outer(np.diag(k), np.diag(k)) + k**2) / n)
    assert (np.abs(v.T @ v / n - k) / error).max() < 5.5
    assert (np.abs(v.mean(axis=0)) / np.sqrt(np.diag(k) / n)).max() < 5.0


@pytest.mark.parametrize(("name", "derivatives"), [("exp", 0), ("m3", 1), ("m5", 2)])
def test_smoothness_of_samples(name: str, derivatives: int) -> None:
    """⟨(Δ^{q+1} v)²⟩ falls like dx^{2q+1} for q = [ν] derivatives: a factor 2^{2q+1} when dx is halved."""

    def roughness(mesh: int) -> float:
        grid = Grid(mesh)
        k = kernels.covariance(name, grid, 1.0, 1.0)
        d = np.diff(np.eye(mesh + 1), n=derivatives + 1, axis=0)
        return float(np.trace(d @ k @ d.T) / len(d))

    exponent = np.log2(roughness(100) / roughness(200))
    assert exponent == pytest.approx(2 * derivatives + 1, abs=0.1)


def test_potentials_depend_on_seed_split_and_row_alone() -> None:
    root = potentials.factor(kernels.covariance("m3", GRID, 100.0, 0.2))
    whole = potentials.rows(root, 3, "train", 0, 3000)
    np.testing.assert_array_equal(potentials.rows(root, 3, "train", 900, 2100), whole[900:2100])
    assert not np.array_equal(potentials.rows(root, 4, "train", 0, 10), whole[:10])
    assert not np.array_equal(potentials.rows(root, 3, "validation", 0, 10), whole[:10])
