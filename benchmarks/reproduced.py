"""A page of the documentation from a reproduction: its report without the figures.

    python benchmarks/reproduced.py reproduction/potential-cpu --commit 1234567

The commit is that of the code which made the reproduction.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from common import machine

DOCS = Path(__file__).parent.parent / "docs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--commit", required=True)
    arguments = parser.parse_args()
    about = json.loads((arguments.folder / "reproduction.json").read_text())
    report = (arguments.folder / "report.md").read_text()
    parts = [part for part in report.split("\n\n") if not part.startswith("![")]
    where = machine()
    made = f"Machine: {where['processor']}, {where['cores']} cores; commit {arguments.commit}."
    path = DOCS / f"reproduced-{about['paper']}.md"
    path.write_text("\n\n".join([parts[0], made, *(part.rstrip() for part in parts[1:])]) + "\n")
    print(path)


if __name__ == "__main__":
    main()
