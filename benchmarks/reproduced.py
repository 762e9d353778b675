"""A page of the documentation from a reproduction: its report, with the figures beside it.

    python benchmarks/reproduced.py reproduction/potential-cpu --commit 1234567

The commit is that of the code which made the reproduction.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from common import machine
from PIL import Image

DOCS = Path(__file__).parent.parent / "docs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--commit", required=True)
    parser.add_argument("--note", default="", help="what else is to be known of how it was made")
    arguments = parser.parse_args()
    about = json.loads((arguments.folder / "reproduction.json").read_text())
    report = (arguments.folder / "report.md").read_text()
    figures = DOCS / "reproduced" / about["paper"]
    shutil.rmtree(figures, ignore_errors=True)
    figures.mkdir(parents=True)
    parts = [_with_figure(part, arguments.folder, figures) for part in report.rstrip().split("\n\n")]
    where = machine()
    made = (
        f"Machine: {where['processor']}, {where['cores']} cores; commit {arguments.commit}. {arguments.note}"
    )
    path = DOCS / f"reproduced-{about['paper']}.md"
    path.write_text("\n\n".join([parts[0], made.rstrip(), *parts[1:]]) + "\n")
    print(path)


def _with_figure(part: str, folder: Path, figures: Path) -> str:
    """A part of the report; of a figure, a copy is made into `figures` and shown instead."""
    if not part.startswith("!["):
        return part
    title, _, path = part.removesuffix(")").partition("](")
    name = path.removeprefix("probes/").replace("/", "-")
    with Image.open(folder / path) as picture:  # 256 colours: a third of the size
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(figures / name, optimize=True)
    return f"{title}](reproduced/{figures.name}/{name})"


if __name__ == "__main__":
    main()
