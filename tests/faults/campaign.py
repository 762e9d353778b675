"""Provoke every fault and lay every trap, each in a process of its own; count what was not handled.

    python tests/faults/campaign.py [--scale 1] [--only WORDS] [--out tests/faults/campaign.json]

Four counts must be 0: wrong numbers accepted, raw tracebacks, tries longer than a minute, and other promises
broken; and no process may take more than a gigabyte. The exit code is 1 if that is not so. With --only, what
is tried again takes the place of what it was in the file.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path[:1] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from faults.hostile import TRAPS, walk_into  # noqa: E402
from faults.processes import PROCESSES  # noqa: E402
from faults.products import COPIES, PRODUCTS  # noqa: E402
from faults.rough import ROUGH  # noqa: E402
from faults.scenarios import SCENARIOS  # noqa: E402
from faults.trying import KINDS, LIMIT, RECIPE, Failures, kind_of, make  # noqa: E402
from faults.versions import VERSIONS  # noqa: E402

OUT = Path(__file__).with_name("campaign.json")
MEMORY = 1000  # MB that a process may take
BOTH, NEITHER = (".zarr", ".h5"), ("",)
FAULTS = (
    ("rough", [*PRODUCTS, *ROUGH, *PROCESSES], NEITHER),
    ("faults", [*VERSIONS, *COPIES, *SCENARIOS], BOTH),
)


@dataclass(frozen=True)
class Entry:
    """A fault on a back end, or a trap, and what came of it.

    Arguments:
        table, name, on: which; `on` is the suffix of the back end, or empty.
        tries: how many were made.
        wrong, raw, hangs, other: how many were not handled, of `KINDS`.
        peak_mb: memory of the largest process, MB.
        seconds, cpu_seconds: of the entry, with all of its processes.
        outcome: what the tries ended in.
        failures: the first of those that were not handled.
        git: the revision that was tried.
    """

    table: str
    name: str
    on: str
    tries: int = 0
    wrong: int = 0
    raw: int = 0
    hangs: int = 0
    other: int = 0
    peak_mb: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    outcome: str = ""
    failures: list[str] = field(default_factory=list)
    git: str = ""

    @property
    def good(self) -> bool:
        """Whether everything was handled, in bounded memory."""
        return not any(getattr(self, kind) for kind in KINDS) and self.peak_mb <= MEMORY


Work = Callable[[Path], tuple[int, str]]


def works(scale: float, whole: dict[str, Path]) -> Iterator[tuple[Entry, Work, int]]:
    """Everything there is to do, with the number of its tries.

    Arguments:
        scale: of the number of tries; 1 is the whole campaign.
        whole: a data set of each back end, for traps.
    """
    for table, scenarios, suffixes in FAULTS:
        for name, scenario, full, _ in scenarios:
            tries = max(1, round(full * scale))
            for on in suffixes:
                work = lambda folder, s=scenario, on=on, n=tries: s(folder, on, n)  # noqa: E731
                yield Entry(table, name, on), work, tries
    for name, trap, suffixes in TRAPS:
        for on in suffixes:
            walk = lambda folder, t=trap, on=on: _walk(t, whole.get(on), folder / "trap")  # noqa: E731
            yield Entry("traps", name, on), walk, 4


def _walk(trap: Any, whole: Path | None, folder: Path) -> tuple[int, str]:
    ends = walk_into(trap, whole, folder)
    return len(ends), ", ".join(dict.fromkeys(end.partition(":")[0] for end in ends.values()))


def provoked(entry: Entry, work: Work, tries: int) -> Entry:
    """An entry with its counts: its work done by a process of its own, whose whole family is measured.

    A process that is not done after a minute for each try, and five more, is killed, and counted as a hang.
    """
    reader, writer = os.pipe()
    clock = time.perf_counter()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            os.setpgid(0, 0)
            os.write(writer, json.dumps(_answer(work)).encode())
        finally:
            os._exit(0)
    with suppress(OSError):  # whoever is first
        os.setpgid(pid, pid)
    os.close(writer)
    said = b""
    with os.fdopen(reader, "rb") as pipe:
        while select.select([pipe], [], [], max(0.0, clock + LIMIT * (5 + tries) - time.perf_counter()))[0]:
            if not (piece := os.read(pipe.fileno(), 2**16)):
                break
            said += piece
        else:
            os.killpg(pid, signal.SIGKILL)
            said = json.dumps({"hangs": 1, "failures": ["hangs: the whole entry"]}).encode()
    _, status, used = os.wait4(pid, 0)
    died = {"raw": 1, "failures": [f"raw: the process died, status {status}"]}
    return replace(
        entry,
        **(json.loads(said) if said else died),
        peak_mb=used.ru_maxrss // 1024,
        seconds=round(time.perf_counter() - clock, 1),
        cpu_seconds=round(used.ru_utime + used.ru_stime, 1),
    )


def _answer(work: Work) -> dict[str, Any]:
    """Do it in a directory of its own; the fields of an entry."""
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            tries, outcome = work(Path(folder))
    except Failures as failed:
        kinds = [kind for kind, _ in failed.failures]
        counts = {kind: kinds.count(kind) for kind in KINDS}
        lines = [f"{kind}: {said}" for kind, said in failed.failures[:5]]
        return {"tries": failed.tries, **counts, "failures": lines}
    except BaseException as error:
        line = f"{kind_of(error)}: {type(error).__name__}: {error}"[:1000]
        return {kind_of(error): 1, "failures": [line]}
    return {"tries": tries, "outcome": outcome}


def summary(entries: list[Entry]) -> dict[str, int | float]:
    """Tries, the four counts and the largest process of all entries together."""
    totals = {name: sum(getattr(e, name) for e in entries) for name in ("tries", *KINDS)}
    largest = max((e.peak_mb for e in entries), default=0)
    return {
        "entries": len(entries),
        **totals,
        "peak_mb": largest,
        "cpu_seconds": round(sum(e.cpu_seconds for e in entries)),
    }


def _line(done: Entry) -> str:
    counts = ", ".join(f"{getattr(done, kind)} {kind}" for kind in KINDS)
    mark = "   " if done.good else "BAD"
    cost = f"{done.peak_mb} MB, {done.seconds} s ({done.cpu_seconds} s)"
    return f"{mark} {done.table}: {done.name} {done.on}: {done.tries} tries, {counts}, {cost}"


def campaign(scale: float, only: str = "") -> Iterator[Entry]:
    """Do everything whose name, with that of its table, has these words; a line each."""
    with tempfile.TemporaryDirectory() as folder:
        whole = {on: Path(folder) / f"x{on}" for on in BOTH}
        for path in whole.values():
            provoked(Entry("", "", ""), lambda _, path=path: (1, str(make(path, RECIPE))), 1)
        for entry, work, tries in works(scale, whole):
            if only in f"{entry.table} {entry.name} {entry.on}":
                done = provoked(entry, work, tries)
                print(_line(done), *done.failures, sep="\n      ", flush=True)
                yield done


def _together(before: list[Entry], now: Entry) -> list[Entry]:
    """The entries of a campaign, one of them in place of what it was."""
    known = {(e.table, e.name, e.on): e for e in (*before, now)}
    return [known[key] for e, _, _ in works(1, {}) if (key := (e.table, e.name, e.on)) in known]


def not_tried(entries: list[Entry]) -> list[str]:
    """Names of the faults and traps of today's lists that a campaign has not come to."""
    tried = {(e.table, e.name, e.on) for e in entries}
    return list(dict.fromkeys(e.name for e, _, _ in works(1, {}) if (e.table, e.name, e.on) not in tried))


def main() -> None:
    """The command."""
    from common import machine

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="Of the number of tries.")
    parser.add_argument("--only", default="", help="Entries whose table and name have these words.")
    parser.add_argument("--out", type=Path, help="Where the counts go, as JSON.")
    asked = parser.parse_args()
    for number, meaning in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        signal.signal(number, meaning)  # heard by what we begin, also in the background and under nohup
    out = asked.out or (OUT if asked.scale == 1 else None)
    kept = json.loads(out.read_text())["entries"] if out and asked.only and out.exists() else []
    entries = [Entry(**entry) for entry in kept]
    where, command = machine(), "python tests/faults/campaign.py"
    command += f" --scale {asked.scale:g}" if asked.scale != 1 else ""
    for entry in campaign(asked.scale, asked.only):
        entries = _together(entries, replace(entry, git=where["git"]))
        if out:
            answer = {"command": command, "machine": where, "totals": summary(entries)}
            answer["not_tried"] = not_tried(entries)
            answer["entries"] = [asdict(e) for e in entries]
            out.write_text(json.dumps(answer, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(summary(entries)))
    sys.exit(not all(e.good for e in entries))


if __name__ == "__main__":
    main()
