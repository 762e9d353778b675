"""Reproducing a paper: each command once, nothing twice, and a report in the end."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from qwell.cli import reproduce as module
from qwell.cli.reproduce import SCALES, Stage, reproduce, stages
from qwell.errors import InvalidInput
from qwell.train.report import CLAIMS, write_spectra_report


def test_all_scales_have_the_same_experiments() -> None:
    """What the report speaks of is made at every scale, by commands whose inputs were made before."""
    for scale in SCALES.values():
        plan = stages(scale)
        made: set[str] = set()
        for stage in plan:
            for word in stage.command[:-1]:  # the last names what is made
                if word.startswith(("store/", "runs/")):
                    assert word in made, stage.command
            made.add(stage.command[-1])
        products = [stage.product for stage in plan]
        assert len(set(products)) == len(products)
        claimed = {f"probes/{claim.folder}/{claim.experiment}.json" for claim in CLAIMS}
        assert claimed == {product for product in products if product.startswith("probes/")}


def test_the_paper_scale_is_the_paper_s() -> None:
    """Four kernels, N1 ⊂ N2 ⊂ N5, σ = 100 and 1000, 10^5 updates of the paper's network."""
    commands = [" ".join(stage.command) for stage in stages(SCALES["paper"])]
    assert sum("--n 100000 " in c for c in commands) == sum("--n 200000 " in c for c in commands) == 4
    assert sum("--sigma 1000" in c for c in commands) == 4
    assert sum("--model res_sa --updates 100000" in c for c in commands) == 4 * (3 + 1 + 5 + 2)


def _fake(monkeypatch: pytest.MonkeyPatch, fail: str = "", leave_begun: bool = False) -> list[str]:
    """Three stages whose commands only note that they ran; `fail` names one that breaks."""
    ran: list[str] = []

    def execute(command: list[str]) -> None:
        ran.append(" ".join(command))
        if command[1] == fail:
            if leave_begun:
                Path(f"{fail}.begun").touch()
            raise InvalidInput("broken")
        Path(f"{command[1]}.done").touch()

    plan = [Stage(["x", n], f"{n}.done", f"{n}.begun", ["x", n, "--resume"]) for n in ("one", "two", "three")]
    monkeypatch.setattr(module, "stages", lambda scale: plan)
    monkeypatch.setattr(module, "_run", execute)
    return ran


def test_what_is_done_is_not_done_again_and_what_was_begun_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = _fake(monkeypatch, fail="two", leave_begun=True)
    with pytest.raises(InvalidInput, match="broken"):
        reproduce("demo", tmp_path / "out", lambda folder: folder)
    assert ran == ["x one", "x two"]
    ran = _fake(monkeypatch)
    assert reproduce("demo", tmp_path / "out", lambda folder: folder / "report") == tmp_path / "out/report"
    assert ran == ["x two --resume", "x three"]
    times = [json.loads(line) for line in (tmp_path / "out/times.jsonl").read_text().splitlines()]
    assert [row["command"] for row in times] == ["x one", "x two --resume", "x three"]
    ran = _fake(monkeypatch)
    reproduce("demo", tmp_path / "out", lambda folder: folder)
    assert ran == []


def test_a_folder_belongs_to_one_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(monkeypatch)
    reproduce("demo", tmp_path, lambda folder: folder)
    with pytest.raises(InvalidInput, match="another reproduction"):
        reproduce("cpu", tmp_path, lambda folder: folder)
    with pytest.raises(InvalidInput, match="demo, cpu, paper"):
        reproduce("huge", tmp_path / "other", lambda folder: folder)
    assert not (tmp_path / "other").exists()


def test_the_whole_paper_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command runs; the report has every statement, number and figure."""
    tiny = replace(
        SCALES["demo"], sizes=(200, 300, 400), validation=100, updates=4, zoo_updates=4, channels=(8, 8)
    )
    monkeypatch.setitem(SCALES, "demo", tiny)
    page = reproduce("demo", tmp_path, write_spectra_report).read_text()
    text = (tmp_path / "report.md").read_text()
    for claim in CLAIMS:
        assert f"## {claim.title}" in text and claim.paper in text
    assert page.count("<img ") == text.count("![") >= len(CLAIMS)
    for numbers in tmp_path.glob("probes/*/*.json"):
        assert "NaN" not in numbers.read_text()
