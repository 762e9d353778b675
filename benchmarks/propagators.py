"""Wave packets in time: our propagators beside plain numpy, scipy and QuTiP, on one core.

    python benchmarks/propagators.py [--peer-frames 5]

One simulation is 500 frames of 0.1 on 1,024 points, the paper's first test case. Peers are measured over
fewer frames and multiplied. Methods by eigenstates are without `diagonalising one potential`. `error` is the
largest |ψ − ψ_exact| over those frames. The targets for
`chebyshev` on the lattice are 183 and 550 times (float64, float32) the speed of the plain numpy program,
which is the paper's method written with array operations.
"""

# ruff: noqa: E402  (threads must be limited before numpy is loaded)

from __future__ import annotations

import argparse
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

from collections.abc import Callable

import numpy as np
from common import best, report
from scipy.integrate import solve_ivp
from scipy.linalg import circulant
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import expm_multiply

from qwell.datagen.presets import preset
from qwell.physics.propagators.family import propagate
from qwell.physics.propagators.settings import Propagation, kinetic_energy

FRAMES, DT = 500, 0.1


def numpy_space_splitting(psi: np.ndarray, v: np.ndarray, dx: float, frames: int) -> np.ndarray:
    """The paper's propagator in numpy: two by two blocks on even and odd bonds, 200 substeps a frame."""
    step = DT / 200
    angle = step / (2 * dx**2)
    phase = np.exp(-0.5j * step * (v + 1 / dx**2))
    c2, s2, c1, s1 = np.cos(angle / 2), 1j * np.sin(angle / 2), np.cos(angle), 1j * np.sin(angle)
    out = [psi]
    for _ in range(frames):
        psi = psi.copy()
        for _ in range(200):
            psi *= phase
            a, b = psi[0::2].copy(), psi[1::2].copy()
            psi[0::2], psi[1::2] = c2 * a + s2 * b, c2 * b + s2 * a
            a, b = psi[1::2].copy(), np.roll(psi[0::2], -1)
            psi[1::2], psi[0::2] = c1 * a + s1 * b, np.roll(c1 * b + s1 * a, 1)
            a, b = psi[0::2].copy(), psi[1::2].copy()
            psi[0::2], psi[1::2] = c2 * a + s2 * b, c2 * b + s2 * a
            psi *= phase
        out.append(psi)
    return np.array(out)


def lattice(v: np.ndarray, dx: float) -> csr_array:
    n = len(v)
    bonds = np.full(n, -1 / (2 * dx**2))
    return csr_array(
        diags_array([bonds[1:], v + 1 / dx**2, bonds[1:], bonds[:1], bonds[:1]],
                    offsets=[-1, 0, 1, n - 1, 1 - n])
    )  # fmt: skip


def scipy_dop853(psi: np.ndarray, v: np.ndarray, dx: float, frames: int) -> np.ndarray:
    h = lattice(v, dx)
    times = np.arange(frames + 1) * DT
    found = solve_ivp(lambda t, y: -1j * (h @ y), (0, times[-1]), psi, "DOP853", times, rtol=1e-8, atol=1e-10)
    return found.y.T


def scipy_expm_multiply(psi: np.ndarray, v: np.ndarray, dx: float, frames: int) -> np.ndarray:
    return expm_multiply(-1j * lattice(v, dx), psi, 0, frames * DT, frames + 1)


def qutip_sesolve(psi: np.ndarray, v: np.ndarray, dx: float, frames: int) -> np.ndarray:
    import qutip

    h = qutip.Qobj(lattice(v, dx))
    times = np.arange(frames + 1) * DT
    options = {"nsteps": 10**6, "rtol": 1e-8, "atol": 1e-10}
    norm = np.linalg.norm(psi)  # QuTiP wants unit vectors
    found = qutip.sesolve(h, qutip.Qobj(psi / norm), times, options=options)
    return np.array([state.full().ravel() for state in found.states]) * norm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-frames", type=int, default=5)
    options = parser.parse_args()
    recipe = preset("paper-tests-rect")
    ring, pairs = recipe.ring, [recipe.beginning("test", i) for i in range(8)]
    psi, potential = (np.array(values) for values in zip(*pairs, strict=True))
    exact = {
        h: propagate(psi[:1], potential[:1], ring, Propagation("eigen", h))[0].view(complex)[..., 0]
        for h in ("lattice", "spectral")
    }
    rows: dict[str, float | str] = {}

    def ours(method: str, hamiltonian: str, precision: str, same: bool, repeats: int, **more: float) -> float:
        how = Propagation(method, hamiltonian, precision=precision, **more)  # type: ignore[arg-type]
        v = np.repeat(potential[:1], 8, axis=0) if same else potential[:1]
        start = np.repeat(psi[:1], 8, axis=0) if same else psi[:1]
        propagate(start, v, ring, Propagation(method, hamiltonian, precision=precision, frames=1, **more))  # type: ignore[arg-type]
        seconds, made = best(lambda: propagate(start, v, ring, how), repeats)
        error = np.abs(made[0].astype(float).view(complex)[..., 0] - exact[hamiltonian]).max()
        name = f"{method}, {hamiltonian}, {precision}" + "".join(f", {k} {x:g}" for k, x in more.items())
        name += ", 8 packets in one potential" if same else ""
        rows[f"{name}: ms a simulation"] = 1e3 * seconds / len(start)
        rows[f"{name}: error"] = float(error)
        return seconds / len(start)

    fast = {p: ours("chebyshev", "lattice", p, False, 20) for p in ("float64", "float32")}
    for precision in ("float64", "float32"):
        ours("chebyshev", "spectral", precision, True, 2)
        ours("split-operator", "spectral", precision, True, 2)
        ours("eigen", "lattice", precision, True, 2)
        ours("eigen", "spectral", precision, True, 2)
        ours("space-splitting", "lattice", precision, False, 2)
    for tolerance in (1e-11, 1e-7):
        ours("truncated-eigen", "spectral", "float64", True, 5, tolerance=tolerance)
    ours("split-operator", "lattice", "float64", True, 2, substep=0.02)
    kinetic = circulant(np.fft.ifft(kinetic_energy(ring, "lattice")).real)
    rows["diagonalising one potential: ms"] = (
        1e3 * best(lambda: np.linalg.eigh(kinetic + np.diag(potential[0]))[0], 2)[0]
    )

    frames = options.peer_frames
    peers: dict[str, Callable[[np.ndarray, np.ndarray, float, int], np.ndarray]] = {
        "numpy space-splitting": numpy_space_splitting,
        "scipy solve_ivp DOP853": scipy_dop853,
        "scipy expm_multiply": scipy_expm_multiply,
        "QuTiP sesolve": qutip_sesolve,
    }
    for name, peer in peers.items():
        try:
            seconds, made = best(lambda peer=peer: peer(psi[0], potential[0], ring.dx, frames), 2)  # type: ignore[misc]
        except ImportError:
            continue
        rows[f"{name}: ms a simulation"] = 1e3 * seconds * FRAMES / frames
        rows[f"{name}: error"] = float(np.abs(made - exact["lattice"][: frames + 1]).max())
        if name.startswith("numpy"):
            for precision, target in (("float64", 183), ("float32", 550)):
                ratio = seconds * FRAMES / frames / fast[precision]
                rows[f"chebyshev, lattice, {precision}: times faster than numpy (target {target})"] = ratio
    report("propagators", f"python benchmarks/propagators.py --peer-frames {frames}", rows)


if __name__ == "__main__":
    main()
