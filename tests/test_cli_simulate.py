"""`qdata simulate`, `windows`, `animate`, and what other commands say of trajectories, as typed."""

from pathlib import Path

import numpy as np
import pytest
from support import run

from qwell.cli.common import parse_numbers
from qwell.errors import InvalidInput
from qwell.store.reader import open_dataset

SMALL = ("--box", 40, "--points", 256, "--frames", 30, "--workers", 0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with packets at two barriers."""
    home = tmp_path_factory.mktemp("home")
    run("qdata", "simulate", "--x0", "8,12", "--hb", "2:6:2", "--wb", 3, "--v-scale", 6, "--validation", 2,
        *SMALL, "--out", "store/small.zarr", cwd=home)  # fmt: skip
    return home


def test_a_grid(home: Path) -> None:
    data = open_dataset(home / "store/small.zarr")
    assert len(data["train"]) == 6 and len(data["validation"]) == 2 and data.kind == "trajectories"
    assert data["train"]["height"][:].tolist() == [2, 2, 4, 4, 6, 6]
    assert data["train"]["x0"][:].tolist() == [8, 12] * 3
    assert data.recipe["propagation"]["hamiltonian"] == "spectral" and data.recipe["wrap"] is True
    assert data.recipe["curriculum"]["v_scale"] == 6 and data.recipe["accuracy"]["bound"] <= 1e-11


def test_other_commands_know_trajectories(home: Path) -> None:
    assert "trajectories" in run("qdata", "info", "store/small.zarr", cwd=home).stdout
    found = run("qdata", "verify", "--full", "store/small.zarr", "--json", cwd=home).json
    assert found["problems"] == [] and found["deviation_from_exact"] < 1e-7
    said = run("qdata", "verify", "--full", "store/small.zarr", cwd=home).stdout
    assert "good" in said and "made again" in said
    run("qdata", "plot", "store/small.zarr", "--rows", "2:4", "--out", "page.png", cwd=home)
    assert (home / "page.png").read_bytes()[:4] == b"\x89PNG"
    assert "psi" in run("qdata", "stats", "store/small.zarr", cwd=home).stdout
    run("qdata", "convert", "store/small.zarr", "--out", "store/same.h5", cwd=home)
    a, b = (open_dataset(home / "store" / name)["train"]["psi"][:] for name in ("small.zarr", "same.h5"))
    assert (a == b).all()


def test_windows(home: Path) -> None:
    told = run("qdata", "windows", "store/small.zarr", "--json", cwd=home).json
    assert told["windows"] == 6 * told["per_simulation"] and told["touching"] > told["touching_unweighted"]
    run("qdata", "windows", "store/small.zarr", "--materialize", "--n", 50, cwd=home)
    made = open_dataset(home / "store/small-windows.zarr")
    assert made["train"]["input"].shape == (50, 4, 23, 3)
    done = run("qdata", "windows", "store/small.zarr", "--materialize", "--n", 10**9, "--out", "store/w.zarr",
               cwd=home, code=2)  # fmt: skip
    assert "choose 1 to" in done.stderr and not (home / "store/w.zarr").exists()


def test_the_windows_that_are_asked_for(home: Path) -> None:
    asked = ("--history", 2, "--window", 9, "--times", 0.5, "--edges", 0.2, "--weight", 7)
    run("qdata", "simulate", "--hb", "2,6", *SMALL, *asked, "--out", "store/asked.zarr", cwd=home)
    curriculum = open_dataset(home / "store/asked.zarr").recipe["curriculum"]
    assert curriculum == {
        "history": 2, "width": 9, "times": 0.5, "edges": 0.2, "weight": 7.0, "v_scale": 6.0, "seed": 0
    }  # fmt: skip
    told = run("qdata", "windows", "store/asked.zarr", "--json", cwd=home).json
    even = run("qdata", "windows", "store/asked.zarr", "--weight", 1, "--window", 5, "--json", cwd=home).json
    assert even["per_simulation"] == told["per_simulation"]
    assert even["touching"] == pytest.approx(even["touching_unweighted"], abs=0.05)
    assert told["touching"] > even["touching"] + 0.2
    assert "w.png" in run("qdata", "windows", "store/asked.zarr", "--figure", "w.png", cwd=home).stdout
    assert (home / "w.png").read_bytes()[:4] == b"\x89PNG"
    run("qdata", "windows", "store/asked.zarr", "--window", 5, "--materialize", "--n", 5, cwd=home)
    assert open_dataset(home / "store/asked-windows.zarr")["train"]["input"].shape == (5, 2, 5, 3)


def test_a_film(home: Path) -> None:
    from PIL import Image

    run("qdata", "animate", "store/small.zarr", "--row", 3, "--every", 10, "--out", "film.gif", cwd=home)
    assert Image.open(home / "film.gif").n_frames == 4
    assert (
        "ending in .gif"
        in run("qdata", "animate", "store/small.zarr", "--out", "film.avi", cwd=home, code=2).stderr
    )


def test_presets_and_what_may_be_changed(home: Path) -> None:
    told = run("qdata", "simulate", "--preset", "paper-barrier", "--dry-run", "--json", cwd=home).json
    assert told["rows"] == 2658 and told["path"] == "store/paper-barrier.zarr"
    assert told["recipe"]["propagation"]["hamiltonian"] == "lattice"
    options = (
        "--hamiltonian",
        "spectral",
        "--frames",
        20,
        "--dtype",
        "float64",
        "--propagator",
        "split-operator",
    )
    changed = run("qdata", "simulate", "--preset", "demo", *options, "--dry-run", "--json", cwd=home).json
    recipe = changed["recipe"]
    assert recipe["propagation"]["method"] == "split-operator" and recipe["propagation"]["frames"] == 20
    assert recipe["dtype"] == "float64" and recipe["propagation"]["substep"] == 0.01
    assert not (home / "store/demo.zarr").exists()


@pytest.mark.parametrize(
    ("options", "method"),
    [
        (("--x0", "10:45:5"), "truncated-eigen"),
        (("--points", 4096), "chebyshev"),
        (("--x0", "10:45:5", "--hamiltonian", "lattice"), "chebyshev"),
        (("--x0", "10:45:5", "--propagator", "eigen"), "eigen"),
        (("--preset", "paper-barrier"), "chebyshev"),
        (("--preset", "paper-barrier", "--hamiltonian", "spectral"), "chebyshev"),
        (
            ("--preset", "paper-barrier", "--hamiltonian", "spectral", "--propagator", "auto"),
            "truncated-eigen",
        ),
    ],
)
def test_the_recipe_names_the_propagator_that_takes_less_time(
    tmp_path: Path, options: tuple[str | int, ...], method: str
) -> None:
    recipe = run("qdata", "simulate", *options, "--dry-run", "--json", cwd=tmp_path).json["recipe"]
    assert recipe["propagation"]["method"] == method
    if method == "truncated-eigen":
        assert recipe["accuracy"] == {"bound": recipe["propagation"]["tolerance"]}


def test_potentials_from_a_file_and_by_shape(home: Path) -> None:
    x = np.arange(256) * 40 / 256
    np.save(home / "own.npy", np.stack([np.exp(-((x - 20) ** 2)), 3 * np.cos(x / 3) ** 2]))
    run("qdata", "simulate", "--potential", "own.npy", "--potential", "triangle:height=3:width=5", *SMALL,
        "--out", "store/own.h5", cwd=home)  # fmt: skip
    v = open_dataset(home / "store/own.h5")["train"]["potential"][:]
    np.testing.assert_array_equal(v[:2], np.load(home / "own.npy"))
    assert v[2].max() == 3 and run("qdata", "verify", "--full", "store/own.h5", cwd=home)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--preset", "paper"), "paper-barrier"),
        (("--preset", "demo", "--hb", "3"), "leave out --hb"),
        (("--preset", "demo", "--potential", "free"), "leave out --potential"),
        (("--hb", "3", "--potential", "free"), "two ways"),
        (("--hb", "3;4"), "1:4:0.5"),
        (("--x0", "1:2:0"), "1:4:0.5"),
        (("--x0", "200"), "x0 < 100"),
        (("--e0", "900"), "lower e0"),
        (("--packet", "round"), "gaussian"),
        (("--propagator", "euler"), "chebyshev"),
        (("--propagator", "space-splitting"), "--hamiltonian lattice"),
        (("--potential", "nowhere.npy"), "nowhere.npy"),
        (("--potential", "triangle:height=3"), "width"),
        (("--shard-size", "3"), "multiple of 8"),
        (("--device", "cuda"), "eigen"),
    ],
)
def test_bad_input_is_one_line_with_the_remedy(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = run("qdata", "simulate", *arguments, cwd=tmp_path, code=2)
    assert message in done.stderr and not (tmp_path / "store").exists()


def test_kinds_are_not_mixed_up(home: Path) -> None:
    run("qdata", "generate", "--kernel", "m3", "--n", 20, "--validation", 0, "--workers", 0, cwd=home)
    for command in (("windows",), ("animate",)):
        assert "holds spectra" in run("qdata", *command, "store/m3.zarr", cwd=home, code=2).stderr
    assert (
        "holds trajectories" in run("qtrain", "eigen", "--data", "store/small.zarr", cwd=home, code=2).stderr
    )


def test_numbers_as_typed() -> None:
    assert parse_numbers("1,2.5", "--x") == (1.0, 2.5)
    assert parse_numbers("1:2:0.5", "--x") == (1.0, 1.5, 2.0)
    assert parse_numbers("0.1:0.3:0.1", "--x") == pytest.approx((0.1, 0.2, 0.3))
    for bad in ("", "a", "1:2", "1:2:0.3", "2:1:1", "1:2:-1", "1:1e30:1"):
        with pytest.raises(InvalidInput):
            parse_numbers(bad, "--x")
