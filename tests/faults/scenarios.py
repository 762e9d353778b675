"""Everything that can go wrong with a data set on disk, provoked on purpose.

Each scenario takes an empty directory, the suffix of a back end and how often to try, and returns how many
tries were made and what came of them. A try that is not handled raises AssertionError. `table.py` prints the
table of docs/reliability.md from them, `test_faults.py` runs them with fewer tries.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
from support import content, copy_of, end_of, root_of

import qwell.store.zarr_backend  # noqa: F401  (before root's rights are given up)
from qwell import files
from qwell.datagen import pipeline
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.errors import DatasetLocked, QwellError, WriteError
from qwell.store import staging
from qwell.store.derive import convert
from qwell.store.reader import load_manifest, locate, open_dataset
from qwell.store.transfer import pull
from qwell.store.verify import verify_files

RECIPE = SpectraRecipe("m3", n=6000, validation=500, solver="lanes")
OPTIONS = [
    "--kernel",
    "m3",
    "--n",
    "6000",
    "--validation",
    "500",
    "--solver",
    "lanes",
    "--shard-size",
    "1000",
]
SMALL = SpectraRecipe("m3", n=1500, validation=200, mesh=20, levels=3, solver="lanes")
Outcome = tuple[int, str]


def make(path: Path, recipe: SpectraRecipe = RECIPE, **options: object) -> Path:
    pipeline.generate(recipe, path, workers=0, shard_rows=1000, **options)  # type: ignore[arg-type]
    return path


def command(*arguments: object, **options: object) -> subprocess.Popen[str]:
    """`qdata …` as a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "qwell.cli.qdata", *map(str, arguments)],
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,  # type: ignore[call-overload]
    )  # fmt: skip


def whole_or_not_there(path: Path) -> bool:
    """True if the data set is there and good; False if it is not there; anything else is a failure."""
    try:
        root = locate(path)
    except QwellError:
        return False
    assert list(verify_files(path, root, load_manifest(root))) == []
    return True


def same(path: Path, reference: dict[str, bytes]) -> bool:
    """Whether every file is as it should be; says which is not."""
    found = content(path)
    differ = sorted(k for k in found.keys() | reference.keys() if found.get(k) != reference.get(k))
    assert not differ, f"{path}: {differ[:5]} differ"
    return True


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
            victims = [pid for pid in _descendants(process.pid) if _is_worker(pid)]
        time.sleep(dice.uniform(0, 0.5))
        if victims and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(dice.choice(victims), signal.SIGKILL)
                kills += 1
        _, err = process.communicate(timeout=120)
        if process.returncode != 0:
            assert "--resume" in err, err
            assert not whole_or_not_there(path)
            again = command("generate", *OPTIONS, "--out", path, "--workers", 2, "--resume")
            assert again.wait(120) == 0, again.communicate()
            again.communicate()
        assert same(path, reference)
    return kills, "identical: another worker makes the shard, or --resume does"


def _descendants(pid: int) -> list[int]:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []


def _cmdline(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _is_worker(pid: int) -> bool:
    """Forked from the fork server, and not the server itself."""
    import psutil

    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(pid).parent()
        return parent is not None and b"forkserver" in _cmdline(parent.pid)
    return False


class PowerCut(BaseException):
    """The moment the lights go out."""


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
        if file.stat().st_ino not in synced:
            lost(file)
    return True


def full_disk(folder: Path, suffix: str, tries: int) -> Outcome:
    """No room at the n-th file written: while generating, converting and pulling; then there is room."""
    reference = make(folder / f"reference{suffix}", SMALL)
    other = {".zarr": ".h5", ".h5": ".zarr"}[suffix]
    source = open_dataset(make(folder / f"source{other}", SMALL))
    count = 0
    for i in range(tries):
        works: list[tuple[str, Callable[[Path], object]]] = [
            ("generate", lambda p: make(p, SMALL, resume=p.parent.exists())),
            ("convert", lambda p: convert(source, p, resume=p.parent.exists())),
            ("pull", lambda p: pull(f"file://{reference}", p)),
        ]
        for name, work in works:
            path = folder / f"{name}{i}" / f"x{suffix}"
            with _no_room_at(i), contextlib.suppress(_Passed):
                try:
                    work(path)
                except WriteError as error:
                    assert "full" in str(error), error
                else:
                    raise _Passed
            assert not path.exists() or whole_or_not_there(path)
            if not path.exists():
                work(path)
                count += 1
            assert content(path) == content(reference)
    return count, "one line that says so, nothing half-written; identical after --resume"


class _Passed(Exception):
    """There were not so many files to write."""


@contextlib.contextmanager
def _no_room_at(step: int) -> Iterator[None]:
    """The `step`-th file that is opened for writing below us finds no room."""
    counter, opener = iter(range(10**9)), Path.open

    def our_open(self: Path, mode: str = "r", *arguments: object, **options: object) -> object:
        if "w" in mode and "b" in mode and next(counter) == step:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        return opener(self, mode, *arguments, **options)  # type: ignore[call-overload]

    from qwell.store import places

    fetch = places.Place.fetch

    def our_fetch(self: places.Place, name: str, record: files.__class__, target: Path) -> int:  # type: ignore[name-defined]
        if next(counter) == step:
            raise files.write_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), target)
        return fetch(self, name, record, target)

    with mock.patch.object(Path, "open", our_open), mock.patch.object(places.Place, "fetch", our_fetch):
        yield


def small_tmpfs(folder: Path, suffix: str, tries: int) -> Outcome:
    """A real file system of 1 MB that fills up in the middle of the work; then it is made larger."""
    reference, count = content(make(folder / f"reference{suffix}", SMALL)), 0
    for i in range(tries):
        mount = folder / f"small{i}"
        mount.mkdir()
        size = 60 + 25 * i
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", mount], check=False
        ).returncode:
            return 0, "not tried: it takes the right to mount"
        try:
            path = mount / f"x{suffix}"
            with mock.patch.object(shutil, "disk_usage", lambda p: SimpleNamespace(free=10**12)):
                try:
                    make(path, SMALL)
                except WriteError as error:
                    assert "full" in str(error), error
                    count += 1
                    assert not whole_or_not_there(path)
                    subprocess.run(["mount", "-o", "remount,size=20m", mount], check=True)
                    make(path, SMALL, resume=path.with_name(path.name + ".partial").exists())
            assert same(path, reference)
        finally:
            subprocess.run(["umount", "-l", mount], check=True)
    assert count
    return count, "one line that says so; identical after --resume with room"


def as_nobody(action: Callable[[], object]) -> str:
    """Do it as the user nobody, in a process of its own; the error it ended with."""

    def become() -> None:
        if os.geteuid() == 0:
            os.setegid(65534)
            os.seteuid(65534)

    return end_of(action, become)


def no_permission(folder: Path, suffix: str, tries: int) -> Outcome:
    """A directory that one may not write to, a shard that one may not read, as an ordinary user."""
    for place in (folder, *folder.parents[:-1]):  # the way there is open
        with contextlib.suppress(PermissionError):
            place.chmod(place.stat().st_mode | 0o055)
    closed = folder / "closed"
    closed.mkdir(mode=0o555)
    said = as_nobody(lambda: make(closed / f"x{suffix}", SMALL))
    assert said.startswith("WriteError") and "permission" in said, said
    assert not list(closed.iterdir())
    path = make(folder / f"x{suffix}", SMALL)
    victims = [p for p in root_of(path).rglob("*") if p.is_file()]
    for victim in victims:
        mode = victim.stat().st_mode
        victim.chmod(0)

        def read() -> None:
            for split in open_dataset(path).splits.values():
                for i in range(split.shards):
                    split.shard(i)

        said = as_nobody(read)
        essential = (
            victim.name != "provenance.json" and "/x/" not in str(victim) and "/level/" not in str(victim)
        )
        group = victim.name == "zarr.json" and victim.parent.name in (
            "train",
            "validation",
            root_of(path).name,
        )
        assert said.startswith("DatasetDamaged") or (not essential or group), (victim, said)
        assert not said.startswith("unexpected"), said
        victim.chmod(mode)
    return len(victims) + 1, "one line that names the file or directory"


def read_only(folder: Path, suffix: str, tries: int) -> Outcome:
    """A file system mounted read-only: reading works, making does not."""
    mount = folder / "disk"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mount], check=False).returncode:
        return 0, "not tried: it takes the right to mount"
    try:
        path = make(mount / f"x{suffix}", SMALL)
        before = content(path)
        subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
        for work in (lambda: make(mount / f"y{suffix}", SMALL), lambda: make(path, SMALL, force=True)):
            try:
                work()
            except WriteError as error:
                assert "read-only" in str(error), error
            else:
                raise AssertionError("it was written")
        assert content(path) == before and len(open_dataset(path)["train"]["energy"][:]) == 1500
    finally:
        subprocess.run(["umount", "-l", mount], check=True)
    return 2, "one line that says so; the old data set is read as before"


def kinds_of_files(path: Path) -> dict[str, Path]:
    """One file of every kind that a data set has."""
    found: dict[str, Path] = {}
    for p in sorted(root_of(path).rglob("*")):
        if p.is_file():
            parts = p.relative_to(root_of(path)).parts
            kind = "/".join(part for part in parts if not part.isdigit()).replace("validation", "train")
            found.setdefault(kind, p)
    if path.is_file():
        found["master"] = path
    return found


def _reads_right(path: Path, truth: dict[str, np.ndarray]) -> str:
    """Read everything: "refused", or "right"; wrong numbers are a failure."""
    try:
        data = open_dataset(path)
        for name, values in truth.items():
            split, field = name.split("/")
            np.testing.assert_array_equal(data[split][field][:], values)
            assert data.recipe == SMALL.to_json()
            np.testing.assert_array_equal(data.coordinates["x"], SMALL.grid.x)
    except QwellError:
        return "refused"
    return "right"


def all_rows(path: Path) -> dict[str, np.ndarray]:
    data = open_dataset(path)
    return {f"{s}/{f}": data[s][f][:] for s in data.splits for f in data[s].fields}


def _damage(folder: Path, suffix: str, tries: int, change: Callable[[Path, random.Random], None]) -> int:
    """Damage every kind of file `tries` times: reading never gives wrong numbers, and verify names it."""
    whole = make(folder / f"whole{suffix}", SMALL)
    truth, dice, count = all_rows(whole), random.Random(3), 0
    for i in range(tries):
        for kind in kinds_of_files(whole):
            path = copy_of(
                whole, folder / f"{count}" / f"x{suffix}" if (folder / f"{count}").mkdir() is None else whole
            )
            victim = kinds_of_files(path)[kind]
            before = victim.read_bytes()
            change(victim, dice)
            if victim.exists() and victim.read_bytes() == before:
                continue
            assert _reads_right(path, truth) in ("refused", "right")
            try:
                root = locate(path)
                problems = list(verify_files(path, root, load_manifest(root)))
            except QwellError as error:
                problems = [str(error)]
            assert problems, f"verify does not notice {kind} ({i})"
            count += 1
            shutil.rmtree(path.parent)
    return count


def flip(path: Path, dice: random.Random) -> None:
    blob = bytearray(path.read_bytes())
    blob[dice.randrange(len(blob))] ^= 1 << dice.randrange(8)
    path.write_bytes(blob)


def _truncate(path: Path, dice: random.Random) -> None:
    os.truncate(path, dice.randrange(path.stat().st_size))


DAMAGE = "named by verify; reading refuses, or gives the right numbers"


def bit_flips(folder: Path, suffix: str, tries: int) -> Outcome:
    """One bit flipped, anywhere in every kind of file."""
    return _damage(folder, suffix, tries, flip), DAMAGE


def truncations(folder: Path, suffix: str, tries: int) -> Outcome:
    """Every kind of file cut short, anywhere."""
    return _damage(folder, suffix, max(tries // 4, 1), _truncate), DAMAGE


def deletions(folder: Path, suffix: str, tries: int) -> Outcome:
    """Every kind of file deleted."""
    return _damage(folder, suffix, 1, lambda path, dice: path.unlink()), DAMAGE


def two_writers(folder: Path, suffix: str, tries: int) -> Outcome:
    """Two commands at once on one path: one makes it, the other is refused, or finds it made."""
    reference = content(make(folder / f"reference{suffix}"))
    for i in range(tries):
        path = folder / f"x{i}{suffix}"
        both = [command("generate", *OPTIONS, "--out", path, "--workers", 1) for _ in range(2)]
        said = [process.communicate(timeout=120)[1] for process in both]
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
        limited = mock.patch.object(pipeline, "write_shard", side_effect=_after(2, pipeline.write_shard))
        with limited, contextlib.suppress(PowerCut):
            make(path, SMALL)
        for p in folder.rglob(f"x{stamp}*/**/*"):
            os.utime(p, (stamp, stamp))
        with mock.patch("time.time", lambda s=stamp: float(s)):
            make(path, SMALL, resume=True)
        for p in root_of(path).rglob("*"):
            os.utime(p, (stamp, stamp))
        assert same(path, reference) and whole_or_not_there(path)
    return len(stamps), "identical: no time is ever looked at"


def _after(n: int, function: Callable[..., object]) -> Callable[..., object]:
    counter = iter(range(10**9))

    def limited(*arguments: object) -> object:
        if next(counter) == n:
            raise PowerCut
        return function(*arguments)

    return limited


def symlinks(folder: Path, suffix: str, tries: int) -> Outcome:
    """The data set's path is a link: read, replaced behind the link, never the link itself."""
    reference = content(make(folder / f"reference{suffix}", SMALL))
    (folder / "disk").mkdir()
    link = folder / f"link{suffix}"
    link.symlink_to(folder / "disk" / f"real{suffix}")
    make(link, SMALL)
    assert link.is_symlink() and content(folder / "disk" / f"real{suffix}") == reference
    make(link, SMALL, force=True)
    assert link.is_symlink() and content(folder / "disk" / f"real{suffix}") == reference
    if root_of(link) == link:
        assert whole_or_not_there(link)
    here = folder / "here"
    here.symlink_to(folder / "disk")
    assert whole_or_not_there(here / f"real{suffix}")
    return 3, "the link stays; what it points to is read and replaced"


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


# name, scenario, tries in the table, tries in the tests
SCENARIOS: list[tuple[str, Callable[[Path, str, int], Outcome], int, int]] = [
    ("`kill -9` of command and workers at a random moment", kill_generation, 25, 3),
    ("`kill -9` of the command alone", kill_coordinator, 15, 2),
    ("`kill -9` of a worker", kill_workers, 10, 1),
    ("power cut at every file operation", power_cuts, 50, 5),
    ("no room at the n-th file (generate, convert, pull)", full_disk, 12, 4),
    ("a small file system fills up", small_tmpfs, 6, 2),
    ("no permission to write or read", no_permission, 1, 1),
    ("read-only file system", read_only, 1, 1),
    ("bit flip in every kind of file", bit_flips, 60, 6),
    ("every kind of file truncated", truncations, 60, 8),
    ("every kind of file deleted", deletions, 1, 1),
    ("two commands on one path at once", two_writers, 5, 1),
    ("another process holds the lock", in_use, 1, 1),
    ("clock skew", clock_skew, 1, 1),
    ("path is a symbolic link", symlinks, 1, 1),
]
