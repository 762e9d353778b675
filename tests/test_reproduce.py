"""Reproducing a paper: each command once, nothing twice, and a report in the end."""

import json
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import click
import pytest

from qwell.cli import qdata, qtrain
from qwell.cli.qtrain import run_command
from qwell.errors import InvalidInput
from qwell.papers import (
    derivatives,
    dynamics,
    introspective,
    potential,
    report_derivatives,
    report_dynamics,
    report_introspective,
    report_potential,
    report_spectra,
    spectra,
)
from qwell.papers.report import Claim
from qwell.papers.reproduce import Paper, Stage, reproduce

SPECTRA = Paper("spectra", spectra.SCALES, spectra.stages, report_spectra.write_spectra_report)
DYNAMICS = Paper("dynamics", dynamics.SCALES, dynamics.stages, report_dynamics.write_dynamics_report)
DERIVATIVES = Paper(
    "derivatives", derivatives.SCALES, derivatives.stages, report_derivatives.write_derivatives_report
)
POTENTIAL = Paper("potential", potential.SCALES, potential.stages, report_potential.write_potential_report)
PAPERS = [
    (SPECTRA, report_spectra.CLAIMS),
    (DYNAMICS, report_dynamics.CLAIMS),
    (DERIVATIVES, report_derivatives.CLAIMS),
    (POTENTIAL, report_potential.CLAIMS),
]


@pytest.mark.parametrize(("paper", "claims"), PAPERS, ids=lambda x: getattr(x, "name", ""))
def test_all_scales_have_the_same_experiments(paper: Paper, claims: tuple[Claim, ...]) -> None:
    """What the report speaks of is made at every scale, by commands whose inputs were made before."""
    for scale in paper.scales.values():
        plan = paper.stages(scale)
        made: set[str] = set()
        for stage in plan:
            for word in stage.command[:-1]:  # the last names what is made
                if word.startswith(("store/", "runs/")):
                    assert word in made, stage.command
            made.add(stage.command[-1])
        products = [stage.product for stage in plan]
        assert len(set(products)) == len(products)
        claimed = {f"probes/{claim.folder}/{claim.experiment}.json" for claim in claims}
        assert claimed == {product for product in products if product.startswith("probes/")}


def test_the_paper_scale_is_the_paper_s() -> None:
    """Four kernels, N1 ⊂ N2 ⊂ N5, σ = 100 and 1000, 10^5 updates of the paper's network."""
    commands = [" ".join(stage.command) for stage in spectra.stages(spectra.SCALES["paper"])]
    assert sum("--n 100000 " in c for c in commands) == sum("--n 200000 " in c for c in commands) == 4
    assert sum("--sigma 1000" in c for c in commands) == 4
    assert sum("--model res_sa --updates 100000" in c for c in commands) == 4 * (3 + 1 + 5 + 2)
    commands = [" ".join(stage.command) for stage in dynamics.stages(dynamics.SCALES["paper"])]
    assert sum("--updates" in c for c in commands if "unitary" not in c and "spectral" not in c) == 0
    assert sum("emulator_gru" in c and "--set" not in c for c in commands) == 6  # five seeds, and free


class Runner:
    """Runs commands by noting them; `fail` names one that breaks after it has begun."""

    def __init__(self, fail: str = "") -> None:
        self.ran: list[str] = []
        self.fail = fail

    def __call__(self, command: list[str]) -> None:
        self.ran.append(" ".join(command))
        if command[1] == self.fail:
            Path(f"{self.fail}.begun").touch()
            raise InvalidInput("broken")
        Path(f"{command[1]}.done").touch()


def _paper(report: Callable[[Path], Path] = lambda folder: folder) -> Paper:
    names = ("one", "two", "three")
    plan = [Stage(["x", n], f"{n}.done", f"{n}.begun", ["x", n, "--resume"]) for n in names]
    return Paper("spectra", spectra.SCALES, lambda scale: plan, report)


def test_what_is_done_is_not_done_again_and_what_was_begun_goes_on(tmp_path: Path) -> None:
    first, second, third = Runner(fail="two"), Runner(), Runner()
    with pytest.raises(InvalidInput, match="broken"):
        reproduce(_paper(), "demo", tmp_path / "out", first)
    assert first.ran == ["x one", "x two"]
    report = reproduce(_paper(lambda folder: folder / "report"), "demo", tmp_path / "out", second)
    assert report == tmp_path / "out/report" and second.ran == ["x two --resume", "x three"]
    times = [json.loads(line) for line in (tmp_path / "out/times.jsonl").read_text().splitlines()]
    assert [row["command"] for row in times] == ["x one", "x two --resume", "x three"]
    reproduce(_paper(), "demo", tmp_path / "out", third)
    assert third.ran == []


def test_a_folder_belongs_to_one_paper_and_scale(tmp_path: Path) -> None:
    reproduce(_paper(), "demo", tmp_path, Runner())
    for paper, scale in ((_paper(), "cpu"), (DYNAMICS, "demo")):
        with pytest.raises(InvalidInput, match="another reproduction"):
            reproduce(paper, scale, tmp_path, Runner())
    with pytest.raises(InvalidInput, match="demo, cpu, paper"):
        reproduce(_paper(), "huge", tmp_path / "other", Runner())
    assert not (tmp_path / "other").exists()


TINY = {
    "spectra": replace(
        spectra.SCALES["demo"],
        sizes=(200, 300, 400),
        validation=100,
        updates=4,
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
        seeds=1,
        noise=("0.01",),
    ),
}  # fmt: skip
SMALL = [
    *PAPERS,
    (
        Paper(
            "introspective",
            introspective.SCALES,
            introspective.stages,
            report_introspective.write_introspective_report,
        ),
        report_introspective.claims_of(1, ("0.01",)),
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("paper", "claims"), SMALL, ids=lambda x: getattr(x, "name", ""))
def test_a_whole_paper_in_small(
    paper: Paper, claims: tuple[Claim, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command runs; the report has every statement, number and figure."""
    monkeypatch.setattr("qwell.studies.inverse.report.SWEEPS", 10)
    tiny = replace(paper, scales={"demo": TINY[paper.name]})
    page = reproduce(tiny, "demo", tmp_path, run_command).read_text()
    text = (tmp_path / "report.md").read_text()
    for claim in claims:
        assert f"## {claim.title}" in text and claim.paper in text
    assert page.count("<img ") == text.count("![") >= len(claims)
    for numbers in tmp_path.glob("probes/*/*.json"):
        assert "NaN" not in numbers.read_text()


@pytest.mark.parametrize("name", qtrain.PAPERS)
def test_every_stage_of_every_paper_is_a_command_that_can_be_typed(name: str) -> None:
    plan = import_module(f"qwell.papers.{name}")
    assert callable(getattr(import_module(f"qwell.papers.report_{name}"), f"write_{name}_report"))
    for scale in ("demo", "cpu", "paper"):
        for stage in plan.stages(plan.SCALES[scale]):
            for command in filter(None, (stage.command, stage.resume)):
                words, group = command[1:], {"qdata": qdata.cli, "qtrain": qtrain.cli}[command[0]]
                while isinstance(group, click.Group):
                    group, words = group.get_command(click.Context(group), words[0]), words[1:]
                group.make_context(command[0], list(words))  # raises for an unknown option
