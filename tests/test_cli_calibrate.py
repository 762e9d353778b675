"""`qtrain predict` with intervals, `qtrain calibrate`, and shares of covered levels in `evaluate`."""

from pathlib import Path

import numpy as np
import pytest
from support import run

from qwell import load_model, open_dataset
from qwell.physics import kernels, potentials
from qwell.physics.grid import Grid
from qwell.train.calibration import FOREIGN, calibration_in
from qwell.train.eigen import predict
from qwell.train.runs import trained_on


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of m3, four potentials, of which the last is of another law, and two runs; one is calibrated."""
    home = tmp_path_factory.mktemp("home")
    generate = ("qdata", "generate", "--kernel", "m3", "--solver", "lanes", "--workers", 0)
    run(*generate, "--n", 2000, "--validation", 1000, "--out", "m3.zarr", cwd=home)
    run(*generate, "--n", 2000, "--validation", 900, "--out", "less.zarr", cwd=home)
    v = open_dataset(home / "m3.zarr")["validation"]["potential"][:3]
    np.save(home / "v.npy", np.concatenate([v, 5 * v[:1]]))
    for name in ("m3", "less"):
        run("qtrain", "eigen", "--data", f"{name}.zarr", "--model", "linear", "--out", name, cwd=home)
    return home


def test_a_training_calibrates_and_predict_says_how_far_to_trust(home: Path) -> None:
    asked = ("qtrain", "predict", "m3", "--potential", "v.npy")
    told = run(*asked, "--coverage", 0.99, "--json", cwd=home).json
    model, v = load_model(home / "m3"), np.load(home / "v.npy")
    made = calibration_in(trained_on(home / "m3"), 101, 10)
    assert made is not None and made.count == 500 and told["coverage"] == 0.99
    half = made.half_widths(v, predict(model, v), 0.99)
    np.testing.assert_allclose(told["half_width"][:3], half[:3], rtol=1e-6)
    assert told["half_width"][3] is None and told["p_value"][3] < 0.01 < min(told["p_value"][:3])
    lines = run(*asked, cwd=home).stdout.splitlines()
    assert all(line.count("±") == 10 for line in lines[:3])
    assert "unlike the training (p " in lines[3] and "±" not in lines[3]
    assert lines[4].startswith("intervals cover 90 % of the levels") and "1 of 4 potentials" in lines[4]
    said = run(*asked, "--coverage", 0.7, cwd=home, code=2).stderr
    assert "choose one of 0.5, 0.8, 0.9, 0.95, 0.99" in said


def test_evaluations_say_what_is_covered(home: Path) -> None:
    fresh = (
        "--kernel",
        "m3",
        "--n",
        20,
        "--validation",
        500,
        "--seed",
        9,
        "--solver",
        "lanes",
        "--workers",
        0,
    )
    run("qdata", "generate", *fresh, "--out", "fresh.zarr", cwd=home)
    own = run("qtrain", "evaluate", "m3", "less", "--data", "m3.zarr", "--json", cwd=home).json["rows"]
    found = run("qtrain", "evaluate", "less", "m3", "--data", "fresh.zarr", "--json", cwd=home).json["rows"]
    assert all(
        "covered" not in row for row in own[-2:]
    )  # one was calibrated by the very same, one not at all
    assert "covered" not in found[-2]
    assert 0.85 < found[-1]["covered"] < 0.95 and found[-1]["marked"] < 0.05 and not found[-1]["set_marked"]
    run("qdata", "generate", *fresh, "--sigma", 110, "--matter", "case1", "--out", "other.zarr", cwd=home)
    asked = ("qtrain", "evaluate", "m3", "--data", "other.zarr")
    assert run(*asked, "--json", cwd=home).json["rows"][-1]["set_marked"] == "matter"
    assert "%, all by matter" in run(*asked, cwd=home).stdout


def test_predictions_say_when_a_set_is_of_another_law(home: Path) -> None:
    root = potentials.factor(kernels.covariance("m3", Grid(100), 105.0, 0.19))
    v = potentials.rows(root, 3, "test", 0, 800)
    np.save(home / "near.npy", v)
    asked = ("qtrain", "predict", "m3", "--potential", "near.npy")
    said = run(*asked, cwd=home).stdout.splitlines()
    assert "intervals promise nothing here" in said[-1] and sum("±" in line for line in said) > 400
    assert run(*asked, "--json", cwd=home).json["set_p_value"] < FOREIGN


def test_calibrate_gives_intervals_and_leaves_the_weights(home: Path) -> None:
    said = run(
        "qtrain", "predict", "less", "--potential", "v.npy", "--coverage", 0.9, cwd=home, code=2
    ).stderr
    assert "less was not calibrated; `qtrain calibrate` does that" in said
    told = run("qtrain", "calibrate", "less", "--data", "m3.zarr", "--json", cwd=home).json
    assert (told["model"], told["potentials"], told["data"]) == ("models/less", 500, "m3.zarr")
    weights = [(home / folder / "model.safetensors").read_bytes() for folder in ("less/model", "models/less")]
    assert weights[0] == weights[1]
    about = trained_on(home / "models/less")
    assert about["calibration"]["data"] == "m3.zarr" and about["data"] == "less.zarr"
    assert (
        run("qtrain", "predict", "models/less", "--potential", "v.npy", "--json", cwd=home).json["coverage"]
        == 0.9
    )
    for wrong, message in (
        (("less", "--data", "m3.zarr"), "models/less exists; choose another --out"),
        (("less", "--data", "less.zarr", "--out", "x"), "900 potentials are too few"),
        (("emulator-gru", "--data", "m3.zarr", "--out", "x"), "this command needs trajectories"),
    ):
        assert message in run("qtrain", "calibrate", *wrong, cwd=home, code=2).stderr
    assert not (home / "x").exists()
