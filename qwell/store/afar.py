"""Making a data set straight at a place: every worker puts its own shards there, the manifest comes last.

<place>/<name>/<plan>.partial/           the future version, whose name is not known before it is whole
<place>/<name>/<plan>.partial/progress/  its plan, what the name meant before, records of finished shards

`<plan>` is the checksum of what is being made. Two who make the same at once put the same bytes, so nobody is
locked out. When all records are there, the files are moved at the place itself, without coming here.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from qwell.errors import (
    DatasetDamaged,
    DatasetExists,
    DatasetIncomplete,
    DatasetNotFound,
    InvalidInput,
    ManifestError,
    WriteError,
)
from qwell.files import dump_json, seal
from qwell.store.backends import SHARDED, check_suffix
from qwell.store.manifest import MANIFEST, PARTIAL, PROGRESS, PROVENANCE, FileRecord, Manifest, parse_json
from qwell.store.parallel import in_parallel
from qwell.store.places import Place, place_at
from qwell.store.schema import Plan
from qwell.store.swapping import swap
from qwell.store.transfer import circumstances, write_master
from qwell.store.versions import Versions, files_of, find, refuse_version
from qwell.store.writer import Made, decode_plan, decode_record, put_shard

PLAN = f"{PROGRESS}/plan.json"
BEFORE = f"{PROGRESS}/before.json"  # which version the name meant when this was begun
LARGEST = 2**24  # bytes of a plan or record


def write_shard_afar(root: str, plan: Plan, split: str, shard: int, values: Mapping[str, np.ndarray]) -> int:
    """Put one shard of every field below the address `root`, then its record; see `writer.write_shard`.

    Returns the rows written.

    Raises:
        InvalidInput: a field is missing, misshapen or not finite.
        WriteError: the data set is no longer being made there.
        TransferError: the place refuses.
    """
    place, written = place_at(root), list[str]()
    _refuse_if_over(place)

    def put(name: str, content: bytes | memoryview) -> None:
        written.append(name)
        place.write(name, content)

    rows = put_shard(plan, split, shard, values, put)
    try:
        _refuse_if_over(place)  # who ends it takes the plan away first, and then all that it finds
    except WriteError:
        place.remove(written)
        if not place.sizes():
            place.clear()  # directories
        raise
    return rows


def _refuse_if_over(place: Place) -> None:
    """Raise WriteError if the data set is no longer being made at a place."""
    try:
        place.read(PLAN, LARGEST)
    except FileNotFoundError as error:
        raise WriteError(f"{place.url} is gone: another process has finished or removed it") from error


class RemoteWriter:
    """The coordinator of a data set that is made at a place; as `writer.DatasetWriter`.

    Arguments:
        url: the address of the name; those of version and partial directory are below it.
        plan: what it will hold.
        resume: continue what was begun there by the same plan.
        force: go on with what was begun, or begin, and let the name mean it although it means another one.
        share: be one of several writers, each of its own shards (an array job).

    Raises:
        DatasetExists: the name means a data set, or the same was begun and not finished.
        InvalidInput: `resume` of another plan than the one begun; a place that cannot be written to.
        TransferError: the place refuses.
    """

    def __init__(
        self, url: str, plan: Plan, *, resume: bool = False, force: bool = False, share: bool = False
    ) -> None:
        self.plan, self._force = plan, force
        refuse_version(url)
        self._versions = Versions(url)
        self.path = self._versions.url
        if not (self._versions.place.writable and self._versions.place.keeps_versions):
            raise InvalidInput(f"{self.path}: nothing can be made there; make it here and `qdata push` it")
        check_suffix(Path(url.rpartition("/")[2]), plan.storage)
        self._url, key = url, hashlib.sha256(dump_json(plan.to_json())).hexdigest()[:16]
        self._place = place_at(f"{url}/{key}{PARTIAL}")
        self.root = self._place.address
        begun = _plans_begun(self._versions)
        ours = begun.get(f"{key}{PARTIAL}")
        self.finished: Manifest | None = None
        if not (ours and resume):
            self.finished = self._found(resume, force, share)
        if self.finished:  # maybe by one who was killed while it tidied up: the record of the plan goes first
            self._place.clear()
            return
        if ours and not (resume or force):
            raise DatasetExists(
                f"{self.path} is unfinished; continue it with the command that began it and --resume, or add"
                " --force to go on with it whatever the name means"
            )
        if begun and not ours and resume and not share:
            raise InvalidInput(
                f"{self.path} was begun with other options; repeat the original ones to --resume, or leave"
                " --resume out to make another version"
            )
        pointer = self._versions.pointer()
        if not ours:
            self._place.write(BEFORE, dump_json({"meant": pointer.sha256 if pointer else ""}))
            self._place.write(PLAN, seal(plan.to_json()))
        same = _meant(self._place) == (pointer.sha256 if pointer else "")
        self._pointer = pointer if force or same else None  # None: somebody else changed it meanwhile

    def _found(self, resume: bool, force: bool, share: bool) -> Manifest | None:
        """The data set that the name means, if it is the one to be made and `resume` is content with it."""
        if force:
            return None
        try:
            manifest = find(self._url)[1]
        except (DatasetNotFound, DatasetIncomplete):
            return None
        if resume and manifest.plan == self.plan:
            return manifest
        forced = "" if share else ", or add --force to let the name mean the new one"
        raise DatasetExists(
            f"{self.path} is version {manifest.digest[:12]}; choose another --out{forced}"
            f" ({manifest.digest[:12]} stays)"
        )

    def pending(self, wanted: Sequence[tuple[str, int]] | None = None) -> list[tuple[str, int]]:
        """The (split, shard) still to be made; one counts as made if its files have the sha256 recorded.

        Arguments:
            wanted: the shards that are looked at, for which they are read; all by default.
        """
        if self.finished:
            return []
        every = self.plan.shards() if wanted is None else wanted
        made = self._made(every, reread=True)
        return [shard for shard in every if shard not in made]

    def refuse_missing(self, missing: Sequence[tuple[str, int]]) -> None:
        """Raise DatasetIncomplete if shards are missing."""
        if missing:
            raise DatasetIncomplete(
                f"{self.path}: {len(missing)} of {len(self.plan.shards())} shards are missing or damaged;"
                " make them with `qdata generate … --shards A:B`, or all with `qdata generate … --resume`"
            )

    def _made(self, shards: Sequence[tuple[str, int]], reread: bool = False) -> dict[tuple[str, int], Made]:
        there = self._place.sizes()
        names = {s: f"{PROGRESS}/done/{s[0]}-{s[1]}.json" for s in shards}
        found: dict[tuple[str, int], Made] = {}

        def look(shard: tuple[str, int]) -> int:
            try:
                made = decode_record(self._place.read(names[shard], LARGEST), names[shard])
            except (FileNotFoundError, ManifestError):
                return 0
            if all(there.get(name) == record.size for name, record in made.files.items()) and not (
                reread and not all(self._place.has(name, record) for name, record in made.files.items())
            ):
                found[shard] = made
            return 1

        in_parallel(look, [s for s, name in names.items() if name in there], lambda count: None)
        return found

    def finish(self, provenance: Mapping[str, Any]) -> Manifest:
        """Move the files to where the version is, write its manifest there, and let the name mean it.

        Raises:
            DatasetIncomplete: a shard is missing.
            DatasetDamaged: another manifest is where this one belongs.
            DatasetExists: somebody else let the name mean another version meanwhile; this one is whole.
        """
        if self.finished:
            return self.finished
        made = self._made(self.plan.shards())
        self.refuse_missing([shard for shard in self.plan.shards() if shard not in made])
        with tempfile.TemporaryDirectory() as folder:
            described = self._described(Path(folder))
        files = {name: record for one in made.values() for name, record in one.files.items()}
        manifest = Manifest(
            self.plan, {**files, **{name: FileRecord.of(text) for name, text in described.items()}}
        )
        target = files_of(self._url, manifest.digest)
        if self._force or not (_holds(target, manifest) and _lengths_fit(target, manifest)):
            self._publish(target, manifest, files, described, provenance, made)
        if faster := self._versions.point(manifest.digest, self._pointer, force=self._force):
            raise DatasetExists(
                f"{self.path} was let mean version {faster[:12]} by somebody else meanwhile; this one is"
                f" whole, as {self.path}@{manifest.digest[:12]}; add --force to let the name mean it"
            )
        self._place.remove([PLAN])  # workers that come too late see that it is over
        self._place.clear()
        return manifest

    def _publish(
        self,
        target: Place,
        manifest: Manifest,
        files: Mapping[str, FileRecord],
        described: Mapping[str, bytes],
        provenance: Mapping[str, Any],
        made: Mapping[tuple[str, int], Made],
    ) -> None:
        """Copy the files to where the version is, at the place itself, and write its manifest last."""
        by = Counter(one.by for one in made.values())
        about = {**provenance, "shards_made_with": dict(sorted(by.items()))}
        try:
            self._move(target, files, described)
        except FileNotFoundError as error:
            if _holds(target, manifest):
                return  # somebody else has finished it meanwhile
            raise WriteError(f"{self.path}: files are gone while they were copied; --resume") from error
        if _holds(target, manifest):  # it only lacked files
            return
        target.write(PROVENANCE, circumstances(about, self.plan, manifest.digest, self._url))
        write_master(self.plan, manifest.digest, target, self._url)
        if not swap(target, MANIFEST, manifest.encode(), None) and not _holds(target, manifest):
            raise DatasetDamaged(f"{target.url} holds another manifest; remove that directory and --resume")

    def _described(self, folder: Path) -> dict[str, bytes]:
        """What describes the shards: names and contents."""
        backend = SHARDED[self.plan.storage]
        backend.create_layout(folder, self.plan)
        return {name: (folder / name).read_bytes() for name in backend.metadata_files(self.plan)}

    def _move(self, target: Place, files: Mapping[str, FileRecord], described: Mapping[str, bytes]) -> None:
        there = target.sizes()
        left = [
            name
            for name, record in files.items()
            if there.get(name) != record.size or (self._force and not target.has(name, record))
        ]
        in_parallel(lambda name: self._place.copy(name, target), left, lambda size: None)
        for name, content in described.items():
            target.write(name, content)

    def close(self) -> None:
        """Nothing is held; what is there stays for a resume."""


def _holds(place: Place, manifest: Manifest) -> bool:
    """Whether a place holds this manifest."""
    try:
        return place.manifest() == manifest
    except (DatasetNotFound, ManifestError):
        return False


def _lengths_fit(place: Place, manifest: Manifest) -> bool:
    """Whether all files of a manifest are at a place, in their lengths."""
    there = place.sizes()
    return all(there.get(name) == record.size for name, record in manifest.files.items())


def _meant(place: Place) -> str:
    """The version that the name meant when something was begun; nothing if it meant none."""
    try:
        content = parse_json(place.read(BEFORE, LARGEST), BEFORE)
    except FileNotFoundError:
        return ""
    return str(content.get("meant")) if isinstance(content, dict) else ""


def _plans_begun(versions: Versions) -> dict[str, Plan]:
    """What was begun at a name and not finished: names and plans; what has no plan is passed over."""
    found = {}
    for name in versions.begun():
        with suppress(FileNotFoundError):
            text = place_at(f"{versions.place.address}/{name}").read(PLAN, LARGEST)
            found[name] = decode_plan(text, f"{versions.url}/{name}/{PLAN}")
    return found


def plan_begun_at(url: str) -> Plan:
    """The plan of the one data set that was begun at an address.

    Raises:
        DatasetNotFound: nothing was begun.
        InvalidInput: several were.
        ManifestError: its plan is damaged.
    """
    versions = Versions(url)
    begun = _plans_begun(versions)
    if not begun:
        raise DatasetNotFound(
            f"nothing was begun at {versions.url}; start with `qdata generate --shards 0:10 …`"
        )
    if len(begun) > 1:
        raise InvalidInput(
            f"{len(begun)} data sets were begun at {versions.url}; finish each by the command that began it,"
            " with --resume"
        )
    return next(iter(begun.values()))
