"""What data sets are in a directory or at a place: manifests only, no arrays are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwell.errors import DatasetNotFound, QwellError
from qwell.store.hdf5_backend import SUFFIXES as HDF5
from qwell.store.manifest import MANIFEST, Manifest
from qwell.store.places import Place, place_at
from qwell.store.reader import load_manifest, locate

_SHARDS = ".shards"
_PARTIAL = ".partial"


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


def catalog(root: str | Path) -> Iterator[Entry]:
    """Yield every data set directly below a directory or address, in the order of names.

    Raises:
        DatasetNotFound: there is no such directory or place.
        TransferError: the place cannot be reached.
    """
    if "://" in str(root):
        yield from _remote(place_at(str(root)))
        return
    if not Path(root).is_dir():
        raise DatasetNotFound(f"there is no directory {root}; data sets are made in store/ by default")
    for path in sorted(Path(root).iterdir()):
        if path.name.endswith(_PARTIAL):
            yield Entry(path.name.removesuffix(_PARTIAL), None, "unfinished")
        elif ((path / MANIFEST).is_file() and not path.name.endswith(_SHARDS)) or path.suffix in HDF5:
            try:
                yield Entry(path.name, load_manifest(locate(path)))
            except DatasetNotFound:
                continue
            except QwellError as error:
                yield Entry(path.name, None, str(error))


def _remote(place: Place) -> Iterator[Entry]:
    for name in place.names():
        if name.endswith(HDF5) or (name.endswith(_PARTIAL) or name.startswith(".")):
            continue  # a master; its shards are listed
        try:
            yield Entry(name.removesuffix(_SHARDS), place_at(f"{place.url}/{name}").manifest())
        except DatasetNotFound:
            continue
        except QwellError as error:
            yield Entry(name.removesuffix(_SHARDS), None, str(error))
