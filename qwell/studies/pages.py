"""Pages and films of samples, straight from a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from qwell.errors import DatasetKindError, InvalidInput, WriteError
from qwell.figures.canvas import check_format, save
from qwell.figures.driven import driven_page
from qwell.figures.samples import densities_page, sample_page
from qwell.figures.spacetime import film, trajectories_page
from qwell.figures.windows import windows_figure
from qwell.physics.propagators.settings import energy, setting_of
from qwell.physics.waves import as_complex
from qwell.store.dataset import Dataset
from qwell.store.driven import EVERY, is_driven, potentials_of, touched_of
from qwell.store.windows import Curriculum
from qwell.studies.finding import check_index

MOST = {"spectra": 6, "trajectories": 3, "densities": 3}  # samples on a page


def shown_split(data: Dataset) -> str:
    """The first split that has rows."""
    return next((name for name in data.splits if len(data[name])), "train")


def page(data: Dataset, split: str, rows: slice) -> Figure:
    """Draw the first of some rows: potentials with levels or densities, or wave packets in space and time.

    Arguments:
        rows: at most `MOST` of them are drawn.

    Raises DatasetKindError for data of which there are no pages.
    """
    pages = {"spectra": _spectra, "trajectories": _trajectories, "densities": _densities}
    if data.kind not in pages:
        raise DatasetKindError(f"{data.path} holds {data.kind}; {' and '.join(pages)} can be drawn")
    return pages[data.kind](data, split, slice(rows.start, min(rows.stop, rows.start + MOST[data.kind])))


def film_of(
    data: Dataset, split: str, path: Path | None = None, row: int = 0, every: int = 5, fps: int = 25
) -> Path:
    """Film one simulation, and return the path of the film.

    Arguments:
        data: trajectories.
        path: of the GIF or MP4; by default the data set's name and the row, a GIF.
        row: which simulation.
        every: frames of the data a picture.
        fps: pictures a second.

    Raises InvalidInput for a row that is not there, or numbers below 1; and as `film` does.
    """
    part = data.require("trajectories")[split]
    if not 0 <= row < len(part) or every < 1 or fps < 1:
        raise InvalidInput(f"row is {row}; {data.path} has rows 0 to {len(part) - 1} of {split}")
    psi = as_complex(part["psi"][row][::every])
    potential = (
        potentials_of(data, split, slice(row, row + 1))[0] if is_driven(data) else part["potential"][row]
    )
    potential = potential[::every] if potential.ndim == 2 else potential
    times = data.coordinates["time"][::every]
    path = path or Path(f"{data.stem}-{row}.gif")
    film(data.coordinates["x"], times, psi, potential, f"{data.name}: {split} {row}", path, fps)
    return path


def windows_of(data: Dataset, split: str, curriculum: Curriculum, row: int = 0) -> Figure:
    """Draw which windows of one simulation a network learns from (dynamics paper, Figs. S1 and S2).

    Arguments:
        data, split: trajectories.
        curriculum: which windows.
        row: which simulation.

    Raises InvalidInput for a row that is not there.
    """
    check_index(row, data.require("trajectories"), split)
    part, c = data[split], curriculum
    psi, one = as_complex(part["psi"][row]), slice(row, row + 1)
    potential, touched = (f(data, split, one)[0] for f in (potentials_of, touched_of))
    chosen = c.choose(split, row, touched, len(psi))
    return windows_figure(
        data.coordinates["x"],
        data.coordinates["time"],
        psi,
        np.broadcast_to(potential, psi.shape),
        np.random.default_rng(c.seed).permutation(chosen),
        np.broadcast_to(c.touches(touched), psi.shape),
        (c.history, c.width),
        c.v_scale,
        f"{data.stem} {split} {row}: windows of {c.history} + 1 frames × {c.width} points",
    )


def save_figure(figure: Figure, path: Path) -> None:
    """Save a figure; the suffix decides the format.

    Raises InvalidInput for an unknown suffix, WriteError if the disk refuses.
    """
    check_format(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(figure, path)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror}; choose another --out") from error


def _spectra(data: Dataset, split: str, rows: slice) -> Figure:
    part, recipe = data[split], data.origin
    title = (
        f"{recipe['kernel']}, σ = {recipe['sigma']:g}, L = {recipe['length']:g}"
        if "kernel" in recipe
        else (str(recipe.get("recipe", data.kind)))
    )
    return sample_page(
        data.coordinates["x"],
        part["potential"][rows],
        part["energy"][rows],
        part["density"][rows] if "density" in part.fields else None,
        [f"{split} {i}" for i in range(rows.start, rows.stop)],
        f"{data.name}: {title}",
    )


def _densities(data: Dataset, split: str, rows: slice) -> Figure:
    chosen = {name: data[split][name][rows] for name in ("potential", "density")}
    x = [data.coordinates["cell"][i] for i in range(chosen["potential"].shape[1])]
    title = f"{data.stem} {split}, version {data.digest[:12]}"
    return densities_page(x, chosen["potential"], chosen["density"], title)


def _trajectories(data: Dataset, split: str, rows: slice) -> Figure:
    part, (ring, how) = data[split], setting_of(data.origin)
    if data.origin.get("recipe") == "driven":
        return _driven(data, split, rows)
    potential = part["potential"][rows]
    psi = as_complex(part["psi"][rows])
    numbers = zip(*(part[name][rows] for name in ("x0", "s0", "e0", "height", "width")), strict=True)
    return trajectories_page(
        data.coordinates["x"],
        data.coordinates["time"],
        psi,
        potential,
        energy(psi, potential[:, None], ring, how.hamiltonian),
        [
            f"{split} {rows.start + i}: X0 {x0:.3g}, S0 {s0:.3g}, E0 {e0:.3g}, V {h:.3g} over {w:.3g}"
            for i, (x0, s0, e0, h, w) in enumerate(numbers)
        ],
        f"{data.name}: {how.method}, {how.hamiltonian} Hamiltonian",
    )


def _driven(data: Dataset, split: str, rows: slice) -> Figure:
    part, (_, how) = data[split], setting_of(data.origin)
    fields = {name: part[name][rows] for name in part.fields if name not in ("psi", EVERY)}
    density = np.abs(as_complex(part["psi"][rows])) ** 2 if "psi" in part.fields else None
    return driven_page(
        data.coordinates,
        fields,
        density,
        [f"{split} {i}" for i in range(rows.start, rows.stop)],
        f"{data.name}: {how.method}, {how.hamiltonian} Hamiltonian",
        f"{field.long_name}  [{field.units}]" if (field := part.fields.get("drive")) else "",
    )
