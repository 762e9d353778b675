"""`benchmarks/gpu.py` in small: every stage comes to its end, or goes on where its time was up."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import run

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "benchmarks" / "gpu.py"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script, whose commands run in this process and count: qdata, qtrain …"""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import gpu

    called: list[str] = []

    def ran(stage: Any, _: str, module: str, *command: str) -> bool:
        called.append(module)
        if stage.left > 0:
            run(module.rpartition(".")[2], *command, cwd=stage.out)
        return stage.left > 0

    monkeypatch.setattr(gpu, "ran", ran)
    monkeypatch.setattr(gpu, "called", called, raising=False)
    yield gpu
    for name in ("gpu", "common"):
        sys.modules.pop(name, None)


def stage(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, out: Path, minutes: float = 8) -> int:
    given = ["--stage", name, "--out", out, "--tiny", "--device", "cpu", "--minutes", minutes]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *map(str, given)])
    code: int = gpu.main()
    return code


def results(out: Path, name: str) -> dict[str, Any]:
    kept = json.loads((out / f"gpu-{name}-tiny.json").read_text())
    assert f"--stage {name}" in kept["command"] and kept["machine"]["git"]
    rows: dict[str, Any] = kept["results"]
    return rows


@pytest.mark.parametrize(
    "name, updates, measured", [("eigen", 20, "validation_nmse"), ("gru", 60, "validation_mae")]
)
def test_a_training_has_data_weights_and_a_measure_and_is_made_once(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, updates: int, measured: str
) -> None:
    assert stage(gpu, monkeypatch, name, tmp_path, minutes=0) == gpu.TIME_IS_UP
    assert not results(tmp_path, name)["complete"] and gpu.called == ["qwell.cli.qdata"]
    assert stage(gpu, monkeypatch, name, tmp_path) == 0
    rows = results(tmp_path, name)
    assert rows["complete"] and rows["update"] == updates and rows[measured] > 0 and rows["device"] == "cpu"
    assert (Path(rows["weights"]) / "model.safetensors").exists()
    gpu.called.clear()
    assert stage(gpu, monkeypatch, name, tmp_path) == 0
    assert results(tmp_path, name) == rows and not gpu.called
    monkeypatch.setattr(gpu, "machine", lambda: {"git": "another"})
    assert stage(gpu, monkeypatch, name, tmp_path) == 1  # whose weights these are is never mistaken


def test_times_are_measured_once(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stage(gpu, monkeypatch, "times", tmp_path, minutes=0) == gpu.TIME_IS_UP
    assert "it goes on with: python benchmarks/gpu.py --stage times --minutes 0 " in capsys.readouterr().out
    known = "mlp: an update, eager [ms]"
    kept = json.loads((tmp_path / "gpu-times-tiny.json").read_text())
    kept["results"][known] = 1234.5
    (tmp_path / "gpu-times-tiny.json").write_text(json.dumps(kept))
    monkeypatch.setattr(gpu, "rollout_time", lambda name, how, device, frames: 1 / 0)
    assert stage(gpu, monkeypatch, "times", tmp_path) == 1
    assert "were not measured" in capsys.readouterr().err
    rows = results(tmp_path, "times")
    assert rows[known] == 1234.5 and rows["res_sa: an update, eager [ms]"] > 0
    failed = rows["emulator_gru: a frame of a rollout of 10, eager [ms]"]
    assert failed == "not measured (ZeroDivisionError: division by zero)" and not rows["complete"]
    monkeypatch.setattr(gpu, "rollout_time", lambda name, how, device, frames: 2.0)
    assert stage(gpu, monkeypatch, "times", tmp_path) == 0  # what was missed is measured the next time
    assert results(tmp_path, "times")["emulator_gru: a frame of a rollout of 10, eager [ms]"] == 2.0


def test_outcomes_of_tests_are_read(gpu: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "tests.xml").write_text(
        '<testsuites><testsuite><testcase name="a"><properties>'
        '<property name="agreement" value="to the bit"/></properties></testcase>'
        '<testcase name="b"><skipped message="no GPU"/></testcase>'
        '<testcase name="c"><failure/></testcase></testsuite></testsuites>'
    )
    assert dict(gpu.outcomes(tmp_path / "tests.xml")) == {
        "passed": 1, "failed": 1, "skipped": 1, "why skipped": ["no GPU"], "agreement": {"a": "to the bit"}
    }  # fmt: skip


@pytest.mark.slow
def test_tests_run_and_a_training_stops_in_time_and_goes_on(tmp_path: Path) -> None:
    def typed(name: str, minutes: float) -> int:
        given = ["--stage", name, "--out", tmp_path, "--tiny", "--device", "cpu", "--minutes", minutes]
        return subprocess.run([sys.executable, SCRIPT, *map(str, given)], check=False).returncode

    assert typed("tests", 8) == 0
    rows = results(tmp_path, "tests")["tests/train/test_recording.py"]
    assert rows["passed"] >= 1 and rows["failed"] == 0
    assert [typed("gru", 0.05), typed("gru", 8)] == [3, 0]
    assert results(tmp_path, "gru")["update"] == 60
