"""The gallery: figures of small runs, each with its command, and its page; `python docs/make_gallery.py`.

Takes some minutes on 2 cores, `--missing` makes only what is not there, and `--page` the page alone. Pictures
are written with 64 colours, which drawings do not miss. Those of longer trainings lie beside other pages.
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
    """One figure: its title, the command that makes it, the file, and a sentence.

    A file that lies in docs/ already is shown as it is; its sentence says at which size it was made.
    """

    title: str
    command: str
    file: str
    says: str

    @property
    def name(self) -> str:
        """Of the picture."""
        return self.title.lower().replace(" ", "-").replace(",", "") + ".png"

    @property
    def there(self) -> bool:
        """Whether the figure belongs to another page."""
        return (DOCS / self.file).is_file()

    @property
    def shown(self) -> str:
        """Where the picture lies, from the page."""
        return self.file if self.there else f"gallery/{self.name}"


REPRODUCE = "qtrain reproduce"
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
        Card("Driven packets", "qdata plot store/driven-small.zarr --rows 0:2 --out driven.png", "driven.png",
             "Two simulations of `qdata simulate --preset driven-small`: density, position and field, what is left, what is radiated."),
        Card("A film", "qdata animate store/packets.zarr --split test --out packet.gif", "packet.gif",
             "A wave packet and a barrier; here with an emulator beside it, by `python docs/make_pictures.py`."),
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
        Card("The league", "qtrain league --out results/league.csv --figure league.png", "league.png",
             "Networks of energies and classical solvers by error and time, on four of 96 test sets; [all numbers](league.md)."),
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
        Card("What predictions depend on",
             "qtrain probe gradients emulator-gru --data store/packets.zarr --split test --samples 50 --out asked/gradients",
             "asked/gradients", "The gradients of a predicted frame by the frames before it, mean of 50 windows."),
    ],
    "States and potentials": [
        Card("A ground state", "qtrain variational --potential harmonic --out runs/harmonic",
             "runs/harmonic", "A network as the trial function: its energy on the way to the exact one."),
        Card("A potential from a wave function",
             "qtrain potential --system oscillator-0 --adam-steps 300 --newton-steps 50 --out runs/oscillator",
             "runs/oscillator", "The potential of which a given wave function is an eigenstate."),
        Card("A packet steered", "qtrain control --task transport", "control.png",
             "The drive that moves a trap and its packet, the motion, the end, and the search for it."),
    ],
    "From longer trainings": [
        Card("Learning curves", f"{REPRODUCE} spectra --scale cpu", "reproduced/spectra/learning-curves-learning-curves.png",
             "Perceptrons on 100,000 to 500,000 potentials of four kernels, 5,000 updates each, one seed."),
        Card("Depth and self-attention", f"{REPRODUCE} spectra --scale cpu", "reproduced/spectra/ablation-ablation.png",
             "Six networks `res_sa` on 500,000 potentials, 3,000 of the paper's 100,000 updates, one seed."),
        Card("Where a network looks", f"{REPRODUCE} spectra --scale cpu", "reproduced/spectra/attention-attention.png",
             "Attention of two layers of `res_sa`, 3,000 of 100,000 updates, one seed, with the potential along both margins."),
        Card("Errors and neighbours", f"{REPRODUCE} spectra --scale cpu", "reproduced/spectra/similarity-similarity-loss.png",
             "Errors against the distance to the nearest of the training: perceptrons, 5,000 updates, 500,000 potentials, one seed."),
        Card("An avoided crossing", f"{REPRODUCE} spectra --scale cpu", "reproduced/spectra/crossing-crossing.png",
             "Between two potentials two levels come near and part again, by a perceptron: 5,000 updates, 500,000 potentials."),
        Card("Energies in a medium", f"{REPRODUCE} spectra --scale cpu", "reproduced/spectra/case1-matter.png",
             "Trained on energies in matter: levels, the medium's effect, errors; a perceptron, 5,000 updates, 500,000 potentials, one seed."),
        Card("Emulators away from their training", f"{REPRODUCE} dynamics --scale cpu", "reproduced/dynamics/sweep-sweep.png",
             "Against packet and barrier: 2,646 simulations, 3,600,000 updates, one seed, as the package has it; 400 frames."),
        Card("Packets of other shapes", f"{REPRODUCE} dynamics --scale cpu", "reproduced/dynamics/packets-packets.png",
             "Gaussian, triangle and square; the same emulator, 400 frames."),
        Card("History, window and size", f"{REPRODUCE} dynamics --scale cpu", "reproduced/dynamics/hyper-hyper.png",
             "Recurrent emulators with other options: 20,000 updates on 400 of 2,646 simulations, one seed of each."),
        Card("Derivatives against torch", f"{REPRODUCE} derivatives --scale cpu", "reproduced/derivatives/times-derivatives.png",
             "Times of derivatives in closed form and by automatic differentiation, best of many, on 2 cores."),
        Card("Excited states", f"{REPRODUCE} derivatives --scale cpu", "reproduced/derivatives/excited-report.png",
             "States of one potential, a network each: at most 300 steps of Adam, 800 of L-BFGS, 350 of the linear method."),
        Card("The penalty on a potential", f"{REPRODUCE} potential --scale cpu", "reproduced/potential/fig-3-sweep.png",
             "Errors against the multiplier λ: 2,000 epochs, 2,500 points, one beginning."),
        Card("Noise in a wave function", f"{REPRODUCE} potential --scale cpu", "reproduced/potential/noise-noise.png",
             "A network beside pointwise inversion: one ground state of m3, 3 beginnings."),
        Card("Four potentials for one state", f"{REPRODUCE} potential --scale cpu", "reproduced/potential/fig-2-potentials.png",
             "Four potentials for one state: 2,000 epochs, 2,500 points, one beginning of each."),
        Card("A law read off", f"{REPRODUCE} introspective --scale cpu", "reproduced/introspective/real-0-report-law.png",
             "The equation that hidden numbers obey is Schrödinger's: 4,096 sequences of 60 cells, 6,000 updates, one of 3 seeds."),
        Card("A kink that tells the order", f"{REPRODUCE} introspective --scale cpu", "reproduced/introspective/real-0-report.png",
             "Densities are rebuilt from two hidden numbers, as many as a wave function has: the same run."),
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
Those [from longer trainings](#from-longer-trainings) say at which size; all others of them are on [the pages of the papers](#the-papers),
and those of benchmarks on [theirs](benchmarks.md).
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
:img-top: {one.shown}
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
                if one.there or ("--missing" in sys.argv and (PICTURES / one.name).exists()):
                    continue
                run(one.command, home)
                compress(picture(home / one.file), PICTURES / one.name)
    PAGE.write_text(page())


if __name__ == "__main__":
    PAGE.write_text(page()) if "--page" in sys.argv else main()
