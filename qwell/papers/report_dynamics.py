"""The statements of the dynamics paper, and what our numbers say to them."""

from __future__ import annotations

import json
from pathlib import Path

from qwell.papers.report import Claim, Numbers, made_by, write_report


def _said(value: float | None, digits: int = 4) -> str:
    """A number, or that there is none because a rollout grew beyond all numbers."""
    return "diverged" if value is None else f"{value:.{digits}f}" if value < 1e3 else f"{value:.0e}"


def _table(n: Numbers) -> str:
    means = "; ".join(f"{e['run'].split('-')[-1]} {_said(e['mae'])}, {e['C']:.4f}" for e in n["emulators"])
    rect = ", ".join(
        f"{e['run'].split('-')[-1]} {e['C_by_data']['paper-tests-rect']:.4f}"
        for e in n["emulators"]
        if "paper-tests-rect" in e["C_by_data"]
    )
    only = f" C over the eleven rectangular cases alone: {rect}." if rect else ""
    return f"MAE and C over {n['cases']} cases and {n['frames']} frames: {means}.{only}"


def _rollout(n: Numbers) -> str:
    m = n["mean"]
    return (
        f"Mean over {len(n['cases'])} cases: MAE {_said(m['mae'])} (of parts"
        f" {_said(m['mae_parts'])}),"
        f" C {m['C']:.5f}; largest drift of a norm {_said(m['norm_drift'], 6)} and of an energy"
        f" {_said(m['energy_drift'])}, largest error of transmission {_said(m['transmission_error'])}, each"
        " averaged over cases."
    )


def _sweep(n: Numbers) -> str:
    parts = []
    for key, curve in n["curves"].items():
        mean = [sum(column) / len(column) for column in zip(*curve["C"], strict=True)]
        worst = min(range(len(mean)), key=mean.__getitem__)
        parts.append(f"{key.upper()}: {max(mean):.3f} to {mean[worst]:.3f} (at {curve['values'][worst]:g})")
    return f"Mean C over {len(n['models'])} networks, largest and least: {'; '.join(parts)}."


def _gradients(n: Numbers) -> str:
    kinds = {k: v for k, v in n.items() if isinstance(v, dict) and "windows" in v}
    return (
        "; ".join(
            f"{kind}: relations broken by {v['cauchy_riemann_violation']:.3f} (0: never, 0.71: at random),"
            f" the last frame has {100 * v['share_of_frames'][-1]:.0f} % of the gradient, the two before"
            f" {100 * sum(v['share_of_frames'][-3:-1]):.0f} %"
            for kind, v in kinds.items()
        )
        + "."
    )


def _packets(n: Numbers) -> str:
    return (
        ", ".join(f"{kind}: MAE {_said(v['mae'])}, C {v['C']:.4f}" for kind, v in n["packets"].items()) + "."
    )


def _hyper(n: Numbers) -> str:
    best = [f"{option} {max(points, key=lambda p: p[2])[0]:g}" for option, points in n["points"].items()]
    return f"Largest C with {', '.join(best)} (each changed alone)."


CLAIMS = (
    Claim(
        "table-1",
        "emulators",
        "Architectures, with a barrier",
        "MAE and C over 37 cases: linear .0366, .1597; dense .0411, .5729; conv .1467, .3667; gru .0051,"
        " .9953 (Table I).",
        _table,
    ),
    Claim(
        "table-3",
        "emulators",
        "Architectures, free packets",
        "MAE and C over 12 cases: linear .0031, .9827; dense .0019, .9952; conv .0030, .9966; gru .0014,"
        " .9984 (Table III).",
        _table,
    ),
    Claim(
        "rollout",
        "rollout",
        "Rollouts of the recurrent network",
        "Even after 350 steps the error is negligible, also on potentials never seen (Fig. 2).",
        _rollout,
    ),
    Claim(
        "sweep",
        "sweep",
        "Generalisation",
        "Unchanged for all spreads and widths, worse for energies outside those taught and for high barriers"
        " (Fig. 4).",
        _sweep,
    ),
    Claim(
        "gradients",
        "gradients",
        "What predictions depend on",
        "Free waves are extrapolated from the last two frames, near barriers earlier ones matter; the mean"
        " gradients obey Cauchy and Riemann (Figs. 5, S8).",
        _gradients,
    ),
    Claim(
        "packets",
        "packets",
        "Other packets",
        "The triangle is on a par with the Gaussian, the square noticeably worse (Fig. S5).",
        _packets,
    ),
    Claim(
        "hyper",
        "hyper",
        "Options",
        "Two frames are enough, a window of 23 and 69 to 92 hidden numbers are best (Fig. S7).",
        _hyper,
    ),
    Claim("beyond", "emulators", "Beyond the paper: emulators on the ring", "No such comparison.", _table),
    Claim("beyond-rollout", "rollout", "Beyond the paper: rollouts of the best", "As above.", _rollout),
)


def write_dynamics_report(folder: Path) -> Path:
    """Write the report of `qtrain reproduce dynamics`. Returns the path of the HTML."""
    about = json.loads((folder / "reproduction.json").read_text())
    updates = "the released recipe" if about["updates"] is None else f"{about['updates']:,} updates"
    lines = [
        "Yao et al., arXiv:2203.10200. Atomic units; MAE is ⟨|ψ̂ − ψ|⟩ (Eq. 12), C = |⟨ψ̂, ψ⟩|/(‖ψ̂‖ ‖ψ‖).",
        f"Training data: `qdata simulate {' '.join(about['barrier'])}` and `{' '.join(about['free'])}`;"
        f" emulators that see windows with {updates} (the paper: 5 and 3 epochs, 5.3 million updates).",
        made_by(folder),
    ]
    head = f"The dynamics paper, done again at the scale {about['scale']}"
    return write_report(folder, head, lines, CLAIMS)
