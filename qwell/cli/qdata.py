"""`qdata`: make, look at and check data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qwell.cli.common import CONTEXT, as_json, echo_json, parse_range, run, version_option
from qwell.cli.making import Making, make, making_options
from qwell.cli.qdata_densities import COMMANDS as DENSITIES
from qwell.cli.qdata_simulate import COMMANDS as SIMULATING
from qwell.cli.qdata_store import COMMANDS, progress_bar


@click.group(context_settings=CONTEXT)
@version_option("qdata")
def cli() -> None:
    """Make, look at and check data sets of one-dimensional quantum mechanics.

    First: `qdata generate --kernel m3 --n 100000`, then `qtrain eigen --data store/m3.zarr`.
    Add --debug to any command for a traceback.
    """


@cli.command()
@click.option("--kernel", required=True, metavar="NAME", help="rbf, m5, m3, exp or matern (with --nu).")
@click.option("--n", type=int, required=True, help="Potentials in the training split.")
@click.option(
    "--sigma", type=float, default=100.0, show_default=True, help="Standard deviation of V, ħ²/(m·length²)."
)
@click.option(
    "--length", type=float, default=0.2, show_default=True, help="Correlation length, half box = 1."
)
@click.option("--nu", type=float, help="Smoothness of the matern kernel.")
@click.option("--mesh", type=int, default=100, show_default=True, help="Intervals M; M + 1 points.")
@click.option("--levels", type=int, default=10, show_default=True, help="Lowest energies kept.")
@click.option(
    "--validation", type=int, default=10_000, show_default=True, help="Potentials in the validation split."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random streams.")
@click.option(
    "--solver", default="scipy", show_default=True, help="scipy (reference) or lanes (batched, ~50x faster)."
)
@click.option("--densities", is_flag=True, help="Also keep the squared wave functions.")
@click.option(
    "--matter",
    metavar="FORMULA",
    help="Energies of a total potential: case1, case2 or a formula of V, x, sigma.",
)
@click.option(
    "--dtype", default="float32", show_default=True, help="Of stored potentials: float32 or float64."
)
@making_options("store/<kernel>[-<matter>].zarr", 20_000, 1000)
def generate(making: Making, **recipe_options: Any) -> None:
    """Make random potentials from a Gaussian process, and their lowest energies."""
    from qwell.datagen.recipes.spectra import SpectraRecipe

    make(SpectraRecipe(**recipe_options), making)


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
@as_json
def finalise(path: Path, as_json: bool) -> None:
    """Make a data set of the shards that `qdata generate --shards` made; exit code 2 if some are missing."""
    from qwell.datagen.pipeline import finalise as finish

    manifest = finish(path)
    rows = {name: layout.rows for name, layout in manifest.plan.splits.items()}
    if as_json:
        echo_json({"path": str(path), "digest": manifest.digest, "rows": rows})
    else:
        click.echo(
            f"{path}: {' + '.join(f'{n:,}' for n in rows.values())} rows, version {manifest.digest[:12]}"
        )


@cli.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--potential", default="potential", show_default=True, help="Name of the potentials in the file."
)
@click.option("--energy", default="energy", show_default=True, help="Name of the energies, if there are any.")
@click.option("--levels", type=int, default=10, show_default=True, help="Energies to solve for.")
@click.option("--solver", default="scipy", show_default=True, help="scipy or lanes.")
@click.option(
    "--dtype", default="float32", show_default=True, help="Of stored potentials: float32 or float64."
)
@click.option("--validation", type=int, default=0, show_default=True, help="Rows drawn for validation.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of that choice.")
@click.option("--resume", is_flag=True, help="Continue an interrupted import.")
@click.option("--force", is_flag=True, help="Replace an existing data set (kept until the new one is whole).")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where.  [default: store/<name of the file>.zarr]"
)
@as_json
def import_(
    source: Path, potential: str, energy: str, out: Path | None, as_json: bool, **options: Any
) -> None:
    """Bring your own potentials, one a row, from .npz, .npy, .csv or HDF5.

    They are values on equally spaced points from wall to wall, in ħ²/(m·length²) with length half the box.
    Energies that come with them are kept; else they are solved for.
    """
    from qwell.datagen.recipes.imported import import_spectra
    from qwell.store.tables import read_arrays

    arrays = read_arrays(source, {"potential": potential, "energy": energy})
    path = out or Path("store") / f"{source.stem}.zarr"
    with progress_bar(len(arrays["potential"]), quiet=as_json) as bar:
        manifest = import_spectra(
            arrays["potential"],
            path,
            arrays.get("energy"),
            source=source.name,
            progress=bar.update,
            **options,
        )
    rows = {name: layout.rows for name, layout in manifest.plan.splits.items()}
    if as_json:
        echo_json({"path": str(path), "digest": manifest.digest, "rows": rows})
    else:
        energies = "as given" if "energy" in arrays else f"by {options['solver']}"
        click.echo(
            f"{path}: {' + '.join(f'{n:,}' for n in rows.values())} rows, energies {energies},"
            f" version {manifest.digest[:12]}"
        )


@cli.command()
@click.argument("path")
@click.option("--split", help="[default: the first that has rows]")
@click.option(
    "--rows", metavar="A:B", help="Which rows; at most six are drawn, three of trajectories.  [default: 0:…]"
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="PNG, SVG or PDF.  [default: <name>-samples.png]"
)
def plot(path: str, split: str | None, rows: str | None, out: Path | None) -> None:
    """Draw a page of samples: potentials with levels or densities, or wave packets in space and time."""
    from qwell.errors import DatasetKindError
    from qwell.store.reader import open_dataset

    data = open_dataset(path)
    pages = {"spectra": _spectra_page, "trajectories": _trajectories_page, "densities": _densities_page}
    if data.kind not in pages:
        raise DatasetKindError(f"{path} holds {data.kind}; {' and '.join(pages)} can be drawn")
    most = 6 if data.kind == "spectra" else 3
    split = split or next((name for name in data.splits if len(data[name])), "train")
    asked = parse_range(rows or f"0:{min(most, len(data[split]))}", len(data[split]))
    chosen = slice(asked.start, min(asked.stop, asked.start + most))
    figure = pages[data.kind](data, split, chosen)
    out = out or Path(f"{data.stem}-samples.png")
    save_figure(figure, out)
    click.echo(f"{out}")


def _spectra_page(data: Any, split: str, chosen: slice) -> Any:
    from qwell.figures.samples import sample_page

    part, recipe = data[split], data.recipe
    title = (
        f"{recipe['kernel']}, σ = {recipe['sigma']:g}, L = {recipe['length']:g}"
        if "kernel" in recipe
        else (str(recipe.get("recipe", data.kind)))
    )
    return sample_page(
        data.coordinates["x"],
        part["potential"][chosen],
        part["energy"][chosen],
        part["density"][chosen] if "density" in part.fields else None,
        [f"{split} {i}" for i in range(chosen.start, chosen.stop)],
        f"{data.name}: {title}",
    )


def _densities_page(data: Any, split: str, chosen: slice) -> Any:
    from qwell.figures.samples import densities_page

    rows = {name: data[split][name][chosen] for name in ("potential", "density")}
    x = [data.coordinates["cell"][i] for i in range(rows["potential"].shape[1])]
    title = f"{data.stem} {split}, version {data.digest[:12]}"
    return densities_page(x, rows["potential"], rows["density"], title)


def _trajectories_page(data: Any, split: str, chosen: slice) -> Any:
    from qwell.figures.spacetime import trajectories_page
    from qwell.physics.propagators.settings import energy, setting_of
    from qwell.physics.waves import as_complex

    part, (ring, how) = data[split], setting_of(data.recipe)
    potential = part["potential"][chosen]
    psi = as_complex(part["psi"][chosen])
    numbers = zip(*(part[name][chosen] for name in ("x0", "s0", "e0", "height", "width")), strict=True)
    return trajectories_page(
        data.coordinates["x"],
        data.coordinates["time"],
        psi,
        potential,
        energy(psi, potential[:, None], ring, how.hamiltonian),
        [
            f"{split} {chosen.start + i}: X0 {x0:.3g}, S0 {s0:.3g}, E0 {e0:.3g}, V {h:.3g} over {w:.3g}"
            for i, (x0, s0, e0, h, w) in enumerate(numbers)
        ],
        f"{data.name}: {how.method}, {how.hamiltonian} Hamiltonian",
    )


def save_figure(figure: Any, path: Path) -> None:
    """Save a figure; the suffix decides the format."""
    from qwell.errors import InvalidInput, WriteError
    from qwell.figures.canvas import save

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(figure, path)
    except ValueError as error:
        raise InvalidInput(f"cannot draw {path}: {error}") from error
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror}; choose another --out") from error


for _command in (*COMMANDS, *SIMULATING, *DENSITIES):
    cli.add_command(_command)


def main() -> None:
    """Entry point of `qdata`."""
    run(cli, "qdata")


if __name__ == "__main__":
    main()
