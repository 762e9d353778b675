"""A paper, done again: its plan is run, and a report is written of what came of it.

A command whose product is there is not run again; one that was interrupted goes on.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import qwell
from qwell.errors import InvalidInput, unknown
from qwell.files import atomic_write
from qwell.papers.derivatives import DERIVATIVES
from qwell.papers.dynamics import DYNAMICS
from qwell.papers.introspective import INTROSPECTIVE
from qwell.papers.plan import Command, Paper
from qwell.papers.potential import POTENTIAL
from qwell.papers.report import write_report
from qwell.papers.spectra import SPECTRA
from qwell.progress import track

PAPERS: dict[str, Paper[Any]] = {
    "spectra": SPECTRA,
    "dynamics": DYNAMICS,
    "derivatives": DERIVATIVES,
    "potential": POTENTIAL,
    "introspective": INTROSPECTIVE,
}


def reproduce(
    paper: Paper[Any],
    scale: str,
    out: Path,
    run: Callable[[Command], object],
    say: Callable[[str], object],
) -> Path:
    """Run what is not done yet in the folder `out`, then write its report. Returns the report's path.

    What the commands print goes to log.txt, how long they take to times.jsonl.

    Arguments:
        paper: which.
        scale: "demo", "cpu" or "paper".
        out: created if missing; repeating the command continues it.
        run: runs one of our own commands.
        say: is told the number and the words of every command before it is run.

    Raises InvalidInput for an unknown scale, or if `out` holds a reproduction of something else.
    """
    about = _checked(paper, scale, out)
    if not (out / "reproduction.json").exists():
        atomic_write(out / "reproduction.json", (json.dumps(about, indent=1) + "\n").encode())
    stages = paper.plan(paper.scales[scale]).stages
    with contextlib.chdir(out):
        for number, stage in enumerate(track(stages, "stages"), start=1):
            if command := stage.remaining(Path()):
                say(f"[{number}/{len(stages)}] {shlex.join(command)}")
                _run_timed(run, command)
    return write_report(paper, out)


def outline(paper: Paper[Any], scale: str, out: Path) -> list[str]:
    """What `reproduce` would do in the folder `out`, a line a stage; touches nothing.

    Raises InvalidInput as `reproduce` does.
    """
    _checked(paper, scale, out)
    stages = paper.plan(paper.scales[scale]).stages
    lines = []
    for number, stage in enumerate(stages, start=1):
        command = stage.remaining(out)
        words = shlex.join(command) if command else f"done: {shlex.join(stage.command)}"
        lines.append(f"[{number}/{len(stages)}] {words}")
    return lines


def _run_timed(run: Callable[[Command], object], command: Command) -> None:
    clock = time.perf_counter()
    with Path("log.txt").open("a") as log, contextlib.redirect_stdout(log):
        log.write(f"$ {shlex.join(command)}\n")
        run(command)
    seconds = time.perf_counter() - clock
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
