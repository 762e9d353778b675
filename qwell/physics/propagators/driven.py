"""Wave functions in potentials that change with time, and with open ends; the steps follow a tolerance.

Every few frames, more often than the drives change, and where they are not smooth, a frame is made twice:
with n steps and with 2n. With order p the error of the former is about ‖ψ_n − ψ_2n‖/(1 − 2^{−p}). Where that
is more than a frame's share of the tolerance, the frames since the last check are made again with more steps;
where it is far less, fewer are taken from then on. The errors of the frames are added up: what is returned is
an estimate from above, as long as the errors of frames not looked at are not larger than those of their
neighbours. In absorbing layers an error at x counts by the share of it, `Absorber.comes_back`, that can come
out again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Complex, Float

from qwell.errors import InvalidInput
from qwell.physics.absorbers import Absorber
from qwell.physics.drives import Drive
from qwell.physics.propagators.landscape import Landscape
from qwell.physics.propagators.magnus import Magnus
from qwell.physics.propagators.settings import Propagation
from qwell.physics.propagators.splittings import Splitting
from qwell.physics.ring import Ring
from qwell.physics.waves import as_parts

Stepper = Magnus | Splitting
AT_ONCE = 2**24  # bytes of potentials at their times that are made at once
LEAST = 1e-13  # error a frame below which rounding hides it: no tolerance asks for less
MOST_STEPS = 2**14  # a frame
HOPELESS = 2**7  # steps a frame from which on values that overflow are not tried again
CHECKED = 16, 1.0  # frames and time at most from one check to the next
FIRST = 2  # steps a frame to begin with
LOOKED_AT = 32  # times at which it is seen how strong potentials are
SEEN = 1e-12  # of the largest |ψ|², where a wave function is


def evolve(
    psi: Complex[np.ndarray, "n points"],
    potential: Float[np.ndarray, "n points"],
    ring: Ring,
    how: Propagation,
    drives: Sequence[Drive] = (),
    absorber: Absorber | None = None,
) -> tuple[Complex[np.ndarray, "n frames points"], Float[np.ndarray, "n"]]:
    """ψ(0), ψ(Δt) … ψ(frames·Δt) of wave functions in V(x, t) − iW(x), and estimates of their errors.

    Arguments:
        psi: (n, N) complex.
        potential: V(x) without drives, (n, N) Hartree.
        ring: the box.
        how: "magnus" or "split-operator-4" with its tolerance or substep, or "split-operator".
        drives: one a wave function, or one for all; none for static potentials.
        absorber: of open ends.

    Returns: (n, frames + 1, N) complex in the precision asked for, and (n,): the estimate of ‖error‖ at the
    last frame, rounding aside.

    Raises InvalidInput if the tolerance takes too many steps, values overflow, or a method does not know
    drives.
    """
    drives = list(drives) or [Drive()]
    drives = drives * len(psi) if len(drives) == 1 else drives
    land = Landscape(ring, potential, drives, absorber)
    step = _stepper(land, how)
    out = np.empty((len(psi), how.frames + 1, ring.points), how.complex)
    out[:, 0] = psi
    errors = np.zeros(len(psi))
    every = int(min(max(min(land.shortest, CHECKED[1]) / how.dt, 1), CHECKED[0]))
    steps, order = how.substeps if how.substep else FIRST, step.order
    weight = np.full(ring.points, ring.dx)
    if absorber is not None:
        weight *= absorber.comes_back(ring) ** 2
    rough = sorted({math.floor(t / how.dt) + 1 for drive in drives for t in drive.joints})
    share, done = _share(how), 0
    _refuse_hopeless(psi, land, how)
    while done < how.frames:
        stop = min(done + every, next((f for f in rough if f > done), how.frames), how.frames)
        for f, v in _potentials(step, done, stop, how.dt, steps):
            out[:, f + 1] = step(out[:, f], v, how.dt, steps)
        found = _estimate(step, out[:, stop - 1 : stop + 1], stop - 1, how.dt, steps, weight)
        worst = float(found.max())
        _refuse_overflow(worst, steps, how)
        if how.substep is None:
            if not worst <= share:  # NaN, too
                steps = _more(steps, worst / share, order, how)
                continue
            wanted = int(np.ceil(steps * max(1.5 * worst / share, 1e-9) ** (1 / order)))
            steps_next = max(min(steps, wanted), (steps + 1) // 2, 1)
        else:
            steps_next = steps
        errors += found * (stop - done)
        done, steps = stop, steps_next
    return out, errors


def _share(how: Propagation) -> float:
    """The error that a frame may have."""
    return max((how.tolerance or 0.0) / how.frames, LEAST)


def _potentials(
    step: Stepper, first: int, stop: int, dt: float, steps: int
) -> Iterator[tuple[int, Float[np.ndarray, "nodes n points"]]]:
    """Each frame from first to stop − 1, with V at its nodes; many are made at once, which costs less."""
    nodes = step.nodes(dt, steps)
    together = max(AT_ONCE // (8 * len(nodes) * step.land.potential.size), 1)
    for f in range(first, stop, together):
        some = np.arange(f, min(f + together, stop))
        v = step.land.at((some[:, None] * dt + nodes).ravel())
        yield from zip(some.tolist(), v.reshape(len(some), len(nodes), *v.shape[1:]), strict=True)


def _estimate(
    step: Stepper, pair: np.ndarray, frame: int, dt: float, steps: int, weight: np.ndarray
) -> np.ndarray:
    """(Σ weight |error|²)^½, (n,), of so many steps from a frame to the next, both in `pair` (n, 2, N).

    It is found in float64, for which the second frame is made again if it is not.
    """
    before, made = pair[:, 0].astype(complex), pair[:, 1]
    if made.dtype != before.dtype:
        ((_, v),) = _potentials(step, frame, frame + 1, dt, steps)
        made = step(before, v, dt, steps)
    ((_, v),) = _potentials(step, frame, frame + 1, dt, 2 * steps)
    difference = made - step(before, v, dt, 2 * steps)
    size: np.ndarray = np.sqrt(np.abs(difference) ** 2 @ weight) / (1 - 2.0**-step.order)
    return size


def _refuse_hopeless(psi: np.ndarray, land: Landscape, how: Propagation) -> None:
    """Raise InvalidInput if V turns phases so fast that a splitting does not follow it in the most steps.

    φ = Δt (max V − min V) where the wave functions begin, at some times. In s steps a phase turns by φ/s, and
    beyond π the splitting does not tell it from a smaller one.
    """
    if how.substep is not None or how.method != "split-operator-4":
        return
    density = np.abs(psi) ** 2
    there = density > SEEN * density.max(axis=-1, keepdims=True)
    phase = 0.0
    for t in np.linspace(0.0, how.dt * how.frames, LOOKED_AT):
        (v,) = land.at(np.array([t]))
        span = np.where(there, v, -np.inf).max(axis=-1) - np.where(there, v, np.inf).min(axis=-1)
        phase = max(phase, float(span.max()) * how.dt)
    if not phase <= np.pi * MOST_STEPS:
        raise InvalidInput(
            f"potentials turn phases by {phase:.1e} radians a frame, more than {how.method} can follow in"
            f" {MOST_STEPS:,} steps; lower the potentials or their drives, or --dt"
        )


def _refuse_overflow(worst: float, steps: int, how: Propagation) -> None:
    """Raise InvalidInput for an error that is no number and that more steps would not mend."""
    if not math.isfinite(worst) and (how.substep is not None or steps >= HOPELESS):
        raise InvalidInput(
            f"{how.method} gives values that are infinite or no numbers: the potentials or the absorbing"
            " ends are too strong for it; lower them, or --dt"
        )


def _more(steps: int, ratio: float, order: int, how: Propagation) -> int:
    """Steps a frame with which an error that is `ratio` times too large is small enough."""
    factor = min(1.1 * ratio ** (1 / order), 4.0) if math.isfinite(ratio) else 4.0
    wanted = max(int(np.ceil(steps * factor)), steps + 1)
    if wanted > MOST_STEPS:
        raise InvalidInput(
            f"{how.method} would take more than {MOST_STEPS:,} steps a frame for a tolerance of"
            f" {how.tolerance:g}; raise --tolerance, or lower --dt"
        )
    return wanted


def _stepper(land: Landscape, how: Propagation) -> Stepper:
    if how.method == "magnus":
        left_out = min(_share(how), how.norm_tolerance / how.frames) / 10 if how.tolerance else 0.0
        return Magnus(land, how.hamiltonian, left_out)
    orders = {"split-operator": 2, "split-operator-4": 4}
    if how.method not in orders:
        raise InvalidInput(
            f"{how.method} is for potentials that do not change; choose --propagator magnus,"
            " split-operator-4 or split-operator"
        )
    return Splitting(land, how.hamiltonian, orders[how.method])


def fourth_order(
    psi: Complex[np.ndarray, "n points"],
    potential: Float[np.ndarray, "n points"],
    ring: Ring,
    how: Propagation,
) -> Float[np.ndarray, "n {how.frames}+1 points 2"]:
    """Frames (n, frames + 1, N, 2) in static potentials (n, N), as the other methods; see `propagate`."""
    return as_parts(evolve(psi, potential, ring, how)[0])
