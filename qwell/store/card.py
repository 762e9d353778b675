"""The data card of a data set: Markdown for people, Croissant 1.1 (JSON-LD) for catalogs and machines."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qwell.files import file_sha256
from qwell.progress import in_bytes
from qwell.store.backends import SHARDED
from qwell.store.dataset import Dataset, Split
from qwell.store.manifest import MANIFEST, FileRecord
from qwell.store.schema import Field

CROISSANT = "http://mlcommons.org/croissant/1.1"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}  # the vocabulary that the standard asks every document to declare
_MEDIA = {"zarr": "application/vnd.zarr", "hdf5": "application/x-hdf5", "hdf5-single": "application/x-hdf5"}


def summary(data: Dataset) -> str:
    """What a data set is, in one sentence."""
    rows = " and ".join(f"{len(split):,} rows of {name}" for name, split in data.splits.items())
    return f"One-dimensional quantum mechanics, {data.kind}: {rows} ({describe_recipe(data.recipe)})."


SEEDS = """Rows depend on the seed, the split and their number: another data set of the same seed has rows
made from the same random numbers, whatever its kernel, and is not independent of this one.

"""
Measured = dict[str, dict[str, dict[str, Any]]]  # split → field → statistics
EXAMPLES = 1000  # numbers in the rows that are written out
GROUND, NUMBERS = "ground", ("x0", "s0", "e0")  # a packet that is an eigenstate has none of these numbers
LISTED = 4  # entries of a long list that are spelt out


def describe_recipe(recipe: dict[str, Any]) -> str:
    """A recipe on one line, nested ones in brackets."""
    parts = []
    for key, value in recipe.items():
        if isinstance(value, dict):
            value = f"[{describe_recipe(value)}]"
        elif isinstance(value, list):
            items = [describe_recipe(v) if isinstance(v, dict) else str(v) for v in value[:LISTED]]
            more = f"; … {len(value)} in all" if len(value) > LISTED else ""
            value = f"[{'; '.join(items)}{more}]"
        if value is not None and not (key in NUMBERS and recipe.get("packet") == GROUND):
            parts.append(f"{key} {value}")
    return ", ".join(parts)


# What rows are, by the recipe that they were first made by.
CONTENT = {
    "spectra": "Potentials are random, drawn from a Gaussian process; energies were computed. Nothing is"
    " measured and nothing is personal.",
    "trajectories": "Wave packets were propagated in the potentials that the recipe names. Nothing is random"
    " but the choice of the simulations for validation, nothing is measured and nothing is personal.",
    "driven": "Wave packets were propagated in potentials that change with time as the recipe says"
    " (`families` and `tests`, with their `drives`). Numbers are drawn at random where `drawn`"
    " is not 0, and for validation; nothing is measured and nothing is personal.",
    "densities": "Potentials are random, one number a cell; densities were computed. Nothing is measured and"
    " nothing is personal.",
    "import": "Potentials were brought in from a file (`source` in the recipe), with its energies or with"
    " computed ones (`solver`). Where they come from, and on which terms, whoever has made that file knows.",
}
DRAWN = ("spectra", "densities")  # kinds of rows that are drawn with their seed
UNKNOWN = "How the rows were first made is not the same in all parts, or is not recorded."


@dataclass(frozen=True)
class Credits:
    """Whose a data set is: as recorded when it was made, or as told for its card.

    Arguments:
        license: an SPDX identifier ("CC-BY-4.0") or an address; empty if none is named.
        authors: their names.
    """

    license: str = ""
    authors: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: Dataset) -> Credits:
        """Those in the provenance of a data set, or of what it was derived from."""
        made: Any = data.provenance
        while isinstance(made, dict):
            license, authors = made.get("license"), made.get("authors")
            if isinstance(license, str) or isinstance(authors, list):
                return cls(str(license or ""), tuple(map(str, authors or ())))
            made = made.get("source")
        return cls()


def bibtex(data: Dataset, credits: Credits, url: str = "") -> str:
    """An entry for BibTeX, with the version; only with authors where there are any."""
    made = str(data.provenance.get("created", ""))[:4]
    fields = {
        "author": " and ".join(credits.authors),
        "title": f"{{{data.name}}}: one-dimensional quantum mechanics, {data.kind}",
        "year": made,
        "note": f"qwell data set, version {data.digest}",
        "url": url,
    }
    lines = [f"  {key} = {{{value}}}," for key, value in fields.items() if value]
    return "\n".join([f"@misc{{{re.sub('[^A-Za-z0-9]', '', data.stem)}-{data.digest[:8]},", *lines, "}"])


def _header(data: Dataset, credits: Credits) -> str:
    """The header that the Hugging Face Hub reads."""
    rows = sum(len(split) for split in data.splits.values())
    sizes = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"),
             (10**7, "1M<n<10M"), (10**8, "10M<n<100M")]  # fmt: skip
    size = next((name for most, name in sizes if rows < most), "100M<n<1B")
    lines = [f"pretty_name: {json.dumps(data.stem)}"]
    if credits.license:
        known = re.fullmatch(r"[A-Za-z0-9.+-]+", credits.license)
        lines.append(f"license: {credits.license.lower() if known else 'other'}")
        lines += [] if known else [f"license_link: {json.dumps(credits.license)}"]
    lines += ["tags:", "- physics", "- quantum-mechanics", f"- {data.kind}", "size_categories:", f"- {size}"]
    return "\n".join(["---", *lines, "---"])


def _cells(*cells: object) -> str:
    """A line of a table in Markdown."""
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _statistics(measured: Measured) -> str:
    """A table of `stats.stats`."""
    lines = [_cells("split", "field", "mean", "std", "min", "max"), "|---|---|---|---|---|---|"]
    for split, fields in measured.items():
        for field, s in fields.items():
            if s["rows"]:
                lines.append(
                    _cells(split, f"`{field}`", *(f"{s[k]:.5g}" for k in ("mean", "std", "min", "max")))
                )
    return "\n".join(lines)


def markdown(
    data: Dataset,
    credits: Credits | None = None,
    *,
    url: str = "",
    picture: str = "",
    measured: Measured | None = None,
) -> str:
    """A data card: what is in it, how it was made, whose it is, how to read and check it.

    Long because a page should be seen whole in one place.

    Arguments:
        data: the data set.
        credits: whose it is; by default as recorded when it was made.
        url: where others find it.
        picture: name of an image of samples beside the card.
        measured: what `stats.stats` says of the data set.
    """
    credits = credits or Credits.of(data)
    size = sum(record.size for record in data.manifest.files.values())
    splits = "\n".join(_cells(n, f"{len(s):,}", s.shards) for n, s in data.splits.items())
    fields = "\n".join(
        _cells(
            f"`{f.name}`", "sample" + "".join(f", {d} ({s})" for d, s in zip(f.dims, f.shape, strict=True)),
            f.dtype, f.units, f.long_name,
        )
        for f in data.plan.fields
    )  # fmt: skip
    axes = "\n".join(
        _cells(f"`{c.name}`", len(c.values), f"{c.values[0]:g} … {c.values[-1]:g}", c.units, c.long_name)
        for c in data.plan.coordinates
    )
    made = data.provenance
    about = [f"qwell {made.get('qwell')}", str(made.get("created")), f"Python {made.get('python')}"]
    about += [f"{k} {v}" for k, v in (made.get("libraries") or {}).items()]
    recipe = json.dumps(data.recipe, indent=1, sort_keys=True)
    origin = str(data.origin.get("recipe"))
    return f"""{_header(data, credits)}

# {data.name}

{summary(data)}

{f"![samples]({picture}){chr(10)}" if picture else ""}
- version `{data.digest}`
- {in_bytes(size)} in {len(data.manifest.files)} files, format {data.plan.storage}
- rows are {"independent of their position" if data.row_order == "iid" else "grouped by their source"}
- licence: {credits.license or "none is named; ask whoever made it before passing it on"}
- authors: {", ".join(credits.authors) or "not recorded"}

| split | rows | shards |
|---|---|---|
{splits}

| field | dimensions | type | units | content |
|---|---|---|---|---|
{fields}

| axis | points | values | units | content |
|---|---|---|---|---|
{axes}

{f"## Statistics{chr(10)}{chr(10)}{_statistics(measured)}{chr(10)}" if measured else ""}
## How it was made

{CONTENT.get(origin, UNKNOWN)}

```json
{recipe}
```

{SEEDS if origin in DRAWN else ""}{", ".join(about) if made else "Its provenance is not recorded."}

## How to read and check it

```python
from qwell import open_dataset

data = open_dataset("{url or data.name}@{data.digest[:12]}")
data["train"]["{data.plan.fields[0].name}"][:10]
```

`qdata verify {data.name}` compares every file with its sha256; with `--full` it makes a sample again.

## How to cite it

```bibtex
{bibtex(data, credits, url)}
```
"""


def croissant(data: Dataset, url: str = "", license: str = "", authors: Sequence[str] = ()) -> dict[str, Any]:
    """The data set as Croissant 1.1: files with their sha256, and one record set a split.

    Readers of Croissant know neither Zarr nor HDF5, and get no rows of these; the first rows of a split stand
    in the record set `<split>-examples`, which they can read.

    Arguments:
        data: the data set.
        url: where it can be had; by default the names of its files only.
        license: its address or SPDX identifier, e.g. "https://creativecommons.org/licenses/by/4.0/"; by
            default the one recorded when it was made, as `authors` are.
        authors: their names.
    """
    credits = Credits.of(data)
    license, authors = license or credits.license, authors or credits.authors
    people = [{"@type": "sc:Person", "name": name} for name in authors]
    base = url.rstrip("/") + "/" if url else ""
    made = data.provenance
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": data.name.replace(".", "-"),
        "description": summary(data),
        "conformsTo": CROISSANT,
        **({"license": license} if license else {}),
        **({"creator": people} if people else {}),
        "url": url or f"urn:sha256:{data.digest}",
        "version": f"1.0.0+{data.digest[:12]}",
        "datePublished": str(made.get("created", "1970-01-01"))[:10],
        "citeAs": bibtex(data, Credits(license, tuple(authors)), url),
        "keywords": ["quantum mechanics", "Schrödinger equation", data.kind],
        "distribution": _distribution(data, base),
        "recordSet": [
            record_set
            for split in data.splits.values()
            if len(split)
            for record_set in (_record_set(data, split), _examples(data, split))
        ],
    }


def _distribution(data: Dataset, base: str) -> list[dict[str, Any]]:
    """Every file with its sha256, and the set of files of each split; or the one file there is."""
    media = _MEDIA[data.plan.storage]
    if data.plan.storage not in SHARDED:
        about = {"@type": "cr:FileObject", "@id": data.name, "name": data.name}
        address = {"contentUrl": base + data.name, "encodingFormat": media}
        return [{**about, **address, "sha256": file_sha256(data.root)}]
    manifest = FileRecord.of(data.manifest.encode())
    files = [_file_object(MANIFEST, base, manifest, "application/json")]
    files += [_file_object(p, base, r, media) for p, r in sorted(data.manifest.files.items())]
    sets = [
        {
            "@type": "cr:FileSet",
            "@id": f"{name}-files",
            "name": f"{name}-files",
            "description": f"the files of {name}",
            "encodingFormat": media,
            "includes": f"{name}/**",
        }
        for name, split in data.splits.items()
        if len(split)
    ]
    return files + sets


def _record_set(data: Dataset, split: Split) -> dict[str, Any]:
    """The rows of one split, a field of the standard for each of ours."""
    one = {"fileObject": {"@id": data.name}}
    source = {"fileSet": {"@id": f"{split.name}-files"}} if data.plan.storage in SHARDED else one
    return {
        "@type": "cr:RecordSet",
        "@id": split.name,
        "name": split.name,
        "description": f"{len(split):,} rows; row i of every field belongs together. Readers of Croissant get"
        f" no rows of it, because the standard has no way to read arrays of {data.plan.storage}: open it with"
        f" qwell.open_dataset, xarray or h5py. {split.name}-examples has rows that they can read",
        "field": [
            {**_field(split.name, f), "source": {**source, "extract": {"fileProperty": "content"}}}
            for f in data.plan.fields
        ],
    }


def _examples(data: Dataset, split: Split) -> dict[str, Any]:
    """The first rows of a split, written out, as many as take little room."""
    name = f"{split.name}-examples"
    numbers = sum(math.prod(f.shape) for f in data.plan.fields)
    count = max(1, min(len(split), EXAMPLES // numbers))
    rows = split.rows(0, count)
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"the first {count} of {len(split):,} rows of {split.name}",
        "field": [_field(name, f) for f in data.plan.fields],
        "data": [{f"{name}/{f}": values[i].tolist() for f, values in rows.items()} for i in range(count)],
    }


def _field(record_set: str, field: Field) -> dict[str, Any]:
    """A field of ours as one of the standard."""
    shape = {"isArray": True, "arrayShape": ",".join(map(str, field.shape))} if field.shape else {}
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{field.name}",
        "name": field.name,
        "description": f"{field.long_name}, {field.units}",
        "dataType": f"cr:Float{field.dtype.removeprefix('float')}",
        **shape,
    }


def _file_object(path: str, base: str, record: FileRecord, media: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path.replace("/", "-"),
        "contentUrl": base + path,
        "contentSize": f"{record.size} B",
        "encodingFormat": "application/json" if path.endswith(".json") else media,
        "sha256": record.sha256,
    }
