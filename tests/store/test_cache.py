"""The cache: what is in it, what goes when it is full, and what stays because somebody uses it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import run

from qwell.errors import InvalidInput, QwellWarning
from qwell.models.registry import PRETRAINED
from qwell.store import cache as module
from qwell.store.cache import entries, make_room, release, remove, use
from qwell.store.dataset import Dataset
from qwell.store.reader import open_dataset
from qwell.store.records import Records
from qwell.train.sharing import fetch

HOUR = 3600.0


def put(digest: str, size: int, hours: float, kind: str = "remote", name: str = "") -> Path:
    """An entry of so many bytes that was used so long ago, and is not in use."""
    folder = use(kind, digest, name)
    (folder / "file").write_bytes(bytes(size))
    when = time.time() - hours * HOUR
    os.utime(folder.with_suffix(".json"), (when, when))
    release()
    return folder


def test_what_is_brought_and_decoded_is_listed(dataset: Dataset, dataset_path: Path, cache: Path) -> None:
    there = open_dataset(f"file://{dataset_path}")
    there["train"]["energy"][:5]
    Records(dataset["train"], ("potential",)).mirror()
    fetch(f"file://{PRETRAINED / 'hamiltonian-m3'}")
    release()
    answer = run("qdata", "cache", "--json", cwd=cache).json
    found = {one["kind"]: one for one in answer["copies"]}
    assert {kind: one["name"] for kind, one in found.items()} == {
        "remote": "m3.zarr", "mirror": "m3.zarr", "models": "hamiltonian-m3",
    }  # fmt: skip
    assert found["mirror"]["digest"] == found["remote"]["digest"] == dataset.digest[:32]
    mirror = cache / "mirror" / dataset.digest[:32]
    assert found["mirror"]["bytes"] == sum(file.stat().st_size for file in mirror.iterdir()) > 3500 * 404
    assert answer["bytes"] == sum(one["bytes"] for one in found.values())
    assert answer["limit"] is None and not any(one["in_use"] for one in found.values())
    said = run("qdata", "cache", cwd=cache, QWELL_CACHE_SIZE="5GB").stdout
    assert "decoded split    m3.zarr" in said and "of 5.0 GB in 3 copies" in said
    assert {p.suffix for p in (cache / "remote").iterdir()} == {"", ".json"}


def test_nothing_is_deleted_unless_it_is_asked_for_twice(cache: Path) -> None:
    old, new = put("a" * 32, 3000, 50, name="m3.zarr"), put("b" * 32, 500, 1, name="rbf.zarr")
    foreign = cache / "mine.txt"
    foreign.write_text("mine")
    said = run("qdata", "cache", "--clear", "--older-than", "2d", cwd=cache).stdout
    assert "--yes deletes 3.0 kB in 1" in said and "rbf" not in said and old.is_dir()
    for option, value in (("--older-than", "49h"), ("--larger-than", "1kB"), ("--name", "m*")):
        assert run("qdata", "cache", "--clear", option, value, cwd=cache).stdout.count(" ago") == 1
    said = run("qdata", "cache", "--clear", "--name", "m*", "--yes", cwd=cache).stdout
    assert "3.0 kB in 1 deleted" in said and not old.exists() and not old.with_suffix(".json").exists()
    assert new.is_dir()
    answer = run("qdata", "cache", "--clear", "--yes", "--json", cwd=cache).json
    assert answer["copies"][0]["deleted"] and answer["bytes"] == 0
    assert not new.exists() and foreign.read_text() == "mine"


def test_what_a_running_process_uses_stays(cache: Path) -> None:
    folder = put("a" * 32, 3000, 50)
    code = "from qwell.store.cache import use; use('remote', 'a' * 32); print('held', flush=True); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        said = run("qdata", "cache", "--clear", "--yes", cwd=cache).stdout
        assert "in use" in said and "0 bytes in 0 deleted" in said and folder.is_dir()
        assert not remove(entries()[0]) and folder.is_dir()
        other.kill()
    assert run("qdata", "cache", "--clear", "--yes", "--json", cwd=cache).json["copies"][0]["deleted"]


def test_what_was_used_longest_ago_makes_room(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oldest, older, newer = (put(c * 32, 1000, hours) for c, hours in (("a", 9), ("b", 5), ("c", 1)))
    make_room(10**9)  # there is no limit
    monkeypatch.setenv("QWELL_CACHE_SIZE", "3kB")
    make_room(0)
    assert oldest.is_dir()
    use("remote", "a" * 32)  # in use from now on, and used last
    make_room(500)
    assert oldest.is_dir() and not older.exists() and newer.is_dir()
    with pytest.warns(QwellWarning, match=r"beyond QWELL_CACHE_SIZE \(3.0 kB\)"):
        make_room(5000)
    assert oldest.is_dir() and not newer.exists()


def test_a_mirror_and_remote_shards_keep_to_the_limit(
    dataset: Dataset, dataset_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is being brought does not go itself, even if it is larger than the limit."""
    monkeypatch.setenv("QWELL_CACHE_SIZE", "1MB")
    old = put("a" * 32, 900_000, 9)
    with pytest.warns(QwellWarning, match="grows to"):
        Records(dataset["train"], ("potential",)).mirror()
    assert not old.exists() and (cache / "mirror" / dataset.digest[:32]).is_dir()
    release()
    there = open_dataset(f"file://{dataset_path}")
    assert len(there["train"]["energy"][:1000]) == 1000
    assert not (cache / "mirror" / dataset.digest[:32]).exists()


def test_using_an_entry_makes_it_the_last_used(cache: Path) -> None:
    put("a" * 32, 10, 9, name="first")
    put("b" * 32, 10, 5)
    assert [entry.digest[0] for entry in entries()] == ["b", "a"]
    use("remote", "a" * 32, "second")
    assert [(entry.digest[0], entry.held) for entry in entries()] == [("a", True), ("b", False)]
    assert entries()[0].name == "first" and entries()[0].age < 60


def test_an_entry_that_was_removed_meanwhile_is_made_and_held_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the opening of the lock's file and the lock."""
    folder = put("a" * 32, 10, 1)
    lock, removed = module.fcntl.flock, []

    def late(descriptor: int, how: int) -> None:
        if not removed and how == module.fcntl.LOCK_SH:
            removed.append(entries()[0])
            assert remove(removed[0])
        lock(descriptor, how)

    monkeypatch.setattr(module.fcntl, "flock", late)
    assert use("remote", "a" * 32) == folder and folder.is_dir() and not remove(removed[0])


def test_what_older_versions_left_is_listed_and_deleted(cache: Path) -> None:
    """Without a name, and used when it was written."""
    folder = cache / "mirror" / ("d" * 32)
    folder.mkdir(parents=True)
    (folder / "train-potential.npy").write_bytes(bytes(10))
    assert entries()[0].name == "" and entries()[0].age < 60
    assert "d" * 12 in run("qdata", "cache", "--clear", "--name", "d*", "--yes", cwd=cache).stdout
    assert not folder.exists()


def test_what_makes_no_sense_is_said(dataset: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run("qdata", "cache", cwd=cache, code=2, QWELL_CACHE_SIZE="much").stderr
    assert "QWELL_CACHE_SIZE is 'much'; write it like 500MB" in said
    for words in ("--older-than 30x", "--older-than d", "--larger-than big"):
        assert "write it like" in run("qdata", "cache", "--clear", *words.split(), cwd=cache, code=2).stderr
    assert "0 bytes in 0 copies" in run("qdata", "cache", cwd=cache, QWELL_CACHE=str(cache / "none")).stdout
    monkeypatch.setenv("QWELL_CACHE_SIZE", "much")
    with pytest.raises(InvalidInput, match="much"):
        Records(dataset["train"], ("potential",)).mirror()


def test_two_processes_that_make_room_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second finds an entry gone that it has seen: all is well, and nothing is left of it."""
    folder = put("c" * 32, 10, 1)
    (entry,) = entries()
    assert remove(entry) and remove(entry) and list(folder.parent.iterdir()) == []
    put("c" * 32, 10, 1)
    lock = module.fcntl.flock

    def late(descriptor: int, how: int) -> None:
        """Another process removes the entry, and a third makes it anew, before the lock is had."""
        monkeypatch.setattr(module.fcntl, "flock", lock)
        assert remove(entry)
        (use("remote", "c" * 32) / "file").write_bytes(b"in use")
        lock(descriptor, how)

    monkeypatch.setattr(module.fcntl, "flock", late)
    assert not remove(entry) and (folder / "file").read_bytes() == b"in use"
    release()
