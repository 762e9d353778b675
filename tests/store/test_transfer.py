"""Sharing: what arrives is what was sent; only what is missing travels; nothing is overwritten unasked."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import pytest
from servers import find_sshd, http_server, ssh_server
from support import content, copy_of, root_of, shard_file

from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.errors import (
    AccessDenied,
    DatasetDamaged,
    DatasetExists,
    DatasetIncomplete,
    DatasetNotFound,
    InvalidInput,
    ManifestError,
    QwellWarning,
    TransferError,
    VersionMismatch,
)
from qwell.models.registry import PRETRAINED
from qwell.store import parallel, places, swapping
from qwell.store.catalog import catalog
from qwell.store.history import history, prune, superseded
from qwell.store.places import place_at, place_of
from qwell.store.reader import load_manifest, locate, open_dataset
from qwell.store.transfer import pull, push, verify_remote
from qwell.store.verify import verify_files
from qwell.store.versions import POINTER, Versions, files_of, find
from qwell.train.sharing import push as push_model
from qwell.train.stream import open_stream


@pytest.fixture(scope="session")
def servers(
    tmp_path_factory: pytest.TempPathFactory, s3: dict[str, str]
) -> Iterator[dict[str, tuple[str, dict[str, str]]]]:
    """Addresses to push to, and the environment that their clients need."""
    folder = tmp_path_factory.mktemp("servers")
    for name in ("local", "ssh"):
        (folder / name).mkdir()
    (folder / "sshd").mkdir()
    with ExitStack() as stack:
        found = {"file": (f"file://{folder}/local", {}), "s3": ("s3://team", s3)}
        if find_sshd():
            ssh, home = stack.enter_context(ssh_server(folder / "sshd"))
            found["ssh"] = (f"{ssh}{folder}/ssh", home)
        yield found


@pytest.fixture(params=["file", "s3", pytest.param("ssh", marks=pytest.mark.slow)])
def base(
    request: pytest.FixtureRequest,
    servers: dict[str, tuple[str, dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> str:
    """An empty place of the test's own, on each kind of server in turn."""
    if request.param not in servers:
        pytest.skip("no OpenSSH server: apt-get install openssh-server")
    address, environment = servers[request.param]
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    return f"{address}/{tmp_path.name}"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Another data set with files of the same sizes, in both formats."""
    folder = tmp_path_factory.mktemp("other")
    paths = {suffix: folder / f"m3{suffix}" for suffix in (".zarr", ".h5")}
    for path in paths.values():
        recipe = SpectraRecipe("m3", n=3500, validation=500, seed=1, solver="lanes")
        generate(recipe, path, workers=0, shard_rows=1000)
    return paths


def test_pushed_and_pulled_is_the_same(stored: Path, base: str, tmp_path: Path) -> None:
    sent = push(stored, f"{base}/")
    url = f"{base}/{stored.name}"
    size = sum(r.size for r in open_dataset(stored).manifest.files.values())
    assert sent.target == url and sent.sent == size and sent.kept == 0
    assert push(stored, url).sent == 0
    got = pull(url, tmp_path)
    copy = tmp_path / stored.name
    assert got.sent == size and content(copy) == content(stored)
    assert copy.is_dir() or copy.read_bytes() == stored.read_bytes()
    assert open_dataset(copy).provenance == open_dataset(stored).provenance
    assert pull(url, tmp_path).sent == 0
    manifest, problems = verify_remote(url)
    assert manifest == open_dataset(stored).manifest and list(problems) == []


def test_a_remote_data_set_is_read_shard_by_shard(stored: Path, base: str, cache: Path) -> None:
    push(stored, f"{base}/")
    remote, local = open_dataset(f"{base}/{stored.name}"), open_dataset(stored)
    assert repr(remote).startswith(f"<Dataset {base}/{stored.name} spectra")
    np.testing.assert_array_equal(remote["train"]["energy"][1200:1210], local["train"]["energy"][1200:1210])
    arrays = [p for p in (cache / "remote").rglob("train/*/c/*/0") if p.parts[-5:-3] != ("train", "x")]
    arrays += (cache / "remote").rglob("train/*.h5")
    assert {p.stem if p.suffix else p.parent.name for p in arrays} == {"1"}  # the second of four shards
    for tier in ("resident", "mirror", "pool"):
        ours, theirs = (next(open_stream(d, tier, batch=100, seed=4)) for d in (remote, local))
        np.testing.assert_array_equal(ours[0], theirs[0])


def test_an_interrupted_push_sends_only_the_rest(
    stored: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, url = places.Place.put, f"{base}/{stored.name}"
    files = open_dataset(stored).manifest.files
    done: list[str] = []

    def breaks(self: places.Place, source: Path, name: str) -> int:
        if len(done) == 3:
            raise TransferError("the cable")
        done.extend([name] if name in files else [])
        return put(self, source, name)

    monkeypatch.setattr(places.Place, "put", breaks)
    monkeypatch.setattr(parallel, "JOBS", 1)
    with pytest.raises(TransferError, match="cable"):
        push(stored, url)
    monkeypatch.undo()
    with pytest.raises(DatasetIncomplete, match="repeat the push"):
        find(url)
    again = push(stored, url)
    arrived = sum(files[name].size for name in done)
    assert again.kept == arrived and again.sent == sum(r.size for r in files.values()) - arrived
    assert find(url)[1] == open_dataset(stored).manifest


def test_what_an_interrupted_push_left_is_kept_only_if_it_is_right(stored: Path, base: str) -> None:
    """Of the same size is not enough."""
    url, victim = f"{base}/{stored.name}", shard_file(stored)
    name = victim.relative_to(root_of(stored)).as_posix()
    files_of(url, open_dataset(stored).digest).write(name, bytes(victim.stat().st_size))
    assert push(stored, url).sent >= victim.stat().st_size
    assert list(verify_remote(url)[1]) == []
    assert not push(stored, url).sent


def test_versions_lie_beside_each_other(
    stored: Path, other: dict[str, Path], base: str, tmp_path: Path
) -> None:
    """The name means another one only if asked, and whoever wants the older one gets it."""
    url, newer = f"{base}/{stored.name}", other[stored.suffix]
    first, second = open_dataset(stored).digest, open_dataset(newer).digest
    push(stored, url)
    with pytest.raises(DatasetExists, match="--force"):
        push(newer, url)
    with pytest.raises(VersionMismatch, match=first[:12]):
        find(f"{url}@{second[:10]}")
    pull(url, tmp_path)
    assert push(newer, url, force=True).kept == 0
    assert find(url)[1].digest == second
    assert json.loads(place_at(url).read(POINTER, 1000)) == {"sha256": second, "previous": first}
    for version in (first, second):
        assert list(verify_remote(f"{url}@{version[:10]}")[1]) == []
        assert open_dataset(f"{url}@{version}").digest == version
    with pytest.raises(DatasetExists, match="--force"):
        pull(url, tmp_path)
    pull(url, tmp_path, force=True)
    assert content(tmp_path / stored.name) == content(newer)
    assert push(stored, url, force=True).sent == 0  # it is still there
    assert find(url)[1].digest == first
    place = place_at(url)
    place.fs.invalidate_cache()
    assert not place.fs.exists(place.at(f"{POINTER}.lock"))  # who pushes next need not wait until it is old


def test_a_place_on_this_machine_opens_by_its_path(
    stored: Path, other: dict[str, Path], tmp_path: Path
) -> None:
    """As a team's mounted directory is used: the latest version, or the one asked for."""
    first, second = open_dataset(stored).digest, open_dataset(other[stored.suffix]).digest
    path = tmp_path / stored.name
    push(stored, f"file://{path}")
    push(other[stored.suffix], f"file://{path}", force=True)
    assert open_dataset(path).digest == second and open_dataset(f"{path}@{first[:8]}").digest == first
    assert [(entry.name, entry.manifest.digest) for entry in catalog(tmp_path) if entry.manifest] == [
        (stored.name, second)
    ]
    with pytest.raises(VersionMismatch):
        open_dataset(f"{path}@{'0' * 8}")


def test_history_and_what_is_taken_away(stored: Path, other: dict[str, Path], base: str) -> None:
    """Never what the name means; and of what is unfinished only if asked."""
    url, newer = f"{base}/{stored.name}", other[stored.suffix]
    first, second = open_dataset(stored).digest, open_dataset(newer).digest
    with pytest.raises(DatasetNotFound):
        history(url)
    push(newer, url)
    push(stored, url, force=True)
    Versions(url).version("0" * 64).write("half.bin", b"half")
    assert [(v.digest, v.latest, v.state) for v in history(url)] == [
        (first, True, "whole"),
        (second, False, "whole"),
        ("0" * 64, False, "unfinished"),
    ]
    assert history(url)[0].rows == 4000 and history(url)[0].made.startswith("20")
    assert superseded(url, 2) == []
    assert [v.digest for v in superseded(url, 2, unfinished=True)] == ["0" * 64]
    with pytest.raises(InvalidInput, match="--keep 1"):
        superseded(url, 0)
    going = superseded(url, 1, unfinished=True)
    push(newer, url, force=True)  # by somebody else, meanwhile
    prune(url, going)
    assert {v.digest for v in history(url)} == {first, second}
    assert list(verify_remote(url)[1]) == []
    prune(url, superseded(url, 1))
    assert [v.digest for v in history(url)] == [second]
    with pytest.raises(VersionMismatch):
        find(f"{url}@{first[:9]}")


def test_of_two_who_push_at_once_neither_loses(
    stored: Path, other: dict[str, Path], base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second pushes all of its own while the first is about to let the name mean its version."""
    url, newer = f"{base}/{stored.name}", other[stored.suffix]
    first, second = open_dataset(stored).digest, open_dataset(newer).digest
    point = Versions.point

    def late(self: Versions, *arguments: object, **options: object) -> str:
        monkeypatch.setattr(Versions, "point", point)
        push(newer, url)
        return point(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Versions, "point", late)
    with pytest.raises(DatasetExists, match=rf"somebody else meanwhile.*@{first[:12]}; add --force"):
        push(stored, url)
    assert find(url)[1].digest == second
    for version in (first, second):
        assert list(verify_remote(f"{url}@{version}")[1]) == []
    monkeypatch.setattr(Versions, "point", late)
    push(stored, url, force=True)
    assert json.loads(place_at(url).read(POINTER, 1000)) == {"sha256": first, "previous": second}


def test_what_qwell_0_1_pushed_stays_readable(
    stored: Path, other: dict[str, Path], base: str, tmp_path: Path
) -> None:
    """It lies directly at its name; a newer version lies beside it."""
    url, old = f"{base}/{stored.name}", open_dataset(stored)
    place = place_of(url)
    for name in [*old.manifest.files, "manifest.json"]:
        place.put(old.root / name, name)
    if stored.is_file():
        place.write_beside(stored.name, stored.read_bytes())
    assert find(url)[1] == old.manifest and push(stored, url).sent == 0
    assert [entry.name for entry in catalog(base)] == [stored.name]
    newer = other[stored.suffix]
    with pytest.raises(DatasetExists, match=r"--force|beside it"):
        push(newer, url)
    if stored.is_dir():
        push(newer, url, force=True)
        assert find(url)[1] == open_dataset(newer).manifest
        assert list(verify_remote(f"{url}@{old.digest[:10]}")[1]) == []


def test_the_address_of_a_version_opens_by_itself(stored: Path, base: str, tmp_path: Path) -> None:
    push(stored, f"{base}/")
    digest = open_dataset(stored).digest
    direct = f"{base}/{stored.name}/{digest}" + ("" if stored.is_dir() else f"/{stored.name}")
    assert open_dataset(direct).digest == digest
    if stored.is_dir() and not base.startswith("ssh"):  # whose file system zarr cannot ask from its thread
        import xarray

        seen = xarray.open_zarr(direct, group="train", consolidated=False)
        np.testing.assert_array_equal(seen["energy"][:9], open_dataset(stored)["train"]["energy"][:9])


@pytest.mark.parametrize("pointer", [b"", b"[]", b'{"sha256": "../../etc"}', b'{"sha256": 3}', b"<html>"])
def test_a_pointer_that_is_none(stored: Path, tmp_path: Path, pointer: bytes) -> None:
    url = f"file://{tmp_path}/{stored.name}"
    push(stored, url)
    (tmp_path / stored.name / POINTER).write_bytes(pointer)
    for ask in (lambda: open_dataset(url), lambda: push(stored, url)):
        with pytest.raises(ManifestError, match=POINTER):
            ask()


def test_a_lock_that_a_dead_process_left(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / stored.name / f"{POINTER}.lock"
    lock.mkdir(parents=True)
    os.utime(lock, (0, 0))
    push(stored, f"file://{tmp_path}/")
    assert not lock.exists() and not list(lock.parent.glob("*.lock*"))


def test_a_place_with_something_else_is_not_touched(stored: Path, base: str, tmp_path: Path) -> None:
    url = f"{base}/{stored.name}"
    place_at(url).write("thesis.tex", b"years of work")
    for force in (False, True):
        with pytest.raises(DatasetExists, match=r"thesis.tex"):
            push(stored, url, force=force)
    assert place_at(url).read("thesis.tex", 100) == b"years of work"


def test_the_catalog(stored: Path, base: str, tmp_path: Path) -> None:
    push(stored, f"{base}/b{stored.suffix}")
    push(stored, f"{base}/a{stored.suffix}")
    entries = [entry.to_json() for entry in catalog(base)]
    assert [e["name"] for e in entries] == [f"a{stored.suffix}", f"b{stored.suffix}"]
    assert entries[0]["rows"] == {"train": 3500, "validation": 500}
    assert entries[0]["digest"] == open_dataset(stored).digest
    with pytest.raises((DatasetNotFound, TransferError)):
        list(catalog(f"{base}/nowhere"))


def test_links_that_lead_in_circles(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "place"
    push(stored, f"file://{place}/")
    for name in ("x", "y"):
        (place / name).symlink_to(".")
    monkeypatch.setattr("qwell.store.catalog.DEPTH", 2)
    with pytest.warns(QwellWarning, match="more than 2 directories deep"):
        names = {entry.name.rpartition("/")[0] for entry in catalog(f"file://{place}", recursive=True)}
    assert names == {"", "x", "y"}


def test_models_are_no_data_sets_that_are_being_pushed(stored: Path, tmp_path: Path, base: str) -> None:
    push(stored, f"{base}/")
    push_model(PRETRAINED / "hamiltonian-m3", f"{base}/net")
    Versions(f"{base}/half.zarr").version("0" * 64).write("half.bin", b"half")
    assert [entry.name for entry in catalog(base)] == sorted(["half.zarr", stored.name])
    if base.startswith("file://"):
        there = list(catalog(base.removeprefix("file://")))
        assert [(entry.name, entry.problem) for entry in there] == [(stored.name, "")]


def test_what_is_not_there(base: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFound):
        open_dataset(f"{base}/none.zarr")
    with pytest.raises(DatasetNotFound):
        pull(f"{base}/none.zarr", tmp_path / "x.zarr")
    assert list(tmp_path.glob("*.partial")) == []


def test_after_a_failure_nothing_more_is_begun() -> None:
    """Else a silent server holds up the next ones as long as it did the first."""
    begun: list[int] = []

    def fails_late(item: int) -> int:
        begun.append(item)
        time.sleep(0.2)
        raise TransferError("no answer")

    with pytest.raises(TransferError, match="no answer"):
        parallel.in_parallel(fails_late, range(100), lambda size: None)
    assert len(begun) == parallel.JOBS


def test_damage_is_not_sent(stored: Path, tmp_path: Path) -> None:
    copy = copy_of(stored, tmp_path / stored.name)
    victim = shard_file(copy)
    victim.write_bytes(victim.read_bytes()[:-1] + b"\0")
    with pytest.raises(DatasetDamaged, match="qdata verify"):
        push(copy, f"file://{tmp_path}/there/{stored.name}")


def test_damage_is_not_taken(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places.time, "sleep", lambda seconds: None)
    copy = copy_of(stored, tmp_path / stored.name)
    victim = shard_file(copy)
    victim.write_bytes(victim.read_bytes()[:-1] + b"\0")
    with pytest.raises(TransferError, match="not those of the manifest"):
        pull(f"file://{copy}", tmp_path / f"mine{stored.suffix}")
    assert not (tmp_path / f"mine{stored.suffix}").exists()
    with pytest.raises(TransferError, match="not those of the manifest"):
        open_dataset(f"file://{copy}")["train"].shard(1)


def test_https_is_read_and_not_written(stored: Path, tmp_path: Path) -> None:
    with http_server(stored.parent) as (address, _):
        url = f"{address}/{stored.name}"
        assert [e.name for e in catalog(address)] == [stored.name]
        pull(url, tmp_path)
        np.testing.assert_array_equal(
            open_dataset(url)["train"]["energy"][5], open_dataset(stored)["train"]["energy"][5]
        )
        with pytest.raises(InvalidInput, match="read-only"):
            push(tmp_path / stored.name, f"{address}/new{stored.suffix}")
    assert content(tmp_path / stored.name) == content(stored)


def test_after_a_cut_connection_only_the_rest_comes(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted by the server."""
    monkeypatch.setattr(places.time, "sleep", lambda seconds: None)
    size = sum(r.size for r in open_dataset(stored).manifest.files.values())
    with http_server(stored.parent) as (address, handler):
        handler.break_after = size // 2
        with pytest.raises(TransferError, match="repeat the command"):
            pull(f"{address}/{stored.name}", tmp_path)
        first, handler.break_after = handler.sent, None
        got = pull(f"{address}/{stored.name}", tmp_path)
        small = sum((root_of(stored) / n).stat().st_size for n in ("manifest.json", "provenance.json"))
        assert got.kept > 0 and got.sent + got.kept == size
        assert handler.sent - first <= got.sent + 2 * small < size
    assert content(tmp_path / stored.name) == content(stored)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "train/../../evil"])
def test_a_manifest_that_leads_out_is_refused(stored: Path, tmp_path: Path, name: str) -> None:
    copy = copy_of(stored, tmp_path / "far" / stored.name)
    file = root_of(copy) / "manifest.json"
    obj = json.loads(file.read_text())
    obj["files"][name] = [1, "0" * 64]
    file.write_text(json.dumps(obj))
    (tmp_path / "near").mkdir()
    with pytest.raises(ManifestError, match="outside"):
        pull(f"file://{copy}", tmp_path / "near")
    assert not list((tmp_path / "near").iterdir())


def test_addresses_that_make_no_sense(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places.time, "sleep", lambda seconds: None)
    with pytest.raises(InvalidInput, match="s3://team"):
        open_dataset("nonsense://a/b.zarr")
    with pytest.raises(TransferError, match="cannot read"):
        open_dataset("http://127.0.0.1:9/b.zarr")
    wrong = {".zarr": ".h5", ".h5": ".zarr"}[stored.suffix]
    with pytest.raises(InvalidInput, match="does not end like"):
        push(stored, f"file://{tmp_path}/x{wrong}")


def test_no_permission_at_the_place(stored: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(TransferError, match="access denied"):
        push(stored, f"file://{tmp_path}/closed/{stored.name}")


def test_a_pull_into_a_foreign_directory(stored: Path, tmp_path: Path) -> None:
    target = tmp_path / f"mine{stored.suffix}"
    target.mkdir()
    (target / stored.name).mkdir()
    shutil.copy(__file__, target / stored.name / "precious.py")
    with pytest.raises(DatasetExists, match="never deletes"):
        pull(f"file://{stored}", target, force=True)


def test_prune_knows_models(tmp_path: Path) -> None:
    """A model has no manifest, and is whole all the same."""
    url = f"file://{tmp_path}/net"
    for text in (b'{"model": "one"}', b'{"model": "two"}'):
        digest = hashlib.sha256(text).hexdigest()
        Versions(url).version(digest).write("config.json", text)
        Versions(url).point(digest, Versions(url).pointer(), force=True)
    assert {v.state for v in history(url)} == {"whole"}
    assert superseded(url, 5, unfinished=True) == []
    prune(url, superseded(url, 1))
    assert [v.digest for v in history(url)] == [digest]


def test_a_push_notices_that_its_version_was_pruned(
    stored: Path, other: dict[str, Path], base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look and the change of the name: it says so, and repeated it sends all again."""
    url, newer = f"{base}/{stored.name}", other[stored.suffix]
    push(stored, url)
    push(newer, url, force=True)
    point = Versions.point

    def after_a_prune(self: Versions, *arguments: object, **options: object) -> str:
        monkeypatch.setattr(Versions, "point", point)
        prune(url, superseded(url, 1))
        return point(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Versions, "point", after_a_prune)
    with pytest.raises(TransferError, match="pruned while"):
        push(stored, url, force=True)
    with pytest.raises(DatasetIncomplete):
        find(url)
    assert push(stored, url, force=True).sent > 0
    assert list(verify_remote(url)[1]) == []


def test_a_prune_notices_that_the_name_means_its_version_by_now(
    stored: Path, other: dict[str, Path], base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, newer = f"{base}/{stored.name}", other[stored.suffix]
    first = push(stored, url).digest
    push(newer, url, force=True)
    remove = places.Place.remove

    def then_it_is_meant(self: places.Place, names: list[str]) -> None:
        remove(self, names)
        monkeypatch.setattr(places.Place, "remove", remove)
        Versions(url).point(first, Versions(url).pointer(), force=True)

    monkeypatch.setattr(places.Place, "remove", then_it_is_meant)
    prune(url, superseded(url, 1))
    assert find(url)[1].digest == first and list(verify_remote(url)[1]) == []


def test_a_version_that_lost_files_is_not_taken_for_whole(stored: Path, base: str) -> None:
    """As a killed prune leaves it, or one in HDF5 whose push was killed before its master."""
    url, data = f"{base}/{stored.name}", open_dataset(stored)
    push(stored, url)
    place = files_of(url, data.digest)
    place.remove([max(data.manifest.files)])
    assert push(stored, url).sent > 0
    if stored.is_file():
        Versions(url).version(data.digest).remove([stored.name])
        push(stored, url)
        assert stored.name in Versions(url).version(data.digest).names()
    assert list(verify_remote(url)[1]) == []


def test_a_pointer_to_what_is_gone_is_said(stored: Path, other: dict[str, Path], tmp_path: Path) -> None:
    """Another version that lies directly at the name, as 0.1 pushed, does not take its place."""
    if stored.is_file():
        pytest.skip("beside HDF5 of 0.1 nothing lies")
    copy_of(stored, tmp_path / stored.name)
    url = f"file://{tmp_path}/{stored.name}"
    digest = push(other[stored.suffix], url, force=True).digest
    files_of(url, digest).remove(["manifest.json"])
    with pytest.raises(DatasetIncomplete, match="not whole"):
        open_dataset(url)
    assert open_dataset(f"{url}@{open_dataset(stored).digest}").digest == open_dataset(stored).digest


def test_nothing_made_here_replaces_a_place(stored: Path, tmp_path: Path) -> None:
    push(stored, f"file://{tmp_path}/{stored.name}")
    recipe = SpectraRecipe("m3", n=1000, validation=0, solver="lanes")
    with pytest.raises(DatasetExists, match=r"keeps versions|not a qwell data set"):
        generate(recipe, tmp_path / stored.name, workers=0, force=True)
    assert open_dataset(tmp_path / stored.name).digest == open_dataset(stored).digest


@pytest.mark.parametrize("size", [0, 1, 2**10, 3 * 2**10, 3 * 2**10 + 5])
@pytest.mark.parametrize("known", [True, False])
def test_a_part_of_any_length_is_continued(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, known: bool
) -> None:
    """Nothing of it, some, all, and too much: of files that end where a piece does, and empty ones."""
    monkeypatch.setattr(places, "PIECE", 2**10)
    monkeypatch.setattr(places.time, "sleep", lambda seconds: None)
    whole = os.urandom(size)
    place_at(base).write("some.bin", whole)
    for arrived in {0, size // 2, size, size + 9}:
        (tmp_path / ".here.part").write_bytes(whole[:arrived] + bytes(max(arrived - size, 0)))
        (tmp_path / "here").unlink(missing_ok=True)
        sha256 = hashlib.sha256(whole).hexdigest()
        got = place_at(base).fetch_by_sha256("some.bin", sha256, tmp_path / "here", size if known else None)
        assert got == size and (tmp_path / "here").read_bytes() == whole


def test_what_was_listed_before_is_read_as_it_is_now(base: str) -> None:
    """S3's client remembers what it listed, and would insist on that."""
    place = place_at(base)
    place.write("a.json", b"old")
    assert "a.json" in place.sizes()
    place_at(base).fs.__class__.clear_instance_cache()
    place_at(base).write("a.json", b"new one")
    assert place.read("a.json", 100) == b"new one"


def test_a_pointer_that_may_not_be_read_does_not_hang(
    stored: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(stored, f"{base}/")
    read = places.Place.read

    def refuses(self: places.Place, name: str, limit: int) -> bytes:
        if name == POINTER:
            raise AccessDenied("403")
        return read(self, name, limit)

    versions = Versions(f"{base}/{stored.name}")
    with monkeypatch.context() as patch:
        patch.setattr(places.Place, "read", refuses)
        with pytest.raises(TransferError, match=r"403|can you read it"):
            versions.point("0" * 64, None, force=True)
    assert find(versions.url)[1].digest == open_dataset(stored).digest


def test_an_address_with_a_version_is_no_target(stored: Path, base: str) -> None:
    with pytest.raises(InvalidInput, match="names a version"):
        push(stored, f"{base}/{stored.name}@3f2a91c0")


def test_under_another_name_it_is_as_good(stored: Path, tmp_path: Path) -> None:
    """The master of HDF5 belongs to a name; what vouches for it says that of the new one."""
    name = f"else{stored.suffix}"
    digest = push(stored, f"file://{tmp_path}/place/{name}").digest
    version = tmp_path / "place" / name / digest / ("" if stored.is_dir() else name)
    root = locate(version)
    assert list(verify_files(version, root, load_manifest(root))) == []


def test_a_lock_that_was_taken_away_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was so slow that another took the lock writes nothing, and leaves the other's alone."""
    place = place_at(f"file://{tmp_path}")
    place.write(POINTER, b"A")
    looked = swapping.now

    def slow(where: places.Place, name: str) -> bytes | None:
        monkeypatch.setattr(swapping, "now", looked)
        os.utime(tmp_path / f"{POINTER}.lock", (0, 0))
        assert swapping.swap(place, name, b"B", b"A")
        return b"A"

    monkeypatch.setattr(swapping, "now", slow)
    assert not swapping.swap(place, POINTER, b"C", b"A")
    assert (tmp_path / POINTER).read_bytes() == b"B"


@pytest.mark.slow
def test_after_a_broken_ssh_connection_another_one_is_made(
    servers: dict[str, tuple[str, dict[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "ssh" not in servers:
        pytest.skip("no OpenSSH server: apt-get install openssh-server")
    address, environment = servers["ssh"]
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    place = place_at(f"{address}/{tmp_path.name}")
    place.write("a.json", b"here")
    for child in psutil.Process().children(recursive=True):
        if "sshd" in child.name() and "sshd" in child.parent().name():
            child.kill()
    assert place.read("a.json", 100) == b"here"
    assert place_at(f"{address}/{tmp_path.name}").read("a.json", 100) == b"here"


def test_what_killed_writers_left_goes(stored: Path, tmp_path: Path) -> None:
    """On file systems, with the next push of that version; what may still be written stays."""
    url, digest = f"file://{tmp_path}/{stored.name}", open_dataset(stored).digest
    place = files_of(url, digest)
    old, fresh = f"train/a.0{places.UNDER_WAY}", f"train/b.0{places.UNDER_WAY}"
    for name in (old, fresh):
        place.write(name, b"half")
    os.utime(place.at(old), (0, 0))
    push(stored, url)
    assert {name for name in place.sizes() if name.endswith(places.UNDER_WAY)} == {fresh}


def test_prune_never_touches_an_unfinished_set_of_a_directory(stored: Path, tmp_path: Path) -> None:
    """Beside data sets of a store lie directories that end in .partial, too; they are nobody's versions."""
    (tmp_path / "big.zarr.partial/progress").mkdir(parents=True)
    (tmp_path / "big.zarr.partial/progress/plan.json").write_text("{}")
    with pytest.raises(DatasetNotFound):
        superseded(f"file://{tmp_path}", 1, unfinished=True)
    assert Versions(f"file://{tmp_path}").foreign() == "big.zarr.partial"


def test_models_are_pruned_from_old_to_new(tmp_path: Path) -> None:
    url, digests = f"file://{tmp_path}/net", []
    for i in range(5):
        text = f'{{"model": "{i}"}}'.encode()
        digests.append(hashlib.sha256(text).hexdigest())
        Versions(url).version(digests[-1]).write("config.json", text)
        os.utime(tmp_path / "net" / digests[-1] / "config.json", (1e9 + i, 1e9 + i))
    Versions(url).point(digests[1], None, force=True)
    assert [v.digest for v in history(url)] == [digests[i] for i in (1, 4, 3, 2, 0)]
    assert [v.digest for v in superseded(url, 3)] == [digests[2], digests[0]]


def test_what_a_damaged_manifest_of_0_1_hides_is_no_version(stored: Path, tmp_path: Path) -> None:
    if stored.is_file():
        pytest.skip("beside HDF5 of 0.1 nothing lies")
    url = f"file://{tmp_path}/{stored.name}"
    place_at(url).write("manifest.json", b"garbage")
    with pytest.raises(DatasetExists, match="manifest is damaged"):
        push(stored, url)
    push(stored, url, force=True)
    assert json.loads(place_at(url).read(POINTER, 1000))["previous"] is None
    assert open_dataset(url).digest == open_dataset(stored).digest


def test_a_sound_data_set_is_not_called_damaged_by_what_happens_there(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def went(self: places.Place, source: Path, name: str) -> int:
        raise FileNotFoundError(name)

    monkeypatch.setattr(places.Place, "put", went)
    with pytest.raises(TransferError, match="went while it was sent"):
        push(stored, f"file://{tmp_path}/there/{stored.name}")


def test_versions_belong_to_a_place_and_to_no_other_data_set(stored: Path, tmp_path: Path) -> None:
    copy = copy_of(stored, tmp_path / stored.name)
    root = root_of(copy)
    (root / ("a" * 64)).mkdir()
    (root / ("a" * 64) / "thing").write_text("mine")
    (root / f"{POINTER}.bak").write_text("mine")
    problems = list(verify_files(copy, root, load_manifest(root)))
    assert len(problems) == 2 and all("does not belong" in line for line in problems)


def test_a_lock_that_cannot_be_signed_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, between the lock and the name of its owner: the error, at once, and no lock."""
    place = place_at(f"file://{tmp_path}")
    monkeypatch.setattr(places.time, "sleep", lambda seconds: None)

    def full(path: str, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(place.fs, "pipe_file", full)
    with pytest.raises(TransferError, match="No space left"):
        swapping.swap(place, POINTER, b"A", None)
    assert list(tmp_path.iterdir()) == []
