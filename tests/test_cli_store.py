"""The commands on data sets as typed: convert, subset, merge, import, list, push, pull, card, finalise."""

import json
from pathlib import Path

import numpy as np
import pytest
from support import run

from qwell.store.reader import open_dataset


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    for kernel in ("m3", "rbf"):
        run(
            "qdata",
            "generate",
            "--kernel",
            kernel,
            "--n",
            2000,
            "--validation",
            300,
            "--workers",
            0,
            cwd=home,
        )
    return home


def test_hdf5_by_option_or_suffix(home: Path) -> None:
    options = ["--kernel", "exp", "--n", 1000, "--validation", 100, "--workers", 0]
    run("qdata", "generate", *options, "--format", "hdf5", cwd=home)
    assert (home / "store/exp.h5").is_file() and (home / "store/exp.h5.shards/train/0.h5").is_file()
    run("qdata", "generate", *options, "--out", "other.hdf5", cwd=home)
    assert open_dataset(home / "other.hdf5").digest == open_dataset(home / "store/exp.h5").digest
    said = run("qdata", "generate", *options, "--format", "hdf5", "--out", "x.zarr", cwd=home, code=2).stderr
    assert ".h5" in said
    assert "good" in run("qdata", "verify", "--full", "store/exp.h5", cwd=home).stdout
    run("qtrain", "eigen", "--data", "store/exp.h5", "--model", "mlp", "--updates", 20, cwd=home)
    assert (home / "runs/exp-mlp/report.md").is_file()


def test_a_chain_of_commands(home: Path) -> None:
    """Each prints JSON that the next can use."""
    merged = run(
        "qdata", "merge", "store/m3.zarr", "store/rbf.zarr", "--out", "both.h5", "--json", cwd=home
    ).json
    assert merged["rows"] == {"train": 4000, "validation": 600}
    part = run("qdata", "subset", "both.h5", "--n", 500, "--out", "part.zarr", "--json", cwd=home).json
    assert part["rows"] == {"train": 500, "validation": 600}
    one = run("qdata", "convert", "part.zarr", "--single", "--out", "one.h5", "--json", cwd=home).json
    numbers = run("qdata", "stats", "one.h5", "--json", cwd=home).json
    assert numbers["digest"] == one["digest"] and numbers["stats"]["train"]["energy"]["rows"] == 500
    assert run("qdata", "info", "one.h5", "--json", cwd=home).json["recipe"]["recipe"] == "subset"
    checked = run("qdata", "verify", "--full", "one.h5", "--json", cwd=home).json
    assert checked["problems"] == [] and checked["solved_again"] == 1100
    run(
        "qtrain", "eigen", "--data", "one.h5", "--model", "mlp", "--updates", 20, "--stream", "pool", cwd=home
    )
    run("qdata", "plot", "both.h5", cwd=home)
    assert (home / "both-samples.png").stat().st_size > 10_000
    names = [e["name"] for e in run("qdata", "list", ".", "--json", cwd=home).json]
    assert {"both.h5", "one.h5", "part.zarr"} <= set(names)


def test_the_card(home: Path) -> None:
    run("qdata", "card", "store/m3.zarr", "--out", "cards", "--url", "https://example.org/m3.zarr", cwd=home)
    assert "| train | 2,000 |" in (home / "cards/m3.md").read_text()
    croissant = json.loads((home / "cards/m3.croissant.json").read_text())
    assert croissant["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert run("qdata", "card", "store/m3.zarr", "--json", cwd=home).json["name"] == "m3-zarr"


def test_array_jobs(home: Path) -> None:
    options = ["--kernel", "m5", "--n", 2500, "--validation", 500, "--shard-size", 1000, "--workers", 0]
    run("qdata", "generate", *options, "--shards", "0:2", cwd=home)
    assert "2 of 4 shards are missing" in run("qdata", "finalise", "store/m5.zarr", cwd=home, code=2).stderr
    assert "0 <= A < B <= 4" in run("qdata", "generate", *options, "--shards", "2:5", cwd=home, code=2).stderr
    answer = run("qdata", "generate", *options, "--shards", "2:4", "--json", cwd=home).json
    assert answer["shards"] == [2, 4] and answer["of"] == 4
    assert "2,500 + 500 rows" in run("qdata", "finalise", "store/m5.zarr", cwd=home).stdout


def test_a_batch_system_is_asked_politely(home: Path) -> None:
    command = [
        "qdata",
        "generate",
        "--kernel",
        "m3",
        "--n",
        1000,
        "--cluster",
        "slurm",
        "--workers",
        7,
        "--dry-run",
    ]
    said = run(*command, "--cluster-option", "queue=long", cwd=home).stdout
    assert "#SBATCH -p long" in said and "Each of 7 jobs" in said
    assert "KEY=VALUE" in run(*command, "--cluster-option", "queue", cwd=home, code=2).stderr


@pytest.mark.parametrize("kind", ["npz", "npy", "csv", "h5"])
def test_bring_your_own_potentials(home: Path, tmp_path: Path, kind: str) -> None:
    import h5py

    potential = np.random.default_rng(0).normal(scale=20, size=(60, 41))
    source = tmp_path / f"mine.{kind}"
    if kind == "npz":
        np.savez(source, potential=potential)
    elif kind == "npy":
        np.save(source, potential)
    elif kind == "csv":
        np.savetxt(source, potential, delimiter=",")
    else:
        with h5py.File(source, "w") as file:
            file["potential"] = potential
    run("qdata", "import", source, "--levels", 4, "--validation", 10, "--dtype", "float64", cwd=tmp_path)
    data = open_dataset(tmp_path / "store/mine.zarr")
    rows = np.concatenate([data["train"]["potential"][:], data["validation"]["potential"][:]])
    np.testing.assert_allclose(np.sort(rows, axis=0), np.sort(potential, axis=0), rtol=1e-15)
    order = (
        [np.flatnonzero((potential == v).all(axis=1))[0] for v in data["train"]["potential"][:]]
        if kind != "csv"
        else [0]
    )
    assert order == sorted(order)  # as in the file
    assert (
        "60 potentials solved again"
        in run("qdata", "verify", "--full", "store/mine.zarr", cwd=tmp_path).stdout
    )


def test_potentials_are_imported_with_their_densities(tmp_path: Path) -> None:
    """In the empty box ψ_i² is sin²((i+1)π(x+1)/2), of sum 1 over the mesh."""
    np.save(tmp_path / "box.npy", np.zeros((3, 41)))
    run("qdata", "import", "box.npy", "--levels", 3, "--densities", cwd=tmp_path)
    data = open_dataset(tmp_path / "store/box.zarr")
    shape = np.sin(np.outer(np.arange(1, 4), np.pi * (data.coordinates["x"] + 1) / 2)) ** 2 / 20
    np.testing.assert_allclose(data["train"]["density"][0], shape, atol=1e-7)
    assert "good" in run("qdata", "verify", "--full", "store/box.zarr", cwd=tmp_path).stdout


def test_energies_that_come_with_the_potentials_are_kept(tmp_path: Path) -> None:
    potential, energy = np.zeros((5, 21)), np.tile([1.2, 4.9, 11.0], (5, 1))
    np.savez(tmp_path / "mine.npz", v=potential, e=energy)
    run("qdata", "import", "mine.npz", "--potential", "v", "--energy", "e", cwd=tmp_path)
    data = open_dataset(tmp_path / "store/mine.zarr")
    np.testing.assert_array_equal(data["train"]["energy"][:], energy)
    said = run("qdata", "verify", "--full", "store/mine.zarr", cwd=tmp_path).stdout
    assert "good" in said and "largest deviation" in said
    np.savez(tmp_path / "down.npz", potential=potential, energy=energy[:, ::-1])
    assert "ascending" in run("qdata", "import", "down.npz", cwd=tmp_path, code=2).stderr
    assert "it has v, e" in run("qdata", "import", "mine.npz", cwd=tmp_path, code=2).stderr
    assert "no file" in run("qdata", "import", "none.npz", cwd=tmp_path, code=2).stderr
    assert ".npz" in run("qdata", "import", "mine.txt", cwd=tmp_path, code=2).stderr


def test_train_from_a_bucket(home: Path, tmp_path: Path, s3: dict[str, str]) -> None:
    """Push, list, train from there through the cache, pull, insist on a version."""
    cache = {**s3, "QWELL_CACHE": str(tmp_path / "cache")}
    run("qdata", "push", "store/m3.zarr", "s3://team/qwell/", cwd=home, **s3)
    assert "m3.zarr" in run("qdata", "list", "s3://team/qwell", cwd=home, **s3).stdout
    assert "2,000 rows" in run("qdata", "info", "s3://team/qwell/m3.zarr", cwd=home, **cache).stdout
    for data in ("s3://team/qwell/m3.zarr", "store/m3.zarr"):
        out = tmp_path / ("far" if "s3" in data else "near")
        options = ["--model", "mlp", "--updates", 30, "--batch", 50, "--out", out]
        run("qtrain", "eigen", "--data", data, *options, cwd=home, **cache)
    weights = [(tmp_path / name / "model/model.safetensors").read_bytes() for name in ("far", "near")]
    assert weights[0] == weights[1]
    run("qtrain", "eigen", "--resume", tmp_path / "far", cwd=home, **cache)
    digest = open_dataset(home / "store/m3.zarr").digest
    run("qdata", "pull", f"s3://team/qwell/m3.zarr@{digest[:10]}", "there", cwd=home, **s3)
    assert open_dataset(home / "there").digest == digest
    said = run("qdata", "pull", "s3://team/qwell/m3.zarr@0123456789", "x", cwd=home, code=2, **s3).stderr
    assert "no whole version 0123456789" in said
    assert "already" in run("qdata", "push", "store/m3.zarr", "s3://team/qwell/", cwd=home, **s3).stdout
    assert "good" in run("qdata", "verify", "s3://team/qwell/m3.zarr", cwd=home, **s3).stdout
    said = run("qdata", "push", "store/rbf.zarr", "s3://team/qwell/m3.zarr", cwd=home, code=2, **s3).stderr
    assert "--force" in said


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["convert", "store/m3.zarr", "--out", "store/rbf.zarr"], "--force"),
        (["subset", "store/m3.zarr", "--n", "0", "--out", "x.zarr"], "choose 1 to 2000"),
        (["merge", "store/m3.zarr", "--out", "x.zarr"], "at least two"),
        (["list", "nowhere"], "no directory nowhere"),
        (["push", "store/m3.zarr", "ftp2://a/b"], "s3://team"),
        (["push", "store/m3.zarr", "https://example.org/m3.zarr"], "read-only"),
        (["pull", "s3://"], "address"),
        (["finalise", "store/none.zarr"], "--shards"),
        (["generate", "--kernel", "m3", "--n", "10", "--max-memory", "lots"], "500MB"),
        (["generate", "--kernel", "m3", "--n", "10", "--max-memory", "1MB"], "allow more"),
        (["generate", "--kernel", "m3", "--n", "10", "--format", "csv"], "zarr, hdf5"),
        (["generate", "--kernel", "m3", "--n", "10", "--cluster", "abacus"], "slurm"),
    ],
)
def test_bad_input_is_one_line_with_the_remedy(home: Path, arguments: list[str], remedy: str) -> None:
    assert remedy in run("qdata", *arguments, cwd=home, code=2).stderr
