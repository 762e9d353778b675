"""Data sets that change under those who read them, and files of one version among those of another.

Scenarios as in `scenarios.py`: whoever reads gets the rows of the version that was opened, or one line.
"""

from __future__ import annotations

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
from faults.trying import SMALL, Outcome, Scenario, Tally, WrongNumbers, all_rows, make, one_line
from support import copy_of, root_of, shard_file

from qwell.errors import DatasetDamaged, DatasetReplaced, QwellError, TransferError
from qwell.files import file_sha256
from qwell.models.registry import create_model
from qwell.store.dataset import Dataset
from qwell.store.derive import convert, merge, subset
from qwell.store.reader import load_manifest, locate, open_dataset
from qwell.store.stats import stats
from qwell.store.transfer import pull, push
from qwell.store.verify import verify_files
from qwell.train.config import EigenConfig
from qwell.train.eigen import begin, predict_split, train_eigen
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
        self.known = {row.tobytes() for row in self.truth["train/potential"]}
        self.mean = stats(open_dataset(self.old))["train"]["energy"]["mean"]
        self.learned: dict[str, bytes] = {}
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


def _stream(tier: str, epochs: int = 1) -> Callable[[Versions], None]:
    def read(v: Versions) -> None:
        """Epochs of batches, every one of rows of the old data set."""
        data = open_dataset(v.path)
        stream = open_stream(data, tier, batch=100)
        for _ in range(epochs * stream.batches):
            potential = next(stream)[0].numpy()
            if not all(row.tobytes() in v.known for row in potential):
                raise WrongNumbers("a batch of another data set")

    return read


def _copied(make_copy: Callable[[Dataset, Path], object], suffix: str = "") -> Callable[[Versions], None]:
    def read(v: Versions) -> None:
        """A copy: whole and of the old data set, or not there."""
        target = v.folder / "copy" / f"y{suffix or v.suffix}"
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


def _trained(tier: str) -> Callable[[Versions], None]:
    def read(v: Versions) -> None:
        """A training: the weights that the old data set gives."""
        if tier not in v.learned:
            v.learned[tier] = _weights(v.old, v.folder / f"run-{tier}", tier)
        if _weights(v.path, v.folder / f"run{random.random()}", tier) != v.learned[tier]:
            raise WrongNumbers("weights of another data set")

    return read


def _weights(path: Path, place: Path, tier: str) -> bytes:
    settings = {"model": "mlp", "options": {"hidden": [8]}, "updates": 20, "batch": 600, "evaluate_every": 10}
    config = EigenConfig(data=str(path), digest=_digest(path), stream=tier, **settings)  # type: ignore[arg-type]
    run = begin(config, place)
    train_eigen(run, "cpu")
    return (run.model / "model.safetensors").read_bytes()


def _digest(path: Path) -> str:
    return file_sha256(root_of(path) / "manifest.json")


def _statistics(v: Versions) -> None:
    data = open_dataset(v.path)
    if stats(data)["train"]["energy"]["mean"] != v.mean:
        raise WrongNumbers("statistics of another data set")


def _evaluated(v: Versions) -> None:
    """Predictions of a whole split, and its true energies."""
    model = create_model("mlp", points=21, levels=3, hidden=[4])
    truth = predict_split(model, open_dataset(v.path), "train")[1]
    np.testing.assert_array_equal(truth, v.truth["train/energy"])


READERS: dict[str, Callable[[Versions], None]] = {
    "shards": _rows,
    "pool": _stream("pool"),
    "pool, shuffled epochs": _stream("pool", 3),
    "resident": _stream("resident"),
    "mirror": _stream("mirror"),
    "convert": _copied(convert),
    "convert --single": _copied(lambda data, path: convert(data, path, single=True), ".h5"),
    "subset": _copied(lambda data, path: subset(data, path, 5000)),
    "merge": _copied(_merged),
    "push": _sent,
    "pull": _fetched,
    "read from afar": _from_afar,
    "verify": _verified,
    "stats": _statistics,
    "evaluate": _evaluated,
    "training, pool": _trained("pool"),
    "training, resident": _trained("resident"),
}


class _Hook:
    """Does something before the k-th time that a shard of a data set is opened.

    Python tells an audit hook of every file that it opens, and never forgets the hook.
    """

    def __init__(self) -> None:
        self.countdown, self.below, self.action, self.hit = -1, "", lambda: None, False
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
            self.hit, self.countdown = self.struck, -1

    @property
    def struck(self) -> bool:
        return self.countdown < 0


_HOOK: list[_Hook] = []


def _under_readers(
    folder: Path,
    suffix: str,
    tries: int,
    strike: Callable[[Versions], Callable[[], None]],
    half_gone: tuple[type[QwellError], ...] = (),
) -> Tally:
    """Strike every reader `tries` times: before the first shard is opened, the second … and over again.

    `half_gone` are errors that threads may meet that read while another one deletes file by file.
    """
    hook = _HOOK[0] if _HOOK else _Hook()
    _HOOK[:] = [hook]
    v, tally = Versions(folder, suffix), Tally()
    for name, read in READERS.items():
        read_whole(v, read)
        struck = noticed = k = 0
        while struck < tries:
            v.stand()
            what, cache = f"{name}, shard {k}", str(folder / f"cache{random.random()}")
            with (
                mock.patch.dict(os.environ, QWELL_CACHE=cache),
                tally.one(what),
                hook.before(k, root_of(v.path), strike(v)),
            ):
                try:
                    read(v)
                except DatasetReplaced as error:
                    assert hook.struck and "run the same command again" in str(error), error
                    noticed += 1
                except half_gone as error:
                    assert hook.struck and ("missing" in str(error) or "damaged" in str(error)), error
                    one_line(error)
            if not (hit := hook.hit):  # there are not so many shards to open
                tally.tries -= 1
                assert k, f"{name} opens no shard"
            struck, k = struck + hit, k + 1 if hit else 0
            shutil.rmtree(cache, ignore_errors=True)
        with tally.one(name, times=0):
            assert noticed, "never notices"
    return tally


def read_whole(v: Versions, read: Callable[[Versions], None]) -> None:
    """Nobody disturbs: what a reader learns of the old data set once is learned."""
    v.stand()
    with mock.patch.dict(os.environ, QWELL_CACHE=str(v.folder / "cache")):
        read(v)


def replaced_under_readers(folder: Path, suffix: str, tries: int) -> Outcome:
    """`--force` puts another data set in the place while it is read, copied, sent or verified."""
    tally = _under_readers(folder, suffix, tries, lambda v: v.replace)
    return tally.outcome("the rows of the version that was opened, or one line that says it was replaced")


def removed_under_readers(folder: Path, suffix: str, tries: int) -> Outcome:
    """The data set is deleted while it is read, copied, sent or verified."""
    half_gone = (DatasetDamaged, TransferError)
    tally = _under_readers(folder, suffix, tries, lambda v: v.remove, half_gone)
    return tally.outcome("the rows of the version that was opened, or one line that says it is gone")


def stale_shards(folder: Path, suffix: str, tries: int) -> Outcome:
    """A shard of another place or version, of the same size and with good checksums of its own.

    In every position: renamed over the right one, or written into its file, before opening or while open.
    """
    v, tally = Versions(folder, suffix), Tally()
    shards = open_dataset(v.old)["train"].shards
    fields = ("energy", "potential") if suffix == ".zarr" else ("energy",)
    swaps = [(i, v.old, j) for i, j in permutations(range(shards), 2)]
    swaps += [(i, v.new, i) for i in range(shards)]
    for n, (field, swap) in enumerate((f, s) for f in fields for s in swaps[:: max(1, len(swaps) // tries)]):
        position, source, other = swap
        stale = shard_file(source, field=field, shard=other).read_bytes()
        for in_place in (False, True):
            for open_before in (False, True):
                with tally.one(f"{field} {position} {other} of {source}"):
                    _swap_in(v, field, position, stale, in_place, open_before, n)
    return tally.outcome("refused by reading, named by verify")


def _swap_in(
    v: Versions, field: str, position: int, stale: bytes, in_place: bool, open_before: bool, stamp: int
) -> None:
    """Put a stale shard there and read it, by who was there before and who comes then."""
    path = v.stand()
    opened = open_dataset(path)
    if open_before:
        opened["train"].shard(position)  # known to be good
    victim = shard_file(path, field=field, shard=position)
    if in_place:
        victim.write_bytes(stale)
    else:
        (v.folder / "stale").write_bytes(stale)
        (v.folder / "stale").rename(victim)
    os.utime(victim, ns=(stamp, stamp))
    for reader in [opened, open_dataset(path)]:
        try:
            reader["train"].shard(position)
        except DatasetDamaged as error:
            assert "sha256" in str(error), error
        else:
            raise WrongNumbers("it was read")
    problems = list(verify_files(path, root_of(path), opened.manifest))
    assert len(problems) == 1 and "sha256" in problems[0], problems


VERSIONS: list[tuple[str, Scenario, int, int]] = [
    ("replaced under a reader", replaced_under_readers, 20, 3),
    ("removed under a reader", removed_under_readers, 20, 2),
    ("a shard of another place or version", stale_shards, 50, 6),
]
