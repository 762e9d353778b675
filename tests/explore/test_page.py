"""The page without a server computes what Python does: its modules are run by node."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qwell import load_model
from qwell.explore.draw import by_formula
from qwell.explore.serve import STATIC
from qwell.physics.grid import Grid
from qwell.physics.kernels import covariance
from qwell.physics.potentials import factor, rows
from qwell.physics.spectrum import eigenstates
from qwell.train.calibration import COVERAGES, UNLIKE, calibration_in
from qwell.train.eigen import gradient_densities
from qwell.train.runs import trained_on

HERE = Path(__file__).parent
GRID, FEW = Grid(100), 50
FORMULAS = [
    "200*x**2", "-x**2", "2**-1", "-2**2", "2**3**2", "1 - 2 - 3", "8/4/2", "2*-3", "+-x", "(x + 1)*(x - 1)",
    "sigma*exp(-30*x**2) - 5e1*cos(pi*x)", "abs(x)*sign(x) + .5", "log(x + 2)/sqrt(x + 3)", " tanh ( x ) ",
    "sin(x)**2 + cos(x)**2", "sinh(x)*cosh(x)*tan(x)", "1e-3*x", "7",
]  # fmt: skip
REFUSED = ["x +", "(x", "x x", "import", "x.y", "x[0]", "exp", "exp()", "f(x)", "x;x", "1 2", "x" * 301, ""]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, as the documentation has it."""
    folder = tmp_path_factory.mktemp("page")
    subprocess.run([sys.executable, HERE.parents[1] / "docs/make_explorer.py", folder], check=True)
    return folder


def by_node(page: Path, network: str, potentials: np.ndarray) -> dict[str, Any]:
    if shutil.which("node") is None:
        pytest.skip("node is not installed: the page's modules cannot be run outside of a browser")
    asked = {
        "potentials": potentials.tolist(),
        "network": network,
        "few": FEW,
        "formulas": FORMULAS + REFUSED,
    }
    command = ["node", HERE / "compare.mjs", page]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("network", "count"), [("hamiltonian-m3", 1000), ("hamiltonian-exp", 100)])
def test_levels_and_predictions_are_pythons(page: Path, network: str, count: int) -> None:
    root = factor(covariance(network.partition("-")[2], GRID, 100.0, 0.2))
    v = rows(root, 7, "test", 0, count)
    found = by_node(page, network, v)
    energy, wave = eigenstates(v, GRID, 10)
    np.testing.assert_allclose(found["energy"], energy, atol=1e-9)
    np.testing.assert_allclose(np.reshape(found["wave"], (FEW, 10, 101)), wave[:FEW], atol=1e-6)
    model = load_model(network).double()
    import torch

    with torch.no_grad():
        predicted = model(torch.from_numpy(v)).numpy()
    np.testing.assert_allclose(found["predicted"], predicted, atol=1e-8)
    density = gradient_densities(model, v[:FEW])
    np.testing.assert_allclose(np.reshape(found["density"], (FEW, 10, 101)), density, atol=1e-7)


@pytest.mark.parametrize("network", ["hamiltonian-m3", "hamiltonian-rbf"])
def test_intervals_and_marks_are_pythons(page: Path, network: str) -> None:
    """Of potentials of the network's own law, and of others, larger and rougher ones."""
    own, other = (
        rows(factor(covariance(kernel, GRID, sigma, 0.2)), 7, "test", 0, 500)
        for kernel, sigma in ((network.partition("-")[2], 100.0), ("exp", 130.0))
    )
    v = np.concatenate([own, other, np.zeros((1, 101))])
    found = by_node(page, network, v)
    about = trained_on(network)
    calibration = calibration_in(about, 101, 10)
    assert calibration is not None
    assert tuple(found["coverages"]) == COVERAGES and found["unlike"] == UNLIKE
    p = calibration.p_values(v)
    np.testing.assert_allclose(found["p_value"], p, atol=1e-12)
    assert (p[:500] < UNLIKE).mean() < 0.03 and (p[500:1000] < UNLIKE).mean() > 0.9
    for coverage, widths in zip(COVERAGES, found["half_width"], strict=True):
        expected = calibration.half_widths(v, np.array(found["predicted"]), coverage)
        np.testing.assert_allclose(widths, expected, rtol=1e-9)


def test_formulas_are_pythons(page: Path) -> None:
    found = by_node(page, "hamiltonian-m3", np.zeros((FEW, 101)))["values"]
    for text, values in zip(FORMULAS, found, strict=False):
        np.testing.assert_allclose(values, by_formula(text, 100, 100.0), atol=1e-12, err_msg=text)
    for text, said in zip(REFUSED, found[len(FORMULAS) :], strict=True):
        assert isinstance(said, str) and "formula" in said.lower(), text


def test_degenerate_levels_keep_apart(page: Path) -> None:
    """A double well with a high wall between: pairs of levels that differ by less than 1e-9."""
    v = np.where(np.abs(GRID.x) < 0.3, 1e5, 0.0) * np.ones((FEW, 1))
    found = by_node(page, "hamiltonian-m3", v)
    np.testing.assert_allclose(found["energy"], eigenstates(v, GRID, 10)[0], rtol=1e-10)
    wave = np.reshape(found["wave"][0], (10, 101))
    np.testing.assert_allclose(wave @ wave.T, np.eye(10), atol=1e-5)


def test_the_page_fetches_nothing_from_elsewhere() -> None:
    for path in STATIC.iterdir():
        text = path.read_text()
        for place in ("https://", "http://", "//cdn", "@import", "eval(", "new Function", "innerHTML"):
            allowed = place == "http://" and text.count(place) == text.count("http://www.w3.org/")
            assert place not in text or allowed, f"{path.name}: {place}"
        if path.suffix == ".html":
            assert " style=" not in text and " onclick=" not in text  # the policy of contents forbids them


def test_every_module_is_short_and_named() -> None:
    made = ast.parse((HERE.parents[1] / "docs/make_explorer.py").read_text())
    (served,) = (n.value for n in made.body if isinstance(n, ast.Assign) and n.targets[0].id == "SERVED")  # type: ignore[attr-defined]
    names = {path.name for path in STATIC.iterdir()}
    assert set(ast.literal_eval(served)) < names
    for path in STATIC.iterdir():
        assert len(path.read_text().splitlines()) <= 400, path
