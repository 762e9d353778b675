"""Writing a data set in three phases: begin, one task a shard, finish.

<path>.partial/train/…               the future data set
<path>.partial/progress/plan.json    what is being made; a resume must ask for the same
<path>.partial/progress/done/        one record a finished shard, written after its files
<path>.partial/progress/scratch/     files not yet whole
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qwell.errors import DatasetDamaged, DatasetIncomplete, InvalidInput, ManifestError, WriteError, warn
from qwell.files import atomic_write, dump_json, file_sha256, seal
from qwell.progress import in_bytes, track
from qwell.store.backends import SHARDED
from qwell.store.manifest import (
    MANIFEST,
    PROGRESS,
    PROVENANCE,
    FileRecord,
    Manifest,
    checked_path,
    parse_json,
    read_manifest,
)
from qwell.store.provenance import made_with, read_provenance, versions_in_words
from qwell.store.schema import Plan
from qwell.store.staging import Staging, finish_master


def _finite(array: np.ndarray) -> bool:
    """Whether no value is NaN or infinite, without a temporary array."""
    return array.size == 0 or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def write_shard(root: Path, plan: Plan, split: str, shard: int, values: Mapping[str, np.ndarray]) -> int:
    """Write one shard of every field below the partial directory `root`, then its completion record.

    Called by the one task that owns the shard, on any machine that sees `root`. Should two tasks ever make
    the same shard (a worker thought dead that was not), both write the same bytes, each whole.

    Returns the rows written.

    Raises:
        InvalidInput: a field is missing, misshapen or not finite.
        WriteError: the disk refused, or the data set is no longer being written.
    """
    progress = root / PROGRESS
    if not (progress / "plan.json").is_file():
        raise WriteError(f"{root} is gone: another process has finished or removed it")
    return put_shard(
        plan,
        split,
        shard,
        values,
        lambda name, content: atomic_write(root / name, content, progress / "scratch", durable=False),
    )


def put_shard(
    plan: Plan,
    split: str,
    shard: int,
    values: Mapping[str, np.ndarray],
    put: Callable[[str, bytes | memoryview], object],
) -> int:
    """Hand the files of one shard to `put`, by name, and last the record that it is complete.

    Returns the rows written.

    Raises InvalidInput if a field is missing, misshapen or not finite.
    """
    start, stop = plan.splits[split].span(shard)
    for field in plan.fields:
        array = values[field.name]
        if array.shape != (stop - start, *field.shape) or not _finite(array):
            raise InvalidInput(
                f"{split} shard {shard}: {field.name} has shape {array.shape} or holds NaN or infinity;"
                f" expected {(stop - start, *field.shape)}, all finite"
            )
    files: dict[str, list[Any]] = {}
    for path, content in SHARDED[plan.storage].encode_shard(plan, split, shard, values):
        put(path, content)
        file = FileRecord.of(content)
        files[path] = [file.size, file.sha256]
    put(f"{PROGRESS}/done/{split}-{shard}.json", dump_json({"files": files, "made_with": made_with()}))
    return stop - start


@dataclass(frozen=True)
class Made:
    """A shard that is made: its files, and the versions of what made it, in words."""

    files: dict[str, FileRecord]
    by: str


class DatasetWriter:
    """The coordinator of a data set being written; holds its lock from `begin` to `finish`.

    Arguments:
        path: where the data set will be.
        plan: what it will hold; its `storage` decides the back end.
        resume: continue an unfinished data set of the same plan.
        force: start again, replacing what is there once the new data set is whole.
        share: be one of several writers, each of its own shards (an array job); none of them can `finish`.

    Raises:
        DatasetExists: a finished data set, an unfinished one, or something foreign is in the way.
        InvalidInput: `resume` with another plan than the one begun.
        DatasetLocked: another process is at it.
        WriteError: the directory cannot be written.
    """

    def __init__(
        self, path: Path, plan: Plan, *, resume: bool = False, force: bool = False, share: bool = False
    ) -> None:
        self.plan = plan
        self._staging = Staging(path, plan.storage)
        self.path, self.root = self._staging.path, self._staging.root
        self.finished: Manifest | None = None
        final = self._staging.final
        if resume and not force and (final / MANIFEST).is_file():
            self.finished = read_manifest(final)
            self._check_same(self.finished.plan, self.path)
            finish_master(self.path, self.finished)
            return
        self._staging.check_room(force)
        if self._staging.begin(self._build, resume=resume, force=force, share=share):
            try:
                self._take_up()
            except BaseException:
                self.close()
                raise

    def _build(self, root: Path) -> None:
        free = shutil.disk_usage(root).free
        if self.plan.bytes > free:
            raise WriteError(
                f"{self.path} needs {in_bytes(self.plan.bytes)} and only {in_bytes(free)} are free;"
                " free some space, or write elsewhere with --out"
            )
        self._staging.backend.create_layout(root, self.plan)
        atomic_write(root / PROGRESS / "plan.json", seal(self.plan.to_json()))

    def _take_up(self) -> None:
        """Go on with what another process began."""
        if (self.root / MANIFEST).is_file():  # killed between the manifest and the rename
            manifest = read_manifest(self.root)
            self._check_same(manifest.plan, self.root)
            if read_provenance(self.root).get("manifest_sha256") != manifest.digest:
                raise ManifestError(
                    f"{self.root / MANIFEST} is damaged, or {PROVENANCE} beside it; start again with --force"
                )
            self._staging.rename(manifest)
            self.finished = manifest
        else:
            self._check_same(begun_plan(self.root), self.root)

    def _check_same(self, begun: Plan, where: Path) -> None:
        theirs, ours = begun.to_json(), self.plan.to_json()
        for part in ("recipe", "splits"):
            for key in sorted(theirs[part].keys() | ours[part].keys()):
                a, b = theirs[part].get(key), ours[part].get(key)
                if a != b:
                    raise InvalidInput(
                        f"{where} was begun with {key} = {a}, now {key} = {b} is asked for; repeat the"
                        " original options to --resume, or add --force to start again"
                    )

    def pending(self, wanted: Sequence[tuple[str, int]] | None = None) -> list[tuple[str, int]]:
        """The (split, shard) still to be made; a shard counts as made if its files match its record.

        Arguments:
            wanted: the shards that are looked at; all by default.

        Warns if some were made with other versions of what rounds numbers than the rest will be.
        """
        if self.finished:
            return []
        every = self.plan.shards() if wanted is None else wanted
        records = {s: self._record(*s, rehash=True) for s in track(every, "shards looked at")}
        missing = [s for s, record in records.items() if record is None]
        makers = Counter(record.by for record in records.values() if record)
        makers[versions_in_words(made_with())] += len(missing)
        if len(+makers) > 1:
            by = "; ".join(f"{count} of its shards by {who}" for who, count in (+makers).items())
            warn(f"{self.path} is made with several versions, whose rounding may differ: {by}")
        return missing

    def _record(self, split: str, shard: int, rehash: bool = False) -> Made | None:
        path = self.root / PROGRESS / "done" / f"{split}-{shard}.json"
        try:
            made = decode_record(path.read_bytes(), str(path))
            for name, file in made.files.items():
                if (self.root / name).stat().st_size != file.size:
                    return None
                if rehash and file_sha256(self.root / name) != file.sha256:
                    return None
        except (FileNotFoundError, ManifestError):
            return None
        return made

    def finish(self, provenance: Mapping[str, Any]) -> Manifest:
        """Write `provenance.json` and, last, `manifest.json`; give the data set its name.

        Raises:
            DatasetIncomplete: a shard is missing.
            DatasetDamaged: something foreign lies in the directory.
        """
        if self.finished:
            return self.finished
        files: dict[str, FileRecord] = {}
        makers: Counter[str] = Counter()
        for split, shard in self.plan.shards():
            record = self._record(split, shard)
            if record is None:
                raise DatasetIncomplete(
                    f"{self.root}: shard {shard} of {split} is missing; run with --resume"
                )
            files |= record.files
            makers[record.by] += 1
        files |= self._write_metadata()
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            known = name in files or name == PROVENANCE or name.startswith(f"{PROGRESS}/")
            if path.is_file() and not known:
                raise DatasetDamaged(f"{path} does not belong to the data set; move it away")
        manifest = Manifest(self.plan, files)
        self._staging.publish(manifest, {**provenance, "shards_made_with": dict(makers)})
        return manifest

    def _write_metadata(self) -> dict[str, FileRecord]:
        """Put what describes the shards as the plan says, whatever became of it since the beginning.

        Returns its files; from now on the manifest vouches for them.
        """
        fresh = self._staging.scratch / "layout"
        self._staging.backend.create_layout(fresh, self.plan)
        files = {}
        for name in self._staging.backend.metadata_files(self.plan):
            content = (fresh / name).read_bytes()
            if not (self.root / name).is_file() or (self.root / name).read_bytes() != content:
                atomic_write(self.root / name, content, self._staging.scratch)
            files[name] = FileRecord.of(content)
        shutil.rmtree(fresh)
        return files

    def close(self) -> None:
        """Give up the lock without finishing; what is written stays for a resume."""
        self._staging.close()


def begun_plan(root: Path) -> Plan:
    """The plan of the unfinished data set in the partial directory `root`.

    Raises:
        ManifestError: it is damaged.
        DatasetIncomplete: there is none.
    """
    path = root / PROGRESS / "plan.json"
    try:
        return decode_plan(path.read_bytes(), str(path))
    except FileNotFoundError as error:
        raise DatasetIncomplete(f"nothing was begun in {root}") from error


def decode_plan(text: bytes, where: str) -> Plan:
    """The plan in untrusted bytes; ManifestError if they are not what their sha256 says."""
    try:
        content = parse_json(text, where)
        if "sha256" in content and seal(content) != text:  # version 0.1.0 wrote none
            raise ManifestError(f"{where} is not what its sha256 says")
        return Plan.from_json(content)
    except ManifestError as error:
        raise ManifestError(f"{where} is damaged; start again with --force") from error


def decode_record(text: bytes, where: str) -> Made:
    """The record of a finished shard in untrusted bytes; ManifestError if they are none."""
    try:
        entries = parse_json(text, where)
        named = entries.get("files", entries)  # version 0.1.0 recorded files alone
        files = {checked_path(p): FileRecord(*entry) for p, entry in named.items()}
        return Made(files, versions_in_words(entries.get("made_with", {})))
    except (TypeError, AttributeError) as error:
        raise ManifestError(f"{where} is no record of a shard") from error
