"""`qdata densities` and `qtrain introspect` as people type them."""

import json
from pathlib import Path

import numpy as np
import pytest
from support import run

SHORT = ("--translator-steps", 60, "--distiller-steps", 40, "--starts", 2, "--dimensions", "1,2,3")
INTROSPECT = ("qtrain", "introspect")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop")
    common = ("qdata", "densities", "--n", 300, "--validation", 50, "--cells", 15, "--workers", 0)
    run(*common, "--test", 50, "--out", "d.zarr", cwd=path)
    run(*common, "--test", 0, "--out", "bare.zarr", cwd=path)
    run(*common, "--test", 50, "--current", 1.5, "--out", "current.zarr", cwd=path)
    return path


def test_everything_and_again(shop: Path, tmp_path: Path) -> None:
    said = run(*INTROSPECT, "--data", shop / "d.zarr", *SHORT, "--seeds", 2, cwd=tmp_path).stdout
    assert "verdict" in said and "read off" in said and "density form, d = 3" in said
    made = tmp_path / "runs/d-introspect"
    numbers = json.loads((made / "report.json").read_text())
    assert set(numbers["distillers"]) == {"1", "2", "3"} and len(numbers["laws"]) == 2
    best = min(numbers["distillers"]["2"], key=lambda one: one["validation"])["seed"]
    assert numbers["best"] == next(law for law in numbers["laws"] if law["seed"] == best)
    with np.load(made / "exported.npz", allow_pickle=False) as exported:
        assert exported["latents-0"].shape == (50, 15, 2) and exported["updates-1"].shape == (49, 2, 2)
    for name in ("report.md", "report.png", "report-law.png", "metrics.jsonl"):
        assert (made / name).stat().st_size
    (made / "model/distiller-2-1.safetensors").unlink()
    lines = len((made / "metrics.jsonl").read_text().splitlines())
    again = (*INTROSPECT, "--resume", "runs/d-introspect")
    assert run(*again, cwd=tmp_path).stdout == said  # the one that was lost is made again, bit for bit
    assert len((made / "metrics.jsonl").read_text().splitlines()) == lines + 1
    (made / "model/translator.safetensors").write_bytes(b"broken")
    assert "made again" in run(*again, cwd=tmp_path, code=2).stderr


def test_one_stage_after_the_other(shop: Path, tmp_path: Path) -> None:
    stage = ("--until", "translator", "--out", "a")
    said = run(*INTROSPECT, "--data", shop / "d.zarr", *SHORT, *stage, cwd=tmp_path).stdout
    assert "relative error" in said and not list((tmp_path / "a/model").glob("distiller*"))
    scanned = run(*INTROSPECT, "--resume", "a", "--until", "scan", cwd=tmp_path).stdout
    assert "verdict" in scanned and "law" not in scanned
    assert "read off" in run(*INTROSPECT, "--resume", "a", cwd=tmp_path).stdout


def test_a_free_update_has_no_matrix_to_test(shop: Path, tmp_path: Path) -> None:
    free = ("--data", shop / "d.zarr", *SHORT, "--update", "free")
    said = run(*INTROSPECT, *free, cwd=tmp_path).stdout
    assert "verdict" in said and "law, d = 2" not in said


def test_a_complex_wave_has_no_law_of_two_real_numbers(shop: Path, tmp_path: Path) -> None:
    current = ("--data", shop / "current.zarr", *SHORT, "--translator", "gru")
    assert "law, d = 2" not in run(*INTROSPECT, *current, cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a data set"),
        (("--data", "{shop}/bare.zarr"), "no rows of test"),
        (("--data", "{shop}/d.zarr", "--dimensions", "0,1"), "from 1 to 8"),
        (("--data", "{shop}/d.zarr", "--translator", "bert"), "unknown translator"),
        (("--data", "{shop}/d.zarr", "--update", "wild"), "unknown update"),
        (("--data", "{shop}/d.zarr", "--until", "dawn"), "unknown stage"),
    ],
)
def test_mistakes_are_named(shop: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    typed = [a.format(shop=shop) for a in arguments]
    assert message in run(*INTROSPECT, *typed, cwd=tmp_path, code=2).stderr
    assert not (tmp_path / "runs").exists()


def test_data_that_are_not_there_are_made_by_the_right_command(tmp_path: Path) -> None:
    told = run(*INTROSPECT, "--data", "nothing", cwd=tmp_path, code=2).stderr
    assert "make one, e.g. `qdata densities`" in told


def test_other_data_are_refused(tmp_path: Path) -> None:
    spectra = ("--kernel", "m3", "--n", 10, "--validation", 0, "--workers", 0)
    run("qdata", "generate", *spectra, cwd=tmp_path)
    told = run(*INTROSPECT, "--data", "store/m3.zarr", cwd=tmp_path, code=2).stderr
    assert "needs densities" in told
