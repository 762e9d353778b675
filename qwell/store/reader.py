"""Reading a data set: `open_dataset(path)` and plain numpy from there on. Read-only."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qwell.errors import (
    DatasetDamaged,
    DatasetIncomplete,
    DatasetKindError,
    DatasetNotFound,
    InvalidInput,
    VersionMismatch,
)
from qwell.store import hdf5_single
from qwell.store.arrays import Fetch, FieldArray
from qwell.store.backends import BACKENDS, SHARDED, storage_of
from qwell.store.manifest import (
    MANIFEST,
    PROGRESS,
    PROVENANCE,
    FileRecord,
    Manifest,
    file_sha256,
    partial_path,
    read_manifest,
)
from qwell.store.provenance import read_provenance
from qwell.store.schema import Plan

_VERSIONED = re.compile(r"(.+)@([0-9a-f]{6,64})")


def _nothing_to_fetch(names: Iterable[str]) -> None:
    """A local data set has all its files."""


class Split:
    """One split of a data set: fields that share their first dimension, cut into shards."""

    def __init__(self, root: Path, name: str, plan: Plan, fetch: Fetch) -> None:
        self._root, self.name, self._plan, self._fetch = root, name, plan, fetch
        self.layout = plan.splits[name]
        self.fields = {field.name: field for field in plan.fields}
        self._arrays: dict[str, FieldArray] = {}

    def __len__(self) -> int:
        return self.layout.rows

    @property
    def shards(self) -> int:
        return self.layout.shards

    def __getitem__(self, field: str) -> FieldArray:
        if field not in self.fields:
            raise InvalidInput(
                f"{self._root} has no field {field!r} in {self.name}; it has {', '.join(self.fields)}"
            )
        if field not in self._arrays:
            backend = BACKENDS[self._plan.storage]
            self._arrays[field] = FieldArray(
                backend, self._root, self.name, self.fields[field], self.layout, self._fetch
            )
        return self._arrays[field]

    def fetch(self, fields: Sequence[str] | None = None) -> None:
        """Bring the files of all shards, several at a time; nothing to do where they are on this machine."""
        shard_path = BACKENDS[self._plan.storage].shard_path
        wanted = [self.fields[name] for name in fields or self.fields]
        self._fetch(shard_path(self.name, field, i) for i in range(self.shards) for field in wanted)

    def shard(self, index: int, fields: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """All rows of one shard, `{field: (rows, …)}`."""
        return self.rows(*self.layout.span(index), fields)

    def rows(self, start: int, stop: int, fields: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Rows start … stop − 1, `{field: (rows, …)}`."""
        return {name: self[name][start:stop] for name in fields or self.fields}

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return (self.shard(i) for i in range(self.shards))


class Dataset:
    """An open data set: `data["train"]["potential"][:10]`, `data.recipe`, `data.digest`.

    `path` is what it was opened by, `root` where its files are.
    """

    def __init__(
        self, path: str | Path, root: Path, manifest: Manifest, fetch: Fetch = _nothing_to_fetch
    ) -> None:
        self.path, self.root, self.manifest = path, root, manifest
        self.plan = plan = manifest.plan
        self.kind, self.recipe, self.row_order = plan.kind, plan.recipe, plan.row_order
        self.coordinates = {c.name: np.asarray(c.values) for c in plan.coordinates}
        self.splits = {name: Split(root, name, plan, fetch) for name in plan.splits}

    @property
    def name(self) -> str:
        """The last part of the path, e.g. "m3.zarr"."""
        return str(self.path).rstrip("/").rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix, e.g. "m3"."""
        return Path(self.name).stem

    @cached_property
    def digest(self) -> str:
        """The version: sha256 of `manifest.json`."""
        return self.manifest.digest

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """When, where and with which libraries the data was made; empty if the file is gone or damaged."""
        return read_provenance(self.root)

    def __getitem__(self, split: str) -> Split:
        if split not in self.splits:
            raise InvalidInput(f"{self.path} has no split {split!r}; it has {', '.join(self.splits)}")
        return self.splits[split]

    def require(self, kind: str) -> Dataset:
        """Return self if the data set is of this kind, else raise DatasetKindError."""
        if self.kind != kind:
            raise DatasetKindError(f"{self.path} holds {self.kind}; this command needs {kind}")
        return self

    def __repr__(self) -> str:
        rows = ", ".join(f"{name} {len(split):,}" for name, split in self.splits.items())
        return f"<Dataset {self.path} {self.kind} ({rows} rows) {self.digest[:12]}>"


def split_version(path: str | Path) -> tuple[str, str]:
    """`name@digest` as (name, digest); digest is empty where none is asked for."""
    match = _VERSIONED.fullmatch(str(path))
    return (match[1], match[2]) if match else (str(path), "")


def check_version(path: str | Path, digest: str, wanted: str) -> None:
    """Raise VersionMismatch unless the digest begins as asked for."""
    if not digest.startswith(wanted):
        raise VersionMismatch(
            f"{path} is version {digest[:12]}, not {wanted[:12]}; leave @{wanted[:12]} out to take what is"
            " there, or get the version you need from where it is kept"
        )


def locate(path: str | Path) -> Path:
    """Where the files of a data set are: a directory with a manifest, or the one file of a portable set.

    Raises DatasetNotFound, or DatasetIncomplete if the data set was begun but not finished.
    """
    given = Path(path)
    root = SHARDED[storage_of(given)].root_of(given)
    if root != given and (root / MANIFEST).is_file():
        if not given.exists():
            raise DatasetIncomplete(
                f"{given} is missing beside {root.name}; `qdata finalise {given}` makes it"
            )
        return root
    if given.is_file() or (given / MANIFEST).is_file():
        return given
    for candidate in (given, partial_path(given)):
        if (candidate / PROGRESS).is_dir() or (candidate / MANIFEST).is_file():
            raise DatasetIncomplete(
                f"{candidate} is unfinished; run the `qdata` command that began it again with --resume"
            )
    if given.exists():
        raise DatasetNotFound(f"{given} is not a qwell data set: it has no {MANIFEST}")
    raise DatasetNotFound(f"there is no data set at {given}; make one, e.g. `qdata generate --kernel m3`")


def load_manifest(root: Path) -> Manifest:
    """The manifest of the data set whose files are at `root`."""
    return hdf5_single.read_manifest(root) if root.is_file() else read_manifest(root)


def altered(path: Path, name: str, record: FileRecord) -> list[str]:
    """A line if a file's content is not what its record says, or cannot be read."""
    try:
        same = file_sha256(path) == record.sha256
    except OSError as error:
        return [f"{name} cannot be read: {error.strerror}"]
    return [] if same else [f"{name} was altered: its sha256 is not the manifest's"]


def check_provenance(root: Path, manifest: Manifest) -> str:
    """What is wrong if `provenance.json`, which holds the manifest's checksum, does not agree with it."""
    made = read_provenance(root)
    if not made:
        return f"{PROVENANCE} is missing or damaged"
    same = made.get("manifest_sha256") == manifest.digest
    return "" if same else f"{MANIFEST} or {PROVENANCE} was altered: they do not agree"


def unlisted(manifest: Manifest) -> list[str]:
    """A line for each file that a data set of this plan has and its manifest does not list."""
    plan = manifest.plan
    expected = {
        BACKENDS[plan.storage].shard_path(split, field, i)
        for split, i in plan.shards()
        for field in plan.fields
    }
    if plan.storage in SHARDED:
        expected |= SHARDED[plan.storage].metadata_files(plan)
    return [f"the manifest does not list {name}" for name in sorted(expected - manifest.files.keys())]


def file_damage(root: Path, manifest: Manifest) -> list[str]:
    """What a look at names and sizes shows: missing or truncated files, and symbolic links.

    Metadata files (`zarr.json`) are small and steer the reading, so their sha256 is checked too.
    """
    damage = unlisted(manifest)
    if manifest.plan.storage not in SHARDED:
        return damage
    for name, record in manifest.files.items():
        path = root / name
        try:
            status = path.lstat()
        except OSError:
            damage.append(f"{name} is missing")
            continue
        if not stat.S_ISREG(status.st_mode):
            damage.append(f"{name} is not a plain file")
        elif status.st_size != record.size:
            damage.append(f"{name} has {status.st_size} bytes instead of {record.size}")
        elif name.endswith("zarr.json"):
            damage += altered(path, name, record)
    directories = {p for name in manifest.files for p in Path(name).parents if p != Path()}
    damage += [f"{d} is a symbolic link" for d in sorted(directories) if (root / d).is_symlink()]
    return damage


def open_local(path: str | Path) -> Dataset:
    """Open a data set on this machine; see `open_dataset`."""
    wanted = ""
    if not Path(path).exists():
        path, wanted = split_version(path)
    root = locate(path)
    manifest = load_manifest(root)
    if (manifest.plan.storage == "hdf5-single") != root.is_file():
        raise DatasetDamaged(f"{root} is not the {manifest.plan.storage} data set that its manifest says")
    check_version(path, manifest.digest, wanted)
    damage = file_damage(root, manifest)
    if "altered" in (disagreement := check_provenance(root, manifest)) and root.is_dir():
        damage.append(disagreement)
    if damage:
        more = f" (and {len(damage) - 1} more)" if len(damage) > 1 else ""
        raise DatasetDamaged(
            f"{root} is damaged: {damage[0]}{more}; `qdata verify {path}` lists all; restore it"
            " from its source, or make it again with --force"
        )
    return Dataset(Path(path), root, manifest)


def open_dataset(path: str | Path) -> Dataset:
    """Open a data set for reading.

    Nothing from the data is executed and no path leads out of it: names, sizes and metadata are checked
    against the manifest here, checksums of chunks (crc32c, fletcher32) when they are read.

    Arguments:
        path: "store/m3.zarr", "store/m3.h5", or the address of a remote one, "s3://team/m3.zarr", whose
            shards are brought to the cache when they are needed. "…@3f2a91c0" insists on a version.

    Raises:
        DatasetNotFound, DatasetIncomplete: nothing here, or not finished.
        VersionMismatch: another version than the one insisted on.
        ManifestError: the manifest is malformed or of a newer format.
        DatasetDamaged: files are missing, truncated, altered or symbolic links.
        TransferError: a remote place cannot be reached.
    """
    if "://" in str(path):
        from qwell.store.remote import open_remote

        return open_remote(str(path))
    return open_local(path)
