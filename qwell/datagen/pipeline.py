"""From recipe to data set: one Dask task a shard, on this machine's cores, in-process, or on a cluster."""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from qwell import plugins
from qwell.datagen.clusters import Workers, explain, local_processes, open_client, warm_up
from qwell.errors import DatasetIncomplete, DatasetNotFound, InvalidInput, QwellError
from qwell.store.afar import RemoteWriter, plan_begun_at, write_shard_afar
from qwell.store.backends import SHARDED, storage_of
from qwell.store.manifest import MANIFEST, Manifest, partial_path, read_manifest
from qwell.store.provenance import provenance
from qwell.store.schema import Plan
from qwell.store.staging import finish_master
from qwell.store.versions import find
from qwell.store.writer import DatasetWriter, begun_plan, write_shard

START_UP = 0.7  # seconds that local workers take to start, about
MOST_DEATHS = 5  # of local workers; at the last it is given up
T = TypeVar("T")


class Recipe(Protocol):
    """What a data set is made from: `SpectraRecipe`, `TrajectoriesRecipe` …"""

    @property
    def modules(self) -> list[str]: ...
    @property
    def seconds_per_row(self) -> float: ...
    def plan(self, shard_rows: int = ..., storage: str = ...) -> Plan: ...
    def rows(self, split: str, start: int, stop: int) -> dict[str, np.ndarray]: ...


def rows_between(recipe: Recipe, split: str, start: int, stop: int) -> dict[str, np.ndarray]:
    """Rows start … stop − 1 of a split, every field, by one thread."""
    with threadpool_limits(1):  # the product of a block must not depend on the number of BLAS threads
        return recipe.rows(split, start, stop)


def make_shard(
    recipe: Recipe, plan: Plan, root: str, split: str, shard: int, needed: plugins.Parcel | None = None
) -> int:
    """The work of one task: make a shard and write it. Returns the number of rows.

    `needed` are the plug-ins of the recipe, for a worker that may not have them yet.
    """
    plugins.receive(needed or [])
    values = rows_between(recipe, split, *plan.splits[split].span(shard))
    if "://" in root:
        return write_shard_afar(root, plan, split, shard, values)
    return write_shard(Path(root), plan, split, shard, values)


def generate(
    recipe: Recipe,
    path: str | Path,
    *,
    shard_rows: int | None = None,
    workers: int | Workers | None = None,
    resume: bool = False,
    force: bool = False,
    credits: Mapping[str, Any] | None = None,
    progress: Callable[[int], object] = lambda rows: None,
) -> Manifest:
    """Make a data set.

    Arguments:
        recipe: what to make.
        path: where, e.g. "store/m3.zarr", or "store/m3.h5" for HDF5, or an address, "s3://team/m3.zarr",
            where every worker puts its own shards; the content is a function of the recipe alone.
        shard_rows: rows a shard, a multiple of 1000 (spectra) or 8 (trajectories); by default 20,000 or 32.
        workers: processes on this machine (0 works in this process; None takes all cores, or this process
            where they would take longer to start than they gain), or `Workers`.
        resume: continue what was interrupted.
        force: replace what is there, once the new data set is whole.
        credits: `license`, an SPDX name or an address, and `authors`, a list of names, for `provenance.json`.
        progress: called with the number of rows done since its last call.

    Returns: the manifest of the finished data set.

    Raises:
        InvalidInput, DatasetExists, DatasetLocked, WriteError, WorkerError: see their messages.
    """
    plan = _plan(recipe, shard_rows, path)
    workers = sensible(workers if isinstance(workers, Workers) else Workers(workers), recipe, plan)
    began = time.time()
    get_ready(recipe, plan, workers)
    writer = _writer(path, plan, resume=resume, force=force)
    try:
        _make_pending(recipe, writer, plan.shards(), workers, progress)
        return writer.finish(provenance(began, workers=workers.describe(), **(credits or {})))
    finally:
        writer.close()


def generate_shards(
    recipe: Recipe,
    path: str | Path,
    shards: slice,
    *,
    shard_rows: int | None = None,
    workers: int | Workers | None = None,
    progress: Callable[[int], object] = lambda rows: None,
) -> tuple[int, int]:
    """Make some of the shards of a data set, while other processes or machines make others.

    For array jobs of a batch system without Dask: each runs this with its own shards, repeated if it is
    killed, and when all are made `finalise` makes the data set of them.

    Arguments:
        shards: which of `plan.shards()`.
        others: see `generate`.

    Returns: how many of these shards are made, and how many the data set has.

    Raises:
        InvalidInput: no such shards.
        DatasetLocked: somebody generates or finalises the whole.
    """
    workers = workers if isinstance(workers, Workers) else Workers(workers)
    plan = _plan(recipe, shard_rows, path)
    every = plan.shards()
    wanted = every[shards]
    if not wanted or (shards.stop is not None and shards.stop > len(every)):
        raise InvalidInput(
            f"shards is {shards.start}:{shards.stop}; this data set has {len(every)}: 0:{len(every)}"
        )
    get_ready(recipe, plan, workers)
    writer = _writer(path, plan, resume=True, share=True)
    try:
        _make_pending(recipe, writer, wanted, workers, progress)
    finally:
        writer.close()
    return len(wanted), len(every)


def finalise(path: str | Path) -> Manifest:
    """Make a data set of the shards that array jobs have made; or write the master of one in HDF5 again.

    Raises:
        DatasetNotFound: nothing was begun here.
        DatasetIncomplete: shards are missing; says which.
        DatasetLocked: shards are still being made.
    """
    began = time.time()
    if "://" in str(path):
        return _finalise_afar(str(path), began)
    path = Path(path)
    final = SHARDED[storage_of(path)].root_of(path)
    if (final / MANIFEST).is_file():
        manifest = read_manifest(final)
        finish_master(path, manifest)
        return manifest
    partial = partial_path(path)
    if not partial.is_dir():
        raise DatasetNotFound(f"nothing was begun at {path}; start with `qdata generate --shards 0:10 …`")
    begun = (partial / MANIFEST).is_file()
    plan = read_manifest(partial).plan if begun else begun_plan(partial)
    writer = DatasetWriter(path, plan, resume=True)
    try:
        if missing := writer.pending():
            every = plan.shards()
            numbers = ", ".join(str(every.index(s)) for s in missing[:10]) + (", …" if missing[10:] else "")
            raise DatasetIncomplete(
                f"{path}: {len(missing)} of {len(every)} shards are missing or damaged ({numbers}); make them"
                " with `qdata generate … --shards A:B`, or all with `qdata generate … --resume`"
            )
        return writer.finish(provenance(began, workers="array jobs"))
    finally:
        writer.close()


def _finalise_afar(url: str, began: float) -> Manifest:
    """`finalise` at an address."""
    try:
        plan = plan_begun_at(url)
    except DatasetNotFound:
        with suppress(DatasetNotFound, DatasetIncomplete):
            return find(url)[1]
        raise
    writer = RemoteWriter(url, plan, resume=True)
    writer.refuse_missing(writer.pending())
    return writer.finish(provenance(began, workers="array jobs"))


def _writer(
    path: str | Path, plan: Plan, *, resume: bool = False, force: bool = False, share: bool = False
) -> DatasetWriter | RemoteWriter:
    """The coordinator of a data set on this machine, or at an address."""
    if "://" in str(path):
        return RemoteWriter(str(path).rstrip("/"), plan, resume=resume, force=force, share=share)
    return DatasetWriter(Path(path), plan, resume=resume, force=force, share=share)


def sensible(workers: Workers, recipe: Recipe, plan: Plan) -> Workers:
    """The workers asked for; this process alone where nobody said who, and starting others gains nothing."""
    if not workers.local or workers.count is not None or workers.max_memory is not None:
        return workers
    count = workers.local_count()
    seconds = recipe.seconds_per_row * sum(layout.rows for layout in plan.splits.values())
    return replace(workers, count=0) if seconds < START_UP + seconds / count else workers


def _plan(recipe: Recipe, shard_rows: int | None, path: str | Path) -> Plan:
    size = {} if shard_rows is None else {"shard_rows": shard_rows}
    return recipe.plan(storage=storage_of(path), **size)


def get_ready(recipe: Recipe, plan: Plan, workers: Workers) -> None:
    """Fail early, and let local workers import while the writer begins."""
    if workers.local and workers.allowed(plan):
        warm_up([__name__, *recipe.modules])


def _make_pending(
    recipe: Recipe,
    writer: DatasetWriter | RemoteWriter,
    wanted: list[tuple[str, int]],
    workers: Workers,
    progress: Callable[[int], object],
) -> None:
    """Make those of the wanted shards that are not there yet."""
    missing = set(writer.pending(wanted))
    rows = {s: np.diff(writer.plan.splits[s[0]].span(s[1]))[0] for s in wanted}
    progress(sum(n for s, n in rows.items() if s not in missing))
    ahead = [s for s in wanted if s in missing]
    in_workers(make_shard, recipe, writer.plan, ahead, workers, progress, str(writer.root))


def in_workers(
    task: Callable[..., T],
    recipe: Recipe,
    plan: Plan,
    wanted: list[tuple[str, int]],
    workers: Workers,
    each: Callable[[T], object],
    *arguments: object,
) -> None:
    """Do a task for some shards.

    Arguments:
        task: called with recipe, plan, the arguments, split, shard and the plug-ins needed.
        each: called with what the task returns, as each is done.
        others: see `generate`.

    Raises WorkerError or what the task raises of ours.
    """
    if not wanted:
        return
    count = min(workers.allowed(plan), len(wanted)) if workers.local else 0
    if workers.local and count == 0:
        for split, shard in wanted:
            each(task(recipe, plan, *arguments, split, shard))
        return
    needed = plugins.parcel(plan.recipe.get("plugins"))
    calls = [partial(task, recipe, plan, *arguments, split, shard, needed) for split, shard in wanted]
    try:
        if workers.local:
            _by_processes(calls, count, each)
        else:
            _by_cluster(calls, workers, each)
    except QwellError:
        raise
    except _Told as told:
        raise told.error from None
    except (Exception, CancelledError) as error:
        raise explain(error, plan) from error


def _by_processes(calls: Sequence[Callable[[], T]], count: int, each: Callable[[T], object]) -> None:
    """Dask's scheduler in this process, with processes that are begun again if one of them dies."""
    from dask.callbacks import Callback
    from dask.multiprocessing import get

    left = {f"{i:09d}": (call,) for i, call in enumerate(calls)}

    def done(key: str, result: T, *state: object) -> None:
        del left[key]
        _tell(each, result)

    for begun in range(1, MOST_DEATHS + 1):
        try:
            with local_processes(count) as pool, Callback(posttask=done):
                get(dict(left), list(left), pool=pool, chunksize=1, optimize_graph=False)
                return
        except BrokenExecutor:
            if begun == MOST_DEATHS:
                raise


def _by_cluster(calls: Sequence[Callable[[], T]], workers: Workers, each: Callable[[T], object]) -> None:
    from distributed import as_completed

    with open_client(workers) as client:
        tasks = [client.submit(call, pure=False, priority=-i) for i, call in enumerate(calls)]
        for future in as_completed(tasks):
            _tell(each, future.result())
            future.release()


class _Told(BaseException):
    """What a caller's own function raised, which is no failure of a worker."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def _tell(each: Callable[[T], object], result: T) -> None:
    try:
        each(result)
    except Exception as error:
        raise _Told(error) from error
