"""Matter effects: the formulas of the paper, and formulas as untrusted input."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwell.datagen.audit.spectra import solve_again
from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.errors import InvalidInput
from qwell.physics.grid import Grid
from qwell.physics.matter import CASES, Matter, matter_of, symmetries_of
from qwell.physics.spectrum import eigenstates, eigenvalues
from qwell.store.derive import merge, subset
from qwell.store.reader import open_dataset

X = Grid(100).x
V = np.random.default_rng(0).normal(size=(4, 101)) * 100


def test_the_paper_s_cases() -> None:
    """Eqs. 24 and 25."""
    np.testing.assert_allclose(Matter("case1")(V, X, 100.0), V + 100 * np.sin(np.pi * X), rtol=1e-15)
    np.testing.assert_allclose(Matter("case2")(V, X, 50.0), V + V**2 / 100 - 50, rtol=1e-13)
    for case, formula in CASES.items():
        assert Matter(case) == Matter(formula) and Matter(case).name == case
    assert Matter("V*2").name == "matter"


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("V", V),
        ("-V + 2", 2 - V),
        ("V**2/sigma - abs(x)", V**2 / 7 - np.abs(X)),
        ("sigma*tanh(V/sigma)", 7 * np.tanh(V / 7)),
        ("3", np.full_like(V, 3)),
        ("2**3**2 - (1 - 2)", np.full_like(V, 513)),
    ],
)
def test_formulas_mean_what_they_say(formula: str, value: np.ndarray) -> None:
    total = Matter(formula)(V, X, 7.0)
    np.testing.assert_allclose(total, value, rtol=1e-14)
    assert total.shape == V.shape and total.dtype == np.float64
    again = Matter(Matter(formula).formula)  # one spelling, and it means the same
    assert again == Matter(formula)
    np.testing.assert_array_equal(again(V, X, 7.0), total)


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('touch harmed')",
        "V.__class__",
        "().__class__.__bases__[0]",
        "lambda: V",
        "[V for V in x]",
        "V if x else V",
        "V[0]",
        "f'{V}'",
        "'text'",
        "True",
        "1j*V",
        "sin(V, x)",
        "sin(V, out=x)",
        "sin(*x)",
        "eval(V)",
        "print(V)",
        "sin.__call__(V)",
        "V @ V",
        "V // 2",
        "V; x",
        "V = 3",
        "(V := x)",
        "momentum",
        "",
        "V +",
        "V\0",
        "((" * 100 + "V" + "))" * 100,
        "-" * 299 + "V",
        "V" * 301,
        "9**9**9**9",
        "log(V)",
        "1/x",
        "V + " + "9" * 290,
    ],
)
def test_everything_else_is_refused(formula: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if formula == "-" * 299 + "V":  # deep, and harmless
        SpectraRecipe("m3", n=1, matter=formula)
        return
    with pytest.raises(InvalidInput, match=r"matter effect"):
        SpectraRecipe("m3", n=1, matter=formula)
    assert not list(tmp_path.iterdir())


@given(st.text(max_size=60))
def test_any_text_is_a_formula_or_a_clear_error(formula: str) -> None:
    try:
        assert Matter(Matter(formula).formula) == Matter(formula)
    except InvalidInput as error:
        assert "case2" in str(error)


def test_inputs_are_the_applied_potential_and_targets_belong_to_the_total(tmp_path: Path) -> None:
    recipe = SpectraRecipe("m3", n=300, validation=50, densities=True, matter="case1")
    generate(recipe, tmp_path / "a.zarr", workers=0)
    plain = SpectraRecipe("m3", n=300, validation=50)
    generate(plain, tmp_path / "b.zarr", workers=0)
    a, b = open_dataset(tmp_path / "a.zarr"), open_dataset(tmp_path / "b.zarr")
    v = a["train"]["potential"][:]
    np.testing.assert_array_equal(v, b["train"]["potential"][:])
    total = v.astype(np.float64) + 100 * np.sin(np.pi * X)
    np.testing.assert_allclose(a["train"]["energy"][:], eigenvalues(total, Grid(100), 10), rtol=1e-12)
    waves = eigenstates(total[:5], Grid(100), 10)[1]
    np.testing.assert_allclose(a["train"]["density"][:5], waves**2, atol=1e-6)
    assert np.abs(a["train"]["energy"][:] - b["train"]["energy"][:]).max() > 1
    assert recipe.name == "m3-case1" and SpectraRecipe.from_json(a.recipe) == recipe
    assert a.recipe["matter"] == "V + sigma * sin(pi * x)"


def test_verify_reads_the_formula_again_also_in_parts_and_sums(tmp_path: Path) -> None:
    for kernel in ("m3", "rbf"):
        generate(
            SpectraRecipe(kernel, n=200, validation=20, matter="case2"),
            tmp_path / f"{kernel}.zarr",
            workers=0,
        )
    subset(open_dataset(tmp_path / "m3.zarr"), tmp_path / "part.zarr", n=100)
    merge([open_dataset(tmp_path / f"{k}.zarr") for k in ("m3", "rbf")], tmp_path / "both.zarr")
    for name in ("m3", "part", "both"):
        data = open_dataset(tmp_path / f"{name}.zarr")
        assert solve_again(data)[1] < 1e-9
        assert matter_of(data.recipe) == (Matter("case2"), 100.0)
    generate(SpectraRecipe("exp", n=200, validation=20), tmp_path / "exp.zarr", workers=0)
    merge([open_dataset(tmp_path / f"{k}.zarr") for k in ("m3", "exp")], tmp_path / "mixed.zarr")
    with pytest.raises(InvalidInput, match="different matter effects"):
        solve_again(open_dataset(tmp_path / "mixed.zarr"))


@pytest.mark.parametrize(
    ("formula", "shift", "mirror"),
    [(None, True, True), ("case1", True, False), ("case2", False, True), ("V*x + sigma", False, False),
     ("V + cos(pi*x)", True, True), ("sqrt(V)", False, False)],
)  # fmt: skip
def test_symmetries_of_media(formula: str | None, shift: bool, mirror: bool) -> None:
    """Energies follow a shift and know no left and right, unless the medium does."""
    found = symmetries_of({"matter": formula, "sigma": 100.0}, np.linspace(-1, 1, 41))
    assert found == {"centred": shift, "mirrored": mirror}
