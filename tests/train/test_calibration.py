"""Intervals cover what they say on the law they were calibrated by; potentials of other laws are marked."""

import numpy as np
import pytest

from qwell.errors import CheckpointError, InvalidInput
from qwell.models.registry import list_models, pretrained, read_config
from qwell.physics import kernels, potentials
from qwell.physics.grid import Grid
from qwell.train.calibration import (
    COVERAGES,
    FOREIGN,
    LEAST,
    UNLIKE,
    Calibration,
    calibrate,
    calibration_in,
    in_short,
    law_of,
    other_law,
)
from qwell.train.runs import trained_on

LEVELS = 3


def drawn(kernel: str, n: int, split: str = "train", sigma: float = 100.0, length: float = 0.2) -> np.ndarray:
    root = potentials.factor(kernels.covariance(kernel, Grid(40), sigma, length))
    return potentials.rows(root, 5, split, 0, n)


def energies(v: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true energies; errors grow with a potential's size, and are not normal."""
    dice, size = np.random.default_rng(seed), np.abs(v).max(axis=1, keepdims=True)
    exact = np.sort(v[:, 5:20:5], axis=1) + np.array([0, 10, 20])
    return exact + dice.standard_cauchy(exact.shape) * size * [1e-3, 1e-2, 1e-1], exact


@pytest.fixture(scope="module")
def made() -> Calibration:
    v = drawn("m3", 8000, "validation")
    return calibrate(drawn("m3", 4000), v, *energies(v))


@pytest.mark.parametrize("coverage", COVERAGES)
def test_intervals_cover_as_often_as_they_say(made: Calibration, coverage: float) -> None:
    """Within five standard deviations of the binomial of calibration and test."""
    v = drawn("m3", 8000, "test")
    found, exact = energies(v, 1)
    shares = (np.abs(found - exact) <= made.half_widths(v, found, coverage)).mean(axis=0)
    spread = np.sqrt(coverage * (1 - coverage) * (1 / 4000 + 1 / 8000))
    assert (np.abs(shares - coverage) < 5 * spread).all()


def test_intervals_follow_the_difficulty(made: Calibration) -> None:
    v = drawn("m3", 2000, "test")
    half = made.half_widths(v, energies(v)[0])
    size = np.abs(v).max(axis=1)
    assert np.median(half[size > np.quantile(size, 0.9)]) > 1.3 * np.median(half[size < np.median(size)])


def test_quantiles_are_those_of_split_conformal_prediction() -> None:
    """The ⌈(n + 1)c⌉-th smallest score of the second half, also where there are too few."""
    v = drawn("m3", LEAST, "validation")
    found, exact = energies(v)
    made = calibrate(drawn("m3", LEAST), v, found, exact)
    rest = slice(LEAST // 2, None)
    scores = np.sort(np.abs(found - exact)[rest] / made._scale(v[rest], found[rest]), axis=0)
    np.testing.assert_allclose(made.quantiles[2], scores[451 - 1])  # ⌈501 · .9⌉
    np.testing.assert_allclose(made.quantiles[4], scores[496 - 1])
    small = calibrate(v, v, exact, exact)
    assert np.isfinite(small.half_widths(v, exact, 0.99)).all()


def test_p_values_are_valid_and_find_other_laws(made: Calibration) -> None:
    """On the law itself no more than a share p has a p-value of p; the others are far from it."""
    p = made.p_values(drawn("m3", 8000, "test"))
    for level in (0.5, 0.1, UNLIKE):
        assert (p < level).mean() < level + 5 * np.sqrt(level / 4000)
    assert (p < 0.2).mean() > 0.05  # and not without power
    for other in (drawn("exp", 200), drawn("rbf", 200), drawn("m3", 200, sigma=1000.0)):
        assert (made.p_values(other) < UNLIKE).mean() > 0.95
    strange = np.vstack([np.full(41, 1e6), np.tile([1e3, -1e3], 21)[:41]])
    assert (made.p_values(strange) == 4 / 4001).all()


def test_sets_of_another_law_are_marked_as_a_whole(made: Calibration) -> None:
    """Of own sets no more than a share p has a p-value of p; laws that are near are found in large sets."""
    fresh = drawn("m3", 60_000, "test").reshape(200, 300, -1)
    p = np.array([made.set_p_value(v) for v in fresh])
    assert (p < FOREIGN).sum() <= 2 and (p < 0.1).mean() < 0.1 + 5 * np.sqrt(0.09 / 200)
    for near in (drawn("m3", 2000, sigma=112.0), drawn("m3", 2000, length=0.17)):
        assert 0.01 < (made.p_values(near) < UNLIKE).mean() < 0.25
        assert made.set_p_value(near) < FOREIGN
    one = drawn("exp", 200)[:1]
    assert made.set_p_value(one) >= made.p_values(one)[0]  # a set of one is no worse than it
    assert made.set_p_value(one[:0]) == 1.0


def test_a_set_with_another_mesh_or_matter_is_of_another_law() -> None:
    """Of subsets and merged sets too; and no potential can tell."""
    own = {"recipe": "spectra", "kernel": "m3", "mesh": 100, "matter": None, "sigma": 100.0}
    with_matter = own | {"matter": "case1"}
    assert other_law(own, own | {"mesh": 200}) == "mesh"
    assert other_law(own, with_matter) == other_law({"of": with_matter}, own) == "matter"
    assert other_law(with_matter, with_matter | {"sigma": 200.0}) == "matter"
    assert other_law({"of": own | {"mesh": 200}}, own) == "mesh"
    assert other_law({"of": [{"recipe": own}, {"recipe": with_matter}]}, own) == "matter"
    assert other_law(own, own) == other_law({}, with_matter) == other_law({"of": own}, own) == ""
    for unknown in ({"recipe": "import", "mesh": 100}, {"of": [1]}, {"of": [{"recipe": own}, {}]}):
        assert other_law(own, unknown) == other_law(unknown, own) == ""  # who made the energies is not said


def test_a_model_is_judged_by_what_it_was_calibrated_by() -> None:
    assert law_of({"recipe": {"mesh": 1}, "calibration": {"recipe": {"mesh": 2}}}) == {"mesh": 2}
    assert law_of({"recipe": {"mesh": 1}, "calibration": {"count": 3}}) == {"mesh": 1}
    assert law_of({"recipe": None, "calibration": None}) == law_of({}) == {}


def test_a_calibration_is_the_same_after_a_journey(made: Calibration) -> None:
    again = Calibration.from_json(made.to_json(), 41, LEVELS)
    v = drawn("m3", 500, "test")
    found = energies(v)[0]
    np.testing.assert_allclose(again.half_widths(v, found), made.half_widths(v, found), rtol=1e-4)
    assert (np.abs(again.p_values(v) - made.p_values(v)) < 0.01).mean() > 0.99


@pytest.mark.parametrize(
    "name", ["mean", "modes", "spread", "bounds", "weights", "least", "quantiles", "ranks"]
)
def test_what_is_no_calibration_is_refused(made: Calibration, name: str) -> None:
    good = made.to_json()
    packed = good[name]
    for wrong in (
        {"shape": packed["shape"], "float32": packed["float32"][:-8]},
        {"shape": [2, *packed["shape"]], "float32": packed["float32"] * 2},
        {"shape": packed["shape"], "float32": "!" + packed["float32"]},
        "text",
        None,
    ):
        with pytest.raises(CheckpointError, match="damaged"):
            Calibration.from_json(good | {name: wrong}, 41, LEVELS)
    with pytest.raises(CheckpointError, match="damaged"):
        Calibration.from_json(good, 101, LEVELS)


def test_too_few_to_calibrate_with() -> None:
    v = drawn("m3", LEAST - 1)
    with pytest.raises(InvalidInput, match="999 potentials are too few"):
        calibrate(v, v, *energies(v))


def test_every_shipped_network_of_energies_is_calibrated() -> None:
    for name in list_models(task="spectra", pretrained=True):
        made = calibration_in(trained_on(name), 101, 10)
        assert made is not None and made.count == 10_000, name


def test_lists_leave_the_tables_out() -> None:
    about = read_config(pretrained()["mlp-rbf"])["metadata"]
    assert in_short(about)["calibration"] == 10_000 and in_short({"data": "x"}) == {"data": "x"}
