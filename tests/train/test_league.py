"""The league: the same test sets for all, and no opponent that errs more."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import run

from qwell.errors import InvalidInput
from qwell.models.registry import create_model, save_pretrained
from qwell.physics.matter import Matter
from qwell.physics.spectrum import eigenvalues
from qwell.studies.league import spectra
from qwell.studies.league.asked import LeagueSize
from qwell.studies.league.seeds import compared, training_of
from qwell.studies.league.spectra import Entry, Law, SpectraLeague
from qwell.studies.league.table import read_csv, season, write_csv
from qwell.train.eigen import predict
from qwell.train.metrics import nmse
from qwell.train.runs import load_model

CHOSEN_BY_TIME = ("us", "opponent", "opponent_us")
FEW = [Law("m3", 100.0, 0.2, *medium, 4) for medium in spectra.MEDIA] + [Law("rbf", 1000.0, 0.4, 100, "", 4)]


@pytest.fixture(scope="module")
def few() -> list[Entry]:
    league = SpectraLeague(["hamiltonian-m3", "mlp-rbf"], 4)
    return [entry for law in FEW for entry in league.play(law)]


def test_opponents_err_no_more_and_are_the_fastest(few: list[Entry]) -> None:
    assert len(few) == sum(len(law.classical()) + 2 for law in FEW)
    for one in (entry for entry in few if entry.parameters):
        same = [e for e in few if e.key == one.key]
        able = {e.model: e.us for e in same if not e.parameters and e.nmse <= one.nmse}
        assert one.opponent_us == able[one.opponent] == min(able.values())


def test_errors_are_those_of_the_same_potentials(few: list[Entry]) -> None:
    law = Law("m3", 100.0, 0.2, potentials=4)
    v = law.draw()
    np.testing.assert_array_equal(v[:2], replace(law, potentials=2).draw())
    found = predict(load_model("hamiltonian-m3"), v)
    one = next(e for e in few if e.model == "hamiltonian-m3" and e.key == law.key)
    assert one.nmse == pytest.approx(nmse(found, eigenvalues(v, spectra.GRID, spectra.LEVELS)))
    assert one.updates == 100_000 and one.learned_from == "m3.zarr" and one.marked is not None


def test_other_meshes_and_matter_are_other_laws_and_marked(few: list[Entry]) -> None:
    """Networks see every second point, or what is applied; the truth is what they do not see."""
    fine, matter = Law("m3", 100.0, 0.2, 200, "", 4), Law("m3", 100.0, 0.2, 100, "case1", 4)
    v, felt = fine.draw(), Matter("case1")(matter.draw(), spectra.GRID.x, 100.0)
    network = load_model("hamiltonian-m3")
    expected = {
        fine.key: (nmse(predict(network, v[:, ::2]), eigenvalues(v, fine.grid, 10)), "mesh"),
        matter.key: (nmse(predict(network, matter.draw()), eigenvalues(felt, spectra.GRID, 10)), "matter"),
    }
    for key, (error, why) in expected.items():
        one = next(e for e in few if e.model == "hamiltonian-m3" and e.key == key)
        assert one.nmse == pytest.approx(error) and one.set_marked == why
    exact = {e.key: e.nmse for e in few if e.model == "lanes"}
    assert max(exact.values()) < 1e-20
    assert next(e for e in few if e.model == "lanes, mesh 100").nmse > 1e-6


def test_the_matrix_has_every_law_once() -> None:
    assert len(set(spectra.laws(7))) == 4 * 2 * 3 * 4
    assert {law.potentials for law in spectra.laws(7)} == {7}


def test_only_networks_of_that_size_play(tmp_path: Path) -> None:
    save_pretrained(create_model("mlp", points=33, levels=4, hidden=[4]), tmp_path)
    with pytest.raises(InvalidInput, match="33 points and 4 levels; the league has 101 and 10"):
        SpectraLeague([tmp_path])
    with pytest.raises(InvalidInput, match="both called mlp-rbf"):
        SpectraLeague(["mlp-rbf", "mlp-rbf"])
    with pytest.raises(InvalidInput, match="at least 2"):
        LeagueSize(n=1)
    assert LeagueSize("dynamics", n=1).frames == 400


def test_a_table_is_read_as_it_was_written_and_gone_on_with(few: list[Entry], tmp_path: Path) -> None:
    """Sets that everybody has played are not played again; others are, and the file grows with each."""
    path = tmp_path / "l.csv"
    assert read_csv(Entry, path) == []
    write_csv(few, path)
    known = read_csv(Entry, path)
    assert [(e.key, e.model, e.covered) for e in known] == [
        (e.key, e.model, None if e.covered is None else float(f"{e.covered:.4g}")) for e in few
    ]
    played: list[Law] = []

    class Few(SpectraLeague):
        def sets(self) -> list[Law]:
            return FEW[:3]

        def play(self, one: Law) -> list[Entry]:
            played.append(one)
            return [replace(e, us=0.0) for e in few if e.key == one.key]

    league, grown = Few(["mlp-rbf"], 4), []
    part = [e for e in known if e.key != FEW[1].key or e.model == "hamiltonian-m3"]
    after = season(league, part, lambda entries: grown.append(len(entries)))
    assert played == [FEW[1]] and grown == [len(few)]
    assert {(e.key, e.model) for e in after} == {(e.key, e.model) for e in few}
    assert [e.key for e in after][-1] == FEW[4].key  # sets that are not played now come last
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInput, match="leave --resume out"):
        read_csv(Entry, path)


def test_kinds_are_compared_over_seeds_of_one_training(few: list[Entry]) -> None:
    """Errors ten times apart, with a spread of some percent, differ; those of one distribution do not."""
    rng = np.random.default_rng(1)

    def trained(kind: str, mean: float, seeds: int) -> list[Entry]:
        errors = mean * np.exp(0.05 * rng.standard_normal(seeds))
        return [replace(few[0], kind=kind, seed=str(s), nmse=e) for s, e in enumerate(errors)]

    same, two = trained("c", 1.0, 4), trained("d", 1.0, 2)
    made = {pair.kinds: pair for pair in compared([*trained("a", 10, 3), *trained("b", 1, 3), *same, *two])}
    assert set(made) == {("a", "b"), ("a", "c"), ("b", "c")}  # two seeds are too few
    assert made["a", "b"].p < 0.001 and made["a", "b"].low < 10 < made["a", "b"].high
    assert made["b", "c"].p > 0.05 and made["b", "c"].seeds == (3, 4)


def test_the_league_is_the_same_twice_but_for_its_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectra, "LENGTHS", (0.2,))
    monkeypatch.setattr(spectra, "SIGMAS", (100.0,))
    tables = []
    for name in ("a.csv", "b.csv"):
        said = run("qtrain", "league", "hamiltonian-m3", "--n", 2, "--out", name, cwd=tmp_path).stdout
        with (tmp_path / name).open() as file:
            rows = list(csv.DictReader(file))
        tables.append([{k: v for k, v in row.items() if k not in CHOSEN_BY_TIME} for row in rows])
    assert tables[0] == tables[1] and len(tables[0]) == 16 * 10 + 4
    assert said.count("| hamiltonian-m3") == 4 and "all 164 entries: b.csv" in said


def test_the_command_adds_a_row_to_a_table_and_draws_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectra, "LENGTHS", (0.2,))
    monkeypatch.setattr(spectra, "SIGMAS", (100.0,))
    command = ("qtrain", "league", "--n", 2, "--figure", "l.png")
    run(*command, "hamiltonian-m3", cwd=tmp_path)
    run(*command, "mlp-rbf", "--resume", cwd=tmp_path)
    rows = read_csv(Entry, tmp_path / "league.csv")
    for name in ("hamiltonian-m3", "mlp-rbf"):
        assert sum(row.model == name for row in rows) == 16
    assert (tmp_path / "l.png").stat().st_size > 10_000


def test_trainings_of_one_kind_differ_in_nothing_but_the_seed(tmp_path: Path) -> None:
    """What a run is watched, logged or computed by does not count; all else does."""
    own = {"command": "dynamics", "model": "emulator_gru", "clip": 1.0, "seed": 1, "updates": 10}

    def kind(**changed: object) -> str:
        (folder := tmp_path / str(len(list(tmp_path.iterdir())))).mkdir()
        (folder / "model").mkdir()
        (folder / "config.json").write_text(json.dumps(own | changed))
        return training_of(folder)[0]

    assert kind() == kind(seed=2, threads=2, log_every=7, data="elsewhere.zarr", watch=["b.zarr"])
    assert len({kind(), kind(clip=0.0), kind(updates=11), kind(model="emulator_dense")}) == 4
