"""Three-phase writing: whole or not there, resumable, one writer at a time."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwell.errors import DatasetExists, DatasetIncomplete, DatasetLocked, InvalidInput, WriteError
from qwell.store import files
from qwell.store.manifest import PROGRESS
from qwell.store.reader import open_dataset
from qwell.store.schema import Coordinate, Field, Plan, SplitLayout
from qwell.store.writer import DatasetWriter, write_shard


def plan(rows: int = 25, shard: int = 10, recipe: int = 1, dtype: str = "float32", width: int = 4) -> Plan:
    return Plan(
        "spectra",
        "iid",
        {"number": recipe},
        (
            Field("a", ("x",), (width,), dtype, "1", "a"),
            Field("b", ("y", "x"), (2, width), "float64", "µ", "b ψ"),
        ),
        (Coordinate("x", tuple(float(i) for i in range(width)), "1", "x"),),
        {"train": SplitLayout.of(rows, shard, 8), "validation": SplitLayout.of(3, shard, 8)},
    )


def values(p: Plan, split: str, shard: int) -> dict[str, np.ndarray]:
    start, stop = p.splits[split].span(shard)
    rng = np.random.default_rng([shard, len(split)])
    return {f.name: rng.normal(size=(stop - start, *f.shape)).astype(f.dtype) for f in p.fields}


def write(path: Path, p: Plan, skip: int = 0, **options: bool) -> DatasetWriter:
    writer = DatasetWriter(path, p, **options)
    pending = writer.pending()
    for split, shard in pending[: len(pending) - skip]:
        write_shard(writer.root, p, split, shard, values(p, split, shard))
    return writer


def content(path: Path) -> dict[str, bytes]:
    """Every file of a data set but the circumstances."""
    return {
        p.relative_to(path).as_posix(): p.read_bytes()
        for p in path.rglob("*")
        if p.is_file() and p.name != "provenance.json"
    }


@settings(deadline=None, max_examples=15)
@given(
    rows=st.integers(0, 40), shard=st.integers(1, 13), dtype=st.sampled_from(["float32", "float64"]),
    width=st.integers(1, 5),
)  # fmt: skip
def test_what_is_read_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: int, shard: int, dtype: str, width: int
) -> None:
    path, p = tmp_path_factory.mktemp("s") / "x.zarr", plan(rows, shard, dtype=dtype, width=width)
    write(path, p).finish({})
    data = open_dataset(path)
    assert len(data["train"]) == rows
    for split in ("train", "validation"):
        for i in range(data[split].shards):
            for name, array in data[split].shard(i).items():
                np.testing.assert_array_equal(array, values(p, split, i)[name])
                assert array.dtype == np.dtype({f.name: f.dtype for f in p.fields}[name])
    np.testing.assert_array_equal(data.coordinates["x"], np.arange(width))


def test_nothing_is_at_the_path_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    writer = write(path, plan(), skip=1)
    assert not path.exists()
    with pytest.raises(DatasetIncomplete, match="--resume"):
        open_dataset(path)
    with pytest.raises(DatasetIncomplete, match="missing"):
        writer.finish({})
    writer.close()


def test_resume_makes_only_what_is_missing_and_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "whole.zarr", plan()).finish({})
    path = tmp_path / "x.zarr"
    write(path, plan(), skip=2).close()
    writer = DatasetWriter(path, plan(), resume=True)
    assert len(writer.pending()) == 2
    writer.close()
    write(path, plan(), resume=True).finish({})
    assert content(path) == content(tmp_path / "whole.zarr")


def test_a_shard_damaged_before_the_resume_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    writer = write(path, plan(), skip=1)
    victim = writer.root / "train/a/c/0/0"
    victim.write_bytes(b"\0" + victim.read_bytes()[1:])
    writer.close()
    again = DatasetWriter(path, plan(), resume=True)
    assert ("train", 0) in again.pending()
    again.close()


def test_killed_between_manifest_and_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.zarr"
    writer = write(path, plan())
    monkeypatch.setattr(DatasetWriter, "_publish", lambda self: self.close())
    writer.finish({})
    assert not path.exists()
    monkeypatch.undo()
    with pytest.raises(DatasetIncomplete, match="--resume"):
        open_dataset(path)
    resumed = DatasetWriter(path, plan(), resume=True)
    assert resumed.pending() == []
    assert open_dataset(path).digest == resumed.finish({}).digest


def test_resume_of_a_finished_data_set_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    manifest = write(path, plan()).finish({})
    before = content(path)
    again = DatasetWriter(path, plan(), resume=True)
    assert again.pending() == [] and again.finish({}).digest == manifest.digest
    assert content(path) == before


def test_resume_of_another_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    write(path, plan(), skip=1).close()
    with pytest.raises(InvalidInput, match="number = 1, now number = 2"):
        DatasetWriter(path, plan(recipe=2), resume=True)


def test_the_unfinished_and_the_finished_are_protected(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    write(path, plan(), skip=1).close()
    with pytest.raises(DatasetExists, match="--resume"):
        DatasetWriter(path, plan())
    write(path, plan(), resume=True).finish({})
    with pytest.raises(DatasetExists, match="--force"):
        DatasetWriter(path, plan())


def test_force_keeps_the_old_until_the_new_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    (tmp_path / "x.zarr.old").mkdir()
    (tmp_path / "x.zarr.old/mine").write_text("a copy that somebody keeps")
    old = write(path, plan()).finish({})
    writer = write(path, plan(recipe=2), skip=1, force=True)
    assert open_dataset(path).digest == old.digest
    writer.close()
    new = write(path, plan(recipe=2), force=True).finish({})
    assert open_dataset(path).digest == new.digest != old.digest
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.zarr", "x.zarr.old"]
    assert (tmp_path / "x.zarr.old/mine").read_text() == "a copy that somebody keeps"


@pytest.mark.parametrize("force", [False, True])
def test_a_foreign_directory_is_never_touched(tmp_path: Path, force: bool) -> None:
    path = tmp_path / "thesis"
    path.mkdir()
    (path / "chapter1.tex").write_text("years of work")
    with pytest.raises(DatasetExists, match="not a qwell data set"):
        DatasetWriter(path, plan(), force=force)
    assert (path / "chapter1.tex").read_text() == "years of work"


@pytest.mark.parametrize("force", [False, True])
def test_a_foreign_directory_in_the_place_of_the_partial_is_never_touched(
    tmp_path: Path, force: bool
) -> None:
    path = tmp_path / "x.zarr.partial"
    path.mkdir()
    (path / "chapter1.tex").write_text("years of work")
    with pytest.raises(DatasetExists):
        DatasetWriter(tmp_path / "x.zarr", plan(), force=force)
    assert (path / "chapter1.tex").read_text() == "years of work"


def test_two_writers(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    first = write(path, plan(), skip=1)
    with pytest.raises(DatasetLocked, match="another process"):
        DatasetWriter(path, plan(), resume=True)
    first.close()
    write(path, plan(), resume=True).finish({})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_are_never_written(tmp_path: Path, bad: float) -> None:
    p = plan()
    writer = DatasetWriter(tmp_path / "x.zarr", p)
    rows = values(p, "train", 0)
    rows["b"][3, 1, 2] = bad
    with pytest.raises(InvalidInput, match="NaN"):
        write_shard(writer.root, p, "train", 0, rows)
    assert ("train", 0) in writer.pending()
    writer.close()


def test_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    p = plan()
    writer = DatasetWriter(tmp_path / "x.zarr", p)

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(WriteError, match="disk is full"):
        write_shard(writer.root, p, "train", 0, values(p, "train", 0))
    monkeypatch.undo()
    assert not list((writer.root / PROGRESS / "scratch").iterdir())
    assert not (writer.root / "train/a/c").exists() or not list((writer.root / "train/a/c/0").iterdir())
    writer.close()
    write(tmp_path / "x.zarr", p, resume=True).finish({})


def test_no_room_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(WriteError, match="free some space"):
        DatasetWriter(tmp_path / "x.zarr", plan())


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="--out"):
        DatasetWriter(tmp_path / "file" / "x.zarr", plan())


def test_atomic_write_replaces_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "f"
    files.atomic_write(path, b"one")
    files.atomic_write(path, b"two")
    assert path.read_bytes() == b"two" and [p.name for p in path.parent.iterdir()] == ["f"]
