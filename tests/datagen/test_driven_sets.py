"""Data sets of driven trajectories: the same bytes however they are made, their checks, and their windows."""

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support import content

from qwell.datagen import presets
from qwell.datagen.audit.audit import audit
from qwell.datagen.pipeline import generate
from qwell.datagen.presets_driven import drives_of
from qwell.datagen.recipes import driven
from qwell.datagen.recipes.driven import DrivenRecipe
from qwell.datagen.recipes.driven_families import DrivenFamily
from qwell.errors import InvalidInput
from qwell.figures.driven import driven_page
from qwell.physics.absorbers import Absorber
from qwell.physics.barriers import Potential
from qwell.physics.drives import Drive, Term
from qwell.physics.propagators.settings import Propagation
from qwell.physics.ring import Ring
from qwell.store.card import describe_recipe
from qwell.store.derive import subset
from qwell.store.driven import potentials_of
from qwell.store.reader import open_dataset
from qwell.store.windows import Curriculum, Windows, gather, statistics
from qwell.studies.pages import page
from qwell.train.trajectories import SegmentStream, WindowStream

PULSES = drives_of(
    [("dipole", {"amplitude": [0.2, 0.8], "frequency": [0.5, 1.5], "envelope": "sin2", "cycles": 2})]
)
WELLS = tuple(Potential("gaussian", {"height": -h, "width": 6.0}) for h in (3.0, 4.0))
FAMILY = DrivenFamily(potentials=WELLS, packet="ground", drives=PULSES, drawn=17)
RECIPE = DrivenRecipe(
    (FAMILY,),
    ring=Ring(30.0, 64),
    validation=3,
    propagation=Propagation("split-operator-4", frames=20, tolerance=1e-6),
    absorber=Absorber(8.0, 3.3),
    levels=2,
    curriculum=Curriculum(history=2, width=9, v_scale=4.0),
)
MOVING = replace(
    RECIPE,
    families=(
        DrivenFamily((10.0, 20.0), (2.0,), (1.0,), drives=(
            Drive((Term("move", {"from": 5.0, "to": 25.0, "duration": 2.0, "height": 2.0, "width": 4.0}),)),
        )),
    ),
    keep=("psi", "potential"), absorber=None, levels=0, validation=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("driven")
    generate(RECIPE, home / "pulses.zarr", workers=0, shard_rows=8)
    generate(MOVING, home / "moving.zarr", workers=0)
    return home


def test_the_same_bytes_however_made_and_after_a_kill(home: Path, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(rows: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        generate(RECIPE, tmp_path / "a.zarr", workers=0, shard_rows=8, progress=kill)
    generate(RECIPE, tmp_path / "a.zarr", workers=0, shard_rows=8, resume=True)
    assert content(tmp_path / "a.zarr") == content(home / "pulses.zarr")
    whole, parts = RECIPE.rows("train", 0, 17), [RECIPE.rows("train", a, a + 1) for a in (3, 16)]
    for one, row in zip(parts, (3, 16), strict=True):
        assert all((one[name][0] == whole[name][row]).all() for name in one)


def test_the_first_rows_of_a_longer_set_are_the_shorter_set() -> None:
    longer = replace(RECIPE, families=(replace(FAMILY, drawn=40),))
    for row in (0, 16):
        assert RECIPE.driven_case("train", row) == longer.driven_case("train", row)
    assert RECIPE.drive("train", 0) != RECIPE.drive("train", 1)
    assert RECIPE.drive("train", 0) != RECIPE.drive("validation", 0)
    assert replace(RECIPE, seed=1).drive("train", 0) != RECIPE.drive("train", 0)


def test_cases_are_drawn_between_and_without_drawing_all_combinations_come() -> None:
    found = [RECIPE.drive("train", row).terms[0].numbers for row in range(17)]
    for name, low, high in (("amplitude", 0.2, 0.8), ("frequency", 0.5, 1.5)):
        values = np.array([numbers[name] for numbers in found])
        assert low <= values.min() < low + 0.4 * (high - low) and high >= values.max() > values.min()
    assert {numbers["cycles"] for numbers in found} == {2}
    every = replace(RECIPE, families=(replace(FAMILY, drawn=0),), validation=0)
    assert every.rows_by_split == {"train": 8}
    cases = [every.driven_case("train", row) for row in range(8)]
    assert len({json.dumps([c[1].to_json(), c[3].to_json()]) for c in cases}) == 8


def test_recipes_round_trip_and_bad_ones_are_told() -> None:
    for recipe in (RECIPE, MOVING, *(presets.preset(n) for n in ("pulses", "pulses-long", "shaken-lattice"))):
        plain = json.loads(json.dumps(recipe.to_json(), sort_keys=True))
        assert DrivenRecipe.from_json(plain) == recipe
    plain = json.loads(json.dumps(RECIPE.to_json()))
    for bad in (
        {}, plain | {"extra": 1}, plain | {"keep": ["phi"]}, plain | {"keep": []}, plain | {"absorber": 3},
        plain | {"levels": -1}, plain | {"levels": "2"}, plain | {"levels": 2.0},
        plain | {"ring": plain["ring"] | {"points": 2**14}}, plain | {"families": [3]}, plain | {"tests": 3},
        plain | {"families": [plain["families"][0] | {"drawn": "x"}]},
        plain | {"families": [plain["families"][0] | {"drives": [[{"kind": "dipol"}]]}]},
        plain | {"propagation": plain["propagation"] | {"method": "chebyshev"}},
    ):  # fmt: skip
        with pytest.raises(InvalidInput):
            DrivenRecipe.from_json(bad)


def test_what_is_stored_is_what_is_measured(home: Path) -> None:
    data = open_dataset(home / "pulses.zarr")
    rows, recipe = data["train"].rows(0, 17), DrivenRecipe.from_json(data.recipe)
    for row in (0, 5):
        one = recipe.drive("train", row)
        np.testing.assert_array_equal(rows["drive"][row], one.signals(recipe.times)[:, 0])
        for name in ("amplitude", "frequency", "phase"):
            assert rows[f"drive_{name}"][row] == one.terms[0].complete[name]
        assert rows["drive_duration"][row] == pytest.approx(one.terms[0].duration)
    np.testing.assert_allclose(rows["norm"][:, 0], 1)
    np.testing.assert_allclose(rows["population"][:, 0], [[1, 0]] * 17, atol=1e-9)
    assert (rows["x0"] == pytest.approx(15, abs=1e-6)) and (rows["e0"] == 0).all()
    assert rows["error"].max() < 1e-6
    norm = (rows["psi"].astype(float) ** 2).sum(axis=(2, 3)) * 30 / 64
    np.testing.assert_allclose(rows["norm"], norm, atol=1e-6)
    returned = data.recipe["accuracy"]["returned"]
    assert len(returned) == len(data.recipe["accuracy"]["momenta"]) and 0 < min(returned) < 1e-4


def test_only_observables_are_kept_where_asked() -> None:
    little = replace(RECIPE, keep=("observables",))
    assert little.plan().bytes < RECIPE.plan().bytes / 3
    rows, whole = little.rows("train", 0, 8), RECIPE.rows("train", 0, 8)
    assert "psi" not in rows and (rows["population"] == whole["population"]).all()
    with pytest.raises(InvalidInput, match="keep these"):
        replace(RECIPE, keep=("psi",))


@pytest.mark.parametrize("name", ["moving", pytest.param("pulses", marks=pytest.mark.slow)])
def test_a_good_set_passes_and_is_propagated_again_by_another_integrator(home: Path, name: str) -> None:
    found = audit(open_dataset(home / f"{name}.zarr"), samples=2)
    assert found.problems == [] and "magnus" in found.summary
    assert found.numbers["largest_deviation"] < 1e-9
    assert 0 < found.numbers["deviation_of_integrators"] < 1e-5


def test_the_audit_notices_another_law_and_other_drives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Potentials a thousandth too strong in the propagation; and fields that are not those of the recipe."""
    few = replace(RECIPE, families=(replace(FAMILY, drawn=2),), validation=0)
    true = driven.evolve
    monkeypatch.setattr(driven, "evolve", lambda psi, v, *rest: true(psi, 1.001 * v, *rest))
    generate(few, tmp_path / "a.zarr", workers=0)
    monkeypatch.undo()
    problems = audit(open_dataset(tmp_path / "a.zarr")).problems
    assert any("made again" in p for p in problems) and any("by magnus" in p for p in problems)
    signals = driven.signals_of
    monkeypatch.setattr(driven, "signals_of", lambda *a: {k: 1.01 * v for k, v in signals(*a).items()})
    generate(few, tmp_path / "b.zarr", workers=0)
    monkeypatch.undo()
    assert any("the drive is not" in p for p in audit(open_dataset(tmp_path / "b.zarr")).problems)


@pytest.mark.parametrize("spoilt", ["drive_2", "drive_amplitude"])
def test_every_term_and_number_of_a_drive_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    two = drives_of([("formula", {"v": "0.01*x*t"}), ("dipole", {"amplitude": 0.1, "frequency": 1.0})])
    both = (*two, *PULSES[:1])  # the first term has a signal in one family, in the other it has none
    few = replace(
        RECIPE,
        families=(replace(FAMILY, drives=both, drawn=0, potentials=WELLS[:1]),),
        propagation=replace(RECIPE.propagation, frames=4), validation=0,
    )  # fmt: skip
    generate(few, tmp_path / "a.zarr", workers=0)
    assert audit(open_dataset(tmp_path / "a.zarr"), samples=1).problems == []
    for name in ("signals_of", "numbers_of"):
        true = getattr(driven, name)

        def wrong(*given: object, true: Callable[..., dict[str, np.ndarray]] = true) -> dict[str, np.ndarray]:
            return {k: v * (1.01 if k == spoilt else 1) for k, v in true(*given).items()}

        monkeypatch.setattr(driven, name, wrong)
    generate(few, tmp_path / "b.zarr", workers=0)
    monkeypatch.undo()
    assert any(f"the {spoilt} is not" in p for p in audit(open_dataset(tmp_path / "b.zarr")).problems)


def test_many_drives_are_looked_at_one_after_another() -> None:
    many = drives_of([("dipole", {"amplitude": np.linspace(0.1, 1, 100).tolist(), "frequency": 1.0})])
    tracemalloc.start()
    presets.grid((WELLS[0],), drives=many, packet="ground", box=30.0, points=256, frames=10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * presets.SOME_TIMES * 256 * 8


def test_norms_that_rise_and_momenta_beyond_the_mesh_stop_the_writing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    true = driven.evolve

    def growing(psi: np.ndarray, *rest: object) -> tuple[np.ndarray, np.ndarray]:
        frames, errors = true(psi, *rest)  # type: ignore[arg-type]
        return frames * (1 + 1e-4 * np.arange(frames.shape[1]))[:, None], errors

    monkeypatch.setattr(driven, "evolve", growing)
    with pytest.raises(InvalidInput, match="norm drifts"):
        RECIPE.rows("train", 0, 1)
    monkeypatch.undo()
    kick = drives_of([("dipole", {"amplitude": 30.0, "frequency": 1.0})])
    with pytest.raises(InvalidInput, match="--points"):
        replace(RECIPE, families=(replace(FAMILY, drives=kick, drawn=0),), absorber=None).rows("train", 0, 1)


@pytest.mark.parametrize("name", ["pulses", "moving"])
def test_windows_and_segments_carry_the_potential_of_their_time(home: Path, name: str) -> None:
    data = open_dataset(home / f"{name}.zarr")
    recipe = DrivenRecipe.from_json(data.recipe)
    count = len(data["train"])
    exact = np.array(
        [recipe.drive("train", i).on(recipe.ring, recipe.beginning("train", i)[1], recipe.times)
         for i in range(count)]
    )  # fmt: skip
    np.testing.assert_allclose(potentials_of(data, "train"), exact, atol=1e-6)
    c = recipe.curriculum
    windows = Windows.of(data)
    simulation, start, left = windows.at(np.arange(len(windows)))
    found = gather(windows.psi, windows.potential, simulation, start, left, c)
    where = (left[:, None] + np.arange(c.width)) % 64
    times = start[:, None] + np.arange(c.history + 1)
    expected = exact[simulation[:, None, None], times[:, :, None], where[:, None]] / c.v_scale
    np.testing.assert_allclose(found[..., 2], expected, atol=1e-6)
    assert (left > 64 - c.width).any() and statistics(data)["touching"] > statistics(data)[
        "touching_unweighted"
    ]

    cpu = torch.device("cpu")
    seen, _ = next(WindowStream(data, batch=8, seed=0, device=cpu, curriculum=c, channels=3))
    assert float(seen[..., 2].diff(dim=1).abs().max()) > 0
    stream = SegmentStream(data, batch=2, seed=0, device=cpu, unroll=3, v_scale=4.0)
    psi, potential = next(stream)
    assert psi.shape == (2, 4, 64) and potential.shape == (2, 3, 64)
    middles = (recipe.times[1:] + recipe.times[:-1]) / 2
    halfway = np.concatenate(
        [recipe.drive("train", i).on(recipe.ring, recipe.beginning("train", i)[1], middles)
         for i in range(count)]
    )  # fmt: skip
    for v in potential.flatten(0, 1).numpy():
        assert np.abs(halfway / 4 - v).max(axis=1).min() < 0.25 * np.abs(v).max()  # neighbours: 0.5 or more


def test_a_moving_potential_that_was_not_kept_is_told(tmp_path: Path) -> None:
    generate(replace(MOVING, keep=("psi",)), tmp_path / "a.zarr", workers=0)
    with pytest.raises(InvalidInput, match="--keep psi,potential"):
        Windows.of(open_dataset(tmp_path / "a.zarr"))


@pytest.mark.parametrize(
    "name", ["driven-small", "pulses", "pulses-long", "shaken-lattice", "moving-barrier"]
)
def test_presets_are_what_they_say(name: str) -> None:
    recipe = presets.preset(name)
    assert isinstance(recipe, DrivenRecipe) and recipe.name == name
    if name.startswith("pulses"):
        taught = {d.terms[0].complete["envelope"] for f in recipe.families for d in f.drives}  # type: ignore[attr-defined]
        unseen = {d.terms[0].complete["envelope"] for f in recipe.tests for d in f.drives}
        assert taught == ({"gaussian", "sin2"} if name == "pulses" else {"flat", "sech", "double"})
        assert recipe.propagation.frames == (500 if name == "pulses" else 5000) and not taught & unseen
    short = presets.adapted(recipe, {"frames": 5, "points": 256, "levels": 0})
    split = next(iter(short.rows_by_split))
    assert short.rows(split, 0, 1)["error"].max() < 1e-6


def test_parts_of_driven_sets_say_that_they_are_verified_where_they_came_from(
    home: Path, tmp_path: Path
) -> None:
    subset(open_dataset(home / "pulses.zarr"), tmp_path / "some.zarr", 5)
    with pytest.raises(InvalidInput, match="data it was made of"):
        audit(open_dataset(tmp_path / "some.zarr"))


def test_nothing_is_drawn_of_what_was_not_kept() -> None:
    axes = {"x": np.arange(8.0), "time": np.arange(3.0)}
    for fields, panels in (({}, 1), ({"drive": np.zeros((1, 3))}, 3)):  # the drive has an axis of its own
        figure = driven_page(axes, fields, np.ones((1, 3, 8)), ["a"], "b")
        assert len([a for a in figure.axes if a.get_label() != "<colorbar>"]) == panels


def test_the_axis_of_a_drive_has_its_unit(home: Path) -> None:
    figure = page(open_dataset(home / "pulses.zarr"), "train", slice(0, 1))
    assert "field E(t) of term 1  [hartree/bohr]" in [axes.get_ylabel() for axes in figure.axes]


def test_of_an_eigenstate_no_numbers_of_a_packet_are_told() -> None:
    family = {"x0": [10.0], "s0": [2.0], "e0": [5.0], "packet": "ground"}
    assert describe_recipe({"families": [family]}) == "families [packet ground]"
    assert "x0 [10.0]" in describe_recipe({**family, "packet": "gaussian"})
