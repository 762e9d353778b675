"""New data sets from old ones hold the same numbers, and say where they come from."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import content, copy_of, root_of, run

from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.errors import DatasetDamaged, DatasetExists, DatasetKindError, InvalidInput
from qwell.store.catalog import catalog
from qwell.store.dataset import Dataset
from qwell.store.derive import convert, merge, same_draws, subset
from qwell.store.hdf5_single import verify_single
from qwell.store.reader import open_dataset
from qwell.store.stats import stats
from qwell.store.verify import verify_files

OTHER = {".zarr": ".h5", ".h5": ".zarr"}


def equal(a: Dataset, b: Dataset) -> bool:
    """Whether all rows and coordinates are the same."""
    for name in a.splits:
        for field in a[name].fields:
            np.testing.assert_array_equal(a[name][field][:], b[name][field][:])
    return all(np.array_equal(a.coordinates[c], b.coordinates[c]) for c in a.coordinates)


def test_converted_and_back_is_the_same_to_the_byte(stored: Path, tmp_path: Path) -> None:
    """Also the same as generated in that format directly."""
    there, back = tmp_path / f"a{OTHER[stored.suffix]}", tmp_path / f"b{stored.suffix}"
    convert(open_dataset(stored), there)
    convert(open_dataset(there), back)
    assert equal(open_dataset(stored), open_dataset(there)) and content(back) == content(stored)
    recipe = SpectraRecipe("m3", n=3500, validation=500, solver="lanes")
    direct = generate(recipe, tmp_path / f"c{OTHER[stored.suffix]}", workers=0, shard_rows=1000)
    assert open_dataset(there).digest == direct.digest
    assert open_dataset(there).provenance["converted_from"] == open_dataset(stored).digest


def test_a_single_file_holds_all(stored: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.h5"
    convert(open_dataset(stored), path, single=True)
    data = open_dataset(path)
    assert path.is_file() and list(tmp_path.iterdir()) == [path]
    assert equal(open_dataset(stored), data) and data.recipe == open_dataset(stored).recipe
    assert list(verify_files(path, data.root, data.manifest)) == []
    np.testing.assert_array_equal(
        data["train"]["energy"][[3000, 5]], open_dataset(stored)["train"]["energy"][[3000, 5]]
    )
    convert(data, tmp_path / f"back{stored.suffix}")
    assert content(tmp_path / f"back{stored.suffix}") == content(stored)
    with pytest.raises(DatasetExists, match="--force"):
        convert(open_dataset(stored), path, single=True)
    with pytest.raises(InvalidInput, match=r"ending in .h5"):
        convert(open_dataset(stored), tmp_path / "one.zarr", single=True)


def test_a_single_file_opens_with_xarray(stored: Path, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    convert(open_dataset(stored), tmp_path / "one.h5", single=True)
    with xarray.open_dataset(tmp_path / "one.h5", group="validation", engine="h5netcdf") as opened:
        assert dict(opened.sizes) == {"sample": 500, "x": 101, "level": 10}


@settings(deadline=None, max_examples=25)
@given(where=st.floats(0, 0.9999), bit=st.integers(0, 7))
def test_a_bit_flipped_in_a_single_file(single: Path, where: float, bit: int) -> None:
    """Reading never gives a wrong number; where it gives the right ones the bit was none of ours."""
    before = single.read_bytes()
    truth = {s: open_dataset(single)[s]["energy"][:] for s in ("train", "validation")}
    blob = bytearray(before)
    blob[int(where * len(blob))] ^= 1 << bit
    single.write_bytes(blob)
    try:
        data = open_dataset(single)
        problems = list(verify_single(single, data.manifest))
        for split, energy in truth.items():
            np.testing.assert_array_equal(data[split]["energy"][:], energy)
    except (DatasetDamaged, OSError, ValueError) as error:
        problems = [str(error)]
    finally:
        single.write_bytes(before)
    assert problems or open_dataset(single).digest


def test_rows_changed_in_a_single_file(stored: Path, tmp_path: Path) -> None:
    """By HDF5 itself, so that every checksum of its own is right."""
    path = tmp_path / "one.h5"
    convert(open_dataset(stored), path, single=True)
    with h5py.File(path, "r+") as file:
        file["train/energy"][1500, 3] += 1e-9
    assert list(verify_files(path, path, open_dataset(path).manifest)) == [
        "train/energy/1 was altered: its sha256 is not the manifest's"
    ]
    assert len(open_dataset(path)["train"].shard(0)["energy"]) == 1000
    with pytest.raises(DatasetDamaged, match="sha256 is not the manifest's"):
        open_dataset(path)["train"].shard(1)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("single")
    generate(SpectraRecipe("m3", n=500, validation=50, mesh=20, levels=3), folder / "a.zarr", workers=0)
    convert(open_dataset(folder / "a.zarr"), folder / "one.h5", single=True)
    return folder / "one.h5"


def test_subsets_are_nested_seeded_and_of_rows_that_belong_together(stored: Path, tmp_path: Path) -> None:
    data = open_dataset(stored)
    for n, seed in ((500, 0), (2000, 0), (500, 1)):
        subset(data, tmp_path / f"{n}-{seed}{stored.suffix}", n, seed=seed)
    small, large, other = (
        open_dataset(tmp_path / f"{x}{stored.suffix}") for x in ("500-0", "2000-0", "500-1")
    )
    rows = {
        v.tobytes(): e for v, e in zip(data["train"]["potential"][:], data["train"]["energy"][:], strict=True)
    }
    chosen = [v.tobytes() for v in large["train"]["potential"][:]]
    assert len(set(chosen)) == 2000 and set(chosen) <= rows.keys()
    np.testing.assert_array_equal(large["train"]["energy"][:], np.array([rows[v] for v in chosen]))
    for field in ("potential", "energy"):
        np.testing.assert_array_equal(small["train"][field][:], large["train"][field][:500])
        assert not np.array_equal(small["train"][field][:], other["train"][field][:])
        np.testing.assert_array_equal(small["validation"][field][:], data["validation"][field][:])
    assert small.recipe["digest"] == data.digest and small.row_order == "iid"
    with pytest.raises(InvalidInput, match="choose 1 to 3500"):
        subset(data, tmp_path / "x.zarr", 3501)


def test_merged_sets_follow_each_other(stored: Path, tmp_path: Path) -> None:
    other = tmp_path / "exp.zarr"
    generate(SpectraRecipe("exp", n=1200, validation=100, solver="lanes"), other, workers=0)
    part = tmp_path / "part.zarr"
    subset(open_dataset(other), part, 900)
    parts = [open_dataset(other), open_dataset(stored), open_dataset(part)]
    path = tmp_path / f"all{stored.suffix}"
    merge(parts, path)
    data = open_dataset(path)
    for split in ("train", "validation"):
        for field in ("potential", "energy"):
            expected = np.concatenate([p[split][field][:] for p in parts])
            np.testing.assert_array_equal(data[split][field][:], expected)
    assert data.row_order == "grouped" and [p["digest"] for p in data.recipe["of"]] == [
        p.digest for p in parts
    ]


def test_a_merge_says_what_was_drawn_with_the_same_seed(stored: Path, tmp_path: Path) -> None:
    """Row k is the same draw whatever the kernel: the rows are correlated, and here they say so."""
    for kernel, seed in (("exp", 0), ("exp", 1), ("m5", 1)):
        recipe = SpectraRecipe(kernel, n=1000, validation=0, seed=seed, solver="lanes")
        generate(recipe, tmp_path / f"{kernel}{seed}.zarr", workers=0)
    m3 = open_dataset(stored)
    exp0, exp1, m5 = (open_dataset(tmp_path / f"{name}.zarr") for name in ("exp0", "exp1", "m51"))
    correlation = [
        np.corrcoef(m3["train"]["potential"][:1000].ravel(), other["train"]["potential"][:].ravel())[0, 1]
        for other in (exp0, exp1)
    ]
    assert correlation[0] > 0.8 and abs(correlation[1]) < 0.05
    assert same_draws([m3, exp1]) == []
    (line,) = same_draws([m3, exp0, m5])  # exp0 and m3 have seed 0, and train alone in common
    assert f"{m3.path} and {exp0.path} have rows of train" in line and "same seed 0" in line
    merge([exp1, m5], tmp_path / "both.zarr")
    both = open_dataset(tmp_path / "both.zarr")
    assert both.provenance["same_draws"] == same_draws([exp1, m5])
    subset(exp1, tmp_path / "part.zarr", 10)
    assert len(same_draws([both, open_dataset(tmp_path / "part.zarr")])) == 1
    said = run("qdata", "merge", exp1.path, m5.path, "--out", "again.zarr", "--json", cwd=tmp_path)
    assert said.stderr == f"qdata: {same_draws([exp1, m5])[0]}\n" and said.json["digest"] == both.digest


def test_a_data_set_is_not_merged_with_itself(stored: Path, tmp_path: Path) -> None:
    data = open_dataset(stored)
    twin = copy_of(stored, tmp_path / f"twin{stored.suffix}")
    with pytest.raises(InvalidInput, match="every row would be there twice"):
        merge([data, open_dataset(twin)], tmp_path / "x.zarr")
    assert not (tmp_path / "x.zarr").exists()


def test_what_does_not_fit_is_not_merged(stored: Path, tmp_path: Path) -> None:
    generate(SpectraRecipe("exp", n=10, validation=0, levels=5), tmp_path / "few.zarr", workers=0)
    generate(SpectraRecipe("exp", n=10, validation=0, mesh=50), tmp_path / "coarse.zarr", workers=0)
    for name, message in (
        ("few", r"energy float64\(10,\) and energy float64\(5,\)"),
        ("coarse", "fields differ"),
    ):
        with pytest.raises(DatasetKindError, match=message):
            merge([open_dataset(stored), open_dataset(tmp_path / f"{name}.zarr")], tmp_path / "x.zarr")
    with pytest.raises(InvalidInput, match="at least two"):
        merge([open_dataset(stored)], tmp_path / "x.zarr")
    assert not (tmp_path / "x.zarr").exists()


def test_statistics_are_numpys(stored: Path) -> None:
    data = open_dataset(stored)
    answer = stats(data)
    for split in ("train", "validation"):
        for field in ("potential", "energy"):
            values = data[split][field][:].astype(np.float64)
            s = answer[split][field]
            assert s["rows"] == len(values) and s["min"] == values.min() and s["max"] == values.max()
            assert s["mean"] == pytest.approx(values.mean(), rel=1e-12)
            assert s["std"] == pytest.approx(values.std(), rel=1e-12)
            np.testing.assert_allclose(s["mean_each"], values.mean(axis=0), rtol=1e-10, atol=1e-10)
            np.testing.assert_allclose(s["std_each"], values.std(axis=0), rtol=1e-10)


def test_the_catalog_of_a_directory(stored: Path, tmp_path: Path) -> None:
    data = open_dataset(stored)
    convert(data, tmp_path / "a.zarr")
    convert(data, tmp_path / "b.h5")
    convert(data, tmp_path / "c.h5", single=True)
    convert(data, tmp_path / "d.zarr")
    (tmp_path / "d.zarr/manifest.json").write_text("{")
    (tmp_path / "e.zarr.partial").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "f.h5").write_text("no HDF5")
    entries = [entry.to_json() for entry in catalog(tmp_path)]
    assert [e["name"] for e in entries] == ["a.zarr", "b.h5", "c.h5", "d.zarr", "e.zarr"]
    assert [e.get("storage") for e in entries[:3]] == ["zarr", "hdf5", "hdf5-single"]
    assert "JSON" in entries[3]["problem"] and entries[4]["problem"] == "unfinished"
    assert root_of(tmp_path / "b.h5").name == "b.h5.shards"
