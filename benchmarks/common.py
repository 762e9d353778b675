"""What the benchmarks share: where results go, and on which machine they were made."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Processor, cores, card and revision, so that a number says where it comes from."""
    model = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    where = {
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "git": git.stdout.strip(),
    }
    torch = sys.modules.get("torch")  # only where it is at work
    if torch is not None and torch.cuda.is_available():
        where |= {"card": torch.cuda.get_device_name(), "torch": torch.__version__}
    return where


def best(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """The shortest time of some calls, in seconds, and the last answer."""
    fastest = math.inf
    for _ in range(repeats):
        clock = time.perf_counter()
        answer = function()
        fastest = min(fastest, time.perf_counter() - clock)
    return fastest, answer


def keep(name: str, command: str, rows: dict[str, Any], folder: Path = RESULTS) -> None:
    """Keep numbers as `<name>.json` in a folder, by default `benchmarks/results`."""
    folder.mkdir(parents=True, exist_ok=True)
    result = {"command": command, "machine": machine(), "results": rows}
    (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


def report(name: str, command: str, rows: dict[str, Any]) -> None:
    """Print the numbers and keep them as `benchmarks/results/<name>.json`."""
    keep(name, command, rows)
    show(rows)


def show(rows: dict[str, Any]) -> None:
    """Print numbers, one a line."""
    for key, value in rows.items():
        print(f"{key:<58} {value:,.4g}" if isinstance(value, float) else f"{key:<58} {value}")
