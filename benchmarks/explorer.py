"""The explorer: from a stroke to exact levels on the page, from the command to the first page, memory.

A browser (Debian's chromium, without a window) moves the mouse over the page as a person does, and the page
itself measures from each move to the levels drawn that belong to it (the browser's user timing). Moves that
come while an answer is on its way are followed by the last of them, so that strokes may be fewer than moves.
Three times are told of each stroke: to the levels on the page, of these what asking and drawing took alone,
and to the message that comes after the browser's picture with these levels, of which it makes 60 a second.

    python benchmarks/explorer.py --moves 1000
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from common import report

ROOT = Path(__file__).parents[1]
MEASURES = "performance.getEntriesByName(%r).map((one) => [one.duration, one.detail?.work ?? 0])"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


def strokes(page: Any, moves: int, network: str) -> tuple[np.ndarray, np.ndarray]:
    """Milliseconds from moves, one every 20 ms, to levels and of these working, (n, 2), and to pictures."""
    page.wait_for_selector("html[data-ready=yes]")
    if network:
        page.wait_for_selector(f"#draw-network option[value='{network}']", state="attached", timeout=60_000)
        page.select_option("#draw-network", network)
        page.wait_for_selector("#draw-table th:has-text('network f')", timeout=60_000)
    page.evaluate("performance.clearMeasures()")
    box = page.locator("#draw-plot").bounding_box()
    rng = np.random.default_rng(0)
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    height = 0.5
    for i in range(moves):
        height = float(np.clip(height + rng.normal(scale=0.05), 0.1, 0.9))
        across = 0.15 + 0.8 * abs((i / 60) % 2 - 1)
        page.mouse.move(box["x"] + across * box["width"], box["y"] + height * box["height"])
        page.wait_for_timeout(20)
    page.mouse.up()
    page.wait_for_timeout(500)
    levels, pictures = (
        np.array(page.evaluate(MEASURES % name)) for name in ("stroke to levels", "stroke to picture")
    )
    return levels, pictures[:, 0]


def summary(name: str, measured: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Median, 95 % and the number of strokes."""
    times, pictures = measured
    return {
        f"{name}, strokes": len(times),
        f"{name}, median (ms)": float(np.median(times[:, 0])),
        f"{name}, 95 % (ms)": float(np.quantile(times[:, 0], 0.95)),
        f"{name}, asking and drawing alone, median (ms)": float(np.median(times[:, 1])),
        f"{name}, asking and drawing alone, 95 % (ms)": float(np.quantile(times[:, 1], 0.95)),
        f"{name}, to the picture, median (ms)": float(np.median(pictures)),
        f"{name}, to the picture, 95 % (ms)": float(np.quantile(pictures, 0.95)),
    }


def first_page() -> float:
    """Seconds from the command to the first page in the hands of a client, the best of 3."""
    import urllib.request

    found = []
    for _ in range(3):
        clock = time.perf_counter()
        process = begin()
        assert process.stdout is not None
        urllib.request.urlopen(process.stdout.readline().strip()).read()
        found.append(time.perf_counter() - clock)
        process.send_signal(signal.SIGINT)
        process.wait()
    return min(found)


def begin() -> subprocess.Popen[str]:
    """The server of the page."""
    command = [sys.executable, "-m", "qwell.cli.qdata", "explore", "--no-browser"]
    return subprocess.Popen(command, cwd=tempfile.gettempdir(), stdout=subprocess.PIPE, text=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--moves", type=int, default=1000)
    moves = parser.parse_args().moves
    from playwright.sync_api import sync_playwright

    rows: dict[str, Any] = {"load of the machine at the beginning": psutil.getloadavg()[0]}
    rows["command to first page (s, bar 2)"] = first_page()
    server = begin()
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    memory = partial(lambda process: process.memory_info().rss / 2**20, psutil.Process(server.pid))
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for name, network in (("exact", ""), ("exact and hamiltonian-m3", "hamiltonian-m3")):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"{address}#draw")
            rows |= summary(f"server, {name}", strokes(page, moves, network))
            rows[f"server's memory after {name} (MiB, bar 400)"] = memory()
            if network:
                page.check("#draw-prove")
                page.wait_for_timeout(8000)
                rows["server's memory after proofs too (MiB, bar 400)"] = memory()
            page.close()
        server.send_signal(signal.SIGINT)
        server.wait()
        subprocess.run([sys.executable, ROOT / "docs/make_explorer.py", folder], check=True)
        with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as files:
            threading.Thread(target=files.serve_forever, daemon=True).start()
            for name, network in (("exact", ""), ("exact and hamiltonian-m3", "hamiltonian-m3")):
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.goto(f"http://127.0.0.1:{files.server_port}/index.html")
                rows |= summary(f"without a server, {name}", strokes(page, moves, network))
                page.close()
            files.shutdown()
        browser.close()
    report("explorer", f"python benchmarks/explorer.py --moves {moves}", rows)


if __name__ == "__main__":
    main()
