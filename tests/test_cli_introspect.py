"""`qdata densities` and `qtrain introspect` as people type them."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from qwell.cli.qdata import cli as qdata
from qwell.cli.qtrain import cli as qtrain
from qwell.errors import CheckpointError, DatasetKindError, InvalidInput

SHORT = ["--translator-steps", "60", "--distiller-steps", "40", "--starts", "2", "--dimensions", "1,2,3"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop")
    for name, options in (
        ("d.zarr", []),
        ("bare.zarr", ["--test", "0"]),
        ("current.zarr", ["--current", "1.5"]),
    ):
        arguments = [
            "densities",
            "--n",
            "300",
            "--validation",
            "50",
            "--cells",
            "15",
            "--workers",
            "0",
            *options,
        ]
        if "--test" not in options:
            arguments += ["--test", "50"]
        CliRunner().invoke(
            qdata, [*arguments, "--out", str(path / name)], catch_exceptions=False, standalone_mode=False
        )
    return path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def typed(*arguments: str) -> str:
    return (
        CliRunner()
        .invoke(qtrain, ["introspect", *arguments], catch_exceptions=False, standalone_mode=False)
        .stdout
    )


def test_everything_and_again(shop: Path) -> None:
    said = typed("--data", str(shop / "d.zarr"), *SHORT, "--seeds", "2")
    assert "verdict" in said and "read off" in said and "density form, d = 3" in said
    run = Path("runs/d-introspect")
    numbers = json.loads((run / "report.json").read_text())
    assert set(numbers["distillers"]) == {"1", "2", "3"} and len(numbers["laws"]) == 2
    with np.load(run / "exported.npz", allow_pickle=False) as exported:
        assert exported["latents-0"].shape == (50, 15, 2) and exported["updates-1"].shape == (49, 2, 2)
    for name in ("report.md", "report.png", "report-law.png", "metrics.jsonl"):
        assert (run / name).stat().st_size
    (run / "model/distiller-2-1.safetensors").unlink()
    lines = len((run / "metrics.jsonl").read_text().splitlines())
    assert typed("--resume", str(run)) == said  # the one that was lost is made again, bit for bit
    assert len((run / "metrics.jsonl").read_text().splitlines()) == lines + 1
    (run / "model/translator.safetensors").write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="made again"):
        typed("--resume", str(run))


def test_one_stage_after_the_other(shop: Path) -> None:
    said = typed("--data", str(shop / "d.zarr"), *SHORT, "--until", "translator", "--out", "a")
    assert "relative error" in said and not list(Path("a/model").glob("distiller*"))
    scanned = typed("--resume", "a", "--until", "scan")
    assert "verdict" in scanned and "law" not in scanned
    assert "read off" in typed("--resume", "a")


def test_a_free_update_has_no_matrix_to_test(shop: Path) -> None:
    said = typed("--data", str(shop / "d.zarr"), *SHORT, "--update", "free")
    assert "verdict" in said and "law, d = 2" not in said


def test_a_complex_wave_has_no_law_of_two_real_numbers(shop: Path) -> None:
    assert "law, d = 2" not in typed("--data", str(shop / "current.zarr"), *SHORT, "--translator", "gru")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a data set"),
        (["--data", "bare.zarr"], "no rows of test"),
        (["--data", "d.zarr", "--dimensions", "0,1"], "from 1 to 8"),
        (["--data", "d.zarr", "--translator", "bert"], "unknown translator"),
        (["--data", "d.zarr", "--update", "wild"], "unknown update"),
        (["--data", "d.zarr", "--until", "dawn"], "unknown stage"),
    ],
)
def test_mistakes_are_named(shop: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        typed(*[str(shop / a) if a.endswith(".zarr") else a for a in arguments])


def test_other_data_are_refused(shop: Path, tmp_path: Path) -> None:
    CliRunner().invoke(
        qdata, ["generate", "--kernel", "m3", "--n", "10", "--validation", "0", "--workers", "0"],
        catch_exceptions=False, standalone_mode=False,
    )  # fmt: skip
    with pytest.raises(DatasetKindError, match="needs densities"):
        typed("--data", "store/m3.zarr")
