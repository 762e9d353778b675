"""Driven simulations as typed: made, verified, drawn, learned from; and what does not take them says so."""

from pathlib import Path

import numpy as np
import pytest
from support import run

from qwell.store.reader import open_dataset

DIPOLE = "dipole:amplitude=0.2,0.8:frequency=4:envelope=sin2:cycles=2"
WELL = "gaussian:height=-3:width=6"
SMALL = ("--box", 30, "--points", 64, "--frames", 20, "--tolerance", 1e-6, "--workers", 0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    run("qdata", "simulate", "--drive", DIPOLE, "--potential", WELL, "--packet", "ground", "--absorb",
        "width=8:strength=3", "--levels", 2, "--validation", 2, *SMALL, "--out", "store/d.zarr",
        cwd=home)  # fmt: skip
    return home


def test_every_packet_under_every_drive(home: Path) -> None:
    data = open_dataset(home / "store/d.zarr")
    assert data.recipe["recipe"] == "driven" and data.kind == "trajectories"
    assert data["train"]["drive_amplitude"][:].tolist() == [0.2, 0.8] and len(data["validation"]) == 2
    assert data["train"]["population"][:].shape == (2, 21, 2)
    assert data.recipe["curriculum"]["v_scale"] > 3  # the largest |V(x, t)|, not |V(x)|


def test_other_commands_know_driven_trajectories(home: Path) -> None:
    found = run("qdata", "verify", "--full", "store/d.zarr", "--json", cwd=home).json
    assert found["problems"] == [] and 0 < found["deviation_of_integrators"] < 1e-5
    for command, *more, out in (("plot", "--rows", "0:1", "p.png"), ("animate", "--every", 10, "f.gif")):
        run("qdata", command, "store/d.zarr", *more, "--out", out, cwd=home)
        assert (home / out).stat().st_size > 1000
    run("qdata", "windows", "store/d.zarr", "--window", 9, "--figure", "w.png", cwd=home)
    run("qdata", "card", "store/d.zarr", cwd=home)
    assert "change with time" in (home / "d.md").read_text()


def test_sums_drawn_numbers_and_observables_alone(home: Path) -> None:
    np.save(home / "v.npy", np.zeros((3, 64)))
    run("qdata", "simulate", "--drive", DIPOLE, "--drive", "formula:v=0.01*(x-15)**2*t", "--drive",
        "file:values=v.npy:step=1", "--drawn", 3, "--seed", 4, "--s0", "1,2", "--x0", 15, "--e0", 0, "--keep",
        "observables", *SMALL, "--propagator", "magnus", "--out", "store/s.zarr", cwd=home)  # fmt: skip
    part = open_dataset(home / "store/s.zarr")["train"]
    assert len(part) == 3 and "psi" not in part.fields and len(np.unique(part["drive_amplitude"][:])) == 3
    assert (part["s0"][:] != 1).all() and part["drive"][:].shape == (3, 21)
    run("qdata", "plot", "store/s.zarr", "--rows", "0:1", "--out", "s.png", cwd=home)
    for command in (("windows", "store/s.zarr"), ("animate", "store/s.zarr")):
        assert "no field 'psi'" in run("qdata", *command, cwd=home, code=2).stderr


def test_long_names_of_fields_keep_their_columns(home: Path) -> None:
    told = run("qdata", "info", "store/d.zarr", cwd=home).stdout
    assert "transmitted_right float64" in told and "bohr^2 hbar^2/hartree^2 spectrum of" in told
    table = run("qdata", "stats", "store/d.zarr", cwd=home).stdout.splitlines()
    assert len({len(line) for line in table}) == 1


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--drive", "dipole:amplitude=1"), "needs frequency"),
        (("--drive", "dipol:amplitude=1"), "did you mean 'dipole'"),
        (("--drive", "formula:v=open(x)"), "not allowed"),
        (("--drive", DIPOLE, "--propagator", "chebyshev"), "split-operator-4"),
        (("--drive", DIPOLE, "--keep", "psy"), "did you mean 'psi'"),
        (("--absorb", "width=-3"), "positive"),
        (("--absorb", "15"), "KEY=VALUE"),
        (("--preset", "demo", "--levels", 3), "not driven"),
    ],
)
def test_what_is_wrong_is_said(home: Path, typed: tuple[object, ...], said: str) -> None:
    done = run("qdata", "simulate", *typed, "--workers", 0, "--out", "store/no.zarr", cwd=home, code=2)
    assert said in done.stderr and not (home / "store/no.zarr").exists()


@pytest.mark.slow
def test_emulators_learn_and_what_takes_static_potentials_says_so(home: Path) -> None:
    learn = ("--data", "store/d.zarr", "--updates", 4, "--rollout", 3, "--batch", 8, "--device", "cpu")
    run("qtrain", "dynamics", "--model", "emulator_dense", *learn, "--out", "run", cwd=home)
    assert list((home / "run").rglob("*.safetensors"))
    run("qtrain", "dynamics", "--model", "emulator_unitary", "--data", "store/d.zarr", "--updates", 4,
        "--rollout", 3, "--out", "ring", cwd=home)  # fmt: skip
    for learned in ("run", "ring"):
        run(
            "qtrain",
            "rollout",
            learned,
            "--data",
            "store/d.zarr",
            "--split",
            "validation",
            "--frames",
            3,
            cwd=home,
        )
    told = run("qtrain", "probe", "gradients", "run", "--data", "store/d.zarr", cwd=home, code=2)
    assert "takes V(x)" in told.stderr
