"""What the commands that make data sets from recipes share: their options, and their answers."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

from qwell.cli.common import Failed, as_json, echo_json, parse_bytes, parse_range, parse_settings
from qwell.cli.qdata_store import progress_bar


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


@dataclass(frozen=True)
class Making:
    """How and where, as typed."""

    shard_size: int
    workers: int | None
    max_memory: str | None
    scheduler: str | None
    cluster: str | None
    cluster_options: tuple[str, ...]
    resume: bool
    force: bool
    dry_run: bool
    shards: str | None
    storage: str | None
    out: Path | None
    as_json: bool


def making_options(default_out: str, shard_size: int, multiple: int) -> Any:
    """The options that say who makes a data set, how and where; handed over as one argument `making`."""
    options = [
        click.option(
            "--shard-size", type=int, default=shard_size, show_default=True,
            help=f"Rows a shard, a multiple of {multiple}.",
        ),
        click.option("--workers", type=int, help="Processes; 0: in this one.  [default: all cores]"),
        click.option("--max-memory", metavar="SIZE", help="Of all local processes together, e.g. 2GB."),
        click.option("--scheduler", metavar="ADDRESS", help="Use a running Dask scheduler, tcp://host:port."),
        click.option("--cluster", metavar="NAME", help="Start jobs of slurm, pbs, sge, lsf, htcondor, oar."),
        click.option(
            "--cluster-option", "cluster_options", multiple=True, metavar="KEY=VALUE",
            help="Of the cluster's jobs, e.g. queue=short.",
        ),
        click.option("--resume", is_flag=True, help="Continue an interrupted generation."),
        click.option(
            "--force", is_flag=True, help="Replace an existing data set (kept until the new one is whole)."
        ),
        click.option(
            "--dry-run", is_flag=True, help="Say what would be made, how large and how long; write nothing."
        ),
        click.option(
            "--shards", metavar="A:B",
            help="Make only these shards (array jobs); then `qdata finalise` the whole.",
        ),
        click.option(
            "--format", "storage", default=None,
            help="zarr or hdf5.  [default: by the suffix of --out, else zarr]",
        ),
        click.option(
            "--out", type=click.Path(path_type=Path), help=f"Where.  [default: {default_out}]"
        ),
        as_json,
    ]  # fmt: skip

    def decorate(command: Any) -> Any:
        @functools.wraps(command)
        def wrapped(**given: Any) -> None:
            making = Making(**{f.name: given.pop(f.name) for f in fields(Making)})
            command(making=making, **given)

        result: Any = wrapped
        for option in reversed(options):
            result = option(result)
        return result

    return decorate


def make(recipe: Any, making: Making) -> None:
    """Make a data set, or say what would be made; print the answer."""
    from qwell.datagen.clusters import Workers
    from qwell.datagen.pipeline import generate, generate_shards
    from qwell.store.backends import storage_of

    path = out_path(making.out, making.storage, recipe.name)
    plan = recipe.plan(making.shard_size, storage_of(path))
    options = parse_settings(making.cluster_options, "--cluster-option queue=short")
    who = Workers(making.workers, making.scheduler, making.cluster, options, parse_bytes(making.max_memory))
    if making.dry_run:
        _dry_run(recipe, path, plan, who, making.as_json)
        return
    shards = making.shards
    part = parse_range(shards, len(plan.shards())) if shards else slice(None)
    wanted = plan.shards()[part]
    rows = sum(b - a for a, b in (plan.splits[s].span(i) for s, i in wanted))
    how: dict[str, Any] = {"shard_rows": making.shard_size, "workers": who}
    clock = time.perf_counter()
    try:
        with progress_bar(rows, quiet=making.as_json) as bar:
            how["progress"] = bar.update
            if shards:
                generate_shards(recipe, path, part, **how)
            else:
                manifest = generate(recipe, path, resume=making.resume, force=making.force, **how)
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
        counts = " + ".join(f"{layout.rows:,}" for layout in plan.splits.values())
        text = (
            f"{path}: {counts} rows, {plan.bytes / 1e6:,.1f} MB"
            f" in {seconds:.1f} s, version {manifest.digest[:12]}"
        )
    if making.as_json:
        echo_json({**answer, "seconds": seconds})
    else:
        click.echo(text)


def _dry_run(recipe: Any, path: Path, plan: Any, workers: Any, as_json: bool) -> None:
    """Say what would be made; with a batch system, also the script of its jobs."""
    from qwell.datagen.clusters import job_script, memory_of_worker

    rows = sum(layout.rows for layout in plan.splits.values())
    count = max(workers.allowed(plan), 1) if workers.local else workers.count or 1
    answer = {"path": str(path), "rows": rows, "bytes": plan.bytes, "shards": len(plan.shards())}
    seconds = round(1 + rows * recipe.seconds_per_row / count, 1)
    answer |= {"seconds_estimated": seconds, "workers": count}
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
