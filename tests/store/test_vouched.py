"""What is read is what the manifest vouches for, also when files change under the reader."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support import begin, copy_of, root_of, shard_file, wait_until

from qwell.errors import DatasetDamaged, DatasetReplaced
from qwell.store import reader
from qwell.store.derive import convert, merge, subset
from qwell.store.manifest import FileRecord
from qwell.store.reader import open_dataset
from qwell.store.vouched import vouched


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"as it was")
    return tmp_path / "file"


def test_another_file_is_refused_and_the_right_one_hashed_once(file: Path) -> None:
    record, hashed = FileRecord.of(b"as it was"), []

    def digest(opened: object) -> str:
        hashed.append(opened)
        return FileRecord.of(file.read_bytes()).sha256

    for _ in range(3):
        with vouched(file, record, digest=digest) as opened:
            assert opened.read() == b"as it was"
    assert len(hashed) == 1
    with pytest.raises(ValueError, match="sha256"), vouched(file, FileRecord.of(b"it was not")):
        pass


def test_a_file_written_to_while_it_is_read_is_refused(file: Path) -> None:
    """Even if its size is the same, and its time set back."""
    before = file.stat()
    with pytest.raises(ValueError, match="sha256"), vouched(file, FileRecord.of(b"as it was")):
        file.write_bytes(b"as it is.")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_file_put_in_its_place_while_it_is_read_is_not_seen(file: Path) -> None:
    with vouched(file, FileRecord.of(b"as it was")) as opened:
        (file.parent / "new").write_bytes(b"another")
        (file.parent / "new").rename(file)
        opened.seek(0)
        assert opened.read() == b"as it was"
    with pytest.raises(ValueError, match="sha256"), vouched(file, FileRecord.of(b"as it was")):
        pass


def test_opening_reads_no_shard(copy: Path) -> None:
    victim = shard_file(copy)
    size = victim.stat().st_size
    os.truncate(victim, 0)
    os.truncate(victim, size)  # all zeros now
    data = open_dataset(copy)
    assert len(data["train"].shard(0)["energy"]) == 1000
    with pytest.raises(DatasetDamaged, match="sha256"):
        data["train"].shard(1)


def test_a_data_set_that_comes_back_as_it_was_is_read_on(stored: Path, copy: Path) -> None:
    """Made again with the same result, or touched: nobody needs to know."""
    data = open_dataset(copy)
    data["train"].shard(0)
    shutil.rmtree(root_of(copy))
    copy.unlink(missing_ok=True)
    copy_of(stored, copy)
    (root_of(copy) / "manifest.json").touch()
    assert len(data["train"]["energy"][:]) == 3500


def test_opening_says_that_it_is_being_replaced(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the manifest and the look at the files."""

    def gone(root: Path, manifest: object) -> list[str]:
        shutil.rmtree(root)
        return file_damage(root, manifest)  # type: ignore[arg-type]

    file_damage = reader.file_damage
    monkeypatch.setattr(reader, "file_damage", gone)
    with pytest.raises(DatasetReplaced, match="is gone; run the same command again"):
        open_dataset(copy)


@pytest.mark.parametrize("name", ["convert", "single", "subset", "merge"])
def test_a_copy_is_not_finished_when_its_source_was_replaced(
    name: str, stored: Path, copy: Path, tmp_path: Path
) -> None:
    """Not even after the last of its rows was read."""
    data, rows = open_dataset(copy), []
    subset(data, tmp_path / "part.zarr", 5)
    works: dict[str, Callable[..., object]] = {
        "convert": convert,
        "single": partial(convert, single=True),
        "subset": lambda data, path, progress: subset(data, path, 3500, progress=progress),
        "merge": lambda data, path, progress: merge(
            [open_dataset(tmp_path / "part.zarr"), data], path, progress=progress
        ),
    }
    total = sum(len(s) for s in data.splits.values()) + (505 if name == "merge" else 0)

    def progress(count: int) -> None:
        rows.append(count)
        if sum(rows) == total:
            shutil.rmtree(root_of(copy))

    with pytest.raises(DatasetReplaced, match="is gone"):
        works[name](data, tmp_path / "made.h5", progress=progress)
    assert sum(rows) == total and not (tmp_path / "made.h5").exists()


@pytest.mark.slow
def test_training_ends_in_one_line(copy: Path, tmp_path: Path) -> None:
    """`qtrain eigen --stream pool` under whose feet the data set is removed."""
    process = begin(
        "qtrain", "eigen", "--data", copy, "--model", "mlp", "--stream", "pool", "--out", tmp_path / "run",
        "--updates", 10**8, "--log-every", 10, "--device", "cpu", cwd=tmp_path,
    )  # fmt: skip
    metrics = tmp_path / "run/metrics.jsonl"
    wait_until(lambda: metrics.is_file() and metrics.stat().st_size > 0, 120)
    shutil.rmtree(root_of(copy))
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and "run the same command again" in said and "Traceback" not in said, said
