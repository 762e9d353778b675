"""Densities: the cells' matrices, Wronskian and current, and the law that three variables obey."""

import numpy as np
import pytest

from qwell import generate, open_dataset
from qwell.datagen.audit.audit import audit
from qwell.datagen.recipes.densities import DensitiesRecipe
from qwell.errors import InvalidInput
from qwell.physics.cells import cell_matrices, integrate


def test_cell_matrices_have_determinant_one_and_the_right_trace() -> None:
    u = np.array([-4.0, -1e-20, 0.0, 1e-20, 2.0])
    matrices = cell_matrices(u, 0.1)
    assert np.linalg.det(matrices) == pytest.approx(1, abs=1e-14)
    assert np.trace(matrices, axis1=-2, axis2=-1) == pytest.approx(2 * np.cosh(0.1 * np.emath.sqrt(u)).real)
    assert matrices[2] == pytest.approx(np.array([[1, 0.1], [0, 1]]))


def test_a_free_wave() -> None:
    psi, slope = integrate(np.full((1, 60), -4.0), 0.1, 1.0, 0.0)
    x = np.arange(61) * 0.1
    assert psi[0] == pytest.approx(np.cos(2 * x)) and slope[0] == pytest.approx(-2 * np.sin(2 * x))


@pytest.mark.parametrize("potential", ["cosines", "rbf", "m5", "m3", "exp"])
def test_invariants(potential: str) -> None:
    """ρτ − η² is the square of the current: 0 for real ψ."""
    for current in (0.0, 1.5):
        rows = DensitiesRecipe(potential=potential, current=current).rows("train", 0, 50)
        psi, slope = (rows[k] @ np.array([1, 1j]) for k in ("psi", "slope"))
        rho, tau, eta = np.abs(psi) ** 2, np.abs(slope) ** 2, (psi.conj() * slope).real
        assert rho * tau - eta**2 == pytest.approx(current**2, abs=1e-9)
        assert (psi.conj() * slope).imag == pytest.approx(current, abs=1e-11)
        assert rows["density"] == pytest.approx(rho[:, 1:])
        assert np.abs(rows["potential"]).max() <= 2.5


def test_content_is_that_of_the_recipe_alone(tmp_path) -> None:
    recipe = DensitiesRecipe(n=2500, validation=10, test=0, seed=3)
    whole = recipe.rows("train", 0, 2500)
    part = recipe.rows("train", 990, 2010)
    assert all(np.array_equal(whole[k][990:2010], part[k]) for k in whole)
    assert DensitiesRecipe.from_json(recipe.to_json()) == recipe
    generate(recipe, tmp_path / "d.zarr", shard_rows=1000, workers=0)
    data = open_dataset(tmp_path / "d.zarr").require("densities")
    assert np.array_equal(data["train"]["density"][:], whole["density"]) and "test" not in data.splits
    found = audit(data)
    assert not found.problems and found.numbers["largest_deviation"] < 1e-11


def test_noise_is_on_densities_only() -> None:
    clean = DensitiesRecipe().rows("train", 0, 1000)
    noisy = DensitiesRecipe(noise=0.01).rows("train", 0, 1000)
    assert np.array_equal(clean["psi"], noisy["psi"]) and np.array_equal(
        clean["potential"], noisy["potential"]
    )
    assert (noisy["density"] / clean["density"] - 1).std() == pytest.approx(0.01, rel=0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"potential": "walls"}, "unknown potential"),
        ({"n": 0}, "at least 1"),
        ({"cell": -1.0}, "positive"),
        ({"cell": 1e308}, "from 1e-30 to 1e"),
        ({"cells": 10**20}, "at most 1,048,576"),
        ({"current": 1e200}, "a number up to 1e"),
        ({"noise": -0.1}, "0 or a positive"),
        ({"energy": float("nan")}, "must be a number"),
        ({"energy": -400.0}, "would grow"),
    ],
)
def test_bad_recipes(changes: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        DensitiesRecipe(**changes)


def test_untrusted_recipes() -> None:
    good = DensitiesRecipe().to_json()
    for change in ({"cells": 2.5}, {"cells": True}, {"extra": 1}, {"recipe": "spectra"}):
        with pytest.raises(InvalidInput):
            DensitiesRecipe.from_json({**good, **change})
