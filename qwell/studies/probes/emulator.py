"""An emulator, loaded to be asked about waves on a ring: they must be of the kind that it learned from."""

from __future__ import annotations

from pathlib import Path

from qwell.errors import InvalidInput, warn
from qwell.models.layers import Network
from qwell.models.propagating import UnitaryEmulator
from qwell.physics.propagators.settings import Propagation, setting_of
from qwell.physics.ring import Ring
from qwell.train.runs import load_model, trained_on

NEAR = 1e-9  # relative difference of two meshes or time steps that are the same


def load_emulator(
    path: str | Path,
    ring: Ring,
    how: Propagation,
    device: str = "cpu",
    anyway: bool = False,
) -> tuple[Network, float]:
    """A trained emulator and the v_scale it was trained with.

    An emulator knows neither the distance of two points nor the time between two frames: it goes on as it
    learned, whatever the waves are. Those of another mesh, time step or kinetic energy it answers wrongly.

    Arguments:
        path: a run, model folder or pretrained name.
        ring, how: of the waves it will be asked about.
        device: where it computes.
        anyway: warn of another setting instead of refusing it.

    Raises InvalidInput for another network, or another setting than it learned in.
    """
    model = load_model(path, device, "dynamics")
    if isinstance(model, UnitaryEmulator) and model.config.points != ring.points:
        raise InvalidInput(
            f"{path} is made for {model.config.points:,} points, and the waves have {ring.points:,}; give"
            f" waves of --points {model.config.points}"
        )
    about = trained_on(path)
    differs = differences(about.get("recipe"), ring, how)
    if differs:
        said = f"{path} learned with {' and '.join(differs)}: what it says of these waves is wrong"
        if not anyway:
            raise InvalidInput(f"{said}; give waves like those, or --anyway")
        warn(said)
    return model, float(about.get("v_scale", 1.0))


def learned(path: str | Path) -> dict[str, int | str | None]:
    """How much an emulator learned, as far as it says: updates, and from what."""
    about = trained_on(path)
    rows = about.get("rows")
    source = str(about.get("data", "data not recorded")) + (f", {rows:,} simulations" if rows else "")
    return {"updates": about.get("updates"), "learned_from": source}


def differences(recipe: object, ring: Ring, how: Propagation) -> list[str]:
    """In what the waves that were learned from, by a recipe, differ from others; nothing if it is not known.

    Arguments:
        recipe: of trajectories.
        ring, how: of the others.

    Returns: dx, dt and the Hamiltonian in words, of those that are not the same.
    """
    if not isinstance(recipe, dict) or "ring" not in recipe:
        return []
    own_ring, own = setting_of(recipe)
    found = [
        f"{what} = {learned:g} instead of {asked:g}"
        for what, learned, asked in (("dx", own_ring.dx, ring.dx), ("dt", own.dt, how.dt))
        if abs(learned - asked) > NEAR * learned
    ]
    if own.hamiltonian != how.hamiltonian:
        found.append(f"the Hamiltonian {own.hamiltonian} instead of {how.hamiltonian}")
    return found
