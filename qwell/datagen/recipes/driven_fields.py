"""What is stored of driven trajectories: the arrays, their axes, and the numbers of the drives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qwell.physics.drives import ENVELOPES, SIGNALS, Drive, Term
from qwell.physics.observables import PER_FRAME, frequencies
from qwell.physics.propagators.settings import Propagation
from qwell.physics.ring import Ring
from qwell.physics.waves import PARTS
from qwell.store.driven import EVERY
from qwell.store.schema import Coordinate, Field

KEEP = ("psi", "observables", "potential")
LENGTH, ENERGY, TIME, RATE = "bohr", "hartree", "hbar/hartree", "hartree/hbar"
UNITS = {
    "frequency": RATE, "rate": "hartree^2/hbar^2", "phase": "1",
    "start": TIME, "duration": TIME, "step": TIME,
    "from": LENGTH, "to": LENGTH, "width": LENGTH, "period": LENGTH, "height": ENERGY,
    "envelope": f"0-{len(ENVELOPES) - 1}",
}  # fmt: skip


def name_of(place: int, number: str = "") -> str:
    """drive, drive_2 … for the terms of a drive; drive_amplitude, drive_2_amplitude … for their numbers."""
    return "_".join(["drive", *([str(place + 1)] if place else []), *([number] if number else [])])


def _numbers(term: Term) -> dict[str, float]:
    """The numbers of a term, with what counts for the duration; the envelope as its place in ENVELOPES."""
    n = {
        k: v for k, v in term.complete.items() if type(v) in (int, float) and k not in ("cycles", "duration")
    }
    if "envelope" in term.complete:
        n["envelope"] = list(ENVELOPES).index(term.complete["envelope"])
    if np.isfinite(term.duration):
        n["duration"] = term.duration
    return n


def _terms(drives: Sequence[Drive]) -> list[list[Term]]:
    """First terms, second terms … of drives."""
    count = max((len(d.terms) for d in drives), default=0)
    return [[d.terms[i] for d in drives if i < len(d.terms)] for i in range(count)]


def numbers_of(known: Sequence[Drive], drives: Sequence[Drive]) -> dict[str, np.ndarray]:
    """The numbers of drives as arrays (n,), of all names that the known ones have; 0 where one has none."""
    out = {}
    for i, terms in enumerate(_terms(known)):
        for number in sorted(set().union(*map(_numbers, terms))):
            values = [_numbers(d.terms[i]).get(number, 0.0) if i < len(d.terms) else 0.0 for d in drives]
            out[name_of(i, number)] = np.array(values, dtype=float)
    return out


def signals_of(known: Sequence[Drive], drives: Sequence[Drive], times: np.ndarray) -> dict[str, np.ndarray]:
    """E(t), a(t) or the centre of each term, (n, T); 0 where there is none."""
    out = {}
    for i, terms in enumerate(_terms(known)):
        if any(term.kind in SIGNALS for term in terms):
            rows = [d.terms[i].signal(times) if i < len(d.terms) else None for d in drives]
            out[name_of(i)] = np.array([np.zeros(len(times)) if row is None else row for row in rows])
    return out


def _drive_fields(drives: Sequence[Drive], frames: int) -> list[Field]:
    out = []
    for i, terms in enumerate(_terms(drives)):
        kinds = [SIGNALS[term.kind] for term in terms if term.kind in SIGNALS]
        unit, word = kinds[0] if kinds else ("1", "signal")
        if kinds:
            out.append(Field(name_of(i), ("time",), (frames,), "float64", unit, f"{word} of term {i + 1}"))
        for number in sorted(set().union(*map(_numbers, terms))):
            units = unit if number == "amplitude" else UNITS.get(number, "1")
            long = f"{number} of term {i + 1} of the drive"
            out.append(Field(name_of(i, number), (), (), "float64", units, long))
    return out


def fields_of(
    ring: Ring, how: Propagation, dtype: str, keep: Sequence[str], levels: int, drives: Sequence[Drive]
) -> tuple[Field, ...]:
    """The arrays of each split."""
    n, frames = ring.points, how.frames + 1
    numbers = (
        ("x0", LENGTH, "mean position X0 of the packet"),
        ("s0", LENGTH, "standard deviation S0 of the packet's density"),
        ("e0", ENERGY, "kinetic energy E0 of the packet's mean momentum"),
        ("height", ENERGY, "value of the potential that is largest in size, without the drive"),
        ("width", LENGTH, "length over which the potential is not zero, without the drive"),
        ("norm_drift", "1", "largest |norm - 1|, or with open ends largest rise of the norm over a frame"),
        ("error", "1", "estimate of the error of the last frame, L2 norm"),
        ("edge_momentum", "1", "largest share of momenta beyond 0.9 of the largest of the mesh"),
    )
    out = [Field("potential", ("x",), (n,), "float64", ENERGY, "potential V(x) without the drive")]
    if "psi" in keep:
        shape = (frames, n, PARTS)
        wave = Field("psi", ("time", "x", "part"), shape, dtype, "bohr^-1/2", "wave function, Re and Im")
        out.insert(0, wave)
    if "potential" in keep:
        out.append(Field(EVERY, ("time", "x"), (frames, n), dtype, ENERGY, "potential V(x, t)"))
    out += [Field(name, (), (), "float64", units, long) for name, units, long in numbers]
    out += _drive_fields(drives, frames)
    if "observables" in keep:
        out += [Field(k, ("time",), (frames,), "float64", u, long) for k, (u, long) in PER_FRAME.items()]
        bins = frames // 2 + 1
        power = "bohr^2 hbar^2/hartree^2"
        out.append(Field("spectrum", ("frequency",), (bins,), "float64", power, "spectrum of the dipole"))
        if levels:
            about = "population of the eigenstates of T + V(x)"
            out.append(Field("population", ("time", "level"), (frames, levels), "float64", "1", about))
    return tuple(out)


def coordinates_of(times: np.ndarray, dt: float, keep: Sequence[str], levels: int) -> tuple[Coordinate, ...]:
    """The axes that driven trajectories have besides."""
    if "observables" not in keep:
        return ()
    omega = tuple(frequencies(len(times), dt).tolist())
    axes = [Coordinate("frequency", omega, RATE, "angular frequency")]
    if levels:
        axes.append(Coordinate("level", tuple(map(float, range(levels))), "1", "level, from 0"))
    return tuple(axes)


def height_and_width(potential: np.ndarray, ring: Ring) -> tuple[np.ndarray, np.ndarray]:
    """The largest value in size, and the length over which potentials (n, N) are not zero, (n,) each."""
    place = np.abs(potential).argmax(axis=1)[:, None]
    return np.take_along_axis(potential, place, 1)[:, 0], (potential != 0).sum(axis=1) * ring.dx
