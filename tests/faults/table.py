"""Provoke every fault and lay every trap, count them, and write the tables of docs/reliability.md.

python tests/faults/table.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from common import machine  # noqa: E402
from faults.hostile import TRAPS, walk_into  # noqa: E402
from faults.scenarios import SCENARIOS  # noqa: E402
from faults.trying import RECIPE, make  # noqa: E402
from faults.versions import VERSIONS  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- tables: made by tests/faults/table.py -->", "<!-- end of tables -->"


def faults() -> list[str]:
    """One line a fault and back end."""
    lines = ["| fault | Zarr | HDF5 | outcome |", "|---|---|---|---|"]
    for name, scenario, tries, _ in [*SCENARIOS, *VERSIONS]:
        cells, outcomes = [], []
        for suffix in (".zarr", ".h5"):
            clock = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                count, outcome = scenario(Path(folder), suffix, tries)
            print(f"{name} {suffix}: {count} ({time.perf_counter() - clock:.1f} s) {outcome}", flush=True)
            cells.append(f"{count} of {count}" if count else "not tried")
            outcomes.append(outcome)
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {' · '.join(dict.fromkeys(outcomes))} |")
    return lines


def traps() -> list[str]:
    """One line a trap, with the error it ends in."""
    lines = ["| trap | on | ends in |", "|---|---|---|"]
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        whole = {suffix: make(Path(folder) / f"x{suffix}", RECIPE) for suffix in (".zarr", ".h5")}
        for i, (name, trap, suffixes) in enumerate(TRAPS):
            kinds: list[str] = []
            for suffix in suffixes:
                ends = walk_into(trap, whole.get(suffix), Path(folder) / f"trap{i}{suffix}")
                total += len(ends)
                kinds += [end.partition(":")[0] for end in ends.values()]
            where = {".zarr": "Zarr", ".h5": "HDF5", "": "tables, models"}
            lines.append(
                f"| {name} | {', '.join(where[s] for s in suffixes)} | {', '.join(dict.fromkeys(kinds))} |"
            )
    print(f"{len(TRAPS)} traps, {total} ways into them")
    ways = "open and read, verify, pull, read from afar; load, resume, import, predict"
    lines.insert(0, f"{len(TRAPS)} traps, walked into in {total} ways ({ways}).\n")
    return lines


def main() -> None:
    where = machine()
    made = f"commit {where['git']}, {where['processor']}, {where['cores']} cores"
    about = f"Made by `python tests/faults/table.py`, {made}."
    text = "\n".join([BEGIN, "", about, "", *faults(), "", "## Traps", "", *traps(), "", END])
    page = PAGE.read_text()
    PAGE.write_text(page[: page.index(BEGIN)] + text + page[page.index(END) + len(END) :])


if __name__ == "__main__":
    main()
