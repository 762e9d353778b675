"""The README's animation and the explorer's pictures: `python docs/make_pictures.py`; needs chromium.

The animation is a packet that meets a barrier, exact and by the emulator that comes with the package; the
pictures are taken of the explorer as it is, with a small data set and a short training.
"""

from __future__ import annotations

import io
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from make_gallery import compress
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from qwell import load_model
from qwell.explore.packets import setting
from qwell.physics.barriers import Potential
from qwell.physics.packets import packet
from qwell.physics.propagators.family import propagate
from qwell.physics.propagators.settings import Propagation
from qwell.physics.waves import as_complex
from qwell.train.rollout import rollout
from qwell.train.runs import trained_on

DOCS = Path(__file__).parent
EMULATOR, EVERY, FRAMES = "emulator-unitary", 4, 260
MADE = [
    "qdata generate --kernel m3 --n 20000 --validation 2000 --solver lanes",
    "qtrain eigen --data store/m3.zarr --model mlp --updates 1000 --evaluate-every 100",
    "qtrain eigen --data store/m3.zarr --model hamiltonian --updates 300 --evaluate-every 50",
]


def animation() -> None:
    """docs/packet.gif."""
    ring, how = setting()
    v = Potential("rectangle", {"height": 4.5, "width": 2}).on(ring)
    psi = packet(ring, "gaussian", 30, 3, 4)
    asked = Propagation(hamiltonian=how.hamiltonian, dt=how.dt, frames=FRAMES)
    exact = propagate(psi, v, ring, asked)[0]
    v_scale = trained_on(EMULATOR)["v_scale"]
    guess = rollout(load_model(EMULATOR), exact[None, :1], v[None] / v_scale, FRAMES)[0]
    density = [
        np.abs(as_complex(parts)) ** 2
        for parts in (exact[::EVERY], np.concatenate([exact[:1], guess])[::EVERY])
    ]
    frames = [
        _frame(ring.x, v, *pair, i * EVERY * how.dt) for i, pair in enumerate(zip(*density, strict=True))
    ]
    palette = frames[len(frames) // 2].quantize(32, dither=Image.Dither.NONE)
    few = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    few[0].save(DOCS / "packet.gif", save_all=True, append_images=few[1:], duration=60, loop=0, optimize=True)


def _frame(x: np.ndarray, v: np.ndarray, exact: np.ndarray, guess: np.ndarray, time: float) -> Image.Image:
    figure = Figure(figsize=(7.2, 3.0), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.fill_between(x, 0, v / 4.5 * 0.15, color="0.85", lw=0, label="barrier, 4.5 hartree")
    axes.fill_between(x, 0, exact, color="C0", alpha=0.25, lw=0)
    axes.plot(x, exact, color="C0", lw=1.6, label="exact |ψ|²")
    axes.plot(x, guess, "--", color="C1", lw=1.6, label="emulated |ψ|²")
    axes.set(xlim=(0, 100), ylim=(0, 0.2), xlabel="x [bohr]", yticks=[])
    axes.set_title(f"t = {time:4.1f} ħ/hartree", fontsize=10, loc="right", family="monospace")
    axes.legend(loc="upper left", ncols=3, fontsize=8, frameon=False)
    made = io.BytesIO()
    canvas.print_png(made)
    return Image.open(made).convert("RGB")


def command(line: str, **settings: Any) -> subprocess.Popen[str]:
    """Begin a command as typed."""
    program, *words = line.split()
    return subprocess.Popen([sys.executable, "-m", f"qwell.cli.{program}", *words], text=True, **settings)


def explorer() -> None:
    """docs/explorer-….png."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        for line in MADE:
            assert command(line, cwd=folder).wait() == 0
        server = command("qdata explore --no-browser", cwd=folder, stdout=subprocess.PIPE)
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for view, scheme, size in (
            ("draw", "light", (1280, 820)), ("draw", "dark", (1280, 820)), ("samples", "light", (1280, 820)),
            ("packet", "dark", (1280, 820)), ("runs", "light", (1280, 820)), ("draw", "light", (390, 844)),
        ):  # fmt: skip
            page = browser.new_page(
                viewport=dict(zip(("width", "height"), size, strict=True)), color_scheme=scheme
            )
            page.goto(f"{address}#{view}")
            page.wait_for_selector("html[data-ready=yes]")
            _prepare(page, view)
            name = "phone" if size[0] < 600 else f"{view}-{scheme}"
            page.screenshot(path=Path(folder) / "shot.png")
            compress(Path(folder) / "shot.png", DOCS / f"explorer-{name}.png")
            page.close()
        browser.close()
        server.send_signal(signal.SIGINT)
        server.wait()


def _prepare(page: Any, view: str) -> None:
    """What a person would do first."""
    if view == "draw":
        page.wait_for_selector("#draw-network option[value='hamiltonian-m3']", state="attached")
        page.select_option("#draw-network", "hamiltonian-m3")
        page.wait_for_selector("#draw-table th:has-text('network f')")
        page.click("#draw-sample")
    if view == "packet":
        page.wait_for_selector("#packet-emulator option[value='emulator-unitary']", state="attached")
        page.locator("#packet-height").fill("4.5")
        page.locator("#packet-width").fill("2")
        page.wait_for_timeout(500)
        page.click("#packet-play")
        page.wait_for_selector("#packet-status:has-text('computed')", timeout=60_000)
        page.locator("#packet-player input").fill("110")
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_timeout(1500)


if __name__ == "__main__":
    animation()
    explorer()
