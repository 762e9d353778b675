"""Is the data set what its manifest says? Names, sizes and sha256 of every file, and nothing besides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qwell.progress import stage
from qwell.store.backends import SHARDED
from qwell.store.hdf5_single import verify_single
from qwell.store.manifest import MANIFEST, PROVENANCE, Manifest
from qwell.store.reader import LocalFiles, altered, check_provenance, file_damage
from qwell.store.staging import master_is_current
from qwell.store.versions import POINTER, is_kept

FOREIGN = "does not belong to the data set"  # ends the line of a file that is no part of it


def verify_files(path: Path, root: Path, manifest: Manifest) -> Iterator[str]:
    """Yield one line for each thing wrong with the files of a data set; nothing if all is well.

    Raises DatasetReplaced if it becomes another one meanwhile.

    Arguments:
        path: what the data set is called by.
        root: where its files are.
        manifest: as read from it.
    """
    yield from _problems(path, root, manifest)
    LocalFiles(path, root, manifest).check()


def _problems(path: Path, root: Path, manifest: Manifest) -> Iterator[str]:
    damaged = file_damage(root, manifest)
    yield from damaged
    if root.is_dir() and (disagreement := check_provenance(root, manifest)):
        yield disagreement
    storage = manifest.plan.storage
    if storage not in SHARDED:
        yield from verify_single(root, manifest)
        return
    bad = {line.split(" ", 1)[0] for line in damaged}
    with stage("bytes", sum(record.size for record in manifest.files.values())) as done:
        for name, record in manifest.files.items():
            if name not in bad and not (root / name).is_symlink():
                yield from altered(root / name, name, record)
            done(record.size)
    known = {*manifest.files, MANIFEST, PROVENANCE}
    keeps_versions = (root / POINTER).is_file()  # beside the data set that the name held before
    for file in sorted(root.rglob("*")):
        name = file.relative_to(root).as_posix()
        ours = name in known or (keeps_versions and is_kept(name.partition("/")[0]))
        if not (ours or file.is_dir()):
            yield f"{name} {FOREIGN}"
    if path != root and not master_is_current(path, root, manifest):
        what = "is damaged, of another version, or made for another name"
        yield f"{path.name} {what}; `qdata finalise {path}` makes it again"
