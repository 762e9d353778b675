"""The campaign counts what is not handled, and the page says what it counted."""

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from faults import campaign, table, trying
from faults.campaign import Entry, provoked, summary
from faults.trying import Outcome, Tally, WrongNumbers

from qwell.errors import InvalidInput


def one_of_each(folder: Path) -> Outcome:
    """Numbers that are wrong in two ways, a traceback, a hang, two other promises; two tries are good."""
    tally = Tally()
    for i in range(8):
        with tally.one(i):
            if i == 0:
                raise WrongNumbers("other numbers")
            if i == 1:
                np.testing.assert_array_equal([1], [2])
            if i == 2:
                raise KeyError("raw")
            if i == 3:
                time.sleep(10)
            if i == 4:
                raise AssertionError("said nothing")
            if i == 5:
                raise InvalidInput("refused what is good")
    return tally.outcome("well")


def test_each_kind_of_failure_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trying, "LIMIT", 0.05)
    done = provoked(Entry("faults", "a", ""), one_of_each, 1)
    assert (done.tries, done.wrong, done.raw, done.hangs, done.other) == (8, 2, 1, 1, 2) and not done.good
    assert done.failures[0] == "wrong: 0: WrongNumbers: other numbers" and done.seconds < 5


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError("x"), "raw"),
        (trying.Raw("x"), "raw"),
        (AssertionError("unexpected KeyError: x"), "raw"),
        (AssertionError("unexpected hang"), "hangs"),
        (WrongNumbers("x"), "wrong"),
        (AssertionError("x"), "other"),
    ],
)
def test_one_that_leaves_a_scenario_is_counted(error: Exception, kind: str) -> None:
    def work(folder: Path) -> Outcome:
        raise error

    done = provoked(Entry("faults", "a", ""), work, 1)
    assert {k: getattr(done, k) for k in trying.KINDS} == {k: int(k == kind) for k in trying.KINDS}


def test_memory_and_death_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(folder: Path) -> Outcome:
        return len(np.ones(100 * 2**17)), "took 100 MB"

    before = provoked(Entry("faults", "a", ""), lambda folder: (1, "well"), 1)
    assert before.good and before.outcome == "well" and before.tries == 1
    after = provoked(Entry("faults", "a", ""), greedy, 1)
    assert after.peak_mb > before.peak_mb + 90
    monkeypatch.setattr(campaign, "MEMORY", before.peak_mb + 50)
    assert before.good and not after.good
    dead = provoked(Entry("faults", "a", ""), lambda folder: sys.modules["os"]._exit(3), 1)
    assert dead.raw == 1 and "died" in dead.failures[0]
    monkeypatch.setattr(campaign, "LIMIT", 0.01)
    stuck = provoked(Entry("faults", "a", ""), lambda folder: time.sleep(60), 1)  # type: ignore[arg-type,return-value]
    assert stuck.hangs == 1 and stuck.seconds < 5


def test_a_failure_makes_the_command_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 1, and the counts are in the file and on the page."""
    monkeypatch.setitem(
        sys.modules, "common", SimpleNamespace(machine=lambda: {"git": "x", "processor": "y", "cores": 2})
    )
    monkeypatch.setattr(campaign, "TRAPS", [])
    monkeypatch.setattr(campaign, "make", lambda path, recipe: path)
    monkeypatch.setattr(sys, "argv", ["campaign.py", "--scale", ".5", "--out", str(tmp_path / "counts.json")])

    def wrong(folder: Path, suffix: str, tries: int) -> Outcome:
        if suffix == ".h5":
            raise WrongNumbers("other numbers")
        return tries, "well"

    for scenario_on, code in (((".zarr",), 0), ((".zarr", ".h5"), 1)):
        monkeypatch.setattr(campaign, "FAULTS", (("faults", [("a fault", wrong, 8, 1)], scenario_on),))
        with pytest.raises(SystemExit) as ended:
            campaign.main()
        assert ended.value.code == code
    answer = json.loads((tmp_path / "counts.json").read_text())
    assert answer["totals"]["wrong"] == 1 and answer["command"].endswith("--scale 0.5")
    assert [e["tries"] for e in answer["entries"]] == [4, 0]
    assert "| a fault | 4 of 4 | 0 of 1 | well |" in table.tables(answer)


def test_the_page_says_what_was_counted() -> None:
    """`table.py` would write what is there; everything of today's lists was tried; nothing went wrong."""
    answer, text = json.loads(table.COUNTS.read_text()), table.PAGE.read_text()
    assert table.page(text, answer) == text
    entries = [Entry(**e) for e in answer["entries"]]
    assert answer["totals"] == summary(entries) and all(e.good for e in entries)
    listed = [(e.table, e.name, e.on) for e, _, _ in campaign.works(1, {})]
    assert [(e.table, e.name, e.on) for e in entries] == listed
    assert answer["not_tried"] == campaign.not_tried(entries) == []


def test_a_twentieth_is_tried_in_the_tests() -> None:
    for _, scenarios, _ in campaign.FAULTS:
        for name, _, full, tries in scenarios:
            assert full / 20 <= tries <= full or (full < 20 and tries == 1), name
