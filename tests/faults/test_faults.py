"""Every fault, on both back ends: identical after a resume, or a refusal that names the damage."""

from collections.abc import Callable
from pathlib import Path

import pytest
from faults.scenarios import SCENARIOS, Outcome
from faults.versions import VERSIONS

EVERY = [*SCENARIOS, *VERSIONS]


@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
@pytest.mark.parametrize(
    ("scenario", "tries"), [(s, n) for _, s, _, n in EVERY], ids=[s.__name__ for _, s, _, _ in EVERY]
)
def test_fault(
    scenario: Callable[[Path, str, int], Outcome], tries: int, suffix: str, tmp_path: Path
) -> None:
    count, outcome = scenario(tmp_path, suffix, tries)
    if not count:
        pytest.skip(outcome)
