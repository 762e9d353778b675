"""Data sets, tables and models made by somebody who means harm. None is executed, none leads out.

Each trap is laid in a directory and returns the actions of a person who walks into it. Every action is done in
a process of its own with little memory, and must end in an error that says what is wrong; nothing may be
executed (a canary would be born), nothing written outside the directory given.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch
from safetensors.torch import save_file
from support import copy_of, end_of, forge_file, forge_manifest, root_of, shard_file

import qwell.store.remote
import qwell.store.zarr_backend
from qwell.datagen.recipes.imported import import_spectra
from qwell.files import file_sha256, seal
from qwell.models.registry import create_model, load_pretrained, save_pretrained
from qwell.models.tensors import write_tensors
from qwell.store.manifest import MAX_MANIFEST_BYTES
from qwell.store.reader import load_manifest, locate, open_dataset
from qwell.store.tables import read_arrays, read_table
from qwell.store.transfer import pull
from qwell.store.verify import verify_files
from qwell.train.checkpoint import load_checkpoint, save_checkpoint

MEMORY = 2**30  # that an action may take beyond what the process has
Actions = dict[str, Callable[[], object]]


class Canary:
    """Gives birth to a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def little_memory() -> None:
    """Leave this process a gigabyte more than it has."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


def uses(path: Path, folder: Path) -> Actions:
    """What a person does with a data set."""

    def read() -> None:
        data = open_dataset(path)
        for split in data.splits.values():
            for i in range(split.shards):
                split.shard(i)

    def check() -> None:
        root = locate(path)
        for problem in verify_files(path, root, load_manifest(root)):
            raise qwell.errors.DatasetDamaged(problem)
        read()  # what verify cannot know: the manifest vouches for it

    def fetch() -> None:
        pull(f"file://{path}", folder / f"pulled{path.suffix}")
        read()

    def remote() -> None:
        open_dataset(f"file://{path}")["train"].shard(1)

    return {"open and read": read, "verify": check, "pull": fetch, "read from afar": remote}


def _forged(change: dict[str, object]) -> Callable[[Path, Path, Path], Actions]:
    def lay(path: Path, folder: Path, canary: Path) -> Actions:
        forge_manifest(path, **change)
        return uses(path, folder)

    return lay


def _coordinate(value: object) -> Callable[[Path, Path, Path], Actions]:
    """A manifest with this as the first value of its first coordinate."""

    def lay(path: Path, folder: Path, canary: Path) -> Actions:
        coordinates = json.loads((root_of(path) / "manifest.json").read_text())["coordinates"]
        coordinates[0]["values"][0] = value
        forge_manifest(path, coordinates=coordinates)
        return uses(path, folder)

    return lay


def _renamed_file(name: str) -> Callable[[Path, Path, Path], Actions]:
    """One more file in the manifest, under a name that leads elsewhere."""

    def lay(path: Path, folder: Path, canary: Path) -> Actions:
        files = json.loads((root_of(path) / "manifest.json").read_text())["files"]
        forge_manifest(path, files=files | {name: [5, "0" * 64]})
        return uses(path, folder)

    return lay


def shard_not_listed(path: Path, folder: Path, canary: Path) -> Actions:
    """A manifest that keeps quiet about a shard."""
    files = json.loads((root_of(path) / "manifest.json").read_text())["files"]
    files.pop(shard_file(path).relative_to(root_of(path)).as_posix())
    forge_manifest(path, files=files)
    return uses(path, folder)


def _manifest_text(edit: Callable[[str], str]) -> Callable[[Path, Path, Path], Actions]:
    def lay(path: Path, folder: Path, canary: Path) -> Actions:
        file = root_of(path) / "manifest.json"
        file.write_text(edit(file.read_text()))
        (root_of(path) / "provenance.json").unlink()
        return uses(path, folder)

    return lay


def huge_manifest(path: Path, folder: Path, canary: Path) -> Actions:
    """A terabyte of zeros that takes no room on the disk."""
    os.truncate(root_of(path) / "manifest.json", 2**40)
    return uses(path, folder)


def full_of_nothing(path: Path, folder: Path, canary: Path) -> Actions:
    """A manifest of the largest size allowed, millions of empty objects: each takes 24 times its text."""
    file = root_of(path) / "manifest.json"
    file.write_text('{"format": [' + "{}," * ((MAX_MANIFEST_BYTES - 20) // 3) + "{}]}")
    return uses(path, folder)


def linked_shard(path: Path, folder: Path, canary: Path) -> Actions:
    """A shard that is a link to something outside."""
    victim = shard_file(path)
    (folder / "outside").write_bytes(victim.read_bytes())
    victim.unlink()
    victim.symlink_to(folder / "outside")
    actions = uses(path, folder)
    return {name: actions[name] for name in ("open and read", "verify")}  # from afar, content is content


def pickle_for_shard(path: Path, folder: Path, canary: Path) -> Actions:
    """A pickle in place of a shard, vouched for by the manifest."""
    victim = shard_file(path)
    victim.write_bytes(pickle.dumps(Canary(canary)))
    forge_file(path, victim)
    return uses(path, folder)


def index_that_lies(path: Path, folder: Path, canary: Path) -> Actions:
    """A Zarr shard whose index says that a chunk has an exabyte, or lies before the beginning."""
    import google_crc32c

    victim = shard_file(path)
    content = bytearray(victim.read_bytes())
    content[-20:-4] = struct.pack("<QQ", 2**63, 2**60)
    content[-4:] = struct.pack("<I", google_crc32c.value(bytes(content[-20:-4])))
    victim.write_bytes(content)
    forge_file(path, victim)
    return uses(path, folder)


def _metadata(change: Callable[[dict[str, object]], None]) -> Callable[[Path, Path, Path], Actions]:
    """Array metadata of Zarr that the manifest vouches for."""

    def lay(path: Path, folder: Path, canary: Path) -> Actions:
        victim = root_of(path) / "train/energy/zarr.json"
        metadata = json.loads(victim.read_text())
        change(metadata)
        victim.write_text(json.dumps(metadata))
        forge_file(path, victim)
        return uses(path, folder)

    return lay


def _bomb(metadata: dict[str, object]) -> None:
    inner = metadata["codecs"][0]["configuration"]  # type: ignore[index]
    inner["codecs"] = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "gzip", "configuration": {"level": 9}},
    ]


def _hdf5(change: Callable[[h5py.File], None]) -> Callable[[Path, Path, Path], Actions]:
    """A shard in HDF5 that the manifest vouches for."""

    def lay(path: Path, folder: Path, canary: Path) -> Actions:
        victim = shard_file(path)
        with h5py.File(victim, "r+") as file:
            del file["energy"]
            change(file)
        forge_file(path, victim)
        return uses(path, folder)

    return lay


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((1000, 10), "f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "energy", (1000, 10), "f8")
    file.create_virtual_dataset("energy", layout)


def pickled_npy(path: Path, folder: Path, canary: Path) -> Actions:
    np.save(folder / "a.npy", np.array([Canary(canary)], object), allow_pickle=True)
    return {"predict": lambda: read_table(folder / "a.npy")}


def pickled_npz(path: Path, folder: Path, canary: Path) -> Actions:
    np.savez(folder / "a.npz", potential=np.array([Canary(canary)], object))
    return {"import": lambda: read_arrays(folder / "a.npz", {"potential": "potential"})}


def zip_bomb(path: Path, folder: Path, canary: Path) -> Actions:
    """A few megabytes that unpack to 8 GB of zeros."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**7, 100)}
    )
    with (
        zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("potential.npy", "w", force_zip64=True) as file,
    ):
        file.write(header.getvalue())
        for _ in range(1000):
            file.write(b"\0" * 1_000_000)
    return {"import": lambda: read_arrays(folder / "a.npz", {"potential": "potential"})}


def npy_that_lies(path: Path, folder: Path, canary: Path) -> Actions:
    """A header that claims terabytes, and nothing behind it."""
    with (folder / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (10**10, 101)}
        )
    return {"predict": lambda: read_table(folder / "a.npy")}


def huge_hdf5_table(path: Path, folder: Path, canary: Path) -> Actions:
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("potential", (10**9, 101), "f8", chunks=(1000, 101), compression="gzip")
    return {"import": lambda: read_arrays(folder / "a.h5", {"potential": "potential"})}


def linked_hdf5_table(path: Path, folder: Path, canary: Path) -> Actions:
    with h5py.File(folder / "a.h5", "w") as file:
        file["potential"] = h5py.ExternalLink("/etc/passwd", "/potential")
    return {"import": lambda: read_arrays(folder / "a.h5", {"potential": "potential"})}


def nan_potentials(path: Path, folder: Path, canary: Path) -> Actions:
    return {"import": lambda: import_spectra(np.full((5, 101), np.nan), folder / "x.zarr")}


def _model(folder: Path) -> Path:
    save_pretrained(create_model("mlp", hidden=[8]), folder / "model")
    return folder / "model"


def _forge_weights(model: Path) -> None:
    """Let the configuration say that the weights are as they should be."""
    config = json.loads((model / "config.json").read_text())
    config["weights_sha256"] = file_sha256(model / "model.safetensors")
    (model / "config.json").write_bytes(seal(config))


def pickle_for_weights(path: Path, folder: Path, canary: Path) -> Actions:
    model = _model(folder)
    (model / "model.safetensors").write_bytes(pickle.dumps(Canary(canary)))
    _forge_weights(model)
    return {"load_model": lambda: load_pretrained(model)}


def torch_file_for_weights(path: Path, folder: Path, canary: Path) -> Actions:
    model = _model(folder)
    torch.save(Canary(canary), model / "model.safetensors")
    _forge_weights(model)
    return {"load_model": lambda: load_pretrained(model)}


def header_that_lies(path: Path, folder: Path, canary: Path) -> Actions:
    """Weights whose header claims to be an exabyte long."""
    model = _model(folder)
    (model / "model.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}")
    _forge_weights(model)
    return {"load_model": lambda: load_pretrained(model)}


def _config(change: dict[str, object]) -> Callable[[Path, Path, Path], Actions]:
    def lay(path: Path, folder: Path, canary: Path) -> Actions:
        model = _model(folder)
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_bytes(seal(config | change))
        return {"load_model": lambda: load_pretrained(model)}

    return lay


def model_with_code(path: Path, folder: Path, canary: Path) -> Actions:
    return _config({"model": f"__import__('os').mkdir({str(canary)!r})"})(path, folder, canary)


def pickle_for_checkpoint(path: Path, folder: Path, canary: Path) -> Actions:
    model = create_model("mlp", hidden=[8])
    (folder / "c").mkdir()
    (folder / "c/last.safetensors").write_bytes(pickle.dumps(Canary(canary)))
    return {"resume": lambda: load_checkpoint(folder / "c", model, torch.optim.Adam(model.parameters()))}


def _checkpoint(state: object) -> Callable[[Path, Path, Path], Actions]:
    """A checkpoint whose state is not what we write."""

    def lay(path: Path, folder: Path, canary: Path) -> Actions:
        model = create_model("mlp", hidden=[8])
        optimizer = torch.optim.Adam(model.parameters())
        model(torch.zeros(1, 101)).sum().backward()
        optimizer.step()
        save_checkpoint(folder / "c", model, optimizer, state)  # type: ignore[arg-type]
        return {"resume": lambda: load_checkpoint(folder / "c", model, optimizer)}

    return lay


def checkpoint_of_a_list(path: Path, folder: Path, canary: Path) -> Actions:
    """A header whose entry is no object."""
    model = create_model("mlp", hidden=[8])
    (folder / "c").mkdir()
    save_file(model.state_dict(), folder / "c/last.safetensors", metadata={"qwell": "[1, 2]"})
    return {"resume": lambda: load_checkpoint(folder / "c", model, torch.optim.Adam(model.parameters()))}


def checkpoint_of_shapes(path: Path, folder: Path, canary: Path) -> Actions:
    """Random state of the wrong shape and type."""
    model = create_model("mlp", hidden=[8])
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()} | {"random": torch.zeros(3)}
    for name, parameter in model.named_parameters():
        tensors[f"adam.{name}.step"] = torch.zeros(())
        tensors |= {f"adam.{name}.{k}": torch.zeros_like(parameter) for k in ("exp_avg", "exp_avg_sq")}
    (folder / "c").mkdir()
    state = {"update": 1, "seconds": 0.0, "loss_sum": 0.0, "stream": {"epoch": 0, "index": 0}}
    write_tensors(folder / "c/last.safetensors", tensors, state)
    return {"resume": lambda: load_checkpoint(folder / "c", model, torch.optim.Adam(model.parameters()))}


FIELD = {"name": "a", "dims": ["x"], "shape": [2], "dtype": "float32", "units": "", "long_name": ""}
MANY_SHARDS = {"rows": 2**40, "shard_rows": 1, "chunk_rows": 1}
TERABYTES = {"rows": 2**40, "shard_rows": 2**40, "chunk_rows": 2**40}
# name, trap, back ends
TRAPS: list[tuple[str, Callable[[Path, Path, Path], Actions], tuple[str, ...]]] = [
    ("path traversal in the manifest", _renamed_file("../../evil"), (".zarr", ".h5")),
    ("absolute path in the manifest", _renamed_file("/tmp/evil"), (".zarr", ".h5")),
    ("Windows path in the manifest", _renamed_file("C:\\evil"), (".zarr", ".h5")),
    ("control characters in a file name", _renamed_file("train/a\x1b[2Jb"), (".zarr", ".h5")),
    ("new line in a file name", _renamed_file("train/a\nb"), (".zarr", ".h5")),
    ("control characters in a field name", _forged({"fields": [FIELD | {"name": "a\x07"}]}), (".zarr", ".h5")),
    ("shard that the manifest does not list", shard_not_listed, (".zarr", ".h5")),
    ("shard is a link to the outside", linked_shard, (".zarr", ".h5")),
    ("duplicate keys in the manifest", _manifest_text(lambda t: t.replace('"kind"', '"kind": "x", "kind"', 1)), (".zarr", ".h5")),
    ("NaN in the manifest", _manifest_text(lambda t: t.replace("100.0", "NaN", 1)), (".zarr", ".h5")),
    ("Infinity in the manifest", _manifest_text(lambda t: t.replace("100.0", "Infinity", 1)), (".zarr", ".h5")),
    ("number that overflows to infinity", _manifest_text(lambda t: t.replace("-1.0", "-1e999", 1)), (".zarr", ".h5")),
    ("coordinate that is text", _coordinate("inf"), (".zarr", ".h5")),
    ("coordinate beyond all numbers", _coordinate(10**400), (".zarr", ".h5")),
    ("bottomless nesting", _manifest_text(lambda t: '{"a":' * 200_000), (".zarr", ".h5")),
    ("manifest cut short", _manifest_text(lambda t: t[: len(t) // 2]), (".zarr", ".h5")),
    ("manifest of a terabyte", huge_manifest, (".zarr", ".h5")),
    ("2⁴⁰ rows in one chunk", _forged({"splits": {"train": TERABYTES}}), (".zarr", ".h5")),
    ("2⁴⁰ shards", _forged({"splits": {"train": MANY_SHARDS}}), (".zarr", ".h5")),
    ("a manifest of millions of empty objects", full_of_nothing, (".zarr", ".h5")),
    ("a key more in the manifest", _forged({"note": "harmless"}), (".zarr", ".h5")),
    ("the manifest formatted anew", _manifest_text(lambda t: t.replace("\n", "\n ")), (".zarr", ".h5")),
    ("half a character in the manifest", _manifest_text(lambda t: t.replace('"grouped"', '"\\ud800"').replace('"m3"', '"\\ud800"')), (".zarr", ".h5")),
    ("a recipe nested hundreds deep", _manifest_text(lambda t: t.replace('"m3"', "[" * 900 + "]" * 900)), (".zarr", ".h5")),
    ("a number of 5,000 digits", _manifest_text(lambda t: t.replace("100.0", "9" * 5000, 1)), (".zarr", ".h5")),
    ("rows of 2⁶⁰ values", _forged({"fields": [FIELD | {"shape": [2**30, 2**30], "dims": ["x", "y"]}]}), (".zarr", ".h5")),
    ("negative number of rows", _forged({"splits": {"train": {"rows": -1, "shard_rows": 1, "chunk_rows": 1}}}), (".zarr", ".h5")),
    ("object arrays in the manifest", _forged({"fields": [FIELD | {"dtype": "object"}]}), (".zarr", ".h5")),
    ("void type in the manifest", _forged({"fields": [FIELD | {"dtype": "V8"}]}), (".zarr", ".h5")),
    ("unknown back end", _forged({"storage": "pickle"}), (".zarr", ".h5")),
    ("pickle in place of a shard", pickle_for_shard, (".zarr", ".h5")),
    ("chunk index that claims an exabyte", index_that_lies, (".zarr",)),
    ("compression bomb by codec", _metadata(_bomb), (".zarr",)),
    ("codec that unpickles", _metadata(lambda m: m["codecs"][0]["configuration"].update(codecs=[{"name": "numcodecs.pickle"}])), (".zarr",)),  # type: ignore[index]
    ("object type in array metadata", _metadata(lambda m: m.update(data_type="object")), (".zarr",)),
    ("huge shape in array metadata", _metadata(lambda m: m.update(shape=[2**50, 10])), (".zarr",)),
    ("storage transformer", _metadata(lambda m: m.update(storage_transformers=[{"name": "evil"}])), (".zarr",)),
    ("compression bomb", _hdf5(lambda f: f.create_dataset("energy", (1000, 10), "f8", compression="gzip", fletcher32=True)), (".h5",)),
    ("bytes shuffled within their chunk", _hdf5(lambda f: f.create_dataset("energy", (1000, 10), "f8", chunks=(1000, 10), shuffle=True, fletcher32=True, data=np.ones((1000, 10)))), (".h5",)),
    ("soft link in a shard", _hdf5(lambda f: f.__setitem__("energy", h5py.SoftLink("/potential"))), (".h5",)),
    ("external link in a shard", _hdf5(lambda f: f.__setitem__("energy", h5py.ExternalLink("/etc/passwd", "/a"))), (".h5",)),
    ("external storage", _hdf5(lambda f: f.create_dataset("energy", (1000, 10), "f8", external=[("/etc/passwd", 0, 80000)])), (".h5",)),
    ("virtual array over another file", _hdf5(_virtual), (".h5",)),
    ("chunk of gigabytes", _hdf5(lambda f: f.create_dataset("energy", (1000, 10), "f8", chunks=(2**24, 10), maxshape=(None, 10), fletcher32=True)), (".h5",)),
    ("variable-length strings", _hdf5(lambda f: f.create_dataset("energy", (1000, 10), h5py.string_dtype())), (".h5",)),
    ("object array in .npy", pickled_npy, ("",)),
    ("object array in .npz", pickled_npz, ("",)),
    ("zip bomb in .npz", zip_bomb, ("",)),
    (".npy whose header claims terabytes", npy_that_lies, ("",)),
    ("HDF5 table that claims terabytes", huge_hdf5_table, ("",)),
    ("HDF5 table that links elsewhere", linked_hdf5_table, ("",)),
    ("potentials of NaN", nan_potentials, ("",)),
    ("pickle in place of weights", pickle_for_weights, ("",)),
    ("torch.save file in place of weights", torch_file_for_weights, ("",)),
    ("weights whose header claims an exabyte", header_that_lies, ("",)),
    ("model configuration with code", model_with_code, ("",)),
    ("model of terabytes by configuration", _config({"config": {"points": 101, "levels": 10, "hidden": [10**6, 10**6]}}), ("",)),
    ("model of a million layers", _config({"config": {"points": 101, "levels": 10, "hidden": [1] * 10**6}}), ("",)),
    ("model configuration of wrong types", _config({"config": {"points": "101"}}), ("",)),
    ("pickle in place of a checkpoint", pickle_for_checkpoint, ("",)),
    ("checkpoint whose state is a list", checkpoint_of_a_list, ("",)),
    ("checkpoint with text for numbers", _checkpoint({"update": "x", "seconds": "y", "loss_sum": None, "stream": 3}), ("",)),
    ("checkpoint of wrong shapes", checkpoint_of_shapes, ("",)),
]  # fmt: skip


def walk_into(
    trap: Callable[[Path, Path, Path], Actions], whole: Path | None, folder: Path
) -> dict[str, str]:
    """Lay a trap and walk into it in every way; how each ended. AssertionError if it caught somebody."""
    canary, place = folder / "canary", folder / "work"
    place.mkdir(parents=True)
    path = copy_of(whole, place / f"x{whole.suffix}") if whole else place
    actions = trap(path, place, canary)
    before = {p for p in folder.rglob("*") if place not in p.parents} | set(Path("/tmp").glob("evil*"))
    ends = {}
    for name, action in actions.items():
        ends[name] = end_of(action, little_memory)
        assert not ends[name].startswith(("no error", "unexpected")), f"{name}: {ends[name]}"
        assert not any(ord(c) < 32 for c in ends[name].replace("\n", "")), repr(ends[name])
    after = {p for p in folder.rglob("*") if place not in p.parents} | set(Path("/tmp").glob("evil*"))
    assert not canary.exists(), "it was executed"
    assert after == before, f"written outside: {after - before}"
    return ends
