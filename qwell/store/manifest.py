"""The manifest: the one file that makes a directory a data set.

`manifest.json` is a pure function of the content (no times, no hosts), so that the same recipe gives
the same manifest on every machine of one kind; its sha256 is the data set's version, the *digest*.
What else was true when the data was made is in `provenance.json` beside it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from qwell.errors import DatasetDamaged, ManifestError
from qwell.files import dump_json
from qwell.store.schema import Plan, checked_int

MANIFEST = "manifest.json"
PROVENANCE = "provenance.json"
PARTIAL = ".partial"  # what the name of something unfinished ends in
PROGRESS = "progress"  # in a data set being written: what is done so far
FORMAT = "qwell-dataset"
FORMAT_VERSION = 2
MAX_MANIFEST_BYTES = 24 * 2**20  # some 180 bytes for each of MAX_FILES
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileRecord:
    """Size and sha256 of one file of a data set."""

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes | memoryview) -> FileRecord:
        return cls(len(content), hashlib.sha256(content).hexdigest())


@dataclass(frozen=True)
class Manifest:
    """A complete data set: its plan, and every file with its checksum (paths relative, `/` between)."""

    plan: Plan
    files: dict[str, FileRecord]

    def encode(self) -> bytes:
        """Canonical JSON (sorted keys, final newline): equal manifests are equal bytes."""
        obj = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "state": "complete",
            **self.plan.to_json(),
            "files": {path: [r.size, r.sha256] for path, r in self.files.items()},
        }
        return dump_json(obj)

    @cached_property
    def digest(self) -> str:
        """The version of the data set: sha256 of `manifest.json`, as `sha256sum` prints it."""
        return hashlib.sha256(self.encode()).hexdigest()

    @classmethod
    def decode(cls, content: bytes) -> Manifest:
        """Read untrusted bytes; ManifestError on anything that is not a well-formed manifest."""
        obj = parse_json(content, MANIFEST)
        if not isinstance(obj, dict) or obj.get("format") != FORMAT:
            raise ManifestError(f"{MANIFEST} is not the manifest of a qwell data set")
        if obj.get("format_version") != FORMAT_VERSION:
            found = obj.get("format_version")
            older = isinstance(found, int) and found < FORMAT_VERSION
            raise ManifestError(
                f"the data set has format version {found!r}, this qwell reads {FORMAT_VERSION};"
                f" {'make it again with qdata' if older else 'install a newer qwell'}"
            )
        if obj.get("state") != "complete":
            raise ManifestError(f"{MANIFEST} has state {obj.get('state')!r}; expected 'complete'")
        files = obj.get("files")
        if not isinstance(files, dict):
            raise ManifestError(f"{MANIFEST} lists no files")
        plan = Plan.from_json(obj)
        if plan.shard_count > len(files):
            raise ManifestError(
                f"{MANIFEST} lists {len(files)} files for {plan.shard_count:,} shards; restore the data set"
                " from its source"
            )
        manifest = cls(plan, {checked_path(p): _file_record(p, r) for p, r in files.items()})
        if not manifest._is(content):
            raise ManifestError(
                f"{MANIFEST} is not as qwell writes it: it holds something that does not belong there, or was"
                " edited or formatted anew; restore it from its source"
            )
        return manifest

    def _is(self, content: bytes) -> bool:
        """Whether these bytes are the one way to write this manifest."""
        try:
            return self.encode() == content
        except (ValueError, RecursionError):  # text that is no UTF-8, or a recipe without bottom
            return False


def _file_record(path: str, entry: object) -> FileRecord:
    if not isinstance(entry, list) or len(entry) != 2:
        raise ManifestError(f"{MANIFEST}: the entry of {path} is {entry!r}; expected [bytes, sha256]")
    size, digest = entry
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise ManifestError(f"{MANIFEST}: the sha256 of {path} is malformed")
    return FileRecord(checked_int(size, f"the size of {path}", 0, 2**50), digest)


def checked_path(path: str) -> str:
    """Return a relative path that stays inside the data set, else raise ManifestError."""
    parts = path.split("/")
    if len(path) > 1024 or not all(_PART.fullmatch(part) for part in parts):
        raise ManifestError(f"{MANIFEST} names a file outside the data set or oddly: {path[:80]!r}")
    return path


def partial_path(path: Path) -> Path:
    """Where the data set `path` is made until it is whole."""
    path = path.absolute()  # so that "." has a name
    return path.with_name(path.name + PARTIAL)


def read_manifest(root: Path) -> Manifest:
    """Read and check `root/manifest.json`.

    Raises:
        DatasetDamaged: unreadable or of absurd size.
        ManifestError: not a manifest, malformed, or of a newer format.
    """
    path = root / MANIFEST
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise ManifestError(f"{path} is larger than {MAX_MANIFEST_BYTES} bytes; this is no manifest")
        content = path.read_bytes()
    except OSError as error:
        raise DatasetDamaged(f"cannot read {path}: {error.strerror}") from error
    return Manifest.decode(content)


def parse_json(content: bytes, what: str) -> Any:
    """Parse strict JSON: UTF-8, no duplicate keys, no NaN or Infinity, no bottomless nesting."""

    def refuse(constant: str) -> NoReturn:
        raise ManifestError(f"{what} holds the number {constant}, which JSON does not allow")

    def finite(text: str) -> float:
        return float(text) if math.isfinite(float(text)) else refuse(text)

    def unique(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
        obj = dict(pairs)
        if len(obj) != len(pairs):
            raise ManifestError(f"{what} names a key twice")
        return obj

    try:
        return json.loads(
            content.decode(), object_pairs_hook=unique, parse_float=finite, parse_constant=refuse
        )
    except ManifestError:
        raise
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{what} is not valid JSON (truncated or damaged): {error}") from error
