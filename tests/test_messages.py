"""What the commands say: names of other formats, folders, missing credentials, sizes, closed forms."""

from pathlib import Path

import pytest
from support import run

from qwell.errors import InvalidInput, TransferError
from qwell.progress import Stage, in_bytes
from qwell.store import places
from qwell.store.derive import convert
from qwell.store.reader import open_dataset
from qwell.store.transfer import push

MAKE = ["qdata", "generate", "--kernel", "m3", "--n", 10, "--validation", 0, "--workers", 0]


@pytest.mark.parametrize("name", ["m3.parquet", "m3.tfrecord", "m3.NPZ"])
@pytest.mark.parametrize("option", [[], ["--dry-run"], ["--shards", "0:1"]])
def test_no_zarr_under_the_name_of_another_format(name: str, option: list[str], tmp_path: Path) -> None:
    said = run(*MAKE, "--out", name, *option, cwd=tmp_path, code=2).stderr
    assert "choose a name ending in .zarr or .h5" in said
    assert not list(tmp_path.iterdir())


def test_converting_neither(dataset_path: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"\.zarr or \.h5"):
        convert(open_dataset(dataset_path), tmp_path / "m3.tfrecord")
    with pytest.raises(InvalidInput, match=r"\.zarr or \.h5"):
        push(dataset_path, f"file://{tmp_path}/m3.parquet")
    assert not list(tmp_path.iterdir())
    convert(open_dataset(dataset_path), tmp_path / "sigma0.2")  # a dot makes no format
    assert open_dataset(tmp_path / "sigma0.2").plan.storage == "zarr"


def test_a_folder_of_data_sets_is_to_be_listed(dataset_path: Path) -> None:
    said = run("qdata", "info", dataset_path.parent, cwd=dataset_path.parent, code=2).stderr
    assert f"`qdata list {dataset_path.parent}`" in said and str(dataset_path) in said


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (99_940, "99.9 kB"), (99_960, "100 kB"),
        (999_499, "999 kB"), (999_600, "1.0 MB"), (48_400_004_800_000, "48.4 TB"), (5e15, "5,000 TB"),
    ],
)  # fmt: skip
def test_sizes_have_the_unit_that_makes_them_short(size: float, words: str) -> None:
    assert in_bytes(size) == words


def test_large_plans_are_said_in_large_units(tmp_path: Path) -> None:
    options = ["--kernel", "m3", "--n", 10**8, "--shard-size", 100_000, "--dry-run", "--workers", 1]
    assert "48.4 GB," in run("qdata", "generate", *options, cwd=tmp_path).stdout
    assert str(Stage("bytes", 5_000_000, 2_500_000)).startswith("2.5 MB of 5.0 MB, ")


def test_a_push_without_credentials_says_how_to_sign_in(
    dataset_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once: asking again does not help."""
    s3fs = pytest.importorskip("s3fs")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(places.time, "sleep", lambda seconds: pytest.fail("it was asked again"))
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises(TransferError, match=r"no valid credentials .*AWS_ACCESS_KEY_ID"):
            push(dataset_path, "s3://team/m3.zarr")
    finally:
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("model", ["mean", "linear"])
def test_closed_forms_speak_of_no_updates(model: str, dataset_path: Path, tmp_path: Path) -> None:
    done = run("qtrain", "eigen", "--data", dataset_path, "--model", model, "--out", "run", cwd=tmp_path)
    assert f"{model} on m3.zarr, in closed form" in done.stdout
    for said in (done.stdout, done.stderr, (tmp_path / "run/report.md").read_text()):
        assert "update" not in said


@pytest.mark.filterwarnings("ignore:Object at .*json is not recognized")
def test_xarray_opens_all_splits_as_one_tree(dataset_path: Path, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    data = open_dataset(dataset_path)
    convert(data, tmp_path / "m3.h5")
    for path, how in (
        (dataset_path, {"engine": "zarr", "consolidated": False}),
        (tmp_path / "m3.h5", {"engine": "h5netcdf"}),
    ):
        with xarray.open_datatree(path, **how) as tree:
            for split in ("train", "validation"):
                assert (tree[split]["energy"][7].values == data[split]["energy"][7]).all()
