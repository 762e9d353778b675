"""Wave packet: a packet in a potential on a ring, exact and emulated, in blocks of frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qwell.errors import InvalidInput, extras_needed
from qwell.explore.asked import LARGEST, Asked, integer, number, text, values
from qwell.explore.draw import Reply
from qwell.explore.opened import Opened
from qwell.explore.wire import packed
from qwell.physics.barriers import Potential
from qwell.physics.formula import Formula
from qwell.physics.packets import ENVELOPES, packet
from qwell.physics.propagators.family import propagate
from qwell.physics.propagators.settings import Propagation, energy
from qwell.physics.ring import Ring
from qwell.physics.waves import as_complex, as_parts

BLOCK = 25  # frames of a message
MOST_FRAMES = 1000
HIGHEST = 100.0  # hartree: what a potential may reach; the paper's reach 14
SMALLEST_BARRIER = 1e-3  # part of the largest |V| from which on a place counts as inside the potential


@dataclass(frozen=True)
class Emulator:
    """An emulator, with its setting and the scale of its potentials."""

    model: Any
    v_scale: float
    history: int


def setting() -> tuple[Ring, Propagation]:
    """The box and times of the emulators that come with the package, those of the dynamics paper."""
    return Ring(), Propagation(hamiltonian="lattice")


def barrier(asked: Asked) -> Reply:
    """A potential on the ring, by `shape` with `numbers`, or `formula` in x (bohr); and its points."""
    ring, _ = setting()
    refused: Callable[[str], InvalidInput] = InvalidInput
    if "formula" in asked:
        parsed = Formula(text(asked, "formula"), ("x", "pi"), "potential", "8*exp(-(x - 50)**2/8)")
        found = np.broadcast_to(np.asarray(parsed(x=ring.x, pi=np.pi), float), ring.x.shape)
        refused = parsed.refused
    else:
        numbers = asked.get("numbers", {})
        if not isinstance(numbers, dict):
            raise InvalidInput("numbers is no object")
        found = Potential(text(asked, "shape", "rectangle"), numbers).on(ring)
    if not (np.abs(found) <= HIGHEST).all():
        raise refused(f"it is beyond {HIGHEST:g} hartree somewhere from x = 0 to {ring.box:g}")
    return {"box": ring.box, "packets": list(ENVELOPES)}, {"potential": found, "x": ring.x}


def play(opened: Opened, asked: Asked) -> Iterator[bytes]:
    """Messages: one with what is played, then blocks of frames with `exact` (frames, N, 2) and `emulated`.

    Every block has per frame `time` [ħ/hartree], and for each evolution (exact, emulated) the `norm`, `left`
    and `right`, the probability on either side of the potential, `inside` of it, and the mean `momentum`;
    `overlap` is |⟨ψ̂, ψ⟩|/(‖ψ̂‖ ‖ψ‖).

    All that can be refused is refused before the first message.
    """
    ring, how = setting()
    v = values(asked, "potential", ring.points, ring.points)
    if not (np.abs(v) <= HIGHEST).all():
        raise InvalidInput(f"the potential goes beyond {HIGHEST:g} hartree; draw a lower one")
    frames = integer(asked, "frames", 1, MOST_FRAMES, 400)
    x0, s0, e0 = (number(asked, name, 0, LARGEST) for name in ("x0", "s0", "e0"))
    psi = packet(ring, text(asked, "packet", "gaussian"), x0, s0, e0)
    emulator = _emulator(opened, text(asked, "emulator"), ring, how)
    return _messages(psi, v, ring, how, frames, emulator)


def _emulator(opened: Opened, name: str, ring: Ring, how: Propagation) -> Emulator | None:
    if not name:
        return None

    def load(name: str) -> Emulator:
        with extras_needed():
            from qwell.studies.probes.emulator import load_emulator
            from qwell.train.rollout import history_of

            model, v_scale = load_emulator(name, ring, how)
            return Emulator(model, v_scale, history_of(model))

    found: Emulator = opened.network(name, "dynamics", load)
    return found


def _messages(
    psi: np.ndarray, v: np.ndarray, ring: Ring, how: Propagation, frames: int, emulator: Emulator | None
) -> Iterator[bytes]:
    start = energy(psi[None], v[None], ring, how.hamiltonian)[0]
    head = {"frames": frames + 1, "dt": how.dt, "box": ring.box, "energy": float(start)}
    yield packed({**head, "history": emulator.history if emulator else None}, {"potential": v})
    truth, guess = psi[None], as_parts(psi[None].astype(np.complex64))
    yield _block(0, truth, guess if emulator else None, v, ring, how)
    for first in range(1, frames + 1, BLOCK):
        count = min(BLOCK, frames + 1 - first)
        found = propagate(truth[-1], v, ring, replace(how, frames=count))
        truth = as_complex(found[0, 1:])
        if emulator:
            guess = _emulated(emulator, guess, as_parts(truth.astype(np.complex64)), first, v)
        block = guess[-count:] if emulator else None
        yield _block(first, truth, block, v, ring, how)


def _emulated(
    emulator: Emulator, seen: np.ndarray, truth: np.ndarray, first: int, v: np.ndarray
) -> np.ndarray:
    """The last frames that were seen (frames, N, 2), and those that follow; the first `history` are true."""
    from qwell.train.rollout import rollout

    given = truth[: max(0, emulator.history - first)]
    seen = np.concatenate([seen, given])
    if len(given) < len(truth):
        seed = seen[None, -emulator.history :]
        more = rollout(emulator.model, seed, v[None] / emulator.v_scale, len(truth) - len(given))
        seen = np.concatenate([seen, more[0]])
    return seen[-max(emulator.history, len(truth)) :]


def _block(
    first: int, truth: np.ndarray, guess: np.ndarray | None, v: np.ndarray, ring: Ring, how: Propagation
) -> bytes:
    """One message of some frames; see `play`."""
    arrays = {"exact": as_parts(truth)}
    if guess is not None:
        arrays["emulated"] = guess
    numbers: dict[str, Any] = {"first": first, "time": ((first + np.arange(len(truth))) * how.dt).tolist()}
    waves = {name: as_complex(parts) for name, parts in arrays.items()}
    numbers |= {name: measured(wave, v, ring) for name, wave in waves.items()}
    if guess is not None:
        a, b = waves["exact"], waves["emulated"]
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        numbers["overlap"] = (np.abs((b.conj() * a).sum(axis=1)) / np.maximum(norms, 1e-300)).tolist()
    return packed(numbers, arrays)


def measured(psi: np.ndarray, v: np.ndarray, ring: Ring) -> dict[str, list[float]]:
    """Norm, what is left and right of the potential and inside of it, and ⟨p⟩ of waves (frames, N)."""
    density = np.abs(psi) ** 2 * ring.dx
    weight = np.abs(np.fft.fft(psi)) ** 2
    found = {"norm": density.sum(axis=1)}
    found["momentum"] = (weight @ ring.k) / np.maximum(weight.sum(axis=1), 1e-300)
    where = np.flatnonzero(np.abs(v) > SMALLEST_BARRIER * np.abs(v).max())
    if len(where):
        found["left"] = density[:, : where[0]].sum(axis=1)
        found["right"] = density[:, where[-1] + 1 :].sum(axis=1)
        found["inside"] = density[:, where[0] : where[-1] + 1].sum(axis=1)
    return {name: value.tolist() for name, value in found.items()}
