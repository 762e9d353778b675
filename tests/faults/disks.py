"""Disks that are full, read-only or closed, and paths that are links."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from faults.trying import SMALL, Outcome, make, same, whole_or_not_there
from support import content, end_of, root_of

import qwell.store.zarr_backend  # noqa: F401  (before root's rights are given up)
from qwell import files
from qwell.errors import WriteError
from qwell.store.derive import convert
from qwell.store.reader import open_dataset
from qwell.store.transfer import pull


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
