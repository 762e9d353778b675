"""What our numbers say to the statements of the dynamics paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qwell.papers.plan import Answer, Numbers
from qwell.papers.stated import EMULATORS, RELEASED

TESTS = ("paper-tests-rect", "paper-tests-shaped", "paper-tests-free")


def _number(value: float | None, digits: int = 4) -> str:
    """A number, or that there is none because a rollout grew beyond all numbers."""
    return "diverged" if value is None else f"{value:.{digits}f}" if value < 1e3 else f"{value:.0e}"


ENOUGH = {"barrier": 1_000_000, "free": 100_000}  # updates of the recurrent network for a verdict against it


def _learned(entry: Mapping[str, Any]) -> str:
    """How much a network learned, as its model says."""
    if not entry.get("updates"):
        return "size not recorded"
    return f"{entry['updates']:,} updates on {entry['learned_from']}, one seed"


def said_of_emulators(n: Numbers, kind: str = "") -> Answer:
    """Table I or III; `kind` is "barrier" or "free", or nothing where the paper has no such table."""
    measured = {entry["network"].removeprefix("emulator_"): entry for entry in n["emulators"]}
    means = {name: (e["with_potential"] or e) if kind != "free" else e for name, e in measured.items()}
    cases = n["cases"] if kind == "free" else next(iter(means.values())).get("cases", n["cases"])
    told = "; ".join(
        f"{name} {_number(means[name]['mae_parts'])}, {means[name]['C']:.4f} ({_learned(e)})"
        for name, e in measured.items()
    )
    sentence = f"MAE of parts and C over {cases} cases and {n['frames']} frames: {told}."
    if not kind:
        return Answer(sentence)
    if kind == "barrier":
        rect = measured["gru"]["C_by_data"].get(TESTS[0], float("nan"))
        released = "; ".join(f"{where} {mae:.4f}, {c:.4f}" for where, (mae, c) in RELEASED.items())
        sentence += (
            f" gru on the {TESTS[0]} cases alone: {rect:.4f}. The released weights, measured by us on these"
            f" cases, 400 frames: {released}."
        )
    stated, updates = EMULATORS[kind], measured["gru"].get("updates") or 0
    ours = means["gru"]["C"]
    criteria = {f"C of gru at least .999 of the paper's {stated['gru'][1]}": ours >= 0.999 * stated["gru"][1]}
    if all((e.get("updates") or 0) >= ENOUGH[kind] for e in measured.values()):
        criteria["gru has the largest C"] = ours == max(m["C"] for m in means.values())
    else:
        sentence += f" Not ranked: some learned from fewer than {ENOUGH[kind]:,} updates."
    return Answer(
        sentence,
        criteria,
        all(criteria.values()) or updates >= ENOUGH[kind],
        f"{ENOUGH[kind]:,} updates of gru, or its C in fewer",
    )


def measured_on_rollout(n: Numbers) -> Answer:
    """How far a network's predictions are from the truth; nothing is stated of it."""
    m = n["mean"]
    return Answer(
        f"Mean over {len(n['cases'])} cases of {n['network']} ({_learned(n)}), {n['frames']} frames: MAE"
        f" {_number(m['mae'])} (of parts {_number(m['mae_parts'])}),"
        f" C {m['C']:.5f}; largest drift of a norm {_number(m['norm_drift'], 6)} and of an energy"
        f" {_number(m['energy_drift'])}, largest error of transmission {_number(m['transmission_error'])},"
        " each averaged over cases."
    )


def _enough(n: Numbers) -> bool:
    """Whether the recurrent network that was asked learned enough for a verdict against the paper."""
    return (n.get("updates") or 0) >= ENOUGH["barrier"]


NEEDS = f"{ENOUGH['barrier']:,} updates of gru"


def said_of_rollout(n: Numbers) -> Answer:
    """Figs. 2 and S4: whether errors stay small over all frames."""
    criteria = {"mean C at least .99": n["mean"]["C"] >= 0.99}
    return Answer(measured_on_rollout(n).sentence, criteria, _enough(n) or all(criteria.values()), NEEDS)


def said_of_sweep(n: Numbers) -> Answer:
    """Fig. 4: over which numbers of the cases C varies."""
    parts, spread = [], {}
    for key, curve in n["curves"].items():
        mean = [sum(column) / len(column) for column in zip(*curve["C"], strict=True)]
        worst = min(range(len(mean)), key=mean.__getitem__)
        spread[key] = max(mean) - mean[worst]
        parts.append(f"{key.upper()}: {max(mean):.3f} to {mean[worst]:.3f} (at {curve['values'][worst]:g})")
    count = f"{len(n['models'])} {'network' if len(n['models']) == 1 else 'networks'} ({_learned(n)})"
    sentence = f"Mean C over {count}, {n['frames']} frames, largest and least: {'; '.join(parts)}."
    flat = {f"C varies by at most .02 over {key.upper()}": spread[key] <= 0.02 for key in ("s0", "wb")}
    worse = {
        f"and by more over {k.upper()}": spread[k] > max(spread["s0"], spread["wb"]) for k in ("e0", "hb")
    }
    return Answer(sentence, flat | worse, _enough(n), NEEDS)


def said_of_gradients(n: Numbers) -> Answer:
    """Figs. 5 and S8: whether mean gradients obey Cauchy and Riemann, and on which frames they lie."""
    kinds = {k: v for k, v in n.items() if isinstance(v, dict) and "windows" in v}
    parts = [
        f"{kind}, {v['windows']} windows: the mean breaks the relations by"
        f" {v['cauchy_riemann_violation']:.3f}, single windows by"
        f" {v['cauchy_riemann_violation_of_windows']:.3f} (0: never, 0.71: at random),"
        f" the last frame has {100 * v['share_of_frames'][-1]:.0f} % of the gradient, the two before"
        f" {100 * sum(v['share_of_frames'][-3:-1]):.0f} %"
        for kind, v in kinds.items()
    ]
    violations = [v["cauchy_riemann_violation"] for v in kinds.values()]
    criteria = {"the mean breaks the relations by at most .2": max(violations) <= 0.2}
    return Answer(f"{_learned(n)}; {'; '.join(parts)}.", criteria, _enough(n), NEEDS)


def said_of_packets(n: Numbers) -> Answer:
    """Fig. S5: how other packets fare beside the Gaussian."""
    parts = [f"{kind}: MAE {_number(v['mae'])}, C {v['C']:.4f}" for kind, v in n["packets"].items()]
    c = {kind: v["C"] for kind, v in n["packets"].items()}
    criteria = {
        "C of the triangle within .01 of the Gaussian's": abs(c["triangle"] - c["gaussian"]) <= 0.01,
        "C of the square lower by more than .01": c["gaussian"] - c["square"] > 0.01,
    }
    return Answer(f"{_learned(n)}, {n['frames']} frames: {', '.join(parts)}.", criteria, _enough(n), NEEDS)


def said_of_hyper(n: Numbers, full: bool) -> Answer:
    """Fig. S7: the best value of every option; `full`: they learned as much as the paper's."""
    best = {option: max(points, key=lambda p: p[2])[0] for option, points in n["points"].items()}
    listed = ", ".join(f"{option} {value:g}" for option, value in best.items())
    stated = {"history": (2, 4), "width": (23, 23), "hidden": (69, 92)}
    criteria = {
        f"best {option} {a:g} to {b:g}": a <= best[option] <= b
        for option, (a, b) in stated.items()
        if option in best
    }
    seeds = max(n["seeds"].values())
    size = f"{n['updates']:,} updates, {seeds} {'seed' if seeds == 1 else 'seeds'} of each"
    return Answer(f"Largest C with {listed}, each changed alone ({size}).", criteria, full)
