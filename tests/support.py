"""What the tests of several rooms share."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from qwell.errors import QwellError
from qwell.store.backends import SHARDED, storage_of
from qwell.store.manifest import FileRecord, read_manifest


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


def forge_manifest(path: Path, **changes: object) -> None:
    """Change the manifest as somebody would who means harm: what vouches for it is changed too."""
    root = root_of(path)
    manifest = root / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changes))
    (root / "provenance.json").unlink(missing_ok=True)


def forge_file(path: Path, file: Path) -> None:
    """Let the manifest say that a file is as it should be."""
    record = FileRecord.of(file.read_bytes())
    files = json.loads((root_of(path) / "manifest.json").read_text())["files"]
    name = file.relative_to(root_of(path)).as_posix()
    forge_manifest(path, files=files | {name: [record.size, record.sha256]})


def end_of(action: Callable[[], object], before: Callable[[], None] = lambda: None) -> str:
    """How an action ends, after `before`, in a process of its own: its error in a line, or "no error"."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        text = "no error"
        try:
            before()
            action()
        except QwellError as error:
            text = f"{type(error).__name__}: {error}"
        except BaseException as error:
            text = f"unexpected {type(error).__name__}: {error}"
        os.write(writer, text.encode()[:4000])
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader) as pipe:
        return pipe.read() or "unexpected death"
