"""`qdata simulate` and `windows`: trajectories, and what networks see of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from qwell.cli.answers import answer, as_json
from qwell.cli.common import parse_numbers, parse_settings
from qwell.cli.making import Making, make, making_options, out_path
from qwell.cli.options import Names, given, option, path_option, refuse, stacked
from qwell.datagen.presets import AUTO, DRIVEN_SETTINGS, PRESETS, adapted, grid, preset
from qwell.datagen.presets_driven import drives_of
from qwell.datagen.recipes.driven import GROUND, DrivenRecipe
from qwell.datagen.recipes.driven_families import DrivenFamily
from qwell.datagen.recipes.trajectories import BLOCK, Family, TrajectoriesRecipe
from qwell.errors import InvalidInput, near
from qwell.physics.absorbers import Absorber
from qwell.physics.barriers import SHAPES, Potential
from qwell.physics.drives import KINDS, WORDS
from qwell.physics.packets import ENVELOPES
from qwell.physics.propagators.settings import (
    BOUNDED,
    CONTROLLED,
    HAMILTONIANS,
    METHODS,
    PRECISIONS,
    Propagation,
)
from qwell.physics.ring import Ring
from qwell.progress import stage
from qwell.store.materialize import materialize as write_windows
from qwell.store.reader import open_dataset
from qwell.store.schema import DTYPES
from qwell.store.tables import read_table
from qwell.store.windows import LEARNED, Curriculum, statistics

LAYER = "width=15:strength=3.3"

window_options = stacked(
    option(Curriculum, "history", help="Number of frames that a window shows before the one to predict."),
    option(Curriculum, "width", "--window", help="Number of points of a window."),
    option(Curriculum, "times", help="Share of the start times of a simulation that windows are cut at."),
    option(Curriculum, "edges", help="Share of the left edges that windows are cut at, for each start time."),
    option(
        Curriculum,
        "weight",
        help="Chance of a window that touches the potential, in units of that of the others.",
    ),
)


@click.command()
@click.option(
    "--preset",
    "name",
    type=Names(lambda: PRESETS),
    help=f"Ready-made set of simulations: one of {', '.join(PRESETS)}.",
)
@option(Family, "x0", help="Mean positions of the packets, Bohr, like 10,40 or 10:70:30.")
@option(Family, "s0", help="Standard deviations of |ψ|² of the packets, Bohr.")
@option(Family, "e0", help="Kinetic energies of the packets, Hartree.")
@option(
    Family,
    "packet",
    type=Names(lambda: ENVELOPES),
    help="Shape of the packets: gaussian, triangle, square or a plug-in's; or ground, the lowest eigenstate"
    " of its potential, for driven simulations.",
)
@option(grid, "hb", help="Heights of rectangular barriers in the middle of the box, Hartree.")
@option(grid, "wb", help="Widths of the rectangular barriers of --hb, Bohr.")
@click.option(
    "--potential",
    "potentials",
    multiple=True,
    metavar="FILE|SHAPE",
    type=Names(lambda: SHAPES),
    help="Potentials instead of --hb: the rows of a .npy, .csv …; or a shape with its numbers, like"
    " triangle:height=8:width=20. Repeatable.",
)
@click.option(
    "--drive",
    "drives",
    multiple=True,
    metavar="KIND:NUMBER=VALUE:…",
    type=Names(lambda: KINDS),
    help="Term that is added to the potentials and changes with time, like"
    " dipole:amplitude=2:frequency=1.5:envelope=sin2:cycles=4; or chirp, shake, move, formula:v=… of x and t,"
    " file:values=FILE:step=0.1. Numbers like 1,2,4 give a simulation each; repeat the option for a sum.",
)
@option(
    DrivenFamily,
    "drawn",
    help="Number of simulations to draw at random between the packets and drives given, instead of all.",
)
@click.option(
    "--absorb",
    "absorber",
    metavar="width=…:strength=…",
    help="Absorbing layers at both ends of the box, width in Bohr and strength in Hartree, like"
    " width=15:strength=3.3.",
)
@option(
    DrivenRecipe,
    "keep",
    help="What is stored of driven simulations: psi, observables, potential (V(x, t) at the frames).",
)
@option(DrivenRecipe, "levels", help="Number of eigenstates whose populations are among the observables.")
@option(Ring, "box", help="Length of the ring, Bohr.")
@option(Ring, "points", help="Points of the mesh on the ring.")
@option(Propagation, "dt", help="Time between frames, atomic units.")
@option(Propagation, "frames", help="Number of frames after the first.")
@option(
    grid,
    "method",
    "--propagator",
    type=Names(lambda: (AUTO, *METHODS)),
    help="Propagator: chebyshev, truncated-eigen, split-operator, space-splitting, eigen (exact) or a"
    " plug-in's; split-operator-4, magnus or split-operator of driven simulations; auto is the one that is"
    " expected to be the fastest, and --preset has its own.",
)
@option(
    Propagation,
    "hamiltonian",
    type=Names(lambda: HAMILTONIANS),
    help="Kinetic energy: spectral, or lattice (the dynamics paper's).",
)
@option(
    Propagation,
    "tolerance",
    help="Bound on the error of --propagator chebyshev and truncated-eigen; what the estimated error of"
    " split-operator-4 and magnus may be.",
)
@option(
    Propagation,
    "substep",
    help="Time step of --propagator split-operator and space-splitting, atomic units; of split-operator-4 and"
    " magnus instead of --tolerance.",
)
@option(Propagation, "device", help="Device that computes: cpu, or cuda for --propagator eigen.")
@option(
    Propagation,
    "precision",
    type=Names(lambda: PRECISIONS),
    help="Precision of the computation: float64 or float32.",
)
@option(
    TrajectoriesRecipe,
    "dtype",
    type=Names(lambda: DTYPES),
    help="Number format of stored wave functions: float32 or float64.",
)
@option(
    TrajectoriesRecipe,
    "split",
    type=Names(lambda: ("train", "test")),
    help="Split that the simulations go to: train or test.",
)
@option(
    TrajectoriesRecipe,
    "validation",
    help="Further simulations for validation, with numbers drawn between the others.",
)
@option(TrajectoriesRecipe, "seed", help="Seed of the simulations of --validation and --drawn.")
@window_options
@option(
    grid,
    "v_scale",
    help="What windows divide potentials by in their third channel, Hartree; by default the largest |V| of"
    " the potentials (1 if all are free), or that of the preset.",
)
@making_options(TrajectoriesRecipe, BLOCK, "store/<preset>.zarr")
def simulate(
    making: Making, name: str | None, potentials: tuple[str, ...], drives: tuple[str, ...],
    absorber: str | None, **options: Any,
) -> None:  # fmt: skip
    """Propagate wave packets on a ring, every packet in every potential; or a ready-made set of them.

    With --preset, options that are given as well replace those of the preset: the mesh, the times, how it is
    computed and stored; not the packets, potentials and drives. With --drive, potentials change with time.
    """
    typed = given(options)
    if absorber is not None:
        typed["absorber"] = Absorber.from_json(parse_settings(tuple(absorber.split(":")), LAYER))
    if "hb" not in typed and name is None:
        refuse("it belongs to --hb, the heights of the barriers", "wb")
    if typed.get("packet") == GROUND:
        refuse("the packet ground is an eigenstate of its potential", "x0", "s0", "e0")
    if name is None:
        shapes = tuple(one for text in potentials for one in _potentials(text))
        _make(grid(shapes, drives=drives_of([_term(text) for text in drives]), **typed), making)
        return
    own = [word for word in ("x0", "s0", "e0", "packet", "hb", "wb", "split", "drawn") if word in typed]
    if alien := own + ["potential"] * bool(potentials) + ["drive"] * bool(drives):
        raise InvalidInput(f"--preset {name} has its own packets and potentials; leave out --{alien[0]}")
    recipe = preset(name)
    if not isinstance(recipe, DrivenRecipe):
        refuse(f"--preset {name} is not driven", *DRIVEN_SETTINGS)
    _make(adapted(recipe, typed), making)


def _make(recipe: TrajectoriesRecipe, making: Making) -> None:
    how, families = recipe.propagation, recipe.families
    if how.method not in (*BOUNDED, *CONTROLLED):
        refuse(f"it belongs to --propagator {', '.join((*BOUNDED, *CONTROLLED))}", "tolerance")
    if how.method in CONTROLLED and how.substep:
        refuse("with --substep the steps do not follow it", "tolerance")
    drawn = isinstance(recipe, DrivenRecipe) and recipe.draws
    if not recipe.validation and not drawn:
        refuse("it draws the simulations of --validation and --drawn", "seed")
    if not (isinstance(recipe, DrivenRecipe) and any(drive.terms for drive in recipe.drives)) and all(
        v.shape == "free" for family in families for v in family.potentials
    ):
        refuse("there is no potential for windows to touch", "weight", "v_scale")
    make(recipe, making)


def _term(text: str) -> tuple[str, dict[str, Any]]:
    """The kind of a term, and its numbers: one, or several of which each is to be simulated."""
    kind, *settings = text.split(":")
    numbers = parse_settings(tuple(settings), f"{kind}:amplitude=2:frequency=1.5")
    for name, value in numbers.items():
        if kind == "formula":
            numbers[name] = str(value)
        elif kind == "file" and name == "values":
            numbers[name] = read_table(Path(str(value))).tolist()
        elif isinstance(value, str) and name not in WORDS:
            numbers[name] = list(parse_numbers(value, f"{name} of --drive {kind}"))
    return kind, numbers


def _potentials(text: str) -> list[Potential]:
    """A shape with its numbers, or the rows of a file."""
    shape, *settings = text.split(":")
    file = Path(text)
    if shape in SHAPES or (near(shape, SHAPES) and not file.exists()):
        return [Potential(shape, parse_settings(tuple(settings), f"{shape}:height=5:width=7"))]
    return [Potential("values", {"values": row.tolist()}) for row in read_table(file)]


@click.command()
@click.argument("path")
@click.option("--split", default=LEARNED, show_default=True, help="Split of the data set.")
@window_options
@option(
    write_windows, "n", help="Number of windows that --materialize writes, drawn at random; by default all."
)
@click.option("--materialize", is_flag=True, help="Write the windows into a data set of their own.")
@path_option("--out", help="Path of the data set of --materialize.", default="store/<name>-windows.zarr")
@click.option("--force", is_flag=True, help="Replace a data set that is at --out.")
@click.option(
    "--figure",
    type=click.Path(path_type=Path),
    help="Picture of the windows of the first simulation to draw, PNG, SVG or PDF.",
)
@as_json
def windows(
    path: str, split: str, n: int | None, materialize: bool, out: Path | None, force: bool,
    figure: Path | None, **others: Any,
) -> None:  # fmt: skip
    """What networks learn from: windows of trajectories, how many, and how many touch the potential.

    They are gathered while training; files are only for other programs. Rows come in random order, the frames
    seen as `input` (history, window, channel), the frame to predict as `target` (window, part). The data set
    says which windows there are; options that are given count instead.
    """
    if not materialize:
        refuse("it belongs to --materialize", "n", "out", "force")
    data = open_dataset(path).require("trajectories")
    c = replace(Curriculum.of(data), **given(others))
    results: dict[str, Any] = {"path": path, "split": split, **statistics(data, split, c)}
    text = (
        f"{path} {split}: {results['windows']:,} windows of {c.history} + 1 frames × {c.width} points,"
        f" {results['per_simulation']:,} a simulation; {100 * results['touching']:.1f} % touch the potential"
        f" ({100 * results['touching_unweighted']:.1f} % of all do)"
    )
    if figure:
        from qwell.studies.pages import save_figure, windows_of

        save_figure(windows_of(data, split, c), figure)
        results, text = {**results, "figure": figure}, f"{text}\n{figure}"
    if materialize:
        target = Path(out_path(out, None, f"{data.stem}-windows"))
        count = results["windows"] if n is None else n
        with stage("windows", count) as done:
            manifest = write_windows(data, split, target, n, curriculum=c, force=force, progress=done)
        results |= {"written": target, "rows": count, "digest": manifest.digest}
        text += f"\n{target}: {count:,} rows, version {manifest.digest[:12]}"
    answer(results, text)
