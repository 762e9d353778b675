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
from qwell.papers.plan import Answer, Paper, Plan, Stage
from qwell.papers.reproduce import PAPERS, outline, reproduce
from qwell.papers.spectra_answers import (
    judged,
    said_of_ablation,
    said_of_crossing,
    said_of_curves,
    said_of_kernels,
    said_of_matter,
)

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
                if word.startswith(("store/", "runs/")):
                    assert word in made, stage.command
            assert stage.product == stage.out or stage.product.startswith(f"{stage.out}/")
            made.add(stage.out)
        products = [stage.product for stage in plan.stages]
        assert len(set(products)) == len(products)
        claimed = [claim.stage.product for claim in plan.claims]
        assert sorted(claimed) == sorted(product for product in products if product.startswith("probes/"))
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
THREE = Paper(
    "three", "Of three commands", spectra.SCALES, lambda scale: Plan(STAGES), lambda scale: ["ħ = 1."]
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
    paper = Paper("four", "Of four", spectra.SCALES, lambda scale: Plan(APART), lambda scale: ["ħ = 1."])
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


@pytest.mark.parametrize("name", ["derivatives", "potential", "introspective"])
def test_every_claim_says_how_large_it_was(name: str) -> None:
    """At every scale; a number of which the size is not known does not stand beside the paper's."""
    paper = PAPERS[name]
    for scale in paper.scales.values():
        assert all(any(sign.isdigit() for sign in claim.size) for claim in paper.plan(scale).claims)


def pipeline(
    verdict: int, law: float, translator: float = 1e-5, failures: Sequence[str] = ()
) -> dict[str, Any]:
    return {
        "distillers": {"1": [{"test": None}], "2": [{"test": 1e-4}, {"test": None}]},
        "translator": translator,
        "verdict": verdict,
        "intrinsic_dimension": 2.0,
        "recipe": {"energy": 4.0},
        "density_form": {"3": {"loss": 1e-5}},
        "best": {"seed": 1, "slope": law, "energy": 4.0, "failures": list(failures)},
    }


def test_an_introspection_is_judged_by_its_verdict_and_its_law() -> None:
    def verdict(*numbers: Any) -> str:
        return introspective._said_of_laws(pipeline(*numbers), 2).verdict

    assert verdict(2, 1.005) == "agrees" and verdict(2, 1.02) == verdict(3, 1.0) == "disagrees"
    assert verdict(2, 1.0, 0.5) == "too small to say"
    said = introspective._said_of_laws(pipeline(2, 1.0, 1e-5, ["born"]), 2).sentence
    assert "1: diverged, 2: 0.0001" in said and "seed 1, which fails born" in said


def test_verdicts() -> None:
    """Nothing stated is not judged; what is not enough is never called right or wrong."""
    holds, fails = {"below 1": True}, {"below 1": True, "above 0": False}
    assert Answer("x").verdict == "nothing to judge"
    assert [Answer("x", c).verdict for c in (holds, fails)] == ["agrees", "disagrees"]
    assert {Answer("x", c, enough=False).verdict for c in (holds, fails)} == {"too small to say"}


def test_a_learning_curve_is_judged_by_its_numbers() -> None:
    def verdict(rbf: float, exp: float = 2e-3, updates: int = 1000, ratio: float = 1.1) -> str:
        errors = {"rbf": rbf, "m5": 5e-4, "m3": 1e-3, "exp": exp}
        rows = [{"kernel": k, "n": 500, "updates": updates, "validation_nmse": e, "ratio": ratio}
                for k, e in errors.items()]  # fmt: skip
        less = {"kernel": "rbf", "n": 100, "updates": updates, "validation_nmse": 1e-3, "ratio": 1.5}
        return said_of_curves({"runs": [less, *rows]}).verdict

    assert verdict(9e-5) == "agrees"
    assert verdict(2e-4) == "too small to say" and verdict(2e-4, updates=100_000) == "disagrees"
    assert verdict(9e-5, exp=8e-4) == verdict(9e-5, ratio=2.0) == "disagrees"


def test_other_kernels_are_judged_by_their_numbers() -> None:
    def numbers(rbf_on_exp: float, exp_on_exp: float) -> dict[str, Any]:
        return {
            "names": ["mlp, rbf", "mlp, exp"],
            "data": [{"name": "rbf"}, {"name": "exp"}],
            "nmse": [[1e-5, rbf_on_exp], [1.1 * exp_on_exp, exp_on_exp]],
        }

    assert said_of_kernels(numbers(1e-2, 8e-4)).verdict == "agrees"
    assert said_of_kernels(numbers(5e-5, 8e-5)).verdict == "disagrees"
    assert said_of_kernels(numbers(1e-2, 2e-3)).verdict == "too small to say"
    wider = numbers(1e-2, 8e-5) | {"against": numbers(1e-2, 8e-5)}
    assert said_of_kernels(wider).verdict == "disagrees"  # the errors are not larger


def test_only_networks_as_good_as_the_paper_s_disagree() -> None:
    verdicts = [judged("x", {"c": holds}, error).verdict for holds in (True, False) for error in (5e-4, 5e-5)]
    assert verdicts == ["agrees", "agrees", "too small to say", "disagrees"]
    assert judged("x", {"c": True}, 2e-3).verdict == "too small to say"


@pytest.mark.parametrize(
    ("ratios", "verdict"), [((1, 0.9, 0.8), "agrees"), ((1, 1.8), "disagrees"), ((1, 0.9, 0.95), "disagrees")]
)
def test_depth_is_judged_from_the_first_block(ratios: tuple[float, ...], verdict: str) -> None:
    one = {"kernel": "exp", "attention": True, "nmse": [5e-5]}
    runs = [one | {"blocks": k, "R_D": [r], "R_SA": [0.9]} for k, r in enumerate(ratios, 1)]
    assert said_of_ablation({"data": ["exp"], "runs": runs}).verdict == verdict


def test_a_crossing_is_judged_only_where_the_exact_states_change_places() -> None:
    def verdict(exact: float, network: float) -> str:
        both = {"network": 0.5, "exact": 0.5}
        exchanged = {"network": network, "exact": exact}
        numbers = {"found_by": "network", "lambda_crossing": both, "gap": both, "nmse_on_path": 5e-5}
        same = {who: 1 - overlap for who, overlap in exchanged.items()}
        return said_of_crossing(numbers | {"overlap_exchanged": exchanged, "overlap_same": same}).verdict

    assert (verdict(1, 0.9), verdict(1, 0.1)) == ("agrees", "disagrees")
    assert verdict(0, 0.9) == verdict(0, 0.1) == "too small to say"


def test_errors_in_a_medium_are_judged_from_both_sides() -> None:
    def verdict(ratio: float) -> str:
        plain = {"names": ["mlp, rbf"], "data": [{"name": "rbf"}], "nmse": [[5e-5]]}
        medium = {"names": ["mlp, rbf"], "data": ["rbf"], "nmse": [[5e-5 * ratio]], "formula": "V"}
        return said_of_matter(medium | {"against": plain}, "before", 1.0, 1.8).verdict

    assert [verdict(ratio) for ratio in (0.1, 1.5, 1.9)] == ["disagrees", "agrees", "disagrees"]


def test_scattered_energies_do_not_help() -> None:
    def verdict(*energies: float) -> str:
        rest = {"box": 0.1, "centre": 9.0, "weighted": 0.1, "model": 0.1, "uniform": 9.0}
        runs = [rest | {"energy": e} for e in energies]
        config = {"method": "mpnn"}
        numbers = {"runs": runs, "exact": -0.5, "without_training": {"box": 0.0}, "config": config}
        return potential._said_of_method(numbers, "box", 0.1, -0.5, full=True).verdict

    assert verdict(-0.51, -0.51) == "agrees"
    assert verdict(-0.55, -0.551) == verdict(-0.3, -0.9, -0.75) == "disagrees"


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
    assert outline(THREE, "demo", out) == ["[1/3] x one", "[2/3] x two", "[3/3] x three"]
    assert not out.exists()
    with pytest.raises(InvalidInput, match="broken"):
        reproduce(THREE, "demo", out, Runner(fail="two"), print)
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert outline(THREE, "demo", out) == ["[1/3] done: x one", "[2/3] x two --resume", "[3/3] x three"]
    assert {path: path.read_bytes() for path in out.iterdir()} == before


@every_paper
def test_dry_run_lists_every_stage(
    paper: Paper[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(qtrain.cli, ["reproduce", paper.name, "--dry-run"])
    assert answer.exit_code == 0, answer.output
    lines, stages = answer.stdout.splitlines(), paper.plan(paper.scales["demo"]).stages
    assert len(lines) == len(stages)
    assert lines[-1].startswith(f"[{len(stages)}/{len(stages)}] qtrain ") and stages[-1].out in lines[-1]
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
        beginnings=(),
        seeds=1,
        noise=("0.01",),
    ),
}  # fmt: skip
slow = [name for name in PAPERS if name != "introspective"]  # which takes ten seconds


@pytest.mark.filterwarnings("ignore:.*region's ends")  # a state that was learned for five steps may lie there
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
