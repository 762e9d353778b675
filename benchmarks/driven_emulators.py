"""Emulators of driven motion on pulse shapes that they have not seen, and over ten times the horizon.

    python benchmarks/driven_emulators.py [--seeds 3] [--updates 3000] [--window-updates 3000]

An electron in the ground state of one of two Gaussian wells (depths 3 and 4 Hartree, width 8 Bohr; box 60
Bohr, 256 points, open ends) is driven by a pulse. Networks learn from Gaussian and sin² pulses (96
simulations of 200 frames of .1 ħ/Hartree), and are asked about flat, sech and double ones (24 of 200 frames,
8 of 2,000). Beside them stands a fit of linear maps, one set for each of the two wells, with the field as a
known number:

    c(t + Δt) = (A + E B + E² C) c(t),   E halfway,

c the coefficients of ψ in the leading principal components of the training waves of that well, by least
squares with a ridge chosen on the validation simulations. The wells asked about are those learned from.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common import report

from qwell.datagen.pipeline import generate
from qwell.datagen.presets_driven import TAUGHT, UNSEEN
from qwell.datagen.recipes.driven import GROUND, DrivenRecipe
from qwell.datagen.recipes.driven_families import DrivenFamily
from qwell.models.propagating import between_frames
from qwell.physics.absorbers import Absorber
from qwell.physics.barriers import Potential
from qwell.physics.drives import Drive, Term
from qwell.physics.propagators.settings import Propagation
from qwell.physics.ring import Ring
from qwell.physics.waves import as_complex
from qwell.store.dataset import Dataset
from qwell.store.driven import potentials_of
from qwell.store.reader import open_dataset
from qwell.store.windows import Curriculum
from qwell.train.config import DynamicsConfig
from qwell.train.dynamics import begin, train_dynamics
from qwell.train.metrics import waves_compared
from qwell.train.rollout import history_of, predict_frames
from qwell.train.runs import load_model

WELLS = tuple(Potential("gaussian", {"height": -depth, "width": 8.0}) for depth in (3.0, 4.0))
PULSE = {"amplitude": (0.1, 1.0), "frequency": (0.3, 2.0), "phase": (0.0, 6.28), "start": (0.0, 4.0),
         "duration": (8.0, 20.0)}  # fmt: skip
FRAMES, LONG = 200, 2000
RIDGES = (1e-10, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3)
COMPONENTS = (16, 32, 64, 128)


def family(envelopes: tuple[str, ...], drawn: int) -> DrivenFamily:
    """Random pulses of some envelopes."""
    drives = tuple(
        Drive((Term("dipole", {"envelope": envelope} | {name: ends[i] for name, ends in PULSE.items()}),))
        for envelope in envelopes
        for i in (0, 1)
    )
    return DrivenFamily(potentials=WELLS, packet=GROUND, drives=drives, drawn=drawn)


def recipes() -> dict[str, DrivenRecipe]:
    """What is learned from, and the two tests."""
    how = Propagation("split-operator-4", tolerance=1e-6, frames=FRAMES)
    learned = DrivenRecipe((family(TAUGHT, 96),), ring=Ring(60.0, 256), validation=12, propagation=how,
                           absorber=Absorber(12.0, 3.3), curriculum=Curriculum(v_scale=4.0))  # fmt: skip
    unseen = replace(learned, families=(family(UNSEEN, 24),), validation=0, split="test", seed=1)
    long = replace(unseen, families=(family(UNSEEN, 8),), propagation=replace(how, frames=LONG), seed=2)
    return {"learned": learned, "unseen": unseen, "long": long}


def trained(
    data: Dataset, model: str, updates: int, seed: int, folder: Path, **options: bool
) -> tuple[Path, float]:
    """A model trained on the data set, and the seconds of the processor that took."""
    clock = time.process_time()
    config = DynamicsConfig(
        data=str(data.path), digest=data.digest, model=model, updates=updates, seed=seed, threads=1,
        evaluate_every=updates, checkpoint_every=updates, options=options,
    )  # fmt: skip
    run = begin(config, folder / f"{model}{'-open' * bool(options)}-{seed}")
    train_dynamics(run)
    return run.path, time.process_time() - clock


class LinearMaps:
    """c(t + Δt) = (A + E B + E² C) c(t) for each well; see the head of the file.

    Arguments:
        psi, fields: of the training simulations of one well, (n, frames, N) complex and (n, frames).
        components, ridge: numbers of components, and of the ridge in units of the mean square of a component.
    """

    def __init__(self, psi: np.ndarray, fields: np.ndarray, components: int, ridge: float) -> None:
        waves = psi.reshape(-1, psi.shape[-1])
        vectors = np.linalg.eigh(waves.T @ waves.conj())[1]
        self.basis = vectors[:, ::-1][:, :components].conj()  # (N, r): c = ψ·basis
        c = psi @ self.basis
        seen = self._seen(c[:, :-1].reshape(-1, components), halfway(fields).ravel())
        gram = seen.conj().T @ seen
        gram += ridge * np.trace(gram).real / len(gram) * np.eye(len(gram))
        self.maps = np.linalg.solve(gram, seen.conj().T @ c[:, 1:].reshape(-1, components))

    @staticmethod
    def _seen(c: np.ndarray, field: np.ndarray) -> np.ndarray:
        return np.concatenate([c, field[:, None] * c, field[:, None] ** 2 * c], axis=1)

    def rollout(self, psi: np.ndarray, fields: np.ndarray, frames: int) -> np.ndarray:
        """ψ at frames 1 … of (n, N) waves under (n, frames + 1) fields, (n, frames, N)."""
        c, out = psi @ self.basis, []
        with np.errstate(all="ignore"):  # some blow up, which their errors say
            for field in halfway(fields[:, : frames + 1]).T:
                c = self._seen(c, field) @ self.maps
                out.append(c @ self.basis.conj().T)
        return np.nan_to_num(np.stack(out, axis=1), nan=0.0, posinf=1e3, neginf=-1e3)


def halfway(fields: np.ndarray) -> np.ndarray:
    """Between the frames (n, frames), as emulators on the ring get it."""
    return between_frames(torch.from_numpy(fields)[..., None])[..., 0].numpy()


def waves_of(data: Dataset, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ψ (n, frames, N), E (n, frames), and which well each simulation is in."""
    part = data[split]
    wells = part["potential"][:].min(axis=1).round(3)
    return as_complex(part["psi"][:]), part["drive"][:].astype(float), wells


def linear_errors(learned: Dataset, tests: dict[str, Dataset]) -> tuple[dict[str, list[float]], str]:
    """C of every case by the linear maps that do best on the validation simulations; and which those are."""
    psi, fields, wells = waves_of(learned, "train")
    v_psi, v_fields, v_wells = waves_of(learned, "validation")
    best: tuple[float, int, float] = (-np.inf, 0, 0.0)
    for components in COMPONENTS:
        for ridge in RIDGES:
            score = statistics.fmean(
                correlations(LinearMaps(psi[wells == w], fields[wells == w], components, ridge),
                             v_psi[v_wells == w], v_fields[v_wells == w]).mean()
                for w in np.unique(wells)
            )  # fmt: skip
            best = max(best, (score, components, ridge))
    _, components, ridge = best
    found: dict[str, list[float]] = {}
    maps = {w: LinearMaps(psi[wells == w], fields[wells == w], components, ridge) for w in np.unique(wells)}
    for name, data in tests.items():
        t_psi, t_fields, t_wells = waves_of(data, "test")
        found[name] = [
            float(correlations(maps[w], t_psi[i : i + 1], t_fields[i : i + 1])[0])
            for i, w in enumerate(t_wells)
        ]
    return found, f"{components} components, ridge {ridge:g}"


def correlations(maps: LinearMaps, psi: np.ndarray, fields: np.ndarray) -> np.ndarray:
    """C of each case, mean over frames."""
    predicted = maps.rollout(psi[:, 0], fields, psi.shape[1] - 1)
    return waves_compared(predicted, psi[:, 1:]).correlation.mean(axis=1)


def network_errors(path: Path, tests: dict[str, Dataset]) -> dict[str, list[float]]:
    """C of every case by a network, mean over all frames that it predicts."""
    model, found = load_model(path), {}
    for name, data in tests.items():
        psi = data["test"]["psi"][:]
        frames = psi.shape[1] - history_of(model)
        pair = predict_frames(model, Curriculum.of(data).v_scale, psi, potentials_of(data, "test"), frames)
        found[name] = waves_compared(*pair).correlation.mean(axis=1).tolist()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="beginnings of each network on the ring")
    parser.add_argument("--updates", type=int, default=3000, help="of networks on the ring")
    parser.add_argument("--window-updates", type=int, default=3000, help="of networks that see windows")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, float | int | str] = {}
    with tempfile.TemporaryDirectory() as place:
        folder, data = Path(place), {}
        for name, recipe in recipes().items():
            generate(recipe, folder / f"{name}.zarr", workers=0)
            data[name] = open_dataset(folder / f"{name}.zarr")
        tests = {
            f"24 unseen shapes, {FRAMES} frames": data["unseen"],
            f"8 unseen shapes, {LONG} frames": data["long"],
        }
        found, which = linear_errors(data["learned"], tests)
        rows["linear maps, chosen"] = which
        tell(rows, "linear maps, one set a well", [found])
        for model, updates, seeds, more in (
            ("emulator_unitary", options.updates, options.seeds, {"open_ends": True}),
            ("emulator_unitary", options.updates, options.seeds, {}),
            ("emulator_spectral", options.updates, options.seeds, {}),
            ("emulator_linear", options.window_updates, 1, {}),
            ("emulator_gru", options.window_updates, 1, {}),
        ):
            several, seconds = [], []
            for seed in range(seeds):
                path, spent = trained(data["learned"], model, updates, seed, folder, **more)
                several.append(network_errors(path, tests))
                seconds.append(spent)
            ends, count = " with open ends" * bool(more), f"{seeds} seed{'s' * (seeds > 1)}"
            name = f"{model}{ends}, {updates:,} updates, {count}"
            rows[f"{name}: training [CPU s]"] = statistics.fmean(seconds)
            tell(rows, name, several)
    command = f"python benchmarks/driven_emulators.py --seeds {options.seeds} --updates {options.updates}"
    report("driven-emulators", f"{command} --window-updates {options.window_updates}", rows)


def tell(rows: dict[str, float | int | str], name: str, seeds: list[dict[str, list[float]]]) -> None:
    """1 − C, mean and worst of the cases, each the mean and the spread of the seeds."""
    for test in seeds[0]:
        for what, of in (("mean", statistics.fmean), ("worst", min)):
            errors = [1 - of(seed[test]) for seed in seeds]
            rows[f"{name}: 1 - C, {what} of {test}"] = statistics.fmean(errors)
            if len(errors) > 1:
                rows[f"{name}: 1 - C, {what} of {test}, spread"] = statistics.stdev(errors)


if __name__ == "__main__":
    main()
