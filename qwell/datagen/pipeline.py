"""From recipe to data set: one Dask task a shard, on this machine's cores, in-process, or on a cluster."""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from qwell.datagen import potentials
from qwell.datagen.clusters import Workers, explain, open_client, warm_up
from qwell.datagen.kernels import covariance
from qwell.datagen.recipes import DEFAULT_SHARD_ROWS, SpectraRecipe
from qwell.datagen.spectrum import eigenstates, eigenvalues
from qwell.errors import DatasetIncomplete, DatasetNotFound, InvalidInput, QwellError
from qwell.store.backends import SHARDED, storage_of
from qwell.store.manifest import MANIFEST, Manifest, partial_path, read_manifest
from qwell.store.provenance import provenance
from qwell.store.schema import Plan
from qwell.store.staging import finish_master
from qwell.store.writer import DatasetWriter, begun_plan, write_shard

# What one core of a common machine takes for a potential, in seconds; for the estimate of --dry-run only.
SECONDS_PER_ROW = {"scipy": 150e-6, "lanes": 5e-6, "densities": 500e-6}


@lru_cache(maxsize=4)
def _factor(recipe: SpectraRecipe) -> np.ndarray:
    return potentials.factor(covariance(recipe.kernel, recipe.grid, recipe.sigma, recipe.length, recipe.nu))


def make_rows(recipe: SpectraRecipe, split: str, start: int, stop: int) -> dict[str, np.ndarray]:
    """Rows `start` … `stop − 1` of a split, every field.

    The energies belong to the potential as stored, that is, after rounding to the stored dtype, or to what
    matter makes of that. Blocks of
    1,000 are drawn and solved one after the other, while they are in the processor's cache.

    Returns: `potential` (rows, M+1), `energy` (rows, levels), and `density` (rows, levels, M+1) if asked for.
    """
    n, grid, levels = stop - start, recipe.grid, recipe.levels
    rows = {"potential": np.empty((n, recipe.mesh + 1), recipe.dtype), "energy": np.empty((n, levels))}
    if recipe.densities:
        rows["density"] = np.empty((n, levels, recipe.mesh + 1), np.float32)
    for i in range(0, n, potentials.BLOCK):
        part = slice(i, min(i + potentials.BLOCK, n))
        rows["potential"][part] = potentials.rows(
            _factor(recipe), recipe.seed, split, start + part.start, start + part.stop
        )
        felt = recipe.total(rows["potential"][part])
        rows["energy"][part] = eigenvalues(felt, grid, levels, recipe.solver)
        if recipe.densities:
            rows["density"][part] = eigenstates(felt, grid, levels)[1] ** 2
    return rows


def make_shard(recipe: SpectraRecipe, plan: Plan, root: str, split: str, shard: int) -> int:
    """The work of one task: make a shard and write it. Returns the number of rows."""
    start, stop = plan.splits[split].span(shard)
    with threadpool_limits(1):  # the product of a block must not depend on the number of BLAS threads
        return write_shard(Path(root), plan, split, shard, make_rows(recipe, split, start, stop))


def generate(
    recipe: SpectraRecipe,
    path: str | Path,
    *,
    shard_rows: int = DEFAULT_SHARD_ROWS,
    workers: int | Workers | None = None,
    resume: bool = False,
    force: bool = False,
    progress: Callable[[int], object] = lambda rows: None,
) -> Manifest:
    """Make a data set.

    Arguments:
        recipe: what to make.
        path: where, e.g. "store/m3.zarr", or "store/m3.h5" for HDF5; the content is a
            function of the recipe alone.
        shard_rows: rows a shard, a multiple of 1000.
        workers: processes on this machine (0 works in this process, None takes all cores), or `Workers`.
        resume: continue what was interrupted.
        force: replace what is there, once the new data set is whole.
        progress: called with the number of rows done since its last call.

    Returns: the manifest of the finished data set.

    Raises:
        InvalidInput, DatasetExists, DatasetLocked, WriteError, WorkerError: see their messages.
    """
    workers = workers if isinstance(workers, Workers) else Workers(workers)
    plan = recipe.plan(shard_rows, storage_of(path))
    began = time.time()
    _get_ready(recipe, plan, workers)
    writer = DatasetWriter(Path(path), plan, resume=resume, force=force)
    try:
        _make_pending(recipe, writer, plan.shards(), workers, progress)
        return writer.finish(provenance(began, workers=workers.describe()))
    finally:
        writer.close()


def generate_shards(
    recipe: SpectraRecipe,
    path: str | Path,
    shards: slice,
    *,
    shard_rows: int = DEFAULT_SHARD_ROWS,
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
    plan = recipe.plan(shard_rows, storage_of(path))
    every = plan.shards()
    wanted = every[shards]
    if not wanted or (shards.stop is not None and shards.stop > len(every)):
        raise InvalidInput(
            f"shards is {shards.start}:{shards.stop}; this data set has {len(every)}: 0:{len(every)}"
        )
    _get_ready(recipe, plan, workers)
    writer = DatasetWriter(Path(path), plan, resume=True, share=True)
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
    path, began = Path(path), time.time()
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


def _get_ready(recipe: SpectraRecipe, plan: Plan, workers: Workers) -> None:
    """Fail early, and let local workers import while the writer begins."""
    if workers.local and workers.allowed(plan):
        warm_up([__name__, *(["qwell.datagen.lanes"] if recipe.solver == "lanes" else [])])


def _make_pending(
    recipe: SpectraRecipe,
    writer: DatasetWriter,
    wanted: list[tuple[str, int]],
    workers: Workers,
    progress: Callable[[int], object],
) -> None:
    """Make those of the wanted shards that are not there yet."""
    missing = set(writer.pending())
    rows = {s: np.diff(writer.plan.splits[s[0]].span(s[1]))[0] for s in wanted}
    progress(sum(n for s, n in rows.items() if s not in missing))
    for count in _run(recipe, writer.plan, str(writer.root), [s for s in wanted if s in missing], workers):
        progress(count)


def _run(
    recipe: SpectraRecipe, plan: Plan, root: str, pending: list[tuple[str, int]], workers: Workers
) -> Iterator[int]:
    """Make shards, yielding the rows of each as it is done."""
    if not pending:
        return
    count = min(workers.allowed(plan), len(pending)) if workers.local else 0
    if count == 0 and workers.local:
        for split, shard in pending:
            yield make_shard(recipe, plan, root, split, shard)
        return
    from distributed import as_completed

    with open_client(workers, count) as client:
        tasks = [
            client.submit(make_shard, recipe, plan, root, split, shard, pure=False, priority=-i)
            for i, (split, shard) in enumerate(pending)
        ]
        for future in as_completed(tasks):
            try:
                rows = future.result()
            except QwellError:
                raise
            except (Exception, CancelledError) as error:
                raise explain(error, plan) from error
            future.release()
            yield rows
