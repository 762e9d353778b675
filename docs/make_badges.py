"""The badges of README.md, from pyproject.toml and the package: `python docs/make_badges.py`."""

from __future__ import annotations

import tomllib
from pathlib import Path

import qwell

DOCS = Path(__file__).parent
FOLDER = DOCS / "badges"
GLYPH, MARGIN, HEIGHT = 7, 8, 20  # pixels; of a letter, at both ends of a word, of the badge


def badge(label: str, value: str) -> str:
    """An SVG of two words: what, grey, and which, blue."""
    left, right = (GLYPH * len(word) + 2 * MARGIN for word in (label, value))
    words = "".join(
        f'<text x="{x}" y="14" textLength="{GLYPH * len(word)}">{word}</text>'
        for x, word in ((MARGIN, label), (left + MARGIN, value))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{HEIGHT}" role="img"'
        f' aria-label="{label}: {value}"><title>{label}: {value}</title>'
        f'<rect width="{left + right}" height="{HEIGHT}" rx="3" fill="#4a525c"/>'
        f'<path d="M{left} 0h{right - 3}q3 0 3 3v{HEIGHT - 6}q0 3-3 3h-{right - 3}z" fill="#0b5cad"/>'
        f'<g fill="#fff" font-family="DejaVu Sans,Verdana,sans-serif" font-size="11">{words}</g></svg>\n'
    )


def badges() -> dict[str, str]:
    """Name of a file → its content."""
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]
    said = {
        "version": qwell.__version__,
        "python": project["requires-python"].replace(">=", "≥ "),
        "licence": project["license"],
    }
    return {f"{label}.svg": badge(label, value) for label, value in said.items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, content in badges().items():
        (FOLDER / name).write_text(content)
