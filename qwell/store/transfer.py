"""Sharing finished data sets: `push` to a place, `pull` from it.

A data set never changes, so its version (the sha256 of its manifest) says all: what is already there is
not sent again, and another version lies beside it (see `versions`). The manifest goes last and is read first:
a version is there when its manifest is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from qwell.errors import (
    DatasetDamaged,
    DatasetExists,
    DatasetNotFound,
    InvalidInput,
    ManifestError,
    QwellError,
    TransferError,
    shown,
)
from qwell.files import atomic_write, dump_json, file_sha256, seal
from qwell.progress import stage
from qwell.store.backends import SHARDED, check_suffix
from qwell.store.dataset import Dataset, split_version
from qwell.store.manifest import (
    MANIFEST,
    PROGRESS,
    PROVENANCE,
    FileRecord,
    Manifest,
    parse_json,
    read_manifest,
)
from qwell.store.parallel import in_parallel
from qwell.store.places import Place, place_at, place_of
from qwell.store.reader import open_local
from qwell.store.schema import Plan
from qwell.store.staging import Staging, finish_master
from qwell.store.versions import Versions, files_of, find, refuse_version
from qwell.store.vouched import vouched

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Transfer:
    """What a push or pull did.

    Arguments:
        digest: the version now at `target`.
        target: where it is.
        sent: bytes that had to be moved.
        kept: bytes that were there already.
    """

    digest: str
    target: str
    sent: int
    kept: int


def push(
    path: str | Path, url: str, *, force: bool = False, progress: Progress = lambda size: None
) -> Transfer:
    """Copy a finished data set to a place, beside its other versions there, and let the name mean this one.

    Repeated after an interruption, it sends what is missing: what is there is read, and kept if its sha256
    is that of the manifest. Nothing that is there is ever changed or removed. (In a repository of the Hugging
    Face Hub, which keeps versions itself, a push is one commit, and the repository shows the last one.)

    Arguments:
        path: of the data set.
        url: where to; ends in "/" for a place to put it into under its own name.
        force: let the name mean this version although it means another one.
        progress: called with the bytes done since its last call.

    Raises:
        DatasetExists: the name means another version, or there is something that is no data set. If somebody
            else was faster, the version is there, and only the name means theirs.
        DatasetDamaged: a local file is not what the manifest says; nothing damaged is ever sent.
        DatasetReplaced: another data set was put in its place meanwhile.
        TransferError: the place refuses.
    """
    data = open_local(path)
    if data.plan.storage not in SHARDED:
        raise InvalidInput(f"{path} is a single file; copy it by any means, or `qdata convert` it first")
    url = (url + data.name if url.endswith("/") else url).rstrip("/")
    refuse_version(url)
    check_suffix(Path(url.rpartition("/")[2]), data.plan.storage)
    versions, size = Versions(url), sum(r.size for r in data.manifest.files.values())
    where = versions.url
    if not versions.place.writable:
        raise InvalidInput(f"{where} is read-only; push to s3://, gs://, az://, hf://, ssh:// or a directory")
    if not versions.place.keeps_versions:
        return _push_commit(data, url, force, progress)
    pointer, alone = versions.pointer(), _digest_at(place_of(url))  # alone: as qwell 0.1 pushed
    meant = pointer.sha256 if pointer else alone
    _refuse_unasked(data, where, meant, alone, force)
    previous = alone if alone not in ("", "?") else None
    place = place_of(url) if data.digest == alone else files_of(url, data.digest)
    whole = _is_whole(data, place, url)
    if whole and meant == data.digest:
        return Transfer(data.digest, where, 0, size)
    if not (whole or meant) and (stranger := versions.foreign()):
        raise DatasetExists(
            f"{where} holds {stranger!r} and is no data set; qwell never overwrites such a thing:"
            " choose another name"
        )
    sent, kept = (0, size) if whole else _send_version(data, place, url, progress)
    if faster := versions.point(data.digest, pointer, force=force, otherwise=previous):
        raise DatasetExists(
            f"{where} was let mean version {faster[:12]} by somebody else meanwhile; yours is whole, as"
            f" {where}@{data.digest[:12]}; add --force to let the name mean it"
        )
    if _digest_at(place) != data.digest:  # which prune takes away first
        raise TransferError(f"{where}@{data.digest[:12]} was pruned while it was pushed; repeat the push")
    return Transfer(data.digest, where, sent, kept)


def _is_whole(data: Dataset, place: Place, url: str) -> bool:
    """Whether a place holds a version: its manifest, every file in its length, and the master of HDF5."""
    if _digest_at(place) != data.digest:
        return False
    there = place.sizes()
    if any(there.get(name) != record.size for name, record in data.manifest.files.items()):
        return False
    master = SHARDED[data.plan.storage].master_of(url.rpartition("/")[2], data.plan, data.digest)
    return master is None or url.rpartition("/")[2] in place_at(place.address.rpartition("/")[0]).names()


def _send_version(data: Dataset, place: Place, url: str, progress: Progress) -> tuple[int, int]:
    """Send a version whole, its manifest last; bytes sent, and bytes that were there already."""
    sent, kept = _send_all(data, place, place.sizes(), progress, url)
    data.check()
    write_master(data.plan, data.digest, place, url)
    place.write(MANIFEST, data.manifest.encode())
    place.sweep()
    return sent, kept


def _refuse_unasked(data: Dataset, where: str, meant: str, alone: str, force: bool) -> None:
    """Raise DatasetExists if the name means another version, or no other can lie beside it."""
    if meant == "?" and not force:
        raise DatasetExists(
            f"{where} holds a data set whose manifest is damaged; choose another name, or add --force to let"
            " the name mean this one"
        )
    if meant and meant != data.digest and not force:
        raise DatasetExists(
            f"{where} is version {meant[:12]}, {data.path} is {data.digest[:12]}; choose another name, or add"
            f" --force to let the name mean this one ({meant[:12]} stays, as {where}@{meant[:12]})"
        )
    if alone and alone != data.digest and data.plan.storage == "hdf5":
        raise DatasetExists(
            f"{where} was pushed by qwell 0.1, and no other version can lie beside it; choose another name"
        )


def _send_all(
    data: Dataset, place: Place, there: dict[str, int], progress: Progress, url: str
) -> tuple[int, int]:
    """Send the files of a data set, and how it was made; bytes sent, and bytes that were there already."""
    files, kept = data.manifest.files, set[str]()

    def look(name: str) -> int:
        """Keep what an interrupted push left, if it is this file; its bytes."""
        if not place.has(name, files[name]):
            return 0
        kept.add(name)
        return files[name].size

    left = [name for name, record in files.items() if there.get(name) == record.size]
    kept_bytes = in_parallel(look, left, progress)
    sent = in_parallel(lambda name: _send(data, name, place), sorted(files.keys() - kept), progress)
    if made := data.provenance:
        place.write(PROVENANCE, circumstances(made, data.plan, data.digest, url))
    arrived = place.sizes()
    if wrong := [n for n, record in files.items() if arrived.get(n) != record.size]:
        raise TransferError(f"{place.url}/{wrong[0]} did not arrive whole; repeat the push")
    return sent, kept_bytes


def circumstances(made: Mapping[str, Any], plan: Plan, digest: str, url: str) -> bytes:
    """How a data set was made, as it is kept at an address: with the sha256 of the master of that name."""
    master = SHARDED[plan.storage].master_of(url.rpartition("/")[2], plan, digest)
    own = {} if master is None else {"master_sha256": FileRecord.of(master).sha256}
    return seal({**made, "manifest_sha256": digest, **own})


def write_master(plan: Plan, digest: str, place: Place, url: str) -> None:
    """Write the file of an HDF5 data set that leads to its shards, beside the directory that holds them."""
    name = url.rpartition("/")[2]
    master = SHARDED[plan.storage].master_of(name, plan, digest)
    if master is not None:
        place.write_beside(name, master)


def _push_commit(data: Dataset, url: str, force: bool, progress: Progress) -> Transfer:
    """Push to a place that keeps versions itself, as one commit that holds this data set alone."""
    place, files, url = place_of(url), data.manifest.files, shown(url)
    place.observe()
    there = _digest_at(place)
    if there == data.digest:
        return Transfer(data.digest, url, 0, sum(r.size for r in files.values()))
    if there and not force:
        raise DatasetExists(
            f"{url} holds version {there[:12]}, {data.path} is {data.digest[:12]}; choose another name,"
            " or add --force to replace it (its history keeps the other)"
        )
    present = place.sizes()
    if not there and present:
        raise DatasetExists(
            f"{url} holds {min(present)!r} and is no data set; qwell never overwrites such a thing:"
            " choose another name"
        )
    sent, kept = _send_all(data, place, {}, progress, url)
    place.remove(sorted(place.sizes().keys() - files.keys() - {PROVENANCE}))
    data.check()
    place.write(MANIFEST, data.manifest.encode())
    write_master(data.plan, data.digest, place, url)
    try:
        place.publish(f"{data.name}, version {data.digest[:12]}")
    except TransferError:
        if _digest_at(place_of(url)) != data.digest:  # else it was done, and only the answer was lost
            raise
    return Transfer(data.digest, url, sent, kept)


def _send(data: Dataset, name: str, place: Place) -> int:
    """Send a file, if it is what the manifest says, now and when it is sent; its bytes."""
    file = data.root / name
    try:
        with vouched(file, data.manifest.files[name]) as hashed:
            try:
                size = place.put(file, name)
            except FileNotFoundError as error:
                if not file.exists():
                    raise
                raise TransferError(f"{place.url}/{name} went while it was sent; repeat the push") from error
            if not os.path.samestat(os.fstat(hashed.fileno()), file.stat()):
                raise ValueError("another file was put in its place while it was sent")
    except QwellError:
        raise
    except (OSError, ValueError) as error:
        data.check()
        raise DatasetDamaged(
            f"{file} is damaged ({error}); `qdata verify {data.path}` names all such files"
        ) from error
    return size


def _digest_at(place: Place) -> str:
    """The version of the data set at a place; empty if there is none, "?" if its manifest is unreadable."""
    try:
        return place.manifest().digest
    except DatasetNotFound:
        return ""
    except ManifestError:
        return "?"


def pull(
    url: str, path: str | Path, *, force: bool = False, progress: Progress = lambda size: None
) -> Transfer:
    """Copy a data set from a place; repeated after an interruption, it brings what is missing.

    Arguments:
        url: its address; "…@3f2a91c0" insists on a version.
        path: where to; a directory that is there gets it under its own name.
        force: replace another version, or an unfinished data set, that is there.
        progress: called with the bytes done since its last call.

    Raises:
        DatasetExists: another version or something foreign is at `path`.
        VersionMismatch: the place has another version than the one insisted on.
        DatasetReplaced: the place has another version by now.
        TransferError: the place cannot be reached, or gives what the manifest does not list.
    """
    place, manifest = find(url)
    url = split_version(url)[0]
    target = Path(path) / url.rstrip("/").rpartition("/")[2] if Path(path).is_dir() else Path(path)
    if (Path(path) / MANIFEST).is_file():
        target = Path(path)
    files = manifest.files
    staging = Staging(target, manifest.plan.storage)
    if (staging.final / MANIFEST).is_file() and read_manifest(staging.final).digest == manifest.digest:
        finish_master(staging.path, manifest)
        open_local(target)  # refuses what is damaged
        return Transfer(manifest.digest, str(target), 0, sum(r.size for r in files.values()))
    staging.check_room(force)
    mark, record = PROGRESS + "/pull.json", dump_json({"digest": manifest.digest})

    def build(root: Path) -> None:
        atomic_write(root / PROGRESS / "plan.json", dump_json(manifest.plan.to_json()))
        atomic_write(root / mark, record)

    begun = staging.root / mark
    resume = begun.is_file() and begun.read_bytes() == record
    staging.begin(build, resume=resume, force=force)
    try:
        kept = {name for name, r in files.items() if _matches(staging.root / name, r)}
        kept_bytes = sum(files[name].size for name in kept)
        progress(kept_bytes)
        sent = in_parallel(
            lambda name: place.fetch_of(manifest, name, staging.root / name),
            sorted(files.keys() - kept),
            progress,
        )
        staging.publish(manifest, _provenance(place))
    finally:
        staging.close()
    return Transfer(manifest.digest, str(target), sent, kept_bytes)


def _matches(path: Path, record: FileRecord) -> bool:
    return path.is_file() and path.stat().st_size == record.size and file_sha256(path) == record.sha256


def _provenance(place: Place) -> dict[str, object]:
    """What the place says about how the data was made; empty if it says nothing readable."""
    with suppress(FileNotFoundError, TransferError, ManifestError):
        content = parse_json(place.read(PROVENANCE, 2**20), PROVENANCE)
        return content if isinstance(content, dict) else {}
    return {}


def verify_remote(url: str) -> tuple[Manifest, Iterator[str]]:
    """The manifest of a remote data set, and a line for each file there that is not what it says.

    Every file is brought, checked and dropped.
    """
    place, manifest = find(url)

    def problems() -> Iterator[str]:
        size = sum(record.size for record in manifest.files.values())
        with TemporaryDirectory() as folder, stage("bytes", size) as done:
            for name, record in manifest.files.items():
                target = Path(folder) / "file"
                try:
                    place.fetch(name, record, target)
                except TransferError as error:
                    yield f"{name}: {error}"
                target.unlink(missing_ok=True)
                done(record.size)
        place.check(manifest)

    return manifest, problems()
