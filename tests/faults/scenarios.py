"""What can go wrong with a data set on disk while it is made, kept and read, provoked on purpose.

Each scenario takes an empty directory, the suffix of a back end and how often to try, and returns how many
tries were made and what came of them. A try that is not handled raises AssertionError. `campaign.py` counts
them, `test_faults.py` runs them with fewer tries.
"""

from __future__ import annotations

from faults.damage import bit_flips, deletions, truncations
from faults.disks import full_disk, no_permission, read_only, small_tmpfs, symlinks
from faults.kills import (
    clock_skew,
    in_use,
    kill_coordinator,
    kill_generation,
    kill_workers,
    power_cuts,
    two_writers,
)
from faults.team import killed_makings, killed_pushes, two_push_at_once
from faults.trying import Scenario
from faults.web import misbehaving_server

# name, scenario, tries in full, tries in the tests
SCENARIOS: list[tuple[str, Scenario, int, int]] = [
    ("`kill -9` of command and workers at a random moment", kill_generation, 25, 3),
    ("`kill -9` of the command alone", kill_coordinator, 15, 2),
    ("`kill -9` of a worker", kill_workers, 10, 1),
    ("power cut at every file operation", power_cuts, 50, 5),
    ("no room at the n-th file (generate, convert, pull)", full_disk, 12, 4),
    ("a small file system fills up", small_tmpfs, 6, 2),
    ("no permission to write or read", no_permission, 1, 1),
    ("read-only file system", read_only, 1, 1),
    ("bit flip in every kind of file", bit_flips, 60, 6),
    ("every kind of file truncated", truncations, 60, 8),
    ("every kind of file deleted", deletions, 1, 1),
    ("two commands on one path at once", two_writers, 5, 1),
    ("another process holds the lock", in_use, 1, 1),
    ("clock skew", clock_skew, 1, 1),
    ("path is a symbolic link", symlinks, 1, 1),
    ("two push different versions to one name at once", two_push_at_once, 20, 1),
    ("`kill -9` of a push, at S3", killed_pushes, 20, 1),
    ("`kill -9` of workers or all while a data set is made straight at S3", killed_makings, 50, 3),
    ("web server that misbehaves, in 30 ways, at shards and at the manifest", misbehaving_server, 30, 2),
]
