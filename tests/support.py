"""What the tests of several rooms share."""

import shutil
from pathlib import Path

from qwell.store.backends import SHARDED, storage_of
from qwell.store.manifest import read_manifest


def root_of(path: Path) -> Path:
    """The directory with the files of a data set."""
    return SHARDED[storage_of(path)].root_of(path)


def copy_of(source: Path, target: Path) -> Path:
    shutil.copytree(root_of(source), root_of(target))
    if source.is_file():
        shutil.copy(source, target)
    return target


def shard_file(path: Path, split: str = "train", field: str = "energy", shard: int = 1) -> Path:
    """The file with one shard of a field of a finished data set."""
    plan = read_manifest(root_of(path)).plan
    array = next(f for f in plan.fields if f.name == field)
    return root_of(path) / SHARDED[plan.storage].shard_path(split, array, shard)


def content(path: Path) -> dict[str, bytes]:
    """Every file of a data set but the circumstances."""
    root = root_of(path)
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for p in root.rglob("*")
        if p.is_file() and p.name != "provenance.json"
    }
