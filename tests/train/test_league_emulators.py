"""The league of emulators: the same simulations for all, and classical methods that do what they say."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import run

from qwell.errors import InvalidInput
from qwell.models.registry import create_model, save_pretrained
from qwell.physics.packets import packet
from qwell.physics.propagators.family import propagate
from qwell.physics.propagators.settings import Propagation
from qwell.physics.ring import Ring
from qwell.physics.waves import as_complex
from qwell.studies.league.emulators import Cases, EmulatorLeague, Entry, _outside, classical
from qwell.train.horizon import COVERAGES

RING = Ring(box=40.0, points=256)
HOW = Propagation(hamiltonian="lattice", frames=6)
CHOSEN_BY_TIME = ("us", "opponent", "opponent_us")


def cases(heights: tuple[float, ...] = (0.0, 3.0), e0: float = 4.0) -> Cases:
    """A packet in barriers."""
    v = np.zeros((len(heights), RING.points))
    v[:, 120:140] = np.array(heights)[:, None]
    psi = np.stack([packet(RING, "gaussian", 17.0, 2.0, e0, False)] * len(heights))
    return Cases("own", psi, v, np.array([[2.0, e0]] * len(heights)), RING, HOW)


def recipe(how: Propagation = HOW) -> dict[str, object]:
    """Of a model that learned from packets of 3 to 5 Hartree in barriers of 1 to 3."""
    from qwell.datagen.presets import grid

    made = grid(hb=(1.0, 3.0), wb=(7.0,), e0=(3.0, 5.0), s0=(1.0, 3.0), box=40.0, points=256, method="eigen",
                dt=how.dt, hamiltonian="lattice")  # fmt: skip
    return made.to_json()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An emulator of windows that cannot see potentials, and one on the ring with bounds."""
    home = tmp_path_factory.mktemp("models")
    ring = create_model("emulator_unitary", points=256, layers=1)
    bounds = {
        "count": 9,
        "coverages": list(COVERAGES),
        "bounds": [[1e-9] * 6, [1e-9] * 6, [9.0] * 3 + [1e-9] * 3],
    }
    about = {"data": "a.zarr", "updates": 7, "recipe": recipe(), "v_scale": 3.0}
    save_pretrained(ring, home / "ring", about | {"horizon": bounds})
    save_pretrained(ring, home / "slow", about | {"recipe": recipe(replace(HOW, dt=0.05))})
    save_pretrained(create_model("emulator_dense", channels=2, history=2, width=7), home / "blind", {})
    return home


def test_split_steps_are_those_of_the_propagator() -> None:
    """On the mesh of the simulations; a coarser one is as good where the waves are long."""
    one = cases()
    methods = classical(one)
    how = replace(HOW, method="split-operator", substep=HOW.dt / 4)
    expected = as_complex(propagate(one.psi, one.potential, RING, how)[:, 1:])
    np.testing.assert_allclose(methods["Strang, 256 points, 4 steps"](), expected, atol=2e-5)
    exact = as_complex(propagate(one.psi, one.potential, RING, HOW)[:, 1:])
    off = {n: np.abs(methods[n]() - exact).max() for n in methods}
    assert off["Strang, 256 points, 8 steps"] < off["Strang, 256 points, 1 steps"] / 4
    assert off["Chebyshev, float32, 0.0001"] < off["Chebyshev, float32, 0.1"]
    assert "Strang, 512 points, 1 steps" not in methods  # a finer mesh than the simulations have


def test_emulators_are_measured_beside_the_fastest_that_errs_no_more(home: Path) -> None:
    league = EmulatorLeague([home / "ring", home / "blind"], [cases(), cases((0.0, 0.0))])
    both, free = (league.play(one) for one in league.sets())
    assert [e.model for e in both if e.parameters] == ["ring"]  # a potential cannot be seen by the other
    assert [e.model for e in free if e.parameters] == ["ring", "blind"]
    for entries in (both, free):
        for one in (e for e in entries if e.parameters):
            able = {e.model: e.us for e in entries if not e.parameters and e.error <= one.error}
            assert one.opponent_us == able[one.opponent] == min(able.values())
    ring, blind = both[-1], free[-1]
    assert ring.updates == 7 and ring.learned_from == "a.zarr" and ring.batch == 2 and ring.threads == 1
    assert ring.covered == 0.5 and ring.bound_last == pytest.approx(1e-9)  # of six frames three are bounded
    assert blind.covered is None and blind.marked is None  # nothing is known of its training


def test_what_lies_outside_the_training_is_marked(home: Path) -> None:
    """A barrier or a packet beyond its range; or another time step, which is all of a set."""
    marked = []
    for one in (cases((0.0, 3.0)), cases((3.0, 4.0)), cases((-1.0, 2.0)), cases(e0=6.0)):
        ring, slow = EmulatorLeague([home / "ring", home / "slow"], [one]).play(one)[-2:]
        marked.append(ring.marked)
        assert slow.marked == 1.0
    assert marked == [0.0, 0.5, 0.5, 1.0]


def test_the_league_is_the_same_twice_but_for_its_times(tmp_path: Path) -> None:
    command = ("qtrain", "league", "emulator-unitary", "--task", "dynamics", "--n", 1, "--frames", 2)
    tables = []
    for name in ("a.csv", "b.csv"):
        said = run(*command, "--out", name, "--figure", "e.png", cwd=tmp_path).stdout
        with (tmp_path / name).open() as file:
            rows = list(csv.DictReader(file))
        tables.append([{k: v for k, v in row.items() if k not in CHOSEN_BY_TIME} for row in rows])
    assert tables[0] == tables[1] and len(tables[0]) == 5 * 16
    assert {row["cases"] for row in tables[0]} == {"rect", "shaped", "free", "beyond", "rect, 2 dt"}
    assert said.count("emulator-unitary") == 5 and set(tables[0][0]) < {*Entry.__dataclass_fields__}
    wrong = run("qtrain", "league", "--frames", 2, cwd=tmp_path, code=2)
    assert "belongs to --task dynamics" in wrong.stderr


def test_an_emulator_that_fits_no_set_is_refused(tmp_path: Path) -> None:
    save_pretrained(create_model("emulator_unitary", points=64, layers=1), tmp_path / "small", {})
    with pytest.raises(InvalidInput, match="small fits none of the test sets, which have 256 points"):
        EmulatorLeague([tmp_path / "small"], [cases()])


@pytest.mark.parametrize("broken", [{"families": []}, {"families": [{"s0": [1]}]}, {"families": 3}])
def test_what_a_record_does_not_say_marks_nothing(broken: dict[str, object], tmp_path: Path) -> None:
    ring = create_model("emulator_unitary", points=256, layers=1)
    save_pretrained(ring, tmp_path / "ring", {"recipe": recipe() | broken, "v_scale": 3.0})
    (made,) = EmulatorLeague([tmp_path / "ring"], [cases()]).networks.values()
    assert _outside(made.about["recipe"], cases()) is None
