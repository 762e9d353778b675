"""Data sets that change under those who read them, and files of one version among those of another.

Scenarios as in `scenarios.py`: whoever reads gets the rows of the version that was opened, or one line.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from unittest import mock

import numpy as np
from faults.hostile import little_memory
from faults.trying import SMALL, Outcome, all_rows, flip, make
from support import copy_of, end_of, root_of, shard_file

from qwell.errors import DatasetDamaged, DatasetReplaced, ManifestError, QwellError
from qwell.store.dataset import Dataset
from qwell.store.derive import convert, merge, subset
from qwell.store.manifest import Manifest, dump_json
from qwell.store.reader import load_manifest, locate, open_dataset
from qwell.store.transfer import pull, push
from qwell.store.verify import verify_files
from qwell.train.stream import open_stream

RECIPE = replace(SMALL, n=6000)
OTHER = replace(RECIPE, seed=1)
Rows = dict[str, np.ndarray]


class Versions:
    """Two data sets of the same sizes, and a place where one of them stands."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self.folder, self.suffix = folder, suffix
        self.old, self.new = (
            make(folder / name / f"x{suffix}", recipe) for name, recipe in (("old", RECIPE), ("new", OTHER))
        )
        self.truth = all_rows(self.old)
        subset(open_dataset(self.old), folder / "part.zarr", 10)
        self.path = folder / "here" / f"x{suffix}"

    def stand(self) -> Path:
        """Put the old one there."""
        shutil.rmtree(self.path.parent, ignore_errors=True)
        self.path.parent.mkdir()
        return copy_of(self.old, self.path)

    def replace(self) -> None:
        """Put the new one in its place, as `--force` does: another is renamed over it."""
        root, beside = root_of(self.path), self.folder / "beside"
        shutil.copytree(root_of(self.new), beside)
        root.rename(self.folder / f"away{random.random()}")
        beside.rename(root)

    def remove(self) -> None:
        """Delete it."""
        shutil.rmtree(root_of(self.path))


def _stream(tier: str) -> Callable[[Versions], None]:
    def read(v: Versions) -> None:
        """An epoch of batches, every one of rows of the old data set."""
        data = open_dataset(v.path)
        known = {row.tobytes() for row in v.truth["train/potential"]}
        stream = open_stream(data, tier, batch=100)
        for _ in range(stream.batches):
            potential = next(stream)[0].numpy()
            assert all(row.tobytes() in known for row in potential), "a batch of another data set"

    return read


def _copied(make_copy: Callable[[Dataset, Path], object]) -> Callable[[Versions], None]:
    def read(v: Versions) -> None:
        """A copy: whole and of the old data set, or not there."""
        target = v.folder / "copy" / f"y{v.suffix}"
        target.parent.mkdir(exist_ok=True)
        try:
            make_copy(open_dataset(v.path), target)
            known = {row.tobytes() for row in v.truth["train/energy"]}
            assert {row.tobytes() for row in open_dataset(target)["train"]["energy"][:]} <= known
        except QwellError:
            assert not target.exists(), "a copy of a data set that was replaced"
            raise
        finally:
            shutil.rmtree(target.parent)

    return read


def _merged(data: Dataset, path: Path) -> None:
    """With a part of itself, drawn before the fault."""
    merge([data, open_dataset(path.parents[1] / "part.zarr")], path)


def _rows(v: Versions) -> None:
    data = open_dataset(v.path)
    for name, values in v.truth.items():
        split, field = name.split("/")
        for i in range(data[split].shards):
            start, stop = data[split].layout.span(i)
            np.testing.assert_array_equal(data[split].shard(i)[field], values[start:stop])


def _sent(v: Versions) -> None:
    target = v.folder / "sent"
    target.mkdir(exist_ok=True)
    try:
        push(v.path, f"file://{target}/")
        assert open_dataset(target / f"x{v.suffix}").digest == open_dataset(v.old).digest
    finally:
        shutil.rmtree(target)


def _fetched(v: Versions) -> None:
    target = v.folder / "fetched" / f"x{v.suffix}"
    target.parent.mkdir(exist_ok=True)
    try:
        pull(f"file://{v.path}", target)
        assert open_dataset(target).digest == open_dataset(v.old).digest
    finally:
        shutil.rmtree(target.parent)


def _from_afar(v: Versions) -> None:
    with mock.patch.dict(os.environ, QWELL_CACHE=str(v.folder / f"cache{random.random()}")):
        data = open_dataset(f"file://{v.path}")
        for i in range(data["train"].shards):
            start, stop = data["train"].layout.span(i)
            energy = data["train"].shard(i)["energy"]
            np.testing.assert_array_equal(energy, v.truth["train/energy"][start:stop])


def _verified(v: Versions) -> None:
    root = locate(v.path)
    assert not list(verify_files(v.path, root, load_manifest(root)))


READERS: dict[str, Callable[[Versions], None]] = {
    "shards": _rows,
    "pool": _stream("pool"),
    "resident": _stream("resident"),
    "mirror": _stream("mirror"),
    "convert": _copied(convert),
    "convert --single": _copied(lambda data, path: convert(data, path.with_suffix(".h5"), single=True)),
    "subset": _copied(lambda data, path: subset(data, path, 5000)),
    "merge": _copied(_merged),
    "push": _sent,
    "pull": _fetched,
    "read from afar": _from_afar,
    "verify": _verified,
}


class _Hook:
    """Does something before the k-th time that a shard of a data set is opened.

    Python tells an audit hook of every file that it opens, and never forgets the hook.
    """

    def __init__(self) -> None:
        self.countdown, self.below, self.action = -1, "", lambda: None
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and self.countdown >= 0 and isinstance(arguments[0], str | Path):
            name = str(arguments[0])
            if name.startswith(self.below) and (name.endswith(("/0", ".h5"))) and "/x/" not in name:
                self.countdown -= 1
                if self.countdown < 0:
                    self.action()

    @contextmanager
    def before(self, k: int, below: Path, action: Callable[[], None]) -> Iterator[None]:
        self.countdown, self.below, self.action = k, f"{below}/", action
        try:
            yield
        finally:
            self.countdown = -1

    @property
    def struck(self) -> bool:
        return self.countdown < 0


_HOOK: list[_Hook] = []


def _under_readers(
    folder: Path, suffix: str, tries: int, strike: Callable[[Versions], Callable[[], None]]
) -> int:
    """Strike before the k-th shard is opened, k = 0, 1 … `tries` times for every reader."""
    hook, count = _HOOK[0] if _HOOK else _Hook(), 0
    _HOOK[:] = [hook]
    v = Versions(folder, suffix)
    for name, read in READERS.items():
        replaced = 0
        for k in range(tries):
            v.stand()
            with (
                mock.patch.dict(os.environ, QWELL_CACHE=str(folder / f"cache-{name}-{k}")),
                hook.before(k, root_of(v.path), strike(v)),
            ):
                try:
                    read(v)
                except DatasetReplaced as error:
                    assert hook.struck and "run the same command again" in str(error), (name, k, error)
                    replaced += 1
                if not hook.struck:
                    break
            count += 1
        assert replaced, f"{name} never notices"
    return count


def replaced_under_readers(folder: Path, suffix: str, tries: int) -> Outcome:
    """`--force` puts another data set in the place while it is read, copied, sent or verified."""
    count = _under_readers(folder, suffix, tries, lambda v: v.replace)
    return count, "the rows of the version that was opened, or one line that says it was replaced"


def removed_under_readers(folder: Path, suffix: str, tries: int) -> Outcome:
    """The data set is deleted while it is read, copied, sent or verified."""
    count = _under_readers(folder, suffix, tries, lambda v: v.remove)
    return count, "the rows of the version that was opened, or one line that says it is gone"


def stale_shards(folder: Path, suffix: str, tries: int) -> Outcome:
    """A shard of another place or version, of the same size and with good checksums of its own.

    In every position: renamed over the right one, or written into its file, before opening or while open.
    """
    v, count = Versions(folder, suffix), 0
    data = open_dataset(v.old)
    fields = ("energy", "potential") if suffix == ".zarr" else ("energy",)
    swaps = [(i, v.old, j) for i, j in permutations(range(data["train"].shards), 2)]
    swaps += [(i, v.new, i) for i in range(data["train"].shards)]
    for n, (field, swap) in enumerate((f, s) for f in fields for s in swaps[:: max(1, len(swaps) // tries)]):
        position, source, other = swap
        stale = shard_file(source, field=field, shard=other).read_bytes()
        for in_place in (False, True):
            for open_before in (False, True):
                path = v.stand()
                opened = open_dataset(path)
                if open_before:
                    opened["train"].shard(position)  # known to be good
                victim = shard_file(path, field=field, shard=position)
                if not in_place:
                    (folder / "stale").write_bytes(stale)
                    (folder / "stale").rename(victim)
                else:
                    victim.write_bytes(stale)
                os.utime(victim, ns=(n, n))
                for reader in [opened, open_dataset(path)]:
                    try:
                        reader["train"].shard(position)
                    except DatasetDamaged as error:
                        assert "sha256" in str(error), error
                    else:
                        raise AssertionError(f"{swap} of {field} was read")
                problems = list(verify_files(path, root_of(path), opened.manifest))
                assert len(problems) == 1 and "sha256" in problems[0], problems
                count += 1
    return count, "refused by reading, named by verify"


HOSTILE_VALUES = (
    None, True, -1, 0, 1, 2**40, 2**63, 10**30, -(10**400), 1.5, 1e308, "", "x" * 1000, "\ud800", "../x", [],
    {}, [[]] * 1000, {"a": {"b": 0}},
)  # fmt: skip


def _somewhere(obj: object, dice: random.Random) -> tuple[dict[str, object] | list[object], object]:
    """A container of a JSON object and one of its keys."""
    while True:
        keys = list(obj) if isinstance(obj, dict) else range(len(obj))  # type: ignore[arg-type]
        key = dice.choice(list(keys))
        inside = obj[key]  # type: ignore[index]
        if not isinstance(inside, dict | list) or not inside or dice.random() < 0.2:
            return obj, key  # type: ignore[return-value]
        obj = inside


def _mutated(content: bytes, dice: random.Random) -> bytes:
    """The manifest with a few bytes, or a value, or a key changed; some of them written as we write them."""
    kind = dice.randrange(6)
    a, b = sorted(dice.randrange(len(content)) for _ in range(2))
    if kind == 0:
        return content[:a] + bytes([content[a] ^ 1 << dice.randrange(8)]) + content[a + 1 :]
    if kind == 1:
        return content[:a] + content[min(b, a + 50) :]
    if kind == 2:
        return content[:b] + content[a : a + 50] + content[b:]
    obj = json.loads(content)
    inside, key = _somewhere(obj, dice)
    if kind == 3 and isinstance(inside, dict):
        inside[f"k{a}"] = dice.choice(HOSTILE_VALUES)
    elif kind == 4 and isinstance(inside, dict):
        inside.pop(key)  # type: ignore[call-overload]
    else:
        inside[key] = dice.choice(HOSTILE_VALUES)  # type: ignore[index]
    try:
        return dump_json(obj)
    except ValueError:  # half a character: as an escape
        return (json.dumps(obj, sort_keys=True, indent=1) + "\n").encode()


def mutated_manifests(folder: Path, suffix: str, tries: int) -> Outcome:
    """A manifest with something changed, and nothing beside it that vouches for it.

    It is refused; or it is another manifest, with another digest, and what it says of the rows is still true.
    """
    path = make(folder / f"x{suffix}", SMALL)
    truth, file = all_rows(path), root_of(path) / "manifest.json"
    (root_of(path) / "provenance.json").unlink()
    content, dice = file.read_bytes(), random.Random(5)

    def attempt() -> None:
        for i in range(tries):
            changed = _mutated(content, dice)
            try:
                manifest = Manifest.decode(changed)
            except ManifestError:
                continue
            assert manifest.encode() == changed, f"mutation {i} is accepted and not as we write"
            file.write_bytes(changed)
            try:
                found = all_rows(path)
            except QwellError:
                continue
            for name in found.keys() & truth.keys():
                np.testing.assert_array_equal(found[name], truth[name])

    said = end_of(attempt, little_memory)
    assert said == "no error", said
    return tries, "refused, or another version that says nothing wrong about the rows"


def damaged_cache(folder: Path, suffix: str, tries: int) -> Outcome:
    """A bit flips in the cache of a remote data set, or a file of it is cut short or deleted."""
    path, dice, count = make(folder / f"x{suffix}", SMALL), random.Random(6), 0
    truth, changes = (
        all_rows(path),
        (flip, flip, lambda p, dice: os.truncate(p, 10), lambda p, dice: p.unlink()),
    )
    with mock.patch.dict(os.environ, QWELL_CACHE=str(folder / "cache")):
        read = open_dataset(f"file://{path}")
        for i in range(tries):
            for reader in (read, open_dataset(f"file://{path}")):
                for name, values in truth.items():
                    split, field = name.split("/")
                    np.testing.assert_array_equal(reader[split][field][:], values)
            shards = [
                p for p in (folder / "cache/remote").rglob("*") if p.is_file() and p.name != "provenance.json"
            ]
            changes[i % len(changes)](dice.choice(sorted(shards)), dice)  # type: ignore[operator]
            count += 1
    return count, "fetched again: the right numbers"


VERSIONS: list[tuple[str, Callable[[Path, str, int], Outcome], int, int]] = [
    ("replaced under a reader", replaced_under_readers, 20, 3),
    ("removed under a reader", removed_under_readers, 20, 2),
    ("a shard of another place or version", stale_shards, 50, 6),
    ("a manifest with something changed", mutated_manifests, 5000, 250),
    ("the cache of a remote data set damaged", damaged_cache, 200, 10),
]
