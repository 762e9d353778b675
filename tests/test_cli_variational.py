"""`qtrain variational` and `derivatives` as people type them."""

import json
from pathlib import Path

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
