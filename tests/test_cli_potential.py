"""`qtrain potential` as people type it."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from qwell.cli.qdata import cli as qdata
from qwell.cli.qtrain import cli
from qwell.errors import InvalidInput
from qwell.studies.inverse.finder import load_potential

SHORT = ["--adam-steps", "100", "--newton-steps", "4", "--samples", "500", "--layers", "8,8"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, and files of states."""
    path = tmp_path_factory.mktemp("shop")
    arguments = [
        "generate",
        "--kernel",
        "m3",
        "--n",
        "20",
        "--validation",
        "5",
        "--levels",
        "2",
        "--workers",
        "0",
    ]
    CliRunner().invoke(qdata, [*arguments, "--out", str(path / "m3.zarr")], standalone_mode=False)
    x = np.linspace(-5, 5, 101)
    np.save(path / "wave.npy", np.stack([x, np.exp(-(x**2) / 2)], 1))
    return path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def typed(*arguments: str) -> str:
    return (
        CliRunner()
        .invoke(cli, ["potential", *arguments], catch_exceptions=False, standalone_mode=False)
        .output
    )


def test_a_system() -> None:
    said = typed("--system", "oscillator-2", *SHORT, "--seeds", "2")
    assert "without training" in said and "spread" in said
    run = Path("runs/oscillator-2-variance")
    numbers = json.loads((run / "report.json").read_text())
    assert len(numbers["runs"]) == 2 and numbers["sampling"]["effective"] > 500
    assert numbers["without_training"]["box"] < 1e-12
    assert load_potential(run).config.layers == (8, 8)
    for name in ("report.md", "report.png", "metrics.jsonl", "config.json"):
        assert (run / name).stat().st_size


@pytest.mark.parametrize("method", ["qpnn", "qpnn-ms", "mpnn"])
def test_the_papers_methods(method: str) -> None:
    typed(
        "--system",
        "hydrogen-1s",
        "--method",
        method,
        "--recipe",
        "scripts",
        "--epochs",
        "1",
        "--samples",
        "64",
    )
    assert Path(f"runs/hydrogen-1s-{method}/report.png").exists()


def test_a_sweep() -> None:
    said = typed(
        "--system", "oscillator-0", "--method", "mpnn", "--epochs", "2", "--lambda", "0,0.1,1", "--out", "s"
    )
    assert said.count("\n") >= 5
    assert json.loads(Path("s/sweep.json").read_text())["penalties"] == [0, 0.1, 1]


def test_a_state_of_a_data_set(shop: Path) -> None:
    said = typed("--data", str(shop / "m3.zarr"), "--row", "2", *SHORT, "--json")
    numbers = json.loads(said)
    assert numbers["system"] == "m3-2-0" and numbers["without_training"]["box"] < 1e-6
    typed("--data", str(shop / "m3.zarr"), "--level", "1", *SHORT)  # has a node


def test_a_file(shop: Path) -> None:
    wave = str(shop / "wave.npy")
    said = typed("--file", wave, "--r0", "0", "--v0", "0", "--derivative", "spline", *SHORT, "--json")
    assert json.loads(said)["without_training"]["energy"] == pytest.approx(0.5, abs=1e-3)
    with pytest.raises(InvalidInput, match="does not hold V"):
        typed("--file", wave)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name one of --system"),
        (["--system", "hydrogen-1s", "--file", "x"], "name one of"),
        (["--system", "helium"], "unknown system 'helium'; choose one of hydrogen-1s"),
        (["--system", "oscillator-1", "--r0", "0"], "lies on a node"),
        (["--system", "hydrogen-1s", "--r0", "0,0,0"], "no finite value"),
        (["--system", "oscillator-0", "--seeds", "0"], "at least 1"),
        (["--file", "missing.npy"], "cannot be read"),
    ],
)
def test_mistakes_are_named(arguments: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        typed(*arguments)


def test_rows_that_are_not_there(shop: Path) -> None:
    with pytest.raises(InvalidInput, match="5 rows of validation and 2 levels"):
        typed("--data", str(shop / "m3.zarr"), "--row", "5")
