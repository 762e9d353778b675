"""Bounds on the errors of emulators: they hold as often as they say, and are kept with the model."""

from pathlib import Path

import numpy as np
import pytest
from support import run

from qwell.errors import CheckpointError, InvalidInput
from qwell.train.horizon import COVERAGES, Horizon, horizon_in, relative_errors
from qwell.train.runs import trained_on


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trajectories with 12 simulations for validation and with 3, others of the same law, and an emulator."""
    home = tmp_path_factory.mktemp("home")
    simulate = ("qdata", "simulate", "--box", 40, "--points", 64, "--frames", 20, "--workers", 0)
    run(
        *simulate,
        "--x0",
        "12:27:1",
        "--e0",
        "1,2",
        "--hb",
        2,
        "--validation",
        12,
        "--out",
        "a.zarr",
        cwd=home,
    )
    run(
        *simulate,
        "--x0",
        "12:27:1",
        "--e0",
        "1,2",
        "--hb",
        2,
        "--validation",
        3,
        "--out",
        "few.zarr",
        cwd=home,
    )
    train = ("qtrain", "dynamics", "--model", "emulator_unitary", "--updates", 30, "--rollout", 5)
    run(*train, "--data", "a.zarr", "--out", "run", cwd=home)
    run(*train, "--data", "few.zarr", "--out", "plain", cwd=home)
    return home


def test_a_bound_is_the_smallest_that_holds_often_enough() -> None:
    """Of n errors of a frame the ⌈(n + 1)c⌉-th; and of fresh ones the share c keeps it, on average."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(300):
        errors = np.sort(rng.lognormal(size=(19, 3)), axis=0)
        bounds = np.array([errors[int(np.ceil(20 * c)) - 1] for c in COVERAGES])
        made = Horizon.from_json(Horizon(19, bounds).to_json())
        shares.append([(rng.lognormal(size=(200, 3)) <= made.bound(3, c)).mean() for c in COVERAGES])
    assert np.abs(np.mean(shares, axis=0) - COVERAGES).max() < 0.02


def test_a_training_calibrates_its_emulator(home: Path) -> None:
    made = horizon_in(trained_on(home / "run"))
    assert made is not None and made.count == 12 and made.bounds.shape == (3, 20)
    assert (np.diff(made.bounds, axis=0) >= 0).all() and (made.bounds[0] > 0).all()
    assert made.bounds[:, -1].min() > made.bounds[:, 0].max()  # errors grow
    assert np.isinf(made.bound(25)[20:]).all()
    assert horizon_in(trained_on(home / "plain")) is None


def test_rollouts_say_how_often_the_bound_was_kept(home: Path) -> None:
    run("qdata", "subset", "a.zarr", "--n", 10, "--out", "again.zarr", cwd=home)
    asked = ("qtrain", "rollout", "run", "--data", "again.zarr", "--split", "validation", "--frames", 20)
    told = run(*asked, "--json", cwd=home).json
    made = horizon_in(trained_on(home / "run"))
    assert made is not None and told["bound"] == made.bound(20).tolist()
    assert 12 / 13 * 0.9 - 0.05 <= told["mean"]["within"] <= 1  # those that it was calibrated with
    lines = run(*asked, cwd=home).stdout
    assert "within 90%" in lines and "by 12 simulations:" in lines.replace("\n", ":")
    both = run(*asked, "--data", "a.zarr", "--json", cwd=home).json["cases"]
    assert {c["within"] is None for c in both if c["data"] == "a.zarr"} == {True}
    assert {c["within"] is None for c in both if c["data"] == "again.zarr"} == {False}
    assert "but not of a.zarr, which made the bound" in run(*asked, "--data", "a.zarr", cwd=home).stdout
    plain = run("qtrain", "rollout", "plain", *asked[3:], "--json", cwd=home).json
    assert plain["bound"] is None and plain["mean"]["within"] is None


def test_emulators_are_calibrated_afterwards(home: Path) -> None:
    told = run("qtrain", "calibrate", "plain", "--data", "a.zarr", "--out", "later", "--json", cwd=home).json
    assert told["simulations"] == 12 and horizon_in(trained_on(home / "later")) is not None
    said = run("qtrain", "calibrate", "plain", "--data", "few.zarr", "--out", "no", cwd=home, code=2).stderr
    assert "has 3 simulations in validation" in said and "--validation 4" in said
    assert not (home / "no").exists()
    run("qdata", "simulate", "--box", 40, "--points", 64, "--frames", 3, "--validation", 5, "--workers", 0,
        "--out", "five.zarr", cwd=home)  # fmt: skip
    said = run("qtrain", "calibrate", "plain", "--data", "five.zarr", "--out", "five", cwd=home).stderr
    assert "90% takes 9" in said
    run("qdata", "simulate", "--box", 40, "--points", 64, "--frames", 3, "--validation", 5, "--workers", 0,
        "--dt", 0.2, "--out", "slow.zarr", cwd=home)  # fmt: skip
    said = run("qtrain", "calibrate", "plain", "--data", "slow.zarr", "--out", "no", cwd=home, code=2).stderr
    assert "learned with" in said and not (home / "no").exists()


def test_coverages_that_take_more_simulations_are_told() -> None:
    for count, takes in ((3, {0.8: 4, 0.9: 9}), (4, {0.9: 9}), (8, {0.9: 9}), (9, {})):
        assert Horizon(count, np.ones((3, 1))).unbounded == takes


def test_damaged_bounds_are_told() -> None:
    good = Horizon(5, np.ones((3, 2))).to_json()
    for change in (
        {"bounds": [[1.0]]},
        {"bounds": [[-1.0]] * 3},
        {"count": "x"},
        {"coverages": [1]},
        {"count": 0},
    ):
        with pytest.raises(CheckpointError, match="damaged"):
            Horizon.from_json(good | change)
    with pytest.raises(InvalidInput, match=r"one of 0\.5, 0\.8, 0\.9"):
        Horizon.from_json(good).bound(2, 0.7)


def test_an_emulator_that_blows_up_has_infinite_errors() -> None:
    waves = np.ones((2, 4), complex)
    assert relative_errors(np.array([waves[0], np.full(4, np.nan)]), waves).tolist() == [0.0, np.inf]
