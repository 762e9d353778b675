"""Data sets of trajectories: what a recipe means, the same bytes however they are made, and their checks."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import content

from qwell.datagen import presets_driven
from qwell.datagen.audit.audit import audit
from qwell.datagen.pipeline import generate
from qwell.datagen.presets import PRESETS, preset
from qwell.datagen.recipes import trajectories
from qwell.datagen.recipes.trajectories import Family, TrajectoriesRecipe
from qwell.errors import InvalidInput
from qwell.physics.barriers import Potential
from qwell.physics.packets import packet
from qwell.physics.propagators.family import propagate
from qwell.physics.propagators.settings import Propagation
from qwell.physics.ring import Ring
from qwell.store.reader import open_dataset
from qwell.store.windows import Windows

RING = Ring(40.0, 256)
BARRIERS = tuple(Potential("rectangle", {"height": h, "width": 4.0}) for h in (2.0, 5.0, 8.0))
FAMILY = Family((10.0, 15.0), (1.5, 2.0), (2.0, 4.0), BARRIERS)
RECIPE = TrajectoriesRecipe(
    (FAMILY, Family((12.0,), (2.0,), (3.0,))), ring=RING, propagation=Propagation(frames=30), validation=5
)


def test_rows_are_the_cases_in_order() -> None:
    """Packets run fastest, then potentials, then families; each is the propagation of its beginning."""
    rows = RECIPE.rows("train", 0, 25)
    listed = [case for family in RECIPE.families for case in family.cases()]
    assert len(listed) == 25
    for k, (potential, (x0, s0, e0)) in enumerate(listed):
        assert (rows["x0"][k], rows["s0"][k], rows["e0"][k]) == (x0, s0, e0)
        np.testing.assert_array_equal(rows["potential"][k], potential.on(RING))
    assert rows["height"][0] == 2 and rows["height"][-1] == 0 and rows["width"][-1] == 0
    k = 13
    alone = propagate(
        packet(RING, "gaussian", *listed[k][1]), listed[k][0].on(RING), RING, RECIPE.propagation
    )
    np.testing.assert_allclose(rows["psi"][k], alone[0], atol=1e-6)
    assert rows["psi"].dtype == np.float32 and rows["psi"].shape == (25, 31, 256, 2)


@pytest.mark.parametrize("method", ["chebyshev", "eigen", "split-operator"])
def test_rows_do_not_depend_on_how_they_are_cut(method: str) -> None:
    recipe = replace(RECIPE, propagation=Propagation(method, frames=10))
    whole = recipe.rows("train", 0, 25)
    parts = [recipe.rows("train", a, b) for a, b in ((0, 8), (8, 16), (16, 24), (24, 25))]
    for name, values in whole.items():
        assert (values == np.concatenate([part[name] for part in parts])).all(), name


def test_the_same_bytes_however_made(tmp_path: Path) -> None:
    generate(RECIPE, tmp_path / "a.zarr", workers=0, shard_rows=8)
    generate(RECIPE, tmp_path / "b.zarr", workers=2, shard_rows=8)
    assert content(tmp_path / "a.zarr") == content(tmp_path / "b.zarr")
    generate(RECIPE, tmp_path / "c.zarr", workers=0, shard_rows=16)
    a, c = open_dataset(tmp_path / "a.zarr"), open_dataset(tmp_path / "c.zarr")
    assert (a["train"]["psi"][:] == c["train"]["psi"][:]).all()


def test_validation_lies_between(tmp_path: Path) -> None:
    rows = RECIPE.rows("validation", 0, 5)
    for name in ("x0", "s0", "e0"):
        assert (rows[name] >= getattr(FAMILY, name)[0]).all() and (
            rows[name] <= getattr(FAMILY, name)[-1]
        ).all()
    assert (rows["height"] <= 8).all() and len(np.unique(rows["x0"])) == 5
    other = replace(RECIPE, seed=1).rows("validation", 0, 5)
    assert (rows["x0"] != other["x0"]).all()


def test_a_good_set_passes_and_says_how_good_it_is(tmp_path: Path) -> None:
    generate(RECIPE, tmp_path / "a.h5", workers=0)
    found = audit(open_dataset(tmp_path / "a.h5"))
    assert found.problems == []
    assert found.numbers["simulated_again"] == 13  # eight of the training simulations, all five others
    assert found.numbers["largest_deviation"] < 1e-7 and found.numbers["deviation_from_exact"] < 1e-7
    assert found.numbers["irreversibility"] < 1e-10
    rows = open_dataset(tmp_path / "a.h5")["train"].rows(0, 25)
    assert rows["norm_drift"].max() < 1e-10 and rows["energy_drift"].max() < 1e-9


def test_the_audit_notices_another_law(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Potentials a thousandth too strong in the propagation."""
    true = trajectories.propagate
    monkeypatch.setattr(trajectories, "ENERGY_DRIFT", {"float64": 1.0})
    monkeypatch.setattr(trajectories, "propagate", lambda psi, v, *rest: true(psi, 1.001 * v, *rest))
    generate(RECIPE, tmp_path / "a.zarr", workers=0)
    problems = audit(open_dataset(tmp_path / "a.zarr")).problems
    assert any("made again" in p for p in problems) and any("exact" in p for p in problems)


def test_the_audit_notices_other_packets_and_norms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = trajectories.propagate
    monkeypatch.setattr(Propagation, "norm_tolerance", 1.0)
    monkeypatch.setattr(trajectories, "propagate", lambda psi, *rest: true(1.001 * psi, *rest))
    generate(RECIPE, tmp_path / "a.zarr", workers=0)
    monkeypatch.undo()
    problems = audit(open_dataset(tmp_path / "a.zarr")).problems
    assert any("norms differ" in p for p in problems) and any("first frame" in p for p in problems)


def test_a_norm_that_drifts_stops_the_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = trajectories.propagate
    monkeypatch.setattr(trajectories, "propagate", lambda psi, *rest: true(1.001 * psi, *rest))
    with pytest.raises(InvalidInput, match="norm drifts"):
        generate(RECIPE, tmp_path / "a.zarr", workers=0)
    assert not (tmp_path / "a.zarr").exists()


def test_a_loose_tolerance_is_noticed_by_the_energy() -> None:
    loose = replace(RECIPE, propagation=Propagation(frames=30, tolerance=1e-3))
    with pytest.raises(InvalidInput, match="drifts"):
        loose.rows("train", 0, 8)


def test_the_recipe_tells_its_accuracy_and_round_trips() -> None:
    plain = json.loads(json.dumps(RECIPE.to_json()))
    assert TrajectoriesRecipe.from_json(plain) == RECIPE
    assert plain["accuracy"]["bound"] <= 1e-11 and plain["accuracy"]["terms"] > 20
    assert replace(RECIPE, propagation=Propagation("eigen")).to_json()["accuracy"] is None
    for bad in (
        {},
        plain | {"extra": 1},
        plain | {"families": 3},
        plain | {"families": []},
        plain | {"ring": {"box": "x", "points": 4}},
        plain | {"propagation": {"colour": 1}},
        plain | {"validation": "5"},
        plain | {"families": [plain["families"][0] | {"x0": ["a"]}]},
        plain | {"families": [plain["families"][0] | {"potentials": [3]}]},
    ):
        with pytest.raises(InvalidInput):
            TrajectoriesRecipe.from_json(bad)


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in presets_driven.PRESETS])
def test_presets(name: str) -> None:
    recipe = preset(name)
    assert TrajectoriesRecipe.from_json(recipe.to_json()) == recipe and recipe.name == name
    assert recipe.propagation.hamiltonian == "lattice" and not recipe.wrap
    rows = {"paper-barrier": 2646, "paper-free": 189, "paper-tests-rect": 11, "paper-tests-free": 12,
            "paper-tests-shaped": 14, "beyond": 6, "demo": 81}  # fmt: skip
    assert recipe.rows_by_split[recipe.split] == rows[name]


def test_the_paper_s_test_cases_are_listed_exactly() -> None:
    recipe = preset("paper-tests-rect")
    _, potential, numbers = recipe.case("test", 4)
    assert numbers == (17.0, 3.8, 6.8) and potential.numbers == {"height": 7.4, "width": 2.4}
    assert preset("paper-tests-free").case("test", 11)[2] == (84.1, 1.0, 8.8)
    v = preset("paper-tests-shaped").beginning("test", 0)[1]
    assert [v[501 + 20 * i] for i in range(11)] == [1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1]
    assert v[500] == v[721] == 0


def test_trajectories_too_short_for_windows_are_trajectories(tmp_path: Path) -> None:
    """Windows are asked for by who wants them, not by the simulation."""
    short = TrajectoriesRecipe((Family(),), ring=Ring(100.0, 256), propagation=Propagation(frames=3))
    generate(short, tmp_path / "short.zarr", workers=0)
    data = open_dataset(tmp_path / "short.zarr")
    assert data["train"]["psi"][0].shape == (4, 256, 2)
    with pytest.raises(InvalidInput, match="does not fit trajectories of 4 frames"):
        Windows.of(data)


@pytest.mark.parametrize(
    ("shape", "numbers", "message"),
    [
        ("triangle", {"height": 8.0}, "triangle needs width as well: write triangle:height=…:width=…"),
        ("random", {}, "needs height and width and length as well"),
        ("triangle", {"height": 8.0, "width": 2.0, "wdth": 1.0}, "did you mean 'width'"),
    ],
)
def test_shapes_say_which_numbers_they_need(shape: str, numbers: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Potential(shape, numbers).on(Ring())


def test_potentials_of_the_paper_s_cases_lie_within_those_taught() -> None:
    """0 ≤ V ≤ 14 Hartree, the wells too; what lies beyond is in a preset of its own."""

    def reaches(name: str) -> list[bool]:
        shown = [preset(name).beginning("test", i)[1] for i in range(preset(name).rows_by_split["test"])]
        return [v.min() < 0 or v.max() > 14 for v in shown]

    assert not any(reaches("paper-tests-rect") + reaches("paper-tests-shaped"))
    assert sum(reaches("beyond")) == 3  # two wells and a high barrier; the others' packets are beyond


@pytest.mark.parametrize(
    "changes",
    [
        {"families": ()},
        {"dtype": "float16"},
        {"split": "validation"},
        {"validation": -1},
        {"families": (Family((50.0,), (2.0,), (3.0,)),)},
        {"families": (Family((10.0,), (2.0,), (3.0,), (Potential("rectangle", {"height": 1.0}),)),)},
        *(
            {"families": (Family((10.0,), (2.0,), (3.0,), (Potential("rectangle", numbers),)),)}
            for numbers in ({"height": 1.0, "width": float("inf")}, {"height": 10**400, "width": 1.0})
        ),
    ],
)
def test_impossible_recipes(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        replace(RECIPE, **changes)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        RECIPE.plan(12)


def test_resume_gives_the_same_bytes(tmp_path: Path) -> None:
    generate(RECIPE, tmp_path / "a.zarr", workers=0, shard_rows=8)

    class Stop(Exception):
        pass

    def after_two(rows: int) -> None:
        after_two.calls += 1  # type: ignore[attr-defined]
        if after_two.calls == 3:  # type: ignore[attr-defined]
            raise Stop

    after_two.calls = 0  # type: ignore[attr-defined]
    with pytest.raises(Stop):
        generate(RECIPE, tmp_path / "b.zarr", workers=0, shard_rows=8, progress=after_two)
    assert not (tmp_path / "b.zarr").exists()
    generate(RECIPE, tmp_path / "b.zarr", workers=0, shard_rows=8, resume=True)
    assert content(tmp_path / "a.zarr") == content(tmp_path / "b.zarr")
    shutil.rmtree(tmp_path / "b.zarr")


def test_xarray_reads_trajectories(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    for name, options in (("a.zarr", {"consolidated": False}), ("a.h5", {})):
        generate(RECIPE, tmp_path / name, workers=0)
        path = tmp_path / name
        if name.endswith("zarr"):
            found = xarray.open_zarr(path, group="train", **options)
        else:
            found = xarray.open_dataset(path, group="train", engine="h5netcdf")
        assert found.psi.dims == ("sample", "time", "x", "part") and found.psi.attrs["units"] == "bohr^-1/2"
        assert float(found.time[-1]) == pytest.approx(3.0) and found.x0.dims == ("sample",)
