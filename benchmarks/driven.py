"""Wave packets in a laser pulse: our propagators beside QuTiP, scipy and dynamiqs, on one core.

    python benchmarks/driven.py [--points 1024] [--peers FOLDER]

The ground state of a Gaussian well, 4 Hartree deep, is driven by a sin² pulse of 20 time units (amplitude
0.5, frequency 1) on a closed ring of 100 Bohr; frames every 0.1. Everybody solves the same Hamiltonian, our
lattice or our spectral one; scipy's right-hand side has the FFT for the latter, which QuTiP and dynamiqs
would need a dense matrix for: they are left out there. `error` is the L2 norm of ψ − ψ_exact at the last
frame, ψ_exact by another integrator of ours at a tolerance of 1e-10. Every program is run at several
tolerances, and what it would take for an error of 1e-6 is read off between them, on logarithmic scales.
`--peers` is a folder that QuTiP and dynamiqs are installed in (`pip install --target`), if they are not at
hand.
"""

# ruff: noqa: E402  (threads must be limited before numpy is loaded)

from __future__ import annotations

import argparse
import os
import sys

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.fft
from common import best, report
from scipy.integrate import solve_ivp
from scipy.sparse import csr_array, diags_array

from qwell.physics.barriers import Potential
from qwell.physics.drives import Drive, Term
from qwell.physics.observables import eigenstates
from qwell.physics.propagators.driven import evolve
from qwell.physics.propagators.settings import Propagation, kinetic_energy
from qwell.physics.ring import Ring

FRAMES, DT, TARGET = 200, 0.1, 1e-6
PULSE = {"amplitude": 0.5, "frequency": 1.0, "envelope": "sin2", "duration": 20.0}


@dataclass(frozen=True)
class Case:
    """What everybody solves: H(t) = H₀ − E(t) u, from ψ(0) at the times of the frames."""

    ring: Ring
    hamiltonian: str
    psi: np.ndarray
    potential: np.ndarray
    drive: Drive

    @property
    def u(self) -> np.ndarray:
        return self.ring.x - self.ring.box / 2

    @property
    def times(self) -> np.ndarray:
        return np.arange(FRAMES + 1) * DT

    def field(self, t: float) -> float:
        """E(t) as a peer would write it."""
        return 0.5 * np.sin(np.pi * t / 20) ** 2 * np.cos(t) if 0 <= t <= 20 else 0.0

    def static(self) -> csr_array:
        """H₀ of the lattice."""
        n, dx = self.ring.points, self.ring.dx
        bonds = np.full(n, -1 / (2 * dx**2))
        return csr_array(
            diags_array([bonds[1:], self.potential + 1 / dx**2, bonds[1:], bonds[:1], bonds[:1]],
                        offsets=[-1, 0, 1, n - 1, 1 - n])
        )  # fmt: skip


def scipy_dop853(case: Case, tolerance: float) -> np.ndarray:
    """The spectral Hamiltonian by FFT, the lattice's as a sparse matrix."""
    kinetic, u, v = kinetic_energy(case.ring, case.hamiltonian), case.u, case.potential
    h = case.static() if case.hamiltonian == "lattice" else None

    def slope(t: float, y: np.ndarray) -> np.ndarray:
        if h is not None:
            return -1j * (h @ y - case.field(t) * u * y)
        return -1j * (scipy.fft.ifft(kinetic * scipy.fft.fft(y)) + (v - case.field(t) * u) * y)

    found = solve_ivp(
        slope, (0, case.times[-1]), case.psi, "DOP853", case.times, rtol=tolerance, atol=tolerance / 100
    )
    return found.y.T


def qutip_sesolve(case: Case, tolerance: float) -> np.ndarray:
    import qutip

    norm = np.linalg.norm(case.psi)
    h = [
        qutip.Qobj(case.static()),
        [qutip.Qobj(csr_array(diags_array(-case.u))), case.field],
    ]
    options = {"nsteps": 10**7, "rtol": tolerance, "atol": tolerance / 100, "progress_bar": ""}
    found = qutip.sesolve(h, qutip.Qobj(case.psi / norm), case.times, options=options)
    return np.array([state.full().ravel() for state in found.states]) * norm


def dynamiqs_sesolve(case: Case, solver: str, tolerance: float) -> Callable[[], np.ndarray]:
    """Compiled before it is timed."""
    import dynamiqs as dq
    import jax
    import jax.numpy as jnp

    dq.set_precision("double")
    dq.set_progress_meter(False)
    norm = np.linalg.norm(case.psi)

    def field(t: jax.Array) -> jax.Array:
        return 0.5 * jnp.sin(jnp.pi * t / 20) ** 2 * jnp.cos(t)

    diagonals = dq.sparsedia_from_dict({0: -case.u})
    h = dq.asqarray(case.static().toarray(), layout=dq.dia) + dq.modulated(field, diagonals)
    start = dq.asqarray((case.psi / norm)[:, None])
    method = getattr(dq.method, solver)(rtol=tolerance, atol=tolerance / 100, max_steps=10**7)

    def run() -> np.ndarray:
        found = dq.sesolve(h, start, case.times, method=method)
        return np.asarray(found.states.to_numpy())[..., 0] * norm

    run()
    return run


def at_target(pairs: Sequence[tuple[float, float]]) -> float:
    """Seconds at an error of TARGET, between measured (error, seconds) on logarithmic scales."""
    ordered = np.log(np.array(sorted(pairs)))
    return float(np.exp(np.interp(np.log(TARGET), ordered[:, 0], ordered[:, 1])))


def _peers(case: Case) -> dict[str, Callable[[float], Callable[[], np.ndarray]]]:
    """Name → what makes, for a tolerance, the function that is timed."""
    peers: dict[str, Callable[[float], Callable[[], np.ndarray]]] = {
        "scipy DOP853": lambda tolerance: partial(scipy_dop853, case, tolerance)
    }
    if case.hamiltonian == "lattice":
        peers["QuTiP sesolve"] = lambda tolerance: partial(qutip_sesolve, case, tolerance)
        for solver in ("Tsit5", "Dopri8"):
            peers[f"dynamiqs {solver}"] = partial(dynamiqs_sesolve, case, solver)
    return peers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--peers", help="Folder that QuTiP and dynamiqs are installed in.")
    options = parser.parse_args()
    if options.peers:
        sys.path.append(options.peers)
    ring = Ring(100.0, options.points)
    v = Potential("gaussian", {"height": -4.0, "width": 8.0}).on(ring)
    drive = Drive((Term("dipole", PULSE),))
    rows: dict[str, float | str] = {}
    for hamiltonian in ("lattice", "spectral"):
        psi = eigenstates(v, ring, hamiltonian, 1)[1][0].astype(complex)
        _compare(Case(ring, hamiltonian, psi, v, drive), rows)
    report("driven", f"python benchmarks/driven.py --points {options.points}", rows)


def _compare(case: Case, rows: dict[str, float | str]) -> None:
    many = np.repeat(case.psi[None], 8, axis=0), np.repeat(case.potential[None], 8, axis=0)
    method = {"lattice": "split-operator-4", "spectral": "magnus"}[case.hamiltonian]
    fine = Propagation(method, case.hamiltonian, DT, FRAMES, 1e-10)
    exact = evolve(many[0][:1], many[1][:1], case.ring, fine, [case.drive])[0][0, -1]

    def error(psi: np.ndarray) -> float:
        return float(np.sqrt((np.abs(psi - exact) ** 2).sum() * case.ring.dx))

    fastest = {}
    for ours in ("split-operator-4", "magnus"):
        for count in (1, 8):
            start, potential = many[0][:count], many[1][:count]
            pairs = []
            for tolerance in (1e-4, 1e-6, 1e-8):
                how = Propagation(ours, case.hamiltonian, DT, FRAMES, tolerance)
                seconds, made = best(
                    lambda how=how, start=start, potential=potential: evolve(
                        start, potential, case.ring, how, [case.drive]
                    )[0], 3,
                )  # fmt: skip
                pairs.append((error(made[0, -1]), seconds / count))
                name = f"{case.hamiltonian}, {ours}, {count} together, tolerance {tolerance:g}"
                rows[f"{name}: ms"], rows[f"{name}: error"] = 1e3 * pairs[-1][1], pairs[-1][0]
            key = f"{case.hamiltonian}, {ours}, {count} together"
            rows[f"{key}: ms at an error of {TARGET:g} or less"] = 1e3 * min(
                s for e, s in pairs if e <= TARGET
            )
            fastest[key] = min(s for e, s in pairs if e <= TARGET)
    least = np.inf
    for name, peer in _peers(case).items():
        pairs = []
        try:
            for tolerance in (1e-5, 1e-7, 1e-9):
                seconds, made = best(peer(tolerance), 2)
                pairs.append((error(made[-1]), seconds))
                label = f"{case.hamiltonian}, {name}, rtol {tolerance:g}"
                rows[f"{label}: ms"], rows[f"{label}: error"] = 1e3 * seconds, pairs[-1][0]
        except ImportError:
            rows[f"{case.hamiltonian}, {name}"] = "not installed"
            continue
        rows[f"{case.hamiltonian}, {name}: ms at an error of {TARGET:g}"] = 1e3 * at_target(pairs)
        least = min(least, at_target(pairs))
    for key, seconds in fastest.items():
        rows[f"{key}: times faster than the fastest of these"] = least / seconds


if __name__ == "__main__":
    main()
