"""The league: the same potentials for all, and no opponent that errs more."""

import csv
from pathlib import Path

import numpy as np
import pytest
from support import run

from qwell.errors import InvalidInput
from qwell.models.registry import create_model, save_pretrained
from qwell.physics.spectrum import eigenvalues
from qwell.studies import league
from qwell.train.eigen import predict
from qwell.train.metrics import nmse
from qwell.train.runs import load_model


@pytest.fixture(scope="module")
def few() -> list[league.Entry]:
    return list(league.league(["hamiltonian-m3", "mlp-rbf"], 4))


def test_opponents_err_no_more_and_are_the_fastest(few: list[league.Entry]) -> None:
    assert len(few) == len(league.laws()) * (len(league.classical()) + 2)
    for one in (entry for entry in few if entry.parameters):
        same = [e for e in few if (e.kernel, e.sigma, e.length) == (one.kernel, one.sigma, one.length)]
        able = {e.model: e.us for e in same if not e.parameters and e.nmse <= one.nmse}
        assert one.opponent_us == able[one.opponent] == min(able.values())


def test_errors_are_those_of_the_same_potentials(few: list[league.Entry]) -> None:
    law = league.Law("m3", 100.0, 0.2)
    v = law.draw(4)
    np.testing.assert_array_equal(v[:2], law.draw(2))
    exact = eigenvalues(v, league.GRID, league.LEVELS)
    one = next(
        e for e in few if e.model == "hamiltonian-m3" and league.Law(e.kernel, e.sigma, e.length) == law
    )
    assert one.nmse == pytest.approx(nmse(predict(load_model("hamiltonian-m3"), v), exact))
    assert one.updates == 100_000 and one.learned_from == "m3.zarr" and one.marked is not None


def test_only_networks_of_that_size_play(tmp_path: Path) -> None:
    save_pretrained(create_model("mlp", points=33, levels=4, hidden=[4]), tmp_path)
    with pytest.raises(InvalidInput, match="33 points and 4 levels; the league has 101 and 10"):
        list(league.league([tmp_path], 4))
    with pytest.raises(InvalidInput, match="at least 2"):
        list(league.league([], 1))


def test_the_command_writes_a_table_and_a_figure(tmp_path: Path) -> None:
    said = run("qtrain", "league", "hamiltonian-m3", "--n", 2, "--figure", "l.png", cwd=tmp_path).stdout
    with (tmp_path / "league.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24 * 10 and (tmp_path / "l.png").stat().st_size > 10_000
    assert {row["model"] for row in rows} == {*league.classical(), "hamiltonian-m3"}
    assert said.count("| hamiltonian-m3") == 4 and "all 240 entries: league.csv" in said
