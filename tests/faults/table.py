"""Write the tables of docs/reliability.md from the counts of the last campaign.

python tests/faults/table.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
COUNTS = Path(__file__).with_name("campaign.json")
BEGIN, END = "<!-- tables: made by tests/faults/table.py -->", "<!-- end of tables -->"
WHERE = {".zarr": "Zarr", ".h5": "HDF5", "": "tables, models"}
Entries = list[dict[str, Any]]


def _by_name(entries: Entries, table: str) -> dict[str, Entries]:
    """The entries of a table, those of one name together."""
    names = dict.fromkeys(e["name"] for e in entries if e["table"] == table)
    return {name: [e for e in entries if (e["table"], e["name"]) == (table, name)] for name in names}


def _bad(entry: dict[str, Any]) -> int:
    return sum(entry[kind] for kind in ("wrong", "raw", "hangs", "other"))


def _handled(entry: dict[str, Any]) -> str:
    """How many of its tries were handled."""
    bad = _bad(entry)
    tries = max(entry["tries"], bad)
    return f"{tries - bad} of {tries}" if tries else "not tried"


def _outcomes(entries: Entries, between: str) -> str:
    return between.join(dict.fromkeys(e["outcome"] for e in entries if e["outcome"]))


def tables(answer: dict[str, Any]) -> str:
    """The part of the page between its marks."""
    entries, totals, where = answer["entries"], answer["totals"], answer["machine"]
    revisions = ", ".join(dict.fromkeys(e["git"] for e in entries))
    lines = [
        f"Made by `{answer['command']}`, commit {revisions}, {where['processor']}, {where['cores']} cores."
        f" {totals['tries']:,} tries: {totals['wrong']} wrong numbers accepted, {totals['raw']} raw"
        f" tracebacks, {totals['hangs']} tries longer than a minute, {totals['other']} other promises broken;"
        f" the largest process took {totals['peak_mb']} MB.",
        *(
            [f"\nNot tried in this campaign: {'; '.join(answer['not_tried'])}."]
            if answer["not_tried"]
            else []
        ),
        *(
            f"\n**Not handled**, {e['name']} {e['on']}: {' '.join(e['failures'][0].split())[:160]}"
            for e in entries
            if _bad(e)
        ),
        "",
        "| fault of a data set | Zarr | HDF5 | outcome |",
        "|---|---|---|---|",
    ]
    for name, both in _by_name(entries, "faults").items():
        cells = " | ".join(_handled(entry) for entry in both)
        lines.append(f"| {name} | {cells} | {_outcomes(both, ' · ')} |")
    lines += ["", "| fault of what is made, and rough place | tries | outcome |", "|---|---|---|"]
    for name, one in _by_name(entries, "rough").items():
        lines.append(f"| {name} | {_handled(one[0])} | {_outcomes(one, '')} |")
    traps = _by_name(entries, "traps")
    ways = sum(entry["tries"] for trap in traps.values() for entry in trap)
    lines += [
        "",
        "## Traps",
        "",
        f"{len(traps)} traps, walked into in {ways} ways (open and read, verify, pull,",
    ]
    lines += [
        "read from afar; load, resume, import, predict).",
        "",
        "| trap | on | ends in |",
        "|---|---|---|",
    ]
    for name, trap in traps.items():
        kinds = dict.fromkeys(kind for e in trap for kind in e["outcome"].split(", "))
        lines.append(f"| {name} | {', '.join(WHERE[e['on']] for e in trap)} | {', '.join(kinds)} |")
    return "\n".join(lines)


def page(text: str, answer: dict[str, Any]) -> str:
    """The whole page, with the tables of a campaign in place of those in `text`."""
    return f"{text[: text.index(BEGIN)]}{BEGIN}\n\n{tables(answer)}\n\n{text[text.index(END) :]}"


def main() -> None:
    """The command."""
    PAGE.write_text(page(PAGE.read_text(), json.loads(COUNTS.read_text())))


if __name__ == "__main__":
    main()
