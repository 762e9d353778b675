"""Cost against work: rows, mesh, levels, shards and simulations, in one figure.

    python benchmarks/scaling.py [--largest 10000000] [--figure docs/scaling.png]

Rows, mesh and levels: seconds of one worker (`--workers 0`) for whole commands, start-up included, and the
most memory that the process had. Shards: what a data set of so many costs to end, to open, to look at and to
read the first batch of; its rows are small (mesh 10, two levels), so that the shards are what is measured.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from common import report

mpl.use("Agg")
import matplotlib.pyplot as plt

from qwell import SpectraRecipe, open_dataset
from qwell.datagen import pipeline
from qwell.store.reader import open_local
from qwell.store.verify import verify_files
from qwell.store.writer import DatasetWriter
from qwell.train.stream import open_stream

ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
MESHES = (100, 200, 400, 800, 1600)
LEVELS = (1, 5, 10, 20, 40)
SHARDS = (250, 2500, 25_000)
SIMULATIONS = (16, 64, 256)
WORK = "import sys; from qwell.cli.qdata import main; sys.argv[0] = 'qdata'; main()"
PEAK = "; from pathlib import Path; print(Path('/proc/self/status').read_text())"


def command(*arguments: object) -> tuple[float, float]:
    """Wall seconds of a `qdata` command in a process of its own, and the most memory it had in MB."""
    words = [sys.executable, "-c", f"import atexit; atexit.register(lambda: exec({PEAK[2:]!r})); {WORK}"]
    clock = time.perf_counter()
    done = subprocess.run([*words, *map(str, arguments)], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - clock
    peak = re.search(r"VmHWM:\s+([0-9]+) kB", done.stdout)
    assert peak is not None
    return seconds, int(peak[1]) / 1e3


def generated(folder: Path, *options: object) -> tuple[float, float]:
    """`command` for spectra by lanes, made in this process and removed again."""
    shutil.rmtree(folder / "m3.zarr", ignore_errors=True)
    fixed = ("--kernel", "m3", "--validation", 0, "--solver", "lanes", "--workers", 0)
    answer = command("generate", *fixed, "--out", folder / "m3.zarr", *options)
    shutil.rmtree(folder / "m3.zarr")
    return answer


def simulated(folder: Path, n: int) -> tuple[float, float]:
    """`command` for wave packets on a lattice of 1,024 points, 100 frames."""
    places = ",".join(f"{x:.3f}" for x in np.linspace(20, 80, n))
    fixed = ("--s0", 5, "--e0", 1, "--points", 1024, "--frames", 100, "--workers", 0)
    answer = command("simulate", "--x0", places, *fixed, "--out", folder / "w.zarr")
    shutil.rmtree(folder / "w.zarr")
    return answer


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Wall seconds of a call, and its answer."""
    clock = time.perf_counter()
    answer = function()
    return time.perf_counter() - clock, answer


def sharded(folder: Path, shards: int) -> dict[str, float]:
    """What a data set of so many shards costs, in seconds."""
    path = folder / "small.zarr"
    shutil.rmtree(path, ignore_errors=True)
    recipe = SpectraRecipe("m3", n=1000 * shards, validation=0, solver="lanes", mesh=10, levels=2)
    plan = recipe.plan(1000)
    writer = DatasetWriter(path, plan)
    makes = timed(
        lambda: [pipeline.make_shard(recipe, plan, str(writer.root), "train", i) for i in range(shards)]
    )
    ends = timed(lambda: writer.finish({}))
    writer.close()
    opens = min(timed(lambda: open_dataset(path)) for _ in range(3))
    data = open_local(path)
    verifies = timed(lambda: list(verify_files(path, data.root, data.manifest)))
    assert verifies[1] == []
    first = timed(lambda: next(open_stream(open_dataset(path), "pool", batch=1000)))
    info, memory = command("info", path)
    shutil.rmtree(path)
    return {
        "made, a shard": makes[0] / shards,
        "finish": ends[0],
        "open": opens[0],
        "info": info,
        "verify": verifies[0],
        "first batch": first[0],
        "memory of info [MB]": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=ROWS[-1], help="rows")
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    rows: dict[str, Any] = {}
    lines: dict[str, dict[str, list[tuple[float, float]]]] = {}

    def note(panel: str, line: str, at: float, value: float, unit: str = "s") -> None:
        lines.setdefault(panel, {}).setdefault(line, []).append((at, value))
        rows[f"{at:,} {panel}: {line} [{unit}]"] = float(value)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        generated(folder, "--n", 1000)  # compiles
        for n in (n for n in ROWS if n <= options.largest):
            seconds, memory = generated(folder, "--n", n)
            note("rows", "whole command", n, seconds)
            rows[f"{n:,} rows: memory [MB]"] = memory
        for mesh in MESHES:
            note(
                "mesh points, 20,000 rows",
                "whole command",
                mesh,
                generated(folder, "--n", 20_000, "--mesh", mesh)[0],
            )
        for levels in LEVELS:
            note(
                "levels, 100,000 rows",
                "whole command",
                levels,
                generated(folder, "--n", 100_000, "--levels", levels)[0],
            )
        for n in SIMULATIONS:
            note("simulations", "whole command", n, simulated(folder, n)[0])
        for shards in SHARDS:
            for line, value in sharded(folder, shards).items():
                if "memory" in line:
                    rows[f"{shards:,} shards: {line}"] = value
                else:
                    note("shards", line, shards, value)
    rates = [value / at for at, value in lines["rows"]["whole command"]]
    rows["microseconds a row of the largest, start-up included"] = rates[-1] * 1e6
    if options.figure:
        draw(lines, options.figure)
    report("scaling", f"python benchmarks/scaling.py --largest {options.largest}", rows)


def draw(lines: dict[str, dict[str, list[tuple[float, float]]]], path: Path) -> None:
    """One panel a kind of work, with a dashed line of slope one through its last point."""
    figure, panels = plt.subplots(1, len(lines), figsize=(3.2 * len(lines), 3.2), layout="constrained")
    for axes, (panel, named) in zip(panels, lines.items(), strict=True):
        for name, points in named.items():
            at, value = np.array(points).T
            axes.loglog(at, value, "o-", markersize=3, label=name)
        axes.loglog(at, value[-1] * at / at[-1], "k--", linewidth=0.7)
        axes.set(xlabel=panel, ylabel="s" if axes is panels[0] else "")
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
