"""The chain of checksums: whatever is done to a row behind the log's back is seen by every question that touches it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.core import events as ev
from orchestrate.errors import OrchestrateError
from orchestrate.store.chain import START, is_intact, link
from orchestrate.store.log import SqliteEventLog

ROW = (7, "r", 1.5, "Warned", "{}")


@given(
    st.binary(max_size=8),
    st.tuples(
        st.integers(-(2**63), 2**63 - 1),
        st.text(st.characters(codec="utf-8")),
        st.floats(0, 4e9),
        st.text("aB"),
        st.text("{x"),
    ),
)
def test_a_row_fits_its_own_sum(previous: bytes, row: tuple[int, str, float, str, str]) -> None:
    assert len(link(previous, *row)) == 8
    assert is_intact(previous, row, link(previous, *row))


@pytest.mark.parametrize("column", range(5))
def test_every_column_counts(column: int) -> None:
    other = list(ROW)
    other[column] = {0: 8, 1: "s", 2: 1.25, 3: "Warmed", 4: "[]"}[column]
    assert not is_intact(START, other, link(START, *ROW))


@pytest.mark.parametrize(
    "row",
    [(None, *ROW[1:]), (7, 7, *ROW[2:]), (*ROW[:2], None, *ROW[3:]), (*ROW[:4], b"{}"), (2**70, *ROW[1:]), ROW[:4]],
)
def test_values_that_no_row_of_ours_holds_do_not_fit(row: tuple[object, ...]) -> None:
    assert not is_intact(START, row, link(START, *ROW))


def test_minus_zero_comes_back_as_zero(log_path: Path) -> None:
    with SqliteEventLog(log_path) as log:
        log.append("r", [ev.Warned(-0.0, "a", "x")])
        assert len(log.read("r")) == 1


# ── done to the file ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def log(log_path: Path) -> Path:
    """Runs a and b, taking turns: events 1, 3, 5, 7, 9 are a's."""
    with SqliteEventLog(log_path) as made:
        for number in range(10):
            made.append("ab"[number % 2], [ev.Warned(float(number), "a", f"words {number}")])
            made.request("ab"[number % 2], ev.PauseRequested(float(number), "anna"))
    return log_path


def do(path: Path, *statements: str) -> None:
    """As somebody who knows SQL."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        for trigger in ("event_stays", "event_remains", "control_stays", "control_remains"):
            db.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            db.execute(statement)


CHANGES = {
    "first removed": ("DELETE FROM event WHERE seq = 1",),
    "one in the middle removed": ("DELETE FROM event WHERE seq = 5",),
    "two in the middle removed": ("DELETE FROM event WHERE seq IN (5, 7)",),
    "body changed": ("UPDATE event SET body = replace(body, 'words 4', 'words 6') WHERE seq = 5",),
    "kind changed": ("UPDATE event SET kind = 'RunEnded' WHERE seq = 5",),
    "time changed": ("UPDATE event SET at = at + 1 WHERE seq = 5",),
    "sum changed": ("UPDATE event SET sum = x'0000000000000000' WHERE seq = 5",),
    "sum of the last changed": ("UPDATE event SET sum = x'' WHERE seq = 9",),
    "moved to the end": ("UPDATE event SET seq = 99 WHERE seq = 5",),
    "given to the other run": ("UPDATE event SET run = 'b' WHERE seq = 5",),
    "taken from the other run": ("UPDATE event SET run = 'a' WHERE seq = 6",),
    "two exchanged": (
        "UPDATE event SET seq = 99 WHERE seq = 3",
        "UPDATE event SET seq = 3 WHERE seq = 5",
        "UPDATE event SET seq = 5 WHERE seq = 99",
    ),
    "one doubled": ("INSERT INTO event SELECT 11, run, at, kind, body, sum FROM event WHERE seq = 9",),
    "one added": ("INSERT INTO event VALUES (11, 'a', 1.0, 'Warned', '{}', x'0123456789abcdef')",),
}

QUESTIONS: dict[str, Callable[[SqliteEventLog], object]] = {
    "all of the run": lambda log: log.read("a"),
    "all of all runs": lambda log: log.tail(),
    "looked through": lambda log: log.verify(),
}


@pytest.mark.parametrize("statements", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_what_was_done_behind_its_back_is_seen(
    log: Path, statements: tuple[str, ...], ask: Callable[[SqliteEventLog], object]
) -> None:
    do(log, *statements)
    with SqliteEventLog(log, read_only=True) as opened, pytest.raises(OrchestrateError, match="is damaged"):
        ask(opened)


def test_those_who_ask_for_the_newest_only_check_its_link(log: Path) -> None:
    do(log, "DELETE FROM event WHERE seq = 7")
    with SqliteEventLog(log, read_only=True) as opened:
        for ask in (lambda: opened.last("a"), lambda: opened.read("a", 7), lambda: opened.tail(8)):
            with pytest.raises(OrchestrateError, match="event 9 of run a is not what was written"):
                ask()
        assert len(opened.read("b")) == 5, "the other run is whole"


def test_a_lost_end_is_a_clean_prefix(log: Path) -> None:
    do(log, "DELETE FROM event WHERE seq > 7")
    with SqliteEventLog(log) as opened:
        assert [stored.seq for stored in opened.read("a")] == [1, 3, 5, 7]
        opened.append("a", [ev.Warned(1.0, "a", "on")])
        assert opened.verify() == 8


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE control SET body = replace(body, 'anna', 'otto') WHERE id = 3",
        "UPDATE control SET at = 0.5 WHERE id = 3",
        "UPDATE control SET run = 'b' WHERE id = 3",
        "DELETE FROM control WHERE id = 3",
        "DELETE FROM control WHERE id = 1",
    ],
)
def test_a_request_that_was_changed_or_taken_out_is_refused(log: Path, statement: str) -> None:
    do(log, statement)
    with SqliteEventLog(log, read_only=True) as opened:
        with pytest.raises(OrchestrateError, match=r"request \d of run a is not what was written"):
            opened.requests("a")
        with pytest.raises(OrchestrateError, match="request"):
            opened.verify()
        assert len(opened.read("a")) == 5
