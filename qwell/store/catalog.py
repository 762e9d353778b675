"""What data sets are in a directory or at a place: manifests only, no arrays are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwell.errors import DatasetNotFound, QwellError
from qwell.store.hdf5_backend import SUFFIXES as HDF5
from qwell.store.manifest import MANIFEST, PARTIAL, Manifest
from qwell.store.places import Place, place_at
from qwell.store.reader import load_manifest, locate
from qwell.store.versions import POINTER, find

_SHARDS = ".shards"


@dataclass(frozen=True)
class Entry:
    """One data set of a catalog: its manifest, or what is the matter with it."""

    name: str
    manifest: Manifest | None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        if self.manifest is None:
            return {"name": self.name, "problem": self.problem}
        plan = self.manifest.plan
        return {
            "name": self.name,
            "kind": plan.kind,
            "storage": plan.storage,
            "digest": self.manifest.digest,
            "rows": {split: layout.rows for split, layout in plan.splits.items()},
            "bytes": sum(record.size for record in self.manifest.files.values()),
            "recipe": plan.recipe,
        }


def catalog(root: str | Path, recursive: bool = False) -> Iterator[Entry]:
    """Yield every data set directly below a directory or address, in the order of names.

    Arguments:
        root: the directory or address.
        recursive: look into directories that are no data sets, too; names then have their path.

    Raises:
        DatasetNotFound: there is no such directory or place.
        TransferError: the place cannot be reached.
    """
    if "://" in str(root):
        yield from _remote(place_at(str(root)), "", recursive)
        return
    if not Path(root).is_dir():
        raise DatasetNotFound(f"there is no directory {root}; data sets are made in store/ by default")
    yield from _local(Path(root), "", recursive)


def _local(root: Path, below: str, recursive: bool) -> Iterator[Entry]:
    for path in sorted(root.iterdir()):
        if path.name.endswith(PARTIAL):
            yield Entry(below + path.name.removesuffix(PARTIAL), None, "unfinished")
        elif (path / POINTER).is_file() or (
            ((path / MANIFEST).is_file() and not path.name.endswith(_SHARDS)) or path.suffix in HDF5
        ):
            try:
                yield Entry(below + path.name, load_manifest(locate(path)))
            except DatasetNotFound:
                continue
            except QwellError as error:
                yield Entry(below + path.name, None, str(error))
        elif (
            recursive
            and path.is_dir()
            and not (path.name.startswith(".") or path.name.endswith(_SHARDS) or path.is_symlink())
        ):
            yield from _local(path, f"{below}{path.name}/", recursive)


def _remote(place: Place, below: str, recursive: bool) -> Iterator[Entry]:
    found = (name for name in place.names() if not (name.endswith(PARTIAL) or name.startswith(".")))
    for name in dict.fromkeys(name.removesuffix(_SHARDS) for name in found):
        url = f"{place.address}/{name}"
        try:
            yield Entry(below + name, find(url)[1])
        except DatasetNotFound:
            if recursive:
                with suppress(DatasetNotFound):  # it is a file
                    yield from _remote(place_at(url), f"{below}{name}/", recursive)
        except QwellError as error:
            yield Entry(below + name, None, str(error))
