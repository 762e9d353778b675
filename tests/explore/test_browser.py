"""The explorer in a real browser: what a person does, and what they see. Needs Debian's chromium."""

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers import http_server
from support import begin

from qwell import open_dataset
from qwell.physics.grid import Grid
from qwell.physics.spectrum import eigenvalues

pytestmark = pytest.mark.slow
AXE = Path(__file__).parents[1] / "vendor/axe.min.js"
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
VIEWS = ("draw", "samples", "packet", "runs")
Opening = Callable[..., Any]


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    """The address of an explorer of the store and the runs."""
    process = begin("qdata", "explore", "--no-browser", cwd=home)
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


@pytest.fixture
def opening(browser: Any, tmp_path: Path) -> Opening:
    """Opens a page for a `with` block; with a picture if that fails, and no error in the console."""

    @contextmanager
    def opened(where: str, size: str = "desktop", scheme: str = "light") -> Iterator[Any]:
        width, height = SIZES[size]
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.set_default_timeout(60_000)
        wrong: list[str] = []
        page.on("console", lambda said: said.type in ("error", "warning") and wrong.append(said.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        try:
            page.goto(where)
            page.wait_for_selector("html[data-ready=yes]")
            yield page
            assert wrong == []
        except BaseException:
            picture = tmp_path / "failed.png"
            page.screenshot(path=picture, full_page=True)
            print(f"the page as it was: {picture}")
            raise
        finally:
            page.close()

    return opened


def until(page: Any, expression: str, seconds: float = 60) -> None:
    """Wait for an expression to be true; the page's policy lets none be evaluated in the page's own loop."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(30)


def stroke(page: Any, selector: str, points: list[tuple[float, float]]) -> None:
    """Draw with the mouse; points in parts of the width and height."""
    box = page.locator(selector).bounding_box()
    at = [(box["x"] + a * box["width"], box["y"] + b * box["height"]) for a, b in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for x, y in at[1:]:
        page.mouse.move(x, y, steps=12)
    page.mouse.up()


def shown_levels(page: Any) -> np.ndarray:
    """The exact levels in the table."""
    cells = page.locator("#draw-table tbody tr td:nth-child(2)").all_inner_texts()
    return np.array([float(cell.replace("−", "-")) for cell in cells])


def drawn(page: Any) -> np.ndarray:
    """The potential that is drawn, once everything shown belongs to it."""
    page.wait_for_timeout(300)
    kept = page.evaluate("sessionStorage.getItem('qwell-draw')")
    return np.array(json.loads(kept)["v"])


def check_levels(page: Any) -> np.ndarray:
    v = drawn(page)
    exact = eigenvalues(v[None], Grid.of_points(len(v)), 10)[0]
    np.testing.assert_allclose(shown_levels(page), exact, atol=6e-5)  # four digits are shown
    return v


def test_a_person_draws_and_sees_the_levels(address: str, opening: Opening) -> None:
    with opening(f"{address}#draw") as page:
        until(page, "document.querySelectorAll('#draw-table tbody tr').length === 10")
        before = check_levels(page)
        np.testing.assert_allclose(before, 200 * Grid(100).x ** 2, atol=1e-3)
        stroke(page, "#draw-plot", [(0.3, 0.4), (0.45, 0.8), (0.6, 0.3), (0.7, 0.6)])
        after = check_levels(page)
        assert (after[:25] == before[:25]).all() and np.abs(after - before).max() > 20
        page.select_option("#draw-network", "hamiltonian-m3")
        until(page, "document.querySelectorAll('#draw-table thead th').length === 6")
        page.check("#draw-prove")
        until(page, "document.querySelector('#draw-table tbody').innerText.includes('✓')")
        assert "500,000 potentials of m3" in page.inner_text("#draw-about")
        assert "--certify 0.05" in page.input_value("#draw-command")
        page.fill("#draw-formula", "sigma*cos(3*x)")
        page.press("#draw-formula", "Enter")
        until(page, "JSON.parse(sessionStorage.getItem('qwell-draw')).source.formula === 'sigma*cos(3*x)'")
        check_levels(page)
        page.fill("#draw-formula", "1/0*x")
        page.press("#draw-formula", "Enter")
        page.wait_for_selector("#trouble:has-text('not finite')")
        page.click("#draw-sample")
        page.wait_for_selector("#trouble", state="hidden")
        kept = check_levels(page)
        page.reload()
        until(page, "document.querySelectorAll('#draw-table thead th').length === 6")
        assert (check_levels(page) == kept).all()


def test_keys_draw_too_and_lead_through_the_views(address: str, opening: Opening) -> None:
    with opening(f"{address}#draw", "phone", "dark") as page:
        until(page, "document.querySelectorAll('#draw-table tbody tr').length === 10")
        before = drawn(page)
        page.focus("#draw-plot")
        for key in ("Home", "ArrowRight", "ArrowUp", "ArrowUp"):
            page.keyboard.press(key)
        after = check_levels(page)
        assert after[1] > before[1] and "at x = " in page.inner_text("#draw-status")
        page.focus("#tab-draw")
        for view in ("samples", "packet", "runs", "draw"):
            page.keyboard.press("ArrowRight")
            page.wait_for_selector(f"#{view}:not([hidden])")
            assert page.evaluate("document.activeElement.id") == f"tab-{view}"


def test_what_is_saved_is_what_is_drawn(address: str, opening: Opening, tmp_path: Path) -> None:
    with opening(f"{address}#draw") as page:
        until(page, "document.querySelectorAll('#draw-table tbody tr').length === 10")
        stroke(page, "#draw-plot", [(0.2, 0.5), (0.8, 0.6)])
        v = drawn(page)
        for kind in ("npy", "csv", "svg"):
            with page.expect_download() as saved:
                page.click(f"#draw-{kind}")
            saved.value.save_as(tmp_path / f"potential.{kind}")
    np.testing.assert_array_equal(np.load(tmp_path / "potential.npy"), v[None])
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "potential.csv", delimiter=","), v)
    picture = (tmp_path / "potential.svg").read_text()
    assert picture.startswith("<svg") and "class=" not in picture and "rgb(" in picture


def test_every_kind_is_opened_row_by_row(address: str, home: Path, opening: Opening) -> None:
    with opening(f"{address}#samples") as page:
        for name in ("m3", "cells", "packets"):
            if page.input_value("#samples-data") != f"store/{name}.zarr":  # the first is being opened
                page.select_option("#samples-data", f"store/{name}.zarr")
            until(page, f"document.querySelector('#samples-card').textContent.includes('# {name}.zarr')")
            page.click("#samples-next")
            command = "document.querySelector('#samples-command').value"
            until(page, f"{command}.match(/{name}.*(--rows 1:2|--row 1$)/)")
            assert page.inner_text("#samples-status")
        page.click("#samples-player button")
        until(page, "Number(document.querySelector('#samples-player input').value) > 3")
        assert "norm 1.0000" in page.inner_text("#samples-status")
        page.select_option("#samples-data", "store/m3.zarr")
        page.wait_for_selector("#samples-histogram:not([hidden])")
        energies = open_dataset(home / "store/m3.zarr")["train"]["energy"][:, 0]
        page.select_option("#samples-quantity", "E0")
        page.fill("#samples-high", "-60")
        page.click("#samples-filter")
        low = np.flatnonzero(energies <= -60)
        page.wait_for_selector(f"#samples-found:has-text('{len(low)} of the first 40')")
        until(page, f"document.querySelector('#samples-row').value === '{low[0]}'")
        page.locator("#samples-next").press("Enter")
        until(page, f"document.querySelector('#samples-row').value === '{low[1]}'")
        page.click("#samples-draw")
        page.wait_for_selector("#draw:not([hidden])")
        until(page, "JSON.parse(sessionStorage.getItem('qwell-draw')).network === ''")
        check_levels(page)
        np.testing.assert_allclose(shown_levels(page)[0], energies[low[1]], atol=1e-3)


def test_a_packet_is_played_exact_and_emulated(address: str, opening: Opening) -> None:
    with opening(f"{address}#packet") as page:
        until(page, "document.querySelector('#packet-emulator').value === 'emulator-unitary'")
        command = page.locator("#packet-command")
        assert "--potential rectangle:height=5:width=4" in command.input_value()
        page.click("#packet-use")
        until(page, "document.querySelector('#packet-command').value.startsWith('# without the potential')")
        stroke(page, "#packet-player canvas", [(0.7, 0.9), (0.75, 0.4), (0.8, 0.9)])
        page.click("#packet-play")
        page.wait_for_selector("#packet-status:has-text('401 frames computed')")
        until(page, "Number(document.querySelector('#packet-player input').value) > 10")
        page.locator("#packet-player input").fill("400")
        numbers = page.inner_text("#packet-numbers")
        assert "exact: norm 1.00000" in numbers and "emulated: norm" in numbers and "overlap" in numbers
        assert float(numbers.rpartition(" ")[2]) > 0.99
        page.focus("#packet-player canvas")
        page.keyboard.press("ArrowLeft")
        assert page.locator("#packet-player input").input_value() == "399"


def test_a_tab_that_is_chosen_twice_begins_once(address: str, opening: Opening) -> None:
    with opening(f"{address}#draw") as page:
        for tab in ("packet", "draw", "packet"):
            page.click(f"#tab-{tab}")
        until(page, "document.querySelector('#packet-emulator').value === 'emulator-unitary'")
        page.wait_for_timeout(300)
        assert page.locator("#packet-player canvas").count() == 1


def test_strength_and_mesh_speak_of_one_potential(address: str, opening: Opening) -> None:
    def slide(name: str, value: int) -> np.ndarray:
        page.locator(f"#draw-{name}").fill(str(value))
        return drawn(page)

    with opening(f"{address}#draw") as page:
        drawn(page)
        np.testing.assert_allclose(slide("sigma", 200), 400 * Grid(100).x ** 2, atol=1e-3)  # scaled
        np.testing.assert_allclose(slide("mesh", 200)[::2], 400 * Grid(100).x ** 2, atol=1e-3)
        page.fill("#draw-formula", "200*x**2 - sigma*exp(-30*x**2)")
        page.click("#draw-use")
        x = Grid(200).x
        np.testing.assert_allclose(
            slide("sigma", 50), 200 * x**2 - 50 * np.exp(-30 * x**2), atol=1e-3
        )  # its own σ


def test_a_damaged_data_set_shows_nothing_of_another(home: Path, tmp_path: Path, opening: Opening) -> None:
    for name in ("a.zarr", "b.zarr"):
        shutil.copytree(home / "store/m3.zarr", tmp_path / name)
    (tmp_path / "b.zarr/train/energy/c/0/0").write_bytes(b"damaged")
    process = begin("qdata", "explore", ".", "--no-browser", cwd=tmp_path)
    assert process.stdout is not None
    try:
        with opening(process.stdout.readline().strip()) as page:
            page.wait_for_selector("#samples-status:has-text('E =')")
            page.select_option("#samples-data", "./b.zarr")
            page.wait_for_selector("#trouble:has-text('damaged')")
            assert not page.is_visible("#samples-plot") and not page.is_visible("#samples-card")
            page.select_option("#samples-data", "./a.zarr")
            page.wait_for_selector("#samples-status:has-text('E =')")
            assert page.is_visible("#samples-card") and not page.is_visible("#trouble")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def test_a_run_is_followed_while_it_is_trained(address: str, home: Path, opening: Opening) -> None:
    trained = (
        "--model",
        "mlp",
        "--batch",
        20,
        "--updates",
        100_000,
        "--log-every",
        20,
        "--out",
        "runs/followed",
    )
    training = begin("qtrain", "eigen", "--data", "store/m3.zarr", *trained, cwd=home)
    try:
        with opening(f"{address}#runs") as page:
            row = "#runs-table tr:has-text('runs/followed')"
            page.wait_for_selector(f"{row}:has-text('running')")

            def updates() -> int:
                return int(page.inner_text(f"{row} td:nth-child(6)").partition(" ")[0].replace(",", ""))

            first, deadline = updates(), time.monotonic() + 60
            while updates() <= first:
                assert time.monotonic() < deadline
                page.wait_for_timeout(200)
            page.select_option("#runs-measure", "train_nmse")
            assert page.locator("#runs-plot path").count() == 2
            training.send_signal(signal.SIGINT)
            page.wait_for_selector(f"{row}:has-text('interrupted')")
            page.click("#runs-table button:has-text('runs/mlp')")
            page.wait_for_selector("#runs-figures img")
            assert "# mlp" in page.inner_text("#runs-report")
    finally:
        training.kill()
        training.communicate()
        shutil.rmtree(home / "runs/followed")  # other tests share the home


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_everybody_can_use_it(address: str, opening: Opening, size: str, scheme: str) -> None:
    """No serious finding of axe-core, and nothing is wider than the window."""
    with opening(address, size, scheme) as page:
        check_for_everybody(page, VIEWS)


def check_for_everybody(page: Any, views: tuple[str, ...]) -> None:
    for view in views:
        if len(views) > 1:
            page.click(f"#tab-{view}")
        page.wait_for_selector(f"#{view}:not([hidden])")
        page.wait_for_timeout(800)
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run()")["violations"]
        serious = [
            (one["id"], [node["html"][:150] for node in one["nodes"]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == [], view
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), view


def test_the_page_without_a_server(tmp_path: Path, opening: Opening) -> None:
    import subprocess
    import sys

    script = Path(__file__).parents[2] / "docs/make_explorer.py"
    subprocess.run([sys.executable, script, tmp_path / "page"], check=True)
    with http_server(tmp_path / "page") as (where, _), opening(f"{where}/index.html", "phone") as page:
        until(page, "document.querySelectorAll('#draw-table tbody tr').length === 10")
        stroke(page, "#draw-plot", [(0.3, 0.4), (0.6, 0.8)])
        check_levels(page)
        page.select_option("#draw-network", "hamiltonian-rbf")
        until(page, "document.querySelectorAll('#draw-table thead th').length === 5")
        page.fill("#draw-formula", "0*x - 900")
        page.press("#draw-formula", "Enter")
        until(page, "document.querySelector('#draw-trust').textContent.startsWith('Unlike the training')")
        page.check("#draw-form input[value=density]")
        page.select_option("#draw-kernel", "rbf")
        page.click("#draw-sample")
        check_levels(page)
        until(page, "document.querySelectorAll('#draw-plot rect.interval').length === 6")
        assert "intervals cover 90 %" in page.inner_text("#draw-trust")
        page.select_option("#draw-coverage", "0.5")
        until(page, "document.querySelector('#draw-trust').textContent.includes('intervals cover 50 %')")
        assert "--coverage 0.5" in page.input_value("#draw-command")
        assert page.locator("#draw-plot path.predicted").count() == 6
        assert not page.is_visible("#tab-packet")
        check_for_everybody(page, ("draw",))
