"""Loggers hold what `metrics.jsonl` holds, also after an interruption; what is missing is said at once."""

import csv
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from support import run as command

from qwell.errors import InvalidInput, MissingExtra, TransferError
from qwell.files import seal
from qwell.store.dataset import Dataset
from qwell.train.config import EigenConfig
from qwell.train.eigen import begin, train_eigen
from qwell.train.loggers import open_logger
from qwell.train.runs import Run

SMALL = {"model": "mlp", "options": {"hidden": [32]}, "batch": 50, "log_every": 10, "evaluate_every": 20}


def config(dataset: Dataset, **changes: object) -> EigenConfig:
    given = {"data": str(dataset.path), "digest": dataset.digest, "updates": 60, "checkpoint_every": 20}
    return EigenConfig(**given | SMALL | changes)  # type: ignore[arg-type]


def interrupt_at(update: int) -> Callable[[int, dict[str, object]], None]:
    def stop(at: int, row: dict[str, object]) -> None:
        if at == update:
            raise KeyboardInterrupt

    return stop


def interrupted_and_continued(run: Run) -> Run:
    """Stopped ten updates after a checkpoint, so that a row is made again."""
    with pytest.raises(KeyboardInterrupt):
        train_eigen(run, progress=interrupt_at(50))
    assert run.metrics()[-1]["update"] == 50
    train_eigen(run)
    return run


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[str, object]]]:
    """Stand-ins for wandb and trackio, which record what is called."""
    calls: dict[str, list[tuple[str, object]]] = {"wandb": [], "trackio": []}
    for name, said in calls.items():
        module = ModuleType(name)
        module.init = lambda said=said, **about: (  # type: ignore[attr-defined]
            said.append(("init", about))
            or SimpleNamespace(
                log=lambda row, step: said.append(("log", {"step": step, **row})),
                finish=lambda: said.append(("finish", None)),
            )
        )
        monkeypatch.setitem(sys.modules, name, module)
    return calls


def test_the_table_holds_every_measurement_once(dataset: Dataset, tmp_path: Path) -> None:
    run = interrupted_and_continued(begin(config(dataset, logger=("csv",)), tmp_path / "run"))
    with (run.path / "metrics.csv").open() as file:
        theirs = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
    assert theirs == run.metrics() and [row["update"] for row in theirs] == [10, 20, 30, 40, 50, 60]
    assert "validation_nmse" in theirs[1] and "validation_nmse" not in theirs[0]  # a column that came later


def test_tensorboard_holds_every_measurement_once(dataset: Dataset, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = interrupted_and_continued(begin(config(dataset, logger=("tensorboard",)), tmp_path / "run"))
    events = accumulator.EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    for name in ("loss", "validation_nmse"):
        ours = [(row["update"], row[name]) for row in run.metrics() if name in row]
        np.testing.assert_allclose([(e.step, e.value) for e in events.Scalars(name)], ours, rtol=1e-6)


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_services_get_every_measurement_and_know_a_run_again(
    name: str, dataset: Dataset, tmp_path: Path, services: dict[str, list[tuple[str, object]]]
) -> None:
    run = interrupted_and_continued(begin(config(dataset, logger=(name,)), tmp_path / "run"))
    begun, again = (about for what, about in services[name] if what == "init")
    assert isinstance(begun, dict) and isinstance(again, dict)
    assert (begun["project"], begun["config"]) == ("qwell", run.config)
    assert begun["name"] == again["name"]
    assert begun["name"].startswith("run-") if name == "trackio" else begun["name"] == "run"
    assert (begun["resume"], again["resume"]) == ("never", "allow")
    assert begun.get("id") == again.get("id") and begun.get("dir") == again.get("dir")
    if name == "wandb":
        assert begun["dir"] == str(run.path) and begun["id"]
    logged = [row for what, row in services[name] if what == "log"]
    steps = [row["step"] for row in logged]  # type: ignore[index]
    assert steps == [10, 20, 30, 40, 50, 50, 60] and [w for w, _ in services[name]].count("finish") == 2
    assert logged[-1] == {"step": 60, **{k: v for k, v in run.metrics()[-1].items() if k != "update"}}


def test_runs_in_folders_of_one_name_are_two_at_a_service(
    tmp_path: Path, services: dict[str, list[tuple[str, object]]]
) -> None:
    """Trackio knows runs by their names, and refuses a second of a name (resume="never")."""
    for name in ("wandb", "trackio"):
        for folder in (tmp_path / "a/run", tmp_path / "b/run"):
            open_logger(name, folder, {}, [])
    wandb, trackio = ([about for _, about in said] for said in services.values())
    assert len({about["id"] for about in wandb}) == len({about["name"] for about in trackio}) == 2


def test_a_service_that_refuses_is_said_with_the_remedy(
    tmp_path: Path, services: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**about: object) -> None:
        raise RuntimeError("api_key not configured")

    monkeypatch.setattr(sys.modules["wandb"], "init", refuse)
    with pytest.raises(TransferError, match=r"api_key not configured; .*WANDB_MODE=offline"):
        open_logger("wandb", tmp_path, {}, [])


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio"])
def test_a_missing_package_is_said_before_a_run_begins(
    name: str, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = {"tensorboard": "torch.utils.tensorboard"}.get(name, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"pip install 'qwell\[{name}\]'"):
        begin(config(dataset, logger=(name,)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_loggers_are_named_by_the_command_line(dataset: Dataset, tmp_path: Path, services: object) -> None:
    small = ("--model", "mlp", "--updates", 4, "--batch", 50, "--set", "hidden=[8]")
    asked = ("qtrain", "eigen", "--data", dataset.path, *small, "--out", "run")
    named = ("--logger", "csv,trackio", "--logger", "csv", "--tensorboard")
    command(*asked, *named, cwd=tmp_path)
    made = Run.open(tmp_path / "run")
    assert EigenConfig.from_json(made.config).loggers == ("csv", "trackio", "tensorboard")
    assert (made.path / "metrics.csv").is_file() and any((made.path / "tensorboard").iterdir())
    said = command(*asked, "--logger", "csvv", cwd=tmp_path, code=2).stderr
    assert "did you mean 'csv'?" in said and "tensorboard, csv, wandb, trackio" in said


def test_a_run_from_before_there_were_loggers_keeps_its_tensorboard(dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run = begin(config(dataset, tensorboard=True), tmp_path / "run")
    old = json.loads((run.path / "config.json").read_text())
    del old["logger"]
    (run.path / "config.json").write_bytes(seal(old))
    train_eigen(run)
    assert any((run.path / "tensorboard").iterdir())
    with pytest.raises(InvalidInput, match="unknown logger 'mlflow'"):
        config(dataset, logger=("mlflow",))


def test_python_gets_every_row_as_it_is_measured(dataset: Dataset, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = []
    run = begin(config(dataset), tmp_path / "run")

    def take(update: int, row: dict[str, object]) -> None:
        assert row["update"] == update and run.metrics()[-1] == row  # it is on the disk by then
        rows.append(row)

    train_eigen(run, progress=take)
    assert rows == run.metrics() and len(rows) == 6


def test_a_run_that_ended_before_its_first_checkpoint_measures_nothing_twice(
    dataset: Dataset, tmp_path: Path
) -> None:
    run = begin(config(dataset, logger=("csv",)), tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train_eigen(run, progress=interrupt_at(10))
    train_eigen(run)
    assert [row["update"] for row in run.metrics()] == [10, 20, 30, 40, 50, 60]
    assert len((run.path / "metrics.csv").read_text().splitlines()) == 7


def test_loggers_are_closed_by_a_signal(
    dataset: Dataset, tmp_path: Path, services: dict[str, list[tuple[str, object]]]
) -> None:
    run = begin(config(dataset, logger=("wandb",)), tmp_path / "run")
    stopped = train_eigen(run, progress=lambda update, row: signal.raise_signal(signal.SIGTERM))
    assert stopped.update == 10 and services["wandb"][-1] == ("finish", None)


def test_a_column_that_comes_late_breaks_nothing(tmp_path: Path) -> None:
    table = open_logger("csv", tmp_path, {}, [])
    for step, row in enumerate(({"a": 1.0}, {"b": 2.0}, {"a": 3.0})):
        table.log(row, step)
    assert (tmp_path / "metrics.csv").read_text() == "update,a,b\n0,1.0,\n1,,2.0\n2,3.0,\n"
