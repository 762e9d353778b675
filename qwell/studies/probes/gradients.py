"""What an emulator's prediction depends on: direct gradients (dynamics paper, Eqs. 1–3, Figs. 5 and S8).

The Schrödinger equation is linear over the complex numbers, so that the Cauchy–Riemann relations hold:
∂Re/∂Re = ∂Im/∂Im and ∂Re/∂Im = −∂Im/∂Re. By how much a network's gradients break them is

    ‖(g_rr − g_ii, g_ri + g_ir)‖ / (√2 ‖(g_rr, g_ii, g_ri, g_ir)‖),   0 … 1
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from qwell.errors import InvalidInput
from qwell.figures.emulation import gradients_figure
from qwell.models.emulators import WindowEmulator
from qwell.physics.propagators.settings import setting_of
from qwell.physics.waves import PARTS
from qwell.store.dataset import Dataset
from qwell.store.driven import static_only
from qwell.store.windows import Curriculum, gather
from qwell.studies.finding import Cell, Finding
from qwell.studies.probes.asked import OfTrajectories
from qwell.studies.probes.emulator import learned, load_emulator

QUIET = 0.02  # a window whose waves are all smaller holds next to nothing


def direct_gradients(model: WindowEmulator, windows: torch.Tensor) -> np.ndarray:
    """∂(Re, Im) ψ̂ in the middle of the window / ∂ inputs, (b, 2, history, width, channels)."""
    seen = windows.clone().requires_grad_()
    middle = model(seen)[:, model.config.width // 2]
    parts = [torch.autograd.grad(middle[:, i].sum(), seen, retain_graph=True)[0] for i in range(PARTS)]
    return torch.stack(parts, dim=1).double().numpy()


def violation(gradient: np.ndarray) -> np.ndarray:
    """How far gradients (b, 2, history, width, ≥ 2) are from Cauchy and Riemann, (b,), 0 … 1."""
    rr, ri, ir, ii = (gradient[:, t, ..., c] for t in (0, 1) for c in (0, 1))
    broken = sum((d**2).sum(axis=(1, 2)) for d in (rr - ii, ri + ir))
    whole = sum((d**2).sum(axis=(1, 2)) for d in (rr, ri, ir, ii))
    return np.sqrt(broken / (2 * whole))


def shares_of_frames(gradient: np.ndarray) -> list[float]:
    """What each frame seen has of Σ|∂ψ̂/∂ψ|; of one gradient (2, history, width, channels), (history,)."""
    each = np.abs(gradient[..., :PARTS]).sum(axis=(0, 2, 3))
    return [float(e) for e in each / (each.sum() or 1.0)]


def _loud_windows(
    psi: np.ndarray,
    potential: np.ndarray,
    places: np.ndarray,
    shape: Curriculum,
    samples: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Random windows (samples, history, w, channels) among `places` = (simulation, left edge), (n, 2).

    More are drawn than asked for, to take those where there is something: in nothing gradients say nothing.
    """
    start = rng.integers(0, psi.shape[1] - shape.history - 1, size=20 * samples)
    if not len(places):
        return np.empty((0, shape.history, shape.width, PARTS + 1), np.float32)
    chosen = places[rng.integers(len(places), size=20 * samples)]
    windows = gather(psi, potential, chosen[:, 0], start, chosen[:, 1], shape)[:, :-1]
    quiet = np.abs(windows[..., :PARTS]).max(axis=(1, 2, 3)) < QUIET
    return windows[np.argsort(quiet, kind="stable")[:samples]]


def gradients(
    path: str | Path,
    data: Dataset,
    split: str = OfTrajectories.split,
    samples: int = OfTrajectories.samples,
    seed: int = OfTrajectories.seed,
    anyway: bool = OfTrajectories.anyway,
) -> Finding:
    """Mean and deviation of the gradients over random windows, free ones and ones that touch a potential.

    Arguments:
        path: a run, model folder or pretrained name of an emulator that sees windows.
        data, split: trajectories that windows are cut from.
        samples: windows of each kind.
        seed: of the choice.
        anyway: see `rollouts`.

    The paper judges the mean of the gradients; what single windows break is told beside it.

    Raises InvalidInput for an emulator on the ring, which is linear by construction.
    """
    model, v_scale = load_emulator(path, *setting_of(static_only(data, "this probe").origin), anyway=anyway)
    if not isinstance(model, WindowEmulator):
        raise InvalidInput(
            f"{path} sees the whole ring and is linear in ψ by construction; give one of windows"
        )
    c, part = model.config, data[split]
    shape = Curriculum(history=c.history, width=c.width)
    rng = np.random.default_rng(seed)
    psi = np.ascontiguousarray(part["psi"][:], dtype=np.float32)
    potential = part["potential"][:]
    scaled = np.ascontiguousarray(potential / v_scale, dtype=np.float32)
    touching = np.stack([shape.touches(v) for v in potential])
    rows: list[list[Cell]] = []
    numbers = {}
    figures: dict[str, Figure] = {}
    for kind, where in (("free", ~touching), ("at a potential", touching)):
        windows = _loud_windows(psi, scaled, np.argwhere(where), shape, samples, rng)
        if not len(windows):
            continue
        gradient = direct_gradients(model, torch.from_numpy(windows[..., : c.channels]))
        mean, deviation = gradient.mean(axis=0), gradient.std(axis=0)
        broken, shares, of_mean = violation(gradient), shares_of_frames(mean), float(violation(mean[None])[0])
        rows.append([kind, len(gradient), of_mean, float(broken.mean()), float(broken.std()), *shares])
        numbers[kind] = {
            "windows": len(gradient),
            "cauchy_riemann_violation": of_mean,
            "cauchy_riemann_violation_of_windows": float(broken.mean()),
            "share_of_frames": shares,
            "mean": mean.tolist(),
            "deviation": deviation.tolist(),
        }
        title = f"{model.registry_name}, {len(gradient)} windows, {kind}"
        figures["free" if kind == "free" else ""] = gradients_figure(mean, deviation, title)
    head = ["windows", "count", "C.–R. violation of the mean", "of windows", "its deviation"]
    head += [f"share of frame {h - c.history}" for h in range(c.history)]
    if not figures:
        raise InvalidInput(f"{data.path} has no simulations in {split}")
    title = "Direct gradients of the middle of the prediction; shares of the frames in their sizes"
    return Finding("gradients", title, head, rows, {"model": str(path), **learned(path), **numbers}, figures)
