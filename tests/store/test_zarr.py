"""What is particular to Zarr."""

from pathlib import Path

import pytest
from support import copy_of, forge_file

from qwell.errors import DatasetDamaged
from qwell.store.reader import open_dataset


@pytest.fixture
def copy(dataset_path: Path, tmp_path: Path) -> Path:
    return copy_of(dataset_path, tmp_path / "copy.zarr")


def test_altered_metadata(copy: Path) -> None:
    path = copy / "train/energy/zarr.json"
    path.write_text(path.read_text().replace("3500", "3501"))
    with pytest.raises(DatasetDamaged, match="altered"):
        open_dataset(copy)


@pytest.mark.parametrize("codec", ["gzip", "zstd", "blosc", "numcodecs.pickle", "evil"])
def test_only_our_codecs_are_asked_to_decode(copy: Path, codec: str) -> None:
    """Also where the manifest vouches for the metadata."""
    path = copy / "train/energy/zarr.json"
    text = path.read_text().replace('"crc32c"', f'"{codec}"')
    path.write_text(text)
    forge_file(copy, path)
    with pytest.raises(DatasetDamaged, match="codecs are not what the manifest says"):
        open_dataset(copy)["train"]["energy"]
