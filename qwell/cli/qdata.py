"""`qdata`: make, look at and check data sets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from qwell.cli.common import CONTEXT, Failed, as_json, echo_json, run, version_option


@click.group(context_settings=CONTEXT)
@version_option("qdata")
def cli() -> None:
    """Make, look at and check data sets of one-dimensional quantum mechanics.

    First: `qdata generate --kernel m3 --n 100000`, then `qtrain eigen --data store/m3.zarr`.
    Add --debug to any command for a traceback.
    """


@contextmanager
def progress_bar(rows: int, quiet: bool) -> Iterator[Any]:
    """A tqdm bar of samples with rate and ETA; silent when not on a terminal."""
    from tqdm import tqdm

    with tqdm(total=rows, unit=" samples", unit_scale=True, disable=quiet or None, leave=False) as bar:
        yield bar


def out_path(out: Path | None, storage: str | None, name: str) -> Path:
    """Where a data set goes: as asked for, or store/<name> with the suffix of the back end."""
    from qwell.errors import InvalidInput
    from qwell.store.backends import SHARDED, check_suffix

    if storage is not None and storage not in SHARDED:
        raise InvalidInput(f"unknown format {storage!r}; choose one of {', '.join(SHARDED)}")
    if out is None:
        return Path("store") / f"{name}{SHARDED[storage or 'zarr'].SUFFIXES[0]}"
    if storage is not None:
        check_suffix(out, storage)
    return out


@cli.command()
@click.option("--kernel", required=True, metavar="NAME", help="rbf, m5, m3, exp or matern (with --nu).")
@click.option("--n", type=int, required=True, help="Potentials in the training split.")
@click.option(
    "--sigma", type=float, default=100.0, show_default=True, help="Standard deviation of V, ħ²/(m·length²)."
)
@click.option(
    "--length", type=float, default=0.2, show_default=True, help="Correlation length, half box = 1."
)
@click.option("--nu", type=float, help="Smoothness of the matern kernel.")
@click.option("--mesh", type=int, default=100, show_default=True, help="Intervals M; M + 1 points.")
@click.option("--levels", type=int, default=10, show_default=True, help="Lowest energies kept.")
@click.option(
    "--validation", type=int, default=10_000, show_default=True, help="Potentials in the validation split."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random streams.")
@click.option(
    "--solver", default="scipy", show_default=True, help="scipy (reference) or lanes (batched, ~50x faster)."
)
@click.option("--densities", is_flag=True, help="Also keep the squared wave functions.")
@click.option(
    "--dtype", default="float32", show_default=True, help="Of stored potentials: float32 or float64."
)
@click.option(
    "--shard-size", type=int, default=20_000, show_default=True, help="Rows a shard, a multiple of 1000."
)
@click.option(
    "--workers", type=int, help="Processes on this machine; 0: in this process.  [default: all cores]"
)
@click.option("--scheduler", metavar="ADDRESS", help="Use a running Dask scheduler, tcp://host:port.")
@click.option("--resume", is_flag=True, help="Continue an interrupted generation.")
@click.option("--force", is_flag=True, help="Replace an existing data set (kept until the new one is whole).")
@click.option(
    "--dry-run", is_flag=True, help="Say what would be made, how large and how long; write nothing."
)
@click.option(
    "--format", "storage", default=None, help="zarr or hdf5.  [default: by the suffix of --out, else zarr]"
)
@click.option("--out", type=click.Path(path_type=Path), help="Where.  [default: store/<kernel>.zarr]")
@as_json
def generate(
    shard_size: int,
    workers: int | None,
    scheduler: str | None,
    resume: bool,
    force: bool,
    dry_run: bool,
    storage: str | None,
    out: Path | None,
    as_json: bool,
    **recipe_options: Any,
) -> None:
    """Make random potentials from a Gaussian process, and their lowest energies."""
    from qwell.datagen.pipeline import SECONDS_PER_ROW, available_cores
    from qwell.datagen.pipeline import generate as make
    from qwell.datagen.recipes import SpectraRecipe
    from qwell.store.backends import storage_of

    recipe = SpectraRecipe(**recipe_options)
    path = out_path(out, storage, recipe.name)
    plan = recipe.plan(shard_size, storage_of(path))
    rows = recipe.n + recipe.validation
    if dry_run:
        cores = available_cores() if workers is None else max(workers, 1)
        each = SECONDS_PER_ROW[recipe.solver] + recipe.densities * SECONDS_PER_ROW["densities"]
        answer = {"path": str(path), "rows": rows, "bytes": plan.bytes, "shards": len(plan.shards())}
        answer |= {"seconds_estimated": round(1 + rows * each / cores, 1), "recipe": recipe.to_json()}
        if as_json:
            echo_json(answer)
        else:
            click.echo(
                f"{path}: {rows:,} rows in {answer['shards']} shards, {plan.bytes / 1e6:,.1f} MB,"
                f" about {answer['seconds_estimated']:g} s on {cores} cores. Nothing was written."
            )
        return
    clock = time.perf_counter()
    try:
        with progress_bar(rows, quiet=as_json) as bar:
            manifest = make(
                recipe,
                path,
                shard_rows=shard_size,
                workers=workers,
                scheduler=scheduler,
                resume=resume,
                force=force,
                progress=bar.update,
            )
    except KeyboardInterrupt:
        click.echo(
            f"\nqdata: interrupted; continue with the same command and --resume ({path}.partial)", err=True
        )
        raise Failed(130) from None
    seconds = time.perf_counter() - clock
    if as_json:
        echo_json({"path": str(path), "digest": manifest.digest, "rows": rows, "seconds": round(seconds, 3)})
    else:
        click.echo(
            f"{path}: {recipe.n:,} + {recipe.validation:,} rows, {plan.bytes / 1e6:,.1f} MB"
            f" in {seconds:.1f} s, version {manifest.digest[:12]}"
        )


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
@as_json
def info(path: Path, as_json: bool) -> None:
    """Say what a data set holds, how it was made, and its version."""
    from qwell.store.reader import open_dataset

    data = open_dataset(path)
    plan = data.manifest.plan
    size = sum(record.size for record in data.manifest.files.values())
    if as_json:
        plain = {**plan.to_json(), "path": str(path), "digest": data.digest, "bytes": size}
        echo_json({**plain, "provenance": data.provenance})
        return
    click.echo(f"{path}: {data.kind}, version {data.digest}")
    for name, split in data.splits.items():
        click.echo(f"  {name:<12}{len(split):>12,} rows in {split.shards} shards")
    for field in plan.fields:
        shape = " x ".join(f"{d} {s}" for d, s in zip(field.dims, field.shape, strict=True))
        click.echo(f"  {field.name:<12}{field.dtype:<9}{shape:<18}{field.units:<22}{field.long_name}")
    click.echo(f"  {size / 1e6:,.1f} MB in {len(data.manifest.files)} files")
    recipe = {k: v for k, v in data.recipe.items() if v is not None}
    click.echo("  recipe      " + ", ".join(f"{k} {v}" for k, v in recipe.items()))
    made = data.provenance
    if made:
        click.echo(f"  made        {made.get('created')} on {made.get('host')} by qwell {made.get('qwell')}")


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--full", is_flag=True, help="Also read every value, and solve a random sample again with scipy."
)
@click.option(
    "--samples", type=int, default=1000, show_default=True, help="Potentials a split solved again by --full."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sample.")
@as_json
def verify(path: Path, full: bool, samples: int, seed: int, as_json: bool) -> None:
    """Check a data set: manifest, names, sizes and sha256 of every file. Exit code 1 if anything is wrong."""
    from qwell.store.reader import load_manifest, locate, open_dataset
    from qwell.store.verify import verify_files

    root = locate(path)
    manifest = load_manifest(root)
    problems = list(verify_files(path, root, manifest))
    answer: dict[str, Any] = {"path": str(path), "digest": manifest.digest, "files": len(manifest.files)}
    if full and not problems and manifest.plan.kind == "spectra":
        from qwell.datagen.audit import TOLERANCE, check_values, solve_again

        data = open_dataset(path)
        problems = list(check_values(data))
        if not problems:
            answer["solved_again"], answer["largest_deviation"] = solve_again(data, samples, seed)
            if answer["largest_deviation"] > TOLERANCE:
                problems.append(
                    f"energies deviate from scipy's by up to {answer['largest_deviation']:.1e},"
                    f" more than {TOLERANCE:g}"
                )
    answer["problems"] = problems
    if as_json:
        echo_json(answer)
    else:
        for problem in problems:
            click.echo(f"  {problem}")
        checked = f"{len(manifest.files)} files"
        if "solved_again" in answer:
            checked += (
                f"; {answer['solved_again']:,} potentials solved again, largest deviation"
                f" {answer['largest_deviation']:.1e} of max(|E|, π²/8)"
            )
        verdict = "DAMAGED" if problems else "good"
        click.echo(f"{path}: {verdict} ({checked}), version {manifest.digest[:12]}")
        if problems:
            click.echo(
                "remedy: copy the data set again from its source, or `qdata generate … --force`", err=True
            )
    if problems:
        raise Failed(1)


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--split", default="train", show_default=True)
@click.option(
    "--rows", default="0:6", show_default=True, metavar="A:B", help="Which rows; at most six are drawn."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="PNG, SVG or PDF.  [default: <name>-samples.png]"
)
def plot(path: Path, split: str, rows: str, out: Path | None) -> None:
    """Draw a page of samples: potentials with their levels, and densities if the data set has them."""
    from qwell.errors import InvalidInput
    from qwell.figures.samples import sample_page
    from qwell.store.reader import open_dataset

    data = open_dataset(path).require("spectra")
    part = data[split]
    start, _, stop = rows.partition(":")
    if not start.isdigit() or not stop.isdigit() or not int(start) < int(stop) <= len(part):
        raise InvalidInput(f"rows is {rows!r}; expected A:B with 0 <= A < B <= {len(part)}")
    chosen = slice(int(start), min(int(stop), int(start) + 6))
    density = part["density"][chosen] if "density" in part.fields else None
    recipe = data.recipe
    figure = sample_page(
        data.coordinates["x"],
        part["potential"][chosen],
        part["energy"][chosen],
        density,
        [f"{split} {i}" for i in range(chosen.start, chosen.stop)],
        f"{path.name}: {recipe.get('kernel')}, σ = {recipe.get('sigma'):g}, L = {recipe.get('length'):g}",
    )
    out = out or Path(f"{path.stem}-samples.png")
    save_figure(figure, out)
    click.echo(f"{out}")


def save_figure(figure: Any, path: Path) -> None:
    """Save a figure; the suffix decides the format."""
    from qwell.errors import InvalidInput, WriteError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
    except ValueError as error:
        raise InvalidInput(f"cannot draw {path}: {error}") from error
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror}; choose another --out") from error


def main() -> None:
    """Entry point of `qdata`."""
    run(cli, "qdata")


if __name__ == "__main__":
    main()
