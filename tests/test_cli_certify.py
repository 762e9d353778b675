"""`qtrain predict --certify`: what it proves, of which law, and when it refuses."""

import re
from pathlib import Path

import numpy as np
import pytest
from support import run

from qwell.errors import InvalidInput
from qwell.physics.grid import Grid
from qwell.physics.matter import Matter
from qwell.physics.spectrum import eigenvalues
from qwell.store.reader import open_dataset
from qwell.studies.certify import Certifier

GRID = Grid(100)
ASKED = ("--potential", "v.npy", "--certify")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of potentials, and models fitted to energies with matter, imported, and solved for."""
    home = tmp_path_factory.mktemp("home")
    few = ("--n", 20, "--validation", 5, "--workers", 0)
    run("qdata", "generate", "--kernel", "rbf", *few, "--matter", "case2", "--out", "matter.zarr", cwd=home)
    v = open_dataset(home / "matter.zarr")["train"]["potential"][:].astype(float)
    np.savez(home / "given.npz", potential=v, energy=eigenvalues(v, GRID, 10))
    np.save(home / "v.npy", v)
    run("qdata", "import", "given.npz", "--out", "given.zarr", cwd=home)
    run("qdata", "import", "v.npy", "--out", "solved.zarr", cwd=home)
    run("qdata", "merge", "given.zarr", "solved.zarr", "--out", "both.zarr", cwd=home)
    for name in ("matter", "given", "solved", "both"):
        run("qtrain", "eigen", "--data", f"{name}.zarr", "--model", "mean", "--out", name, cwd=home)
    return home


def test_what_is_certified_is_what_is_true(home: Path) -> None:
    v = np.load(home / "v.npy")
    plain = run("qtrain", "predict", "hamiltonian-rbf", *ASKED[:2], "--json", cwd=home).json
    told = run("qtrain", "predict", "hamiltonian-rbf", *ASKED, 0.01, "--json", cwd=home).json
    assert {name: told[name] for name in plain} == plain and "certified" not in plain
    distance = np.abs(np.array(told["energy"]) - eigenvalues(v, GRID, 10))
    within = np.array(told["certified_within"])
    np.testing.assert_allclose(within, distance, atol=1e-10)
    assert (np.array(told["certified"]) == (within <= 0.01)).all() and 0.2 < np.mean(told["certified"]) < 0.98


def test_the_table_says_of_each_level_how_far_and_whether(home: Path) -> None:
    told = run("qtrain", "predict", "hamiltonian-rbf", *ASKED, 0.01, "--json", cwd=home).json
    *rows, last = run("qtrain", "predict", "hamiltonian-rbf", *ASKED, 0.01, cwd=home).stdout.splitlines()
    cells = [re.findall(r"(\S+) ±(\S+) (yes|no)", row) for row in rows]
    energy, within = (np.array([[float(one[k]) for one in row] for row in cells]) for k in (0, 1))
    np.testing.assert_allclose(energy, told["energy"], atol=6e-5)
    assert (within >= told["certified_within"]).all() and (
        within < 1.11 * np.array(told["certified_within"])
    ).all()
    assert [[one[2] == "yes" for one in row] for row in cells] == told["certified"]
    assert f"{np.sum(told['certified'])} of 200; " in last and "100 mesh intervals" in last


def test_energies_in_a_file_are_certified_too(home: Path) -> None:
    asked = ("qtrain", "predict", "hamiltonian-rbf", *ASKED, 0.01, "--out", "e.npy")
    told = run(*asked, "--json", cwd=home).json
    assert np.load(home / "e.npy").shape == np.shape(told["certified"]) == np.shape(told["certified_within"])
    share = f"certified within 0.01 of their levels: {np.sum(told['certified'])} of 200"
    assert share in run(*asked, cwd=home).stdout


def test_with_matter_the_levels_are_those_of_the_total_potential(home: Path) -> None:
    told = run("qtrain", "predict", "matter", *ASKED, 20, "--json", cwd=home).json
    total = Matter("case2")(np.load(home / "v.npy"), GRID.x, 100.0)
    distance = np.abs(np.array(told["energy"]) - eigenvalues(total, GRID, 10))
    np.testing.assert_allclose(told["certified_within"], distance, atol=1e-9)
    assert (np.array(told["certified"]) == (distance < 20)).all() and np.any(told["certified"])


@pytest.mark.parametrize("model", ["given", "both"])
def test_of_a_law_that_is_not_known_nothing_is_certified(home: Path, model: str) -> None:
    run("qtrain", "predict", model, *ASKED[:2], cwd=home)
    said = run("qtrain", "predict", model, *ASKED, 0.05, cwd=home, code=2).stderr
    assert "their law is unknown; leave --certify out" in said
    assert run("qtrain", "predict", "solved", *ASKED, 0.05, "--json", cwd=home).json["certified"]


@pytest.mark.parametrize("delta", [0, -1, "nan", "inf"])
def test_a_distance_is_a_positive_number(home: Path, delta: object) -> None:
    said = run("qtrain", "predict", "hamiltonian-rbf", *ASKED, delta, cwd=home, code=2).stderr
    assert "give a positive distance" in said


@pytest.mark.parametrize(
    "about", [{}, {"recipe": None}, {"recipe": {"recipe": "spectra"}}, {"recipe": {"of": []}}]
)
def test_a_record_that_says_nothing_certifies_nothing(about: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="their law is unknown"):
        Certifier(about, 101, 0.05)


def test_levels_of_another_mesh_are_not_those_that_were_learned() -> None:
    """Whatever the record is nested in; and one that says no mesh is taken as it is."""
    recipe = {"recipe": "spectra", "solver": "scipy", "mesh": 200}
    for nested in (recipe, {"of": recipe}, {"of": [{"recipe": recipe}]}):
        with pytest.raises(InvalidInput, match=r"solved for on 200 mesh intervals, and .* 101 points"):
            Certifier({"recipe": nested}, 101, 0.1)
        assert Certifier({"recipe": nested}, 201, 0.1).grid.mesh == 200
    assert Certifier({"recipe": {"solver": "scipy"}}, 101, 0.1).grid.mesh == 100


def test_a_subset_has_the_law_of_its_whole_and_parts_must_agree() -> None:
    plain, matter = {"solver": "scipy"}, {"solver": "lanes", "matter": "V + 7", "sigma": 1.0}
    v, energy = np.zeros((1, 101)), GRID.box_energies(2)[None]
    whole = Certifier({"recipe": {"recipe": "subset", "of": matter}}, 101, 0.05)
    assert whole(v, energy + 7).certified.all() and not whole(v, energy).certified.any()
    with pytest.raises(InvalidInput, match="different matter effects"):
        Certifier({"recipe": {"of": [{"recipe": plain}, {"recipe": matter}]}}, 101, 0.05)
