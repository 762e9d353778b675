"""What README and tutorial tell people to type works, in order, in an empty directory."""

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        pytest.param("docs/tutorial.md", marks=pytest.mark.slow),
        pytest.param("docs/driven.md", marks=pytest.mark.slow),
    ],
)
def test_every_block_runs(page: str, tmp_path: Path) -> None:
    pytest.importorskip("xarray")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    blocks = BLOCK.findall((ROOT / page).read_text())
    assert blocks
    for language, text in blocks:
        command = ["bash", "-euc", text] if language == "bash" else [sys.executable, "-c", text]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{page}:\n{text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted((ROOT / "docs/api").glob("*.md")), ids=lambda page: page.stem)
def test_examples_of_python_run_one_after_another(page: Path, tmp_path: Path) -> None:
    pytest.importorskip("xarray")
    text = "\n".join(text for language, text in BLOCK.findall(page.read_text()) if language == "python")
    assert text
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{page}:\n{done.stdout}\n{done.stderr}"


def test_links_between_files_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert "://" in target or (page.parent / target).exists(), f"{page.name} → {target}"


def test_every_formula_leads_to_its_function() -> None:
    text = (ROOT / "docs/formulas.md").read_text()
    rows = re.findall(r"^\| .+ \| `([\w.]+)` \| `([\w./]+)` \|$", text, re.MULTILINE)
    assert len(rows) == len(re.findall(r"^\| ", text, re.MULTILINE)) - text.count("| formula |") >= 30
    for name, file in rows:
        module, _, attribute = name.rpartition(".")
        function = getattr(import_module(module), attribute)
        assert (ROOT / file).is_file() and function.__module__.replace(".", "/") + ".py" == file, name


def test_long_pages_have_contents_and_titles_are_one() -> None:
    """Furo lists the headings of a page beside it; a page of several screens has some."""
    for page in (ROOT / "docs").glob("*.md"):
        lines = [line for line in page.read_text().splitlines() if not line.startswith("#!")]
        outside = re.sub(r"^(`{3,}).*?^\1", "", "\n".join(lines), flags=re.MULTILINE | re.DOTALL)
        headings = re.findall(r"^(#+) ", outside, re.MULTILINE)
        assert headings.count("#") == 1, page
        assert len(lines) < 200 or len(headings) > 3, page


def clicks(page: Path, most: int) -> dict[Path, int]:
    """Pages of the documentation → clicks that lead there from one, by links in the text and by cards."""
    found, new = {page: 0}, [page]
    for count in range(1, most + 1):
        linked = set()
        for one in new:
            text = one.read_text()
            names = re.findall(r"\]\(([\w/.-]+?\.md)(?:#[\w-]*)?\)", text)
            names += [f"{name}.md" for name in re.findall(r"^:link: ([\w/-]+)$", text, re.MULTILINE)]
            linked |= {(one.parent / name).resolve() for name in names}
        new = sorted(path for path in linked - found.keys() if path.is_relative_to(DOCS) and path.is_file())
        found |= dict.fromkeys(new, count)
    return found


def test_a_newcomer_finds_everything_in_three_clicks() -> None:
    pages = clicks(DOCS / "index.md", 3)
    for command in ("pip install", "qdata generate", "qtrain eigen"):
        assert any(command in page.read_text() for page, count in pages.items() if count <= 1), command
    shown = {
        (page.parent / image).resolve()
        for page in pages
        for image in re.findall(
            r"(?:\]\(|^:img-top: )([\w/.-]+\.(?:png|gif|svg))", page.read_text(), re.MULTILINE
        )
    }
    figures = {*DOCS.glob("reproduced/*/*.png"), *DOCS.glob("gallery/*.png"), *DOCS.glob("*.png")}
    assert len(figures) > 100 and figures - shown == set()


def test_the_gallery_is_what_its_script_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS)
    gallery = import_module("make_gallery")
    assert (DOCS / "gallery.md").read_text() == gallery.page()
    names = {one.name for cards in gallery.SECTIONS.values() for one in cards if not one.there}
    assert names == {path.name for path in (DOCS / "gallery").iterdir()}


def test_badges_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS)
    made = import_module("make_badges").badges()
    assert made == {path.name: path.read_text() for path in (DOCS / "badges").iterdir()}
    for name, content in made.items():
        says = re.findall('aria-label="(.+?)"', content)[0]
        assert f"![{says}](docs/badges/{name})" in (ROOT / "README.md").read_text()
