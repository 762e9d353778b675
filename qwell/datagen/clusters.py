"""Who does the work: processes on this machine, a running Dask scheduler, or jobs of a batch system."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver, resource_tracker
from typing import TYPE_CHECKING, Any

from qwell.datagen.recipes.trajectories import BLOCK
from qwell.errors import InvalidInput, MissingExtra, WorkerError, unknown
from qwell.progress import in_bytes
from qwell.store.schema import Plan

if TYPE_CHECKING:
    from distributed import Client

BATCH_SYSTEMS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
}
# Memory of a worker: what its libraries take, and how often it holds the rows of its shard (as numbers, as
# encoded files, in temporaries). Measured; see docs/beyond-one-machine.md.
LIBRARIES = 200 * 10**6
COPIES = 3
START_TIMEOUT = 30  # seconds that the first local worker may take to start
# Here and in workers, which import this: what it has no memory for is raised, and needs no traceback besides.
logging.getLogger("distributed.protocol.core").setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True)
class Workers:
    """Who makes the shards of a data set.

    Arguments:
        count: processes, or jobs of a batch system; 0 works in this process; None takes all cores (one job).
        scheduler: address of a running Dask scheduler, "tcp://host:port", instead of local processes. Its
            workers must see the data set's path under the same name.
        cluster: name of a batch system, e.g. "slurm", whose jobs are to be workers (dask-jobqueue).
        options: of that cluster, e.g. {"queue": "short", "memory": "2GB"}; others from Dask's configuration.
        max_memory: bytes that all local processes together may take.

    Raises InvalidInput for what makes no sense together.
    """

    count: int | None = field(default=None, metadata={"default": "all cores, or 0 if that is faster"})
    scheduler: str | None = None
    cluster: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    max_memory: int | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 0:
            raise InvalidInput(f"workers is {self.count}; it must be 0 (in this process) or more")
        if self.scheduler and self.cluster:
            raise InvalidInput("give --scheduler (one that runs) or --cluster (jobs to start), not both")
        if self.cluster and self.cluster not in BATCH_SYSTEMS:
            raise InvalidInput(unknown("cluster", self.cluster, BATCH_SYSTEMS))

    @property
    def local(self) -> bool:
        """Whether the work is done by processes of ours on this machine."""
        return not (self.scheduler or self.cluster)

    def describe(self) -> str | int:
        """For `provenance.json`."""
        return (self.scheduler and "scheduler") or self.cluster or self.local_count()

    def local_count(self) -> int:
        """Processes on this machine."""
        return available_cores() if self.count is None else self.count

    def allowed(self, plan: Plan) -> int:
        """Local processes that `max_memory` leaves room for; without it, all.

        Raises InvalidInput if not even one, with the shard size that would do, or if one takes more than this
        machine has.
        """
        if self.max_memory is None:
            if (needed := memory_of_worker(plan)) > (has := memory_here()):
                raise InvalidInput(
                    f"one worker needs about {in_bytes(needed)} and this machine has {in_bytes(has)}; give"
                    " fewer frames or points, a smaller --shard-size, or --scheduler with larger machines"
                )
            return self.local_count()
        room = self.max_memory // memory_of_worker(plan)
        if room < 1:
            largest = max(layout.shard_rows for layout in plan.splits.values())
            rows = (self.max_memory - LIBRARIES) * largest // (memory_of_worker(plan) - LIBRARIES)
            remedy = f"lower --shard-size to {rows // 1000 * 1000}" if rows >= 1000 else "allow more"
            raise InvalidInput(
                f"one worker needs about {in_bytes(memory_of_worker(plan))} and --max-memory allows"
                f" {in_bytes(self.max_memory)}; {remedy}"
            )
        return min(room, self.local_count())


def memory_of_worker(plan: Plan) -> int:
    """Bytes that a worker takes at most, about; few simulations are filled up to a block."""
    row = sum(f.row_bytes for f in plan.fields)
    least = BLOCK if plan.kind == "trajectories" else 1
    rows = max(min(s.shard_rows, s.rows) for s in plan.splits.values())
    return LIBRARIES + COPIES * row * max(rows, least)


def memory_here() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def warm_up(modules: list[str]) -> None:
    """Start the server from which local workers are forked, so that it imports while we go on.

    A recipe that is written in a script names `__main__`: the script is not run again for that.
    """
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        # glibc keeps the buffers of a shard for the next, instead of faulting fresh pages in: 8 % with lanes
        os.environ.setdefault(name, str(2**28))
    needed = [module for module in modules if module != "__main__"]
    multiprocessing.get_context("forkserver").set_forkserver_preload(needed)
    if threading.current_thread() is not threading.main_thread():
        _start_servers()
        return
    # these go to every process of a terminal; started like this, workers leave them to us
    ours = {s: signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGHUP)}
    try:
        _start_servers()
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)


def _start_servers() -> None:
    """Start the server, and what removes the semaphores of processes that ended at once: without a word."""
    said = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (said, "ignore:resource_tracker:UserWarning")))
    try:
        resource_tracker.ensure_running()
    finally:
        os.environ.pop("PYTHONWARNINGS", None)  # another thread may be faster
        if said is not None:
            os.environ["PYTHONWARNINGS"] = said
    forkserver.ensure_running()


@contextmanager
def open_client(workers: Workers) -> Iterator[Client]:
    """A client of a running Dask scheduler, or of one for jobs of a batch system.

    Raises:
        InvalidInput: no scheduler answers, or the batch system's options make no sense.
        MissingExtra: dask-jobqueue is not installed.
    """
    import dask
    from distributed import Client

    with dask.config.set({"distributed.admin.tick.limit": "1h"}):
        if workers.scheduler:
            with _quietly(), _running(workers.scheduler) as client:
                yield client
        else:
            with _quietly(), _batch_cluster(workers) as cluster, Client(cluster) as client:
                cluster.scale(workers.count or 1)
                yield client


def _nothing() -> None:
    """What there is to begin with unless something is said."""


@contextmanager
def local_processes(count: int, begin: Callable[[], object] = _nothing) -> Iterator[ProcessPoolExecutor]:
    """Processes on this machine, which end with this one however it ends, and first call `begin`.

    Raises WorkerError if none starts.
    """
    server = multiprocessing.get_context("forkserver")
    with main_out_of_sight():
        pool = ProcessPoolExecutor(count, server, _begin, (dict(os.environ), begin))
        try:
            _wait_for_one(pool, count)
            yield pool
        except BaseException:
            for process in list((pool._processes or {}).values()):  # Python 3.14 has a method for that
                process.terminate()  # nobody wants what they are at
            pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()


def _wait_for_one(pool: ProcessPoolExecutor, count: int) -> None:
    """Start all processes, and wait for the first that answers; WorkerError if none does."""
    try:
        answers = wait([pool.submit(_answer) for _ in range(count)], START_TIMEOUT, FIRST_COMPLETED).done
        reason = "" if answers else f"none answered in {START_TIMEOUT} s"
        for answer in answers:
            answer.result()
    except (BrokenExecutor, OSError, EOFError) as error:
        reason = str(error) or type(error).__name__
    if reason:
        raise WorkerError(
            f"the workers did not start ({reason}); run the same command again (--resume keeps what is"
            " finished, where it has that), or with --workers 0 to do without them"
        )


def _begin(environment: Mapping[str, str], further: Callable[[], object]) -> None:
    """What a local process does first; the server that forks them has its environment from the beginning."""
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    further()


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)  # killed, it could not tell us


def _answer() -> None:
    """What shows that a process has started."""


@contextmanager
def _quietly() -> Iterator[None]:
    """What goes wrong is said once, by `explain`; distributed would print tracebacks besides."""
    loggers = [logging.getLogger(f"distributed{name}") for name in ("", ".client", ".core")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _running(address: str) -> Client:
    """A client of a scheduler that runs, of the same versions of what travels between us."""
    from distributed import Client

    try:
        client = Client(address, timeout=10, name="qdata")
    except (OSError, ValueError, TimeoutError) as error:
        raise InvalidInput(
            f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`,"
            " or leave --scheduler out to use this machine's cores"
        ) from error
    return client


def _batch_cluster(workers: Workers) -> Any:
    assert workers.cluster is not None  # by our caller
    ours = signal.getsignal(signal.SIGINT)
    try:
        import dask_jobqueue
    except ImportError as error:
        raise MissingExtra("--cluster needs dask-jobqueue: pip install 'qwell[jobqueue]'") from error
    signal.signal(signal.SIGINT, ours)  # importing it makes Ctrl-C a silent end with exit code 0
    free_port = {"scheduler_options": {"dashboard_address": ":0"}}
    options = {"cores": 1, "processes": 1, "memory": "2GB", **free_port, **workers.options}
    try:
        return getattr(dask_jobqueue, BATCH_SYSTEMS[workers.cluster])(**options)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"--cluster {workers.cluster} does not take these options ({error}); see dask-jobqueue's"
            " documentation for --cluster-option KEY=VALUE"
        ) from error


def job_script(workers: Workers) -> str:
    """The script that would be handed to the batch system for each worker."""
    with _batch_cluster(workers) as cluster:
        script: str = cluster.job_script()
    return script


@contextmanager
def main_out_of_sight() -> Iterator[None]:
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


def explain(error: BaseException, plan: Plan) -> WorkerError:
    """What to tell a person about work that failed on a cluster."""
    kind = type(error).__name__
    kept = (
        "mend the cause and run the same command again; --resume, where it has that, keeps what is finished"
    )
    if kind in ("KilledWorker", "BrokenProcessPool"):
        return WorkerError(
            f"workers died again and again, perhaps for want of memory: one needs about"
            f" {in_bytes(memory_of_worker(plan))}; give them more, or lower --shard-size. {kept}"
        )
    if "Cancelled" in kind or "Comm" in kind:
        return WorkerError(f"the scheduler is gone ({kind}); {kept}")
    return WorkerError(f"a worker failed: {kind}: {error}; {kept}")
