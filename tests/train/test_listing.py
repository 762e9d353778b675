"""`qtrain runs`: what runs say of themselves, and what is no run is said and passed over."""

import json
import os
import threading
import time
from pathlib import Path

import pytest
from support import run as command

from qwell.errors import DatasetLocked, InvalidInput, QwellWarning, RunNotFound, TrainingDiverged
from qwell.store.dataset import Dataset
from qwell.train.config import EigenConfig
from qwell.train.directory import Run
from qwell.train.eigen import begin, train_eigen
from qwell.train.listing import runs_below


def run_at(path: Path, *rows: dict[str, object], age: float = 0, **settings: object) -> Run:
    """A run as a training leaves it that was stopped `age` seconds ago."""
    asked = {"command": "eigen", "model": "mlp", "data": "/store/m3.zarr", "updates": 100, "seed": 3}
    run = Run.create(path, asked | settings)
    for row in rows:
        run.log(row)
    for file in path.iterdir():
        os.utime(file, (time.time() - age,) * 2)
    return run


def measured(update: int, nmse: float) -> dict[str, object]:
    return {"update": update, "loss": 1.0, "train_nmse": 2 * nmse, "seconds": 0.5, "validation_nmse": nmse}


def test_a_run_says_how_far_it_is(dataset: Dataset, tmp_path: Path) -> None:
    config = EigenConfig(
        str(dataset.path), dataset.digest, "mlp", {"hidden": [8]}, updates=20, batch=50, seed=5, log_every=10
    )
    run = begin(config, tmp_path / "runs/deep/one")
    (begun,) = runs_below([tmp_path])
    assert (begun.state, begun.updates, begun.measure, begun.last) == ("interrupted", 0, None, None)
    states = []
    train_eigen(run, progress=lambda update, row: states.append(runs_below([tmp_path])[0].state))
    assert set(states) == {"running"}
    (done,) = runs_below([tmp_path / "runs"])
    last = run.metrics()[-1]
    assert (done.run, done.command, done.model, done.data) == (str(run.path), "eigen", "mlp", dataset.name)
    assert (done.state, done.updates, done.of, done.seed) == ("finished", 20, 20, 5)
    assert (done.measure, done.last) == ("validation_nmse", last["validation_nmse"])
    assert done.seconds == last["seconds"]


def test_runs_are_sorted_by_age_or_by_their_measure(tmp_path: Path) -> None:
    run_at(tmp_path / "worst", measured(10, 0.1), measured(20, 0.3), age=30)
    run_at(tmp_path / "best", measured(10, 0.2), age=20)
    run_at(
        tmp_path / "emulator", {"update": 1, "loss": 1.0, "validation_mae": 0.01}, command="dynamics", age=10
    )
    run_at(tmp_path / "begun", age=5)
    newest, ranked = runs_below([tmp_path]), runs_below([tmp_path], sort="measure")
    assert [Path(row.run).name for row in newest] == ["begun", "emulator", "best", "worst"]
    assert [Path(row.run).name for row in ranked] == ["best", "worst", "emulator", "begun"]
    assert (ranked[1].last, ranked[1].best) == (0.3, 0.1)
    with pytest.raises(InvalidInput, match="newest, measure"):
        runs_below([tmp_path], sort="name")
    with pytest.raises(RunNotFound, match="no directory"):
        runs_below([tmp_path / "none"])


def test_what_is_damaged_or_foreign_is_said_and_passed_over(tmp_path: Path) -> None:
    run_at(tmp_path / "good", measured(10, 0.2))
    (run_at(tmp_path / "odd", model=["x"], updates="many", seed=None).path / "metrics.jsonl").write_bytes(
        b'{"update": 7, "validation_nmse": "small", "loss": NaN}\n{"update"\n[1]\n\xff\xfe\n'
    )
    damaged = run_at(tmp_path / "damaged").path / "config.json"
    damaged.write_text(damaged.read_text().replace("mlp", "xxx"))
    for name, text in (
        ("list", "[1, 2]"),
        ("none", ""),
        ("other", '{"model": "mlp"}'),
        ("deep", "[" * 10**5),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    (tmp_path / "photos").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    with pytest.warns(QwellWarning) as said:
        rows = runs_below([tmp_path])
    assert sorted(Path(row.run).name for row in rows) == ["good", "odd"]
    odd = next(row for row in rows if row.run.endswith("odd"))
    assert (odd.model, odd.of, odd.seed, odd.updates, odd.measure) == (None, None, None, 7, None)
    lines = [str(one.message) for one in said]
    assert all(line.startswith("passed over: ") and "\n" not in line for line in lines)
    for name in ("damaged", "list", "none", "other", "deep", "photos"):
        assert sum(str(tmp_path / name) in line for line in lines) == 1, (name, lines)


def test_the_command_prints_a_table_json_and_one_figure(tmp_path: Path) -> None:
    for i, name in enumerate(("a", "b")):
        run_at(tmp_path / "runs" / name, measured(10, 0.2), measured(20, 0.1 + i), age=i)
    run_at(tmp_path / "runs/c", {"update": 5, "energy": 1.0}, command="variational", variational={"seed": 9})
    table = command("qtrain", "runs", cwd=tmp_path).stdout
    assert all(
        words in table for words in ("runs/a", "m3.zarr", "20 of 100", "validation_nmse", "interrupted")
    )
    asked = ("qtrain", "runs", "runs/a", "runs/b", "runs", "--sort", "measure", "--figure", "curves.png")
    answer = command(*asked, "--json", cwd=tmp_path).json
    assert [row["run"] for row in answer["runs"]] == ["runs/a", "runs/b", "runs/c"]
    assert answer["runs"][1]["last"] == 1.1 and answer["runs"][2]["seed"] == 9
    assert answer["figure"] == "curves.png" and (tmp_path / "curves.png").stat().st_size > 1000
    assert "cannot draw" in command(*asked[:-1], "curves.txt", cwd=tmp_path, code=2).stderr
    bare = command(*asked[:-1], "curves", cwd=tmp_path, code=2).stderr
    assert ".png" in bare and ".svg" in bare and "tmp" not in bare
    refused = command("qtrain", "runs", "runs/c", "--figure", "none.png", cwd=tmp_path, code=2).stderr
    assert "measured" in refused and not (tmp_path / "none.png").exists()
    assert (
        "(a training makes a run, e.g. `qtrain eigen"
        in command("qtrain", "runs", "nowhere", cwd=tmp_path, code=2).stderr
    )
    (tmp_path / "empty").mkdir()
    assert "make one, e.g. with `qtrain eigen" in command("qtrain", "runs", "empty", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("command", "product"),
    [
        ("eigen", "model/config.json"), ("dynamics", "model/config.json"), ("potential", "report.json"),
        ("potential", "sweep.json"), ("potential", "noise.json"), ("variational", "report.json"),
        ("introspect", "report.json"), ("introspect", "translator.json"),
    ],
)  # fmt: skip
def test_a_run_is_finished_when_its_command_wrote_what_it_writes_last(
    command: str, product: str, tmp_path: Path
) -> None:
    """Notes of people and what is written on the way are no end."""
    run = run_at(tmp_path / "run", {"update": 5, "loss": 1.0}, command=command)
    for name in ("notes.md", "report.md", "model/translator.safetensors"):
        run.write(name, "")
    assert runs_below([tmp_path])[0].state == "interrupted"
    run.write(product, "{}")
    assert runs_below([tmp_path])[0].state == "finished"


def test_numbers_that_are_not_finite_end_a_training(dataset: Dataset, tmp_path: Path) -> None:
    config = EigenConfig(
        str(dataset.path), dataset.digest, "mlp", {"hidden": [8]}, updates=300, batch=50, log_every=10,
        first_rate=1e30, last_rate=1e30,
    )  # fmt: skip
    run = begin(config, tmp_path / "diverged")
    with pytest.raises(TrainingDiverged):
        train_eigen(run)
    (row,) = runs_below([tmp_path])
    assert (row.state, row.updates, row.last) == ("diverged", run.metrics()[-1]["update"], None)
    infinite = {"update": 1, "stage": "distiller 1", "loss": float("inf")}
    run_at(tmp_path / "distilled", infinite, command="introspect")  # there it is an answer
    assert runs_below([tmp_path / "distilled"])[0].state == "interrupted"


def test_updates_and_seconds_of_several_beginnings_count_together(tmp_path: Path) -> None:
    rows = [{"update": u, "seconds": s, "loss": 1.0} for u, s in ((1, 0.5), (50, 2.0), (1, 0.5), (30, 1.0))]
    run_at(tmp_path / "run", *rows, command="potential", updates=100)
    (row,) = runs_below([tmp_path])
    assert (row.updates, row.of, row.seconds) == (80, 100, 3.0)


def test_a_training_waits_for_those_that_only_look(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run")
    look = run.locked(share=True)
    threading.Timer(0.1, look.release).start()
    run.locked().release()
    with run.locked(share=True), pytest.raises(DatasetLocked, match="another process"):
        run.locked()


def test_studies_are_running_while_they_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(config: object, log: object) -> None:
        (row,) = runs_below([tmp_path])
        assert (row.command, row.state) == ("variational", "running")
        raise InvalidInput("seen")

    monkeypatch.setattr("qwell.studies.variational.report.search", look)
    done = command("qtrain", "variational", "--potential", "harmonic", "--out", "run", cwd=tmp_path, code=2)
    assert "seen" in done.stderr
    assert json.loads((tmp_path / "run/config.json").read_text())["command"] == "variational"
