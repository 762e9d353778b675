"""What a machine with a CUDA GPU is for, in one command a stage; nothing is downloaded.

    python benchmarks/gpu.py --stage tests|times|eigen|gru [--minutes 8] [--out gpu] [--device auto] [--tiny]

tests   the tests marked `gpu`, on the GPU and, as far as they can, on the processor: recorded work is eager
        work (`agreement` says whether to the bit), trainings resume, streams, rollouts, propagators
times   an update and a frame of a rollout: eager, compiled, recorded as a CUDA graph, and both
eigen   `qdata generate --kernel rbf`, 500,000 potentials, and the spectra paper's network by its full recipe
gru     `qdata simulate --preset paper-barrier`, and the dynamics paper's GRU by its full recipe

A stage ends within its minutes and goes on with the same command. What it has so far is in the file
OUT/gpu-STAGE.json, with card, commit and command; weights are in OUT/STAGE/model. Without a GPU everything
runs on the processor; --tiny makes all of it small enough to try that, as OUT/gpu-STAGE-tiny.json. The exit
code is 0 where the stage is complete, 1 where something failed, 3 where its time is up.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import keep, machine, show

from qwell.errors import QwellWarning
from qwell.models.layers import Network
from qwell.models.registry import create_model
from qwell.train import dynamics, eigen_steps
from qwell.train.config import DynamicsConfig
from qwell.train.devices import choose_device
from qwell.train.recording import records_on
from qwell.train.rollout import history_of, rollout
from qwell.train.team import Team

ROOT = Path(__file__).parent.parent
TIME_IS_UP = 3  # exit code
SPARE = 15.0  # seconds of a stage that are left for its end
MISSED = "not measured"  # in place of a number, with the reason


class Failed(Exception):
    """A command or a test failed."""


class TimeIsUp(BaseException):
    """In the middle of a measurement."""


@dataclass
class Stage:
    """A stage on its way: its rows so far, and until when it may run."""

    name: str
    out: Path
    device: str
    tiny: bool
    minutes: float
    rows: dict[str, Any]
    deadline: float

    @classmethod
    def begun(cls, asked: argparse.Namespace) -> Stage:
        """With the rows of the last time, if it was not complete and on this machine and revision."""
        seconds = 60 * asked.minutes
        deadline = time.monotonic() + max(seconds - SPARE, 0.8 * seconds)
        stage = cls(asked.stage, asked.out, asked.device, asked.tiny, asked.minutes, {}, deadline)
        if stage.path.exists():
            last = json.loads(stage.path.read_text())
            rows = last["results"]
            if last["machine"] == machine() and rows["device"] == stage.device and not rows["complete"]:
                known = {key: row for key, row in rows.items() if key not in ("device", "complete")}
                stage.rows = {key: row for key, row in known.items() if not str(row).startswith(MISSED)}
        return stage

    @property
    def label(self) -> str:
        return f"{self.name}-tiny" if self.tiny else self.name

    @property
    def path(self) -> Path:
        return self.out / f"gpu-{self.label}.json"

    @property
    def left(self) -> float:
        """Seconds."""
        return self.deadline - time.monotonic()

    @property
    def command(self) -> str:
        tiny = " --tiny" if self.tiny else ""
        where = f"--minutes {self.minutes:g} --out {self.out} --device {self.device}{tiny}"
        return f"python benchmarks/gpu.py --stage {self.name} {where}"

    def keep(self, complete: bool) -> dict[str, Any]:
        """Write what there is, and return it."""
        rows = {"device": self.device, "complete": complete, **self.rows}
        keep(f"gpu-{self.label}", self.command, rows, self.out)
        return rows


def ran(stage: Stage, *command: str) -> bool:
    """Run a command of Python; whether it came to its end in time. Failed if it failed.

    When the time is up it is asked to stop (SIGTERM), which saves what it has.
    """
    if stage.left <= 0:
        return False
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment())
    try:
        code = process.wait(stage.left)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(SPARE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return False
    if code:
        raise Failed(f"{' '.join(command)} ended with exit code {code}")
    return True


def environment() -> dict[str, str]:
    """Of commands: this package is found, wherever it is installed."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def tests(stage: Stage) -> bool:
    """Every test marked `gpu`, a file at a time: passed, failed or skipped, and how far results agree."""
    marked = sorted(p for p in (ROOT / "tests").rglob("test_*.py") if "pytest.mark.gpu" in p.read_text())
    only = ("-k", "recorded_function") if stage.tiny else ()
    for path in marked:
        name = str(path.relative_to(ROOT))
        if name in stage.rows:
            continue
        written = (stage.out / "tests.xml").absolute()
        written.unlink(missing_ok=True)
        quiet = ("-q", "-rfs", "-p", "no:cacheprovider", f"--junitxml={written}", "-o", "junit_family=xunit1")
        try:
            complete = ran(stage, "-m", "pytest", *quiet, "-m", "gpu", *only, name)
        except Failed:
            if not written.exists():
                raise
            complete = True
        if not complete:
            return False
        found = dict(outcomes(written))
        stage.rows[name] = {kind: found.pop(kind, 0) for kind in ("passed", "failed", "skipped")} | found
        stage.keep(complete=False)
    if failed := [name for name, row in stage.rows.items() if row["failed"]]:
        for name in failed:  # they are run again the next time
            print(f"{name}: {stage.rows.pop(name)['failed']} failed")
        raise Failed(f"tests failed in {', '.join(failed)}")
    return True


def outcomes(written: Path) -> Iterator[tuple[str, Any]]:
    """Of a report of pytest: how many passed, failed and were skipped and why; agreements test by test."""
    cases = list(ET.parse(written).getroot().iter("testcase"))
    failed = [one for one in cases if one.find("failure") is not None or one.find("error") is not None]
    skipped = [one.find("skipped") for one in cases if one.find("skipped") is not None]
    yield "passed", len(cases) - len(failed) - len(skipped)
    yield "failed", len(failed)
    yield "skipped", len(skipped)
    yield "why skipped", sorted({str(one.get("message")) for one in skipped if one is not None})
    agreements = {}
    for case in cases:
        for told in case.iter("property"):
            if told.get("name") == "agreement":
                agreements[str(case.get("name"))] = told.get("value")
    yield "agreement", agreements


def times(stage: Stage) -> bool:
    """Updates and rollouts, each eager, compiled, recorded, and both, as far as the device can."""
    device = torch.device(stage.device)
    for name, measure in measurements(stage, device):
        if name in stage.rows:
            continue
        try:
            with no_longer_than(stage.left), warnings.catch_warnings():
                warnings.simplefilter("error", QwellWarning)  # what cannot be recorded is not measured
                stage.rows[name] = measure()
        except TimeIsUp:
            return False
        except Exception as error:  # no C++ compiler, no memory: the others are measured
            stage.rows[name] = f"{MISSED} ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
        stage.keep(complete=False)
    if missed := [name for name, row in stage.rows.items() if str(row).startswith(MISSED)]:
        raise Failed(f"{len(missed)} of {len(stage.rows)} were not measured, {missed[0]} the first")
    return True


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Raise TimeIsUp inside after so many seconds: to compile a network may take minutes."""

    def stop(number: int, frame: object) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def measurements(stage: Stage, device: torch.device) -> Iterator[tuple[str, Callable[[], float]]]:
    """Every measurement by its name."""
    hows = ["eager", *["recorded"] * records_on(device)]
    compiled = [] if stage.tiny else [f"{how} and compiled" for how in hows]
    for name in ("res_sa", "mlp", "emulator_gru", "emulator_unitary"):
        for how in hows + compiled:
            yield f"{name}: an update, {how} [ms]", lambda n=name, h=how: update_time(stage, n, h, device)
    for name in ("emulator_gru", "emulator_conv", "emulator_unitary"):
        for how in hows:
            frames = 10 if stage.tiny else 500
            title = f"{name}: a frame of a rollout of {frames}, {how} [ms]"
            yield title, lambda n=name, h=how, f=frames: rollout_time(n, h, device, f)


def network(name: str, how: str, device: torch.device, tiny: bool = False) -> Network:
    """A network with its recipe's options, or a small one."""
    small = {"res_sa": {"channels": [8, 8], "hidden": 16}, "mlp": {"hidden": [16]}} if tiny else {}
    model = create_model(name, **small.get(name, {})).to(device)
    model.recordable = "recorded" in how
    return model


def update_time(stage: Stage, name: str, how: str, device: torch.device) -> float:
    """Median milliseconds of an update by the paper's recipe, on random numbers."""
    model, compile_ = network(name, how, device, stage.tiny), "compiled" in how
    if name.startswith("emulator"):
        ring = name == "emulator_unitary"
        config = DynamicsConfig("", "", model=name, first_rate=1e-3, compile=compile_)
        step = dynamics.make_step(model, dynamics.make_optimizer(model, config), config, Team())
        if ring:
            psi = torch.randn(8, config.unroll + 1, 1024, dtype=torch.complex64, device=device)
            batch = psi, torch.randn(8, 1024, device=device)
        else:
            seen = torch.randn(128, 4, 23, 3, device=device)
            batch = seen, seen[:, -1, :, :2].clone()
    else:
        step = eigen_steps.make_step(model, eigen_steps.make_optimizer(model, 1e-3), compile=compile_)
        shape = model.config.points, model.config.levels
        batch = tuple(torch.randn(100, width, device=device) for width in shape)
    return 1e3 * steady(device, lambda: step(*batch), 0.1 if stage.tiny else 3.0)


def rollout_time(name: str, how: str, device: torch.device, frames: int) -> float:
    """Milliseconds a frame of one case on 1,024 points, with all that a rollout does; the best of three."""
    model = network(name, how, device).eval()
    rng = np.random.default_rng(0)
    seed = rng.normal(size=(1, history_of(model), 1024, 2)).astype(np.float32)
    potential = rng.normal(size=(1, 1024)).astype(np.float32)
    runs = [seconds(device, 1, lambda: rollout(model, seed, potential, frames)) for _ in range(3)]
    return 1e3 * min(runs) / frames


def steady(device: torch.device, work: Callable[[], Any], budget: float) -> float:
    """Seconds of one of many calls, the median of blocks of a tenth of a second, within some seconds."""
    for _ in range(3):
        work()
    each = max(1, min(50, int(0.1 / seconds(device, 1, work))))
    blocks, begun = [seconds(device, each, work)], time.perf_counter()
    while time.perf_counter() - begun < budget:
        blocks.append(seconds(device, each, work))
    return float(np.median(blocks))


def seconds(device: torch.device, count: int, work: Callable[[], Any]) -> float:
    """Of one of several calls, to the end of what the device does."""
    begun = time.perf_counter()
    for _ in range(count):
        work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - begun) / count


def eigen(stage: Stage) -> bool:
    """The spectra paper's network, 100,000 updates of 100 of 500,000 potentials."""
    size = ("1000", "100") if stage.tiny else ("500000", "10000")
    make = ("generate", "--kernel", "rbf", "--solver", "lanes", "--n", size[0], "--validation", size[1])
    small = ("--updates", "20", "--set", "channels=[8,8]", "--set", "hidden=16") if stage.tiny else ()
    return trained(stage, "rbf.zarr", make, "eigen", ("--model", "res_sa", *small))


def gru(stage: Stage) -> bool:
    """The dynamics paper's emulator, 5 epochs of the windows of 2,646 simulations."""
    some = (
        "--x0",
        "12,16",
        "--hb",
        "4",
        "--box",
        "40",
        "--points",
        "64",
        "--frames",
        "30",
        "--validation",
        "1",
    )
    small = ("--updates", "60", "--batch", "16", "--set", "hidden=16", "--rollout", "5")
    make = ("simulate", *(some if stage.tiny else ("--preset", "paper-barrier")))
    train = ("--model", "emulator_gru", *(small if stage.tiny else ()))
    return trained(stage, "paper-barrier.zarr", make, "dynamics", train)


def trained(stage: Stage, name: str, make: tuple[str, ...], command: str, train: tuple[str, ...]) -> bool:
    """Make the data set, train, and say how good the network is; each goes on where it stopped."""
    name = f"tiny-{name}" if stage.tiny else name
    data, run = (stage.out / name).absolute(), (stage.out / stage.label).absolute()
    if not (data / "manifest.json").exists():
        partial = data.with_name(f"{data.name}.partial")
        again = ("--resume",) if partial.exists() else ()
        if not ran(stage, "-m", "qwell.cli.qdata", *make, *again, "--out", str(data)):
            return False
    mark, ours = stage.out / f"{stage.label}-begun.json", {"device": stage.device, **machine()}
    if run.exists() and not (mark.exists() and json.loads(mark.read_text()) == ours):
        raise Failed(f"{run} was begun on another device, machine or revision; choose another --out")
    mark.write_text(json.dumps(ours))
    asked = ("--resume", str(run)) if run.exists() else ("--data", str(data), "--out", str(run), *train)
    complete = (run / "model/model.safetensors").exists() or ran(
        stage, "-m", "qwell.cli.qtrain", command, *asked, "--device", stage.device
    )
    lines = (run / "metrics.jsonl").read_text().splitlines() if (run / "metrics.jsonl").exists() else []
    measured = [row for row in map(json.loads, lines) if any(key.startswith("validation") for key in row)]
    stage.rows = {"network": " ".join(train), "data": " ".join(make), "run": str(run)}
    stage.rows |= measured[-1] if measured else {}
    if complete:
        stage.rows["weights"] = str(run / "model")
    return complete


STAGES: dict[str, Callable[[Stage], bool]] = {"tests": tests, "times": times, "eigen": eigen, "gru": gru}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--minutes", type=float, default=8.0, help="after which the stage ends")
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="folder of results, data and runs")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda …")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try everything out")
    asked = parser.parse_args()
    asked.device = str(choose_device(asked.device))
    asked.out.mkdir(parents=True, exist_ok=True)
    stage = Stage.begun(asked)
    try:
        complete = STAGES[stage.name](stage)
    except Failed as failure:
        show(stage.keep(complete=False))
        print(f"failed: {failure}", file=sys.stderr)
        return 1
    show(stage.keep(complete))
    if not complete:
        print(f"time is up; it goes on with: {stage.command}")
        return TIME_IS_UP
    print(f"complete: {stage.path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
