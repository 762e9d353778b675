"""Damaged files of a data set put right: brought from a copy, or made again from the recipe in the manifest.

Nothing is put in place but what has the sha256 that the manifest says, and nothing that is whole is touched:
afterwards the data set is the same version, to the bit, also for those who are reading it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from qwell.datagen.audit.remake import get_set, makers, recipe_of, shard_files
from qwell.datagen.pipeline import Recipe
from qwell.errors import (
    DatasetDamaged,
    DatasetLocked,
    DatasetNotFound,
    InvalidInput,
    ManifestError,
    QwellError,
    TransferError,
    VersionMismatch,
    WriteError,
)
from qwell.files import DirectoryLock, atomic_write, seal
from qwell.progress import stage
from qwell.store.backends import SHARDED, storage_of
from qwell.store.dataset import check_version, mislisted, split_version
from qwell.store.manifest import MANIFEST, PROVENANCE, FileRecord, Manifest, parse_json, read_manifest
from qwell.store.places import Place
from qwell.store.provenance import read_provenance
from qwell.store.reader import locate, split_path, version_at
from qwell.store.staging import finish_master, master_is_current
from qwell.store.verify import FOREIGN, verify_files
from qwell.store.versions import find

RECIPE, COPY, FROM_MANIFEST = "the recipe", "the copy", "the manifest"  # what a file was made of


@dataclass
class Repair:
    """What was done.

    Arguments:
        digest: the version of the data set, which is what it was.
        mended: names of files, and what each was made of.
        left: a line for each thing that is still wrong.
        remedy: what to do about that; empty if there is nothing to do.
    """

    digest: str
    mended: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    remedy: str = ""


def repair(path: str | Path, source: str = "") -> Repair:
    """Put right what `verify` finds damaged or missing in a data set on this machine.

    Shards are made again from the recipe, metadata from the manifest; with a source, all comes from there.

    Arguments:
        path: of the data set; "…@3f2a91c0" names a version.
        source: another copy of the same version, a path or an address. A damaged manifest, which alone says
            what is right, is taken from there only if the version is named, "…@3f2a91c0".

    Raises:
        DatasetNotFound: there is none.
        DatasetLocked: another process is repairing it.
        InvalidInput: it cannot be made again from a recipe, with the reason.
        MissingPlugin: its recipe needs a plug-in that is not here.
        ManifestError: its manifest is damaged.
        VersionMismatch: it, or the source, is another version.
        TransferError: the source cannot be reached.
    """
    name, wanted = split_path(path)
    path = version_at(name, wanted)
    root = SHARDED[storage_of(path)].root_of(path)
    if not (root / MANIFEST).is_file() and not (root / PROVENANCE).is_file():
        root = locate(path, wanted)
    if root.is_file():
        raise InvalidInput(
            f"{path} is a single file, which is whole or not: copy it again, or `qdata convert` its source"
        )
    with _alone(path, root), _scratch(root) as scratch:
        return _Mending(path, root, scratch, source, wanted).mend()


@contextmanager
def _alone(path: Path, root: Path) -> Iterator[None]:
    """Keep out others who repair or replace the data set."""
    with DirectoryLock(root, remedy="wait until it has finished") as lock:
        if not lock.holds(root):
            raise DatasetLocked(f"another process has just replaced {path}; run the same command again")
        yield


@contextmanager
def _scratch(root: Path) -> Iterator[Path]:
    """A directory for files that are not yet whole, on the same file system as the data set."""
    beside = root.resolve()
    try:
        folder = TemporaryDirectory(prefix=f".{beside.name}.", dir=beside.parent)
    except OSError as error:
        raise WriteError(
            f"cannot write into {beside.parent} ({error.strerror}); repair the data set as somebody who may"
        ) from error
    with folder as name:
        yield Path(name)


class _Mending:
    """The repair of one data set; see `repair`."""

    def __init__(self, path: Path, root: Path, scratch: Path, source: str, ours: str) -> None:
        self.path, self.root, self.scratch, self.ours = path, root, scratch, ours
        self.source, self.wanted = split_version(source)
        local = self.source and "://" not in self.source
        address = f"file://{Path(self.source).absolute()}" if local else self.source
        self.place, self.theirs = self._copy(address) if address else (None, None)
        self.done = Repair("")
        self.manifest = self._manifest()
        self.plan, self.backend = self.manifest.plan, SHARDED[self.manifest.plan.storage]
        self.done.digest = self.manifest.digest

    def _copy(self, address: str) -> tuple[Place | None, Manifest | None]:
        """The copy at an address: the version that was asked for, ours if it is there, or the latest."""
        known = str(read_provenance(self.root).get("manifest_sha256", ""))
        if known and not self.wanted:
            with suppress(VersionMismatch, DatasetNotFound):
                return find(f"{address}@{known}")
        return find(f"{address}@{self.wanted}" if self.wanted else address)

    def _manifest(self) -> Manifest:
        """The manifest; if it is damaged, that of the copy, where the user has named its version."""
        known, theirs = str(read_provenance(self.root).get("manifest_sha256", "")), self.theirs
        try:
            ours = read_manifest(self.root)
            if ours.plan.storage not in SHARDED or mislisted(ours):
                raise ManifestError(f"{MANIFEST} of {self.path} does not list the files of a data set")
            if known and known != ours.digest:
                raise ManifestError(f"{MANIFEST} of {self.path} was altered: {PROVENANCE} has another sha256")
        except (ManifestError, DatasetDamaged) as error:
            if theirs is None or not self.wanted:
                raise ManifestError(
                    f"{error}; only the manifest says what is right: take it from a copy by naming the"
                    f" version that you trust, `--from URL@{known[:12] or 'VERSION'}`"
                ) from error
            self._check_same(known or theirs.digest, theirs.digest)
            check_version(self.path, theirs.digest, self.ours)
            atomic_write(self.root / MANIFEST, theirs.encode(), self.scratch)
            self.done.mended[MANIFEST] = COPY
            return theirs
        check_version(self.path, ours.digest, self.ours)
        self._check_same(ours.digest, theirs.digest if theirs else ours.digest)
        return ours

    def _check_same(self, ours: str, theirs: str) -> None:
        if ours != theirs:
            raise VersionMismatch(
                f"{self.source} is version {theirs[:12]} and {self.path} is {ours[:12]}; name a copy of the"
                " same version with --from, or leave it out to make damaged files again from the recipe"
            )

    def mend(self) -> Repair:
        """Find what is wrong, and put right what can be."""
        if self.place is None and "plugins" not in self.plan.recipe:  # which are loaded if they are needed
            with suppress(QwellError):
                get_set(recipe_of(self.manifest), self.plan)
        lines = list(verify_files(self.path, self.root, self.manifest))
        self.done.left += [line for line in lines if line.endswith(FOREIGN)]
        wrong = {line.split(" ", 1)[0]: line for line in lines if not line.endswith(FOREIGN)}
        folders = {p.as_posix() for name in self.manifest.files for p in Path(name).parents}
        if links := [line for name, line in wrong.items() if name in folders]:
            raise InvalidInput(f"{self.root}/{links[0]}, which may lead anywhere; remove it, and repeat")
        damaged = [name for name in self.manifest.files if name in wrong]
        if self.place:
            self._bring(damaged, self.place)
        else:
            self._make(damaged)
        if problem := wrong.get(PROVENANCE) or wrong.get(MANIFEST):  # which was seen to be whole
            self._mend_provenance(problem)
        self._mend_master()
        handled = {*damaged, PROVENANCE, MANIFEST, self.path.name}
        self.done.left += [line for name, line in wrong.items() if name not in handled]
        return self.done

    def _bring(self, names: list[str], place: Place) -> None:
        with stage("bytes", sum(self.manifest.files[name].size for name in names)) as done:
            for name in names:
                try:
                    size = place.fetch_of(self.manifest, name, self.scratch / "brought")
                except TransferError as error:
                    self.done.left.append(f"{name}: {error}")
                    continue
                self._put(name, (self.scratch / "brought").read_bytes(), COPY)
                done(size)

    def _make(self, names: list[str]) -> None:
        """Make files again: all shards by the recipe, or, if there is none, nothing at all."""
        plan, described = self.plan, self.backend.metadata_files(self.plan)
        shards = {
            shard: mine
            for shard in plan.shards()
            if (mine := {self.backend.shard_path(shard[0], f, shard[1]) for f in plan.fields} & set(names))
        }
        recipe = self._recipe(len(shards)) if shards else None
        if metadata := sorted(described & set(names)):
            fresh = self.scratch / "layout"
            self.backend.create_layout(fresh, plan)
            for name in metadata:
                self._put(name, (fresh / name).read_bytes(), FROM_MANIFEST)
        with stage("shards", len(shards)) as done:
            for (split, number), mine in shards.items():
                assert recipe is not None  # as there are shards
                for name, content in shard_files(recipe, plan, split, number).items():
                    if name in mine:
                        self._put(name, content, RECIPE)
                done(1)

    def _recipe(self, count: int) -> Recipe:
        try:
            recipe = recipe_of(self.manifest)
        except InvalidInput as error:
            raise InvalidInput(
                f"{self.path} has {count} damaged shards, which no recipe makes again: {error}; bring them"
                f" from a copy of version {self.manifest.digest[:12]}, `qdata repair {self.path} --from URL`"
            ) from error
        get_set(recipe, self.plan)
        return recipe

    def _put(self, name: str, content: bytes | memoryview, by: str) -> None:
        """Put a file in its place, if it is the one that the manifest lists."""
        target = self.root / name
        if FileRecord.of(content) != self.manifest.files[name]:
            self.done.left.append(f"{name} was made again by {by}, and its sha256 is not the manifest's")
            self.done.remedy = (
                "what was made again is not what was lost, and was not put in its place: last bits may differ"
                f" with the processor and the versions of libraries; {makers(read_provenance(self.root))}."
                f" `qdata repair {self.path} --from URL` brings the files from a copy"
            )
        elif target.is_dir() and not target.is_symlink():
            self.done.left.append(f"{name} is a directory; move it away, and repeat")
        else:
            atomic_write(target, content, self.scratch)
            self.done.mended[name] = by

    def _mend_provenance(self, problem: str) -> None:
        """Bring the circumstances of the making, which no recipe tells."""
        made = {}
        if self.place:
            with suppress(FileNotFoundError, TransferError, ManifestError):
                made = parse_json(self.place.read(PROVENANCE, 2**20), PROVENANCE)
        if not isinstance(made, dict) or made.get("manifest_sha256") != self.manifest.digest:
            self.done.left.append(problem)
            self.done.remedy = self.done.remedy or (
                f"{PROVENANCE} says when and by what the data was made, which no recipe tells: `qdata repair"
                f" {self.path} --from URL` brings it from a copy"
            )
            return
        master = self.backend.master_of(self.path.name, self.plan, self.manifest.digest)
        if master is not None:
            made["master_sha256"] = FileRecord.of(master).sha256
        atomic_write(self.root / PROVENANCE, seal(made), self.scratch)
        self.done.mended[PROVENANCE] = COPY

    def _mend_master(self) -> None:
        """Write the file that stands for a data set in HDF5 again, unless it is as it should be."""
        if self.path == self.root or master_is_current(self.path, self.root, self.manifest):
            return
        master = self.backend.master_of(self.path.name, self.plan, self.manifest.digest)
        made = read_provenance(self.root)  # which has the master's sha256, unless it is lost
        if made or not self.path.is_file() or self.path.read_bytes() != master:
            finish_master(self.path, self.manifest)
            self.done.mended[self.path.name] = FROM_MANIFEST
