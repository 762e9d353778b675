"""The data card of a data set: Markdown for people, Croissant 1.1 (JSON-LD) for catalogs and machines."""

from __future__ import annotations

import json
from typing import Any

from qwell.files import file_sha256
from qwell.progress import in_bytes
from qwell.store.backends import SHARDED
from qwell.store.dataset import Dataset, Split
from qwell.store.manifest import MANIFEST, FileRecord

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
        if value is not None:
            parts.append(f"{key} {value}")
    return ", ".join(parts)


def markdown(data: Dataset) -> str:
    """A data card: what is in it, how it was made, how to read and check it."""
    size = sum(record.size for record in data.manifest.files.values())
    splits = "\n".join(f"| {n} | {len(s):,} | {s.shards} |" for n, s in data.splits.items())
    fields = "\n".join(
        f"| `{f.name}` | sample{''.join(f', {d} ({s})' for d, s in zip(f.dims, f.shape, strict=True))}"
        f" | {f.dtype} | {f.units} | {f.long_name} |"
        for f in data.plan.fields
    )
    axes = "\n".join(
        f"| `{c.name}` | {len(c.values)} | {c.values[0]:g} … {c.values[-1]:g} | {c.units} | {c.long_name} |"
        for c in data.plan.coordinates
    )
    made = data.provenance
    about = [f"qwell {made.get('qwell')}", str(made.get("created")), f"Python {made.get('python')}"]
    about += [f"{k} {v}" for k, v in (made.get("libraries") or {}).items()]
    recipe = json.dumps(data.recipe, indent=1, sort_keys=True)
    return f"""# {data.name}

{summary(data)}

- version `{data.digest}`
- {in_bytes(size)} in {len(data.manifest.files)} files, format {data.plan.storage}
- rows are {"independent of their position" if data.row_order == "iid" else "grouped by their source"}

| split | rows | shards |
|---|---|---|
{splits}

| field | dimensions | type | units | content |
|---|---|---|---|---|
{fields}

| axis | points | values | units | content |
|---|---|---|---|---|
{axes}

## How it was made

```json
{recipe}
```

{SEEDS if "seed" in data.recipe else ""}{", ".join(about) if made else "Its provenance is not recorded."}

## How to read and check it

```python
from qwell import open_dataset

data = open_dataset("{data.name}@{data.digest[:12]}")
data["train"]["{data.plan.fields[0].name}"][:10]
```

`qdata verify {data.name}` compares every file with its sha256; with `--full` it solves a sample again.

The potentials are random and contain no personal data.
"""


def croissant(data: Dataset, url: str = "", license: str = "") -> dict[str, Any]:
    """The data set as Croissant 1.1: files with their sha256, and one record set a split.

    Arguments:
        data: the data set.
        url: where it can be had; by default the names of its files only.
        license: its address, e.g. "https://creativecommons.org/licenses/by/4.0/".
    """
    base = url.rstrip("/") + "/" if url else ""
    made = data.provenance
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": data.name.replace(".", "-"),
        "description": summary(data),
        "conformsTo": CROISSANT,
        **({"license": license} if license else {}),
        "url": url or f"urn:sha256:{data.digest}",
        "version": f"1.0.0+{data.digest[:12]}",
        "datePublished": str(made.get("created", "1970-01-01"))[:10],
        "citeAs": f"qwell data set {data.name}, version {data.digest}",
        "keywords": ["quantum mechanics", "Schrödinger equation", data.kind],
        "distribution": _distribution(data, base),
        "recordSet": [_record_set(data, split) for split in data.splits.values() if len(split)],
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
        "description": f"{len(split):,} rows; row i of every field belongs together",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{split.name}/{f.name}",
                "name": f.name,
                "description": f"{f.long_name}, {f.units}",
                "dataType": f"cr:Float{f.dtype.removeprefix('float')}",
                "isArray": True,
                "arrayShape": ",".join(str(s) for s in f.shape),
                "source": {**source, "extract": {"fileProperty": "content"}},
            }
            for f in data.plan.fields
        ],
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
