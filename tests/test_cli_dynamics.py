"""`qtrain dynamics`, `rollout` and the experiments on emulators, as typed."""

import json
from pathlib import Path

import pytest
from support import run

from qwell.models.registry import pretrained
from qwell.studies.probes import generalisation


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with trajectories and a trained emulator."""
    home = tmp_path_factory.mktemp("home")
    common = ("--frames", 30, "--workers", 0, "--v-scale", 6, "--hamiltonian", "lattice")
    packets = ("--hb", "2,6", "--x0", "20,30", "--validation", 2, *common)
    run("qdata", "simulate", *packets, "--out", "store/barriers.zarr", cwd=home)
    tests = ("--hb", 4, "--x0", 25, "--split", "test", *common)
    run("qdata", "simulate", *tests, "--out", "store/tests.zarr", cwd=home)
    training = ("--updates", 40, "--batch", 16, "--rollout", 10, "--set", "hidden=8")
    run("qtrain", "dynamics", "--data", "store/barriers.zarr", *training, cwd=home)
    run("qdata", "generate", "--kernel", "m3", "--n", 50, "--validation", 20, "--workers", 0, cwd=home)
    (home / "wells.csv").write_text(",".join(["1.0"] * 101) + "\n")
    (home / "runs/unfinished/checkpoints").mkdir(parents=True)
    (home / "runs/unfinished/config.json").write_text(json.dumps({"command": "dynamics"}))
    return home


def test_default_paths_and_what_is_written(home: Path) -> None:
    path = home / "runs/barriers-emulator_gru"
    config = json.loads((path / "config.json").read_text())
    assert config["options"] == {"channels": 3, "history": 4, "width": 23, "hidden": 8}
    assert config["evaluate_every"] == 2 and config["command"] == "dynamics"
    assert (path / "model/model.safetensors").exists()
    last = json.loads((path / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["update"] == 40 and {"loss", "validation_mae", "validation_C"} <= last.keys()


def test_rollout(home: Path) -> None:
    asked = ("qtrain", "rollout", "runs/barriers-emulator_gru", "--data", "store/tests.zarr", "--frames", 12)
    told = run(*asked, cwd=home).stdout
    assert "| mean" in told and "T error" in told
    folder = home / "runs/barriers-emulator_gru/probes"
    assert {p.suffix for p in folder.glob("rollout-tests.*")} == {".png", ".csv", ".md", ".json"}
    found = run(*asked, "--json", cwd=home).json
    assert found["frames"] == 12 and len(found["cases"]) == 1


def test_waves_that_an_emulator_did_not_learn(home: Path) -> None:
    """Another box is another distance of points: refused with the remedy, or warned of."""
    waves = ("--hb", 4, "--box", 80, "--split", "test", "--frames", 20, "--hamiltonian", "lattice")
    run("qdata", "simulate", *waves, "--workers", 0, "--out", "store/other.zarr", cwd=home)
    asked = ("qtrain", "rollout", "emulator-gru", "--data", "store/other.zarr", "--frames", 5)
    told = run(*asked, cwd=home, code=2).stderr
    assert "learned with dx = 0.0976562 instead of 0.078125" in told and "--anyway" in told
    warned = json.loads(run(*asked, "--anyway", "--json", cwd=home).stdout)["warnings"]
    assert len(warned) == 1 and "what it says of these waves is wrong" in warned[0]


def test_experiments(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {key: values[::6] for key, values in generalisation.SWEEPS.items()}
    monkeypatch.setattr(generalisation, "SWEEPS", few)
    emulator = "runs/barriers-emulator_gru"
    asked = ("qtrain", "probe")
    data = ("--data", "store/tests.zarr", "--frames", 10)
    run(*asked, "emulators", emulator, "emulator-unitary", *data, cwd=home)
    run(*asked, "gradients", emulator, "--data", "store/tests.zarr", "--samples", 10, cwd=home)
    run(*asked, "packets", emulator, *data, cwd=home)
    run(*asked, "sweep", emulator, "--frames", 4, cwd=home)
    made = {p.stem for p in (home / emulator / "probes").glob("*.json")}
    assert {"emulators", "gradients", "packets", "sweep"} <= made


def test_pretrained_emulators_are_listed(home: Path) -> None:
    told = run("qtrain", "models", "--pretrained", cwd=home).stdout
    assert "emulator-unitary" in pretrained() and "emulator-unitary" in told and "C on rect" in told
    assert "qdata simulate --preset demo" in told
    assert "40,204 parameters" in run("qtrain", "models", cwd=home).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dynamics",), "--data store/demo.zarr"),
        (("dynamics", "--data", "store/barriers.zarr", "--model", "mlp"), "no emulator"),
        (("dynamics", "--data", "store/barriers.zarr", "--model", "emulator_rnn"), "emulator_gru"),
        (("dynamics", "--data", "store/tests.zarr"), "no training split"),
        (("dynamics", "--data", "store/barriers.zarr", "--updates", "0"), "updates is 0"),
        (("dynamics", "--data", "store/barriers.zarr"), "rollout is 100"),
        (("dynamics", "--resume", "runs/barriers-emulator_gru", "--updates", "3"), "--updates has no effect"),
        (("rollout", "runs/none", "--data", "store/tests.zarr"), "no trained model"),
        (("rollout", "hamiltonian-m3", "--data", "store/tests.zarr"), "give an emulator"),
        (("rollout", "emulator-unitary", "--data", "store/tests.zarr"), "choose at most 30"),
        (
            ("rollout", "emulator-unitary", "--data", "store/tests.zarr", "--split", "train"),
            "tests.zarr: unknown split 'train'; choose one of test",
        ),
        (("probe", "gradients", "emulator-unitary", "--data", "store/tests.zarr"), "by construction"),
        (("eigen", "--data", "store/barriers.zarr"), "holds trajectories"),
        (("eigen", "--data", "store/m3.zarr", "--model", "emulator_gru"), "res_sa, hamiltonian"),
        (("evaluate", "emulator-gru", "--data", "store/m3.zarr"), "made for dynamics"),
        (("predict", "emulator-unitary", "--potential", "wells.csv"), "made for dynamics"),
        (("probe", "densities", "emulator-gru", "--data", "store/m3.zarr"), "made for dynamics"),
        (("probe", "crossing", "emulator-gru", "--data", "store/m3.zarr"), "made for dynamics"),
        (("probe", "attention", "emulator-gru", "--data", "store/m3.zarr"), "made for dynamics"),
        (("probe", "cross-kernel", "emulator-gru", "--data", "store/m3.zarr"), "made for dynamics"),
        (("probe", "learning-curves", "runs/barriers-emulator_gru"), "runs of `qtrain eigen`"),
        (("rollout", "runs/unfinished", "--data", "store/tests.zarr"), "qtrain dynamics --resume"),
    ],
)
def test_bad_input_is_one_line_with_the_remedy(home: Path, arguments: tuple[str, ...], message: str) -> None:
    assert message in run("qtrain", *arguments, cwd=home, code=2).stderr
