"""Simulations: the dynamics paper's, its test cases, a small one to try things with, and grids of one's own.

The paper's are on its lattice, their packets cut at the ends of the box as its authors' are. Of the 14
shaped test cases the paper draws the potentials and gives few numbers. Known exactly: the step pyramid.
Approximately: half circle, both ramps, triple barrier. The other nine are ours, of the kinds it names. All
lie within the taught range, 0 ≤ V ≤ 14 Hartree, as the paper's do: its wells are boxes between walls. What
lies outside that range is in `beyond`, which the paper does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from itertools import chain
from typing import Any

import numpy as np

from qwell.datagen import presets_driven
from qwell.datagen.recipes.driven import BY_DEFAULT, DrivenRecipe
from qwell.datagen.recipes.driven_families import DrivenFamily
from qwell.datagen.recipes.trajectories import Family, TrajectoriesRecipe
from qwell.errors import InvalidInput, unknown
from qwell.physics.barriers import Potential
from qwell.physics.drives import Drive
from qwell.physics.propagators.settings import METHODS, Propagation
from qwell.physics.ring import Ring
from qwell.store.windows import Curriculum

X0 = (10.0, 40.0, 70.0)
S0 = tuple(np.arange(1, 4.5, 0.5).tolist())
E0 = tuple(float(e) for e in range(1, 10))
LATTICE = Propagation(hamiltonian="lattice")
DRIVEN_SETTINGS = ("drawn", "absorber", "keep", "levels")  # that only driven simulations have
AUTO = "auto"  # the propagator that takes less time; recipes name the one that this was
SOME_TIMES = 200  # at which driven potentials are looked at
WIDTHS = (7.0,)  # of barriers, Bohr

RECTANGULAR = (
    (15.0, 1.6, 2.0, 0.9, 7.7), (15.1, 1.7, 6.4, 7.4, 9.4), (15.6, 2.4, 3.7, 13.3, 10.5),
    (15.8, 4.9, 5.5, 11.6, 9.4), (17.0, 3.8, 6.8, 7.4, 2.4), (17.5, 2.8, 4.7, 5.3, 8.7),
    (17.5, 3.8, 1.5, 4.0, 18.2), (17.9, 3.2, 8.2, 6.5, 23.4), (19.4, 2.7, 7.5, 9.7, 23.7),
    (19.6, 2.8, 5.9, 4.1, 3.9), (19.7, 1.1, 8.6, 0.6, 11.0),
)  # fmt: skip
FREE = (
    (23.8, 0.9, 8.7), (24.8, 3.8, 4.8), (29.6, 3.4, 1.6), (33.8, 3.2, 6.2), (46.3, 4.0, 3.4),
    (48.8, 2.4, 3.3), (61.0, 3.4, 6.3), (66.8, 4.0, 6.9), (67.0, 4.4, 4.6), (68.4, 4.9, 2.5),
    (72.7, 2.8, 7.1), (84.1, 1.0, 8.8),
)  # fmt: skip
POINT = 100 / 1024  # of the paper's mesh
STEP = 20 * POINT
SHAPED: tuple[tuple[tuple[float, float, float], str, dict[str, object]], ...] = (
    # the paper's, exactly: 1, 2 … 6 … 2, 1 in steps of twenty points from point 501: with
    # these, and not from point 500, the authors' released results are met
    ((12.5, 2.0, 6.0), "steps", {
        "edges": [(25 + i) * STEP + POINT for i in range(12)],
        "heights": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]}),
    # the paper's, approximately
    ((20.5, 1.0, 6.0), "half-circle", {
        "height": 8.0, "radius": 5 * STEP, "centre": 25 * STEP + POINT}),
    ((20.0, 2.0, 6.0), "ramp", {"height": 6.0, "width": 10 * STEP}),
    ((20.0, 2.0, 6.0), "ramp", {"height": 6.0, "width": 10 * STEP, "falling": True}),
    ((20.0, 2.0, 6.0), "rectangles", {
        "edges": [39.0, 49.0, 58.5, 71.5, 88.0, 93.0], "heights": [6.2, 5.1, 9.1]}),
    # ours, of the kinds the paper names
    ((20.0, 2.0, 6.0), "rectangles", {"edges": [45.0, 50.0, 60.0, 65.0], "heights": [4.0, 7.0]}),
    ((20.0, 3.0, 4.0), "rectangles", {"edges": [40.0, 47.0, 52.0, 56.0], "heights": [8.0, 3.0]}),
    ((20.0, 2.0, 5.0), "trapezoid", {"height": 7.0, "width": 20.0, "top": 8.0}),
    ((20.0, 2.0, 6.0), "triangle", {"height": 8.0, "width": 20.0}),
    ((20.0, 2.5, 5.0), "random", {"height": 6.0, "width": 25.0, "length": 2.0, "seed": 1}),
    ((20.0, 2.0, 6.0), "quadratic", {"height": 9.0, "width": 15.0}),
    ((20.0, 3.0, 3.0), "quadratic", {"height": 4.0, "width": 30.0}),
    ((40.0, 2.0, 4.0), "rectangles", {"edges": [0.0, 30.0, 70.0, 100.0], "heights": [10.0, 10.0]}),
    ((45.0, 3.0, 3.0), "rectangles", {"edges": [0.0, 35.0, 75.0, 100.0], "heights": [6.0, 8.0]}),
)  # fmt: skip
BEYOND: tuple[tuple[tuple[float, float, float], Potential], ...] = (
    ((20.0, 2.0, 4.0), Potential("rectangle", {"height": -4.0, "width": 10.0})),
    ((20.0, 3.0, 6.0), Potential("rectangles", {"edges": [42.0, 47.0, 55.0, 60.0], "heights": [-6.0, -3.0]})),
    ((20.0, 2.0, 6.0), Potential("rectangle", {"height": 20.0, "width": 7.0})),
    ((20.0, 2.0, 12.0), Potential("rectangle", {"height": 6.0, "width": 7.0})),
    ((20.0, 0.6, 5.0), Potential("rectangle", {"height": 6.0, "width": 7.0})),
    ((25.0, 6.0, 5.0), Potential("rectangle", {"height": 6.0, "width": 7.0})),
)


def _rectangle(height: float, width: float = WIDTHS[0]) -> Potential:
    return Potential("rectangle", {"height": float(height), "width": float(width)})


def _barrier() -> TrajectoriesRecipe:
    family = Family(X0, S0, E0, tuple(_rectangle(h) for h in range(1, 15)))
    return TrajectoriesRecipe((family,), validation=12, wrap=False, propagation=LATTICE,
                              curriculum=Curriculum(v_scale=14.0))  # fmt: skip


def _free() -> TrajectoriesRecipe:
    return TrajectoriesRecipe((Family(X0, S0, E0),), validation=12, wrap=False, propagation=LATTICE)


def _tests(families: tuple[Family, ...], v_scale: float) -> TrajectoriesRecipe:
    return TrajectoriesRecipe(families, split="test", wrap=False, propagation=LATTICE,
                              curriculum=Curriculum(v_scale=v_scale))  # fmt: skip


def _tests_rect() -> TrajectoriesRecipe:
    cases = tuple(Family((x,), (s,), (e,), (_rectangle(h, w),)) for x, s, e, h, w in RECTANGULAR)
    return _tests(cases, 14.0)


def _tests_free() -> TrajectoriesRecipe:
    return _tests(tuple(Family((x,), (s,), (e,)) for x, s, e in FREE), 1.0)


def _tests_shaped() -> TrajectoriesRecipe:
    cases = (Family((x,), (s,), (e,), (Potential(shape, numbers),)) for (x, s, e), shape, numbers in SHAPED)
    return _tests(tuple(cases), 14.0)


def _beyond() -> TrajectoriesRecipe:
    """Outside what `paper-barrier` teaches: wells, a higher barrier; a faster, narrower, wider packet."""
    return _tests(tuple(Family((x,), (s,), (e,), (v,)) for (x, s, e), v in BEYOND), 14.0)


def _demo() -> TrajectoriesRecipe:
    """Barriers of 2, 5 and 10 Hartree: an eighth of the paper's packets, on its lattice."""
    family = Family(X0, (1.0, 2.5, 4.0), (1.0, 5.0, 9.0), tuple(_rectangle(h) for h in (2, 5, 10)))
    return TrajectoriesRecipe((family,), validation=3, wrap=False, propagation=LATTICE,
                              curriculum=Curriculum(v_scale=14.0))  # fmt: skip


PRESETS: dict[str, Callable[[], TrajectoriesRecipe]] = {
    "paper-barrier": _barrier,
    "paper-free": _free,
    "paper-tests-rect": _tests_rect,
    "paper-tests-free": _tests_free,
    "paper-tests-shaped": _tests_shaped,
    "beyond": _beyond,
    "demo": _demo,
    **presets_driven.PRESETS,
}


def preset(name: str) -> TrajectoriesRecipe:
    """A ready-made recipe; InvalidInput lists the names there are."""
    if name not in PRESETS:
        raise InvalidInput(unknown("preset", name, PRESETS))
    return replace(PRESETS[name](), name=name)


def adapted(recipe: TrajectoriesRecipe, changes: Mapping[str, Any]) -> TrajectoriesRecipe:
    """A recipe with other settings of its ring, its propagation, its storage and its windows.

    Arguments:
        recipe: to be changed; its packets and potentials stay.
        changes: by the names of the fields of `Ring`, `Propagation`, `Curriculum` and `TrajectoriesRecipe`
            or of `DrivenRecipe`; `seed` is of the latter. A new method takes its own substep, and a new
            precision its own tolerance, unless they are given; the method "auto" is the one that takes less
            time.
    """
    how = _own(Propagation, changes)
    if auto := how.get("method") == AUTO:
        how["method"] = Propagation.method
    if "method" in how:
        how.setdefault("substep", None)
    if "precision" in how:
        how.setdefault("tolerance", None)
    made = replace(
        recipe,
        ring=replace(recipe.ring, **_own(Ring, changes)),
        propagation=replace(recipe.propagation, **how),
        curriculum=replace(recipe.curriculum, **_windows(changes)),
        **_own(type(recipe), changes),
    )
    return made.by_the_fastest() if auto else made


def grid(
    potentials: tuple[Potential, ...] = (),
    hb: tuple[float, ...] | None = None,
    wb: tuple[float, ...] = WIDTHS,
    v_scale: float | None = None,
    method: str = AUTO,
    drives: tuple[Drive, ...] = (),
    **settings: Any,
) -> TrajectoriesRecipe:
    """Every packet in every potential, under every drive if there are any.

    Arguments:
        potentials: what packets move in; free space if there are none.
        hb, wb: heights and widths of rectangular barriers in the middle of the box, instead of potentials.
        v_scale: what windows divide potentials by, Hartree; by default the largest |V|, or 1 if all are free.
        method: see `Propagation`; or "auto", the one that takes less time.
        drives: what potentials are driven by. With these, or with one of the fields that only a
            `DrivenRecipe` has among the settings, the recipe is one.
        settings: by the names of the fields of `Family`, `Ring`, `Propagation`, `Curriculum` and
            `TrajectoriesRecipe`, or `DrivenFamily` and `DrivenRecipe`; `seed` is of the recipe.

    Raises InvalidInput for barriers and potentials together, or a value out of range.
    """
    if hb is not None:
        if potentials:
            raise InvalidInput("--hb and --potential are two ways to say which potentials; give one of them")
        potentials = tuple(_rectangle(h, w) for h in hb for w in wb)
    potentials, ring = potentials or (Potential(),), Ring(**_own(Ring, settings))
    scale = _largest(potentials, ring, drives, settings) if v_scale is None else v_scale
    if method not in (AUTO, *METHODS):
        raise InvalidInput(unknown("propagator", method, (AUTO, *METHODS)))
    driven = bool(drives) or any(settings.get(name) is not None for name in DRIVEN_SETTINGS)
    own = (BY_DEFAULT["spectral"] if driven else Propagation.method) if method == AUTO else method
    family, recipe = (DrivenFamily, DrivenRecipe) if driven else (Family, TrajectoriesRecipe)
    more: dict[str, Any] = {"drives": drives} if drives else {}
    made = recipe(
        (family(potentials=potentials, **more, **_own(family, settings)),),
        ring=ring,
        propagation=Propagation(**_own(Propagation, {"method": own, **settings})),
        curriculum=Curriculum(v_scale=scale, **_windows(settings)),
        **_own(recipe, settings),
    )
    return made.by_the_fastest() if method == AUTO else made


def _own(part: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Of these values those that a dataclass has."""
    names = {f.name for f in fields(part)}
    return {name: value for name, value in values.items() if name in names}


def _windows(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of these values those that say which windows are learned from; `seed` is of the validation cases."""
    return {name: value for name, value in _own(Curriculum, values).items() if name != "seed"}


def _largest(
    potentials: tuple[Potential, ...], ring: Ring, drives: tuple[Drive, ...], settings: Mapping[str, Any]
) -> float:
    """max |V| over potentials on a ring, at some of the times if they are driven, Hartree; 1 if all are 0."""
    how = Propagation(**{name: settings[name] for name in ("dt", "frames") if name in settings})
    times = np.linspace(0.0, how.dt * how.frames, SOME_TIMES)
    fields = [v.on(ring) for v in potentials]
    driven = (drive.on(ring, v, times) for v in fields for drive in drives)  # one at a time in memory
    return float(max(np.abs(v).max() for v in chain(fields, driven))) or 1.0
