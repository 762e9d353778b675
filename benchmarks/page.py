"""Write docs/benchmarks.md from benchmarks/results/*.json: `python benchmarks/page.py`."""

from __future__ import annotations

import json

from common import RESULTS

PAGE = RESULTS.parent.parent / "docs" / "benchmarks.md"
TITLES = {
    "generate": "Making data",
    "stream-1000": "Streaming, batches of 1,000",
    "stream-100": "Streaming, batches of 100",
    "peers": "Streaming beside others",
    "transfer": "Pushing and pulling",
    "step-cpu": "An update of the weights, CPU",
    "step-cuda": "An update of the weights, GPU",
    "eigensolver": "The eigensolver of `hamiltonian`, while the machine did other work",
    "propagators": "Wave packets in time",
    "windows": "The dynamics paper's data set, and its windows",
    "gru-update": "An update of the recurrent emulator",
    "rollout": "Emulators predicting 400 frames",
    "emulators": "Emulators on the 37 test cases",
    "window-options": "What the options of emulators that see windows are worth",
    "derivatives": "Derivatives of a network, with parameter gradients",
    "foreign": "Derivatives of modules that are no chain of layers",
    "estimates": "Estimates of --dry-run",
    "similarity": "Nearest training potentials",
    "zoo": "The zoo",
    "train-10k": "What 10,000 updates on 100,000 m3 potentials give",
}
INTRODUCTION = """# Benchmarks

Each table is what the command above it printed, on the machine and at the revision named. `make bench`
makes those again that need no data set or training of their own (peers only if they are installed),
`python benchmarks/page.py` this page.
Targets are in the names. `ideal` is n × (bare `scipy.linalg.eigh_tridiagonal` a potential) / cores, in the
same run.
"""


def text(value: object) -> str:
    """A number as people read it."""
    if isinstance(value, float):
        if 0.9 < abs(value) < 1:  # a correlation
            return f"{value:.5f}"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def section(name: str, title: str) -> str:
    """One result as a section with a table."""
    result = json.loads((RESULTS / f"{name}.json").read_text())
    machine = result["machine"]
    where = f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}"
    where += f", revision {machine['git']}"
    rows = "\n".join(f"| {key} | {text(value)} |" for key, value in result["results"].items())
    return f"## {title}\n\n```text\n{result['command']}\n```\n\n{where}\n\n| | |\n|---|---:|\n{rows}\n"


if __name__ == "__main__":
    parts = [section(name, title) for name, title in TITLES.items() if (RESULTS / f"{name}.json").exists()]
    PAGE.write_text("\n".join([INTRODUCTION, *parts]))
    print(PAGE)
