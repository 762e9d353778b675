"""What version 0.1.0 wrote is read, checked, predicted with and continued by the code of today."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from support import run

from qwell.store.reader import open_dataset
from qwell.train.eigen import predict
from qwell.train.runs import Run, load_model

OLD = Path(__file__).parent / "fixtures/v0.1.0"
DIGEST = "fc8a479c0271e49464c78a515a6fa8d808bcf81267e42fc25022c4c485d10376"
pytestmark = pytest.mark.filterwarnings("ignore:.*has no checksum")  # version 0.1.0 wrote none
DATASETS = ("place/spectra.zarr", "spectra.h5")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy, whose run finds its data set where that is now."""
    copy = shutil.copytree(OLD, tmp_path / "old")
    config = copy / "run/config.json"
    data = {"data": str(copy / "place/spectra.zarr")}
    config.write_text(json.dumps(json.loads(config.read_text()) | data))
    return copy


@pytest.mark.parametrize("name", DATASETS)
def test_data_sets_are_opened_and_whole(old: Path, name: str) -> None:
    data = open_dataset(old / name)
    assert data.kind == "spectra" and data.recipe["kernel"] == "m3"
    assert {split: len(rows) for split, rows in data.splits.items()} == {"train": 12, "validation": 4}
    assert data["train"]["potential"].dtype == np.float32 and data["train"]["energy"][:].shape == (12, 3)
    checked = run("qdata", "verify", "--full", name, "--json", cwd=old).json
    assert checked["problems"] == [] and checked["solved_again"] == 16
    assert checked["largest_deviation"] < 1e-9
    told = run("qdata", "info", name, "--json", cwd=old).json
    assert told["digest"] == data.digest and told["splits"]["train"]["rows"] == 12


def test_both_formats_hold_the_same_rows(old: Path) -> None:
    a, b = (open_dataset(old / name) for name in DATASETS)
    assert a.digest == DIGEST
    for split in a.splits:
        for field in a[split].fields:
            np.testing.assert_array_equal(a[split][field][:], b[split][field][:])


def test_data_sets_are_made_again_by_their_recipes(old: Path) -> None:
    """`generate` knows that it is done; and rows drawn today are those drawn then."""
    again = ("--kernel", "m3", "--n", 12, "--validation", 4, "--mesh", 20, "--levels", 3, "--workers", 0)
    run("qdata", "generate", *again, "--out", "again.zarr", cwd=old)
    a, b = open_dataset(old / "place/spectra.zarr"), open_dataset(old / "again.zarr")
    assert a.recipe == b.recipe
    scale = np.abs(a["train"]["potential"][:]).max()
    for field in ("potential", "energy"):
        np.testing.assert_allclose(b["train"][field][:], a["train"][field][:], atol=1e-6 * scale, rtol=0)


def test_data_sets_are_shared_and_converted(old: Path) -> None:
    """An old place is pulled from; what is converted from an old data set is the same rows."""
    assert "spectra.zarr" in run("qdata", "list", old / "place", cwd=old).stdout
    run("qdata", "pull", f"file://{old}/place/spectra.zarr", "mine.zarr", cwd=old)
    assert open_dataset(old / "mine.zarr").digest == DIGEST
    run("qdata", "convert", "spectra.h5", "--out", "new.zarr", cwd=old)
    for split in ("train", "validation"):
        ours, theirs = (open_dataset(old / name)[split]["energy"][:] for name in ("new.zarr", "spectra.h5"))
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["model", "run"])
def test_models_predict_what_they_predicted(old: Path, name: str) -> None:
    """By the function and by the command they miss the true energies by what was measured then."""
    rows = open_dataset(old / "place/spectra.zarr")["validation"]
    measured = json.loads((OLD / "run/evaluation.json").read_text())["rows"][-1]
    energy = predict(load_model(old / name), rows["potential"][:])
    miss = np.abs(energy - rows["energy"][:]).mean(axis=0)
    np.testing.assert_allclose(miss, measured["mae_per_level"], rtol=1e-5)
    np.save(old / "v.npy", rows["potential"][:])
    told = run("qtrain", "predict", name, "--potential", "v.npy", "--json", cwd=old).json
    np.testing.assert_allclose(told["energy"], energy, rtol=1e-6)


def test_runs_are_evaluated(old: Path) -> None:
    measured = json.loads((OLD / "run/evaluation.json").read_text())["rows"]
    told = run("qtrain", "evaluate", "run", "--data", "spectra.h5", "--json", cwd=old).json["rows"]
    names = [row["name"].replace("mlp (trained", "run (mlp, trained") for row in measured]
    assert [row["name"] for row in told] == names
    assert told[-1]["nmse"] == pytest.approx(measured[-1]["nmse"], rel=1e-5)


def test_runs_are_resumed(old: Path) -> None:
    """One that is done is reported again; one that was to be longer goes on from the old checkpoint."""
    weights = load_file(old / "run/model/model.safetensors")
    run("qtrain", "eigen", "--resume", "run", cwd=old)
    for name, value in load_file(old / "run/model/model.safetensors").items():
        np.testing.assert_array_equal(value, weights[name])
    assert Run.open(old / "run").metrics() == [
        json.loads(line) for line in (OLD / "run/metrics.jsonl").read_text().splitlines()
    ]
    config = old / "run/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"updates": 7}))
    shutil.rmtree(old / "run/model")
    run("qtrain", "eigen", "--resume", "run", cwd=old)
    history = Run.open(old / "run").metrics()
    assert [row["update"] for row in history] == [1, 2, 3, 4, 5, 6, 7]
    assert all(0 < row["loss"] < 3 for row in history) and (old / "run/model/model.safetensors").is_file()
