"""The data card: Croissant that the reference implementation accepts, and a page with what one needs."""

import json
from pathlib import Path

import pytest

from qwell.store.card import croissant, markdown
from qwell.store.derive import convert, merge, subset
from qwell.store.reader import open_dataset


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mlcroissant_validates_it(stored: Path, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    data = open_dataset(stored)
    convert(data, tmp_path / "one.h5", single=True)
    subset(data, tmp_path / "part.zarr", 100)
    merge([data, open_dataset(tmp_path / "part.zarr")], tmp_path / "two.zarr")
    for each in (data, open_dataset(tmp_path / "one.h5"), open_dataset(tmp_path / "two.zarr")):
        (tmp_path / "c.json").write_text(
            json.dumps(croissant(each, "https://example.org/data", "https://spdx.org/licenses/MIT"))
        )
        metadata = mlcroissant.Dataset(str(tmp_path / "c.json")).metadata
        assert not metadata.ctx.issues.errors
        assert metadata.conforms_to == ["http://mlcommons.org/croissant/1.1"]
        energy = next(f for f in metadata.record_sets[0].fields if f.name == "energy")
        assert energy.is_array and energy.array_shape == "10"


def test_every_file_is_named_with_its_sha256(stored: Path) -> None:
    data = open_dataset(stored)
    files = {f["@id"]: f["sha256"] for f in croissant(data)["distribution"] if f["@type"] == "cr:FileObject"}
    assert files.pop("manifest.json") == data.digest
    assert files == {name: record.sha256 for name, record in data.manifest.files.items()}


def test_the_page_says_what_one_needs(stored: Path) -> None:
    data = open_dataset(stored)
    text = markdown(data)
    for part in (
        data.digest,
        "| train | 3,500 | 4 |",
        "potential V(x)",
        '"kernel": "m3"',
        "same random",
        "qdata verify",
    ):
        assert part in text
