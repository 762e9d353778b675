"""Potentials that change with time: V(x, t) = V(x) + what the terms of a drive add, in atomic units.

    dipole    amplitude frequency phase …        −E(t) (x − L/2),  E = A e(t) cos(ω t + φ)
    chirp     amplitude frequency rate phase …   −E(t) (x − L/2),  E = A e(t) cos(ω t + ½ r t² + φ)
    shake     amplitude frequency phase …        V(x − a(t)) for V(x), a = A e(t) cos(ω t + φ)
    move      from to start duration shape …     a shape of `barriers.py` whose centre goes from → to,
                                                 x(s) = from + (to − from) (10 s³ − 15 s⁴ + 6 s⁵)
    formula   v                                  v(x, t), a formula
    file      values step                        rows of V at t = 0, step, 2 step …; cubic splines between

… are those of the envelope e(t), with s = (t − start)/duration; `cycles` may be given for the duration, in
units of 2π/ω:

    none      1, at all times
    sin2      sin²(π s) for 0 ≤ s ≤ 1, else 0
    gaussian  exp(−32 (s − ½)²), standard deviation duration/8; at all times
    flat      1 between flanks sin²(2π s) over a quarter of the duration each, 0 outside
    sech      1/cosh(8 (s − ½)); at all times
    double    two sin² pulses one after the other, each over half of the duration

E is an electric field that acts on a charge of 1; the ring has its seam, where x − L/2 jumps, at x = 0: what
is to feel a dipole's field must stay away from there. `shake` moves V by its Fourier series, exactly for
whatever the mesh resolves: sharp edges ring.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from qwell.errors import InvalidInput, unknown
from qwell.physics.barriers import SHAPES, Potential
from qwell.physics.formula import Formula
from qwell.physics.ring import Ring


def _within(s: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.where((s >= 0) & (s <= 1), values, 0.0)


def _flat(s: np.ndarray) -> np.ndarray:
    edge = np.clip(np.minimum(s, 1 - s) * 4, 0.0, 1.0)
    flank: np.ndarray = np.sin(np.pi / 2 * edge) ** 2
    return flank


ENVELOPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": np.ones_like,
    "sin2": lambda s: _within(s, np.sin(np.pi * s) ** 2),
    "gaussian": lambda s: np.exp(-32 * (s - 0.5) ** 2),
    "flat": _flat,
    "sech": lambda s: 1 / np.cosh(np.minimum(np.abs(8 * (s - 0.5)), 700.0)),
    "double": lambda s: _within(s, np.sin(2 * np.pi * s) ** 2),
}
# Where along an envelope or path, as s, its second or third derivative jumps; elsewhere it is analytic.
_JOINTS = {"sin2": (0.0, 1.0), "double": (0.0, 0.5, 1.0), "flat": (0.0, 0.25, 0.75, 1.0), "path": (0.0, 1.0)}
_PULSE: dict[str, Any] = {"phase": 0.0, "envelope": "none", "start": 0.0, "duration": None, "cycles": None}
# Kind → its numbers with their defaults; ... must be given. Of `move` those of the shape come in addition.
KINDS: dict[str, dict[str, Any]] = {
    "dipole": {"amplitude": ..., "frequency": ..., **_PULSE},
    "chirp": {"amplitude": ..., "frequency": ..., "rate": ..., **_PULSE},
    "shake": {"amplitude": ..., "frequency": ..., **_PULSE},
    "move": {"from": ..., "to": ..., "start": 0.0, "duration": ..., "shape": "gaussian"},
    "formula": {"v": ...},
    "file": {"values": ..., "step": ...},
}
FIELDS = ("dipole", "chirp")  # kinds that are a field E(t)
WORDS = ("envelope", "shape", "v")  # numbers that are none
SIGNALS = {
    "dipole": ("hartree/bohr", "field E(t)"),
    "chirp": ("hartree/bohr", "field E(t)"),
    "shake": ("bohr", "displacement a(t) of the potential"),
    "move": ("bohr", "centre of the moving shape"),
}
MOST_VALUES = 2**20  # of a file: the recipe of a data set holds them


@dataclass(frozen=True)
class Term:
    """One term of a drive, as above: Term("dipole", {"amplitude": 2, "frequency": 1.5}).

    Arguments:
        kind: of KINDS.
        numbers: its numbers, and the words `envelope`, `shape` and `v`.

    Raises InvalidInput for an unknown kind, or numbers that are missing, unknown or out of range.
    """

    kind: str
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in self.numbers.items()}
        object.__setattr__(self, "numbers", plain)
        if self.kind not in KINDS:
            raise InvalidInput(unknown("drive", self.kind, KINDS))
        known = KINDS[self.kind]
        for name in self.numbers:
            if name not in known and (self.kind != "move" or name == "centre"):
                raise InvalidInput(f"{self.kind}: {unknown('number', name, known)}")
        if missing := [name for name, value in known.items() if value is ... and name not in self.numbers]:
            raise InvalidInput(
                f"{self.kind} needs {' and '.join(missing)} as well: write"
                f" {':'.join([self.kind, *(f'{n}=…' for n, v in known.items() if v is ...)])}"
            )
        for name, value in self.numbers.items():
            if name not in (*WORDS, "values") and not _is_number(value):
                raise InvalidInput(f"{name} of drive {self.kind!r} is {value!r}; expected a finite number")
            if name in WORDS and not isinstance(value, str):
                raise InvalidInput(f"{name} of drive {self.kind!r} is {str(value)[:80]}; expected a word")
        self._check()

    def _check(self) -> None:
        """Raise InvalidInput for numbers that are out of range or do not go together."""
        n = self.complete
        if self.kind == "formula":
            self._formula  # noqa: B018  (parsed, so that its errors come now)
        elif self.kind == "file":
            self._splines  # noqa: B018
        elif self.kind == "move":
            if n["shape"] not in SHAPES:
                raise InvalidInput(unknown("shape", n["shape"], SHAPES))
        elif n["envelope"] not in ENVELOPES:
            raise InvalidInput(unknown("envelope", n["envelope"], ENVELOPES))
        elif n["envelope"] == "none" and self.numbers.keys() & {"start", "duration", "cycles"}:
            raise InvalidInput("start, duration and cycles belong to an envelope; write envelope=sin2, say")
        elif n["envelope"] != "none" and (n["duration"] is None) == (n["cycles"] is None):
            raise InvalidInput(f"the envelope {n['envelope']} needs duration=… or cycles=…, one of them")
        if n.get("cycles") is not None and not n["frequency"]:
            raise InvalidInput("cycles are of the frequency, which is 0; give duration=… instead")
        for name in ("duration", "cycles", "step"):
            if n.get(name) is not None and n[name] <= 0:
                raise InvalidInput(f"{name} of drive {self.kind!r} is {n[name]}; it must be positive")
        if n.get("cycles") is not None and not 0 < self.duration < math.inf:
            raise InvalidInput(
                f"{n['cycles']} cycles of the frequency {n['frequency']} are no time that can be"
            )

    @property
    def complete(self) -> dict[str, Any]:
        """All numbers, defaults included."""
        return {**KINDS[self.kind], **self.numbers}

    @property
    def duration(self) -> float:
        """Of the envelope or path; infinite if there is none."""
        n = self.complete
        if n.get("cycles") is not None:
            return float(n["cycles"] * 2 * math.pi / abs(n["frequency"]))
        return math.inf if n.get("duration") is None else float(n["duration"])

    @property
    def shortest(self) -> float:
        """The time over which it changes, about; 0 for formulas and files, of which that is not known."""
        n = self.complete
        if self.kind in ("formula", "file"):
            return 0.0
        latest = min(max(abs(n.get("start", 0.0)), abs(n.get("start", 0.0) + self.duration)), 1e3)
        last = abs(n.get("rate", 0.0)) * latest
        fastest = abs(n.get("frequency", 0.0)) + last
        return min(self.duration / 8, 1 / fastest if fastest else math.inf)

    @property
    def joints(self) -> tuple[float, ...]:
        """Times at which it is less smooth than elsewhere, as far as that is known."""
        n = self.complete
        where = _JOINTS.get("path" if self.kind == "move" else n.get("envelope", ""), ())
        return tuple(n["start"] + s * self.duration for s in where)

    @cached_property
    def _formula(self) -> Formula:
        return Formula(str(self.numbers["v"]), ("x", "t"), "drive", "0.1*(x-50)*cos(2*t)")

    @cached_property
    def _splines(self) -> CubicSpline:
        try:
            rows = np.array(self.numbers["values"], dtype=float)
        except (TypeError, ValueError) as error:
            raise InvalidInput("the values of a drive are no table of numbers, time × x") from error
        if rows.ndim != 2 or len(rows) < 2 or not np.isfinite(rows).all() or rows.size > MOST_VALUES:
            raise InvalidInput(
                f"the values of a drive have shape {rows.shape}; expected finite numbers, at least two rows"
                f" (times) of one number a point, at most {MOST_VALUES:,} in all"
            )
        return CubicSpline(np.arange(len(rows)) * self.complete["step"], rows, axis=0)

    def signal(self, times: Float[np.ndarray, "times"]) -> Float[np.ndarray, "times"] | None:
        """E(t), a(t) or the centre at these times, (T,); None of formulas and files."""
        if self.kind in ("formula", "file"):
            return None
        n = self.complete
        s = (times - n["start"]) / self.duration
        if self.kind == "move":
            s = np.clip(s, 0.0, 1.0)
            path: np.ndarray = n["from"] + (n["to"] - n["from"]) * s**3 * (10 - 15 * s + 6 * s**2)
            return path
        phase = n["frequency"] * times + n.get("rate", 0.0) * times**2 / 2 + n["phase"]
        signal: np.ndarray = n["amplitude"] * ENVELOPES[n["envelope"]](s) * np.cos(phase)
        return signal

    def added(self, ring: Ring, times: Float[np.ndarray, "times"]) -> Float[np.ndarray, "#times #points"]:
        """What it adds to V, (T, N) or what broadcasts to it; nothing of `shake`, which moves what is there.

        Raises InvalidInput for values that are not finite, or times that a file does not reach.
        """
        signal = self.signal(times)
        if self.kind in FIELDS:
            assert signal is not None
            return -signal[:, None] * (ring.x - ring.box / 2)
        if self.kind == "move":
            assert signal is not None
            numbers = {k: v for k, v in self.numbers.items() if k not in KINDS["move"]}
            shape = self.complete["shape"]
            return np.array([Potential(shape, {**numbers, "centre": float(c)}).on(ring) for c in signal])
        if self.kind == "formula":
            made = np.asarray(self._formula(x=ring.x, t=times[:, None]), dtype=float)
            if not np.isfinite(made).all():
                raise self._formula.refused("it is not finite everywhere")
            return np.broadcast_to(made, (len(times), ring.points))
        if self.kind == "file":
            last = self._splines.x[-1]
            if times.max(initial=0.0) > last * (1 + 1e-12) or self._splines.c.shape[-1] != ring.points:
                raise InvalidInput(
                    f"the drive's file holds {self._splines.c.shape[-1]} points up to t = {last:g}; asked are"
                    f" {ring.points} points up to t = {times.max():g}"
                )
            rows: np.ndarray = self._splines(times)
            return rows
        return np.zeros((1, 1))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, flat; `from_json` is the inverse."""
        return {"kind": self.kind, **self.numbers}

    @classmethod
    def from_json(cls, obj: Any) -> Term:
        """Build from untrusted JSON; InvalidInput on anything else."""
        if not isinstance(obj, Mapping) or not isinstance(obj.get("kind"), str):
            raise InvalidInput(f"not a term of a drive: {str(obj)[:80]}; expected an object with a kind")
        return cls(obj["kind"], {k: v for k, v in obj.items() if k != "kind"})


@dataclass(frozen=True)
class Drive:
    """A sum of terms; none leave V as it is.

    Arguments:
        terms: see `Term`.
    """

    terms: tuple[Term, ...] = ()

    def on(
        self, ring: Ring, potential: Float[np.ndarray, "points"], times: Float[np.ndarray, "times"]
    ) -> Float[np.ndarray, "times points"]:
        """V(x, t) on the ring at these times, (T, N) float64.

        Arguments:
            ring: the box.
            potential: V(x) without the drive, (N,) Hartree.
            times: (T,), ħ/Hartree.
        """
        v = np.empty((len(times), ring.points))
        v[:] = self._shaken(ring, potential, times)
        for term in self.terms:
            if term.kind != "shake":
                v += term.added(ring, times)
        return v

    def _shaken(self, ring: Ring, potential: np.ndarray, times: np.ndarray) -> np.ndarray:
        shifts = [term.signal(times) for term in self.terms if term.kind == "shake"]
        if not shifts:
            return potential
        k = 2 * np.pi * np.fft.rfftfreq(ring.points, ring.dx)
        moved = np.fft.rfft(potential) * np.exp(-1j * np.multiply.outer(sum(shifts), k))  # type: ignore[arg-type]
        return np.fft.irfft(moved, ring.points)

    def signals(self, times: Float[np.ndarray, "times"]) -> Float[np.ndarray, "times terms"]:
        """E(t), a(t) or the centre of each term that has one, (T, terms)."""
        found = [s for term in self.terms if (s := term.signal(times)) is not None]
        return np.stack(found, axis=1) if found else np.empty((len(times), 0))

    @property
    def is_field(self) -> bool:
        """Whether it is a field E(t) alone, so that V(x, t) = V(x) − E(t) (x − L/2)."""
        return bool(self.terms) and all(term.kind in FIELDS for term in self.terms)

    @property
    def shortest(self) -> float:
        """The time over which it changes, about; 0 if that is not known."""
        return min((term.shortest for term in self.terms), default=math.inf)

    @property
    def joints(self) -> tuple[float, ...]:
        """Times at which it is less smooth than elsewhere, as far as that is known."""
        return tuple(t for term in self.terms for t in term.joints)

    def to_json(self) -> list[dict[str, Any]]:
        """As plain JSON; `from_json` is the inverse."""
        return [term.to_json() for term in self.terms]

    @classmethod
    def from_json(cls, obj: Any) -> Drive:
        """Build from untrusted JSON; InvalidInput on anything else."""
        if not isinstance(obj, Sequence) or isinstance(obj, str):
            raise InvalidInput(f"not a drive: {str(obj)[:80]}; expected a list of terms")
        return cls(tuple(Term.from_json(term) for term in obj))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300
