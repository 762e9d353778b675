"""Three-phase writing: whole or not there, resumable, one writer at a time."""

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import content, root_of

from qwell import files
from qwell.datagen.pipeline import finalise
from qwell.errors import (
    DatasetExists,
    DatasetIncomplete,
    DatasetLocked,
    InvalidInput,
    ManifestError,
    QwellWarning,
    WriteError,
)
from qwell.store import writer as writing
from qwell.store.backends import SHARDED, storage_of
from qwell.store.manifest import PROGRESS
from qwell.store.reader import open_dataset
from qwell.store.schema import Coordinate, Field, Plan, SplitLayout
from qwell.store.staging import Staging
from qwell.store.verify import verify_files
from qwell.store.writer import DatasetWriter, write_shard


def plan(
    rows: int = 25, shard: int = 10, recipe: int = 1, dtype: str = "float32", width: int = 4,
    text: str = "b ψ", storage: str = "zarr",
) -> Plan:  # fmt: skip
    return Plan(
        "spectra",
        "iid",
        {"number": recipe, "text": text},
        (
            Field("a", ("x",), (width,), dtype, "1", "a"),
            Field("b", ("y", "x"), (2, width), "float64", "µ", text),
        ),
        (Coordinate("x", tuple(float(i) for i in range(width)), "1", "x"),),
        {"train": SplitLayout.of(rows, shard, 8), "validation": SplitLayout.of(3, shard, 8)},
        storage,
    )


def values(p: Plan, split: str, shard: int) -> dict[str, np.ndarray]:
    start, stop = p.splits[split].span(shard)
    rng = np.random.default_rng([shard, len(split)])
    return {f.name: rng.normal(size=(stop - start, *f.shape)).astype(f.dtype) for f in p.fields}


def write(path: Path, p: Plan, skip: int = 0, **options: bool) -> DatasetWriter:
    p = replace(p, storage=storage_of(path))
    writer = DatasetWriter(path, p, **options)
    pending = writer.pending()
    for split, shard in pending[: len(pending) - skip]:
        write_shard(writer.root, p, split, shard, values(p, split, shard))
    return writer


@settings(deadline=None, max_examples=15)
@given(
    rows=st.integers(0, 40), shard=st.integers(1, 13), dtype=st.sampled_from(["float32", "float64"]),
    width=st.integers(1, 5), text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
def test_what_is_read_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, rows: int, shard: int, dtype: str, width: int,
    text: str,
) -> None:  # fmt: skip
    """Any type, shape and script, empty splits too; every way of indexing agrees with numpy's."""
    path = tmp_path_factory.mktemp("s") / f"x{suffix}"
    p = plan(rows, shard, dtype=dtype, width=width, text=text, storage=storage_of(path))
    write(path, p).finish({})
    data = open_dataset(path)
    assert data.plan == p and len(data["train"]) == rows
    assert list(verify_files(path, data.root, data.manifest)) == []
    for split in ("train", "validation"):
        for field in p.fields:
            made = [values(p, split, i)[field.name] for i in range(p.splits[split].shards)]
            whole = np.concatenate([np.empty((0, *field.shape), field.dtype), *made])
            array = data[split][field.name]
            assert array.dtype == whole.dtype and array.shape == whole.shape
            keys: list[Any] = [slice(None), slice(3, 9), slice(None, None, -2), slice(20, 2), (..., 0), []]
            if len(whole):
                some = np.random.default_rng(rows).integers(-len(whole), len(whole), 7)
                keys += [
                    0,
                    -1,
                    some,
                    (some, slice(None, 1)),
                    (slice(2, 5), 0),
                    whole[:, ..., 0].ravel()[: len(whole)] > 0,
                ]
            for key in keys:
                np.testing.assert_array_equal(
                    array[key], whole[key if not isinstance(key, list) else np.array(key, int)]
                )
    np.testing.assert_array_equal(data.coordinates["x"], np.arange(width))


def test_rows_that_are_not_there(path: Path) -> None:
    write(path, plan()).finish({})
    array = open_dataset(path)["train"]["a"]
    for key in (25, -26, [25], [0.5], [[1]], np.zeros(3, bool)):
        with pytest.raises(IndexError):
            array[key]


def test_nothing_is_at_the_path_until_it_is_whole(path: Path) -> None:
    writer = write(path, plan(), skip=1)
    assert not path.exists()
    with pytest.raises(DatasetIncomplete, match="--resume"):
        open_dataset(path)
    with pytest.raises(DatasetIncomplete, match="missing"):
        writer.finish({})
    writer.close()


def test_resume_makes_only_what_is_missing_and_the_same_bytes(path: Path) -> None:
    write(path.with_name(f"whole{path.suffix}"), plan()).finish({})
    write(path, plan(), skip=2).close()
    writer = DatasetWriter(path, plan(storage=storage_of(path)), resume=True)
    assert len(writer.pending()) == 2
    writer.close()
    write(path, plan(), resume=True).finish({})
    assert content(path) == content(path.with_name(f"whole{path.suffix}"))


def test_a_shard_damaged_before_the_resume_is_made_again(path: Path) -> None:
    writer = write(path, plan(), skip=1)
    backend = SHARDED[storage_of(path)]
    victim = writer.root / backend.shard_path("train", plan().fields[0], 0)
    victim.write_bytes(b"\0" + victim.read_bytes()[1:])
    writer.close()
    again = DatasetWriter(path, plan(storage=storage_of(path)), resume=True)
    assert ("train", 0) in again.pending()
    again.close()


def test_killed_between_manifest_and_rename(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = write(path, plan())
    monkeypatch.setattr(Staging, "rename", lambda self, manifest: self.close())
    writer.finish({})
    assert not path.exists()
    monkeypatch.undo()
    with pytest.raises(DatasetIncomplete, match="--resume"):
        open_dataset(path)
    resumed = DatasetWriter(path, plan(storage=storage_of(path)), resume=True)
    assert resumed.pending() == []
    assert open_dataset(path).digest == resumed.finish({}).digest


def test_resume_of_a_finished_data_set_changes_nothing(path: Path) -> None:
    manifest = write(path, plan()).finish({})
    before = content(path)
    again = DatasetWriter(path, plan(storage=storage_of(path)), resume=True)
    assert again.pending() == [] and again.finish({}).digest == manifest.digest
    assert content(path) == before


def test_resume_of_another_recipe_is_refused(path: Path) -> None:
    write(path, plan(), skip=1).close()
    with pytest.raises(InvalidInput, match="number = 1, now number = 2"):
        DatasetWriter(path, plan(recipe=2, storage=storage_of(path)), resume=True)


def test_the_unfinished_and_the_finished_are_protected(path: Path) -> None:
    write(path, plan(), skip=1).close()
    with pytest.raises(DatasetExists, match="--resume"):
        DatasetWriter(path, plan(storage=storage_of(path)))
    write(path, plan(), resume=True).finish({})
    with pytest.raises(DatasetExists, match="--force"):
        DatasetWriter(path, plan(storage=storage_of(path)))


def test_force_keeps_the_old_until_the_new_is_whole(path: Path) -> None:
    neighbour = path.with_name(path.name + ".old")
    neighbour.mkdir()
    (neighbour / "mine").write_text("a copy that somebody keeps")
    old = write(path, plan()).finish({})
    writer = write(path, plan(recipe=2), skip=1, force=True)
    assert open_dataset(path).digest == old.digest
    writer.close()
    new = write(path, plan(recipe=2), force=True).finish({})
    assert open_dataset(path).digest == new.digest != old.digest
    assert set(path.parent.iterdir()) == {path, root_of(path), neighbour}
    assert (neighbour / "mine").read_text() == "a copy that somebody keeps"


@pytest.mark.parametrize("force", [False, True])
def test_a_foreign_directory_is_never_touched(tmp_path: Path, force: bool) -> None:
    path = tmp_path / "thesis"
    path.mkdir()
    (path / "chapter1.tex").write_text("years of work")
    with pytest.raises(DatasetExists, match="not a qwell data set"):
        DatasetWriter(path, plan(storage=storage_of(path)), force=force)
    assert (path / "chapter1.tex").read_text() == "years of work"


@pytest.mark.parametrize("force", [False, True])
def test_a_foreign_directory_in_the_place_of_the_partial_is_never_touched(path: Path, force: bool) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.mkdir()
    (partial / "chapter1.tex").write_text("years of work")
    with pytest.raises(DatasetExists):
        DatasetWriter(path, plan(storage=storage_of(path)), force=force)
    assert (partial / "chapter1.tex").read_text() == "years of work"


def test_two_writers(path: Path) -> None:
    first = write(path, plan(), skip=1)
    with pytest.raises(DatasetLocked, match="another process"):
        DatasetWriter(path, plan(storage=storage_of(path)), resume=True)
    first.close()
    write(path, plan(), resume=True).finish({})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_are_never_written(path: Path, bad: float) -> None:
    p = plan(storage=storage_of(path))
    writer = DatasetWriter(path, p)
    rows = values(p, "train", 0)
    rows["b"][3, 1, 2] = bad
    with pytest.raises(InvalidInput, match="NaN"):
        write_shard(writer.root, p, "train", 0, rows)
    assert ("train", 0) in writer.pending()
    writer.close()


def test_full_disk_leaves_nothing_half_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    p = plan(storage=storage_of(path))
    writer = DatasetWriter(path, p)

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(WriteError, match="disk is full"):
        write_shard(writer.root, p, "train", 0, values(p, "train", 0))
    monkeypatch.undo()
    assert not list((writer.root / PROGRESS / "scratch").iterdir())
    backend = SHARDED[storage_of(path)]
    assert not any((writer.root / backend.shard_path("train", f, 0)).exists() for f in p.fields)
    writer.close()
    write(path, p, resume=True).finish({})


def test_no_room_is_said_before_the_work(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(WriteError, match="free some space"):
        DatasetWriter(path, plan(storage=storage_of(path)))


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="--out"):
        DatasetWriter(tmp_path / "file" / "x.zarr", plan())


def test_atomic_write_replaces_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "f"
    files.atomic_write(path, b"one")
    files.atomic_write(path, b"two")
    assert path.read_bytes() == b"two" and [p.name for p in path.parent.iterdir()] == ["f"]


def test_whole_files(tmp_path: Path) -> None:
    """Normal modes, whoever writes; what was there is kept where asked for; errors name the remedy."""
    path, previous = tmp_path / "deep" / "a.npy", tmp_path / "deep" / "before.npy"
    before = os.umask(0o022)
    try:
        for value in (1, 2):
            with files.whole_file(path, previous=previous) as temporary:
                assert temporary.suffix == ".npy" and temporary.exists()
                (tmp_path / "own").write_bytes(bytes([value]))
                (tmp_path / "own").chmod(0o600)
                (tmp_path / "own").replace(temporary)  # as safetensors does
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644 and path.read_bytes() == b"\2"
    assert previous.read_bytes() == b"\1"
    for raised, expected in (
        (OSError(28, "full"), WriteError),
        (DatasetLocked("ours"), DatasetLocked),
        (KeyError("else"), KeyError),
    ):
        with pytest.raises(expected) as caught, files.whole_file(path):
            raise raised
        assert expected is not WriteError or "the disk is full" in str(caught.value)
    assert path.read_bytes() == b"\2" and {p.name for p in path.parent.iterdir()} == {"a.npy", "before.npy"}


@pytest.mark.parametrize("name", ["zarr.json", "train/x/c/0"])
def test_metadata_damaged_before_the_resume_is_made_again(tmp_path: Path, name: str) -> None:
    """Nothing vouches for it until the manifest is written."""
    expected = write(tmp_path / "one.zarr", plan()).finish({}).digest
    write(tmp_path / "two.zarr", plan(), skip=1).close()
    damaged = tmp_path / "two.zarr.partial" / name
    content = damaged.read_bytes()
    damaged.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert write(tmp_path / "two.zarr", plan(), resume=True).finish({}).digest == expected
    assert (tmp_path / "two.zarr" / name).read_bytes() == content


def test_a_damaged_plan_or_manifest_is_not_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`finalise` takes the recipe from the plan, and the manifest of what is all but renamed as it is."""
    write(tmp_path / "x.zarr", plan()).close()
    path = tmp_path / "x.zarr.partial" / PROGRESS / "plan.json"
    text = path.read_text()
    path.write_text(text.replace('"kind": "', '"kind": "q', 1))
    with pytest.raises(ManifestError, match=r"plan.json is damaged; start again with --force"):
        finalise(tmp_path / "x.zarr")
    path.write_text(text)
    with monkeypatch.context() as patch:
        patch.setattr(Staging, "rename", lambda self, manifest: None)
        finalise(tmp_path / "x.zarr")
    path = tmp_path / "x.zarr.partial" / "manifest.json"
    path.write_text(path.read_text().replace('"long_name": "', '"long_name": "q', 1))
    with pytest.raises(ManifestError, match=r"manifest.json is damaged, .* start again with --force"):
        finalise(tmp_path / "x.zarr")


def test_a_resume_by_other_versions_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions stand in each shard's record and, all of them, in the provenance; the digest has none."""
    p = plan()
    expected = write(tmp_path / "one.zarr", p).finish({}).digest
    older = {"qwell": "0.1.0", "numpy": "1.26.4"}
    with monkeypatch.context() as patch:
        patch.setattr(writing, "made_with", lambda: older)
        write(tmp_path / "two.zarr", p, skip=2).close()
    with pytest.warns(QwellWarning, match=r"several versions.*2 of its shards by qwell 0.1.0, numpy 1.26.4"):
        writer = write(tmp_path / "two.zarr", p, resume=True)
    assert writer.finish({}).digest == expected
    makers = open_dataset(tmp_path / "two.zarr").provenance["shards_made_with"]
    assert makers.pop("qwell 0.1.0, numpy 1.26.4") == 2 and list(makers.values()) == [2]
    one = open_dataset(tmp_path / "one.zarr").provenance["shards_made_with"]
    assert list(one.values()) == [4] and "numpy" in next(iter(one))


def test_records_of_version_0_1_0_are_gone_on_from(tmp_path: Path) -> None:
    """They name files alone; who made them is not known, which is said."""
    p = plan()
    writer = write(tmp_path / "x.zarr", p, skip=1)
    for path in (writer.root / PROGRESS / "done").iterdir():
        path.write_text(json.dumps(json.loads(path.read_text())["files"]))
    writer.close()
    with pytest.warns(QwellWarning, match="3 of its shards by an unknown version"):
        writer = write(tmp_path / "x.zarr", p, resume=True)
    writer.finish({})


@pytest.mark.parametrize("value", ["inf", 10**400, True, None])
def test_coordinates_of_an_unfinished_set_are_numbers(tmp_path: Path, value: object) -> None:
    """Its plan is read before there is a manifest whose spelling would tell."""
    p = plan()
    writer = write(tmp_path / "x.zarr", p)
    writer.close()
    path = writer.root / PROGRESS / "plan.json"
    begun = json.loads(path.read_text())
    begun["coordinates"][0]["values"][0] = value
    path.write_text(json.dumps(begun))
    with pytest.raises(ManifestError, match="start again with --force"):
        finalise(tmp_path / "x.zarr")
