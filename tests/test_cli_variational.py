"""`qtrain variational` and `derivatives` as people type them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from qwell.cli.qtrain import cli
from qwell.errors import InvalidInput, RunExists
from qwell.studies.variational.states import load_states

SHORT = ["--layers", "8,8", "--adam-steps", "100", "--lbfgs-steps", "60", "--linear-steps", "10"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(*arguments: str) -> str:
    return CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False).output


def test_a_formula() -> None:
    said = typed("variational", "--potential", "x**2/2 + abs(x)", "--region=-6,6", "--kinks", "0", *SHORT)
    assert "beside an independent solver" in said
    numbers = json.loads(Path("runs/formula/report.json").read_text())
    assert -1e-9 < numbers["errors"][0][0] < 0.05
    assert load_states("runs/formula").config.kinks == (0.0,)
    for name in ("report.md", "report.png", "report-history.png", "metrics.jsonl", "config.json"):
        assert Path("runs/formula", name).stat().st_size


def test_leaning_on_the_walls_is_said() -> None:
    typed("variational", "--potential", "harmonic", "--region=-2,2", *SHORT, "--out", "a")
    result = CliRunner().invoke(
        cli, ["variational", "--potential", "harmonic", "--region=-2,2", *SHORT, "--out", "b"]
    )
    assert "widen --region" in result.stderr


def test_seeds_and_the_papers_set_up() -> None:
    typed("variational", "--potential", "harmonic", "--seeds", "2", *SHORT, "--out", "a")
    assert len(json.loads(Path("a/report.json").read_text())["runs"]) == 2
    typed("variational", "--potential", "morse", "--setup", "paper", "--adam-steps", "3", "--out", "b")
    config = json.loads(Path("b/config.json").read_text())["variational"]
    assert config["form"] == "laplacian" and config["region"] == [-2, 9] and config["points"] == 10_000


def test_monte_carlo() -> None:
    said = typed("variational", "--potential", "coupled-2d", "--steps", "20", "--walkers", "100", "--json")
    assert json.loads(said)["exact"] == pytest.approx(0.9659258)
    formula = ["--potential", "x**2 + y**2 + x**4/10", "--dimensions", "2", "--steps", "5", "--walkers", "50"]
    assert "–" in typed("variational", *formula)


def test_times() -> None:
    said = typed("derivatives", "--sizes", "1,2,3", "--patience", "0.01", "--out", "t")
    assert "Eq. 43" in said
    numbers = json.loads(Path("t/derivatives.json").read_text())
    assert len(numbers["inputs"]["fits"]["qwell, hessian"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["variational", "--potential", "__import__('os')", "--region=-1,1"], "is not allowed"),
        (["variational", "--potential", "harmonic", "--region=1"], "two numbers"),
        (["variational", "--potential", "harmonic", "--setup", "theirs"], "ours or paper"),
        (["variational", "--potential", "x**2", "--setup", "paper"], "the paper knows"),
        (["variational", "--potential", "harmonic", "--seeds", "0"], "at least 1"),
        (["variational", "--potential", "coupled-3d", "--points", "99"], "no option --points"),
        (["derivatives", "--sizes", "1,2"], "three sizes"),
        (["derivatives", "--orders", "third"], "unknown order"),
    ],
)
def test_mistakes_are_named(arguments: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        typed(*arguments)


def test_nothing_is_overwritten() -> None:
    Path("full").mkdir()
    Path("full/mine").touch()
    with pytest.raises(RunExists):
        typed("variational", "--potential", "harmonic", "--out", "full")
