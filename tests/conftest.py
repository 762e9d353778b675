"""Small data sets made once, by the code under test."""

from pathlib import Path

import pytest

from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.store.dataset import Dataset
from qwell.store.reader import open_dataset


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("QWELL_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def dataset_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,500 + 500 m3 potentials in shards of 1,000."""
    path = tmp_path_factory.mktemp("store") / "m3.zarr"
    recipe = SpectraRecipe("m3", n=3500, validation=500, solver="lanes")
    generate(recipe, path, workers=0, shard_rows=1000)
    return path


@pytest.fixture(scope="session")
def dataset(dataset_path: Path) -> Dataset:
    return open_dataset(dataset_path)
