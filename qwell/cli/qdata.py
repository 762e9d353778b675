"""`qdata`: make, look at and check data sets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from qwell.cli.common import (
    CONTEXT,
    Failed,
    as_json,
    echo_json,
    parse_bytes,
    parse_range,
    parse_settings,
    run,
    version_option,
)
from qwell.cli.qdata_store import COMMANDS, progress_bar


@click.group(context_settings=CONTEXT)
@version_option("qdata")
def cli() -> None:
    """Make, look at and check data sets of one-dimensional quantum mechanics.

    First: `qdata generate --kernel m3 --n 100000`, then `qtrain eigen --data store/m3.zarr`.
    Add --debug to any command for a traceback.
    """


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


def worker_options(command: Any) -> Any:
    """The options that say who does the work."""
    options = [
        click.option("--workers", type=int, help="Processes; 0: in this one.  [default: all cores]"),
        click.option("--max-memory", metavar="SIZE", help="Of all local processes together, e.g. 2GB."),
        click.option("--scheduler", metavar="ADDRESS", help="Use a running Dask scheduler, tcp://host:port."),
        click.option("--cluster", metavar="NAME", help="Start jobs of slurm, pbs, sge, lsf, htcondor, oar."),
        click.option(
            "--cluster-option", "cluster_options", multiple=True, metavar="KEY=VALUE",
            help="Of the cluster's jobs, e.g. queue=short.",
        ),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


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
    "--matter",
    metavar="FORMULA",
    help="Energies of a total potential: case1, case2 or a formula of V, x, sigma.",
)
@click.option(
    "--dtype", default="float32", show_default=True, help="Of stored potentials: float32 or float64."
)
@click.option(
    "--shard-size", type=int, default=20_000, show_default=True, help="Rows a shard, a multiple of 1000."
)
@worker_options
@click.option("--resume", is_flag=True, help="Continue an interrupted generation.")
@click.option("--force", is_flag=True, help="Replace an existing data set (kept until the new one is whole).")
@click.option(
    "--dry-run", is_flag=True, help="Say what would be made, how large and how long; write nothing."
)
@click.option(
    "--shards", metavar="A:B", help="Make only these shards (array jobs); then `qdata finalise` the whole."
)
@click.option(
    "--format", "storage", default=None, help="zarr or hdf5.  [default: by the suffix of --out, else zarr]"
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where.  [default: store/<kernel>[-<matter>].zarr]"
)
@as_json
def generate(
    shard_size: int,
    resume: bool,
    force: bool,
    dry_run: bool,
    shards: str | None,
    storage: str | None,
    out: Path | None,
    as_json: bool,
    workers: int | None,
    scheduler: str | None,
    cluster: str | None,
    cluster_options: tuple[str, ...],
    max_memory: str | None,
    **recipe_options: Any,
) -> None:
    """Make random potentials from a Gaussian process, and their lowest energies."""
    from qwell.datagen.clusters import Workers
    from qwell.datagen.pipeline import generate as make
    from qwell.datagen.pipeline import generate_shards
    from qwell.datagen.recipes import SpectraRecipe
    from qwell.store.backends import storage_of

    recipe = SpectraRecipe(**recipe_options)
    path = out_path(out, storage, recipe.name)
    plan = recipe.plan(shard_size, storage_of(path))
    options = parse_settings(cluster_options, "--cluster-option queue=short")
    who = Workers(workers, scheduler, cluster, options, parse_bytes(max_memory))
    if dry_run:
        _dry_run(recipe, path, plan, who, as_json)
        return
    part = parse_range(shards, len(plan.shards())) if shards else slice(None)
    wanted = plan.shards()[part]
    rows = sum(b - a for a, b in (plan.splits[s].span(i) for s, i in wanted))
    clock = time.perf_counter()
    try:
        with progress_bar(rows, quiet=as_json) as bar:
            if shards:
                generate_shards(recipe, path, part, shard_rows=shard_size, workers=who, progress=bar.update)
            else:
                manifest = make(
                    recipe,
                    path,
                    shard_rows=shard_size,
                    workers=who,
                    resume=resume,
                    force=force,
                    progress=bar.update,
                )
    except KeyboardInterrupt:
        click.echo(
            f"\nqdata: interrupted; continue with the same command and --resume ({path}.partial)", err=True
        )
        raise Failed(130) from None
    seconds = round(time.perf_counter() - clock, 3)
    if shards:
        answer = {
            "path": str(path),
            "shards": [part.start, part.stop],
            "of": len(plan.shards()),
            "rows": rows,
        }
        text = (
            f"{path}: shards {part.start}:{part.stop} of {len(plan.shards())} in {seconds:.1f} s;"
            f" when all are made, `qdata finalise {path}`"
        )
    else:
        answer = {"path": str(path), "digest": manifest.digest, "rows": rows}
        text = (
            f"{path}: {recipe.n:,} + {recipe.validation:,} rows, {plan.bytes / 1e6:,.1f} MB"
            f" in {seconds:.1f} s, version {manifest.digest[:12]}"
        )
    if as_json:
        echo_json({**answer, "seconds": seconds})
    else:
        click.echo(text)


def _dry_run(recipe: Any, path: Path, plan: Any, workers: Any, as_json: bool) -> None:
    """Say what would be made; with a batch system, also the script of its jobs."""
    from qwell.datagen.clusters import job_script, memory_of_worker
    from qwell.datagen.pipeline import SECONDS_PER_ROW

    rows = sum(layout.rows for layout in plan.splits.values())
    count = max(workers.allowed(plan), 1) if workers.local else workers.count or 1
    each = SECONDS_PER_ROW[recipe.solver] + recipe.densities * SECONDS_PER_ROW["densities"]
    answer = {"path": str(path), "rows": rows, "bytes": plan.bytes, "shards": len(plan.shards())}
    answer |= {"seconds_estimated": round(1 + rows * each / count, 1), "workers": count}
    answer |= {"bytes_of_memory_a_worker": memory_of_worker(plan), "recipe": recipe.to_json()}
    if workers.cluster:
        answer["job_script"] = job_script(workers)
    if as_json:
        echo_json(answer)
        return
    click.echo(
        f"{path}: {rows:,} rows in {answer['shards']} shards, {plan.bytes / 1e6:,.1f} MB,"
        f" about {answer['seconds_estimated']:g} s on {count} cores"
        f" with {memory_of_worker(plan) / 1e6:.0f} MB of memory each."
        " Nothing was written."
    )
    if workers.cluster:
        click.echo(f"\nEach of {count} jobs:\n\n{answer['job_script']}")


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
@as_json
def finalise(path: Path, as_json: bool) -> None:
    """Make a data set of the shards that `qdata generate --shards` made; exit code 2 if some are missing."""
    from qwell.datagen.pipeline import finalise as finish

    manifest = finish(path)
    rows = {name: layout.rows for name, layout in manifest.plan.splits.items()}
    if as_json:
        echo_json({"path": str(path), "digest": manifest.digest, "rows": rows})
    else:
        click.echo(
            f"{path}: {' + '.join(f'{n:,}' for n in rows.values())} rows, version {manifest.digest[:12]}"
        )


@cli.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--potential", default="potential", show_default=True, help="Name of the potentials in the file."
)
@click.option("--energy", default="energy", show_default=True, help="Name of the energies, if there are any.")
@click.option("--levels", type=int, default=10, show_default=True, help="Energies to solve for.")
@click.option("--solver", default="scipy", show_default=True, help="scipy or lanes.")
@click.option(
    "--dtype", default="float32", show_default=True, help="Of stored potentials: float32 or float64."
)
@click.option("--validation", type=int, default=0, show_default=True, help="Rows drawn for validation.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of that choice.")
@click.option("--resume", is_flag=True, help="Continue an interrupted import.")
@click.option("--force", is_flag=True, help="Replace an existing data set (kept until the new one is whole).")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where.  [default: store/<name of the file>.zarr]"
)
@as_json
def import_(
    source: Path, potential: str, energy: str, out: Path | None, as_json: bool, **options: Any
) -> None:
    """Bring your own potentials, one a row, from .npz, .npy, .csv or HDF5.

    They are values on equally spaced points from wall to wall, in ħ²/(m·length²) with length half the box.
    Energies that come with them are kept; else they are solved for.
    """
    from qwell.datagen.imports import import_spectra
    from qwell.store.tables import read_arrays

    arrays = read_arrays(source, {"potential": potential, "energy": energy})
    path = out or Path("store") / f"{source.stem}.zarr"
    with progress_bar(len(arrays["potential"]), quiet=as_json) as bar:
        manifest = import_spectra(
            arrays["potential"],
            path,
            arrays.get("energy"),
            source=source.name,
            progress=bar.update,
            **options,
        )
    rows = {name: layout.rows for name, layout in manifest.plan.splits.items()}
    if as_json:
        echo_json({"path": str(path), "digest": manifest.digest, "rows": rows})
    else:
        energies = "as given" if "energy" in arrays else f"by {options['solver']}"
        click.echo(
            f"{path}: {' + '.join(f'{n:,}' for n in rows.values())} rows, energies {energies},"
            f" version {manifest.digest[:12]}"
        )


@cli.command()
@click.argument("path")
@click.option("--split", default="train", show_default=True)
@click.option(
    "--rows", default="0:6", show_default=True, metavar="A:B", help="Which rows; at most six are drawn."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="PNG, SVG or PDF.  [default: <name>-samples.png]"
)
def plot(path: str, split: str, rows: str, out: Path | None) -> None:
    """Draw a page of samples: potentials with their levels, and densities if the data set has them."""
    from qwell.figures.samples import sample_page
    from qwell.store.reader import open_dataset

    data = open_dataset(path).require("spectra")
    part = data[split]
    asked = parse_range(rows, len(part))
    chosen = slice(asked.start, min(asked.stop, asked.start + 6))
    density = part["density"][chosen] if "density" in part.fields else None
    recipe = data.recipe
    title = (
        f"{recipe['kernel']}, σ = {recipe['sigma']:g}, L = {recipe['length']:g}"
        if "kernel" in recipe
        else (str(recipe.get("recipe", data.kind)))
    )
    figure = sample_page(
        data.coordinates["x"],
        part["potential"][chosen],
        part["energy"][chosen],
        density,
        [f"{split} {i}" for i in range(chosen.start, chosen.stop)],
        f"{data.name}: {title}",
    )
    out = out or Path(f"{data.stem}-samples.png")
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


for _command in COMMANDS:
    cli.add_command(_command)


def main() -> None:
    """Entry point of `qdata`."""
    run(cli, "qdata")


if __name__ == "__main__":
    main()
