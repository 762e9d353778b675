"""What tests of several rooms need, made once a process; not to be changed by a test."""
# ruff: noqa: E402

import signal
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
from shapes import check_shapes

check_shapes()  # before anything of qwell is imported

from servers import s3_server

from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.figures import canvas
from qwell.store.cache import release
from qwell.store.dataset import Dataset
from qwell.store.reader import open_dataset


def pytest_configure() -> None:
    """Ctrl-C is heard by us and by the commands we begin, also where the tests run in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, so that neither of two processes is left alone with one in the end."""
    longest = ("test_docs.py", "test_reproduce.py")
    items.sort(key=lambda item: longest.index(item.path.name) if item.path.name in longest else len(longest))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("QWELL_CACHE", str(folder))
    yield folder
    release()


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No shapes are checked: what the library itself says of wrong ones is heard."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="session", autouse=True)
def true_figures() -> Iterator[dict[str, object]]:
    """Most tests ask whether there is a figure: theirs is coarse, PNG alone, and nobody looks at its layout.

    Yields what is otherwise in `qwell.figures.canvas`; `test_figures.py` puts it back.
    """
    coarse = {"DPI": 30, "FORMATS": ("png",), "lay_out": lambda figure: figure.set_layout_engine(None)}
    true = {name: getattr(canvas, name) for name in coarse}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in coarse.items():
            patch.setattr(canvas, name, value)
        yield true


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """The environment of clients of an S3-compatible server with the bucket `team`: one server a process,
    because clients are kept."""
    with s3_server() as environment:
        yield environment


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
