"""Data sets in the hands of numpy, Dask, xarray, pandas and pickle: the same numbers, read when needed."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from qwell.datagen.pipeline import generate
from qwell.datagen.presets import grid
from qwell.errors import DatasetReplaced, InvalidInput
from qwell.store.arrays import FieldArray
from qwell.store.dataset import Dataset
from qwell.store.derive import convert
from qwell.store.reader import open_dataset


@pytest.fixture(scope="module", params=["m3.h5", "m3.zarr", "single.h5"])
def data(
    request: pytest.FixtureRequest, dataset_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Dataset:
    """The same rows in each of the formats."""
    if request.param == "m3.zarr":
        return open_dataset(dataset_path)
    path = tmp_path_factory.mktemp("other") / request.param
    convert(open_dataset(dataset_path), path, single=request.param == "single.h5")
    return open_dataset(path)


def test_a_field_is_an_array_to_numpy(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    field = data["train"]["energy"]
    assert (field.ndim, field.size, field.nbytes) == (2, 35_000, 280_000)
    reads: list[object] = []
    whole = FieldArray.__getitem__
    monkeypatch.setattr(FieldArray, "__getitem__", lambda self, key: (reads.append(key), whole(self, key))[1])
    values = np.asarray(field)
    assert reads == [slice(None)], "it is read at once, not row by row"
    np.testing.assert_array_equal(values, whole(field, slice(None)))
    assert np.asarray(field, dtype=np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="copy"):
        np.array(field, copy=False)


def test_pickled_data_reads_the_same_rows_elsewhere(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = data["train"]["energy"][10:12]
    sent = pickle.dumps((data, data["train"], data["train"]["energy"]))
    monkeypatch.chdir(tmp_path)
    whole, split, field = pickle.loads(sent)
    for there in (whole["train"]["energy"], split["energy"], field):
        np.testing.assert_array_equal(there[10:12], before)
    assert whole.digest == data.digest and len(sent) < 50_000, "no rows travel"


def test_what_was_pickled_is_not_another_version_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that was relative where it was opened still leads there, and a replaced data set is noticed."""
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        recipe = grid(e0=(1.0 + seed,), frames=3, points=64, box=20.0)
        generate(recipe, "free.zarr", workers=0, force=True)
        if seed == 0:
            sent = pickle.dumps(open_dataset("free.zarr"))
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    with pytest.raises(DatasetReplaced, match=r"is version .* now"):
        pickle.loads(sent)["train"]["psi"][:]


def test_dask_reads_blocks_when_it_computes(data: Dataset) -> None:
    import dask.array
    from dask.base import tokenize

    energy = data.to_dask()["energy"]
    assert energy.chunks[0] == (1000, 1000, 1000, 500)
    np.testing.assert_allclose(energy.mean(axis=0).compute(), data["train"]["energy"][:].mean(axis=0))
    field = data["train"]["energy"]
    own = dask.array.from_array(field)
    np.testing.assert_array_equal(own[5:7].compute(), field[5:7])
    assert tokenize(field) == tokenize(open_dataset(data.path)["train"]["energy"])
    assert tokenize(field) != tokenize(data["validation"]["energy"])


def test_xarray_is_lazy_and_has_the_axes(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    xarray = pytest.importorskip("xarray")
    with monkeypatch.context() as patch:
        patch.setattr(
            FieldArray, "read_into", lambda *_: pytest.fail("rows are read before they are asked for")
        )
        lazy = data.to_xarray("validation")
    assert lazy.potential.dims == ("sample", "x") and lazy.potential.attrs["units"] == "hbar^2/(m length^2)"
    np.testing.assert_array_equal(lazy.x, data.coordinates["x"])
    np.testing.assert_array_equal(lazy.energy.sel(level=3), data["validation"]["energy"][:, 3])
    if data.plan.storage == "zarr":
        theirs = xarray.open_zarr(data.path, group="validation", consolidated=False)
        xarray.testing.assert_equal(
            lazy.energy.reset_coords(drop=True), theirs.energy.reset_coords(drop=True)
        )


def test_small_fields_are_a_table(data: Dataset) -> None:
    pytest.importorskip("pandas")
    table = data.to_pandas("validation")
    assert list(table) == [f"energy[{i}]" for i in range(10)]
    np.testing.assert_array_equal(table["energy[3]"], data["validation"]["energy"][:, 3])
    assert data.to_pandas("validation", ["potential", "energy"]).shape == (500, 111)


def test_a_large_field_is_no_table(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    generate(grid(frames=20, points=64, box=20.0), tmp_path / "a.zarr", workers=0)
    data = open_dataset(tmp_path / "a.zarr")
    assert {"x0", "e0", "norm_drift"} <= set(data.to_pandas())
    with pytest.raises(InvalidInput, match="to_xarray"):
        data.to_pandas(fields=["psi"])
    with pytest.raises(InvalidInput, match="no field 'energy'"):
        data.to_pandas(fields=["energy"])
