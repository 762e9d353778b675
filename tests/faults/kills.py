"""Processes that are killed, power that fails, and two at once."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from faults.trying import OPTIONS, SMALL, Outcome, command, make, same, whole_or_not_there
from support import content, root_of

from qwell.datagen import pipeline
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.errors import DatasetLocked
from qwell.store import staging
from qwell.store.reader import open_dataset
from qwell.store.verify import verify_files


class PowerCut(BaseException):
    """The moment the lights go out."""


def kill_generation(folder: Path, suffix: str, tries: int, only_coordinator: bool = False) -> Outcome:
    """`kill -9` at random moments, then --resume, until `tries` kills have struck."""
    reference, path = content(make(folder / f"reference{suffix}")), folder / f"x{suffix}"
    clock = time.perf_counter()
    first = command("generate", *OPTIONS, "--out", folder / f"timed{suffix}", "--workers", 2)
    assert first.wait() == 0, first.communicate()
    seconds, dice, kills = time.perf_counter() - clock, random.Random(1), 0
    while kills < tries:
        process = command("generate", *OPTIONS, "--out", path, "--workers", 2, "--resume")
        try:
            process.wait(dice.uniform(0.05, 1.0) * seconds)
            code = process.returncode
        except subprocess.TimeoutExpired:
            (os.kill if only_coordinator else os.killpg)(process.pid, signal.SIGKILL)
            process.wait()
            code, kills = -9, kills + 1
        if whole_or_not_there(path):
            assert same(path, reference)
            _remove(path)
        else:
            assert code == -9 or "another process" in process.communicate()[1]
        process.communicate()
    while True:  # workers of a killed coordinator may hold on for a moment
        process = command("generate", *OPTIONS, "--out", path, "--workers", 2, "--resume")
        said = process.communicate()[1]
        if process.returncode == 0:
            break
        assert "another process" in said, said
        time.sleep(0.2)
    assert same(path, reference)
    return kills, "identical after --resume"


def kill_coordinator(folder: Path, suffix: str, tries: int) -> Outcome:
    """`kill -9` of the command alone; its workers are orphans."""
    return kill_generation(folder, suffix, tries, only_coordinator=True)


def kill_workers(folder: Path, suffix: str, tries: int) -> Outcome:
    """`kill -9` of one worker process at a time, while the command runs on."""
    reference = content(make(folder / f"reference{suffix}"))
    dice, kills, runs = random.Random(2), 0, 0
    while kills < tries:
        path = folder / f"x{runs}{suffix}"
        runs += 1
        process = command("generate", *OPTIONS, "--out", path, "--workers", 2)
        victims: list[int] = []
        while not victims and process.poll() is None:
            victims = [pid for pid in descendants(process.pid) if is_worker(pid)]
        time.sleep(dice.uniform(0, 0.5))
        if victims and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(dice.choice(victims), signal.SIGKILL)
                kills += 1
        _, err = process.communicate()
        if process.returncode != 0:
            assert "--resume" in err, err
            assert not whole_or_not_there(path)
            again = command("generate", *OPTIONS, "--out", path, "--workers", 2, "--resume")
            assert again.wait() == 0, again.communicate()
            again.communicate()
        assert same(path, reference)
    return kills, "identical: another worker makes the shard, or --resume does"


def descendants(pid: int) -> list[int]:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []


def _cmdline(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def is_worker(pid: int) -> bool:
    """Forked from the fork server, and not the server itself."""
    import psutil

    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(pid).parent()
        return parent is not None and b"forkserver" in _cmdline(parent.pid)
    return False


def power_cuts(folder: Path, suffix: str, tries: int) -> Outcome:
    """The power fails at every file operation in turn: renames survive, what was not synced does not.

    Two worlds: content that was not synced reads as empty (its rename was journalled), or the file is gone.
    """
    recipe = SMALL
    reference = content(make(folder / f"reference{suffix}", recipe))
    cuts = 0
    for lost in (_emptied, Path.unlink):
        step = 0
        while True:
            path = folder / f"{lost.__name__}-{step}" / f"x{suffix}"
            if not _cut_at(step, path, recipe, lost):
                break
            cuts += 1
            assert not whole_or_not_there(path) or content(path) == reference, f"step {step}"
            make(path, recipe, resume=True)
            assert same(path, reference), f"step {step}"
            assert list(verify_files(path, root_of(path), open_dataset(path).manifest)) == []
            shutil.rmtree(path.parent)
            step += 1 if tries > 10 else 5
    return cuts, "identical after --resume"


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _cut_at(step: int, path: Path, recipe: SpectraRecipe, lost: Callable[[Path], None]) -> bool:
    """Generate until file operation `step`, then lose what was not synced. False if there are not so many."""
    synced: set[int] = set()
    counter = iter(range(10**9))
    fsync, replace, rename = os.fsync, Path.replace, Path.rename

    def tick() -> None:
        if next(counter) == step:
            raise PowerCut

    def our_fsync(descriptor: int) -> None:
        tick()
        fsync(descriptor)
        synced.add(os.fstat(descriptor).st_ino)

    def our_replace(self: Path, target: Path) -> Path:
        tick()
        return replace(self, target)

    def our_rename(self: Path, target: Path) -> Path:
        tick()
        return rename(self, target)

    with (
        mock.patch.object(os, "fsync", our_fsync),
        mock.patch.object(Path, "replace", our_replace),
        mock.patch.object(Path, "rename", our_rename),
    ):
        try:
            make(path, recipe)
        except PowerCut:
            pass
        else:
            return False
    for file in [p for p in path.parent.rglob("*") if p.is_file()]:
        with contextlib.suppress(
            FileNotFoundError
        ):  # an orphaned thread of zarr's may still finish its rename
            if file.stat().st_ino not in synced:
                lost(file)
    return True


def two_writers(folder: Path, suffix: str, tries: int) -> Outcome:
    """Two commands at once on one path: one makes it, the other is refused, or finds it made."""
    reference = content(make(folder / f"reference{suffix}"))
    for i in range(tries):
        path = folder / f"x{i}{suffix}"
        both = [command("generate", *OPTIONS, "--out", path, "--workers", 1) for _ in range(2)]
        said = [process.communicate()[1] for process in both]
        codes = sorted(process.returncode for process in both)
        assert codes == [0, 2], (codes, said)
        assert any("another process" in s or "unfinished" in s or "already exists" in s for s in said), said
        assert same(path, reference)
    return tries, "one makes it, the other is refused with exit code 2"


def clock_skew(folder: Path, suffix: str, tries: int) -> Outcome:
    """File times decades in the past or future, between beginning and resume and afterwards."""
    reference = content(make(folder / f"reference{suffix}", SMALL))
    stamps = [0, 10**9, 4 * 10**9]
    for stamp in stamps:
        path = folder / f"x{stamp}{suffix}"
        short = mock.patch.object(pipeline, "write_shard", side_effect=limited(2, pipeline.write_shard))
        with short, contextlib.suppress(PowerCut):
            make(path, SMALL)
        for p in folder.rglob(f"x{stamp}*/**/*"):
            os.utime(p, (stamp, stamp))
        with mock.patch("time.time", lambda s=stamp: float(s)):
            make(path, SMALL, resume=True)
        for p in root_of(path).rglob("*"):
            os.utime(p, (stamp, stamp))
        assert same(path, reference) and whole_or_not_there(path)
    return len(stamps), "identical: no time is ever looked at"


def limited(n: int, function: Callable[..., object]) -> Callable[..., object]:
    """A function during whose n-th call the lights go out."""
    counter = iter(range(10**9))

    def counted(*arguments: object) -> object:
        if next(counter) == n:
            raise PowerCut
        return function(*arguments)

    return counted


def in_use(folder: Path, suffix: str, tries: int) -> Outcome:
    """A process waits with the lock held; and the lock of a process that died is no obstacle."""
    path = folder / f"x{suffix}"
    plan = SMALL.plan(1000, "zarr" if suffix == ".zarr" else "hdf5")
    holder = staging.Staging(path, plan.storage)
    holder.begin(lambda root: (root / "progress").mkdir(), resume=False, force=False)
    try:
        make(path, SMALL, resume=True)
    except DatasetLocked as error:
        assert "another process" in str(error)
    else:
        raise AssertionError("two at once")
    holder.close()
    make(path, SMALL, force=True)
    return 2, "refused while it lives, free when it is dead"


def _remove(path: Path) -> None:
    shutil.rmtree(root_of(path))
    path.unlink(missing_ok=True)
