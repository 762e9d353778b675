"""Deliberate breaks: does the suite notice? Two a package, each tried on a copy of the working tree.

    python tests/breaks.py [--only NAME] [--fast] [--out breaks.json]

Each break is applied to a copy; then `pytest -x` runs the fast tests of its package, and of those that
survive the slow ones. A break that no test sees is a promise that nobody keeps.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Break:
    """A change of one place of a file, and the tests that ought to see it.

    Arguments:
        name: package, and what is broken.
        file: below qwell/.
        old, new: the text that is there once, and what replaces it.
        tests: below tests/.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


BREAKS = (
    Break("physics: the ring's waves are too heavy", "physics/propagators/settings.py",
          "return ring.k**2 / 2", "return ring.k**2 / 2.001", ("datagen/test_propagators.py",)),
    Break("physics: the kernel m3 decays too slowly", "physics/kernels.py",
          "s = np.sqrt(3.0) * u", "s = np.sqrt(2.9) * u", ("datagen/test_kernels.py",)),
    Break("store: the sha256 of a shard is not compared", "store/vouched.py",
          "if digest(file) != record.sha256:", "if not digest(file):", ("store/test_reader.py", "faults")),
    Break("store: a subset is not a random one", "store/derive.py",
          ".permutation(len(train))[:n]", ".permutation(n)", ("store/test_derive.py",)),
    Break("models: attention compares queries with queries", "models/layers.py",
          "@ self.key(x), dim=-1)", "@ self.query(x), dim=-1)", ("models/test_models.py",)),
    Break("models: a perceptron forgets its mean spectrum", "models/baselines.py",
          "energy = energy + self.mean_spectrum", "energy = energy + 0 * self.mean_spectrum",
          ("models/test_models.py",)),
    Break("figures: layouts are made anew for every file", "figures/canvas.py",
          "figure.set_layout_engine(None)", "pass",
          ("test_figures.py",)),
    Break("datagen: noise is twice as large", "datagen/recipes/densities.py",
          "(1 + self.noise * noise)", "(1 + 2 * self.noise * noise)", ("datagen/test_densities.py",)),
    Break("datagen: validation rows of an import are learned, too", "datagen/recipes/imported.py",
          "np.sort(order[validation:])", "np.sort(order[: n - validation])",
          ("store/test_tables.py", "test_cli_store.py", "datagen")),
    Break("train: the running loss is not restored", "train/loop.py",
          'loss_sum.fill_(state["loss_sum"])', "pass", ("train/test_training.py",)),
    Break("train: batches are in the order of the file", "train/stream.py",
          "self._generator().permutation(self.rows)", "np.arange(self.rows)", ("train/test_stream.py",)),
    Break("studies: distances keep the mean potential", "studies/probes/similarity.py",
          "return v - v.mean(1, keepdim=True)", "return v", ("train/test_probes.py",)),
    Break("studies: kinetic energies are too small", "studies/variational/minimise.py",
          "(w * (slope**2 / 2 + v * phi**2)).sum()",
          "(w * (slope**2 / 2.001 + v * phi**2)).sum()", ("train/test_variational.py",)),
    Break("explore: pages of other sites may ask", "explore/guard.py",
          'if origin is not None and origin != f"http://{host}":', "if not host:",
          ("explore/test_strangers.py",)),
    Break("explore: errors of a network have the wrong sign", "explore/networks.py",
          "(energy - exact)[0]", "(exact - energy)[0]", ("explore/test_routes.py",)),
    Break("papers: what is done is done again", "papers/plan.py",
          "if (folder / self.product).exists():", "if not self.product:",
          ("test_reproduce.py",)),
    Break("cli: errors are said on the standard output", "cli/progress.py",
          "click.echo(text, err=True)", "click.echo(text)", ("test_cli.py",)),
    Break("cli: a range may end before it begins", "cli/common.py",
          "or not int(start) < int(stop) <= length", "or not int(stop) <= length", ("test_cli.py",)),
)  # fmt: skip


def applied(broken: Break, tree: Path) -> None:
    """Change the one place in a copy of the tree; SystemExit if it is not there exactly once."""
    path = tree / "qwell" / broken.file
    text = path.read_text()
    if text.count(broken.old) != 1:
        sys.exit(f"{broken.name}: {broken.file} has {text.count(broken.old)} places like {broken.old!r}")
    path.write_text(text.replace(broken.old, broken.new))


def noticed(broken: Break, tree: Path, tier: str) -> bool:
    """Whether a test of the tier fails."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", tier]
    done = subprocess.run(
        [*command, *(f"tests/{name}" for name in broken.tests)],
        cwd=tree, env=environment, capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode == 1


def main() -> None:
    """Try all, print a line each, and end with exit code 1 if too many are survived."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="Breaks whose name begins so.")
    parser.add_argument("--out", type=Path, help="Where the answers go, as JSON.")
    parser.add_argument("--fast", action="store_true", help="Leave survivors of the fast tests alone.")
    asked = parser.parse_args()
    answers = []
    for broken in (b for b in BREAKS if b.name.startswith(asked.only)):
        clock = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder) / "tree"
            shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".venv", ".git", "demo", "_build"))
            applied(broken, tree)
            tier = "fast" if noticed(broken, tree, "not slow") else ""
            if not tier and not asked.fast and noticed(broken, tree, "slow"):
                tier = "slow"
        seconds = round(time.perf_counter() - clock, 1)
        answers.append({"name": broken.name, "noticed": tier or "not", "seconds": seconds})
        print(f"{tier or 'NOT NOTICED':<12}{seconds:>6.0f} s  {broken.name}", flush=True)
    if asked.out:
        asked.out.write_text(json.dumps(answers, indent=1) + "\n")
    fast = sum(a["noticed"] == "fast" for a in answers)
    seen = sum(a["noticed"] != "not" for a in answers)
    print(f"{fast} of {len(answers)} noticed by fast tests, {seen} in all")
    sys.exit(seen < len(answers) - 1)


if __name__ == "__main__":
    main()
