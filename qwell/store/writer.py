"""Writing a data set in three phases: begin, one task a shard, finish.

Everything is made in `<path>.partial` and renamed to `<path>` when it is whole, so that nothing
half-written ever stands where a data set is expected, and `force` keeps the old until the new is done.

    <path>.partial/zarr.json, train/…    the future data set
    <path>.partial/progress/plan.json    what is being made; a resume must ask for the same
    <path>.partial/progress/done/        one record a finished shard, written after its files
    <path>.partial/progress/scratch/     files not yet whole
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from qwell.errors import (
    DatasetDamaged,
    DatasetExists,
    DatasetIncomplete,
    InvalidInput,
    ManifestError,
    WriteError,
)
from qwell.store.files import DirectoryLock, atomic_write, make_directory, sync_file, write_error
from qwell.store.manifest import (
    MANIFEST,
    PROGRESS,
    PROVENANCE,
    FileRecord,
    Manifest,
    checked_path,
    dump_json,
    file_sha256,
    parse_json,
    partial_path,
    read_manifest,
)
from qwell.store.schema import SPLITS, Plan
from qwell.store.zarr_backend import create_layout, encode_shard, shard_path


def _finite(array: np.ndarray) -> bool:
    """Whether no value is NaN or infinite, without a temporary array."""
    return array.size == 0 or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def write_shard(root: Path, plan: Plan, split: str, shard: int, values: Mapping[str, np.ndarray]) -> int:
    """Write one shard of every field below the partial directory `root`, then its completion record.

    Called by the one task that owns the shard, on any machine that sees `root`. Returns the rows written.

    Raises:
        InvalidInput: a field is missing, misshapen or not finite.
        WriteError: the disk refused.
    """
    layout = plan.splits[split]
    start, stop = layout.span(shard)
    scratch = root / PROGRESS / "scratch"
    record: dict[str, list[Any]] = {}
    for field in plan.fields:
        array = values[field.name]
        if array.shape != (stop - start, *field.shape) or not _finite(array):
            raise InvalidInput(
                f"{split} shard {shard}: {field.name} has shape {array.shape} or holds NaN or infinity;"
                f" expected {(stop - start, *field.shape)}, all finite"
            )
        path = shard_path(split, field, shard)
        content = encode_shard(field, layout, shard, array)
        atomic_write(root / path, content, scratch, durable=False)
        file = FileRecord.of(content)
        record[path] = [file.size, file.sha256]
    atomic_write(
        root / PROGRESS / "done" / f"{split}-{shard}.json", dump_json(record), scratch, durable=False
    )
    return stop - start


class DatasetWriter:
    """The one coordinator of a data set being written; holds its lock from `begin` to `finish`.

    Arguments:
        path: where the data set will be.
        plan: what it will hold.
        resume: continue an unfinished data set of the same plan.
        force: start again, replacing what is there once the new data set is whole.

    Raises:
        DatasetExists: a finished data set, an unfinished one, or something foreign is in the way.
        InvalidInput: `resume` with another plan than the one begun.
        DatasetLocked: another process is at it.
        WriteError: the directory cannot be written.
    """

    def __init__(self, path: Path, plan: Plan, *, resume: bool = False, force: bool = False) -> None:
        self.path, self.plan, self.root = path, plan, partial_path(path)
        self.finished: Manifest | None = None
        self._lock: DirectoryLock | None = None
        if path.exists() and not force:
            self.finished = self._existing(resume)
            return
        if path.exists() and not (path / MANIFEST).is_file():
            raise DatasetExists(
                f"{path} exists and is not a qwell data set; qwell never deletes such a thing:"
                " move it away, or choose another --out"
            )
        if self.root.exists() and not (resume or force):
            raise DatasetExists(
                f"{self.root} is an unfinished data set; add --resume to continue it,"
                " or --force to start again"
            )
        self._begin(fresh=force and not resume)

    def _existing(self, resume: bool) -> Manifest:
        if (self.path / MANIFEST).is_file() and resume:
            manifest = read_manifest(self.path)
            self._check_same(manifest.plan, self.path)
            return manifest
        what = "already exists" if (self.path / MANIFEST).is_file() else "exists and is not a qwell data set"
        remedy = "add --force to replace it, or " if what == "already exists" else ""
        raise DatasetExists(f"{self.path} {what}; {remedy}choose another --out")

    def _begin(self, fresh: bool) -> None:
        make_directory(self.root)
        self._lock = DirectoryLock(self.root)
        try:
            progress = self.root / PROGRESS
            begun, whole = (progress / "plan.json").exists(), (self.root / MANIFEST).exists()
            if fresh or not (begun or whole):
                self._clear()
                self._check_space()
                create_layout(self.root, self.plan)
                atomic_write(progress / "plan.json", dump_json(self.plan.to_json()))
            elif whole:  # killed between the manifest and the rename
                manifest = read_manifest(self.root)
                self._check_same(manifest.plan, self.root)
                self._publish()
                self.finished = manifest
            else:
                self._check_same(self._begun_plan(), self.root)
                shutil.rmtree(progress / "scratch", ignore_errors=True)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError) and not isinstance(error, WriteError | DatasetExists):
                raise write_error(error, self.root) from error
            raise

    def _begun_plan(self) -> Plan:
        path = self.root / PROGRESS / "plan.json"
        try:
            return Plan.from_json(parse_json(path.read_bytes(), str(path)))
        except ManifestError as error:
            raise ManifestError(f"{path} is damaged; start again with --force") from error

    def _check_same(self, begun: Plan, where: Path) -> None:
        theirs, ours = begun.to_json(), self.plan.to_json()
        for part in ("recipe", "splits"):
            for key in sorted(theirs[part].keys() | ours[part].keys()):
                a, b = theirs[part].get(key), ours[part].get(key)
                if a != b:
                    raise InvalidInput(
                        f"{where} was begun with {key} = {a}, now {key} = {b} is asked for; repeat the"
                        " original options to --resume, or add --force to start again"
                    )

    def _check_space(self) -> None:
        free = shutil.disk_usage(self.root).free
        if self.plan.bytes > free:
            raise WriteError(
                f"{self.path} needs {self.plan.bytes / 1e6:.0f} MB and only {free / 1e6:.0f} MB are free;"
                " free some space, or write elsewhere with --out"
            )

    def _clear(self) -> None:
        """Empty the partial directory, unless something in it is not of our making."""
        entries = list(self.root.iterdir())
        foreign = [
            e.name for e in entries if e.name not in {PROGRESS, "zarr.json", MANIFEST, PROVENANCE, *SPLITS}
        ]
        if foreign:
            raise DatasetExists(
                f"{self.root} holds {foreign[0]!r}, which is not qwell's; qwell never deletes such a thing:"
                " move it away, or choose another --out"
            )
        for entry in entries:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def pending(self) -> list[tuple[str, int]]:
        """The (split, shard) still to be made; a shard counts as made if its files match its record."""
        return (
            [] if self.finished else [s for s in self.plan.shards() if self._record(*s, rehash=True) is None]
        )

    def _record(self, split: str, shard: int, rehash: bool = False) -> dict[str, FileRecord] | None:
        path = self.root / PROGRESS / "done" / f"{split}-{shard}.json"
        try:
            entries = parse_json(path.read_bytes(), str(path))
            record = {checked_path(p): FileRecord(*entry) for p, entry in entries.items()}
            for name, file in record.items():
                if (self.root / name).stat().st_size != file.size:
                    return None
                if rehash and file_sha256(self.root / name) != file.sha256:
                    return None
        except (FileNotFoundError, ManifestError, TypeError):
            return None
        return record

    def finish(self, provenance: Mapping[str, Any]) -> Manifest:
        """Write `provenance.json` and, last, `manifest.json`; give the data set its name.

        Raises DatasetIncomplete if a shard is missing.
        """
        if self.finished:
            return self.finished
        files: dict[str, FileRecord] = {}
        for split, shard in self.plan.shards():
            record = self._record(split, shard)
            if record is None:
                raise DatasetIncomplete(
                    f"{self.root}: shard {shard} of {split} is missing; run with --resume"
                )
            files |= record
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if not path.is_file() or name in files or name == PROVENANCE or name.startswith(f"{PROGRESS}/"):
                continue
            if not self._is_metadata(name):
                raise DatasetDamaged(f"{path} does not belong to the data set; move it away")
            files[name] = FileRecord.of(path.read_bytes())
        for name in files:
            sync_file(self.root / name)
        for directory in {(self.root / name).parent for name in files}:
            sync_file(directory)
        manifest = Manifest(self.plan, files)
        scratch = self.root / PROGRESS / "scratch"
        note = dump_json({**provenance, "manifest_sha256": manifest.digest})
        atomic_write(self.root / PROVENANCE, note, scratch)
        atomic_write(self.root / MANIFEST, manifest.encode(), scratch)
        self._publish()
        return manifest

    def _is_metadata(self, name: str) -> bool:
        """Group and array metadata, and the one chunk of each coordinate."""
        coordinates = {f"{s}/{c.name}/c/0" for s in self.plan.splits for c in self.plan.coordinates}
        return name.rpartition("/")[2] == "zarr.json" or name in coordinates

    def _publish(self) -> None:
        shutil.rmtree(self.root / PROGRESS, ignore_errors=True)
        sync_file(self.root)
        old = self.path.with_name(f".{self.path.name}.{uuid4().hex}.old")
        try:
            if self.path.exists():
                self.path.rename(old)
            self.root.rename(self.path)
            sync_file(self.path.parent)
        except OSError as error:
            raise write_error(error, self.path) from error
        shutil.rmtree(old, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Give up the lock without finishing; what is written stays for a resume."""
        if self._lock:
            self._lock.release()
            self._lock = None
