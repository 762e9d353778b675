"""What data sets are in a directory or at a place: manifests only, no arrays are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwell.errors import DatasetIncomplete, DatasetNotFound, QwellError, warn
from qwell.store.hdf5_backend import SUFFIXES as HDF5
from qwell.store.manifest import MANIFEST, MAX_MANIFEST_BYTES, PARTIAL, Manifest
from qwell.store.places import Place, place_at
from qwell.store.reader import load_manifest, locate
from qwell.store.versions import MODEL, POINTER, Versions, find

DEPTH, PLACES = 8, 10_000  # directories below each other, and names, that are asked for at an address
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
        recursive: look into directories that are no data sets, too; names then have their path. At an
            address, which may lead in circles, it ends with a warning at `DEPTH` and `PLACES`.

    Raises:
        DatasetNotFound: there is no such directory or place.
        TransferError: the place cannot be reached.
    """
    if "://" in str(root):
        yield from _Remote(recursive).below(place_at(str(root)), "")
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
                if not _is_model(f"file://{path.absolute()}", error):
                    yield Entry(below + path.name, None, str(error))
        elif (
            recursive
            and path.is_dir()
            and not (path.name.startswith(".") or path.name.endswith(_SHARDS) or path.is_symlink())
        ):
            yield from _local(path, f"{below}{path.name}/", recursive)


def _is_model(url: str, error: QwellError) -> bool:
    """Whether what cannot be read as a data set, because no version is whole, is a model."""
    if not isinstance(error, DatasetIncomplete):
        return False
    versions = Versions(url)
    with suppress(QwellError):
        for digest in versions.digests():
            with suppress(FileNotFoundError):
                return bool(versions.version(digest).read(MODEL, MAX_MANIFEST_BYTES))
    return False


class _Remote:
    """A walk through what lies at an address; see `catalog`."""

    def __init__(self, recursive: bool) -> None:
        self.recursive, self.asked, self.cut = recursive, 0, False

    def below(self, place: Place, path: str) -> Iterator[Entry]:
        """What lies below a place, whose path from the root is given and ends in "/"."""
        found = (name for name in place.names() if not (name.endswith(PARTIAL) or name.startswith(".")))
        for name in dict.fromkeys(name.removesuffix(_SHARDS) for name in found):
            if self.asked >= PLACES:
                warn(f"{PLACES:,} names were asked for, and no more are: list what lies below one of them")
                return
            self.asked += 1
            url = f"{place.address}/{name}"
            try:
                yield Entry(path + name, find(url)[1])
            except DatasetNotFound:
                if self.recursive:
                    with suppress(DatasetNotFound):  # it is a file
                        yield from self._deeper(place_at(url), f"{path}{name}/")
            except QwellError as error:
                if not _is_model(url, error):
                    yield Entry(path + name, None, str(error))

    def _deeper(self, place: Place, path: str) -> Iterator[Entry]:
        if path.count("/") < DEPTH:
            yield from self.below(place, path)
        elif not self.cut and place.names():
            self.cut = True
            warn(
                f"what lies more than {DEPTH} directories deep is not listed, as below {place.url}: list that"
            )
