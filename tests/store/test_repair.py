"""What is damaged is put right to the bit, or left and said; `verify --recipe` makes all again."""

import contextlib
import json
import os
import random
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults.damage import kinds_of_files
from support import begin, content, copy_of, forge_file, forge_manifest, root_of, run, shard_file, wait_until

from qwell import plugins
from qwell.datagen.audit import remake
from qwell.datagen.audit.repair import repair
from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.densities import DensitiesRecipe
from qwell.datagen.recipes.imported import import_spectra
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.datagen.recipes.trajectories import Family, TrajectoriesRecipe
from qwell.errors import (
    DatasetDamaged,
    DatasetLocked,
    DatasetNotFound,
    InvalidInput,
    ManifestError,
    MissingPlugin,
    VersionMismatch,
)
from qwell.files import DirectoryLock, seal
from qwell.physics.propagators.settings import Propagation
from qwell.physics.ring import Ring
from qwell.store.derive import convert, merge, subset
from qwell.store.reader import load_manifest, locate, open_dataset
from qwell.store.staging import finish_master
from qwell.store.transfer import push
from qwell.store.verify import verify_files

RECIPES: dict[str, Any] = {
    "spectra": (SpectraRecipe("m3", n=2500, validation=300, solver="lanes"), 1000),
    "densities": (DensitiesRecipe(n=1500, validation=10, test=10, noise=0.1), 1000),
    "trajectories": (
        TrajectoriesRecipe(
            (Family(x0=(10.0, 20.0, 30.0), e0=(1.0, 2.0, 3.0)),),
            ring=Ring(64.0, 128),
            propagation=Propagation(frames=3),
            validation=2,
        ),
        8,
    ),
}
CASES = [(kind, suffix) for kind in RECIPES for suffix in (".zarr", ".h5")]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "".join(case))
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of every kind in every format; not to be changed."""
    kind, suffix = request.param
    path = tmp_path_factory.mktemp("whole") / f"x{suffix}"
    recipe, rows = RECIPES[kind]
    generate(recipe, path, workers=0, shard_rows=rows)
    return path


def everything(path: Path) -> dict[str, bytes]:
    """Every file of a data set, also its master and the circumstances of its making."""
    master = {"master": path.read_bytes()} if path.is_file() else {}
    return content(path) | master | {"provenance": (root_of(path) / "provenance.json").read_bytes()}


def problems(path: Path) -> list[str]:
    root = locate(path)
    return list(verify_files(path, root, load_manifest(root)))


def flip(path: Path) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[random.Random(1).randrange(len(damaged))] ^= 1
    path.write_bytes(damaged)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "flipped": flip,
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "gone": lambda path: path.unlink(),
}
BY_THE_COPY = ("manifest.json", "provenance.json")


@pytest.mark.parametrize(("damage", "all_at_once"), [*((name, True) for name in DAMAGE), ("gone", False)])
def test_what_is_damaged_is_made_again_to_the_bit(
    whole: Path, tmp_path: Path, damage: str, all_at_once: bool
) -> None:
    path, truth = copy_of(whole, tmp_path / whole.name), everything(whole)
    victims = [file for kind, file in kinds_of_files(path).items() if kind not in BY_THE_COPY]
    for group in [victims] if all_at_once else [[victim] for victim in victims]:
        before = {file: file.stat() for file in root_of(path).rglob("*") if file.is_file()}
        for victim in group:
            DAMAGE[damage](victim)
        done = repair(path)
        assert set(done.mended) == {
            path.name if victim == path else victim.relative_to(root_of(path)).as_posix() for victim in group
        }
        assert not done.left and not problems(path) and everything(path) == truth
        for file, status in before.items():
            assert file in group or (file.stat().st_ino, file.stat().st_mtime_ns) == (
                status.st_ino, status.st_mtime_ns
            ), f"{file} was not damaged"  # fmt: skip
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    assert repair(path).mended == {}


def test_all_is_brought_from_a_copy(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even the manifest and the circumstances, which no recipe makes; and no recipe is asked."""
    monkeypatch.setattr("qwell.datagen.audit.repair.shard_files", None)
    path, truth = copy_of(whole, tmp_path / whole.name), everything(whole)
    digest = open_dataset(whole).digest
    for victim in kinds_of_files(path).values():
        if victim.name != "manifest.json":
            flip(victim)
    assert not repair(path, f"file://{whole}@{digest[:8]}").left
    assert everything(path) == truth and not problems(path)
    shard_file(path, field=open_dataset(path).plan.fields[0].name, shard=0).unlink()
    flip(root_of(path) / "manifest.json")
    assert len(repair(path, f"{whole}@{digest[:8]}").mended) == 2
    assert everything(path) == truth


def test_what_is_made_otherwise_is_never_put_in_place(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = SpectraRecipe.rows

    def other(self: SpectraRecipe, *span: Any) -> dict[str, np.ndarray]:
        made = rows(self, *span)
        return made | {"energy": np.nextafter(made["energy"], np.inf)}

    monkeypatch.setattr(SpectraRecipe, "rows", other)
    victim = shard_file(copy)
    flip(victim)
    before = content(copy)
    said = run("qdata", "repair", copy, cwd=copy.parent, code=1)
    assert content(copy) == before
    assert f"{victim.relative_to(root_of(copy))} was made again by the recipe, and its sha256" in said.stdout
    made = next(iter(json.loads((root_of(copy) / "provenance.json").read_text())["shards_made_with"]))
    assert f"it was made by {made}" in said.stderr and "--from URL" in said.stderr
    answer = run("qdata", "repair", copy, "--json", cwd=copy.parent, code=1).json
    assert answer["mended"] == {} and len(answer["left"]) == 1 and made in answer["remedy"]


def test_a_recipe_of_other_arrays_is_refused(copy: Path) -> None:
    recipe = SpectraRecipe("m3", n=3500, validation=500, solver="lanes", levels=3).to_json()
    forge_manifest(copy, recipe=recipe)
    shard_file(copy).unlink()
    with pytest.raises(InvalidInput, match="makes no energy of"):
        repair(copy)


def test_a_copy_of_another_version_is_refused(copy: Path, tmp_path: Path) -> None:
    other = tmp_path / f"other{copy.suffix}"
    generate(SpectraRecipe("m3", n=3500, validation=500, solver="lanes", seed=1), other, workers=0)
    flip(shard_file(copy))
    before = everything(copy)
    with pytest.raises(VersionMismatch, match="name a copy of the same version"):
        repair(copy, str(other))
    with pytest.raises(VersionMismatch, match="not 00000000"):
        repair(copy, f"{other}@00000000")
    with pytest.raises(DatasetNotFound):
        repair(copy, str(tmp_path / "none.zarr"))
    assert everything(copy) == before


def test_a_file_that_is_damaged_in_the_copy_too_is_left(stored: Path, copy: Path, tmp_path: Path) -> None:
    there = copy_of(stored, tmp_path / f"there{stored.suffix}")
    for path in (copy, there):
        flip(shard_file(path))
    shard_file(copy, shard=2).unlink()
    done = repair(copy, str(there))
    assert list(done.mended) == [shard_file(copy, shard=2).relative_to(root_of(copy)).as_posix()]
    assert len(done.left) == 1 and "are not those of the manifest" in done.left[0]


DERIVED = {
    "imported": "it was imported",
    "a subset": "it is a subset",
    "merged": "it was merged",
    "converted": "",
}


@pytest.mark.parametrize("how", DERIVED)
def test_what_has_no_recipe_is_brought(how: str, stored: Path, tmp_path: Path) -> None:
    """What describes its shards is made again; what was converted has the recipe of its source."""
    data, path = open_dataset(stored), tmp_path / "derived.zarr"
    if how == "imported":
        import_spectra(data["train"]["potential"][:60], path, levels=3)
    elif how == "a subset":
        subset(data, path, 50)
    elif how == "merged":
        subset(data, tmp_path / "part.zarr", 50)
        merge([data, open_dataset(tmp_path / "part.zarr")], path)
    else:
        convert(data, path)
    there, truth = copy_of(path, tmp_path / "there.zarr"), everything(path)
    (path / "train/zarr.json").unlink()
    assert repair(path).mended == {"train/zarr.json": "the manifest"} and everything(path) == truth
    flip(path / "train/energy/c/0/0")
    if DERIVED[how]:
        with pytest.raises(InvalidInput, match=f"1 damaged shards.*{DERIVED[how]}.*--from URL"):
            repair(path)
    assert repair(path, str(there) if DERIVED[how] else "").mended and everything(path) == truth


def test_a_damaged_manifest_is_brought_if_its_version_is_named(
    stored: Path, copy: Path, tmp_path: Path
) -> None:
    digest, manifest = open_dataset(stored).digest, root_of(copy) / "manifest.json"
    other = tmp_path / f"other{copy.suffix}"
    generate(SpectraRecipe("m5", n=1000, validation=0, solver="lanes"), other, workers=0)
    for damage in (lambda: flip(manifest), manifest.unlink, lambda: manifest.write_bytes(altered(manifest))):
        damage()
        with pytest.raises(ManifestError, match=f"--from URL@{digest[:12]}"):
            repair(copy)
        with pytest.raises(ManifestError, match="naming the version"):
            repair(copy, str(stored))
        with pytest.raises(VersionMismatch):  # what is beside the manifest knows which version it was
            repair(copy, f"{other}@{open_dataset(other).digest[:8]}")
        assert repair(copy, f"{stored}@{digest[:8]}").mended == {"manifest.json": "the copy"}
        assert everything(copy) == everything(stored)


def altered(manifest: Path) -> bytes:
    """A manifest that is one, and another."""
    return manifest.read_bytes().replace(b'"seed": 0', b'"seed": 1')


def test_the_circumstances_are_brought_or_said_to_be_lost(stored: Path, copy: Path) -> None:
    provenance = root_of(copy) / "provenance.json"
    provenance.unlink()
    done = repair(copy)
    assert "provenance.json is missing or damaged" in done.left and "which no recipe tells" in done.remedy
    assert done.mended == {} and not provenance.exists()
    assert not repair(copy, str(stored)).left and everything(copy) == everything(stored)


def test_circumstances_that_name_no_manifest_are_said_to_be_lost(stored: Path, copy: Path) -> None:
    """What `verify` finds, `repair` puts right or leaves, and says so."""
    provenance = root_of(copy) / "provenance.json"
    made = json.loads(provenance.read_text())
    provenance.write_bytes(seal({k: v for k, v in made.items() if k not in ("manifest_sha256", "sha256")}))
    found = problems(copy)
    assert len(found) == 1 and "they do not agree" in found[0]
    said = run("qdata", "repair", copy, cwd=copy.parent, code=1)
    assert found[0] in said.stdout and "0 files" not in said.stdout and "--from URL" in said.stderr
    assert not repair(copy, str(stored)).left and problems(copy) == []
    made = json.loads(provenance.read_text())
    provenance.write_bytes(seal({k: v for k, v in made.items() if k not in ("master_sha256", "sha256")}))
    assert not repair(copy).left and problems(copy) == []


def test_what_is_wrong_in_another_way_is_left(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "something is wrong that nobody has thought of"
    monkeypatch.setattr("qwell.datagen.audit.repair.verify_files", lambda *arguments: iter([line]))
    assert repair(copy).left == [line]


def test_a_version_at_a_place_is_verified_and_repaired(stored: Path, tmp_path: Path) -> None:
    """By the name that a mounted directory keeps versions of, and by name and version."""
    path, digest = tmp_path / stored.name, open_dataset(stored).digest
    push(stored, f"file://{path}")
    inside = path / digest if stored.is_dir() else path / digest / stored.name
    for name in (path, f"{path}@{digest[:8]}"):
        assert ": good (" in run("qdata", "verify", name, cwd=tmp_path).stdout
        assert "nothing was damaged" in run("qdata", "repair", name, cwd=tmp_path).stdout
        flip(shard_file(inside))
        said = run("qdata", "verify", name, cwd=tmp_path, code=1).stdout
        assert len(said.splitlines()) == 2 and "was altered" in said
        assert "1 file repaired" in run("qdata", "repair", name, cwd=tmp_path).stdout
    assert everything(inside) == everything(stored) and len(list(path.iterdir())) == 2
    (root_of(inside) / "manifest.json").write_text("{")
    assert repair(path, f"{stored}@{digest[:8]}").mended == {"manifest.json": "the copy"}
    for name in (f"{path}@{'0' * 8}", f"{stored}@{'0' * 8}"):
        for command in ("verify", "repair"):
            assert "version" in run("qdata", command, name, cwd=tmp_path, code=2).stderr


def test_versions_beside_what_qwell_0_1_pushed_belong_there(copy: Path, tmp_path: Path) -> None:
    if copy.is_file():
        pytest.skip("a file has nothing below it")
    newer = tmp_path / "newer.zarr"
    generate(SpectraRecipe("m5", n=1000, validation=0, solver="lanes"), newer, workers=0)
    digest = open_dataset(copy).digest
    push(newer, f"file://{copy}", force=True)
    for command, words in (("verify", ": good ("), ("repair", "nothing was damaged")):
        assert words in run("qdata", command, copy, cwd=tmp_path).stdout
        assert words in run("qdata", command, f"{copy}@{digest[:9]}", cwd=tmp_path).stdout


def test_what_does_not_belong_is_said_and_kept(copy: Path) -> None:
    foreign = root_of(copy) / "train/notes.txt"
    foreign.write_text("mine")
    shard_file(copy).unlink()
    said = run("qdata", "repair", copy, cwd=copy.parent, code=1).stdout
    assert "train/notes.txt does not belong to the data set" in said and "1 file repaired, 1 left" in said
    assert foreign.read_text() == "mine"


def test_nothing_is_written_out_of_the_data_set(copy: Path, tmp_path: Path) -> None:
    away, victim = tmp_path / "away", shard_file(copy)
    away.write_bytes(b"mine")
    victim.unlink()
    victim.symlink_to(away)
    assert not repair(copy).left and away.read_bytes() == b"mine" and not victim.is_symlink()
    (root_of(copy) / "train").rename(tmp_path / "elsewhere")
    (root_of(copy) / "train").symlink_to(tmp_path / "elsewhere")
    flip(shard_file(copy))
    before = shard_file(copy).read_bytes()
    with pytest.raises(InvalidInput, match="train is a symbolic link"):
        repair(copy)
    assert shard_file(copy).read_bytes() == before


def test_a_directory_in_the_place_of_a_file_is_left(copy: Path) -> None:
    shard_file(copy).unlink()
    shard_file(copy).mkdir()
    assert any("move it away" in line for line in repair(copy).left)


def test_two_repairs_and_a_writer_keep_out_of_each_other(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who replaces a data set waits for the end of a repair, so that no file of one gets into the other."""
    with DirectoryLock(root_of(copy)), pytest.raises(DatasetLocked, match="wait until it has finished"):
        repair(copy)
    flip(shard_file(copy))
    begun, go_on, make = threading.Event(), threading.Event(), remake.shard_files

    def slowly(*arguments: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        return make(*arguments)

    monkeypatch.setattr("qwell.datagen.audit.repair.shard_files", slowly)
    new = SpectraRecipe("m5", n=1000, validation=0, solver="lanes")
    ours = threading.Thread(target=repair, args=(copy,))
    ours.start()
    assert begun.wait(60)
    theirs = threading.Thread(target=generate, args=(new, copy), kwargs={"workers": 0, "force": True})
    theirs.start()
    wait_until(lambda: (copy.with_name(f"{copy.name}.partial") / "manifest.json").is_file())
    assert open_dataset(copy).recipe["kernel"] == "m3"
    go_on.set()
    for thread in (ours, theirs):
        thread.join(60)
    assert open_dataset(copy).recipe["kernel"] == "m5" and not problems(copy)


@pytest.mark.slow
def test_a_repair_that_is_killed_leaves_nothing_half_written(copy: Path, stored: Path) -> None:
    """At any moment: what is there is what it was, or damaged as before, and the next repair ends it."""
    truth = everything(stored)
    for i in range(12):
        victims = [shard_file(copy, shard=k) for k in range(3)]
        for victim in victims:
            victim.unlink(missing_ok=True)
        process = begin("qdata", "repair", copy, cwd=copy.parent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=0.3 + 0.1 * i)
        process.kill()
        process.communicate()
        there = everything(copy)
        assert there == {name: truth[name] for name in there} and len(there) >= len(truth) - 3
        repair(copy)
        assert everything(copy) == truth


def test_who_reads_the_data_set_reads_on(copy: Path) -> None:
    data, truth = open_dataset(copy), open_dataset(copy)["train"]["energy"][:]
    flip(shard_file(copy))
    with pytest.raises(DatasetDamaged):
        data["train"]["energy"][:]
    repair(copy)
    np.testing.assert_array_equal(data["train"]["energy"][:], truth)


def test_several_processes_share_a_long_shard(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remake, "LONG", 0)
    monkeypatch.setattr(remake, "available_cores", lambda: 2)
    path = copy.with_name(f"scipy{copy.suffix}")
    generate(SpectraRecipe("m3", n=3000, validation=0), path, workers=0)
    truth, parts = content(path), remake._rows_of_parts
    shared: list[list[tuple[int, int]]] = []

    def noted(recipe: Any, plan: Any, split: str, spans: list[tuple[int, int]], count: int) -> Any:
        shared.append(spans)
        return parts(recipe, plan, split, spans, count)

    monkeypatch.setattr(remake, "_rows_of_parts", noted)
    flip(shard_file(path, shard=0))
    assert (
        repair(path).mended and content(path) == truth and shared == [[(0, 1000), (1000, 2000), (2000, 3000)]]
    )


def test_the_kernel_of_a_plugin_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    plugins.register_kernel("ours")(lambda r, sigma, length: sigma**2 * np.exp(-((r / length) ** 2)))
    try:
        generate(SpectraRecipe("ours", n=50, validation=0, solver="lanes"), path, workers=0)
        truth = content(path)
        shard_file(path, shard=0).unlink()
        assert repair(path).mended and content(path) == truth
        shard_file(path, shard=0).unlink()
    finally:
        del plugins.TABLE["kernels"]["ours"]
    with pytest.raises(MissingPlugin, match="'ours'"):
        repair(path)


def test_what_cannot_be_repaired_is_said(stored: Path, tmp_path: Path) -> None:
    convert(open_dataset(stored), tmp_path / "one.h5", single=True)
    said = run("qdata", "repair", "one.h5", cwd=tmp_path, code=2).stderr
    assert "single file" in said
    assert "is an address" in run("qdata", "repair", f"file://{stored}", cwd=tmp_path, code=2).stderr
    assert "no data set at none.zarr" in run("qdata", "repair", "none.zarr", cwd=tmp_path, code=2).stderr
    assert "no qwell" not in run("qdata", "repair", ".", cwd=tmp_path, code=2).stderr
    assert "nothing was damaged" in run("qdata", "repair", stored, cwd=tmp_path).stdout


def test_a_recipe_is_run_again_and_compared(whole: Path, tmp_path: Path) -> None:
    every = open_dataset(whole).plan.shard_count
    answer = run("qdata", "verify", whole, "--recipe", "--workers", 0, "--json", cwd=tmp_path).json
    assert answer["shards_made_again"] == answer["shards"] == every
    assert answer["files_that_differ"] == answer["problems"] == []
    said = run("qdata", "verify", whole, "--recipe", "--workers", 0, "--sample", 2, cwd=tmp_path).stdout
    assert f"2 of {every} shards made again: the files are the same" in said and "good" in said


def test_a_file_that_the_recipe_does_not_make_is_named(copy: Path) -> None:
    """Also if somebody has changed numbers and all checksums."""
    other = copy.with_name(f"other{copy.suffix}")
    recipe = SpectraRecipe("m3", n=3500, validation=500, solver="lanes", seed=9)
    generate(recipe, other, workers=0, shard_rows=1000)
    victim = shard_file(copy)
    victim.write_bytes(shard_file(other).read_bytes())
    kept = json.loads((root_of(copy) / "provenance.json").read_text())
    forge_file(copy, victim)
    forged = open_dataset(copy).digest
    (root_of(copy) / "provenance.json").write_bytes(seal(kept | {"manifest_sha256": forged}))
    finish_master(copy, open_dataset(copy).manifest)
    name = victim.relative_to(root_of(copy)).as_posix()
    workers = 2 if copy.suffix == ".zarr" else 0
    said = run("qdata", "verify", copy, "--recipe", "--workers", workers, cwd=copy.parent, code=1)
    assert f"{name} made again has another sha256" in said.stdout and "NOT MADE ALIKE" in said.stdout
    assert "it was made by qwell" in said.stderr and "last bits may differ" in said.stderr
    answer = run("qdata", "verify", copy, "--recipe", "--json", "--workers", 0, cwd=copy.parent, code=1).json
    assert answer["files_that_differ"] == [name] and answer["shards_made_again"] == 5


def test_the_sample_is_seeded(stored: Path) -> None:
    plan = open_dataset(stored).plan
    samples = [tuple(remake.drawn(plan, 2, seed)) for seed in range(20)]
    assert samples == [tuple(remake.drawn(plan, 2, seed)) for seed in range(20)]
    assert {shard for sample in samples for shard in sample} == set(plan.shards())
    assert remake.drawn(plan, 99, 0) == remake.drawn(plan, None, 0) == plan.shards()
    with pytest.raises(InvalidInput, match="choose 1 to 5"):
        remake.drawn(plan, 0, 0)


def test_what_cannot_be_made_again_is_not_compared(stored: Path, tmp_path: Path) -> None:
    subset(open_dataset(stored), tmp_path / "part.zarr", 20)
    said = run("qdata", "verify", "part.zarr", "--recipe", cwd=tmp_path, code=2).stderr
    assert "it is a subset" in said and "leave --recipe out" in said
