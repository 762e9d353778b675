"""`qtrain variational` and `derivatives` as people type them."""

import json
from pathlib import Path

import numpy as np
import pytest
from support import run

from qwell.studies.variational.states import load_states

SHORT = ("--layers", "8,8", "--adam-steps", 60, "--lbfgs-steps", 30, "--linear-steps", 5)
VARIATIONAL = ("qtrain", "variational", "--potential")


def test_a_formula(tmp_path: Path) -> None:
    options = ("--region=-6,6", "--kinks", 0, *SHORT)
    said = run(*VARIATIONAL, "x**2/2 + abs(x)", *options, cwd=tmp_path).stdout
    assert "beside an independent solver" in said
    made = tmp_path / "runs/formula"
    numbers = json.loads((made / "report.json").read_text())
    assert -1e-9 < numbers["errors"][0][0] < 0.05
    assert load_states(made).config.kinks == (0.0,)
    for name in ("report.md", "report.png", "report-history.png", "metrics.jsonl", "config.json"):
        assert (made / name).stat().st_size


def test_leaning_on_the_walls_is_said(tmp_path: Path) -> None:
    assert "widen --region" in run(*VARIATIONAL, "harmonic", "--region=-2,2", *SHORT, cwd=tmp_path).stderr


def test_seeds_and_the_papers_set_up(tmp_path: Path) -> None:
    run(*VARIATIONAL, "harmonic", "--seeds", 2, *SHORT, "--out", "a", cwd=tmp_path)
    assert len(json.loads((tmp_path / "a/report.json").read_text())["runs"]) == 2
    run(*VARIATIONAL, "morse", "--setup", "paper", "--adam-steps", 3, "--out", "b", cwd=tmp_path)
    config = json.loads((tmp_path / "b/config.json").read_text())["variational"]
    assert config["form"] == "laplacian" and config["region"] == [-2, 9] and config["points"] == 10_000


@pytest.mark.parametrize("order", [1, -1])
def test_help_shows_the_defaults_of_the_chosen_set_up(order: int, tmp_path: Path) -> None:
    """Wherever --help stands: Ω of the well, rectangles, free ends; and of steps that are not made, that."""
    asked = ("qtrain", "variational", *(("--setup", "paper"), ("--potential", "morse"), ("--help",))[::order])
    words = " ".join(
        run(*(w for a in asked for w in (a if isinstance(a, tuple) else (a,))), cwd=tmp_path).stdout.split()
    )
    for default in ("-2,9", "rectangle", "10000", "free", "laplacian", "0.001", "not used by adam"):
        assert f"[default: {default}]" in words
    usual = " ".join(run("qtrain", "variational", "--help", cwd=tmp_path).stdout.split())
    assert "[default: legendre]" in usual and "[default: rectangle]" not in usual


@pytest.mark.slow
def test_a_doublet_is_told_apart_by_parity_or_said_to_be_none(tmp_path: Path) -> None:
    """Two wells between which tunnelling splits levels by less than rounding sees: even, or a warning."""
    two = (
        "8*(x**2-4)**2",
        "--region=-3.2,3.2",
        "--layers",
        "10,10",
        "--adam-steps",
        200,
        "--lbfgs-steps",
        300,
    )
    less = ("--linear-steps", 20)
    parted = run(*VARIATIONAL, *two, *less, "--parity", "even", "--out", "even", cwd=tmp_path)
    assert "any mixture" not in parted.stderr
    waves = load_states(tmp_path / "even")(np.linspace(-3, 3, 7))[0]
    assert np.allclose(waves, waves[::-1]) and abs(waves[1]) > 0.3
    mixed = run(*VARIATIONAL, *two, *less, "--parity", "none", "--out", "none", cwd=tmp_path)
    assert "may be any mixture of both; --parity even and odd" in mixed.stderr


@pytest.mark.parametrize(
    ("parity", "exact"),
    [
        pytest.param("even", [0.5, 2.5], marks=pytest.mark.slow),
        ("odd", [1.5, 3.5]),
        pytest.param("auto", [0.5, 1.5], marks=pytest.mark.slow),
    ],
)
def test_parity_chooses_levels(parity: str, exact: list[float], tmp_path: Path) -> None:
    options = (*SHORT, "--levels", 2, "--parity", parity, "--json")
    numbers = run(*VARIATIONAL, "harmonic", *options, cwd=tmp_path).json
    assert numbers["exact"] == pytest.approx(exact, abs=1e-9)
    for level, energy in zip(numbers["runs"][0], exact, strict=True):
        assert level["energy"] == pytest.approx(energy, abs=0.2)
        assert level["bound"] < energy + 1e-9  # Temple's


def test_monte_carlo(tmp_path: Path) -> None:
    answer = run(*VARIATIONAL, "coupled-2d", "--steps", 20, "--walkers", 100, "--json", cwd=tmp_path).json
    assert answer["exact"] == pytest.approx(0.9659258)
    formula = ("x**2 + y**2 + x**4/10", "--dimensions", 2, "--steps", 5, "--walkers", 50)
    assert "–" in run(*VARIATIONAL, *formula, cwd=tmp_path).stdout


def test_times(tmp_path: Path) -> None:
    options = ("--sizes", "1,2,3", "--patience", 0.01, "--out", "t")
    assert "Eq. 43" in run("qtrain", "derivatives", *options, cwd=tmp_path).stdout
    numbers = json.loads((tmp_path / "t/derivatives.json").read_text())
    assert len(numbers["inputs"]["fits"]["qwell, hessian"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("variational", "--potential", "__import__('os')", "--region=-1,1"), "is not allowed"),
        (("variational", "--potential", "harmonic", "--region=1"), "two numbers"),
        (("variational", "--potential", "harmonic", "--setup", "theirs"), "choose one of ours, paper"),
        (("variational", "--potential", "x**2", "--setup", "paper"), "the paper knows"),
        (("variational", "--potential", "harmonic", "--seeds", 0), "at least 1"),
        (("variational", "--potential", "morse", "--parity", "odd"), "states have no parity"),
        (("variational", "--potential", "harmonic", "--parity", "both"), "unknown parity"),
        (("variational", "--potential", "coupled-3d", "--points", 99), "--points has no effect"),
        (("derivatives", "--sizes", "1,2"), "three sizes"),
        (("derivatives", "--orders", "third"), "unknown order"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, arguments: tuple[object, ...], message: str) -> None:
    assert message in run("qtrain", *arguments, cwd=tmp_path, code=2).stderr


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").touch()
    assert "not empty" in run(*VARIATIONAL, "harmonic", "--out", "full", cwd=tmp_path, code=2).stderr
