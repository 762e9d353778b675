"""Samples: rows of the data sets that were opened, which rows are in a range, histograms, cards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qwell.errors import InvalidInput, shown, unknown
from qwell.explore.asked import Asked, integer, number, text
from qwell.explore.opened import Opened
from qwell.physics.propagators.settings import energy, setting_of
from qwell.physics.waves import as_complex
from qwell.store.card import markdown, summary
from qwell.store.dataset import Dataset, Split

MOST_ROWS = 20_000  # of which quantities are computed: what a person waits for
BLOCK = 1000  # rows that are read at once
MOST_NUMBERS = 4_000_000  # of one row that are sent; longer trajectories are thinned in time
BINS = 60
PACKET = ("x0", "s0", "e0", "height", "width")
Quantity = Callable[..., np.ndarray]
Reply = tuple[dict[str, Any], dict[str, np.ndarray]]


def about(opened: Opened, asked: Asked) -> Reply:
    """Kind, rows, coordinates and card of a data set, and the quantities that its rows can be chosen by."""
    data = opened.dataset(text(asked, "data"))
    head = {
        "name": data.name,
        "path": shown(str(data.path)),
        "kind": data.kind,
        "digest": data.digest,
        "rows": {name: len(split) for name, split in data.splits.items()},
        "recipe": data.recipe,
        "summary": summary(data),
        "card": markdown(data),
        "units": {c.name: c.units for c in data.plan.coordinates}
        | {f.name: f.units for f in data.plan.fields},
        "quantities": list(_quantities(data)),
    }
    coordinates = {name: np.asarray(values, float) for name, values in data.coordinates.items()}
    return head, coordinates


def row(opened: Opened, asked: Asked) -> Reply:
    """One row: potential, energies, and densities if there are any; or a trajectory with norm and energy."""
    data = opened.dataset(text(asked, "data"))
    part = _split(data, asked)
    at = integer(asked, "row", 0, len(part) - 1)
    if data.kind != "trajectories":
        arrays = {
            str(name): np.asarray(part[name][at]) for name in ("potential", "density") if name in part.fields
        }
        return {"energy": np.asarray(part["energy"][at]).tolist()} if "energy" in part.fields else {}, arrays
    psi, v = np.asarray(part["psi"][at]), np.asarray(part["potential"][at], float)
    every = max(1, -(-psi.size // MOST_NUMBERS))
    psi, times = psi[::every], data.coordinates["time"][::every]
    ring, how = setting_of(data.origin)
    waves = as_complex(psi)
    norm = (np.abs(waves) ** 2).sum(axis=-1) * ring.dx
    head = {name: float(part[name][at]) for name in PACKET if name in part.fields}
    found = {"psi": psi, "potential": v, "time": times, "norm": norm}
    found["mean_energy"] = energy(waves, v[None], ring, how.hamiltonian)
    return head, found


def chosen(opened: Opened, asked: Asked) -> Reply:
    """Numbers of the rows whose `quantity` is from `low` to `high`, among the first `MOST_ROWS`."""
    data = opened.dataset(text(asked, "data"))
    known, name = _quantities(data), text(asked, "quantity")
    if name not in known:
        raise InvalidInput(unknown("quantity", name[:100], known))
    part = _split(data, asked)
    looked = min(len(part), MOST_ROWS)
    value = _in_blocks(known[name], part, looked)
    low, high = number(asked, "low", -1e30, 1e30), number(asked, "high", -1e30, 1e30)
    rows = np.flatnonzero((value >= low) & (value <= high))
    limits = {"least": float(value.min()), "most": float(value.max())} if looked else {}
    return {"rows": rows.tolist(), "count": len(rows), "looked": looked, **limits}, {}


def histogram(opened: Opened, asked: Asked) -> Reply:
    """How the levels of the first `MOST_ROWS` rows lie: `counts` (levels, bins), `edges` (bins + 1)."""
    data = opened.dataset(text(asked, "data")).require("spectra")
    part = _split(data, asked)
    looked = min(len(part), MOST_ROWS)
    energies = np.asarray(part["energy"][:looked])
    edges = np.histogram_bin_edges(energies, BINS)
    counts = np.array([np.histogram(level, edges)[0] for level in energies.T])
    return {"looked": looked, "of": len(part)}, {"counts": counts, "edges": edges}


def _split(data: Dataset, asked: Asked) -> Split:
    """The split that is asked for; InvalidInput if it has no rows."""
    part = data[text(asked, "split")]
    if not len(part):
        raise InvalidInput(f"{data.path} has no rows in {part.name}; choose another split")
    return part


def _in_blocks(quantity: Quantity, part: Split, looked: int) -> np.ndarray:
    """A quantity of the first rows, of which only a block is held at a time."""
    blocks = (slice(start, min(start + BLOCK, looked)) for start in range(0, looked, BLOCK))
    return np.concatenate([np.zeros(0), *(np.asarray(quantity(part, block), float) for block in blocks)])


def _quantities(data: Dataset) -> dict[str, Quantity]:
    """Name → function of a split and a slice of its rows, one value a row."""
    if data.kind == "trajectories":
        known = next(iter(data.splits.values())).fields
        return {name: lambda part, rows, name=name: part[name][rows] for name in PACKET if name in known}
    found: dict[str, Quantity] = {
        "least V": lambda part, rows: part["potential"][rows].min(axis=1),
        "greatest V": lambda part, rows: part["potential"][rows].max(axis=1),
        "mean V": lambda part, rows: part["potential"][rows].mean(axis=1),
    }
    if data.kind == "spectra":
        levels = range(len(data.coordinates["level"]))
        found |= {f"E{i}": lambda part, rows, i=i: part["energy"][rows, i] for i in levels}
    return found
