"""The pages "In your own loop" and "Bring your own", and somebody else's package, in a fresh environment."""

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fresh import ROOT, Fresh

from qwell.store.reader import open_dataset

pytestmark = pytest.mark.slow  # environments are made, and commands start in them

BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LIBRARIES = ("lightning", "accelerate", "jax", "sklearn", "xarray", "pandas")


def blocks(page: str) -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / "docs" / page).read_text())


LOOPS = [text for language, text in blocks("your-own-loop.md") if language == "python"]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    return Fresh(tmp_path_factory.mktemp("fresh") / "env")


@pytest.fixture(scope="module")
def home(fresh: Fresh, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the first page's data set is made."""
    folder = tmp_path_factory.mktemp("home")
    where = fresh.run("python", "-c", "import qwell; print(qwell.__file__)", cwd=folder)
    assert str(fresh.bin.parent) in where, "it is not the checkout that runs"
    ((_, making),) = (block for block in blocks("your-own-loop.md") if block[0] == "bash")
    fresh.run("bash", "-euc", making, cwd=folder)
    return folder


@pytest.mark.parametrize("snippet", LOOPS, ids=lambda text: text.splitlines()[0])
def test_every_loop_runs(fresh: Fresh, home: Path, snippet: str) -> None:
    lines = [line for line in snippet.splitlines() if line.strip()]
    assert len(lines) <= 10, "a snippet has at most ten lines"
    for library in LIBRARIES:
        if library in snippet and not fresh.has(library):
            pytest.skip(f"{library} is not installed")
    (home / "loop.py").write_text(
        f'if __name__ == "__main__":\n{re.sub("^", "    ", snippet, flags=re.MULTILINE)}'
    )
    fresh.run("python", "loop.py", cwd=home, QWELL_CACHE=str(home / "cache"))


def test_bring_your_own(fresh: Fresh, tmp_path: Path) -> None:
    """Every block of the page in order; a block that begins with `# name.py` is that file."""
    environment = {"QWELL_CACHE": str(tmp_path / "cache")}
    for language, text in blocks("bring-your-own.md"):
        if file := re.match(r"# (\w+\.py)\n", text):
            (tmp_path / file[1]).write_text(text)
        elif language == "bash":
            fresh.run("bash", "-euc", text, cwd=tmp_path, **environment)
        else:
            said = fresh.run("python", "-c", text, cwd=tmp_path, **environment)
            assert "my_model" in said and "MyNet" in said, said


PACKAGE = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "somebodys-physics"
version = "1.2"
[project.entry-points."qwell.kernels"]
rational = "somebodys.physics:rational"
[project.entry-points."qwell.shapes"]
sech = "somebodys.physics:sech"
[project.entry-points."qwell.models"]
my_net = "somebodys.models:MyNet"
""",
    "somebodys/__init__.py": "",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """An environment with a package of a model, a kernel and a shape; its sources are those of the page."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "source" / "somebodys").mkdir(parents=True)
    for name, text in PACKAGE.items():
        (folder / "source" / name).write_text(text)
    for _, text in blocks("bring-your-own.md"):
        if file := re.match(r"# my_(\w+)\.py\n", text):
            name = {"physics": "physics", "model": "models"}[file[1]]
            (folder / "source" / "somebodys" / f"{name}.py").write_text(text)
    return Fresh(folder / "env", folder / "source")


@pytest.fixture
def scheduler(installed: Fresh, tmp_path: Path) -> Iterator[str]:
    """A Dask scheduler with a worker, in the environment of the package."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = str(installed.bin / "python"), "-m", "distributed.cli.dask_scheduler"
    worker = str(installed.bin / "python"), "-m", "distributed.cli.dask_worker"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    begun = [subprocess.Popen([*dask, "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"], **quiet)]  # type: ignore[call-overload]
    begun.append(subprocess.Popen([*worker, address, "--nthreads", "1", "--no-dashboard"], **quiet))  # type: ignore[call-overload]
    time.sleep(1)
    yield address
    for process in reversed(begun):
        process.terminate()
        process.wait(30)


def test_an_installed_package_works_in_every_command(
    installed: Fresh, scheduler: str, tmp_path: Path
) -> None:
    """In this process, with two workers, and on a Dask scheduler: the same bytes; then a model's life."""

    def run(text: str, code: int | None = 0) -> str:
        return installed.run(*text.split(), cwd=tmp_path, code=code, QWELL_CACHE=str(tmp_path / "cache"))

    making = "qdata generate --kernel rational --n 2500 --validation 200 --solver lanes --shard-size 1000"
    rings = (
        "qdata simulate --potential sech:height=4:width=2 --e0 1 --frames 3 --points 64 --box 20 --x0 5,8,10"
    )
    digests: dict[str, set[str]] = {"spectra": set(), "rings": set()}
    for i, how in enumerate(("--workers 0", "--workers 2", f"--scheduler {scheduler}")):
        run(f"{making} {how} --out store/s{i}.zarr")
        run(f"{rings} {how} --out store/t{i}.zarr")
        digests["spectra"].add(open_dataset(tmp_path / f"store/s{i}.zarr").digest)
        digests["rings"].add(open_dataset(tmp_path / f"store/t{i}.zarr").digest)
    assert len(digests["spectra"]) == len(digests["rings"]) == 1
    (record,) = open_dataset(tmp_path / "store/s0.zarr").recipe["plugins"]
    assert (record["plugin"], record["version"], record["name"]) == ("somebodys-physics", "1.2", "rational")

    run(
        "qdata densities --potential rational --n 1000 --validation 0 --test 0 --workers 0 --out store/d.zarr"
    )
    run("qdata verify --full store/s0.zarr")
    run("qdata verify --full store/t0.zarr")
    assert "rational" in run("qdata info store/s0.zarr")
    run("qdata convert store/s0.zarr --out store/s.h5")
    run("qtrain eigen --data store/s0.zarr --model my_net --set widths=[16] --updates 50 --out runs/a")
    for command in ("evaluate runs/a", "probe cross-kernel runs/a"):
        run(f"qtrain {command} --data store/s0.zarr")
    assert "my_net" in run("qtrain models")
