"""The gallery: figures of small runs, each with its command, and its page; `python docs/make_gallery.py`.

Takes some minutes on 2 cores. Pictures are written with 64 colours, which drawings do not miss.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
PICTURES, PAGE = DOCS / "gallery", DOCS / "gallery.md"
COLOURS, WIDEST = 64, 1400
# What the figures are made from, too.
BEFORE = [
    "qdata generate --kernel rbf --n 100 --validation 50 --densities --out store/rbf.zarr",
    "qdata densities --n 100 --out store/cells.zarr",
    "qdata simulate --x0 25,30 --s0 2,3 --e0 3,5 --potential rectangle:height=5:width=4 --hamiltonian lattice"
    " --split test --out store/packets.zarr",
]


@dataclass(frozen=True)
class Card:
    """One figure: its title, the command that makes it, the file, and a sentence."""

    title: str
    command: str
    file: str
    says: str

    @property
    def name(self) -> str:
        """Of the picture."""
        return self.title.lower().replace(" ", "-").replace(",", "") + ".png"


SECTIONS = {
    "Data sets": [
        Card("Potentials and levels", "qdata plot store/m3.zarr --out samples.png", "samples.png",
             "Random potentials of a Gaussian process, and their ten lowest levels."),
        Card("Densities on the levels", "qdata plot store/rbf.zarr --out densities.png", "densities.png",
             "A data set with densities (`--densities`) shows them on the levels."),
        Card("Densities of waves in cells", "qdata plot store/cells.zarr --out cells.png", "cells.png",
             "Potentials as steps, and the density of the wave that starts at their left end."),
        Card("Wave packets in space and time", "qdata plot store/packets.zarr --out packets.png", "packets.png",
             "Packets on a ring meet a barrier; time runs upwards."),
        Card("Windows of trajectories", "qdata windows store/packets.zarr --split test --figure windows.png",
             "windows.png", "What emulators learn from: which windows of a simulation are chosen."),
    ],
    "Networks of energies": [
        Card("A training", "qtrain eigen --data store/m3.zarr --model mlp --updates 1000 --evaluate-every 100",
             "runs/m3-mlp/figures/learning.png", "The error while a network learns, of training and validation."),
        Card("Levels beside the exact ones",
             "qtrain evaluate runs/m3-mlp hamiltonian-m3 --data store/m3.zarr --figure levels.png", "levels.png",
             "Two networks on one potential of the validation; the table says all."),
        Card("Runs compared", "qtrain runs --figure runs.png", "runs.png", "Learning curves of all runs below a directory."),
        Card("Densities that were never taught",
             "qtrain probe densities hamiltonian-m3 --data store/rbf.zarr --index 3 --samples 50 --out asked/densities",
             "asked/densities", "The gradient of a predicted energy is the density of its state."),
        Card("Networks on other kernels",
             "qtrain probe cross-kernel hamiltonian-m3 hamiltonian-rbf --data store/m3.zarr --data store/rbf.zarr"
             " --out asked/kernels", "asked/kernels", "Trained on one kernel, asked about another."),
    ],
    "Emulators of dynamics": [
        Card("A rollout", "qtrain rollout emulator-unitary --data store/packets.zarr --split test --out asked/rollout",
             "asked/rollout", "An emulator fed with its own predictions, frame by frame against the truth."),
        Card("Emulators side by side",
             "qtrain probe emulators emulator-unitary emulator-spectral emulator-gru --data store/packets.zarr"
             " --split test --frames 100 --out asked/emulators", "asked/emulators", "What several emulators make of one packet, in space and time."),
    ],
    "States and potentials": [
        Card("A ground state", "qtrain variational --potential harmonic --out runs/harmonic",
             "runs/harmonic", "A network as the trial function: its energy on the way to the exact one."),
        Card("A potential from a wave function",
             "qtrain potential --system oscillator-0 --adam-steps 300 --newton-steps 50 --out runs/oscillator",
             "runs/oscillator", "The potential of which a given wave function is an eigenstate."),
    ],
}  # fmt: skip
PAPERS = {
    "spectra": "Eigenvalues by networks: K. Ogure 2022",
    "dynamics": "Quantum dynamics emulated: Yao et al. 2022",
    "derivatives": "Derivatives of networks: S. Rodini",
    "potential": "Potentials from wave functions: Hong et al.",
    "introspective": "The introspective learner: Wang et al.",
}
HEAD = """# Gallery

What commands draw, from small runs of some seconds, with the command beside each; made by `python docs/make_gallery.py`.
Experiments that need longer trainings have theirs on [the pages of the papers](#the-papers), the league on
[its page](league.md), and benchmarks on [theirs](benchmarks.md).
"""


def run(command: str, cwd: Path) -> None:
    """Run a command as typed."""
    program, *words = shlex.split(command)
    done = subprocess.run(
        [sys.executable, "-m", f"qwell.cli.{program}", *words], cwd=cwd, capture_output=True, text=True
    )
    print(
        f"{'ok' if done.returncode == 0 else 'FAILED'}  {command}\n{done.stderr[-400:] if done.returncode else ''}"
    )
    if done.returncode:
        sys.exit(1)


def picture(place: Path) -> Path:
    """The figure at a path: itself, or the first PNG below a directory."""
    return place if place.is_file() else sorted(place.rglob("*.png"))[0]


def compress(source: Path, target: Path) -> None:
    """A PNG of few colours, not wider than pages show."""
    image = Image.open(source).convert("RGB")
    if image.width > WIDEST:
        image = image.resize((WIDEST, round(image.height * WIDEST / image.width)), Image.Resampling.LANCZOS)
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)


def card(one: Card) -> str:
    """A card of sphinx-design."""
    return f""":::{{grid-item-card}} {one.title}
:img-top: gallery/{one.name}
:img-alt: {one.says}

{one.says}

```text
{one.command}
```
:::
"""


def page() -> str:
    """The page, in Markdown."""
    parts = [HEAD]
    for title, cards in SECTIONS.items():
        parts.append(
            f"## {title}\n\n::::{{grid}} 1 1 2 2\n:gutter: 3\n\n" + "\n".join(map(card, cards)) + "::::\n"
        )
    links = "\n".join(
        f":::{{grid-item-card}} {title}\n:link: reproduced-{name}\n:link-type: doc\n\nEvery figure, with the statements"
        f" that it belongs to.\n\n`qtrain reproduce {name}`\n:::\n"
        for name, title in PAPERS.items()
    )
    parts.append(f"## The papers\n\n::::{{grid}} 1 1 2 3\n:gutter: 3\n\n{links}::::\n")
    return "\n".join(parts)


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        run("qdata generate --kernel m3 --n 20000 --validation 2000 --solver lanes", home)
        for command in BEFORE:
            run(command, home)
        for cards in SECTIONS.values():
            for one in cards:
                run(one.command, home)
                compress(picture(home / one.file), PICTURES / one.name)
    PAGE.write_text(page())


if __name__ == "__main__":
    PAGE.write_text(page()) if "--page" in sys.argv else main()
