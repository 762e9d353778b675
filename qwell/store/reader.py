"""Reading a data set: `open_dataset(path)` and plain numpy from there on. Read-only."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from qwell.errors import (
    DatasetDamaged,
    DatasetIncomplete,
    DatasetKindError,
    DatasetNotFound,
    InvalidInput,
)
from qwell.store.manifest import (
    MANIFEST,
    PROGRESS,
    PROVENANCE,
    Manifest,
    file_sha256,
    partial_path,
    read_manifest,
)
from qwell.store.schema import Field, SplitLayout
from qwell.store.zarr_backend import open_field


class FieldArray:
    """One field of a split: slices come as numpy arrays, `split["potential"][10:20]`."""

    def __init__(self, array: zarr.Array, field: Field, where: str) -> None:
        self._array, self.field, self._where = array, field, where
        self.shape: tuple[int, ...] = array.shape
        self.dtype = np.dtype(field.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        try:
            return np.asarray(self._array[key])
        except (ValueError, OSError, RuntimeError) as error:
            if "checksum" in str(error).lower() or isinstance(error, OSError):
                raise DatasetDamaged(
                    f"{self._where} is damaged ({error}); `qdata verify` names the files,"
                    " `qdata generate … --force` makes them again"
                ) from error
            raise

    def __repr__(self) -> str:
        return f"<{self._where} {self.field.dtype}{self.shape} {self.field.units}>"


class Split:
    """One split of a data set: fields that share their first dimension, cut into shards."""

    def __init__(self, root: Path, name: str, layout: SplitLayout, fields: Sequence[Field]) -> None:
        self._root, self.name, self.layout = root, name, layout
        self.fields = {field.name: field for field in fields}
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
            array = open_field(self._root, self.name, self.fields[field], self.layout)
            self._arrays[field] = FieldArray(array, self.fields[field], f"{self._root}/{self.name}/{field}")
        return self._arrays[field]

    def shard(self, index: int, fields: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """All rows of one shard, `{field: (rows, …)}`."""
        span = slice(*self.layout.span(index))
        return {name: self[name][span] for name in fields or self.fields}

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return (self.shard(i) for i in range(self.shards))


class Dataset:
    """An open data set: `data["train"]["potential"][:10]`, `data.recipe`, `data.digest`."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.path, self.manifest = root, manifest
        plan = manifest.plan
        self.kind, self.recipe, self.row_order = plan.kind, plan.recipe, plan.row_order
        self.coordinates = {c.name: np.asarray(c.values) for c in plan.coordinates}
        self.splits = {name: Split(root, name, layout, plan.fields) for name, layout in plan.splits.items()}

    @cached_property
    def digest(self) -> str:
        """The version: sha256 of `manifest.json`."""
        return self.manifest.digest

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """When, where and with which libraries the data was made; empty if the file is gone."""
        path = self.path / PROVENANCE
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

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


def locate(path: str | Path) -> Path:
    """The directory of a data set, if a manifest is in it.

    Raises DatasetNotFound, or DatasetIncomplete if the data set was begun but not finished.
    """
    root = Path(path)
    if "://" in str(path):
        raise InvalidInput(f"{path} is a URL; copy the data set to a local directory first")
    if (root / MANIFEST).is_file():
        return root
    for candidate in (root, partial_path(root)):
        if (candidate / PROGRESS).is_dir() or (candidate / MANIFEST).is_file():
            raise DatasetIncomplete(
                f"{candidate} is unfinished; run the `qdata generate` that began it again with --resume"
            )
    if root.exists():
        raise DatasetNotFound(f"{root} is not a qwell data set: it has no {MANIFEST}")
    raise DatasetNotFound(f"there is no data set at {root}; make one, e.g. `qdata generate --kernel m3`")


def file_damage(root: Path, manifest: Manifest) -> list[str]:
    """What a look at names and sizes shows: missing or truncated files, and symbolic links.

    Metadata files (`zarr.json`) are small and steer the reading, so their sha256 is checked too.
    """
    damage = []
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
        elif name.endswith("zarr.json") and file_sha256(path) != record.sha256:
            damage.append(f"{name} was altered")
    directories = {p for name in manifest.files for p in Path(name).parents if p != Path()}
    damage += [f"{d} is a symbolic link" for d in sorted(directories) if (root / d).is_symlink()]
    return damage


def open_dataset(path: str | Path) -> Dataset:
    """Open a data set for reading.

    Nothing from the data is executed and no path leads out of it: names, sizes and metadata are checked
    against the manifest here, chunk checksums (crc32c) when chunks are read.

    Arguments:
        path: the directory, e.g. "store/m3.zarr".

    Raises:
        DatasetNotFound, DatasetIncomplete: nothing here, or not finished.
        ManifestError: the manifest is malformed or of a newer format.
        DatasetDamaged: files are missing, truncated, altered or symbolic links.
    """
    root = locate(path)
    manifest = read_manifest(root)
    expected = {
        f"{split}/{name}/zarr.json"
        for split in manifest.plan.splits
        for name in [f.name for f in manifest.plan.fields]
    }
    damage = [f"the manifest does not list {name}" for name in sorted(expected - manifest.files.keys())]
    damage += file_damage(root, manifest)
    if damage:
        more = f" (and {len(damage) - 1} more)" if len(damage) > 1 else ""
        raise DatasetDamaged(
            f"{root} is damaged: {damage[0]}{more}; `qdata verify {root}` lists all,"
            " `qdata generate … --force` makes it again"
        )
    return Dataset(root, manifest)
