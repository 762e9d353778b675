"""Many machines: a real scheduler with workers in processes of their own, and what happens to them."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from servers import free_port, wait_for
from support import content

from qwell.datagen import clusters, pipeline, presets
from qwell.datagen.clusters import Workers
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.errors import DatasetIncomplete, DatasetLocked, DatasetNotFound, InvalidInput, WorkerError
from qwell.store.reader import open_dataset
from qwell.store.transfer import pull
from qwell.store.writer import DatasetWriter

RECIPE = SpectraRecipe("m3", n=20_000, validation=1000)
OPTIONS = ["--kernel", "m3", "--n", "20000", "--validation", "1000", "--shard-size", "1000"]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("reference") / "m3.zarr"
    pipeline.generate(RECIPE, path, workers=2, shard_rows=1000)
    return content(path)


def dask(*arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    """`dask scheduler …` or `dask worker …`, in a process group of its own."""
    command = [*prefix, sys.executable, "-m", "dask", *map(str, arguments)]
    return subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def end(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def start_scheduler(port: int, host: str = "127.0.0.1") -> subprocess.Popen[bytes]:
    process = dask("scheduler", "--host", host, "--port", port, "--no-dashboard")
    wait_for(port, host)
    return process


def start_worker(port: int, folder: Path, *arguments: object) -> subprocess.Popen[bytes]:
    options = ["--nthreads", 1, "--no-dashboard", "--local-directory", folder / "dask"]
    return dask("worker", f"tcp://127.0.0.1:{port}", *options, *arguments)


@contextmanager
def running(
    folder: Path, workers: int, *arguments: object
) -> Iterator[tuple[int, list[subprocess.Popen[bytes]]]]:
    port = free_port()
    scheduler = start_scheduler(port)
    team = [start_worker(port, folder, *arguments) for _ in range(workers)]
    try:
        yield port, team
    finally:
        end(*team, scheduler)


def generate(port: int, path: Path, *options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "qwell.cli.qdata", "generate", *OPTIONS, "--out", path]
    command += ["--scheduler", f"tcp://127.0.0.1:{port}", *options]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def done(path: Path) -> int:
    """Shards made so far."""
    return len(list(path.with_name(path.name + ".partial").glob("progress/done/*.json")))


@pytest.mark.slow
def test_workers_killed_at_random(tmp_path: Path, reference: dict[str, bytes]) -> None:
    """Every second a worker dies and another comes; the work goes on."""
    path, dice, killed = tmp_path / "m3.zarr", random.Random(0), 0
    with running(tmp_path, 2) as (port, team):
        work = generate(port, path)
        while work.poll() is None:
            time.sleep(dice.uniform(0.7, 1.3))
            if done(path) and killed < 4:
                victim = team.pop(dice.randrange(len(team)))
                end(victim)
                killed += 1
                team.append(start_worker(port, tmp_path))
        assert work.returncode == 0, work.communicate()
        work.communicate()
    assert killed >= 1 and content(path) == reference


@pytest.mark.slow
def test_a_worker_that_runs_out_of_memory(tmp_path: Path) -> None:
    """It dies, is started again, dies again; in the end a line says what to do. With enough, it resumes."""
    recipe = SpectraRecipe("m3", n=400_000, validation=0, solver="lanes")
    path = tmp_path / "m3.zarr"
    for memory, dies in (("250MB", True), ("4GB", False)):
        with running(tmp_path, 1, "--memory-limit", memory) as (port, _):
            workers = Workers(scheduler=f"tcp://127.0.0.1:{port}")
            if dies:
                with pytest.raises(WorkerError, match=r"want of memory: one needs about 781 MB.*--resume"):
                    pipeline.generate(recipe, path, workers=workers, shard_rows=400_000)
            else:
                pipeline.generate(recipe, path, workers=workers, shard_rows=400_000, resume=True)
    assert len(open_dataset(path)["train"]) == 400_000


SCRIPT = """
import shutil
from dataclasses import replace
from qwell import SpectraRecipe, generate

class Recipe(SpectraRecipe):
    modules = [__name__]  # as of somebody who writes a recipe of his own

print("begun", file=open("begun.txt", "a"))
shutil.rmtree("mine.zarr.partial", ignore_errors=True)
for recipe, path in ((SpectraRecipe, "x.zarr"), (Recipe, "mine.zarr")):
    generate(recipe("m3", n=2000, mesh=20, levels=3), path, shard_rows=1000)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["script.py", "-"])
def test_a_script_needs_no_guard(how: str, tmp_path: Path) -> None:
    """Without `if __name__ == "__main__":`, local workers do not run the script again."""
    recipe = SpectraRecipe("m3", n=2000, mesh=20, levels=3)
    pipeline.generate(recipe, tmp_path / "reference.zarr", workers=0, shard_rows=1000)
    (tmp_path / "script.py").write_text(SCRIPT)
    with (tmp_path / "script.py").open() as script:
        done = subprocess.run(
            [sys.executable, how], stdin=script, capture_output=True, text=True, cwd=tmp_path, check=False
        )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "begun.txt").read_text() == "begun\n"
    assert content(tmp_path / "x.zarr") == content(tmp_path / "mine.zarr")
    assert content(tmp_path / "x.zarr") == content(tmp_path / "reference.zarr")


@pytest.mark.slow
def test_a_scheduler_that_is_restarted(tmp_path: Path, reference: dict[str, bytes]) -> None:
    path, port = tmp_path / "m3.zarr", free_port()
    scheduler, worker = start_scheduler(port), start_worker(port, tmp_path)
    try:
        work = generate(port, path)
        while done(path) < 3:
            assert work.poll() is None, work.communicate()
            time.sleep(0.05)
        end(scheduler, worker)
        said = work.communicate(timeout=120)[1]
        assert work.returncode == 1 and "--resume" in said and "Traceback" not in said, said
        scheduler, worker = start_scheduler(port), start_worker(port, tmp_path)
        again = generate(port, path, "--resume")
        assert again.wait(timeout=120) == 0, again.communicate()
        again.communicate()
    finally:
        end(scheduler, worker)
    assert content(path) == reference


HERE = "10.231.7.1"  # this end of the cable


@contextmanager
def cable() -> Iterator[tuple[str, ...]]:
    """A network namespace at the end of a cable; yields what a command there begins with."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("it takes root and iproute2")
    name = f"qwell{os.getpid()}"
    a, b = f"qa{os.getpid() % 10**6}", f"qb{os.getpid() % 10**6}"
    steps = [
        f"ip netns add {name}", f"ip link add {a} type veth peer name {b} netns {name}",
        f"ip addr add {HERE}/24 dev {a}", f"ip link set {a} up",
        f"ip -n {name} addr add 10.231.7.2/24 dev {b}", f"ip -n {name} link set {b} up",
        f"ip -n {name} link set lo up",
    ]  # fmt: skip
    try:
        for step in steps:
            if subprocess.run(step.split(), capture_output=True, check=False).returncode:
                pytest.skip(f"this machine does not allow `{step}`")
        yield "ip", "netns", "exec", name
    finally:
        subprocess.run(["ip", "link", "del", a], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["disk", "s3"])
def test_workers_in_a_network_namespace_of_their_own(
    tmp_path: Path,
    reference: dict[str, bytes],
    s3: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    """As on two machines: they see the data's path or object store, and each other through a cable only."""
    with cable() as there:
        path: str | Path = tmp_path / "m3.zarr"
        if place == "s3":
            path = f"s3://team/{tmp_path.name}/m3.zarr"
            for key, value in s3.items():
                monkeypatch.setenv(key, value)
            port = s3["AWS_ENDPOINT_URL"].rpartition(":")[2]
            there = ("env", f"AWS_ENDPOINT_URL=http://{HERE}:{port}", *there)  # its way to the same server
        _by_a_worker(path, tmp_path, HERE, there)
        if place == "s3":
            pull(str(path), tmp_path / "m3.zarr")
        assert content(tmp_path / "m3.zarr") == reference


@pytest.mark.slow
def test_a_scheduler_makes_data_straight_at_s3(
    tmp_path: Path, reference: dict[str, bytes], s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its workers put their shards there themselves, the same bytes as on a disk."""
    for key, value in s3.items():
        monkeypatch.setenv(key, value)
    place = f"s3://team/{tmp_path.name}/m3.zarr"
    _by_a_worker(place, tmp_path, "127.0.0.1", ())
    pull(place, tmp_path / "pulled.zarr")
    assert content(tmp_path / "pulled.zarr") == reference


def _by_a_worker(path: str | Path, folder: Path, host: str, there: tuple[str, ...]) -> None:
    """Make the reference by a scheduler at a host, and one worker where its command begins so."""
    port = free_port()
    scheduler = start_scheduler(port, host)
    options = ["--nthreads", 1, "--no-dashboard", "--local-directory", folder / "dask", "--no-nanny"]
    worker = dask("worker", f"tcp://{host}:{port}", *options, prefix=there)
    try:
        workers = Workers(scheduler=f"tcp://{host}:{port}")
        pipeline.generate(RECIPE, path, workers=workers, shard_rows=1000)
    finally:
        end(worker, scheduler)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
def test_an_array_job_makes_the_same_data_set(tmp_path: Path, suffix: str) -> None:
    """Shards by several processes, in any order, at the same time, one of them twice."""
    recipe, path = SpectraRecipe("exp", n=7000, validation=1000, solver="lanes"), tmp_path / f"exp{suffix}"
    pipeline.generate(recipe, tmp_path / f"whole{suffix}", workers=0, shard_rows=1000)
    with pytest.raises(DatasetNotFound, match="--shards"):
        pipeline.finalise(path)
    command = (
        "qwell.cli.qdata generate --kernel exp --n 7000 --validation 1000 --solver lanes --shard-size 1000"
    )
    parts = [
        subprocess.Popen(
            [sys.executable, "-m", *command.split(), "--workers", "0", "--out", str(path), "--shards", part],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for part in ("4:8", "0:3", "2:3")
    ]  # fmt: skip
    for part in parts:
        assert part.wait(60) == 0, part.communicate()
        part.communicate()
    with pytest.raises(DatasetIncomplete, match=r"1 of 8 shards are missing or damaged \(3\)"):
        pipeline.finalise(path)
    assert pipeline.generate_shards(recipe, path, slice(3, 4), shard_rows=1000, workers=0) == (1, 8)
    manifest = pipeline.finalise(path)
    assert content(path) == content(tmp_path / f"whole{suffix}") and pipeline.finalise(path) == manifest
    with pytest.raises(InvalidInput, match="has 8: 0:8"):
        pipeline.generate_shards(recipe, path, slice(8, 9), shard_rows=1000, workers=0)


def test_the_whole_and_its_parts_do_not_mix(tmp_path: Path) -> None:
    """Array jobs share the directory; who wants it alone is refused while one of them is at it."""
    recipe, path = SpectraRecipe("m3", n=3000, validation=0, solver="lanes"), tmp_path / "m3.zarr"
    part = DatasetWriter(path, recipe.plan(1000), resume=True, share=True)
    other = DatasetWriter(path, recipe.plan(1000), resume=True, share=True)
    for action in (
        lambda: pipeline.finalise(path),
        lambda: pipeline.generate(recipe, path, workers=0, shard_rows=1000, resume=True),
    ):
        with pytest.raises(DatasetLocked):
            action()
    part.close()
    other.close()
    pipeline.generate(recipe, path, workers=0, shard_rows=1000, resume=True)


def test_memory_decides_how_many_workers() -> None:
    plan = SpectraRecipe("m3", n=100_000).plan(20_000)
    one = clusters.memory_of_worker(plan)
    assert (
        Workers(8, max_memory=3 * one).allowed(plan) == 3
        and Workers(2, max_memory=10 * one).allowed(plan) == 2
    )
    big = SpectraRecipe("m3", n=1_000_000).plan(1_000_000)
    with pytest.raises(InvalidInput, match=r"needs about 1.7 GB .* lower --shard-size to 206000"):
        Workers(max_memory=500_000_000).allowed(big)
    with pytest.raises(InvalidInput, match="allow more"):
        Workers(max_memory=1000).allowed(plan)


def test_what_no_machine_can_hold_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One simulation of a million frames: eight of them are made at a time."""
    recipe = presets.grid(x0=(20.0,), frames=10**6)
    assert clusters.memory_of_worker(recipe.plan()) > 8 * 10**6 * 1024 * 8
    monkeypatch.setattr(clusters, "memory_here", lambda: 64 * 2**30)
    for workers in (0, 1):
        with pytest.raises(
            InvalidInput, match=r"one worker needs about .* and this machine has 68.7 GB; give fewer frames"
        ):
            pipeline.generate(recipe, tmp_path / "x.zarr", workers=workers)
    assert not any(tmp_path.iterdir())


def test_workers_that_never_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where there is no memory to start them: the wait for them ends."""
    monkeypatch.setattr(clusters, "START_TIMEOUT", 1e-6)
    with pytest.raises(WorkerError, match=r"none answered in 1e-06 s.*--workers 0"):
        pipeline.generate(RECIPE, tmp_path / "x.zarr", workers=1)


def test_the_estimate_of_memory_holds(tmp_path: Path) -> None:
    """A worker takes no more than it is said to, and not much less.

    VmHWM, because the maximum of getrusage starts from that of the process that forked.
    """
    code = (
        "import re; from pathlib import Path; from qwell import SpectraRecipe;"
        "from qwell.datagen import pipeline, clusters;"
        "r = SpectraRecipe('m3', n=200_000, validation=0, solver='lanes');"
        f"pipeline.generate(r, {str(tmp_path / 'm3.zarr')!r}, workers=0, shard_rows=200_000);"
        "status = Path('/proc/self/status').read_text();"
        "used = int(re.search(r'VmHWM:\\s+([0-9]+) kB', status)[1]) * 1024;"
        "print(used / clusters.memory_of_worker(r.plan(200_000)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.5 < float(answer.stdout) < 1.1


def test_the_job_script_of_slurm() -> None:
    options = {"queue": "short", "walltime": "01:00:00", "memory": "3GB"}
    script = clusters.job_script(Workers(4, cluster="slurm", options=options))
    for line in (
        "#SBATCH -p short",
        "#SBATCH -t 01:00:00",
        "#SBATCH --mem=3G",
        "#SBATCH -n 1",
        "--nthreads 1",
    ):
        assert line in script


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": -1}, "workers is -1"),
        ({"cluster": "abacus"}, "slurm, pbs"),
        ({"cluster": "slurm", "scheduler": "tcp://a:1"}, "not both"),
    ],
)
def test_workers_that_make_no_sense(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Workers(**options)  # type: ignore[arg-type]


def test_options_that_the_cluster_does_not_know() -> None:
    with pytest.raises(InvalidInput, match="does not take these options"):
        clusters.job_script(Workers(1, cluster="slurm", options={"nonsense": 1}))
