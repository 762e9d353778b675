"""The commands of `qdata` that work on any data set, whatever is in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from qwell.cli.answers import answer, as_json, wants_json
from qwell.cli.common import goes_on_with
from qwell.cli.options import given, option, path_option, refuse
from qwell.errors import warn
from qwell.progress import in_bytes, stage
from qwell.store.derive import subset as random_part

resume_option = click.option(
    "--resume", is_flag=True, help="Continue the same command after an interruption."
)
force_option = click.option(
    "--force", is_flag=True, help="Replace a data set that is at --out, once the new one is whole."
)
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Path of the new data set: …/name.zarr, or …/name.h5 for HDF5.",
)


AGAIN = partial(goes_on_with, "the same command and --resume", "qdata")


def _rows(data: Any) -> int:
    return sum(len(split) for split in data.splits.values())


def _size(data: Any) -> int:
    return sum(record.size for record in data.manifest.files.values())


@click.command()
@click.argument("path")
@as_json
def info(path: str) -> None:
    """Say what a data set holds, how it was made, and its version. PATH may be an address."""
    from qwell.store.card import describe_recipe
    from qwell.store.reader import open_dataset

    data = open_dataset(path)
    plan, size = data.plan, _size(data)
    lines = [f"{path}: {data.kind}, version {data.digest}"]
    for name, split in data.splits.items():
        lines.append(f"  {name:<12}{len(split):>12,} rows in {split.shards} shards")
    wide = max([12, *(len(field.name) for field in plan.fields)])
    for field in plan.fields:
        shape = " x ".join(f"{d} {s}" for d, s in zip(field.dims, field.shape, strict=True))
        lines.append(
            f"  {field.name:<{wide}} {field.dtype:<9}{shape:<32} {field.units:<21} {field.long_name}"
        )
    lines.append(f"  {in_bytes(size)} in {len(data.manifest.files)} files, format {plan.storage}")
    lines.append(f"  recipe      {describe_recipe(data.recipe)}")
    made = data.provenance
    if made:
        lines.append(
            f"  made        {made.get('created')} on {made.get('host')} by qwell {made.get('qwell')}"
        )
    results = {**plan.to_json(), "path": path, "digest": data.digest, "bytes": size, "provenance": made}
    answer(results, "\n".join(lines))


@click.command()
@click.argument("path")
@as_json
def stats(path: str) -> None:
    """Mean, standard deviation and range of every field; with --json also of every element of a row."""
    from qwell.store.reader import open_dataset
    from qwell.store.stats import stats as measure

    data = open_dataset(path)
    measured = measure(data)
    wide = max([11, *(len(field) for fields in measured.values() for field in fields)]) + 1
    lines = [f"{'split':<12}{'field':<{wide}}{'rows':>12}{'mean':>13}{'std':>13}{'min':>13}{'max':>13}"]
    for split, fields in measured.items():
        for field, s in fields.items():
            numbers = [f"{s[k]:>13.5g}" if s["rows"] else f"{'-':>13}" for k in ("mean", "std", "min", "max")]
            lines.append(f"{split:<12}{field:<{wide}}{s['rows']:>12,}{''.join(numbers)}")
    answer({"path": path, "digest": data.digest, "stats": measured}, "\n".join(lines))


@click.command()
@click.argument("path")
@out_option
@click.option("--single", is_flag=True, help="Write one portable HDF5 file instead of a file for each shard.")
@resume_option
@force_option
@as_json
def convert(path: str, out: Path, single: bool, resume: bool, force: bool) -> None:
    """Write the same rows in another format: Zarr to HDF5, HDF5 to Zarr, or into a single HDF5 file."""
    from qwell.store.derive import convert as make

    if single:
        refuse("a --single file is written at one go", "resume")
    _derive(
        path,
        out,
        lambda data, bar: make(data, out, single=single, resume=resume, force=force, progress=bar),
    )


@click.command()
@click.argument("path")
@click.option("--n", type=int, required=True, help="Training rows to keep; validation stays whole.")
@option(
    random_part,
    "seed",
    help="Seed of the choice of rows; smaller subsets of one seed lie within larger ones.",
)
@out_option
@resume_option
@force_option
@as_json
def subset(path: str, n: int, seed: int | None, out: Path, resume: bool, force: bool) -> None:
    """Keep a random part of the training rows."""
    chosen = given({"seed": seed})
    _derive(
        path,
        out,
        lambda data, bar: random_part(data, out, n, resume=resume, force=force, progress=bar, **chosen),
    )


def _derive(path: str, out: Path, make: Callable[[Any, Any], Any]) -> None:
    from qwell.store.reader import open_dataset

    data = open_dataset(path)
    with AGAIN(), stage("rows", _rows(data), resumed=True) as done:
        manifest = make(data, done)
    _made(out, manifest)


def _made(out: Path, manifest: Any) -> None:
    rows = {name: layout.rows for name, layout in manifest.plan.splits.items()}
    counts = " + ".join(f"{n:,}" for n in rows.values())
    answer(
        {"path": out, "digest": manifest.digest, "rows": rows, "bytes": manifest.plan.bytes},
        f"{out}: {counts} rows, {in_bytes(manifest.plan.bytes)}, version {manifest.digest[:12]}",
    )


@click.command()
@click.argument("paths", nargs=-1, required=True)
@out_option
@resume_option
@force_option
@as_json
def merge(paths: tuple[str, ...], out: Path, resume: bool, force: bool) -> None:
    """Put data sets with the same fields one after the other, split by split."""
    from qwell.store.derive import merge as make
    from qwell.store.derive import same_draws
    from qwell.store.reader import open_dataset

    parts = [open_dataset(path) for path in paths]
    for line in same_draws(parts):
        warn(line)
    with AGAIN(), stage("rows", sum(map(_rows, parts)), resumed=True) as done:
        manifest = make(parts, out, resume=resume, force=force, progress=done)
    _made(out, manifest)


@click.command("list")
@click.argument("root", default="store")
@click.option("--recursive", is_flag=True, help="Look into directories that are no data sets, too.")
@as_json
def list_(root: str, recursive: bool) -> None:
    """List the data sets in a directory or at an address, without reading arrays."""
    from qwell.store.catalog import catalog

    entries = [entry.to_json() for entry in catalog(root, recursive)]
    none = f"{root}: no data sets; make one with `qdata generate --kernel m3 --n 100000`"
    if "://" not in root and not recursive and any(path.is_dir() for path in Path(root).iterdir()):
        none = f"{root}: no data sets directly in it; look further with --recursive"
    answer(entries, "\n".join(map(_line, entries)) or none)


def _line(entry: dict[str, Any]) -> str:
    """What a data set is, for `qdata list`."""
    if "problem" in entry:
        return f"{entry['name']:<24}{entry['problem']}"
    rows = " + ".join(f"{n:,}" for n in entry["rows"].values())
    kernel = entry["recipe"].get("kernel") or entry["recipe"].get("recipe")
    return (
        f"{entry['name']:<24}{entry['digest'][:12]}  {entry['kind']:<13}{kernel!s:<9}{rows:>22} rows"
        f"{in_bytes(entry['bytes']):>12}"
    )


@click.command()
@click.argument("path")
@click.option("--url", default="", help="Address where others find the data set, for the Croissant file.")
@click.option(
    "--license",
    "license_",
    default="",
    help="Licence of the data set, an SPDX name like CC-BY-4.0 or an address, if none was named before.",
)
@click.option(
    "--author",
    "authors",
    multiple=True,
    metavar="NAME",
    help="Author of the data set, if none was named when it was made; repeatable.",
)
@click.option("--quick", is_flag=True, help="Leave out statistics and picture, for which all rows are read.")
@path_option("--out", help="Directory that the files are written into.", default="here")
@as_json
def card(
    path: str, url: str, license_: str, authors: tuple[str, ...], quick: bool, out: Path | None
) -> None:  # fmt: skip
    """Write a data card: NAME.md for people, NAME.croissant.json (Croissant 1.1) for catalogs.

    The page is one that the Hugging Face Hub takes as README.md.
    """
    import json

    from qwell.files import atomic_write
    from qwell.store.card import Credits, croissant, markdown
    from qwell.store.reader import open_dataset
    from qwell.store.stats import stats as measure

    if wants_json():
        refuse("with --json the description is printed, and no file is written", "out", "quick")
    data = open_dataset(path)
    recorded = Credits.of(data)
    credits = Credits(license_ or recorded.license, authors or recorded.authors)
    description = croissant(data, url, credits.license, credits.authors)
    files: dict[Path, str] = {}
    if not wants_json():
        folder, machine = out or Path(), json.dumps(description, indent=1, ensure_ascii=False) + "\n"
        picture = "" if quick else _picture(data, folder)
        measured = None if quick else measure(data)
        page = markdown(data, credits, url=url, picture=picture, measured=measured)
        files = {folder / f"{data.stem}.md": page, folder / f"{data.stem}.croissant.json": machine}
    for file, text in files.items():
        atomic_write(file, text.encode())
    answer(description, "\n".join(map(str, files)))


def _picture(data: Any, folder: Path) -> str:
    """Draw samples into a folder; the name of the file, or nothing where there are no pages."""
    from qwell.studies.pages import MOST, page, save_figure, shown_split

    if data.kind not in MOST:
        return ""
    split, name = shown_split(data), f"{data.stem}-samples.png"
    folder.mkdir(parents=True, exist_ok=True)
    save_figure(page(data, split, slice(0, len(data[split]))), folder / name)
    return name
