"""`qdata densities`: potentials and the densities they make."""

from __future__ import annotations

from typing import Any

import click

from qwell.cli.making import Making, make, making_options


@click.command()
@click.option("--n", type=int, default=4096, show_default=True, help="Rows to train on.")
@click.option("--validation", type=int, default=512, show_default=True)
@click.option("--test", type=int, default=512, show_default=True)
@click.option("--potential", default="cosines", show_default=True, help="cosines, rbf, m5, m3 or exp.")
@click.option("--length", type=float, default=1.0, show_default=True, help="Correlation length of kernels.")
@click.option("--cells", type=int, default=60, show_default=True)
@click.option("--cell", type=float, default=0.1, show_default=True, help="Length of a cell.")
@click.option("--energy", type=float, default=4.0, show_default=True, help="E, units 2m/ħ² = 1.")
@click.option("--slope", type=float, default=0.0, show_default=True, help="ψ'(0); ψ(0) is 1.")
@click.option("--current", type=float, default=0.0, show_default=True, help="Its imaginary part.")
@click.option("--noise", type=float, default=0.0, show_default=True, help="Relative, on every density.")
@click.option("--seed", type=int, default=0, show_default=True)
@making_options("store/densities.zarr", 20_000, 1000)
def densities(making: Making, **options: Any) -> None:
    """Random potentials in cells, and the density of the wave that starts at their left end."""
    from qwell.datagen.recipes.densities import DensitiesRecipe

    make(DensitiesRecipe(**options), making)


COMMANDS = (densities,)
