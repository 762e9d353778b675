"""The report of a reproduction: the paper's statements beside our numbers and figures."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Numbers = dict[str, Any]


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, and what our numbers say to it.

    Arguments:
        folder, experiment: where the numbers are: probes/<folder>/<experiment>.json.
        title: of the section.
        paper: the statement, in our words, with its figure.
        ours: numbers → a sentence.
    """

    folder: str
    experiment: str
    title: str
    paper: str
    ours: Callable[[Numbers], str]


def write_report(folder: Path, head: str, lines: Sequence[str], claims: Sequence[Claim]) -> Path:
    """Write `report.md` and `report.html` (figures inside) of a reproduction. Returns the path of the latter.

    Arguments:
        folder: of `qtrain reproduce …`, with the numbers of every experiment under probes/.
        head, lines: what it is, in general.
        claims: the paper's statements, in order.
    """
    markdown = [f"# {head}", *lines]
    page = [f"<h1>{html.escape(head)}</h1>", *(f"<p>{html.escape(line)}</p>" for line in lines)]
    for claim in claims:
        place = folder / "probes" / claim.folder
        numbers = json.loads((place / f"{claim.experiment}.json").read_text())
        ours = claim.ours(numbers)
        table = _table(place / f"{claim.experiment}.md")
        figures = sorted(place.glob(f"{claim.experiment}*.png"))
        markdown += [f"## {claim.title}", f"**The paper:** {claim.paper}", f"**Here:** {ours}", table]
        markdown += [f"![{claim.title}]({figure.relative_to(folder).as_posix()})" for figure in figures]
        page += [
            f"<h2>{html.escape(claim.title)}</h2>",
            f"<p><b>The paper:</b> {html.escape(claim.paper)}</p>",
        ]
        page += [f"<p><b>Here:</b> {html.escape(ours)}</p>", _html_table(table), *map(_image, figures)]
    (folder / "report.md").write_text("\n\n".join(markdown) + "\n")
    (folder / "report.html").write_text(PAGE.format(title=html.escape(head), body="\n".join(page)))
    return folder / "report.html"


def made_by(folder: Path) -> str:
    """A sentence on the command, version and time of a reproduction."""
    about = json.loads((folder / "reproduction.json").read_text())
    return (
        f"Made by `qtrain reproduce {about['paper']} --scale {about['scale']}`, qwell {about['qwell']}; all"
        f" commands with their times ({_hours(folder)} in all) are in times.jsonl."
    )


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}img{{max-width:100%}}
table{{border-collapse:collapse;font-size:.9rem}}
td,th{{padding:.2rem .7rem;border-bottom:1px solid #ccc;text-align:right}}
td:first-child,th:first-child{{text-align:left}}</style>
{body}
</html>
"""


def _hours(folder: Path) -> str:
    seconds = sum(json.loads(line)["seconds"] for line in (folder / "times.jsonl").read_text().splitlines())
    return f"{seconds / 60:.1f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _table(path: Path) -> str:
    """The table out of the Markdown of an experiment."""
    return "\n".join(line for line in path.read_text().splitlines() if line.startswith("|"))


def _html_table(markdown: str) -> str:
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines())
    cells = ["".join(f"<th>{html.escape(c)}</th>" for c in head)]
    cells += ["".join(f"<td>{html.escape(c)}</td>" for c in row) for row in rows]
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"


def _image(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<p><img alt="{html.escape(path.stem)}" src="data:image/png;base64,{data}"></p>'
