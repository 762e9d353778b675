"""Content depends on the recipe and seed alone; a killed generation resumes to the same bytes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support import content

from qwell.datagen import pipeline
from qwell.datagen.audit.spectra import check_values, solve_again
from qwell.datagen.clusters import Workers
from qwell.datagen.recipes import spectra as recipes
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.errors import DatasetExists, InvalidInput, WorkerError
from qwell.physics import spectrum
from qwell.store.reader import open_dataset
from qwell.store.schema import Plan

RECIPE = SpectraRecipe("m3", n=4200, validation=600, seed=7)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("reference") / "m3.zarr"
    pipeline.generate(RECIPE, path, workers=0, shard_rows=1000)
    return content(path)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_a_byte(tmp_path: Path, reference: dict[str, bytes], workers: int) -> None:
    pipeline.generate(RECIPE, tmp_path / "m3.zarr", workers=workers, shard_rows=1000)
    assert content(tmp_path / "m3.zarr") == reference


def test_order_of_tasks_does_not_change_a_byte(
    tmp_path: Path, reference: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_workers, orders = pipeline.in_workers, list[list[tuple[str, int]]]()

    def shuffled(
        task: object, recipe: object, plan: object, wanted: list[tuple[str, int]], *others: object
    ) -> None:
        orders.append(random.Random(1).sample(wanted, len(wanted)))
        in_workers(task, recipe, plan, orders[-1], *others)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "in_workers", shuffled)
    pipeline.generate(RECIPE, tmp_path / "m3.zarr", workers=0, shard_rows=1000)
    assert content(tmp_path / "m3.zarr") == reference and orders[0] != sorted(orders[0])


@dataclass(frozen=True)
class Deadly(SpectraRecipe):
    """Kills its process in the middle of the work, until a file says that this was done often enough."""

    folder: str = ""
    times: int = 0

    def rows(self, split: str, start: int, stop: int) -> dict[str, np.ndarray]:
        deaths = len(list(Path(self.folder).iterdir()))
        if start == 2000 and deaths < self.times:
            Path(self.folder, str(deaths)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().rows(split, start, stop)

    def plan(self, shard_rows: int = 20_000, storage: str = "zarr") -> Plan:
        return RECIPE.plan(shard_rows, storage)


def test_local_workers_that_die_are_replaced(tmp_path: Path, reference: dict[str, bytes]) -> None:
    """But not for ever, and then what is finished stays."""
    (tmp_path / "deaths").mkdir()
    recipe = Deadly(**RECIPE.__dict__, folder=str(tmp_path / "deaths"), times=pipeline.MOST_DEATHS)
    with pytest.raises(WorkerError, match=r"again and again.*--resume"):
        pipeline.generate(recipe, tmp_path / "m3.zarr", workers=2, shard_rows=1000)
    (tmp_path / "deaths" / str(pipeline.MOST_DEATHS - 1)).unlink()  # once more, and it is survived
    pipeline.generate(recipe, tmp_path / "m3.zarr", workers=2, shard_rows=1000, resume=True)
    assert content(tmp_path / "m3.zarr") == reference


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import multiprocessing as m, os, signal; from qwell.datagen import clusters\n"
        "with clusters.local_processes(2):\n"
        "    print(*(p.pid for p in m.active_children()), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_running_scheduler_does_not_change_a_byte(tmp_path: Path, reference: dict[str, bytes]) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster:
        pipeline.generate(
            RECIPE,
            tmp_path / "m3.zarr",
            workers=Workers(scheduler=cluster.scheduler_address),
            shard_rows=1000,
        )
    assert content(tmp_path / "m3.zarr") == reference


@pytest.mark.slow
def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    """Neither from a file nor from standard input is it run again by the workers."""
    script = (
        "print('once'); from qwell import generate, SpectraRecipe;"
        "generate(SpectraRecipe('m3', n=2000, validation=0), '{}', workers=2, shard_rows=1000)"
    )
    (tmp_path / "script.py").write_text(script.format(tmp_path / "a.zarr"))
    for arguments, text in (([str(tmp_path / "script.py")], ""), (["-"], script.format(tmp_path / "b.zarr"))):
        done = subprocess.run(
            [sys.executable, *arguments], input=text, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == ["once"], done.stderr


def test_shard_size_does_not_change_a_number(tmp_path: Path, reference: dict[str, bytes]) -> None:
    pipeline.generate(RECIPE, tmp_path / "a.zarr", workers=0, shard_rows=1000)
    pipeline.generate(RECIPE, tmp_path / "b.zarr", workers=0, shard_rows=3000)
    a, b = open_dataset(tmp_path / "a.zarr"), open_dataset(tmp_path / "b.zarr")
    for field in ("potential", "energy"):
        np.testing.assert_array_equal(a["train"][field][:], b["train"][field][:])


@pytest.mark.parametrize("solver", spectrum.SOLVERS)
def test_a_shorter_set_is_the_beginning_of_a_longer(tmp_path: Path, solver: str) -> None:
    for n in (1000, 5000):
        recipe = SpectraRecipe("exp", n=n, validation=0, solver=solver)
        pipeline.generate(recipe, tmp_path / f"{n}.zarr", workers=0)
    short, long = (open_dataset(tmp_path / f"{n}.zarr")["train"] for n in (1000, 5000))
    for field in ("potential", "energy"):
        np.testing.assert_array_equal(short[field][:], long[field][:1000])
    pipeline.generate(
        SpectraRecipe("exp", n=777, validation=0, solver=solver), tmp_path / "777.zarr", workers=0
    )
    odd = open_dataset(tmp_path / "777.zarr")["train"]
    np.testing.assert_array_equal(odd["energy"][:], long["energy"][:777])


def test_energies_belong_to_the_potential_as_stored(tmp_path: Path) -> None:
    recipe = SpectraRecipe("rbf", n=50, validation=0)
    pipeline.generate(recipe, tmp_path / "a.zarr", workers=0)
    train = open_dataset(tmp_path / "a.zarr")["train"]
    again = spectrum.eigenvalues(train["potential"][:], recipe.grid, 10)
    np.testing.assert_array_equal(train["energy"][:], again)


def test_densities_and_double_precision(tmp_path: Path) -> None:
    recipe = SpectraRecipe("m5", n=30, validation=5, densities=True, dtype="float64", mesh=40, levels=4)
    pipeline.generate(recipe, tmp_path / "a.zarr", workers=0)
    data = open_dataset(tmp_path / "a.zarr")
    density = data["train"]["density"][:]
    assert density.shape == (30, 4, 41) and data["train"]["potential"].dtype == np.float64
    np.testing.assert_allclose(density.sum(axis=2), 1.0, rtol=1e-5)
    waves = spectrum.eigenstates(data["train"]["potential"][:], recipe.grid, 4)[1]
    np.testing.assert_allclose(density, waves**2, atol=1e-7)
    assert list(check_values(data)) == [] and solve_again(data)[1] < 1e-12


def test_matern_with_any_nu(tmp_path: Path) -> None:
    pipeline.generate(SpectraRecipe("matern", n=10, validation=0, nu=1.5), tmp_path / "a.zarr", workers=0)
    pipeline.generate(SpectraRecipe("m3", n=10, validation=0), tmp_path / "b.zarr", workers=0)
    a, b = (open_dataset(tmp_path / f"{x}.zarr")["train"]["potential"][:] for x in "ab")
    # the two covariances agree to 1e-12, their square roots to the square root of that
    np.testing.assert_allclose(a, b, atol=1e-3)


def test_verify_notices_wrong_energies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = recipes.eigenvalues
    monkeypatch.setattr(recipes, "eigenvalues", lambda *a: true(*a) * (1 + 1e-8))
    pipeline.generate(SpectraRecipe("m3", n=60, validation=0), tmp_path / "a.zarr", workers=0)
    assert solve_again(open_dataset(tmp_path / "a.zarr"))[1] > 1e-9


def test_provenance(tmp_path: Path) -> None:
    manifest = pipeline.generate(SpectraRecipe("m3", n=10, validation=0), tmp_path / "a.zarr", workers=0)
    made = open_dataset(tmp_path / "a.zarr").provenance
    assert made["manifest_sha256"] == manifest.digest
    assert {"qwell", "git", "created", "host", "libraries", "seconds"} <= made.keys()


def test_recipe_round_trips_through_json() -> None:
    recipe = SpectraRecipe("matern", n=3, nu=0.7, densities=True)
    assert SpectraRecipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    for bad in ({}, {"recipe": "other"}, recipe.to_json() | {"n": "3"}, recipe.to_json() | {"extra": 1}):
        with pytest.raises(InvalidInput):
            SpectraRecipe.from_json(bad)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "m4"}, "rbf, m5, m3, exp, matern"),
        ({"n": 0}, "n is 0"),
        ({"n": -5}, "n is -5"),
        ({"sigma": 0.0}, "sigma is 0.0"),
        ({"sigma": float("nan")}, "positive number"),
        ({"sigma": 1e200}, "from 1e-30 to 1e"),
        ({"length": -1.0}, "length is -1.0"),
        ({"length": 1e-308}, "from 1e-30 to 1e"),
        ({"mesh": 10**20}, "at most 1,048,576"),
        ({"mesh": 10}, "only 9 interior points"),
        ({"mesh": 1}, "at least 2 intervals"),
        ({"levels": 0}, "levels is 0"),
        ({"nu": 1.0}, "--nu belongs to"),
        ({"kernel": "matern"}, "needs it"),
        ({"kernel": "matern", "nu": -1.0}, r"must be in \(0, 100\]"),
        ({"solver": "magic"}, "scipy, lanes"),
        ({"dtype": "float16"}, "float32, float64"),
        ({"validation": -1}, "validation is -1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_recipes(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        SpectraRecipe(**({"kernel": "m3", "n": 10} | options))  # type: ignore[arg-type]


def test_bad_shard_size_workers_and_scheduler(tmp_path: Path) -> None:
    recipe = SpectraRecipe("m3", n=10)
    with pytest.raises(InvalidInput, match="multiple of 1000"):
        pipeline.generate(recipe, tmp_path / "a.zarr", shard_rows=1500)
    with pytest.raises(InvalidInput, match="workers is -1"):
        pipeline.generate(recipe, tmp_path / "a.zarr", workers=-1)
    assert not list(tmp_path.iterdir())


def test_a_failing_worker_is_reported_and_the_rest_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: dict[str, bytes]
) -> None:
    true = SpectraRecipe.rows

    def fragile(recipe: SpectraRecipe, split: str, start: int, stop: int) -> dict[str, np.ndarray]:
        if split == "validation":
            raise MemoryError("out of memory")
        return true(recipe, split, start, stop)

    from distributed import LocalCluster

    monkeypatch.setattr(SpectraRecipe, "rows", fragile)
    path = tmp_path / "m3.zarr"
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        pytest.raises(WorkerError, match="--resume"),
    ):
        pipeline.generate(RECIPE, path, workers=Workers(scheduler=cluster.scheduler_address), shard_rows=1000)
    monkeypatch.undo()
    with pytest.raises(DatasetExists, match="--resume"):
        pipeline.generate(RECIPE, path, workers=0, shard_rows=1000)
    pipeline.generate(RECIPE, path, workers=0, shard_rows=1000, resume=True)
    assert content(path) == reference


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed(tmp_path: Path) -> None:
    """`kill -9` of the whole process group, six times, then undisturbed: the same bytes."""
    options = [
        "--kernel",
        "m3",
        "--n",
        "24000",
        "--validation",
        "2000",
        "--shard-size",
        "1000",
        "--workers",
        "2",
    ]
    command = [sys.executable, "-m", "qwell.cli.qdata", "generate", *options]
    subprocess.run([*command, "--out", tmp_path / "whole.zarr"], check=True, capture_output=True)
    path, chance = tmp_path / "killed.zarr", random.Random(4)
    killed = 0
    for _ in range(6):
        process = subprocess.Popen(
            [*command, "--out", path, "--resume"], start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(chance.uniform(0.5, 3.0))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    subprocess.run([*command, "--out", path, "--resume"], check=True, capture_output=True)
    assert killed >= 3
    assert content(path) == content(tmp_path / "whole.zarr")
