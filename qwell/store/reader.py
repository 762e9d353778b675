"""Opening a data set: `open_dataset(path)` finds it, here or elsewhere, and checks it first."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

from qwell.errors import DatasetDamaged, DatasetIncomplete, DatasetNotFound, DatasetReplaced, QwellError
from qwell.files import file_sha256
from qwell.store import hdf5_single
from qwell.store.backends import SHARDED, storage_of
from qwell.store.dataset import Dataset, check_version, mislisted, split_version
from qwell.store.manifest import (
    MANIFEST,
    PROGRESS,
    PROVENANCE,
    FileRecord,
    Manifest,
    partial_path,
    read_manifest,
)
from qwell.store.provenance import read_provenance
from qwell.store.versions import POINTER, Versions
from qwell.store.vouched import Identity, identity

# What makes a data set of each kind, for those who have none.
MAKING = {
    "spectra": "qdata generate --kernel m3 --n 500000",
    "densities": "qdata densities",
    "trajectories": "qdata simulate --preset demo",
}


def locate(path: str | Path, wanted: str = "") -> Path:
    """Where the files of a data set are: a directory with a manifest, or the one file of a portable set.

    Of a name that a place in this file system keeps versions of (see `versions`), those of the latest, or of
    the one whose digest begins as `wanted`.

    Raises DatasetNotFound, or DatasetIncomplete if the data set was begun but not finished.
    """
    given = Path(path)
    if (version := version_at(given, wanted)) != given:
        return locate(version)
    if (given / POINTER).is_file() and not (given / MANIFEST).is_file():
        Versions(f"file://{given.absolute()}").explain(wanted)
    root = SHARDED[storage_of(given)].root_of(given)
    if root != given and (root / MANIFEST).is_file():
        if not given.exists():
            raise DatasetIncomplete(
                f"{given} is missing beside {root.name}; `qdata finalise {given}` makes it"
            )
        return root
    if given.is_file() or (given / MANIFEST).is_file():
        return given
    for candidate in (given, partial_path(given)):
        if (candidate / PROGRESS).is_dir() or (candidate / MANIFEST).is_file():
            raise DatasetIncomplete(
                f"{candidate} is unfinished; run the `qdata` command that began it again with --resume"
            )
    if given.is_dir() and (inside := next(given.glob(f"*/{MANIFEST}"), None)):
        raise DatasetNotFound(
            f"{given} is a directory of data sets: `qdata list {given}` lists them; give one of them, e.g."
            f" {given / inside.parent.name.removesuffix('.shards')}"
        )
    if given.exists():
        raise DatasetNotFound(f"{given} is not a qwell data set: it has no {MANIFEST}")
    raise DatasetNotFound(f"there is no data set at {given}; make one, e.g. `{MAKING['spectra']}`")


def version_at(path: Path, wanted: str = "") -> Path:
    """The path of the version that a name means at a place in this file system; elsewhere the path itself.

    Arguments:
        path: of the name.
        wanted: how the version begins; by default it is the latest.
    """
    if not (path / POINTER).is_file():
        return path
    digest = Versions(f"file://{path.absolute()}").chosen(wanted)
    if not digest or not (path / digest).is_dir():
        return path
    return path / digest if storage_of(path) == "zarr" else path / digest / path.name


def split_path(path: str | Path) -> tuple[Path, str]:
    """The path of a data set on this machine and the version asked for, which `path` may end in."""
    name, wanted = (str(path), "") if Path(path).exists() else split_version(path)
    return Path(name), wanted


def load_manifest(root: Path) -> Manifest:
    """The manifest of the data set whose files are at `root`."""
    return hdf5_single.read_manifest(root) if root.is_file() else read_manifest(root)


class LocalFiles:
    """The files of a data set on this machine.

    Arguments:
        path: what it was opened by.
        root: where its files are.
        manifest: as read from there.
    """

    remedy = "`qdata repair` makes it again from the recipe, or brings it from a copy with --from"

    def __init__(self, path: str | Path, root: Path, manifest: Manifest) -> None:
        self.path, self.root, self.records = path, root, manifest.files
        self._digest = manifest.digest
        single = manifest.plan.storage not in SHARDED
        self._witness = root if single else root / MANIFEST
        self._seen: Identity | None = None  # of the witness, when it was last found to be that manifest

    def __getstate__(self) -> dict[str, object]:
        """What is pickled finds the files from any directory."""
        return self.__dict__ | {"root": self.root.absolute(), "_witness": self._witness.absolute()}

    def bring(self, names: Iterable[str]) -> None:
        """They are here."""

    def check(self) -> None:
        """Raise DatasetReplaced unless the manifest there is the one that was read; a `stat`, mostly."""
        try:
            seen = identity(self._witness.stat())
            if seen == self._seen:
                return
            now = load_manifest(self.root).digest
        except (OSError, QwellError):
            now = ""
        if now != self._digest:
            what = f"is version {now[:12]} now" if now else "is gone"
            raise DatasetReplaced(
                f"{self.path} was replaced or removed while it was read: it was version"
                f" {self._digest[:12]} and {what}; run the same command again"
            )
        self._seen = seen


def altered(path: Path, name: str, record: FileRecord) -> list[str]:
    """A line if a file's content is not what its record says, or cannot be read."""
    try:
        same = file_sha256(path) == record.sha256
    except OSError as error:
        return [f"{name} cannot be read: {error.strerror}"]
    return [] if same else [f"{name} was altered: its sha256 is not the manifest's"]


def check_provenance(root: Path, manifest: Manifest) -> str:
    """What is wrong if `provenance.json`, which holds the manifest's checksum, does not agree with it."""
    made = read_provenance(root)
    if not made:
        return f"{PROVENANCE} is missing or damaged"
    same = made.get("manifest_sha256") == manifest.digest
    return "" if same else f"{MANIFEST} or {PROVENANCE} was altered: they do not agree"


def file_damage(root: Path, manifest: Manifest) -> list[str]:
    """What a look at names and sizes shows: missing or truncated files, and symbolic links.

    Metadata files (`zarr.json`) are small and steer the reading, so their sha256 is checked too.
    """
    damage = mislisted(manifest)
    if manifest.plan.storage not in SHARDED:
        return damage
    for name, record in manifest.files.items():
        path = root / name
        try:
            status = path.lstat()
        except OSError:
            damage.append(f"{name} is missing")
            continue
        if not stat.S_ISREG(status.st_mode):
            damage.append(f"{name} is not a plain file")
        elif status.st_size != record.size:
            damage.append(f"{name} has {status.st_size} bytes instead of {record.size}")
        elif name.endswith("zarr.json"):
            damage += altered(path, name, record)
    directories: set[str] = set()
    for name in manifest.files:
        while (name := name.rpartition("/")[0]) and name not in directories:
            directories.add(name)
    damage += [f"{d} is a symbolic link" for d in sorted(directories) if (root / d).is_symlink()]
    return damage


def open_local(path: str | Path) -> Dataset:
    """Open a data set on this machine; see `open_dataset`."""
    path, wanted = split_path(path)
    root = locate(path, wanted)
    manifest = load_manifest(root)
    if (manifest.plan.storage == "hdf5-single") != root.is_file():
        raise DatasetDamaged(f"{root} is not the {manifest.plan.storage} data set that its manifest says")
    check_version(path, manifest.digest, wanted)
    files = LocalFiles(path, root, manifest)
    damage = file_damage(root, manifest)
    if "altered" in (disagreement := check_provenance(root, manifest)) and root.is_dir():
        damage.append(disagreement)
    if damage:
        files.check()
        more = f" (and {len(damage) - 1} more)" if len(damage) > 1 else ""
        raise DatasetDamaged(
            f"{root} is damaged: {damage[0]}{more}; `qdata repair {path}` makes it good again, or"
            " brings it from a copy with --from"
        )
    return Dataset(path, files, manifest)


def open_dataset(path: str | Path) -> Dataset:
    """Open a data set for reading.

    Nothing from the data is executed and no path leads out of it: names, sizes and metadata are checked
    against the manifest here, the sha256 of a shard when it is first read in this process, and checksums of
    chunks (crc32c, fletcher32) whenever they are. If the data set is replaced or removed meanwhile, reading
    raises DatasetReplaced.

    Arguments:
        path: "store/m3.zarr", "store/m3.h5", or the address of a remote one, "s3://team/m3.zarr", whose
            shards are brought to the cache when they are needed. "…@3f2a91c0" insists on a version.

    Raises:
        DatasetNotFound, DatasetIncomplete: nothing here, or not finished.
        VersionMismatch: another version than the one insisted on.
        ManifestError: the manifest is malformed or of a newer format.
        DatasetDamaged: files are missing, truncated, altered or symbolic links.
        TransferError: a remote place cannot be reached.
    """
    if "://" in str(path):
        from qwell.store.remote import open_remote

        return open_remote(str(path))
    return open_local(path)
