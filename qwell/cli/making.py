"""What the commands that make data sets from recipes share: their options, and their answers."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

from qwell.cli.answers import answer, as_json
from qwell.cli.common import goes_on_with, parse_range, parse_settings
from qwell.cli.options import Names, Target, given, option, path_option, refuse, stacked
from qwell.datagen.clusters import BATCH_SYSTEMS, Workers, job_script, memory_of_worker
from qwell.errors import InvalidInput, shown, unknown
from qwell.progress import in_bytes, parse_bytes, stage
from qwell.store.backends import SHARDED, check_suffix, storage_of


def out_path(out: str | Path | None, storage: str | None, name: str) -> str | Path:
    """Where a data set goes: as asked for, or store/<name> with the suffix of the back end.

    An address that ends in / gets it under that name.
    """
    if storage is not None and storage not in SHARDED:
        raise InvalidInput(unknown("format", storage, SHARDED))
    named = f"{name}{SHARDED[storage or 'zarr'].SUFFIXES[0]}"
    if out is None:
        return Path("store") / named
    if str(out).endswith("/") and "://" in str(out):
        return f"{out}{named}"
    check_suffix(Path(str(out).rpartition("/")[2]), storage or storage_of(out))
    return out


@dataclass(frozen=True)
class Making:
    """How and where, as typed."""

    shard_rows: int | None
    count: int | None
    max_memory: str | None
    scheduler: str | None
    cluster: str | None
    cluster_options: tuple[str, ...]
    resume: bool
    force: bool
    dry_run: bool
    shards: str | None
    storage: str | None
    out: str | Path | None
    license_: str | None
    authors: tuple[str, ...]


credit_options = (
    click.option(
        "--license", "license_", metavar="NAME",
        help="Licence of the data set, an SPDX name like CC-BY-4.0 or an address; kept with its provenance.",
    ),
    click.option(
        "--author", "authors", multiple=True, metavar="NAME",
        help="Author of the data set, kept with its provenance; repeatable.",
    ),
)  # fmt: skip


def credits_of(license_: str | None, authors: tuple[str, ...]) -> dict[str, Any]:
    """What provenance keeps of whose a data set is."""
    return {
        **({"license": license_} if license_ else {}),
        **({"authors": list(authors)} if authors else {}),
    }


def making_options(recipe: Any, multiple: int, out: str) -> Any:
    """The options that say who makes a data set, how and where; handed over as one argument `making`.

    Arguments:
        recipe: its class; the default size of a shard is its plan's.
        multiple: of which sizes of shards are.
        out: where data sets go by default, in words.
    """
    options = stacked(
        option(
            recipe.plan, "shard_rows", "--shard-size", help=f"Rows of a shard, a multiple of {multiple}."
        ),
        option(Workers, "count", "--workers", help="Processes that work together; 0 works in this one."),
        click.option(
            "--max-memory", metavar="SIZE", help="Memory of all local processes together, e.g. 2GB."
        ),
        option(
            Workers, "scheduler", metavar="ADDRESS",
            help="Address of a running Dask scheduler to use, tcp://host:port."
        ),
        option(
            Workers, "cluster", type=Names(lambda: BATCH_SYSTEMS),
            help=f"Batch system to start jobs of: {', '.join(BATCH_SYSTEMS)}."
        ),
        click.option(
            "--cluster-option", "cluster_options", multiple=True, metavar="KEY=VALUE",
            help="Setting of the jobs of --cluster, e.g. queue=short; repeatable.",
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
            "--format", "storage", type=Names(lambda: SHARDED),
            help="Format of the data set, zarr or hdf5; by default the suffix of --out decides."
        ),
        *credit_options,
        path_option(
            "--out", type=Target(), default=out,
            help="Path of the new data set, or address where workers put it, s3://team/m3.zarr.",
        ),
        as_json,
    )  # fmt: skip

    def decorate(command: Any) -> Any:
        @functools.wraps(command)
        def wrapped(**given: Any) -> None:
            making = Making(**{f.name: given.pop(f.name) for f in fields(Making)})
            command(making=making, **given)

        return options(wrapped)

    return decorate


def make(recipe: Any, making: Making) -> None:
    """Make a data set, or say what would be made; print the answer."""
    from qwell.datagen.pipeline import generate, generate_shards

    _refuse_idle(making)
    path = out_path(making.out, making.storage, recipe.name)
    size = given({"shard_rows": making.shard_rows})
    plan = recipe.plan(storage=storage_of(path), **size)
    options = parse_settings(making.cluster_options, "--cluster-option queue=short")
    who = Workers(making.count, making.scheduler, making.cluster, options, parse_bytes(making.max_memory))
    if making.dry_run:
        _dry_run(recipe, path, plan, who)
        return
    shards = making.shards
    part = parse_range(shards, len(plan.shards())) if shards else slice(None)
    wanted = plan.shards()[part]
    rows = sum(b - a for a, b in (plan.splits[s].span(i) for s, i in wanted))
    how: dict[str, Any] = {"workers": who, **size}
    clock = time.perf_counter()
    remedy = "the same command" if shards else f"the same command and --resume ({shown(str(path))}.partial)"
    with goes_on_with(remedy, "qdata"), stage("rows", rows, resumed=True) as done:
        how["progress"] = done
        if shards:
            generate_shards(recipe, path, part, **how)
        else:
            how |= {"resume": making.resume, "force": making.force}
            credits = credits_of(making.license_, making.authors)
            manifest = generate(recipe, path, credits=credits, **how)
    seconds = round(time.perf_counter() - clock, 3)
    if shards:
        results: dict[str, Any] = {
            "path": path,
            "shards": [part.start, part.stop],
            "of": len(plan.shards()),
            "rows": rows,
        }
        text = (
            f"{path}: shards {part.start}:{part.stop} of {len(plan.shards())} in {seconds:.1f} s;"
            f" when all are made, `qdata finalise {path}`"
        )
    else:
        results = {"path": path, "digest": manifest.digest, "rows": rows}
        counts = " + ".join(f"{layout.rows:,}" for layout in plan.splits.values())
        text = (
            f"{path}: {counts} rows, {in_bytes(plan.bytes)}"
            f" in {seconds:.1f} s, version {manifest.digest[:12]}"
        )
    answer({**results, "seconds": seconds}, text, _inputs(recipe, path))


def _refuse_idle(making: Making) -> None:
    """Raise InvalidInput for options that others leave without effect."""
    if making.shards:
        refuse("--shards goes on where it was, and replaces nothing", "resume", "force")
        refuse("`qdata finalise` makes the whole; name it for `qdata card`", "license_", "authors")
    if not making.cluster:
        refuse("it is a setting of the jobs of --cluster", "cluster_options")
    if making.cluster or making.scheduler:
        refuse("it limits the processes of this machine, and others do the work", "max_memory")
    if making.scheduler:
        refuse("a running --scheduler has its own workers", "count")


def _inputs(recipe: Any, path: str | Path) -> dict[str, Any]:
    return {"path": path, "recipe": recipe.to_json()}


def _dry_run(recipe: Any, path: str | Path, plan: Any, workers: Any) -> None:
    """Say what would be made; with a batch system, also the script of its jobs."""
    from qwell.datagen.pipeline import START_UP, sensible

    rows = sum(layout.rows for layout in plan.splits.values())
    workers = sensible(workers, recipe, plan)
    count = max(workers.allowed(plan), 1) if workers.local else workers.count or 1
    results = {"path": path, "rows": rows, "bytes": plan.bytes, "shards": len(plan.shards())}
    started = START_UP if workers.count != 0 else 0.3
    seconds = round(started + rows * recipe.seconds_per_row / count, 1)
    results |= {"seconds_estimated": seconds, "workers": count}
    results |= {"bytes_of_memory_a_worker": memory_of_worker(plan), "recipe": recipe.to_json()}
    text = (
        f"{path}: {rows:,} rows in {results['shards']} shards, {in_bytes(plan.bytes)},"
        f" about {seconds:g} s on {count} cores with {in_bytes(memory_of_worker(plan))} of memory each."
        " Nothing was written."
    )
    if workers.cluster:
        results["job_script"] = job_script(workers)
        text += f"\n\nEach of {count} jobs:\n\n{results['job_script']}"
    answer(results, text, _inputs(recipe, path))
