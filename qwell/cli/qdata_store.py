"""The commands of `qdata` that work on any data set, whatever is in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from qwell.cli.common import Failed, as_json, echo_json, goes_on_with
from qwell.cli.options import given, option, path_option
from qwell.datagen.audit.audit import audit
from qwell.progress import stage
from qwell.store.derive import subset as random_part

resume_option = click.option("--resume", is_flag=True, help="Continue after an interruption.")
force_option = click.option("--force", is_flag=True, help="Replace what is there, once the new is whole.")
out_option = click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Where: …/name.zarr, or …/name.h5 for HDF5."
)


AGAIN = partial(goes_on_with, "the same command and --resume", "qdata")


def _rows(data: Any) -> int:
    return sum(len(split) for split in data.splits.values())


def _size(data: Any) -> int:
    return sum(record.size for record in data.manifest.files.values())


@click.command()
@click.argument("path")
@as_json
def info(path: str, as_json: bool) -> None:
    """Say what a data set holds, how it was made, and its version. PATH may be an address."""
    from qwell.store.card import describe_recipe
    from qwell.store.reader import open_dataset

    data = open_dataset(path)
    plan, size = data.plan, _size(data)
    if as_json:
        plain = {**plan.to_json(), "path": str(path), "digest": data.digest, "bytes": size}
        echo_json({**plain, "provenance": data.provenance})
        return
    click.echo(f"{path}: {data.kind}, version {data.digest}")
    for name, split in data.splits.items():
        click.echo(f"  {name:<12}{len(split):>12,} rows in {split.shards} shards")
    for field in plan.fields:
        shape = " x ".join(f"{d} {s}" for d, s in zip(field.dims, field.shape, strict=True))
        click.echo(f"  {field.name:<13}{field.dtype:<9}{shape:<32} {field.units:<22}{field.long_name}")
    click.echo(f"  {size / 1e6:,.1f} MB in {len(data.manifest.files)} files, format {plan.storage}")
    click.echo(f"  recipe      {describe_recipe(data.recipe)}")
    made = data.provenance
    if made:
        click.echo(f"  made        {made.get('created')} on {made.get('host')} by qwell {made.get('qwell')}")


@click.command()
@click.argument("path")
@click.option(
    "--full",
    is_flag=True,
    help="Also read every value, and make a random sample again by the reference method.",
)
@option(audit, "samples", help="Rows a split made again by --full; trajectories at most 8.")
@option(audit, "seed", help="Of the sample.")
@as_json
def verify(path: str, full: bool, as_json: bool, **sample: Any) -> None:
    """Check a data set: manifest, names, sizes and sha256 of every file. Exit code 1 if anything is wrong."""
    from qwell.store.reader import load_manifest, locate, open_dataset
    from qwell.store.transfer import verify_remote
    from qwell.store.verify import verify_files

    if "://" in path:
        manifest, found = verify_remote(path)
        problems = list(found)
    else:
        root = locate(path)
        manifest = load_manifest(root)
        problems = list(verify_files(Path(path), root, manifest))
    answer: dict[str, Any] = {"path": path, "digest": manifest.digest, "files": len(manifest.files)}
    summary = ""
    if full and not problems:
        found_out = audit(open_dataset(path), **given(sample))
        problems, summary = found_out.problems, found_out.summary
        answer |= found_out.numbers
    answer["problems"] = problems
    if as_json:
        echo_json(answer)
    else:
        for problem in problems:
            click.echo(f"  {problem}")
        checked = f"{len(manifest.files)} files" + (f"; {summary}" if summary else "")
        verdict = "DAMAGED" if problems else "good"
        click.echo(f"{path}: {verdict} ({checked}), version {manifest.digest[:12]}")
        if problems:
            click.echo(
                "remedy: copy the data set again from its source, or `qdata generate … --force`", err=True
            )
    if problems:
        raise Failed(1)


@click.command()
@click.argument("path")
@as_json
def stats(path: str, as_json: bool) -> None:
    """Mean, standard deviation and range of every field; with --json also of every element of a row."""
    from qwell.store.reader import open_dataset
    from qwell.store.stats import stats as measure

    data = open_dataset(path)
    answer = measure(data)
    if as_json:
        echo_json({"path": path, "digest": data.digest, "stats": answer})
        return
    click.echo(f"{'split':<12}{'field':<12}{'rows':>12}{'mean':>13}{'std':>13}{'min':>13}{'max':>13}")
    for split, fields in answer.items():
        for field, s in fields.items():
            numbers = [f"{s[k]:>13.5g}" if s["rows"] else f"{'-':>13}" for k in ("mean", "std", "min", "max")]
            click.echo(f"{split:<12}{field:<12}{s['rows']:>12,}{''.join(numbers)}")


@click.command()
@click.argument("path")
@out_option
@click.option("--single", is_flag=True, help="One portable HDF5 file instead of one a shard.")
@resume_option
@force_option
@as_json
def convert(path: str, out: Path, single: bool, resume: bool, force: bool, as_json: bool) -> None:
    """Write the same rows in another format: Zarr to HDF5, HDF5 to Zarr, or into a single HDF5 file."""
    from qwell.store.derive import convert as make

    _derive(
        path,
        out,
        as_json,
        lambda data, bar: make(data, out, single=single, resume=resume, force=force, progress=bar),
    )


@click.command()
@click.argument("path")
@click.option("--n", type=int, required=True, help="Training rows to keep; validation stays whole.")
@option(random_part, "seed", help="Subsets of one seed are nested.")
@out_option
@resume_option
@force_option
@as_json
def subset(path: str, n: int, seed: int | None, out: Path, resume: bool, force: bool, as_json: bool) -> None:
    """Keep a random part of the training rows."""
    chosen = given({"seed": seed})
    _derive(
        path,
        out,
        as_json,
        lambda data, bar: random_part(data, out, n, resume=resume, force=force, progress=bar, **chosen),
    )


def _derive(path: str, out: Path, as_json: bool, make: Callable[[Any, Any], Any]) -> None:
    from qwell.store.reader import open_dataset

    data = open_dataset(path)
    with AGAIN(), stage("rows", _rows(data), resumed=True) as done:
        manifest = make(data, done)
    _made(out, manifest, as_json)


def _made(out: Path, manifest: Any, as_json: bool) -> None:
    rows = {name: layout.rows for name, layout in manifest.plan.splits.items()}
    if as_json:
        echo_json({"path": str(out), "digest": manifest.digest, "rows": rows, "bytes": manifest.plan.bytes})
    else:
        counts = " + ".join(f"{n:,}" for n in rows.values())
        click.echo(
            f"{out}: {counts} rows, {manifest.plan.bytes / 1e6:,.1f} MB, version {manifest.digest[:12]}"
        )


@click.command()
@click.argument("paths", nargs=-1, required=True)
@out_option
@resume_option
@force_option
@as_json
def merge(paths: tuple[str, ...], out: Path, resume: bool, force: bool, as_json: bool) -> None:
    """Put data sets with the same fields one after the other, split by split."""
    from qwell.store.derive import merge as make
    from qwell.store.derive import same_draws
    from qwell.store.reader import open_dataset

    parts = [open_dataset(path) for path in paths]
    for line in same_draws(parts):
        click.echo(f"warning: {line}", err=True)
    with AGAIN(), stage("rows", sum(map(_rows, parts)), resumed=True) as done:
        manifest = make(parts, out, resume=resume, force=force, progress=done)
    _made(out, manifest, as_json)


@click.command("list")
@click.argument("root", default="store")
@as_json
def list_(root: str, as_json: bool) -> None:
    """List the data sets in a directory or at an address, without reading arrays."""
    from qwell.store.catalog import catalog

    entries = [entry.to_json() for entry in catalog(root)]
    if as_json:
        echo_json(entries)
        return
    if not entries:
        click.echo(f"{root}: no data sets; make one with `qdata generate --kernel m3 --n 100000`")
    for e in entries:
        if "problem" in e:
            click.echo(f"{e['name']:<24}{e['problem']}")
            continue
        rows = " + ".join(f"{n:,}" for n in e["rows"].values())
        kernel = e["recipe"].get("kernel") or e["recipe"].get("recipe")
        click.echo(
            f"{e['name']:<24}{e['digest'][:12]}  {e['kind']:<13}{kernel!s:<9}{rows:>22} rows"
            f"{e['bytes'] / 1e6:>12,.1f} MB"
        )


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("url")
@click.option("--force", is_flag=True, help="Replace another version that is there.")
@as_json
def push(path: Path, url: str, force: bool, as_json: bool) -> None:
    """Copy a data set to s3://, gs://, az://, ssh:// or another directory (file://).

    A URL that ends in / gets it under its own name. Repeated after an interruption, it sends what is missing.
    """
    from qwell.store.reader import open_local
    from qwell.store.transfer import push as send

    _transfer(_size(open_local(path)), as_json, lambda bar: send(path, url, force=force, progress=bar))


@click.command()
@click.argument("url")
@click.argument("path", type=click.Path(path_type=Path), default="store")
@click.option("--force", is_flag=True, help="Replace another version that is there.")
@as_json
def pull(url: str, path: Path, force: bool, as_json: bool) -> None:
    """Copy a data set from an address (s3://, gs://, az://, ssh://, https://) to PATH, or into store/.

    name@digest insists on a version. Repeated after an interruption, it brings what is missing.
    """
    from qwell.store.dataset import split_version
    from qwell.store.places import place_of
    from qwell.store.transfer import pull as bring

    files = place_of(split_version(url)[0]).manifest().files
    if str(path) == "store":
        path.mkdir(exist_ok=True)
    size = sum(record.size for record in files.values())
    _transfer(size, as_json, lambda bar: bring(url, path, force=force, progress=bar))


def _transfer(size: int, as_json: bool, action: Callable[[Any], Any]) -> None:
    from dataclasses import asdict

    again = goes_on_with("the same command", "qdata")
    with again, stage("bytes", size, resumed=True) as done:
        moved = action(done)
    if as_json:
        echo_json(asdict(moved))
    else:
        kept = f", {moved.kept / 1e6:,.1f} MB were there already" if moved.kept else ""
        click.echo(f"{moved.target}: version {moved.digest[:12]}, {moved.sent / 1e6:,.1f} MB moved{kept}")


@click.command()
@click.argument("path")
@click.option("--url", default="", help="Where the data set can be had, for the Croissant file.")
@click.option("--license", "license_", default="", help="Address of its license.")
@path_option("--out", help="Directory.", default="here")
@as_json
def card(path: str, url: str, license_: str, out: Path | None, as_json: bool) -> None:
    """Write a data card: NAME.md for people, NAME.croissant.json (Croissant 1.1) for catalogs."""
    import json

    from qwell.files import atomic_write
    from qwell.store.card import croissant, markdown
    from qwell.store.reader import open_dataset

    data = open_dataset(path)
    description = croissant(data, url, license_)
    if as_json:
        echo_json(description)
        return
    for name, text in (
        (f"{data.stem}.md", markdown(data)),
        (f"{data.stem}.croissant.json", json.dumps(description, indent=1, ensure_ascii=False) + "\n"),
    ):
        file = (out or Path()) / name
        atomic_write(file, text.encode())
        click.echo(str(file))
