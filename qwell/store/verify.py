"""Is the data set what its manifest says? Names, sizes and sha256 of every file, and nothing besides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qwell.store.manifest import MANIFEST, PROVENANCE, Manifest, file_sha256
from qwell.store.reader import file_damage


def verify_files(root: Path, manifest: Manifest) -> Iterator[str]:
    """Yield one line for each thing wrong with the files of a data set; nothing if all is well.

    Arguments:
        root: the directory of the data set.
        manifest: as read from it.
    """
    damaged = file_damage(root, manifest)
    yield from damaged
    bad = {line.split(" ", 1)[0] for line in damaged}
    for name, record in manifest.files.items():
        if name not in bad and not (root / name).is_symlink() and file_sha256(root / name) != record.sha256:
            yield f"{name} was altered: its sha256 is not the manifest's"
    known = {*manifest.files, MANIFEST, PROVENANCE}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if not path.is_dir() and name not in known:
            yield f"{name} does not belong to the data set"
