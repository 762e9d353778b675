"""Opening a data set that is somewhere else: its shards come to the cache when they are needed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from qwell.errors import DatasetDamaged, InvalidInput, TransferError, shown
from qwell.files import atomic_write
from qwell.store.backends import SHARDED
from qwell.store.cache import make_room, use
from qwell.store.dataset import Dataset, mislisted, split_version
from qwell.store.manifest import PROVENANCE, Manifest
from qwell.store.parallel import in_parallel
from qwell.store.places import Place
from qwell.store.versions import find
from qwell.store.vouched import vouched


class RemoteFiles:
    """The files of a remote data set, in the cache: brought, and compared with the manifest, when needed.

    Arguments:
        place: where the data set is.
        root: its directory in the cache.
        manifest: as read from the place.
    """

    remedy = "it is in the cache: run the same command again, and it is fetched anew"

    def __init__(self, place: Place, root: Path, manifest: Manifest) -> None:
        self.root, self.records = root, manifest.files
        self._place, self._manifest = place, manifest

    def bring(self, names: Iterable[str]) -> None:
        """Bring those that are not in the cache, or are not what they should be there.

        Raises DatasetReplaced if the place holds another version by now, or TransferError.
        """
        missing = [name for name in dict.fromkeys(names) if not self._is_whole(name)]
        if missing:
            make_room(sum(self.records[name].size for name in missing))
        if len(missing) == 1:
            self._fetch(missing[0])
        elif missing:
            in_parallel(self._fetch, missing, lambda size: None)

    def check(self) -> None:
        """What arrives is compared with the manifest, so that no other version can be among it."""

    def _is_whole(self, name: str) -> bool:
        with suppress(OSError, ValueError), vouched(self.root / name, self.records[name]):
            return True
        return False

    def _fetch(self, name: str) -> int:
        return self._place.fetch_of(self._manifest, name, self.root / name)


def open_remote(url: str) -> Dataset:
    """Open the data set at an address.

    The manifest is read now; a shard is brought, checked by its sha256, when a row of it is first asked for,
    and kept in the cache, where equal versions are found again whatever their address. A file that is not
    what it should be in the cache is brought again.

    Raises: see `open_dataset`.
    """
    place, manifest = find(url)
    url, plan = split_version(url)[0], manifest.plan
    if plan.storage not in SHARDED:
        raise InvalidInput(f"{shown(url)} is a single file; copy it to this machine first")
    if gaps := mislisted(manifest):
        raise DatasetDamaged(f"{shown(url)} is damaged: {gaps[0]}; tell whoever keeps it")
    root = use("remote", manifest.digest, url.rstrip("/").rpartition("/")[2])
    files = RemoteFiles(place, root, manifest)
    files.bring(SHARDED[plan.storage].metadata_files(plan))
    with suppress(FileNotFoundError, TransferError):
        atomic_write(root / PROVENANCE, place.read(PROVENANCE, 2**20), durable=False)
    return Dataset(shown(url), files, manifest)
