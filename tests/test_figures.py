"""Figures as people get them: sharp, in both formats, with everything on the page and one layout."""

import io
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from qwell.errors import InvalidInput, WriteError
from qwell.figures import canvas
from qwell.figures.attention import attention_figure
from qwell.figures.league import work_precision
from qwell.figures.spacetime import film, trajectories_page
from qwell.studies.finding import Finding
from qwell.studies.pages import save_figure


@pytest.fixture(autouse=True)
def as_people_get_them(true_figures: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in true_figures.items():
        monkeypatch.setattr(canvas, name, value)


X = np.linspace(0, 40, 128, endpoint=False)
TIMES = np.arange(6) * 0.1
PSI = np.exp(-((X - 15) ** 2) / 8 + 2j * X) * np.exp(-1j * TIMES[:, None])
WALL = np.where((X > 20) & (X < 25), 3.0, 0.0)


def page() -> Figure:
    return trajectories_page(X, TIMES, [PSI], [WALL], [np.ones(6)], ["test 0: X0 15"], "a page")


def maps() -> Figure:
    x = np.linspace(-1, 1, 101)
    return attention_figure(x, 50 * x**2, [(x[2:99], np.eye(97)), (x[5:97:2], np.eye(46))])


@pytest.mark.parametrize("make", [page, maps])
def test_everything_is_on_the_page_and_no_panel_on_another(make, tmp_path: Path) -> None:
    figure = make()
    canvas.save(figure, tmp_path / "a.png")
    renderer = figure.canvas.get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes if axes.get_visible()]
    for box in boxes:
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            across, along = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            assert across < 5 or along < 5, (across, along)


def test_a_figure_is_laid_out_once_for_all_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out, execute = [], ConstrainedLayoutEngine.execute
    monkeypatch.setattr(
        ConstrainedLayoutEngine, "execute", lambda self, figure: laid_out.append(execute(self, figure))
    )
    figure = page()
    canvas.save(figure, tmp_path / "a.png", tmp_path / "a.svg")
    assert len(laid_out) == 1
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (150 * 15, 150 * 4) and picture.format == "PNG"
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")
    again = page()  # matplotlib's own way gives the same picture
    plain = io.BytesIO()
    again.savefig(plain, dpi=150)
    with Image.open(plain) as one, Image.open(tmp_path / "a.png") as other:
        assert np.abs(np.asarray(one, float) - np.asarray(other, float)).mean() < 0.5


def test_a_finding_has_its_figures_for_the_screen_and_for_print(tmp_path: Path) -> None:
    figures = {"": page(), "more": canvas.canvas()[0]}
    finding = Finding("v0.5", "what?", ["a"], [[1.0]], {}, figures)
    finding.write(tmp_path)
    made = {f"v0.5{part}.{suffix}" for part in ("", "-more") for suffix in ("png", "svg")}
    assert {p.name for p in tmp_path.iterdir()} == made | {"v0.5.csv", "v0.5.md", "v0.5.json"}
    assert "![v0.5-more](v0.5-more.png)" in (tmp_path / "v0.5.md").read_text()


def test_the_frames_of_a_film_do_not_tremble(tmp_path: Path) -> None:
    film(X, TIMES, PSI, WALL, "a film", tmp_path / "film.gif", fps=5)
    with Image.open(tmp_path / "film.gif") as film_file:
        assert film_file.n_frames == len(TIMES)
        frames = []
        for k in range(len(TIMES)):
            film_file.seek(k)
            frames.append(np.asarray(film_file.convert("L"), float))
    differ = np.abs(np.stack(frames) - frames[0])
    assert differ[:, :, :80].max() < 64 < differ.max(), (
        "labels stay where they are, up to a GIF's 256 colours"
    )


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot draw"):
        save_figure(page(), tmp_path / "a.doc")
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="--out"):
        save_figure(page(), tmp_path / "file" / "a.png")


def test_a_network_of_the_league_has_one_colour_in_all_panels() -> None:
    """Also where a panel has one network more than the others."""
    entry = namedtuple("entry", "model parameters us error")
    sets = {"few": [entry("b", 3, 1.0, 0.1)], "all": [entry("a", 3, 2.0, 0.2), entry("b", 3, 1.0, 0.1)]}
    figure = work_precision(sets, "time", "error")
    colours = {
        (panel.get_title(), line.get_color())
        for panel in figure.axes
        for line in panel.lines
        if line.get_xdata()[0] == 1.0
    }
    assert colours == {("few", "C1"), ("all", "C1")}
    assert [text.get_text() for text in figure.axes[-1].get_legend().get_texts()] == ["b", "a"]
