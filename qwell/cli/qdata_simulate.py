"""`qdata simulate`, `windows` and `animate`: trajectories, and what is seen of them."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click

from qwell.cli.common import as_json, echo_json, parse_numbers, parse_settings
from qwell.cli.making import Making, make, making_options, out_path
from qwell.cli.qdata_store import progress_bar


def given(context: click.Context, name: str) -> bool:
    """Whether an option was typed."""
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


@click.command()
@click.option(
    "--preset",
    metavar="NAME",
    help="paper-barrier, paper-free, paper-tests-rect, paper-tests-free, paper-tests-shaped or demo.",
)
@click.option("--x0", default="10", show_default=True, help="Mean positions, like 10,40 or 10:70:30.")
@click.option("--s0", default="2", show_default=True, help="Standard deviations of |ψ|².")
@click.option("--e0", default="5", show_default=True, help="Kinetic energies, Hartree.")
@click.option("--packet", default="gaussian", show_default=True, help="gaussian, triangle or square.")
@click.option("--hb", help="Heights of rectangular barriers in the middle of the box, Hartree.")
@click.option("--wb", default="7", show_default=True, help="Their widths, Bohr.")
@click.option(
    "--potential",
    "potentials",
    multiple=True,
    metavar="FILE|SHAPE",
    help="Instead: one potential a row of a .npy, .csv …; or a shape with its numbers, like"
    " triangle:height=8:width=20. Repeatable.",
)
@click.option("--box", type=float, default=100.0, show_default=True, help="Length of the ring, Bohr.")
@click.option("--points", type=int, default=1024, show_default=True, help="Of the mesh.")
@click.option("--dt", type=float, default=0.1, show_default=True, help="Time between frames, atomic units.")
@click.option("--frames", type=int, default=500, show_default=True, help="Frames after the first.")
@click.option(
    "--propagator",
    "method",
    default="chebyshev",
    show_default=True,
    help="chebyshev, split-operator, space-splitting or eigen (exact).",
)
@click.option(
    "--hamiltonian",
    default="spectral",
    show_default=True,
    help="spectral, or lattice (the dynamics paper's).",
)
@click.option(
    "--tolerance", type=float, help="Bound on the error of chebyshev.  [default: 1e-11; 1e-6 in float32]"
)
@click.option("--substep", type=float, help="Of the splittings.  [default: 0.01 and 0.0005]")
@click.option("--device", default="cpu", show_default=True, help="cpu; cuda for --propagator eigen.")
@click.option(
    "--precision", default="float64", show_default=True, help="Of the computation: float64 or float32."
)
@click.option(
    "--dtype", default="float32", show_default=True, help="Of stored wave functions: float32 or float64."
)
@click.option("--split", default="train", show_default=True, help="That is filled: train or test.")
@click.option(
    "--validation", type=int, default=0, show_default=True, help="Further simulations, numbers drawn between."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of those.")
@click.option("--v-scale", type=float, default=1.0, show_default=True, help="Of the windows' third channel.")
@making_options("store/<preset>.zarr", 32, 8)
@click.pass_context
def simulate(
    context: click.Context, making: Making, preset: str | None, potentials: tuple[str, ...], **options: Any
) -> None:
    """Propagate wave packets on a ring, every packet in every potential; or a ready-made set of them.

    With --preset, options that are given as well replace those of the preset: the mesh, the times, how it is
    computed and stored; not the packets and potentials.
    """
    from qwell.errors import InvalidInput

    if preset is None:
        make(_grid(potentials, options), making)
        return
    own = ("x0", "s0", "e0", "packet", "hb", "wb", "potentials", "split")
    if typed := [name for name in own if given(context, name)]:
        name = {"potentials": "potential"}.get(typed[0], typed[0])
        raise InvalidInput(f"--preset {preset} has its own packets and potentials; leave out --{name}")
    make(_adapted(preset, {k: v for k, v in options.items() if given(context, k)}), making)


def _adapted(preset: str, options: dict[str, Any]) -> Any:
    """A preset with some of its options replaced."""
    from qwell.datagen.presets import preset as ready_made

    recipe = ready_made(preset)
    parts: dict[str, Any] = {}
    for part in (recipe.ring, recipe.propagation, recipe):
        names = {f.name for f in fields(part)}
        changes = {name: value for name, value in options.items() if name in names}
        parts[type(part).__name__] = changes
    if "method" in parts["Propagation"]:
        parts["Propagation"].setdefault("substep", None)
    if "precision" in parts["Propagation"]:
        parts["Propagation"].setdefault("tolerance", None)
    parts["TrajectoriesRecipe"] |= {
        "ring": replace(recipe.ring, **parts["Ring"]),
        "propagation": replace(recipe.propagation, **parts["Propagation"]),
    }
    if "v_scale" in options:
        parts["TrajectoriesRecipe"]["curriculum"] = replace(recipe.curriculum, v_scale=options["v_scale"])
    return replace(recipe, **parts["TrajectoriesRecipe"])


def _grid(potentials: tuple[str, ...], options: dict[str, Any]) -> Any:
    """Every packet in every potential."""
    from qwell.datagen.recipes.trajectories import Family, TrajectoriesRecipe
    from qwell.errors import InvalidInput
    from qwell.physics.barriers import Potential
    from qwell.physics.propagators.settings import Propagation
    from qwell.physics.ring import Ring
    from qwell.store.windows import Curriculum

    chosen = [one for text in potentials for one in _potentials(text)]
    if options["hb"] is not None:
        if chosen:
            raise InvalidInput("--hb and --potential are two ways to say which potentials; give one of them")
        heights, widths = parse_numbers(options["hb"], "--hb"), parse_numbers(options["wb"], "--wb")
        chosen = [Potential("rectangle", {"height": h, "width": w}) for h in heights for w in widths]
    x0, s0, e0 = (parse_numbers(options[name], f"--{name}") for name in ("x0", "s0", "e0"))
    family = Family(x0, s0, e0, tuple(chosen) or (Potential(),), options["packet"])
    propagation = Propagation(**{f.name: options[f.name] for f in fields(Propagation)})
    rest = {name: options[name] for name in ("split", "validation", "dtype", "seed")}
    curriculum = Curriculum(v_scale=options["v_scale"])
    return TrajectoriesRecipe(
        (family,),
        ring=Ring(options["box"], options["points"]),
        propagation=propagation,
        curriculum=curriculum,
        **rest,
    )


def _potentials(text: str) -> list[Any]:
    """A shape with its numbers, or the rows of a file."""
    from qwell.physics.barriers import SHAPES, Potential
    from qwell.store.tables import read_table

    shape, *settings = text.split(":")
    if shape in SHAPES:
        numbers = parse_settings(tuple(settings), f"{shape}:height=5:width=7")
        return [Potential(shape, numbers)]
    return [Potential("values", {"values": row.tolist()}) for row in read_table(Path(text))]


@click.command()
@click.argument("path")
@click.option("--split", default="train", show_default=True)
@click.option("--n", type=int, help="Windows to write, drawn at random.  [default: all]")
@click.option("--materialize", is_flag=True, help="Write them into a data set of their own.")
@click.option("--out", type=click.Path(path_type=Path), help="Where.  [default: store/<name>-windows.zarr]")
@click.option("--force", is_flag=True, help="Replace an existing data set.")
@as_json
def windows(
    path: str, split: str, n: int | None, materialize: bool, out: Path | None, force: bool, as_json: bool
) -> None:
    """What networks learn from: windows of trajectories, how many, and how many touch the potential.

    They are gathered while training; files are only for other programs. Rows come in random order, the frames
    seen as `input` (history, window, channel), the frame to predict as `target` (window, part).
    """
    from qwell.store.materialize import materialize as write
    from qwell.store.reader import open_dataset
    from qwell.store.windows import Curriculum, statistics

    data = open_dataset(path).require("trajectories")
    answer: dict[str, Any] = {"path": path, "split": split, **statistics(data, split)}
    if materialize:
        target = out_path(out, None, f"{data.stem}-windows")
        count = answer["windows"] if n is None else n
        with progress_bar(count, quiet=as_json, unit=" windows") as bar:
            manifest = write(data, split, target, n, force=force, progress=bar.update)
        answer |= {"written": str(target), "rows": count, "digest": manifest.digest}
    if as_json:
        echo_json(answer)
        return
    c = Curriculum.from_json(data.recipe["curriculum"])
    click.echo(
        f"{path} {split}: {answer['windows']:,} windows of {c.history} + 1 frames × {c.width} points,"
        f" {answer['per_simulation']:,} a simulation; {100 * answer['touching']:.1f} % touch the potential"
        f" ({100 * answer['touching_unweighted']:.1f} % of all do)"
    )
    if materialize:
        click.echo(f"{answer['written']}: {answer['rows']:,} rows, version {answer['digest'][:12]}")


@click.command()
@click.argument("path")
@click.option("--split", help="[default: the first that has rows]")
@click.option("--row", type=int, default=0, show_default=True, help="Which simulation.")
@click.option("--every", type=int, default=5, show_default=True, help="Frames of the data a picture.")
@click.option("--fps", type=int, default=25, show_default=True, help="Pictures a second.")
@click.option("--out", type=click.Path(path_type=Path), help="GIF or MP4.  [default: <name>-<row>.gif]")
def animate(path: str, split: str | None, row: int, every: int, fps: int, out: Path | None) -> None:
    """Film one simulation: |ψ|², Re ψ, and the potential. MP4 needs ffmpeg."""
    from qwell.errors import InvalidInput
    from qwell.figures.spacetime import film
    from qwell.physics.waves import as_complex
    from qwell.store.reader import open_dataset

    data = open_dataset(path).require("trajectories")
    split = split or next((name for name in data.splits if len(data[name])), "train")
    part = data[split]
    if not 0 <= row < len(part) or every < 1 or fps < 1:
        raise InvalidInput(f"row is {row}; {path} has rows 0 to {len(part) - 1} of {split}")
    out = out or Path(f"{data.stem}-{row}.gif")
    psi = as_complex(part["psi"][row][::every])
    times = data.coordinates["time"][::every]
    film(data.coordinates["x"], times, psi, part["potential"][row], f"{data.name}: {split} {row}", out, fps)
    click.echo(f"{out}")


COMMANDS = (simulate, windows, animate)
