"""A paper, done again: its plan is run, and a report is written of what came of it.

A command whose product is there is not run again; one that was interrupted goes on.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import qwell
from qwell.errors import InvalidInput, QwellError, unknown
from qwell.files import atomic_write
from qwell.papers.derivatives import DERIVATIVES
from qwell.papers.dynamics import DYNAMICS
from qwell.papers.introspective import INTROSPECTIVE
from qwell.papers.plan import Command, Paper, Stage
from qwell.papers.potential import POTENTIAL
from qwell.papers.report import write_report
from qwell.papers.spectra import SPECTRA
from qwell.progress import stage as progress
from qwell.progress import track

SCALE = "demo"  # that a paper is done at unless another is named
AT_A_TIME = {SCALE: 1, "cpu": 2, "paper": 2}  # commands side by side unless a number is given, by scale
PAUSE = 0.1  # seconds between looks at what is at work
PAPERS: dict[str, Paper[Any]] = {
    "spectra": SPECTRA,
    "dynamics": DYNAMICS,
    "derivatives": DERIVATIVES,
    "potential": POTENTIAL,
    "introspective": INTROSPECTIVE,
}


class Job(Protocol):
    """A command at work in a process of its own, as `subprocess.Popen`."""

    def poll(self) -> int | None: ...
    def terminate(self) -> None: ...
    def wait(self) -> int: ...


def reproduce(
    paper: Paper[Any],
    scale: str,
    out: Path,
    run: Callable[[Command], object],
    say: Callable[[str], object],
    begin: Callable[[Command, Path], Job] | None = None,
    jobs: int = 1,
) -> Path:
    """Run what is not done yet in the folder `out`, then write its report. Returns the report's path.

    What the commands print goes to log.txt, how long they take to times.jsonl.

    Arguments:
        paper: which.
        scale: "demo", "cpu" or "paper".
        out: created if missing; repeating the command continues it.
        run: runs one of our own commands.
        say: is told the number and the words of every command before it is run.
        begin: begins one in a process of its own; what it prints goes to a file.
        jobs: commands at a time, where they do not wait for each other; more than one by `begin`.

    Raises InvalidInput for an unknown scale, or if `out` holds a reproduction of something else; QwellError
    if a process fails.
    """
    about = _checked(paper, scale, out)
    if not (out / "reproduction.json").exists():
        atomic_write(out / "reproduction.json", (json.dumps(about, indent=1) + "\n").encode())
    stages = paper.plan(paper.scales[scale]).stages
    with contextlib.chdir(out):
        if begin is not None and jobs > 1:
            _side_by_side(stages, begin, say, jobs)
        else:
            for number, stage in enumerate(track(stages, "stages"), start=1):
                if command := stage.remaining(Path()):
                    say(f"[{number}/{len(stages)}] {shlex.join(command)}")
                    _run_timed(run, command)
    return write_report(paper, out)


def _side_by_side(
    stages: Sequence[Stage],
    begin: Callable[[Command, Path], Job],
    say: Callable[[str], object],
    jobs: int,
) -> None:
    """Run the stages, up to `jobs` at a time, each when what it needs is made; in the order of the plan."""
    todo = [(number, stage) for number, stage in enumerate(stages, 1) if stage.remaining(Path())]
    at_work: dict[str, tuple[Job, Command, Path, float]] = {}
    try:
        with progress("stages", len(stages), resumed=True) as done:
            while todo or at_work:
                waiting = {stage.out for _, stage in todo} | set(at_work)
                ready = [pair for pair in todo if not pair[1].needs & waiting][: jobs - len(at_work)]
                for number, stage in ready:
                    command, log = stage.remaining(Path()), Path(f"log-{number}.txt")
                    say(f"[{number}/{len(stages)}] {shlex.join(command)}")
                    at_work[stage.out] = begin(command, log), command, log, time.perf_counter()
                    todo.remove((number, stage))
                time.sleep(PAUSE)
                for out, (job, command, log, clock) in list(at_work.items()):
                    if (code := job.poll()) is not None:
                        del at_work[out]
                        _note(command, time.perf_counter() - clock, log)
                        if code:
                            words = f"`{shlex.join(command)}` ended with exit code {code}"
                            raise QwellError(
                                f"{words}; what it said is at the end of {Path('log.txt').absolute()}"
                            )
                done(to=len(stages) - len(todo) - len(at_work))
    finally:
        for job, *_ in at_work.values():
            job.terminate()
        for job, command, log, clock in at_work.values():
            job.wait()
            _note(command, time.perf_counter() - clock, log)


def outline(paper: Paper[Any], scale: str, out: Path) -> list[str]:
    """What `reproduce` would do, a line a stage, in which folder and for how long; touches nothing.

    Raises InvalidInput as `reproduce` does.
    """
    _checked(paper, scale, out)
    stages = paper.plan(paper.scales[scale]).stages
    lines = []
    for number, stage in enumerate(stages, start=1):
        command = stage.remaining(out)
        words = shlex.join(command) if command else f"done: {shlex.join(stage.command)}"
        lines.append(f"[{number}/{len(stages)}] {words}")
    return [*lines, f"all of it is written into {out.absolute()}, and takes {paper.costs[scale]}"]


def _run_timed(run: Callable[[Command], object], command: Command) -> None:
    clock = time.perf_counter()
    with Path("log.txt").open("a") as log, contextlib.redirect_stdout(log):
        log.write(f"$ {shlex.join(command)}\n")
        run(command)
    _note(command, time.perf_counter() - clock)


def _note(command: Command, seconds: float, log: Path | None = None) -> None:
    """Note how long a command took, and what it said into `log`, which is removed."""
    if log is not None:
        with Path("log.txt").open("a") as book:
            book.write(f"$ {shlex.join(command)}\n{log.read_text()}")
        log.unlink()
    with Path("times.jsonl").open("a") as times:
        times.write(json.dumps({"command": shlex.join(command), "seconds": round(seconds, 1)}) + "\n")


def _checked(paper: Paper[Any], scale: str, out: Path) -> dict[str, Any]:
    """What a folder is to say it reproduces; InvalidInput if it says something else."""
    if scale not in paper.scales:
        raise InvalidInput(unknown("scale", scale, paper.scales))
    sizes = asdict(paper.scales[scale])
    about = {"paper": paper.name, "scale": scale, **sizes, "qwell": qwell.__version__}
    path = out / "reproduction.json"
    if path.exists() and json.loads(path.read_text()) != json.loads(json.dumps(about)):
        raise InvalidInput(
            f"{out.absolute()} holds another reproduction ({path.name}); continue that with the same"
            " --scale and version, or choose another --out"
        )
    return about
