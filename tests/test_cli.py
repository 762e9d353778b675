"""The commands as typed: what they print, and that bad input is one line and the right exit code."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from support import begin, forge_manifest, run, run_process, wait_until

from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.store.writer import DatasetWriter
from qwell.train.directory import Run

DATA = ("--data", "{home}/store/m3.zarr")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a data set and a trained model, made as the README says."""
    home = tmp_path_factory.mktemp("home")
    run("qdata", "generate", "--kernel", "m3", "--n", 2000, "--validation", 300, "--densities", cwd=home)
    run("qtrain", "eigen", "--data", "store/m3.zarr", "--model", "mlp", "--updates", 200, cwd=home)
    return home


def test_default_paths(home: Path) -> None:
    assert (home / "store/m3.zarr/manifest.json").is_file()
    files = {p.name for p in (home / "runs/m3-mlp").iterdir()}
    assert files == {
        "config.json", "log.txt", "metrics.jsonl", "checkpoints", "model", "figures", "report.md",
        "evaluation.json",
    }  # fmt: skip
    assert (home / "runs/m3-mlp/figures/levels.png").read_bytes()[:4] == b"\x89PNG"


def test_what_is_published_of_a_run_names_data_and_no_paths_of_the_machine(home: Path) -> None:
    for name in ("report.md", "evaluation.json", "model/config.json"):
        text = (home / "runs/m3-mlp" / name).read_text()
        assert "m3.zarr" in text and str(home) not in text, name


def test_info_and_verify(home: Path) -> None:
    told = run("qdata", "info", "store/m3.zarr", "--json", cwd=home).json
    assert told["recipe"]["sigma"] == 100.0 and told["splits"]["train"]["rows"] == 2000
    assert "version" in run("qdata", "info", "store/m3.zarr", cwd=home).stdout
    found = run("qdata", "verify", "store/m3.zarr", "--full", "--json", cwd=home).json
    assert found["problems"] == [] and found["largest_deviation"] < 1e-9 and found["solved_again"] >= 1300


def test_verify_of_a_damaged_set_exits_1(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "store/m3.zarr", tmp_path / "m3.zarr")
    shard = tmp_path / "m3.zarr/train/potential/c/0/0"
    content = bytearray(shard.read_bytes())
    content[1000] ^= 4
    shard.write_bytes(content)
    assert "was altered" in run("qdata", "verify", "m3.zarr", cwd=tmp_path, code=1).stdout
    assert (
        "damaged" in run("qtrain", "eigen", "--data", "m3.zarr", "--updates", 1, cwd=tmp_path, code=1).stderr
    )
    shard.unlink()
    assert (
        "missing" in run("qtrain", "eigen", "--data", "m3.zarr", "--updates", 1, cwd=tmp_path, code=1).stderr
    )


def test_plot(home: Path, tmp_path: Path) -> None:
    run("qdata", "plot", home / "store/m3.zarr", "--rows", "3:7", "--out", "a.svg", cwd=tmp_path)
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")
    assert "A:B" in run("qdata", "plot", home / "store/m3.zarr", "--rows", "9", cwd=tmp_path, code=2).stderr
    assert "A:B" in run("qdata", "plot", home / "store/m3.zarr", "--rows", "7:3", cwd=tmp_path, code=2).stderr
    assert (
        "cannot draw"
        in run("qdata", "plot", home / "store/m3.zarr", "--out", "a.doc", cwd=tmp_path, code=2).stderr
    )


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    told = run(
        "qdata", "generate", "--kernel", "exp", "--n", 500000, "--dry-run", "--json", cwd=tmp_path
    ).json
    assert told["bytes"] == 510_000 * (101 * 4 + 10 * 8) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("n", [10**20, 10**12, 10**10])
def test_more_rows_than_files_can_hold_are_refused_at_once(n: int, tmp_path: Path) -> None:
    """Before anything is counted one by one."""
    told = run("qdata", "generate", "--kernel", "m3", "--n", n, "--dry-run", cwd=tmp_path, code=2).stderr
    assert ("at most" in told and "--shard-size" in told) or "a split holds at most" in told


def test_evaluate_on_another_kernel(home: Path, tmp_path: Path) -> None:
    run("qdata", "generate", "--kernel", "rbf", "--n", 500, "--validation", 100, "--workers", 0, cwd=tmp_path)
    answer = run(
        "qtrain", "evaluate", home / "runs/m3-mlp", "--data", "store/rbf.zarr", "--json", cwd=tmp_path
    )
    rows = {row["name"].split()[0]: row for row in answer.json["rows"]}
    assert rows["direct"]["nmse"] < 1e-20 < rows["Galerkin,"]["nmse"] < rows["m3-mlp"]["nmse"] < 1
    assert len(rows["m3-mlp"]["mae_per_level"]) == 10


def test_predict(home: Path, tmp_path: Path) -> None:
    v = np.random.default_rng(0).normal(size=(3, 101)) * 50
    np.save(tmp_path / "v.npy", v)
    np.savetxt(tmp_path / "v.csv", v, delimiter=",")
    np.savetxt(tmp_path / "one.csv", v[0])
    model = home / "runs/m3-mlp"
    np.savez(tmp_path / "v.npz", wells=v)
    a, b, c = (
        run("qtrain", "predict", model, "--potential", *f, "--json", cwd=tmp_path).json["energy"]
        for f in (("v.npy",), ("v.csv",), ("v.npz", "--array", "wells"))
    )
    np.testing.assert_allclose(a, b, rtol=1e-5)
    assert a == c
    run("qtrain", "predict", model, "--potential", "one.csv", "--out", "e.csv", cwd=tmp_path)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "e.csv", delimiter=","), a[0], rtol=1e-4)
    assert len(run("qtrain", "predict", model, "--potential", "v.npy", cwd=tmp_path).stdout.splitlines()) == 3


def test_predictions_far_from_what_was_taught_are_told(home: Path, tmp_path: Path) -> None:
    model = home / "runs/m3-mlp"  # of σ = 100
    np.save(tmp_path / "near.npy", np.full((2, 101), 590.0))
    np.save(tmp_path / "far.npy", np.stack([np.zeros(101), np.full(101, 1e7)]))
    said = [run("qtrain", "predict", model, "--potential", f"{f}.npy", cwd=tmp_path) for f in ("near", "far")]
    assert not said[0].stderr
    assert "1 of 2 potentials" in said[1].stderr and "potential 1 reaches 1e+07" in said[1].stderr


def test_models(tmp_path: Path) -> None:
    told = run("qtrain", "models", "--json", cwd=tmp_path).json
    assert told["res_sa"]["parameters"] == 4_912_513


def test_a_second_run_gets_its_own_name(home: Path) -> None:
    run("qtrain", "eigen", "--data", "store/m3.zarr", "--model", "mean", cwd=home)
    run("qtrain", "eigen", "--data", "store/m3.zarr", "--model", "mean", cwd=home)
    assert (home / "runs/m3-mean-2/model").is_dir()


GENERATE = ["qdata", "generate", "--kernel", "m3", "--n", "100", "--workers", "0"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["qdata", "generate", "--kernel", "m4", "--n", "10"], "choose one of rbf"),
        (["qdata", "generate", "--kernel", "m3", "--n", "0"], "n is 0"),
        (["qdata", "generate", "--kernel", "m3"], "Missing option '--n'. See `qdata generate --help`."),
        (["qdata", "generate", "--kernel", "m3", "--n", "many"], "not a valid integer"),
        (["qdata", "brew"], "unknown command 'brew'"),
        ([*GENERATE, "--sigma", "-1"], "sigma is -1.0"),
        ([*GENERATE, "--mesh", "8"], "raise --mesh"),
        ([*GENERATE, "--out", "/proc/nowhere/m3.zarr"], "--out"),
        ([*GENERATE, "--shard-size", "10"], "multiple of 1000"),
        pytest.param(
            [*GENERATE[:-2], "--scheduler", "tcp://127.0.0.1:1"], "dask scheduler", marks=pytest.mark.slow
        ),
        (["qdata", "info", "nothing.zarr"], "no data set at nothing.zarr"),
        (["qdata", "verify", "."], "not a qwell data set"),
        (["qtrain", "eigen"], "--data store/m3.zarr"),
        (["qtrain", "eigen", "--data", "nothing.zarr"], "no data set"),
        (["qtrain", "eigen", "--data", "{home}/store/m3.zarr", "--model", "resnet"], "res_sa, hamiltonian"),
        (["qtrain", "eigen", "--data", "{home}/store/m3.zarr", "--set", "hidden"], "KEY=VALUE"),
        (["qtrain", "eigen", "--data", "{home}/store/m3.zarr", "--updates", "0"], "updates is 0"),
        (["qtrain", "eigen", "--data", "{home}/store/m3.zarr", "--batch", "9999"], "has 2000 rows of train"),
        (["qtrain", "eigen", "--data", "{home}/store/m3.zarr", "--device", "cuda:7"], "--device auto or cpu"),
        (
            ["qtrain", "eigen", "--data", "{home}/store/m3.zarr", "--device", "abacus"],
            "choose auto, cpu, cuda",
        ),
        (["qtrain", "eigen", "--data", "{home}/store/m3.zarr", "--precision", "int8"], "float32, tf32, bf16"),
        (["qtrain", "eigen", "--resume", "runs/none"], "no run at runs/none"),
        (["qtrain", "eigen", "--resume", "{home}/runs/m3-mlp", "--updates", "5"], "--updates has no effect"),
        (["qtrain", "evaluate", "nothing", "--data", "{home}/store/m3.zarr"], "no trained model"),
        (["qtrain", "predict", "{home}/runs/m3-mlp", "--potential", "none.npy"], "there is no file"),
        (["qtrain", "predict", "{home}/runs/m3-mlp", "--potential", "v.txt"], "give .npz, .npy, .csv"),
        (["qdata", "info", "nothing.zarr"], "`qdata generate --kernel m3 --n 500000`"),
        (["qdata", "stats", "nothing.zarr"], "`qdata generate --kernel m3 --n 500000`"),
        (
            ["qdata", "plot", "{home}/store/m3.zarr", "--split", "trian"],
            "m3.zarr: unknown split 'trian'; did",
        ),
        (
            ["qtrain", "eigen", "--data", "{home}/store/m3.zarr", "--batch", "9999"],
            "train: --batch 1 to 2000",
        ),
        (["qtrain", "probe", "ablation", "{home}/runs/m3-mlp", *DATA], "m3-mlp holds mlp; ablations"),
        (
            ["qtrain", "probe", "attention", "{home}/runs/m3-mlp", *DATA],
            "holds mlp without self-attention",
        ),
        (["qtrain", "dynamics", "--resume", "{home}/runs/m3-mlp"], "continue it with `qtrain eigen --resume"),
        (
            ["qtrain", "introspect", "--resume", "{home}/runs/m3-mlp"],
            "a run of `qtrain eigen`, not of `qtrain",
        ),
        (
            ["qtrain", "eigen", "--resume", "{home}/runs/m3-mlp/model"],
            "no run: it names no command; name the",
        ),
    ],
)
def test_bad_input_is_one_line_with_the_remedy(
    home: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    assert message in run(*(a.format(home=home) for a in arguments), cwd=tmp_path, code=None).stderr
    assert not list(tmp_path.rglob("*.zarr")) and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("task", ["eigen", "dynamics"])
def test_a_misspelt_model_is_answered_with_those_that_the_command_trains(
    home: Path, tmp_path: Path, task: str
) -> None:
    said = run(
        "qtrain", task, "--data", home / "store/m3.zarr", "--model", "mpl", cwd=tmp_path, code=2
    ).stderr
    assert ("res_sa" in said and "did you mean 'mlp'" in said) == (task == "eigen")
    assert ("emulator_gru" in said) == (task == "dynamics")


@pytest.mark.parametrize("command", ["potential", "variational", "introspect"])
def test_runs_that_hold_no_network_say_what_they_are(home: Path, tmp_path: Path, command: str) -> None:
    Run.create(tmp_path / "found", {"command": command})
    for asked in (("evaluate", "found", *DATA), ("predict", "found", "--potential", "v.npy")):
        said = run("qtrain", *(a.format(home=home) for a in asked), cwd=tmp_path, code=2).stderr
        assert f"found is a run of `qtrain {command}`" in said and "found/report.md" in said
        assert ("`qtrain probe potentials` draws such runs" in said) == (command == "potential")
    said = run("qtrain", "eigen", "--resume", "found", cwd=tmp_path, code=2).stderr
    goes_on = command == "introspect"
    assert ("continue it with `qtrain introspect --resume found`" in said) == goes_on
    assert ("repeat what found/log.txt begins with" in said) != goes_on


def test_a_table_is_said_with_the_path_of_its_figure(home: Path, tmp_path: Path) -> None:
    """Before work where the name cannot be that of a figure, and with the table even if the disk refuses."""
    asked = ("qtrain", "evaluate", home / "runs/m3-mlp", "mlp-rbf", "--data", home / "store/m3.zarr")
    answer = run(*asked, "--figure", "a.png", "--json", cwd=tmp_path).json
    assert answer["figure"] == "a.png" and (tmp_path / "a.png").stat().st_size > 1000
    assert [row["name"].split(" (")[0] for row in answer["rows"]][-2:] == ["m3-mlp", "mlp-rbf"]
    for name in ("a.doc", "a"):
        refused = run(*asked, "--figure", name, cwd=tmp_path, code=2)
        assert f"cannot draw {name}: choose a name ending in ." in refused.stderr and ".svg" in refused.stderr
        assert not refused.stdout and "tmp" not in refused.stderr
    (tmp_path / "file").touch()
    assert "m3-mlp (mlp, trained on" in run(*asked, "--figure", "file/a.png", cwd=tmp_path, code=1).stdout


def test_an_import_without_validation_is_made_again_with_some(home: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(20, 101)))
    run("qdata", "import", "v.npy", cwd=tmp_path)
    asked = ("qtrain", "evaluate", home / "runs/m3-mlp", "--data", "store/v.zarr")
    assert "`qdata import … --validation N --force`" in run(*asked, cwd=tmp_path, code=2).stderr
    assert "m3-mlp" in run(*asked, "--split", "train", cwd=tmp_path).stdout


def test_files_of_other_programs_are_to_be_imported(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", potential=np.zeros((3, 101)))
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file["potential"] = np.zeros((3, 101))
    for name, words in (("mine.npz", "`qdata import mine.npz` makes"), ("mine.h5", "(it holds no manifest)")):
        said = run("qdata", "info", name, cwd=tmp_path, code=2).stderr
        assert words in said and "qdata import" in said
        assert "signature" not in said and "object" not in said


def test_existing_and_foreign_directories(home: Path, tmp_path: Path) -> None:
    assert "--force" in run(*GENERATE, "--out", home / "store/m3.zarr", cwd=tmp_path, code=2).stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("mine")
    for extra in ([], ["--force"]):
        assert "not a qwell data set" in run(*GENERATE, "--out", "mine", *extra, cwd=tmp_path, code=2).stderr
    assert (tmp_path / "mine/file").read_text() == "mine"


def test_potentials_that_are_none(home: Path, tmp_path: Path) -> None:
    v = np.zeros((2, 101))
    v[1, 3] = np.nan
    np.save(tmp_path / "nan.npy", v)
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "short.npy", np.zeros((2, 50)))
    np.save(tmp_path / "deep.npy", np.zeros((2, 3, 101)))
    np.save(tmp_path / "none.npy", np.zeros((0, 101)))
    np.savez(tmp_path / "deep.npz", potential=np.zeros((2, 3, 101)))
    (tmp_path / "text.csv").write_text("a,b\n")
    for name, message in [("nan.npy", "potential 1 holds NaN"), ("object.npy", "table of numbers"),
                          ("short.npy", "(n, 101)"), ("text.csv", "table of numbers"),
                          ("deep.npy", "shape (2, 3, 101) and type float64; expected real numbers of shape"),
                          ("deep.npz", "potential in deep.npz is of shape (2, 3, 101)"),
                          ("none.npy", "no potentials, an array of shape (0, 101)")]:  # fmt: skip
        told = run(
            "qtrain", "predict", home / "runs/m3-mlp", "--potential", name, cwd=tmp_path, code=2
        ).stderr
        assert message in told


def test_a_data_set_of_another_kind(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "store/m3.zarr", tmp_path / "t.zarr")
    forge_manifest(tmp_path / "t.zarr", kind="trajectories")
    told = run("qtrain", "eigen", "--data", "t.zarr", cwd=tmp_path, code=2).stderr
    assert "holds trajectories; this command needs spectra" in told


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="needs to mount a small disk")
def test_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], check=False, capture_output=True
    ).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        large = ["qdata", "generate", "--kernel", "m3", "--n", 100_000, "--out", disk / "a.zarr"]
        assert "free some space" in run(*large, cwd=tmp_path, code=1).stderr
        # room enough at the beginning, and then another program takes its share
        small = ["qdata", "generate", "--kernel", "m3", "--n", 4000, "--validation", 0, "--shard-size", 1000]
        DatasetWriter(disk / "b.zarr", SpectraRecipe("m3", n=4000, validation=0).plan(1000)).close()
        (disk / "other").write_bytes(bytes(2_000_000))
        again = [*small, "--workers", 0, "--resume", "--out", disk / "b.zarr"]
        told = run_process(*again, cwd=tmp_path, code=1)
        assert "the disk is full" in told.stderr and len(told.stderr.strip().splitlines()) == 1
        (disk / "other").unlink()
        run(*again, cwd=tmp_path)
        run("qdata", "verify", "--full", disk / "b.zarr", cwd=tmp_path)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_ctrl_c_leaves_something_to_resume(tmp_path: Path) -> None:
    """Pressed when the first of 12 shards is done: the command and its workers end, and go on later."""
    options = ["generate", "--kernel", "m3", "--n", "12000", "--validation", "0", "--shard-size", "1000"]
    process = begin("qdata", *options, cwd=tmp_path)
    done = tmp_path / "store/m3.zarr.partial/progress/done"
    wait_until(lambda: done.is_dir() and any(done.iterdir()))
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "--resume" in told and "Traceback" not in told, told
    assert "unfinished" in run("qdata", "info", "store/m3.zarr", cwd=tmp_path, code=2).stderr
    run("qdata", *options, "--solver", "scipy", "--workers", 0, "--resume", cwd=tmp_path)
    run("qdata", "verify", "store/m3.zarr", cwd=tmp_path)


def test_a_training_that_is_terminated_says_how_to_go_on(home: Path, tmp_path: Path) -> None:
    options = ("--model", "mlp", "--set", "hidden=[8]", "--updates", 10**6, "--log-every", 1, "--out", "run")
    process = begin("qtrain", "eigen", "--data", home / "store/m3.zarr", *options, cwd=tmp_path)
    log = tmp_path / "run/metrics.jsonl"
    wait_until(lambda: log.is_file() and log.stat().st_size > 0)
    process.terminate()
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGTERM, told
    assert "stopped by SIGTERM" in told and "qtrain eigen --resume run" in told, told
    assert (tmp_path / "run/checkpoints/last.safetensors").is_file()


def test_a_reader_who_has_seen_enough(home: Path) -> None:
    """The pipe is closed before all is said, as `qdata info … | head -1` does: no complaint, exit code 1."""
    process = begin("qdata", "info", "store/m3.zarr", "--json", cwd=home)
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(60) == 1


def test_debug_keeps_the_traceback(tmp_path: Path) -> None:
    process = begin("qdata", "info", "none", "--debug", cwd=tmp_path)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and "DatasetNotFound" in told and "Traceback" in told
