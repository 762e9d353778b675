"""Where a data set is made until it is whole: `<path>.partial`, its lock, and the rename at the end.

Nothing half-written ever stands where a data set is expected, and `force` keeps the old until the new is
done. A data set in HDF5 has two names, `x.h5.shards` and the master `x.h5`; it is there when the master is.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from uuid import uuid4

from qwell.errors import DatasetExists, DatasetLocked, QwellError
from qwell.files import (
    DirectoryLock,
    atomic_write,
    file_sha256,
    make_directory,
    seal,
    sync_file,
    sync_files,
    write_error,
)
from qwell.store.backends import SHARDED, check_suffix
from qwell.store.manifest import (
    MANIFEST,
    PROGRESS,
    PROVENANCE,
    FileRecord,
    Manifest,
    partial_path,
)
from qwell.store.provenance import read_provenance
from qwell.store.schema import SPLITS
from qwell.store.versions import POINTER


class Staging:
    """The partial directory of one data set, locked from `begin` to `publish` or `close`.

    Arguments:
        path: where the data set will be; symbolic links are followed first.
        storage: the back end.
    """

    def __init__(self, path: Path, storage: str) -> None:
        self.path, self.storage = path.resolve(), storage
        check_suffix(self.path, storage)
        self.backend = SHARDED[storage]
        self.final, self.root = self.backend.root_of(self.path), partial_path(self.path)
        self._lock: DirectoryLock | None = None

    @property
    def scratch(self) -> Path:
        """Where files lie until they are whole; on the same file system."""
        return self.root / PROGRESS / "scratch"

    def check_room(self, force: bool) -> None:
        """Refuse what may not be overwritten.

        Raises DatasetExists if a finished data set (unless `force`) or something foreign is there.
        """
        if (self.path / POINTER).exists():
            raise DatasetExists(
                f"{self.path} keeps versions of a data set, as places do; push another one to"
                f" file://{self.path}, or choose another path"
            )
        if (self.final / MANIFEST).is_file():
            if not force and not self.path.exists():
                raise DatasetExists(
                    f"{self.path} is all but finished; `qdata finalise {self.path}` ends it, --force makes"
                    " it again"
                )
            if not force:
                raise DatasetExists(
                    f"{self.path} already exists; add --force to replace it, or choose another path"
                )
        elif self.path.exists() or self.final.exists():
            raise DatasetExists(
                f"{self.path} exists and is not a qwell data set; qwell never deletes such a thing:"
                " move it away, or choose another path"
            )

    def begin(self, build: Callable[[Path], None], *, resume: bool, force: bool, share: bool = False) -> bool:
        """Lock the partial directory, made anew by `build(directory)` unless it is taken up.

        Arguments:
            build: fills an empty directory.
            resume, force: take up, or replace, a partial directory that is there.
            share: let other processes in that share it too (the tasks of an array job).

        Returns: whether an earlier beginning was taken up.

        Raises:
            DatasetExists: one is there, and neither `resume` nor `force`; or it holds something foreign.
            DatasetLocked: another process is at it.
            WriteError: the disk refused.
        """
        try:
            make_directory(self.root.parent)
            if self.root.exists():
                if not (resume or force):
                    raise DatasetExists(
                        f"{self.root} is an unfinished data set; continue it with the command that began it"
                        " and --resume, or add --force to start again"
                    )
                self._take_lock(share and resume)
                begun = (self.root / PROGRESS / "plan.json").is_file() or (self.root / MANIFEST).is_file()
                if begun and resume:
                    if not share:
                        shutil.rmtree(self.scratch, ignore_errors=True)
                    return True
                self._discard()
            if self._build(build):
                self._take_lock(share)
                return False
            self._take_lock(share)  # another task of the same array job was faster
            return True
        except BaseException as error:
            self.close()
            if isinstance(error, OSError) and not isinstance(error, QwellError):
                raise write_error(error, self.root) from error
            raise

    def _build(self, build: Callable[[Path], None]) -> bool:
        """Build beside and rename, so that a partial directory is there with its plan or not at all."""
        beside = self.root.with_name(f".{self.root.name}.{uuid4().hex}")
        try:
            beside.mkdir()
            build(beside)
            for path in beside.rglob("*"):
                sync_file(path)
            beside.rename(self.root)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY) and self.root.is_dir():
                return False
            raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return True

    def _take_lock(self, share: bool) -> None:
        self._lock = DirectoryLock(self.root, share)
        if not self._lock.holds(self.root):
            self.close()
            raise DatasetLocked(
                f"another process has just finished {self.path}; look at it with `qdata info`"
            )

    def _discard(self) -> None:
        """Remove the partial directory, unless something in it is not of our making."""
        ours = {PROGRESS, "zarr.json", MANIFEST, PROVENANCE, *SPLITS}
        foreign = [e.name for e in self.root.iterdir() if e.name not in ours]
        if foreign:
            raise DatasetExists(
                f"{self.root} holds {foreign[0]!r}, which is not qwell's; qwell never deletes such a thing:"
                " move it away, or choose another path"
            )
        away = self.root.with_name(f".{self.root.name}.{uuid4().hex}")
        self.root.rename(away)
        shutil.rmtree(away, ignore_errors=True)
        self.close()

    def publish(self, manifest: Manifest, provenance: dict[str, object]) -> None:
        """Make all files survive a power cut, write the manifest, and give the data set its name.

        Raises WriteError if the disk refuses.
        """
        sync_files(self.root, manifest.files)
        provenance = {**provenance, "manifest_sha256": manifest.digest}
        master = self.backend.master_of(self.path.name, manifest.plan, manifest.digest)
        if master is not None:
            provenance["master_sha256"] = FileRecord.of(master).sha256
        atomic_write(self.root / PROVENANCE, seal(provenance), self.scratch)
        atomic_write(self.root / MANIFEST, manifest.encode(), self.scratch)
        self.rename(manifest)

    def rename(self, manifest: Manifest) -> None:
        """Put the whole partial directory in its place; for HDF5, write the master last."""
        old = self.final.with_name(f".{self.final.name}.{uuid4().hex}.old")
        try:
            shutil.rmtree(self.root / PROGRESS, ignore_errors=True)
            sync_file(self.root)
            there = self.final.exists()
            with DirectoryLock(self.final, wait=True) if there else nullcontext():  # for who repairs it
                if self.path != self.final:
                    self.path.unlink(missing_ok=True)
                if there:
                    self.final.rename(old)
            self.root.rename(self.final)
            sync_file(self.final.parent)
        except OSError as error:
            raise write_error(error, self.path) from error
        finish_master(self.path, manifest)
        shutil.rmtree(old, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Give up the lock; what is written stays for a resume."""
        if self._lock:
            self._lock.release()
            self._lock = None


def master_is_current(path: Path, root: Path, manifest: Manifest) -> bool:
    """Whether the file that stands for the data set in `root` was written with it, and for this name."""
    try:
        written = file_sha256(path) == read_provenance(root).get("master_sha256")
        return written and SHARDED[manifest.plan.storage].leads_to_shards(path, manifest.plan)
    except (OSError, KeyError, RuntimeError):
        return False


def finish_master(path: Path, manifest: Manifest) -> None:
    """Write the file that stands for a data set whose files are elsewhere, unless it is as it should be.

    Back ends whose data sets are one directory have none.
    """
    backend = SHARDED[manifest.plan.storage]
    root, master = backend.root_of(path), backend.master_of(path.name, manifest.plan, manifest.digest)
    if master is None or master_is_current(path, root, manifest):
        return
    made = read_provenance(root)
    if made and made.get("master_sha256") != (ours := FileRecord.of(master).sha256):
        atomic_write(root / PROVENANCE, seal({**made, "master_sha256": ours}))
    atomic_write(path, master)
