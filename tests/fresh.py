"""A fresh environment outside the checkout: qwell installed as users have it, and what it needs."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent


class Fresh:
    """A virtual environment in a folder, with this checkout's qwell and other packages installed into it.

    Libraries come from where these tests run, so that nothing is fetched.

    Arguments:
        folder: of the environment.
        packages: folders of further packages to install.
    """

    def __init__(self, folder: Path, *packages: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.bin = folder / "bin"
        (site,) = (folder / "lib").glob("python*/site-packages")
        libraries = [path for path in sys.path if path.endswith("site-packages")]
        (site / "libraries.pth").write_text("\n".join(libraries))
        copy = folder / "qwell-source"
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
        shutil.copytree(ROOT / "qwell", copy / "qwell", ignore=ignored)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, copy)
        options = ["--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed", "--quiet"]
        there = ["--python", str(self.bin / "python")]
        done = subprocess.run(
            [sys.executable, "-m", "pip", *there, "install", *options, str(copy), *map(str, packages)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def run(self, *command: str, cwd: Path, code: int | None = 0, **environment: str) -> str:
        """Run a command of the environment in a folder; what it said."""
        inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "QWELL_PLUGINS")}
        path = f"{self.bin}:{inherited['PATH']}"
        done = subprocess.run(
            command, cwd=cwd, env={**inherited, "PATH": path, **environment}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert code is None or done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def has(self, module: str) -> bool:
        """Whether a library can be imported there."""
        asked = f"import importlib.util; print(importlib.util.find_spec({module!r}) is not None)"
        return self.run("python", "-c", asked, cwd=self.bin).strip() == "True"
