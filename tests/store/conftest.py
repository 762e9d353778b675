"""The conformance suite: tests that ask for `path` or `stored` run on every back end."""

from pathlib import Path

import pytest
from support import copy_of

from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.spectra import SpectraRecipe

SUFFIXES = {"zarr": ".zarr", "hdf5": ".h5"}


@pytest.fixture(params=list(SUFFIXES))
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where a data set may be made, with the suffix of each back end in turn."""
    return tmp_path / f"x{SUFFIXES[request.param]}"


@pytest.fixture(scope="session", params=list(SUFFIXES))
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,500 + 500 m3 potentials in shards of 1,000, on each back end in turn; not to be changed."""
    path = tmp_path_factory.mktemp("stored") / f"m3{SUFFIXES[request.param]}"
    recipe = SpectraRecipe("m3", n=3500, validation=500, solver="lanes")
    generate(recipe, path, workers=0, shard_rows=1000)
    return path


@pytest.fixture
def copy(stored: Path, tmp_path: Path) -> Path:
    """A copy of `stored` to be maltreated."""
    return copy_of(stored, tmp_path / stored.name)
