"""Data sets made straight at a place: the same bytes as here, whatever interrupts the making."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support import content, root_of

from qwell.datagen import pipeline
from qwell.datagen.pipeline import finalise, generate, generate_shards
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.errors import (
    DatasetExists,
    DatasetIncomplete,
    DatasetNotFound,
    InvalidInput,
    TransferError,
    WriteError,
)
from qwell.files import dump_json
from qwell.store import places
from qwell.store.afar import RemoteWriter, write_shard_afar
from qwell.store.history import prune, superseded
from qwell.store.places import place_at
from qwell.store.reader import open_dataset
from qwell.store.transfer import pull, verify_remote
from qwell.store.versions import Versions

RECIPE = SpectraRecipe("m3", n=3500, validation=500, solver="lanes")
OTHER = SpectraRecipe("m3", n=1500, validation=0, seed=1, solver="lanes")
SIZE = {"shard_rows": 1000}


@pytest.fixture(params=["file", "s3"])
def base(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty place of the test's own."""
    if request.param == "file":
        yield f"file://{tmp_path}/place"
        return
    for key, value in request.getfixturevalue("s3").items():
        monkeypatch.setenv(key, value)
    yield f"s3://team/{tmp_path.name}"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("local")
    paths = {suffix: folder / f"m3{suffix}" for suffix in (".zarr", ".h5")}
    for path in paths.values():
        generate(RECIPE, path, workers=0, **SIZE)
    return paths


@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_what_is_made_there_is_what_is_made_here(
    base: str, local: dict[str, Path], suffix: str, workers: int, tmp_path: Path
) -> None:
    """Byte for byte; nothing else is left there, and a second making finds it."""
    url = f"{base}/m3{suffix}"
    manifest = generate(RECIPE, url, workers=workers, **SIZE)
    assert manifest == open_dataset(local[suffix]).manifest and list(verify_remote(url)[1]) == []
    assert set(place_at(url).names()) == {manifest.digest, "latest.json"}
    pull(url, tmp_path / f"back{suffix}")
    here, back = (content(root_of(p)) for p in (local[suffix], tmp_path / f"back{suffix}"))
    assert here == back
    with pytest.raises(DatasetExists, match="--force"):
        generate(RECIPE, url, workers=0, **SIZE)
    assert generate(RECIPE, url, workers=0, resume=True, **SIZE) == manifest


def test_it_goes_on_where_it_was_interrupted(
    base: str, local: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, made = f"{base}/m3.zarr", list[int]()

    def stops(root: str, plan: object, split: str, shard: int, values: object) -> int:
        if len(made) == 2:
            raise TransferError("the cable")
        made.append(shard)
        return write_shard_afar(root, plan, split, shard, values)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "write_shard_afar", stops)
    with pytest.raises(TransferError, match="cable"):
        generate(RECIPE, url, workers=0, **SIZE)
    with pytest.raises(DatasetIncomplete, match="--resume"):
        open_dataset(url)
    with pytest.raises(DatasetExists, match="--resume"):
        generate(RECIPE, url, workers=0, **SIZE)
    with pytest.raises(InvalidInput, match="other options"):
        generate(OTHER, url, workers=0, resume=True, **SIZE)
    made.clear()
    with suppress(TransferError):
        generate(RECIPE, url, workers=0, resume=True, **SIZE)
    assert len(made) == 2  # of the three that were left
    made[:] = [0]
    assert generate(RECIPE, url, workers=0, resume=True, **SIZE).digest == open_dataset(local[".zarr"]).digest
    assert len(made) == 2


def test_who_was_killed_while_tidying_up_leaves_nothing(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version is whole and meant by then, and the record of the plan is gone."""
    with monkeypatch.context() as patch, pytest.raises(TransferError, match="stop"):
        patch.setattr(places.Place, "clear", lambda place: _stop(1))
        generate(RECIPE, f"{base}/m3.zarr", workers=0, **SIZE)
    left = set(place_at(f"{base}/m3.zarr").names())
    manifest = generate(RECIPE, f"{base}/m3.zarr", workers=0, resume=True, **SIZE)
    kept = {manifest.digest, "latest.json"}
    assert left > kept and set(place_at(f"{base}/m3.zarr").names()) == kept


def test_array_jobs_need_no_common_disk(base: str, local: dict[str, Path]) -> None:
    """Each puts its own shards; whoever comes last makes the whole."""
    url = f"{base}/m3.h5"
    with pytest.raises(DatasetNotFound, match="nothing was begun"):
        finalise(url)
    generate_shards(RECIPE, url, slice(0, 2), workers=0, **SIZE)
    with pytest.raises(DatasetIncomplete, match="3 of 5 shards"):
        finalise(url)
    generate_shards(RECIPE, url, slice(2, 5), workers=0, **SIZE)
    assert finalise(url).digest == finalise(url).digest == open_dataset(local[".h5"]).digest


def test_another_version_comes_beside_it(base: str, local: dict[str, Path]) -> None:
    url = f"{base}/m3.zarr"
    first = generate(RECIPE, url, workers=0, **SIZE).digest
    with pytest.raises(DatasetExists, match="stays"):
        generate(OTHER, url, workers=0, **SIZE)
    second = generate(OTHER, url, workers=0, force=True, **SIZE).digest
    assert open_dataset(url).digest == second and open_dataset(f"{url}@{first}").digest == first
    assert set(Versions(url).digests()) == {first, second}


def test_who_comes_too_late_writes_nothing(base: str) -> None:
    """A worker thought dead, after the data set was finished or its beginning removed."""
    plan = RECIPE.plan(**SIZE)
    root = f"{base}/m3.zarr/0123456789abcdef.partial"
    with pytest.raises(WriteError, match="is gone"):
        write_shard_afar(root, plan, "train", 0, RECIPE.rows("train", 0, 1000))
    with pytest.raises(DatasetNotFound):
        place_at(root).names()


def test_a_worker_that_is_overtaken_leaves_nothing(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set is finished while an orphan puts its shard once more."""
    url = f"{base}/m3.zarr"
    generate_shards(RECIPE, url, slice(0, 5), workers=0, **SIZE)
    (begun,) = Versions(url).begun()
    write = places.Place.write

    def late(self: places.Place, name: str, content: bytes) -> None:
        if name.startswith("train/potential"):
            monkeypatch.setattr(places.Place, "write", write)
            finalise(url)
        write(self, name, content)

    monkeypatch.setattr(places.Place, "write", late)
    with pytest.raises(WriteError, match="is gone"):
        write_shard_afar(f"{url}/{begun}", RECIPE.plan(**SIZE), "train", 0, RECIPE.rows("train", 0, 1000))
    assert place_at(f"{url}/{begun}").sizes() == {} and list(verify_remote(url)[1]) == []


def test_where_nothing_can_be_made() -> None:
    with pytest.raises(InvalidInput, match="qdata push"):
        generate(RECIPE, "https://127.0.0.1:9/m3.zarr", workers=0, **SIZE)


@pytest.mark.parametrize("what", ["shard", "record"])
def test_what_was_damaged_there_is_made_again(base: str, local: dict[str, Path], what: str) -> None:
    """A shard that is as long as it should be, and a record that says otherwise."""
    url = f"{base}/m3.zarr"
    generate_shards(RECIPE, url, slice(0, 3), workers=0, **SIZE)
    (begun,) = Versions(url).begun()
    place = place_at(f"{url}/{begun}")
    name = "train/energy/c/1/0" if what == "shard" else "progress/done/train-1.json"
    content = bytearray(place.read(name, 2**24))
    content[len(content) // 2] ^= 1
    place.write(name, bytes(content))
    assert generate(RECIPE, url, workers=0, resume=True, **SIZE) == open_dataset(local[".zarr"]).manifest
    assert list(verify_remote(url)[1]) == []


def test_a_forced_making_is_resumed(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --resume, and with --force and --resume; nothing that is made is made again."""
    url = f"{base}/m3.zarr"
    first = generate(
        SpectraRecipe("m3", n=1500, validation=0, seed=1, solver="lanes"), url, workers=0, **SIZE
    )
    for options in ({"resume": True}, {"force": True, "resume": True}, {"force": True}):
        made: list[int] = []

        def stops(*arguments: object, made: list[int] = made) -> int:
            if len(made) == 2:
                raise TransferError("the cable")
            made.append(1)
            return write_shard_afar(*arguments)  # type: ignore[arg-type]

        with monkeypatch.context() as patch, pytest.raises(TransferError, match="cable"):
            patch.setattr(pipeline, "write_shard_afar", stops)
            generate(RECIPE, url, workers=0, force=True, **SIZE)
        assert open_dataset(url).digest == first.digest
        made[:] = []
        with monkeypatch.context() as patch:
            patch.setattr(
                pipeline, "write_shard_afar", lambda *a, made=made: made.append(1) or write_shard_afar(*a)
            )
            second = generate(RECIPE, url, workers=0, **options, **SIZE)  # type: ignore[arg-type]
        assert len(made) == 3 and open_dataset(url).digest == second.digest
        Versions(url).version(second.digest).clear()
        Versions(url).point(first.digest, Versions(url).pointer(), force=True)


def test_a_resumed_making_does_not_take_the_name_from_who_was_faster(base: str) -> None:
    url = f"{base}/m3.zarr"
    generate_shards(RECIPE, url, slice(0, 5), workers=0, **SIZE)
    theirs = generate(OTHER, url, workers=0, **SIZE).digest
    with pytest.raises(DatasetExists, match="somebody else meanwhile"):
        generate(RECIPE, url, workers=0, resume=True, **SIZE)
    assert open_dataset(url).digest == theirs
    ours = generate(RECIPE, url, workers=0, force=True, **SIZE).digest
    assert open_dataset(url).digest == ours and Versions(url).begun() == []


def test_finalise_finishes_what_was_begun(base: str, local: dict[str, Path]) -> None:
    """Not what the name means already; and a beginning without a plan is in nobody's way."""
    url = f"{base}/m3.zarr"
    generate(OTHER, url, workers=0, **SIZE)
    place_at(f"{url}/0123456789abcdef.partial").write("progress/scrap", b"by a worker that came too late")
    with pytest.raises(DatasetExists, match="choose another --out"):
        generate_shards(RECIPE, url, slice(0, 2), workers=0, **SIZE)
    place_at(f"{url}/{_key(RECIPE)}.partial").write("train/scrap", b"killed before its plan")
    with pytest.raises(TransferError, match="stop"):
        generate(RECIPE, url, workers=0, force=True, progress=_stop, **SIZE)
    with pytest.raises(DatasetIncomplete, match=r"[45] of 5"):
        finalise(url)
    generate(RECIPE, url, workers=0, resume=True, **SIZE)
    assert open_dataset(url).digest == open_dataset(local[".zarr"]).digest
    going = superseded(url, 1, unfinished=True)
    assert {v.state for v in going} == {"whole", "begun"}
    prune(url, going)
    assert set(place_at(url).names()) == {open_dataset(url).digest, "latest.json"}


def _key(recipe: SpectraRecipe) -> str:
    return hashlib.sha256(dump_json(recipe.plan(**SIZE).to_json())).hexdigest()[:16]


def _stop(rows: int) -> None:
    if rows:
        raise TransferError("stop")


def test_two_who_finish_at_once(base: str, local: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The one who is slower finds its files gone, or the version whole, and is content."""
    url = f"{base}/m3.zarr"
    generate_shards(RECIPE, url, slice(0, 5), workers=0, **SIZE)
    move = RemoteWriter._move

    def late(self: RemoteWriter, *arguments: object) -> None:
        monkeypatch.setattr(RemoteWriter, "_move", move)
        finalise(url)
        move(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(RemoteWriter, "_move", late)
    assert finalise(url).digest == open_dataset(local[".zarr"]).digest
    assert list(verify_remote(url)[1]) == []


def test_finalise_counts_no_damaged_shard(base: str) -> None:
    url = f"{base}/m3.zarr"
    generate_shards(RECIPE, url, slice(0, 5), workers=0, **SIZE)
    _flip(place_at(f"{url}/{Versions(url).begun()[0]}"), "train/energy/c/1/0")
    with pytest.raises(DatasetIncomplete, match="1 of 5 shards are missing or damaged"):
        finalise(url)


def test_a_forced_making_puts_a_damaged_version_right(base: str, local: dict[str, Path]) -> None:
    """Files of a version that are gone, or are others."""
    url = f"{base}/m3.zarr"
    digest = generate(RECIPE, url, workers=0, **SIZE).digest
    _flip(Versions(url).version(digest), "train/energy/c/1/0")
    Versions(url).version(digest).remove(["train/energy/c/2/0"])
    assert len(list(verify_remote(url)[1])) == 2
    generate(RECIPE, url, workers=0, force=True, **SIZE)
    assert list(verify_remote(url)[1]) == []


def test_an_array_job_reads_its_own_shards_alone(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every one of many would read all that is there."""
    url, has, read = f"{base}/m3.zarr", places.Place.has, list[str]()
    generate_shards(RECIPE, url, slice(0, 3), workers=0, **SIZE)
    monkeypatch.setattr(
        places.Place, "has", lambda self, name, record: read.append(name) or has(self, name, record)
    )
    generate_shards(RECIPE, url, slice(2, 5), workers=0, **SIZE)
    assert {name.split("/")[3] for name in read} == {"2"}


def _flip(place: places.Place, name: str) -> None:
    content = bytearray(place.read(name, 2**24))
    content[len(content) // 2] ^= 1
    place.write(name, bytes(content))
