"""The data card: Croissant that the reference implementation accepts, and a page with what one needs."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import run

from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.densities import DensitiesRecipe
from qwell.datagen.recipes.imported import import_spectra
from qwell.store.card import CONTENT, Credits, croissant, markdown
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
        described = mlcroissant.Dataset(str(tmp_path / "c.json"))
        metadata = described.metadata
        assert not metadata.ctx.issues.errors and not metadata.ctx.issues.warnings
        rows = list(described.records("train-examples"))
        for i, row in enumerate(rows):
            assert row["train-examples/energy"] == each["train"]["energy"][i].tolist()
        assert len(rows) == 9  # 101 + 10 numbers each
        train = next(one for one in metadata.record_sets if one.name == "train")
        assert "no way to read arrays of" in str(train.description)
        assert metadata.conforms_to == ["http://mlcommons.org/croissant/1.1"]
        energy = next(f for f in metadata.record_sets[0].fields if f.name == "energy")
        assert energy.is_array and energy.array_shape == "10"


def test_every_file_is_named_with_its_sha256(stored: Path) -> None:
    data = open_dataset(stored)
    files = {f["@id"]: f["sha256"] for f in croissant(data)["distribution"] if f["@type"] == "cr:FileObject"}
    assert files.pop("manifest.json") == data.digest
    assert files == {name: record.sha256 for name, record in data.manifest.files.items()}


def test_whose_it_is_is_kept_from_making_to_card(tmp_path: Path) -> None:
    """Through the command, provenance, a conversion, the page, its header, and Croissant; not the version."""
    own = ("--license", "CC-BY-4.0", "--author", "Ada | B.", "--author", "Erwin S.")
    make = ("qdata", "generate", "--kernel", "m3", "--n", 20, "--validation", 0, "--workers", 0)
    run(*make, *own, "--out", "a.zarr", cwd=tmp_path)
    run(*make, "--out", "b.zarr", cwd=tmp_path)
    data, other = open_dataset(tmp_path / "a.zarr"), open_dataset(tmp_path / "b.zarr")
    assert data.digest == other.digest and Credits.of(other) == Credits()
    convert(data, tmp_path / "a.h5")
    for each in (data, open_dataset(tmp_path / "a.h5")):
        assert Credits.of(each) == Credits("CC-BY-4.0", ("Ada | B.", "Erwin S."))
    run("qdata", "card", "a.zarr", "--out", "cards", cwd=tmp_path)
    page = (tmp_path / "cards/a.md").read_text()
    for part in ("license: cc-by-4.0\n", "- authors: Ada | B., Erwin S.", "author = {Ada | B. and Erwin S.}"):
        assert part in page
    assert "![samples](a-samples.png)" in page and (tmp_path / "cards/a-samples.png").stat().st_size > 0
    mean = f"{data['train']['energy'][:].mean():.5g}"
    assert f"| train | `energy` | {mean} |" in page
    machine = json.loads((tmp_path / "cards/a.croissant.json").read_text())
    assert machine["license"] == "CC-BY-4.0" and machine["creator"][1]["name"] == "Erwin S."
    run("qdata", "card", "b.zarr", "--quick", "--license", "https://example.org/own", cwd=tmp_path)
    assert 'license: other\nlicense_link: "https://example.org/own"' in (tmp_path / "b.md").read_text()
    assert not (tmp_path / "b-samples.png").exists()


def test_every_kind_is_described_as_it_is(tmp_path: Path) -> None:
    """Barriers are not random, and nobody knows that of what is brought."""
    import_spectra(np.zeros((5, 21)), tmp_path / "own.zarr", levels=2, source="own.npy")
    generate(DensitiesRecipe(n=8, validation=0, test=0), tmp_path / "cells.zarr", workers=0)
    own, cells = (markdown(open_dataset(tmp_path / name)) for name in ("own.zarr", "cells.zarr"))
    assert "brought in from a file" in own and "random" not in own
    assert "Potentials are random, one number a cell" in cells
    assert "Nothing is random" in CONTENT["trajectories"]


def test_tables_of_the_page_have_as_many_cells_as_their_heads(tmp_path: Path) -> None:
    """A | in a description is escaped: densities have |norm - 1| among their fields."""
    import_spectra(np.zeros((5, 21)), tmp_path / "own.zarr", levels=2)
    data = open_dataset(tmp_path / "own.zarr")
    field = data.plan.fields[0]
    object.__setattr__(data, "plan", replace(data.plan, fields=(replace(field, long_name="|norm - 1|"),)))
    text = markdown(data)
    assert r"\|norm - 1\|" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table


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
