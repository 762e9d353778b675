"""Windows: the released rule, each once, and gathered as a plain loop would."""

import numpy as np
import pytest

from qwell.datagen.pipeline import generate
from qwell.datagen.presets import preset
from qwell.datagen.recipes.trajectories import Family, TrajectoriesRecipe
from qwell.errors import InvalidInput
from qwell.physics.barriers import Potential
from qwell.physics.propagators.settings import Propagation
from qwell.physics.ring import Ring
from qwell.store.dataset import Dataset
from qwell.store.materialize import materialize
from qwell.store.reader import open_dataset
from qwell.store.windows import Curriculum, Order, Windows, gather, statistics

SMALL = Curriculum(history=3, width=9, times=0.5, edges=0.25, v_scale=5.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    barriers = tuple(Potential("rectangle", {"height": h, "width": 3.0}) for h in (2.0, 5.0))
    recipe = TrajectoriesRecipe(
        (Family((5.0, 10.0), (1.5,), (3.0,), barriers),),
        ring=Ring(25.0, 128),
        propagation=Propagation(frames=20),
        curriculum=SMALL,
        validation=1,
    )
    path = tmp_path_factory.mktemp("windows") / "small.zarr"
    generate(recipe, path, workers=0)
    return open_dataset(path)


def test_the_released_rule() -> None:
    """446 of 496 start times, 102 of 1024 left edges: 45,492 windows a simulation, 72 % at the barrier."""
    recipe = preset("paper-barrier")
    potential = recipe.families[0].potentials[4].on(recipe.ring)
    c = recipe.curriculum
    assert c.counts(501, 1024) == (446, 102) and recipe.rows_by_split["train"] * 446 * 102 == 120_371_832
    chosen = c.choose("train", 7, potential, 501)
    assert chosen.shape == (45_492, 2)
    assert len(np.unique(chosen, axis=0)) == 45_492 and len(np.unique(chosen[:, 0])) == 446
    assert chosen.min() == 0 and chosen[:, 0].max() <= 495 and chosen[:, 1].max() <= 1023
    touching = c.touches(potential)
    assert touching.sum() == 71 + 22  # every left edge from 22 points before the barrier to its last point
    assert touching[chosen[:, 1]].mean() == pytest.approx(0.72, abs=0.005)


def test_weights_are_chances() -> None:
    """With one edge drawn of each time, those that touch are drawn as their weight says."""
    c = Curriculum(history=1, width=1, times=1.0, edges=1e-9, weight=3.0)
    potential = np.zeros(10)
    potential[:4] = 1.0
    drawn = np.concatenate([c.choose("train", i, potential, 1002)[:, 1] for i in range(20)])
    share = (drawn < 4).mean()
    assert share == pytest.approx(12 / 18, abs=4 * np.sqrt(share * (1 - share) / len(drawn)))


def test_the_choice_is_a_function_of_seed_split_and_simulation() -> None:
    v = np.zeros(64)
    a = SMALL.choose("train", 3, v, 21)
    assert (a == SMALL.choose("train", 3, v, 21)).all()
    for other in (("train", 4), ("validation", 3)):
        assert (a != SMALL.choose(*other, v, 21)).any()


def test_gathering_is_slicing(data: Dataset) -> None:
    windows = Windows.of(data)
    psi, potential = data["train"]["psi"][:], data["train"]["potential"][:]
    simulation, start, left = windows.at(np.arange(len(windows)))
    assert (left > 128 - 9).any()  # some go round the ring
    found = gather(windows.psi, windows.potential, simulation, start, left, SMALL)
    assert found.shape == (len(windows), 4, 9, 3) and found.dtype == np.float32
    for i in range(0, len(windows), 7):
        where = (left[i] + np.arange(9)) % 128
        for f in range(4):
            np.testing.assert_array_equal(found[i, f, :, :2], psi[simulation[i], start[i] + f][where])
            np.testing.assert_array_equal(
                found[i, f, :, 2], (potential[simulation[i]][where] / 5).astype(np.float32)
            )


@pytest.mark.parametrize("total", [1, 2, 3, 1000, 65_537])
def test_an_order_is_a_permutation(total: int) -> None:
    one, other = (Order(total, (0, epoch))(np.arange(total)) for epoch in (0, 1))
    assert (np.sort(one) == np.arange(total)).all() and (np.sort(other) == np.arange(total)).all()
    if total > 100:
        assert (one != other).mean() > 0.9
        assert abs(np.corrcoef(one, np.arange(total))[0, 1]) < 5 / np.sqrt(total)
        assert abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 5 / np.sqrt(total)


def test_batches_hold_every_window_once_and_can_be_taken_up(data: Dataset) -> None:
    windows = Windows.of(data)
    every = gather(windows.psi, windows.potential, *windows.at(np.arange(len(windows))), SMALL)
    batches = list(windows.batches(16, seed=1))
    assert len(batches) == len(windows) // 16
    seen = {b.tobytes() for batch in batches for b in batch}
    assert len(seen) >= len(batches) * 16 - 2 and seen <= {w.tobytes() for w in every}
    later = list(windows.batches(16, seed=1, first=5))
    assert all((a == b).all() for a, b in zip(batches[5:], later, strict=True))
    assert (next(windows.batches(16, seed=1, epoch=1)) != batches[0]).any()


def test_statistics(data: Dataset) -> None:
    found, windows = statistics(data), Windows.of(data)
    assert found["windows"] == len(windows) == 4 * found["per_simulation"]
    simulation, _, left = windows.at(np.arange(len(windows)))
    touching = [SMALL.touches(windows.potential[s])[e] for s, e in zip(simulation, left, strict=True)]
    assert found["touching"] == pytest.approx(np.mean(touching))
    assert found["touching_unweighted"] == pytest.approx((15 + 8) / 128)


@pytest.mark.parametrize("name", ["w.zarr", "w.h5"])
def test_materialized_windows_are_the_first_of_the_order(data: Dataset, tmp_path, name: str) -> None:  # type: ignore[no-untyped-def]
    materialize(data, "train", tmp_path / name, 100)
    made = open_dataset(tmp_path / name)
    expected = np.concatenate([b for b, _ in zip(Windows.of(data).batches(10), range(10), strict=False)])
    np.testing.assert_array_equal(made["train"]["input"][:], expected[:, :3])
    np.testing.assert_array_equal(made["train"]["target"][:], expected[:, 3, :, :2])
    assert made.kind == "windows" and made.row_order == "iid" and made.recipe["source"] == data.digest


@pytest.mark.parametrize(
    "options",
    [
        {"history": 0},
        {"width": 0},
        {"times": 0.0},
        {"edges": 1.5},
        {"weight": 0.0},
        {"v_scale": -1.0},
        {"seed": -1},
    ],
)
def test_impossible_curricula(options: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        Curriculum(**options)  # type: ignore[arg-type]


def test_curricula_from_hostile_json() -> None:
    good = Curriculum().to_json()
    assert Curriculum.from_json(good) == Curriculum()
    for bad in (
        {},
        [],
        good | {"extra": 1},
        good | {"width": "9"},
        good | {"width": 2.5},
        good | {"seed": True},
    ):
        with pytest.raises(InvalidInput):
            Curriculum.from_json(bad)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="does not fit"):
        Curriculum().counts(5, 1024)
