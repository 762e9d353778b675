"""Long work is seen: rates, times left, lines without a terminal, bars with one, and log files."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import run

from qwell.cli import progress as shown
from qwell.progress import Stage, stage, told_to, track


class Ear:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, int]] = []

    def begun(self, stage: Stage) -> None:
        self.heard.append(("begun", stage.unit, stage.done))

    def advanced(self, stage: Stage) -> None:
        self.heard.append(("at", stage.unit, stage.done))

    def ended(self, stage: Stage) -> None:
        self.heard.append(("ended", stage.unit, stage.done))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time by which stages go: `clock[0]`."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    yield now


def test_a_stage_says_count_rate_and_time_left(clock: list[float]) -> None:
    here = Stage("rows", 5000, began=100.0)
    assert str(here) == "0 of 5,000 rows"
    here.done, clock[0] = 1200, 103.0
    assert str(here) == "1,200 of 5,000 rows, 400/s, 10 s left"
    here.total, here.note = None, "loss 1e-3"
    assert str(here) == "1,200 rows, 400/s, loss 1e-3"


def test_what_was_done_before_says_nothing_of_the_rate(clock: list[float]) -> None:
    """A resumed work begins with what it finds done."""
    stages: list[Stage] = []

    class Keep(Ear):
        def begun(self, stage: Stage) -> None:
            stages.append(stage)

    with told_to(Keep()), stage("rows", 1000, resumed=True) as done:
        clock[0] += 50
        done(900)
        clock[0] += 10
        done(50)
        assert str(stages[0]) == "950 of 1,000 rows, 5/s, 10 s left"


def test_stages_lie_in_one_another_and_end_whatever_happens() -> None:
    ear = Ear()
    with told_to(ear), pytest.raises(ZeroDivisionError), stage("outer", 2) as done:
        for _ in track([1, 2], "inner"):
            pass
        done(to=2)
        raise ZeroDivisionError
    inner = [("begun", "inner", 0), ("at", "inner", 1), ("at", "inner", 2), ("ended", "inner", 2)]
    assert ear.heard == [("begun", "outer", 0), *inner, ("at", "outer", 2), ("ended", "outer", 2)]


def test_nobody_needs_to_listen(capfd: pytest.CaptureFixture[str]) -> None:
    """From Python, work is silent."""
    assert list(track("abc", "letters")) == ["a", "b", "c"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("qdata", "generate", "--kernel", "m3", "--n", 8000, "--validation", 0, "--workers", 0,
          "--shard-size", 1000), "of 8,000 rows"),
        (("qdata", "verify", "store/m3.zarr", "--full", "--samples", 4000), "solved again"),
        (("qtrain", "variational", "--potential", "harmonic", "--adam-steps", 60, "--lbfgs-steps", 40,
          "--linear-steps", 5, "--points", 200), "steps at most"),
        (("qtrain", "potential", "--system", "oscillator-0", "--adam-steps", 300, "--newton-steps", 2,
          "--samples", 500), "steps"),
    ],
    ids=lambda part: str(part[1]) if isinstance(part, tuple) else "",
)  # fmt: skip
def test_lines_are_written_without_a_terminal(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, command: tuple[object, ...],
    words: str,
) -> None:  # fmt: skip
    """Every `EVERY` seconds, on stderr and in the log file, beside how the command was typed and ended."""
    place = tmp_path_factory.getbasetemp() / "seen"
    place.mkdir(exist_ok=True)
    monkeypatch.setattr(shown, "EVERY", 0.05)
    said = run(*command, "--log-file", "today.log", cwd=place)
    log = (place / "today.log").read_text()
    (place / "today.log").unlink()
    assert words in said.stderr and words in log, said.stderr
    assert f"$ {command[0]} {command[1]}" in log and log.rstrip().endswith("exit code 0")
    assert all(line[:2] == "20" for line in log.splitlines())  # begins with the date


def test_a_run_keeps_its_log(dataset_path: Path, tmp_path: Path) -> None:
    """What was typed, measurements on the way and how it ended; a resume goes on with the same file."""
    learn = ("--model", "mlp", "--set", "hidden=[8]", "--updates", 40)
    run("qtrain", "eigen", "--data", dataset_path, *learn, "--out", "r", cwd=tmp_path)
    log = (tmp_path / "r/log.txt").read_text()
    assert "$ qtrain eigen --data" in log and "validation NMSE" in log
    run("qtrain", "eigen", "--resume", "r", cwd=tmp_path)
    assert (tmp_path / "r/log.txt").read_text().startswith(log)
    assert "--resume r" in (tmp_path / "r/log.txt").read_text()


def test_bars_are_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, int]] = []

    class Bar:
        n = 0

        def __init__(self, unit: str) -> None:
            self.unit = unit

        def set_postfix_str(self, note: str, refresh: bool) -> None:
            pass

        def update(self, more: int) -> None:
            self.n += more

        def close(self) -> None:
            drawn.append((self.unit, self.n))

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(shown, "_bar", lambda stage: Bar(stage.unit))
    with shown.Display("qdata").shown(), stage("rows", 30) as done:
        done(10)
        done(to=30)
    assert drawn == [("rows", 30)]


def test_a_log_file_that_cannot_be_had_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = run("qdata", "list", "--log-file", "file/today.log", cwd=tmp_path, code=1).stderr
    assert "file" in said and len(said.strip().splitlines()) == 1
    assert "--log-file needs a name" in run("qdata", "list", "--log-file", cwd=tmp_path, code=2).stderr


def test_errors_and_warnings_are_logged(tmp_path: Path) -> None:
    run("qdata", "info", "none", "--log-file", "today.log", cwd=tmp_path, code=2)
    assert "there is no data set at none" in (tmp_path / "today.log").read_text()
