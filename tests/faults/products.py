"""Bits that flip in what is made of data sets: models, checkpoints, copies in the cache, unfinished work.

Scenarios as in `scenarios.py`; whatever is damaged ends in the right numbers or in one line. What can be made
or fetched again is, without a word.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from faults.hostile import little_memory
from faults.kills import PowerCut, limited
from faults.trying import (
    SMALL,
    Outcome,
    Scenario,
    Tally,
    WrongNumbers,
    all_rows,
    deadline,
    flip,
    make,
    one_line,
    same,
)
from support import content, end_of, root_of

from qwell.datagen import pipeline
from qwell.errors import ManifestError, QwellError, QwellWarning
from qwell.models.registry import create_model, load_pretrained, pretrained, save_pretrained
from qwell.store import staging
from qwell.store.manifest import Manifest, dump_json
from qwell.store.reader import load_manifest, locate, open_dataset
from qwell.store.verify import verify_files
from qwell.train.checkpoint import LAST, PREVIOUS, load_checkpoint, save_checkpoint
from qwell.train.config import EigenConfig
from qwell.train.eigen import begin, train_eigen
from qwell.train.runs import Run
from qwell.train.stream import open_stream

Tensors = dict[str, torch.Tensor]


def cut(path: Path, dice: random.Random) -> None:
    """Cut a file short, anywhere."""
    os.truncate(path, dice.randrange(path.stat().st_size))


def gone(path: Path, dice: random.Random) -> None:
    """Delete a file."""
    path.unlink()


def damages(tries: int) -> list[Callable[[Path, random.Random], None]]:
    """So many flips, and among them a quarter as many cuts and deletions."""
    return [change for i in range(tries) for change in ((flip, cut, gone) if i % 4 == 3 else (flip,))]


def any_of(folder: Path, dice: random.Random, names: str = "*") -> Path:
    return dice.choice(sorted(p for p in folder.rglob(names) if p.is_file()))


def refused(error: QwellError) -> None:
    """An error that may end a try: one line, that names what is damaged."""
    one_line(error)
    assert any(word in str(error) for word in ("damaged", "missing", "holds", "is not", "belongs")), error


def models(folder: Path, suffix: str, tries: int) -> Outcome:
    """A model's weights or configuration damaged, then loaded and asked."""
    tally, dice = Tally(), random.Random(7)
    ask = torch.from_numpy(np.random.default_rng(0).normal(0, 100, (3, 101)).astype(np.float32))
    kept = {"mlp": folder / "mlp", "linear": folder / "linear"}
    for name, options in (("mlp", {"hidden": [16]}), ("linear", {})):
        torch.manual_seed(1)
        save_pretrained(create_model(name, **options), kept[name], {"data": "m3.zarr"})
    kept["hamiltonian"] = pretrained()["hamiltonian-m3"]
    truth = {name: load_pretrained(path)(ask) for name, path in kept.items()}
    for i, change in enumerate(damages(tries)):
        name = sorted(kept)[i % 3]
        here = shutil.copytree(kept[name], folder / f"{i}")
        victim = any_of(here, dice)
        change(victim, dice)
        with tally.one(f"{change.__name__} in {victim}"), warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                if not torch.equal(load_pretrained(here)(ask), truth[name]):
                    raise WrongNumbers("other predictions")
            except QwellError as error:
                refused(error)
        shutil.rmtree(here)
    return tally.outcome("refused in one line")


def _states(folder: Path) -> list[Tensors]:
    """Two checkpoints of a training, and what each holds: the one before first."""
    torch.manual_seed(2)
    model = create_model("mlp", hidden=[16])
    optimizer, held = torch.optim.Adam(model.parameters()), []
    for update in (10, 20):
        model(torch.randn(4, 101)).square().sum().backward()
        optimizer.step()
        state = {"update": update, "seconds": 1.5, "loss_sum": 0.25, "stream": {"epoch": 1, "index": update}}
        save_checkpoint(folder, model, optimizer, state)
        held.append(_held(model, optimizer, state))
    return held


def _held(model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: object) -> Tensors:
    """Everything that a training goes on from."""
    moments = [optimizer.state[p] for p in model.parameters()]
    tensors = {f"{i} {key}": value.clone() for i, each in enumerate(moments) for key, value in each.items()}
    tensors |= {name: value.clone() for name, value in model.state_dict().items()}
    text = json.dumps(state, sort_keys=True).encode()
    return {**tensors, "random": torch.get_rng_state(), "state": torch.tensor(list(text))}


def _equal(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def checkpoints(folder: Path, suffix: str, tries: int) -> Outcome:
    """The last checkpoint of a training damaged, or that before it, or both, then taken up."""
    tally, dice = Tally(), random.Random(8)
    truths = _states(folder / "whole")
    for i, change in enumerate(damages(tries)):
        here = shutil.copytree(folder / "whole", folder / f"{i}")
        for name in {0: (LAST, PREVIOUS), 1: (PREVIOUS,)}.get(i % 10, (LAST,)):
            change(here / name, dice)
        with tally.one(f"{change.__name__} {i}"), warnings.catch_warnings():
            warnings.simplefilter("ignore", QwellWarning)  # that it goes on from the one before
            model = create_model("mlp", hidden=[16])
            optimizer = torch.optim.Adam(model.parameters())
            try:
                state = load_checkpoint(here, model, optimizer)
                if state is not None and not any(
                    _equal(_held(model, optimizer, state), truth) for truth in truths
                ):
                    raise WrongNumbers("another state was taken up")
            except QwellError as error:
                refused(error)
        shutil.rmtree(here)
    return tally.outcome("taken up from the one before, or refused in one line")


def runs(folder: Path, suffix: str, tries: int) -> Outcome:
    """Any file of an interrupted run damaged, then --resume: the weights of an undisturbed training."""
    tally, dice, data = Tally(), random.Random(9), open_dataset(make(folder / "x.zarr", SMALL))
    settings = {
        "model": "mlp",
        "options": {"hidden": [8]},
        "batch": 300,
        "log_every": 2,
        "checkpoint_every": 4,
    }
    config = EigenConfig(data=str(data.path), digest=data.digest, updates=16, **settings)  # type: ignore[arg-type]
    whole, stopped = begin(config, folder / "whole"), begin(config, folder / "stopped")
    train_eigen(whole, "cpu")
    truth = (whole.model / "model.safetensors").read_bytes()

    def stop(update: int, row: object) -> None:
        if update == 10:
            raise PowerCut

    with contextlib.suppress(PowerCut):
        train_eigen(stopped, "cpu", stop)
    for i, change in enumerate(damages(tries)):
        run = Run(shutil.copytree(stopped.path, folder / f"{i}"))
        victim = any_of(run.path, dice)
        change(victim, dice)
        with tally.one(f"{change.__name__} in {victim}"), warnings.catch_warnings():
            warnings.simplefilter("ignore", QwellWarning)
            try:
                train_eigen(Run.open(run.path), "cpu")
                if (run.model / "model.safetensors").read_bytes() != truth:
                    raise WrongNumbers("other weights")
                assert [row["update"] for row in run.metrics()][-1] == 16
            except QwellError as error:
                one_line(error)
        shutil.rmtree(run.path)
    return tally.outcome("the weights of the undisturbed training, or refused in one line")


def mirror(folder: Path, suffix: str, tries: int) -> Outcome:
    """The decoded copy of a data set in the cache damaged, or its checksum: made again."""
    tally, dice, data = Tally(), random.Random(10), open_dataset(make(folder / f"x{suffix}", SMALL))
    resident = open_stream(data, "resident", batch=100)
    truth = [next(resident)[0].clone() for _ in range(resident.batches)]
    with mock.patch.dict(os.environ, QWELL_CACHE=str(folder / "cache")):
        for change in (lambda p, dice: None, *damages(tries)):  # type: ignore[misc]
            if tally.tries:
                change(any_of(folder / "cache/mirror", dice), dice)
            with tally.one(change.__name__):
                stream = open_stream(data, "mirror", batch=100)
                if not all(torch.equal(next(stream)[0], batch) for batch in truth):
                    raise WrongNumbers("other batches")
    return tally.outcome("made again: the right numbers")


def cache(folder: Path, suffix: str, tries: int) -> Outcome:
    """A file of a remote data set in the cache damaged: fetched again."""
    tally, dice, path = Tally(), random.Random(6), make(folder / f"x{suffix}", SMALL)
    truth = all_rows(path)
    with mock.patch.dict(os.environ, QWELL_CACHE=str(folder / "cache")):
        read = open_dataset(f"file://{path}")
        for change in damages(tries):
            with tally.one(change.__name__):
                for reader in (read, open_dataset(f"file://{path}")):
                    for name, values in truth.items():
                        split, field = name.split("/")
                        np.testing.assert_array_equal(reader[split][field][:], values)
            change(any_of(folder / "cache/remote", dice, "[!p]*"), dice)  # not provenance.json
    return tally.outcome("fetched again: the right numbers")


def unfinished(folder: Path, suffix: str, tries: int) -> Outcome:
    """A file of an unfinished data set damaged, then --resume, or `finalise` where all shards are made."""
    tally, dice, reference = Tally(), random.Random(11), content(make(folder / f"reference{suffix}", SMALL))
    stops = {
        "half": mock.patch.object(pipeline, "write_shard", side_effect=limited(1, pipeline.write_shard)),
        "all": mock.patch.object(pipeline.DatasetWriter, "finish", side_effect=PowerCut),
        "named": mock.patch.object(staging.Staging, "rename", side_effect=PowerCut),
    }
    begun = {name: folder / name / f"x{suffix}" for name in stops}
    for name, stop in stops.items():
        with stop, contextlib.suppress(PowerCut):
            make(begun[name], SMALL)
    for i, change in enumerate(damages(tries)):
        name = sorted(begun)[i % 3]
        path = shutil.copytree(begun[name].parent, folder / f"{i}") / f"x{suffix}"
        change(any_of(path.parent, dice), dice)
        with tally.one(f"{change.__name__} {name} {i}"), warnings.catch_warnings():
            warnings.simplefilter("ignore", QwellWarning)  # of versions that a flip has changed
            try:
                if name == "half":
                    make(path, SMALL, resume=True)
                else:
                    pipeline.finalise(path)
                if name != "named" or not named_by_verify(path):
                    same(path, reference)
            except QwellError as error:
                one_line(error)
        shutil.rmtree(path.parent)
    return tally.outcome("identical, or refused in one line, or (all but renamed) named by verify")


def named_by_verify(path: Path) -> list[str]:
    root = locate(path)
    return list(verify_files(path, root, load_manifest(root)))


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
            with deadline():
                changed = _mutated(content, dice)
                if _accepted(changed, i):
                    file.write_bytes(changed)
                    _says_nothing_wrong(path, truth)

    said = end_of(attempt, little_memory, seconds=60 * tries)
    if "Arrays are not" in said:
        raise WrongNumbers(said)
    assert said == "no error", said
    return tries, "refused, or another version that says nothing wrong about the rows"


def _accepted(changed: bytes, i: int) -> bool:
    try:
        manifest = Manifest.decode(changed)
    except ManifestError as error:
        one_line(error)
        return False
    assert manifest.encode() == changed, f"mutation {i} is accepted and not as we write"
    return True


def _says_nothing_wrong(path: Path, truth: dict[str, np.ndarray]) -> None:
    """Whatever of the rows can be read is what it was."""
    try:
        found = all_rows(path)
    except QwellError as error:
        one_line(error)
        return
    for name in found.keys() & truth.keys():
        np.testing.assert_array_equal(found[name], truth[name])


# name, scenario, tries in full, tries in the tests; on no back end in particular
PRODUCTS: list[tuple[str, Scenario, int, int]] = [
    ("bit flips in models", models, 200, 10),
    ("bit flips in checkpoints", checkpoints, 200, 10),
    ("bit flips in interrupted runs", runs, 200, 10),
]
# the same, on each back end
COPIES: list[tuple[str, Scenario, int, int]] = [
    ("bit flips in the mirror", mirror, 200, 10),
    ("bit flips in the cache of a remote data set", cache, 200, 10),
    ("bit flips in an unfinished data set", unfinished, 200, 10),
    ("a manifest with something changed", mutated_manifests, 5000, 250),
]
