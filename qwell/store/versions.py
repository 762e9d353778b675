"""Many versions of one name at a place, beside each other, and a pointer to the one that the bare name means.

<place>/<name>/<sha256>/…     a version, which never changes once it is whole
<place>/<name>/latest.json    {"sha256": …, "previous": …}, changed by compare and swap

So two who push at once lose nothing, and what somebody reads stays. A data set or model directly at
<place>/<name>, as qwell 0.1 pushed them and as a directory holds them, is one version of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwell.errors import (
    AccessDenied,
    DatasetIncomplete,
    DatasetNotFound,
    InvalidInput,
    ManifestError,
    TransferError,
    VersionMismatch,
)
from qwell.files import dump_json
from qwell.store.dataset import check_version, split_version
from qwell.store.manifest import PARTIAL, Manifest, parse_json
from qwell.store.places import Place, place_at, place_of
from qwell.store.swapping import LIMIT, swap

POINTER = "latest.json"
MODEL = "config.json"  # what a version of a model has instead of a manifest
MOST_SWAPS = 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BEGUN = re.compile(rf"[0-9a-f]{{16}}{re.escape(PARTIAL)}")  # see `afar`; no unfinished set of a directory


@dataclass(frozen=True)
class Pointer:
    """What `latest.json` says.

    Arguments:
        sha256: the version that the name means.
        previous: the one that it meant before, or None.
        raw: the file as it is.
    """

    sha256: str
    previous: str | None
    raw: bytes

    @classmethod
    def to(cls, sha256: str, before: Pointer | None, otherwise: str | None = None) -> Pointer:
        """A pointer to a version, after another one, or after what a name without a pointer holds."""
        previous = before.sha256 if before else otherwise
        return cls(sha256, previous, dump_json({"sha256": sha256, "previous": previous}))

    @classmethod
    def decode(cls, raw: bytes, where: str) -> Pointer:
        """From untrusted bytes; ManifestError if they are no pointer."""
        content = parse_json(raw, where)
        content = content if isinstance(content, dict) else {}
        sha256, previous = content.get("sha256"), content.get("previous")
        if not (_is_digest(sha256) and (previous is None or _is_digest(previous))):
            raise ManifestError(f"{where} names no version; tell whoever keeps it, or name one: name@sha256")
        return cls(str(sha256), previous, raw)


class Versions:
    """The versions of a name at a place.

    Arguments:
        url: the address of the name, s3://team/m3.zarr.
    """

    def __init__(self, url: str) -> None:
        self.place: Place = place_at(url)
        self.url = self.place.url

    def pointer(self) -> Pointer | None:
        """The pointer as it is now, or None.

        Raises ManifestError if it is damaged, TransferError if the place does not answer.
        """
        try:
            raw = self.place.read(POINTER, LIMIT)
        except (FileNotFoundError, AccessDenied):  # some say the one and mean the other
            return None
        return Pointer.decode(raw, f"{self.url}/{POINTER}")

    def digests(self) -> list[str]:
        """All versions here, whole or not, in the order of their names; none if there is no such place."""
        try:
            return [name for name in self.place.names() if _is_digest(name)]
        except DatasetNotFound:
            return []

    def begun(self) -> list[str]:
        """Names of what is being made here, and not finished."""
        try:
            return [name for name in self.place.names() if _BEGUN.fullmatch(name)]
        except DatasetNotFound:
            return []

    def version(self, digest: str) -> Place:
        """The directory of a version."""
        return place_at(f"{self.place.address}/{digest}")

    def chosen(self, wanted: str = "") -> str:
        """The version that the name, or name@wanted, means here; nothing if there is no such version.

        Raises VersionMismatch if `wanted` fits to several.
        """
        pointer = self.pointer()
        if pointer and pointer.sha256.startswith(wanted):
            return pointer.sha256
        if not wanted or len(wanted) == 64:
            return wanted
        fitting = [digest for digest in self.digests() if digest.startswith(wanted)]
        if len(fitting) > 1:
            names = ", ".join(digest[: len(wanted) + 4] for digest in fitting)
            raise VersionMismatch(
                f"{self.url} holds several versions that begin with {wanted}: {names}; write more of it"
            )
        return fitting[0] if fitting else ""

    def point(self, digest: str, before: Pointer | None, *, force: bool, otherwise: str | None = None) -> str:
        """Let the name mean a version; the version that somebody else let it mean meanwhile, or nothing.

        Arguments:
            before: what the pointer was when it was decided to change it.
            force: take the pointer from whoever was faster.
            otherwise: what the name means without a pointer.
        """
        attempts = 0
        while not swap(
            self.place,
            POINTER,
            Pointer.to(digest, before, otherwise).raw,
            before.raw if before else None,
        ):
            before = self.pointer()
            if before and before.sha256 == digest:
                return ""
            if before and not force:
                return before.sha256
            attempts += 1
            if attempts > MOST_SWAPS:
                raise TransferError(
                    f"{self.url}/{POINTER} cannot be changed, though it is what it was; can you read it?"
                )
        return ""

    def explain(self, wanted: str) -> None:
        """Say why none of the versions here can be had: VersionMismatch, or DatasetIncomplete."""
        try:
            names = self.place.names()
        except DatasetNotFound:
            return
        there = [name for name in names if _is_digest(name)]
        if there and wanted:
            known = ", ".join(name[:12] for name in there)
            raise VersionMismatch(f"{self.url} has no whole version {wanted[:12]}; it has {known}")
        if there:
            raise DatasetIncomplete(
                f"{self.url} is being pushed, or its push was interrupted; repeat the push"
            )
        if any(map(_BEGUN.fullmatch, names)):
            raise DatasetIncomplete(
                f"{self.url} is being made, or that was interrupted; run the command that began it with"
                " --resume"
            )

    def foreign(self) -> str:
        """A name directly below that is none of ours, or nothing."""
        try:
            names = self.place.names()
        except DatasetNotFound:
            return ""
        return next((n for n in names if n and not is_kept(n)), "")


def is_kept(name: str) -> bool:
    """Whether a name directly below a place's is a version, one that is being made, or the pointer."""
    begun = _BEGUN.fullmatch(name)
    return _is_digest(name) or bool(begun) or name == POINTER or name.startswith(f"{POINTER}.")


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and bool(_SHA256.fullmatch(value))


def refuse_version(url: str) -> None:
    """Raise InvalidInput if an address that is to be written to names a version."""
    name, digest = split_version(url)
    if digest:
        raise InvalidInput(
            f"{name}@{digest} names a version, which is known only when it is whole; leave @ out"
        )


def files_of(url: str, digest: str) -> Place:
    """Where the files of a version of the data set called `url` are."""
    url, name = url.rstrip("/"), url.rstrip("/").rpartition("/")[2]
    below = place_of(f"{url}/{digest}/{name}").url.rpartition("/")[2]
    return place_at(f"{url}/{digest}" if below == name else f"{url}/{digest}/{below}")


def find(url: str) -> tuple[Place, Manifest]:
    """Where the files of the data set at an address are, and its manifest; "…@3f2a91c0" names a version.

    Raises:
        DatasetNotFound: there is none.
        DatasetIncomplete: it has not arrived yet.
        VersionMismatch: no version here begins as asked for, or several do.
        ManifestError: its manifest or pointer is damaged.
        TransferError: the place does not answer.
    """
    url, wanted = split_version(url)
    versions = Versions(url)
    digest = versions.chosen(wanted) if versions.place.keeps_versions else ""
    if digest:
        place = files_of(url, digest)
        try:
            manifest = place.manifest()
        except DatasetNotFound:  # it may be the one that the name holds without a pointer
            pass
        else:
            if manifest.digest != digest:
                raise ManifestError(f"{place.url} is damaged: its manifest is another; repeat the push")
            return place, manifest
    place = place_of(url)
    try:
        manifest = place.manifest()
    except DatasetNotFound:
        versions.explain(wanted)
        raise
    check_version(versions.url, manifest.digest, wanted)
    if digest and manifest.digest != digest:
        raise DatasetIncomplete(
            f"{versions.url} is to be version {digest[:12]}, which is not whole: its push was interrupted, or"
            f" it was pruned; repeat the push, or ask for {versions.url}@{manifest.digest[:12]}"
        )
    return place, manifest
