"""`qtrain potential` as people type it."""

import json
from pathlib import Path

import numpy as np
import pytest
from support import run

from qwell.studies.inverse.finder import load_potential
from qwell.train.directory import Run

SHORT = ("--adam-steps", 100, "--newton-steps", 4, "--samples", 500, "--layers", "8,8")
POTENTIAL = ("qtrain", "potential")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, and a file with a state."""
    path = tmp_path_factory.mktemp("shop")
    options = ("--n", 20, "--validation", 5, "--levels", 2, "--workers", 0, "--out", "m3.zarr")
    run("qdata", "generate", "--kernel", "m3", *options, cwd=path)
    x = np.linspace(-5, 5, 101)
    np.save(path / "wave.npy", np.stack([x, np.exp(-(x**2) / 2)], 1))
    return path


@pytest.fixture(autouse=True)
def few_points_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwell.studies.inverse.report.POINTS", 2000)
    monkeypatch.setattr("qwell.studies.inverse.report.SWEEPS", 20)


def test_a_system(tmp_path: Path) -> None:
    said = run(*POTENTIAL, "--system", "oscillator-2", *SHORT, "--seeds", 2, cwd=tmp_path).stdout
    assert "without training" in said and "spread" in said
    made = tmp_path / "runs/oscillator-2-variance"
    numbers = json.loads((made / "report.json").read_text())
    assert len(numbers["runs"]) == 2 and numbers["sampling"]["effective"] > 500
    assert numbers["without_training"]["box"] < 1e-12
    assert load_potential(made).config.layers == (8, 8)
    (row,) = run("qtrain", "runs", "--json", cwd=tmp_path).json["runs"]
    seconds = {measured["seed"]: measured["seconds"] for measured in Run(made).metrics()}  # the last of each
    assert (row["updates"], row["of"], row["state"]) == (2 * 104, 2 * 104, "finished")
    assert row["seconds"] == sum(seconds.values()) > 0
    for name in ("report.md", "report.png", "metrics.jsonl", "config.json"):
        assert (made / name).stat().st_size


@pytest.mark.parametrize("method", ["qpnn", "qpnn-ms", "mpnn"])
def test_the_papers_methods(method: str, tmp_path: Path) -> None:
    recipe = () if method == "qpnn" else ("--recipe", "scripts")
    options = ("--method", method, *recipe, "--epochs", 1, "--samples", 64)
    run(*POTENTIAL, "--system", "hydrogen-1s", *options, cwd=tmp_path)
    assert (tmp_path / f"runs/hydrogen-1s-{method}/report.png").exists()


def test_potentials_of_one_state_side_by_side(tmp_path: Path) -> None:
    """Fig. 2: a run's ε is that of its own report; lines and other states are no panels of one plane."""
    for method, system in (("mpnn", "hydrogen-1s"), ("qpnn", "hydrogen-1s"), ("mpnn", "oscillator-3d")):
        options = ("--method", method, "--epochs", 1, "--samples", 64)
        run(*POTENTIAL, "--system", system, *options, cwd=tmp_path)
    run(*POTENTIAL, "--system", "oscillator-0", *SHORT, cwd=tmp_path)
    Run.create(tmp_path / "runs/mlp", {"command": "eigen"})
    Run.create(tmp_path / "runs/begun", {"command": "potential"})
    asked = ("qtrain", "probe", "potentials")
    runs = ("runs/hydrogen-1s-mpnn", "runs/hydrogen-1s-qpnn")
    numbers = run(*asked, *runs, "--json", cwd=tmp_path).json
    reported = json.loads((tmp_path / runs[0] / "report.json").read_text())["runs"][0]
    assert numbers["errors"]["hydrogen-1s-mpnn"] == reported["box"]
    assert (tmp_path / runs[0] / "probes/potentials.png").stat().st_size
    for others, words in (
        ((*runs, "runs/oscillator-3d-mpnn"), "different systems"),
        (
            ("runs/oscillator-0-variance",),
            "one dimension; its potentials are drawn on a line already: runs/osc",
        ),
        (("runs/none",), "make one, e.g. with `qtrain potential --system hydrogen-1s`"),
        (("runs/mlp",), "is a run of `qtrain eigen`, and one of `qtrain potential` is needed"),
        (("runs/begun",), "runs/begun holds no potential: it is not finished"),
        ((runs[0], runs[0]), "named twice"),
    ):
        assert words in run(*asked, *others, cwd=tmp_path, code=2).stderr


def test_a_sweep(tmp_path: Path) -> None:
    options = ("--method", "mpnn", "--epochs", 2, "--samples", 320, "--lambda", "0,0.1,1", "--out", "s")
    said = run(*POTENTIAL, "--system", "oscillator-0", *options, cwd=tmp_path).stdout
    assert said.count("\n") >= 5
    assert json.loads((tmp_path / "s/sweep.json").read_text())["penalties"] == [0, 0.1, 1]


def test_a_state_of_a_data_set(shop: Path, tmp_path: Path) -> None:
    state = ("--data", shop / "m3.zarr")
    numbers = run(*POTENTIAL, *state, "--row", 2, *SHORT, "--json", cwd=tmp_path).json
    assert numbers["system"] == "m3-2-0" and numbers["without_training"]["box"] < 1e-6
    run(*POTENTIAL, *state, "--level", 1, *SHORT, cwd=tmp_path)  # has a node


def test_a_file(shop: Path, tmp_path: Path) -> None:
    wave = ("--file", shop / "wave.npy")
    pinned = ("--r0", 0, "--v0", 0, "--derivative", "spline")
    numbers = run(*POTENTIAL, *wave, *pinned, *SHORT, "--json", cwd=tmp_path).json
    assert numbers["without_training"]["energy"] == pytest.approx(0.5, abs=1e-3)
    assert "does not hold V" in run(*POTENTIAL, *wave, cwd=tmp_path, code=2).stderr


def test_noise_is_studied_beside_pointwise_inversion(shop: Path, tmp_path: Path) -> None:
    """Second differences of noise grow without bound; the same seeds give the same numbers."""
    asked = ("--data", shop / "m3.zarr", *SHORT, "--seeds", 2, "--noise", "0,1e-3,1e-2", "--json")
    first, again = (run(*POTENTIAL, *asked, "--out", out, cwd=tmp_path).json for out in ("a", "b"))
    assert first["errors"] == again["errors"]
    pointwise = first["errors"]["pointwise"]
    assert max(pointwise[0]) < 1e-6 and min(pointwise[2]) > 5 * max(pointwise[1]) > 0
    assert pointwise[1][0] != pointwise[1][1]  # every beginning has noise of its own
    assert (tmp_path / "a/noise.png").stat().st_size
    one = ("--data", shop / "m3.zarr", *SHORT, "--noise", 1e-2, "--out", "c", "--json")
    assert run(*POTENTIAL, *one, cwd=tmp_path).json["without_training"]["box"] > 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--system", "oscillator-0", "--noise", 0.1), "without noise"),
        ((), "name one of --system"),
        (("--system", "hydrogen-1s", "--file", "x"), "name one of"),
        (("--system", "helium"), "unknown system 'helium'; choose one of hydrogen-1s"),
        (("--system", "oscillator-1", "--r0", 0), "lies on a node"),
        (("--system", "hydrogen-1s", "--r0", "0,0,0"), "no finite value"),
        (
            ("--system", "hydrogen-1s", "--r0", "1"),
            "1 coordinates, hydrogen-1s has 3; give as many, e.g. --r0",
        ),
        (("--system", "hydrogen-1s", "--r0", "1,0,0;1"), "1 coordinates"),
        (("--system", "oscillator-0", "--seeds", 0), "at least 1"),
        (("--file", "missing.npy"), "cannot be read"),
    ],
)
def test_mistakes_are_named(arguments: tuple[object, ...], message: str, tmp_path: Path) -> None:
    assert message in run(*POTENTIAL, *arguments, cwd=tmp_path, code=2).stderr
    assert not list(tmp_path.iterdir())


def test_rows_that_are_not_there(shop: Path, tmp_path: Path) -> None:
    asked = ("--data", shop / "m3.zarr", "--row", 5)
    assert "5 rows of validation and 2 levels" in run(*POTENTIAL, *asked, cwd=tmp_path, code=2).stderr
