"""From recipe to data set: one Dask task a shard, on this machine's cores, in-process, or on a cluster."""

from __future__ import annotations

import logging
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

import qwell
from qwell.datagen import potentials
from qwell.datagen.kernels import covariance
from qwell.datagen.recipes import DEFAULT_SHARD_ROWS, SpectraRecipe
from qwell.datagen.spectrum import eigenstates, eigenvalues
from qwell.errors import InvalidInput, QwellError, WorkerError
from qwell.store.backends import storage_of
from qwell.store.manifest import Manifest
from qwell.store.schema import Plan
from qwell.store.writer import DatasetWriter, write_shard

if TYPE_CHECKING:
    from distributed import Client

# What one core of a common machine takes for a potential, in seconds; for the estimate of --dry-run only.
SECONDS_PER_ROW = {"scipy": 150e-6, "lanes": 5e-6, "densities": 500e-6}


@lru_cache(maxsize=4)
def _factor(recipe: SpectraRecipe) -> np.ndarray:
    return potentials.factor(covariance(recipe.kernel, recipe.grid, recipe.sigma, recipe.length, recipe.nu))


def make_rows(recipe: SpectraRecipe, split: str, start: int, stop: int) -> dict[str, np.ndarray]:
    """Rows `start` … `stop − 1` of a split, every field.

    The energies belong to the potential as stored, that is, after rounding to the stored dtype. Blocks of
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
        stored = rows["potential"][part]
        rows["energy"][part] = eigenvalues(stored, grid, levels, recipe.solver)
        if recipe.densities:
            rows["density"][part] = eigenstates(stored, grid, levels)[1] ** 2
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
    workers: int | None = None,
    scheduler: str | None = None,
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
        workers: processes on this machine; 0 works in this process; None takes all cores.
        scheduler: address of a running Dask scheduler, "tcp://host:port", instead of local processes. Its
            workers must see `path` under the same name.
        resume: continue what was interrupted.
        force: replace what is there, once the new data set is whole.
        progress: called with the number of rows done since its last call.

    Returns: the manifest of the finished data set.

    Raises:
        InvalidInput, DatasetExists, DatasetLocked, WriteError, WorkerError: see their messages.
    """
    if workers is not None and workers < 0:
        raise InvalidInput(f"workers is {workers}; it must be 0 (in this process) or more")
    plan = recipe.plan(shard_rows, storage_of(path))
    began = time.time()
    if scheduler is None and workers != 0:
        _warm_up_workers(recipe)
    writer = DatasetWriter(Path(path), plan, resume=resume, force=force)
    try:
        pending = writer.pending()
        done = sum(layout.rows for layout in plan.splits.values())
        progress(done - sum(np.diff(plan.splits[split].span(i))[0] for split, i in pending))
        for rows in _run(recipe, plan, str(writer.root), pending, workers, scheduler):
            progress(rows)
        return writer.finish(_provenance(began, workers, scheduler))
    finally:
        writer.close()


def _run(
    recipe: SpectraRecipe,
    plan: Plan,
    root: str,
    pending: list[tuple[str, int]],
    workers: int | None,
    scheduler: str | None,
) -> Iterator[int]:
    """Make the pending shards, yielding the rows of each as it is done."""
    if not pending:
        return
    count = min(available_cores() if workers is None else workers, len(pending))
    if count == 0 and scheduler is None:
        for split, shard in pending:
            yield make_shard(recipe, plan, root, split, shard)
        return
    from distributed import as_completed

    with _client(count, scheduler) as client:
        tasks = [
            client.submit(make_shard, recipe, plan, root, split, shard, pure=False, priority=-i)
            for i, (split, shard) in enumerate(pending)
        ]
        for future in as_completed(tasks):
            try:
                rows = future.result()
            except QwellError:
                raise
            except Exception as error:
                raise WorkerError(
                    f"a worker failed: {type(error).__name__}: {error}; what is finished is kept, mend the"
                    " cause and run the same command with --resume"
                ) from error
            future.release()
            yield rows


# Local workers are forked from one server process that has imported everything once.
_DASK = {
    "distributed.worker.multiprocessing-method": "forkserver",
    "distributed.admin.tick.limit": "1h",
}


def _warm_up_workers(recipe: SpectraRecipe) -> None:
    """Start the server from which local workers are forked, so that it imports while we go on."""
    import multiprocessing
    from multiprocessing import forkserver

    needed = ["distributed", "distributed.nanny", __name__]
    if recipe.solver == "lanes":
        needed.append("qwell.datagen.lanes")
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        # glibc keeps the buffers of a shard for the next, instead of faulting fresh pages in: 8 % with lanes
        os.environ.setdefault(name, str(2**28))
    multiprocessing.get_context("forkserver").set_forkserver_preload(needed)
    if threading.current_thread() is not threading.main_thread():
        forkserver.ensure_running()
        return
    # Ctrl-C goes to every process of a terminal; started like this, workers leave it to us
    ours = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, ours)


@contextmanager
def _main_out_of_sight() -> Iterator[None]:
    """Workers need nothing of the script that called us; else each would run it again, unless it is guarded
    by `if __name__ == "__main__"`, and a script read from standard input could not be found."""
    main = sys.modules["__main__"]
    names = [name for name in ("__file__", "__spec__") if name in main.__dict__]
    hidden: dict[str, Any] = {name: main.__dict__.pop(name) for name in names}
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(hidden)


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Client]:
    """A Dask client: of a local cluster of processes with one thread each, or of a running scheduler."""
    import dask
    from distributed import Client, LocalCluster

    with dask.config.set(_DASK):
        if scheduler:
            try:
                client = Client(scheduler, timeout=10)
            except (OSError, ValueError, TimeoutError) as error:
                raise InvalidInput(
                    f"no Dask scheduler answers at {scheduler} ({error}); start one with `dask scheduler`,"
                    " or leave --scheduler out to use this machine's cores"
                ) from error
            with client:
                yield client
        else:
            with (
                _main_out_of_sight(),
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=None,
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                ) as cluster,
                Client(cluster) as client,
            ):
                yield client


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _provenance(began: float, workers: int | None, scheduler: str | None) -> dict[str, Any]:
    """Circumstances of a run that do not change the content: when, where, with which libraries."""
    return {
        "qwell": qwell.__version__,
        "git": _git_revision(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - began, 3),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in ("numpy", "scipy", "numba", "zarr", "dask")},
        "workers": "scheduler" if scheduler else available_cores() if workers is None else workers,
    }


def _git_revision() -> str | None:
    """The revision of the checkout that this package runs from, if it is one."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(qwell.__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except OSError:
        return None
    return answer.stdout.strip() or None
