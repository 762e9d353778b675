"""The report of a reproduction: the paper's statements beside our numbers and figures."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qwell.papers.plan import Answer, Claim, Paper


def write_report(paper: Paper[Any], folder: Path) -> Path:
    """Write `report.md` and `report.html` (figures inside) of a reproduction. Returns the path of the latter.

    Arguments:
        paper: which.
        folder: of `qtrain reproduce …`, with reproduction.json, times.jsonl and the product of every claim.
    """
    about = json.loads((folder / "reproduction.json").read_text())
    scale = paper.scales[about["scale"]]
    plan = paper.plan(scale)
    answers = [claim.answer(folder) for claim in plan.claims]
    head = f"The {paper.name} paper, done again at the scale {about['scale']}"
    verdicts = _verdicts(plan.claims, answers)
    lines = [f"{paper.title}.", *paper.introduction(scale), _made_by(about, folder)]
    markdown = [f"# {head}", *lines, "## Verdicts", verdicts]
    page = [f"<h1>{html.escape(head)}</h1>", *(f"<p>{html.escape(line)}</p>" for line in lines)]
    page += ["<h2>Verdicts</h2>", _html_table(verdicts)]
    for picture in plan.pictures:
        figures = [folder / stage.product for stage in picture.stages]
        markdown += [f"## {picture.title}", *_shown(picture.title, figures, folder)]
        page += [f"<h2>{html.escape(picture.title)}</h2>", *map(_image, figures)]
    for claim, answer in zip(plan.claims, answers, strict=True):
        product = folder / claim.stage.product
        table = _table(product.with_suffix(".md"))
        figures = sorted(product.parent.glob(f"{product.stem}*.png"))
        said = {"The paper": claim.paper, "Here": _here(claim, answer), "Verdict": _verdict(answer)}
        markdown += [f"## {claim.title}", *(f"**{who}:** {words}" for who, words in said.items()), table]
        markdown += _shown(claim.title, figures, folder)
        page += [
            f"<h2>{html.escape(claim.title)}</h2>",
            *(f"<p><b>{who}:</b> {html.escape(words)}</p>" for who, words in said.items()),
            _html_table(table),
            *map(_image, figures),
        ]
    (folder / "report.md").write_text("\n\n".join(markdown) + "\n")
    (folder / "report.html").write_text(PAGE.format(title=html.escape(head), body="\n".join(page)))
    return folder / "report.html"


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}img{{max-width:100%}}
table{{border-collapse:collapse;font-size:.9rem}}
td,th{{padding:.2rem .7rem;border-bottom:1px solid #ccc;text-align:right}}
td:first-child,th:first-child{{text-align:left}}</style>
{body}
</html>
"""


def _verdicts(claims: Sequence[Claim], answers: Sequence[Answer]) -> str:
    """All verdicts in a table, which says how much was learned for each."""
    rows = [
        f"| {claim.title} | {claim.size or '–'} | **{answer.verdict}** |"
        for claim, answer in zip(claims, answers, strict=True)
    ]
    return "\n".join(["| statement | size | verdict |", "|---|---|---|", *rows])


def _here(claim: Claim, answer: Answer) -> str:
    """What our numbers say, and how much was learned for them."""
    return f"({claim.size}) {answer.sentence}" if claim.size else answer.sentence


def _verdict(answer: Answer) -> str:
    """The verdict, what it is judged by, and what it would take to be judged."""
    parts = [f"{criterion}: {'yes' if holds else 'no'}" for criterion, holds in answer.criteria.items()]
    if parts and not answer.enough:
        parts.append(f"it takes {answer.needs}")
    return f"{answer.verdict} ({'; '.join(parts)})." if parts else f"{answer.verdict}."


def _shown(title: str, figures: Sequence[Path], folder: Path) -> list[str]:
    return [f"![{title}]({figure.relative_to(folder).as_posix()})" for figure in figures]


def _made_by(about: dict[str, Any], folder: Path) -> str:
    """A sentence on the command, version and time of a reproduction."""
    times = (folder / "times.jsonl").read_text().splitlines()
    seconds = sum(json.loads(line)["seconds"] for line in times)
    took = f"{seconds / 60:.1f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
    return (
        f"Made by `qtrain reproduce {about['paper']} --scale {about['scale']}`, qwell {about['qwell']}; all"
        f" commands with their times ({took} in all) are in times.jsonl."
    )


def _table(path: Path) -> str:
    """The table out of the Markdown of an experiment."""
    return "\n".join(line for line in path.read_text().splitlines() if line.startswith("|"))


def _html_table(markdown: str) -> str:
    lines = markdown.replace("**", "").splitlines()
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    cells = ["".join(f"<th>{html.escape(c)}</th>" for c in head)]
    cells += ["".join(f"<td>{html.escape(c)}</td>" for c in row) for row in rows]
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"


def _image(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<p><img alt="{html.escape(path.stem)}" src="data:image/png;base64,{data}"></p>'
