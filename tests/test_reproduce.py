"""Reproducing a paper: each command once, nothing twice, and a report in the end."""

import ast
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from qwell.cli import qdata, qtrain
from qwell.cli.qtrain_reproduce import run_command
from qwell.errors import InvalidInput, QwellError
from qwell.papers import derivatives, dynamics, introspective, potential, spectra, stated
from qwell.papers.plan import Paper, Plan, Stage
from qwell.papers.reproduce import PAPERS, outline, reproduce

every_paper = pytest.mark.parametrize("paper", PAPERS.values(), ids=PAPERS)


def test_papers_are_known_by_their_names() -> None:
    assert {name: paper.name for name, paper in PAPERS.items()} == {name: name for name in PAPERS}
    assert all(list(paper.scales) == ["demo", "cpu", "paper"] for paper in PAPERS.values())


@every_paper
def test_all_scales_have_the_same_experiments(paper: Paper[Any]) -> None:
    """What the report speaks of is made at every scale, by commands whose inputs were made before."""
    for scale in paper.scales.values():
        plan = paper.plan(scale)
        made: set[str] = set()
        for stage in plan.stages:
            for word in stage.command[:-1]:  # the last names what is made
                if word.startswith(("store/", "runs/", "probes/")):
                    assert word in made, stage.command
            assert stage.product == stage.out or stage.product.startswith(f"{stage.out}/")
            made.add(stage.out)
        products = [stage.product for stage in plan.stages]
        assert not any("|" in claim.title + claim.size for claim in plan.claims), "cells of a table"
        assert len(set(products)) == len(products)
        claimed = [claim.stage.product for claim in plan.claims]
        assert set(claimed) == {product for product in products if product.startswith("probes/")}
        assert {claim.stage for claim in plan.claims} <= set(plan.stages)


def test_the_paper_scale_is_the_paper_s() -> None:
    """Four kernels, N1 ⊂ N2 ⊂ N5, σ = 100 and 1000, 10^5 updates of the paper's network."""
    commands = [" ".join(stage.command) for stage in spectra.plan(spectra.SCALES["paper"]).stages]
    assert sum("--n 100000 " in c for c in commands) == sum("--n 200000 " in c for c in commands) == 4
    assert sum("--sigma 1000" in c for c in commands) == 4
    assert sum("--model res_sa --updates 100000" in c for c in commands) == 4 * (3 + 1 + 5 + 2)
    commands = [" ".join(stage.command) for stage in dynamics.plan(dynamics.SCALES["paper"]).stages]
    assert sum("--updates" in c for c in commands if "unitary" not in c and "spectral" not in c) == 0
    assert sum("emulator_gru" in c and "--set" not in c for c in commands) == 6  # five seeds, and free


def test_what_is_begun_in_a_folder_is_where_old_folders_have_it() -> None:
    """The files that say what is done and begun keep their names, or old reproductions would begin anew."""
    stages = {
        stage.out: stage
        for name in ("spectra", "dynamics", "introspective")
        for stage in PAPERS[name].plan(PAPERS[name].scales["paper"]).stages
    }
    kept = {
        "store/rbf-n1.zarr": ("store/rbf-n1.zarr/manifest.json", "store/rbf-n1.zarr.partial"),
        "runs/exp-depth-2": ("runs/exp-depth-2/report.md", "runs/exp-depth-2/config.json"),
        "runs/free-gru": ("runs/free-gru/model/config.json", "runs/free-gru/config.json"),
        "probes/table-1": ("probes/table-1/emulators.json", ""),
        "probes/beyond-rollout": ("probes/beyond-rollout/rollout.json", ""),
        "probes/noise-0.1": ("probes/noise-0.1/report.json", "probes/noise-0.1/config.json"),
    }
    assert {out: (stages[out].product, stages[out].begun) for out in kept} == kept


class Runner:
    """Runs commands by noting them; `fail` names one that breaks after it has begun."""

    def __init__(self, fail: str = "") -> None:
        self.ran: list[str] = []
        self.fail = fail

    def __call__(self, command: Sequence[str]) -> None:
        self.ran.append(" ".join(command))
        if command[1] == self.fail:
            Path(f"{self.fail}.begun").touch()
            raise InvalidInput("broken")
        print(f"{command[1]} speaks")
        Path(f"{command[1]}.done").touch()


STAGES = [Stage(("x", n), f"{n}.done", f"{n}.begun", ("x", n, "--resume")) for n in ("one", "two", "three")]
COSTS = {"demo": "an hour", "cpu": "a day", "paper": "a year"}
THREE = Paper(
    "three", "Of three commands", spectra.SCALES, lambda scale: Plan(STAGES), lambda scale: ["ħ = 1."], COSTS
)


def test_what_is_done_is_not_done_again_and_what_was_begun_goes_on(tmp_path: Path) -> None:
    first, second, third = Runner(fail="two"), Runner(), Runner()
    out, said = tmp_path / "out", list[str]()
    with pytest.raises(InvalidInput, match="broken"):
        reproduce(THREE, "demo", out, first, said.append)
    assert first.ran == ["x one", "x two"]
    report = reproduce(THREE, "demo", out, second, said.append)
    assert second.ran == ["x two --resume", "x three"]
    assert said == ["[1/3] x one", "[2/3] x two", "[2/3] x two --resume", "[3/3] x three"]
    assert report == out / "report.html" and "ħ = 1." in report.read_text()
    times = [json.loads(line) for line in (out / "times.jsonl").read_text().splitlines()]
    assert [row["command"] for row in times] == ["x one", "x two --resume", "x three"]
    log = "$ x one\none speaks\n$ x two\n$ x two --resume\ntwo speaks\n$ x three\nthree speaks\n"
    assert (out / "log.txt").read_text() == log
    reproduce(THREE, "demo", out, third, said.append)
    assert third.ran == [] and len(said) == 4


class Process:
    """A command in a process of its own, which ends when it has been looked at so often."""

    def __init__(self, command: Sequence[str], log: Path, looks: int, code: int) -> None:
        self.name, self.looks, self.code, self.stopped = command[-1], looks, code, False
        log.write_text(f"{self.name} speaks\n")

    def poll(self) -> int | None:
        self.looks -= 1
        if self.looks > 0:
            return None
        Path(self.name).parent.mkdir(exist_ok=True)
        Path(self.name).touch()
        return self.code

    def terminate(self) -> None:
        self.stopped = True

    def wait(self) -> int:
        return 0


APART = [
    Stage(("x", "store/a"), "store/a"),
    Stage(("x", "store/b"), "store/b"),
    Stage(("x", "store/a", "runs/a"), "runs/a"),
    Stage(("x", "runs/a", "store/b", "probes/c"), "probes/c"),
]


@pytest.mark.parametrize("code", [0, 3])
def test_stages_side_by_side_wait_for_what_they_need(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at a time; none before its data and runs are there; when one fails, the others are stopped."""
    monkeypatch.setattr("qwell.papers.reproduce.PAUSE", 0)
    paper = Paper(
        "four", "Of four", spectra.SCALES, lambda scale: Plan(APART), lambda scale: ["ħ = 1."], COSTS
    )
    begun: list[Process] = []

    def begin(command: Sequence[str], log: Path) -> Process:
        assert all(Path(word).exists() for word in command[1:-1])
        assert sum(one.looks > 0 for one in begun) < 2
        begun.append(
            Process(command, log, {"store/b": 5}.get(command[-1], 2), code * (command[-1] == "runs/a"))
        )
        return begun[-1]

    said: list[str] = []
    if code:
        with pytest.raises(QwellError, match=r"`x store/a runs/a` ended with exit code 3.*log\.txt"):
            reproduce(paper, "demo", tmp_path, print, said.append, begin, 2)
        assert [one.name for one in begun if one.stopped] == ["store/b"]
    else:
        reproduce(paper, "demo", tmp_path, print, said.append, begin, 2)
        assert [one.name for one in begun] == ["store/a", "store/b", "runs/a", "probes/c"]
        assert len((tmp_path / "times.jsonl").read_text().splitlines()) == 4
    assert "$ x store/a\nstore/a speaks\n" in (tmp_path / "log.txt").read_text()
    assert not list(tmp_path.glob("log-*"))


def test_a_folder_belongs_to_one_paper_and_scale(tmp_path: Path) -> None:
    reproduce(THREE, "demo", tmp_path, Runner(), print)
    for paper, scale in ((THREE, "cpu"), (PAPERS["dynamics"], "demo")):
        with pytest.raises(InvalidInput, match="another reproduction"):
            reproduce(paper, scale, tmp_path, Runner(), print)
        with pytest.raises(InvalidInput, match="another reproduction"):
            outline(paper, scale, tmp_path)
    with pytest.raises(InvalidInput, match="demo, cpu, paper"):
        reproduce(THREE, "huge", tmp_path / "other", Runner(), print)
    assert not (tmp_path / "other").exists()


def test_an_outline_says_what_would_be_typed_and_touches_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert outline(THREE, "demo", out) == [
        "[1/3] x one", "[2/3] x two", "[3/3] x three", f"all of it is written into {out}, and takes an hour",
    ]  # fmt: skip
    assert not out.exists()
    with pytest.raises(InvalidInput, match="broken"):
        reproduce(THREE, "demo", out, Runner(fail="two"), print)
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert outline(THREE, "demo", out)[:3] == ["[1/3] done: x one", "[2/3] x two --resume", "[3/3] x three"]
    assert {path: path.read_bytes() for path in out.iterdir()} == before


@every_paper
def test_dry_run_lists_every_stage(
    paper: Paper[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(qtrain.cli, ["reproduce", paper.name, "--dry-run"])
    assert answer.exit_code == 0, answer.output
    lines, stages = answer.stdout.splitlines(), paper.plan(paper.scales["demo"]).stages
    where = tmp_path / f"reproduction/{paper.name}-demo"
    said = f"all of it is written into {where}, and takes {paper.costs['demo']}"
    assert len(lines) == len(stages) + 1 and lines.pop() == said
    assert lines[-1].startswith(f"[{len(stages)}/{len(stages)}] qtrain ") and stages[-1].out in lines[-1]
    assert list(paper.costs) == list(paper.scales)
    assert list(tmp_path.iterdir()) == []


def test_what_papers_state_is_about_what_there_is() -> None:
    """Statements are found by name: of wells, systems, methods and orders of derivatives."""
    from qwell.models.jets import ORDERS
    from qwell.studies.inverse.config import METHODS
    from qwell.studies.inverse.systems import SYSTEMS
    from qwell.studies.variational.potentials import WELLS

    assert set(stated.GROUND_STATES) == set(WELLS)
    assert set(stated.POTENTIALS) == set(stated.POTENTIAL_EPOCHS) <= set(SYSTEMS)
    assert all(set(methods) <= set(METHODS) for methods in stated.POTENTIALS.values())
    assert all(set(orders) <= set(ORDERS) for orders in stated.DERIVATIVE_TIMES.values())
    assert set(stated.EMULATORS) == set(stated.EMULATOR_TRAINING)
    assert all(tuple(table) == dynamics.NETWORKS for table in stated.EMULATORS.values())


def test_what_papers_state_imports_nothing() -> None:
    tree = ast.parse(Path(stated.__file__).read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


TINY: dict[str, Any] = {
    "spectra": replace(
        spectra.SCALES["demo"],
        sizes=(300, 400, 500),
        validation=100,
        updates=4,
        res_sa_updates=4,
        zoo_updates=4,
        channels=(8, 8),
    ),
    "dynamics": replace(
        dynamics.SCALES["demo"],
        barrier=("--x0", "20", "--hb", "3,6", "--validation", "1", "--hamiltonian", "lattice"),
        free=("--x0", "20,30", "--validation", "1", "--hamiltonian", "lattice"),
        simulate=("--frames", "12", "--workers", "0"),
        updates=10,
        ring=4,
        hyper=("history=1", "hidden=23"),
        hyper_updates=4,
        frames=8,
        samples=5,
    ),
    "derivatives": derivatives.Scale(
        search=(
            "--layers", "6,6", "--points", "60", "--adam-steps", "5", "--lbfgs-steps", "3",
            "--linear-steps", "2",
        ),
        seeds=1,
        paper_steps=1,
        sampled=("--steps", "5", "--walkers", "50"),
        sizes="1,2,3",
        patience=0.001,
    ),
    "potential": potential.Scale(
        seeds=1,
        epochs=1,
        ours=("--adam-steps", "20", "--newton-steps", "2", "--samples", "200"),
        penalties="0,1",
        sweep_epochs=1,
    ),
    "introspective": introspective.Scale(
        data=("--n", "100", "--validation", "30", "--test", "30", "--cells", "12", "--workers", "0"),
        learn=("--translator-steps", "20", "--distiller-steps", "12", "--dimensions", "2,3"),
        gru=(),
        beginnings=(),
        free=(),
        seeds=1,
        noise=("0.01",),
    ),
}  # fmt: skip
slow = [name for name in PAPERS if name != "introspective"]  # which takes ten seconds


@pytest.mark.filterwarnings("ignore:.*region's ends")  # a state that was learned for five steps may lie there
@pytest.mark.filterwarnings("ignore:.*(independent solver's energy|mixture of both)")  # and far above
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in slow else ()) for name in PAPERS]
)
def test_a_whole_paper_in_small(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command runs; the report has every statement, number and figure."""
    monkeypatch.setattr("qwell.studies.inverse.report.SWEEPS", 10)
    tiny = replace(PAPERS[name], scales={"demo": TINY[name]})
    page = reproduce(tiny, "demo", tmp_path, run_command, print).read_text()
    text, claims = (tmp_path / "report.md").read_text(), tiny.plan(TINY[name]).claims
    for claim in claims:
        if name in ("derivatives", "potential", "introspective"):
            assert claim.answer(tmp_path).criteria, claim.title
        assert f"## {claim.title}" in text and claim.paper in text and claim.size in text
        assert f"**Verdict:** {claim.answer(tmp_path).verdict}" in text
    pictures = [stage for picture in tiny.plan(TINY[name]).pictures for stage in picture.stages]
    assert page.count("<img ") == text.count("![") >= len(claims) + len(pictures)
    for numbers in tmp_path.glob("probes/*/*.json"):
        assert "NaN" not in numbers.read_text()


@every_paper
def test_every_stage_of_every_paper_is_a_command_that_can_be_typed(paper: Paper[Any]) -> None:
    for scale in paper.scales.values():
        for stage in paper.plan(scale).stages:
            for command in filter(None, (stage.command, stage.resume)):
                words, group = list(command[1:]), {"qdata": qdata.cli, "qtrain": qtrain.cli}[command[0]]
                while isinstance(group, click.Group):
                    group, words = group.get_command(click.Context(group), words[0]), words[1:]
                group.make_context(command[0], list(words))  # raises for an unknown option
