"""Opening a data set that is somewhere else: its shards come to the cache when they are needed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from qwell.errors import DatasetDamaged, InvalidInput, TransferError
from qwell.files import atomic_write
from qwell.store.backends import SHARDED
from qwell.store.cache import cache_root
from qwell.store.dataset import Dataset, check_version, split_version, unlisted
from qwell.store.manifest import PROVENANCE
from qwell.store.places import in_parallel, place_of


def open_remote(url: str) -> Dataset:
    """Open the data set at an address.

    The manifest is read now; a shard is brought, checked by its sha256, when a row of it is first asked for,
    and kept in the cache, where equal versions are found again whatever their address.

    Raises: see `open_dataset`.
    """
    url, wanted = split_version(url)
    place = place_of(url)
    manifest = place.manifest()
    plan = manifest.plan
    if plan.storage not in SHARDED:
        raise InvalidInput(f"{url} is a single file; copy it to this machine first")
    check_version(url, manifest.digest, wanted)
    if gaps := unlisted(manifest):
        raise DatasetDamaged(f"{url} is damaged: {gaps[0]}; tell whoever keeps it")
    root = cache_root() / "remote" / manifest.digest[:32]
    brought: set[str] = set()

    def fetch(names: Iterable[str]) -> None:
        missing = [n for n in dict.fromkeys(names) if n not in brought and not _has(n)]
        if len(missing) == 1:
            place.fetch(missing[0], manifest.files[missing[0]], root / missing[0])
        elif missing:
            in_parallel(lambda n: place.fetch(n, manifest.files[n], root / n), missing, lambda size: None)
        brought.update(missing)

    def _has(name: str) -> bool:
        path = root / name
        return path.is_file() and path.stat().st_size == manifest.files[name].size

    fetch(SHARDED[plan.storage].metadata_files(plan))
    with suppress(FileNotFoundError, TransferError):
        atomic_write(root / PROVENANCE, place.read(PROVENANCE, 2**20), durable=False)
    return Dataset(url, root, manifest, fetch)
