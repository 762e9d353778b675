"""Control: tasks that are what they say, bounds that hold, and motion that ends where it should."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from qwell.errors import InvalidInput
from qwell.models.registry import create_model
from qwell.studies.control.config import TASKS, ControlConfig
from qwell.studies.control.report import control_of
from qwell.studies.control.search import emulated, exactly, judged, search
from qwell.studies.control.tasks import Control, task_of
from qwell.train.runs import Run

EVERY = pytest.mark.parametrize("name", TASKS)


@EVERY
def test_states_are_normalised_and_far_from_the_target(name: str) -> None:
    """What begins is no answer, at the ends of the ring nothing is, and the plain course does not do it."""
    task = task_of(name)
    config = ControlConfig(name).resolved()
    for state in (task.first, task.target):
        assert (state.abs() ** 2).sum() * task.ring.dx == pytest.approx(1)
        assert state.abs()[[0, -1]].max() < 1e-6
    assert task.infidelity(task.target) == pytest.approx(0, abs=1e-12)
    assert task.infidelity(task.first) > 0.1
    assert judged(task, Control(task, config.duration or 1, 1.0, 4)) > 0.1


def test_wells_of_the_tunnel() -> None:
    """It begins on the left, and should end on the right."""
    task = task_of("tunnel")
    x = task.ring.x - task.ring.box / 2
    for state, side in ((task.first, -1), (task.target, 1)):
        assert side * (x * state.abs().numpy() ** 2).sum() * task.ring.dx > 1.5


@EVERY
@pytest.mark.parametrize("size", [0.1, 1.0, 100.0])
def test_a_control_keeps_its_bounds(name: str, size: float) -> None:
    """It begins and ends where it should, never leaves its course by more, and has no other frequencies."""
    control = Control(task_of(name), 5.0, 0.7, 6)
    torch.manual_seed(0)
    control.sines.data.copy_(size * torch.randn(6, dtype=torch.float64))
    ends = control.signal(torch.tensor([0.0, 5.0], dtype=torch.float64))
    assert ends.tolist() == pytest.approx([control.task.begin, control.task.end], abs=1e-12)
    assert control.largest() < 0.7
    assert size < 1 or control.largest() > 0.5
    times = torch.arange(64, dtype=torch.float64) * 5.0 / 64
    with torch.no_grad():
        d = (control.signal(times) - control.course(times)).numpy()
    waves = np.abs(np.fft.rfft(np.concatenate([d, [0.0], -d[:0:-1]])))
    assert waves[7:].max() < 1e-10 * waves.max()


def test_transport_over_ten_widths() -> None:
    """Infidelity below 1e-4 where the plain course fails, over more than ten standard deviations."""
    task = task_of("transport")
    width = math.sqrt(
        float(((torch.from_numpy(task.ring.x) - 15) ** 2 * task.first.abs() ** 2).sum()) * task.ring.dx
    )
    assert (task.end - task.begin) / width > 10
    found = search(ControlConfig("transport", goal=5e-5).resolved(), task)
    assert found.plain > 0.3 and found.infidelity < 1e-4
    assert found.infidelity == pytest.approx(found.believed, abs=1e-6)
    assert found.history[-1] <= 5e-5 and found.control.largest() < 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["split", "excite", "tunnel"])
def test_the_other_tasks_are_done(name: str) -> None:
    found = search(ControlConfig(name, goal=1e-3).resolved(), task_of(name))
    assert found.infidelity < 1.1e-3


def test_an_emulator_that_knows_the_motion_finds_the_same() -> None:
    """Strang's splitting in the place of a trained network: a search by it holds in exact motion."""

    class Strang(torch.nn.Module):
        def forward(self, psi: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            half = torch.exp(-0.5j * DT * v)
            k = torch.from_numpy(task.ring.k)
            return half * torch.fft.ifft(torch.fft.fft(half * psi) * torch.exp(-0.5j * DT * k**2))

    DT = 0.05
    task = task_of("transport")
    config = ControlConfig("transport", goal=1e-3).resolved()
    found = search(config, task, emulated(task, Strang(), DT, 1.0, 5.0))  # type: ignore[arg-type]
    assert found.believed < 1e-3 and abs(found.infidelity - found.believed) < 5e-3
    with pytest.raises(InvalidInput, match=r"frames of 0\.3"):
        emulated(task, Strang(), 0.3, 1.0, 5.0)  # type: ignore[arg-type]


def test_an_untrained_emulator_is_judged_by_exact_motion() -> None:
    """What it believes and what is true are told apart."""
    task = task_of("split")
    model = create_model("emulator_unitary", points=task.ring.points)
    found = search(
        ControlConfig("split", iterations=2).resolved(), task, emulated(task, model, 0.5, 1.0, 6.0)
    )
    assert found.infidelity == judged(task, found.control) != found.believed


def test_a_run_holds_the_signal_and_the_report(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {"command": "control"})
    found, finding = control_of(ControlConfig("split", iterations=2).resolved(), run)
    finding.write(run.path)
    rows = np.loadtxt(run.path / "signal.csv", delimiter=",", skiprows=1)
    assert rows.shape == (201, 3) and rows[-1].tolist() == pytest.approx([6.0, 20.0, 20.0])
    assert finding.numbers["gap"] == pytest.approx(0, abs=1e-6)
    assert finding.numbers["infidelity"] == found.infidelity < found.plain
    assert "exact motion" in (run.path / "report.md").read_text()


def test_steps_follow_the_control() -> None:
    """More steps where less error is asked for."""
    task = task_of("excite")
    control = Control(task, 5.0, 1.0, 8)
    coarse, fine = (exactly(task, control, tolerance)(control) for tolerance in (1e-4, 1e-10))
    assert 0 < float((coarse - fine).abs().max().detach()) < 1e-3


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    for wrong in ({"task": "fly"}, {"bound": -1.0}, {"duration": 0.0}, {"modes": 0}, {"goal": 0.0}):
        with pytest.raises(InvalidInput):
            ControlConfig(**wrong)
    with pytest.raises(InvalidInput, match="emulator"):
        control_of(ControlConfig(on="hamiltonian-m3").resolved())
    with pytest.raises(InvalidInput, match="ring"):
        control_of(ControlConfig(on="emulator-gru").resolved())
