"""The ballast: space that is really there, given up when the log needs it, and only then."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrate.core import events as ev
from orchestrate.errors import OrchestrateError
from orchestrate.store import ballast
from orchestrate.store.artifacts import StateDir, ballast_of
from orchestrate.store.ballast import drop_ballast, keep_ballast
from orchestrate.store.log import SqliteEventLog

SIZE = 2**20


def test_it_takes_up_the_space(tmp_path: Path) -> None:
    path = tmp_path / "ballast"
    assert keep_ballast(path, SIZE)
    found = path.stat()
    assert (found.st_size, stat.S_IMODE(found.st_mode)) == (SIZE, 0o600)
    assert found.st_blocks * 512 >= SIZE, "blocks, not a hole"
    assert list(tmp_path.iterdir()) == [path]


def test_one_that_is_there_is_left_alone_and_one_of_another_size_replaced(tmp_path: Path) -> None:
    path = tmp_path / "ballast"
    keep_ballast(path, SIZE)
    inode = path.stat().st_ino
    assert keep_ballast(path, SIZE) and path.stat().st_ino == inode
    assert keep_ballast(path, 2 * SIZE) and path.stat().st_size == 2 * SIZE


def test_dropping_says_whether_there_was_one(tmp_path: Path) -> None:
    path = tmp_path / "ballast"
    keep_ballast(path, SIZE)
    assert (drop_ballast(path), drop_ballast(path)) == (True, False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [2**62, ballast.SIZE])
def test_without_room_there_is_none_and_no_error(tmp_path: Path, size: int) -> None:
    where = tmp_path / "ballast" if size > ballast.SIZE else tmp_path / "no such directory" / "ballast"
    assert not keep_ballast(where, size)
    assert list(tmp_path.iterdir()) == []


def test_it_lies_where_the_log_looks_for_it(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    assert state.ballast == ballast_of(state.log)


def narrow(log: SqliteEventLog, pages: int) -> None:
    """Stands in for a full disk: the same error code."""
    assert log._connection is not None
    log._connection.execute(f"PRAGMA max_page_count = {pages}")


LONG = "x" * 100_000

WRITES: dict[str, Callable[[SqliteEventLog], object]] = {
    "append": lambda log: log.append("r", [ev.Warned(1.0, "a", LONG)]),
    "request": lambda log: log.request("r", ev.AnswerGiven(1.0, "me", 0, "a", LONG)),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_it_is_given_up_for_what_must_be_written(log_path: Path, write: Callable[[SqliteEventLog], object]) -> None:
    begun = []
    with SqliteEventLog(log_path) as log:
        assert log._connection is not None
        log._connection.set_trace_callback(lambda sql: begun.append(has_ballast()) if "BEGIN" in sql else None)
        keep_ballast(ballast_of(log_path), SIZE)
        has_ballast = ballast_of(log_path).exists
        narrow(log, 1)
        with pytest.raises(OrchestrateError, match="no space left"):
            write(log)
        assert begun == [True, False], "tried again, once, without it"
        narrow(log, 10_000)
        write(log)
        log.verify()


def test_it_stays_when_the_trouble_is_another(log_path: Path) -> None:
    with SqliteEventLog(log_path) as log:
        keep_ballast(ballast_of(log_path), SIZE)
        with pytest.raises(OrchestrateError, match="NOT NULL"):
            log.append("r", [ev.Warned(float("nan"), "a", "no time")])
    assert ballast_of(log_path).exists()
