"""What the code makes is what it made: rows of small data sets, and last losses of short trainings.

`python tests/pins.py` compares to the bit, which holds on one processor only; here rounding may differ.
"""

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from pins import DATASETS, ROWS, SUMS, TRAININGS, make

Made = tuple[dict[str, np.ndarray], dict[str, Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    with contextlib.chdir(tmp_path_factory.mktemp("pins")):
        return make(json.loads(SUMS.read_text())["digests"])


@pytest.mark.parametrize("name", DATASETS)
def test_rows_are_those_of_the_pins(made: Made, name: str) -> None:
    with np.load(ROWS, allow_pickle=False) as pinned:
        fields = [key for key in pinned.files if key.startswith(f"{name}/")]
        assert fields and sorted(fields) == sorted(key for key in made[0] if key.startswith(f"{name}/"))
        for key in fields:
            ours, theirs = made[0][key], pinned[key]
            assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
            drifts = key.endswith("_drift")  # rounding itself
            scale = 1.0 if drifts else np.abs(theirs).max()
            smooth = name.startswith("rbf")  # the root of its covariance loses half of the digits
            tolerance = 1e-6 if smooth or ours.dtype == np.float32 else 1e-12
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale, err_msg=key)


@pytest.mark.parametrize("name", TRAININGS)
def test_losses_are_those_of_the_pins(made: Made, name: str) -> None:
    pinned = json.loads(SUMS.read_text())["losses"]
    assert made[1]["losses"][name] == pytest.approx(pinned[name], rel=1e-4)
