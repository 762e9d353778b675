"""Which versions of a data set a place holds, and taking old ones away."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from qwell.errors import DatasetNotFound, InvalidInput, ManifestError, TransferError, shown
from qwell.store.manifest import MANIFEST, MAX_MANIFEST_BYTES, PROVENANCE, Manifest, parse_json
from qwell.store.places import Place, place_of
from qwell.store.versions import MODEL, Versions, files_of

BEGUN = "begun"


@dataclass(frozen=True)
class Version:
    """A version of a data set at a place.

    Arguments:
        digest: sha256 of its manifest, or, of a model, of its configuration; the name of what is only begun.
        made: when it was made, as its provenance says, or written there, in ISO 8601; empty if nobody knows.
        bytes, rows: of all its files, and of its splits together; 0 if its manifest is not there.
        latest: whether the name means it.
        state: "whole", "unfinished" (being pushed, or its push was interrupted), "begun" (being made there,
            or that was interrupted) or "damaged".
    """

    digest: str
    made: str
    bytes: int
    rows: int
    latest: bool
    state: str


def history(url: str) -> list[Version]:
    """The versions of a data set or model at a place: first what its name means, then from new to old.

    Raises:
        DatasetNotFound: there is none of that name.
        InvalidInput: the place keeps versions in its own way.
        TransferError: the place does not answer.
    """
    versions = _kept_here(url)
    pointer = versions.pointer()
    found = [
        _described(d, files_of(url, d), bool(pointer and pointer.sha256 == d)) for d in versions.digests()
    ]
    with suppress(DatasetNotFound):
        alone = place_of(url)
        digest = alone.manifest().digest
        if digest not in {v.digest for v in found}:
            found.append(_described(digest, alone, pointer is None or pointer.sha256 == digest))
    for name in versions.begun():
        size = sum(versions.version(name).sizes().values())
        found.append(Version(name, "", size, 0, False, BEGUN))
    if not found:
        raise DatasetNotFound(f"there is no data set at {shown(url)}; `qdata list` shows what is there")
    found.sort(key=lambda v: v.made, reverse=True)
    return sorted(found, key=lambda v: not v.latest)


def superseded(url: str, keep: int, unfinished: bool = False) -> list[Version]:
    """The versions that `prune` would take away: whole ones but for the newest, and never the latest.

    Arguments:
        url: of the data set.
        keep: how many whole versions stay, at least 1: the one that the name means, and the newest others.
        unfinished: take away also what was never finished. Make sure that nobody is pushing it.

    Raises: as `history`; InvalidInput if none are to be kept.
    """
    if keep < 1:
        raise InvalidInput(f"keep is {keep}; at least the version that the name means stays: --keep 1")
    every, versions = history(url), _kept_here(url).digests()
    whole = [v for v in every if v.state == "whole" and v.digest in versions]  # not one that 0.1 pushed
    broken = [v for v in every if v.state != "whole" and not v.latest]
    stay = {v.digest for v in whole[:keep]} | {v.digest for v in every if v.latest}
    return [v for v in whole if v.digest not in stay] + (broken if unfinished else [])


def prune(url: str, versions: list[Version]) -> None:
    """Take versions away; one that the name means by now stays.

    Raises InvalidInput for a place that cannot be written to, TransferError.
    """
    names = _kept_here(url)
    if not names.place.writable:
        raise InvalidInput(f"{names.url} is read-only")
    for version in versions:
        if not _means(names, version):
            _take_away(names, version, url)


def _take_away(names: Versions, version: Version, url: str) -> None:
    """Delete a version: what makes it one first, and look once more before the rest."""
    if version.state == BEGUN:
        names.version(version.digest).clear()
        return
    place = files_of(url, version.digest)
    model, whole = names.version(version.digest), {}
    for where, name in ((place, MANIFEST), (model, MODEL)):
        with suppress(FileNotFoundError):
            whole[where, name] = where.read(name, MAX_MANIFEST_BYTES)
            where.remove([name])
    if _means(names, version):  # by now
        for (where, name), text in whole.items():
            where.write(name, text)
        return
    model.clear()


def _means(names: Versions, version: Version) -> bool:
    pointer = names.pointer()
    return bool(pointer and pointer.sha256 == version.digest)


def _kept_here(url: str) -> Versions:
    versions = Versions(url)
    if not versions.place.keeps_versions:
        raise InvalidInput(f"{versions.url} keeps its versions itself: the commits of its repository")
    return versions


def _described(digest: str, place: Place, latest: bool) -> Version:
    manifest: Manifest | None = None
    state = "whole"
    try:
        manifest = place.manifest()
        state = "whole" if manifest.digest == digest else "damaged"
    except DatasetNotFound:
        return _described_model(digest, place, latest)
    except ManifestError:
        state = "damaged"
    made = _written(place, MANIFEST)
    with suppress(FileNotFoundError, TransferError, ManifestError):
        content = parse_json(place.read(PROVENANCE, 2**20), PROVENANCE)
        made = str(content.get("created") or made) if isinstance(content, dict) else made
    size = sum(record.size for record in manifest.files.values()) if manifest else 0
    rows = sum(layout.rows for layout in manifest.plan.splits.values()) if manifest else 0
    return Version(digest, made, size, rows, latest, state)


def _described_model(digest: str, place: Place, latest: bool) -> Version:
    """A version without a manifest: of a model, or not yet whole."""
    state, size = "unfinished", 0
    with suppress(FileNotFoundError, TransferError):
        if hashlib.sha256(place.read(MODEL, MAX_MANIFEST_BYTES)).hexdigest() == digest:
            state, size = "whole", sum(place.sizes().values())
    return Version(digest, _written(place, MODEL), size, 0, latest, state)


def _written(place: Place, name: str) -> str:
    """When a file was written, in ISO 8601, as the place says; nothing if it does not."""
    with suppress(Exception):  # what the file systems raise that have no such time
        written: datetime = place.fs.modified(place.at(name))
        return written.astimezone(UTC).isoformat(timespec="seconds")
    return ""
