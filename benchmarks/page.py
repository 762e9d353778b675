"""Write docs/benchmarks.md and docs/benchmark-tables.md from benchmarks/results/*.json.

    python benchmarks/page.py

Results of a revision that was not committed are named and not shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from claims import CLAIMS, Claim, picture
from common import RESULTS

DOCS = RESULTS.parent.parent / "docs"
PICTURES = DOCS / "benchmarks"
TITLES = {
    "generate": "Making data",
    "solvers": "The ten lowest energies of a potential",
    "scaling": "Cost against work",
    "stream-1000": "Streaming, batches of 1,000",
    "stream-100": "Streaming, batches of 100",
    "loader-1000": "Batches for training loops of others",
    "peers": "Streaming beside others",
    "transfer": "Pushing and pulling",
    "step-cpu": "An update of the weights, CPU",
    "step-cuda": "An update of the weights, GPU",
    "eigensolver": "The eigensolver of `hamiltonian`, while the machine did other work",
    "propagators": "Wave packets in time",
    "driven": "Driven wave packets",
    "propagate": "Gradients of exact motion, while the machine did other work",
    "driven-emulators": "Emulators of driven motion, beside linear maps",
    "windows": "The dynamics paper's data set, and its windows",
    "gru-update": "An update of the recurrent emulator",
    "rollout": "Emulators predicting 400 frames",
    "emulators": "Emulators on the 37 test cases",
    "window-options": "What the options of emulators that see windows are worth",
    "derivatives": "Derivatives of a network, with parameter gradients",
    "foreign": "Derivatives of modules that are no chain of layers",
    "certify": "Certified levels",
    "intervals": "Intervals of the shipped networks",
    "explorer": "The explorer, from a stroke to the levels",
    "estimates": "Estimates of --dry-run",
    "similarity": "Nearest training potentials",
    "zoo": "The zoo",
    "train-10k": "What 10,000 updates on 100,000 m3 potentials give",
}
CLAIMED = """# Benchmarks

What was measured, in a sentence and a picture each: blue is ours, grey are others, dashed lines are limits.
Each was obtained by the command below it, on the machine and at the revision named, everything in one run;
all numbers are on [a page of their own](benchmark-tables.md). `make bench` makes those again that need no
data set or training of their own (peers only if they are installed), `python benchmarks/page.py` both pages.
"""
TABLES = """# Tables of the benchmarks

Each table is what the command above it printed, on the machine and at the revision named; [the page of
claims](benchmarks.md) says what follows. Targets are in the names. `ideal` is n × (bare
`scipy.linalg.eigh_tridiagonal` a potential) / cores, in the same run.
"""
Result = Mapping[str, Any]


def text(value: object) -> str:
    """A number as people read it."""
    if isinstance(value, float):
        if 0.9 < abs(value) < 1:  # a correlation
            return f"{value:.5f}"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def origin(result: Result) -> str:
    """The command that made a result, and where."""
    machine = result["machine"]
    where = f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}"
    return f"```text\n{result['command']}\n```\n\n{where}, revision {machine['git']}\n"


def table(title: str, result: Result) -> str:
    """One result as a section with a table."""
    rows = "\n".join(f"| {key} | {text(value)} |" for key, value in result["results"].items())
    return f"## {title}\n\n{origin(result)}\n| | |\n|---|---:|\n{rows}\n"


def claim(one: Claim, result: Result) -> str:
    """One claim as a section with a picture."""
    picture(one, result["results"], PICTURES / f"{one.name}.png")
    sentence = one.sentence(result["results"])
    return f"## {one.title}\n\n{sentence}\n\n![{one.title}](benchmarks/{one.name}.png)\n\n{origin(result)}"


def main() -> None:
    paths = {name: RESULTS / f"{name}.json" for name in TITLES}
    results = {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}
    for name in [name for name, result in results.items() if result["machine"]["git"].endswith("-dirty")]:
        print(f"left out: {name}, made at a revision that was not committed; {results.pop(name)['command']}")
    PICTURES.mkdir(exist_ok=True)
    claims = [claim(one, results[one.name]) for one in CLAIMS if one.name in results]
    (DOCS / "benchmarks.md").write_text("\n".join([CLAIMED, *claims]))
    tables = [table(title, results[name]) for name, title in TITLES.items() if name in results]
    (DOCS / "benchmark-tables.md").write_text("\n".join([TABLES, *tables]))


if __name__ == "__main__":
    main()
