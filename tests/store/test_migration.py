"""A log of the first release is brought to the present format, by whoever writes first, and never at the cost of a row."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from orchestrate.core import events as ev
from orchestrate.errors import ExitCode, OrchestrateError
from orchestrate.store import refusals
from orchestrate.store.database import FORMAT
from orchestrate.store.log import SqliteEventLog
from orchestrate.store.migration import InUse, migrate
from tests.store.damage import told
from tests.store.format1 import append_format_1, write_format_1

ROOT = Path(__file__).parents[2]
RUNS = {name: told(name) for name in ("restart", "conflict", "happy_diamond")}


@pytest.fixture
def old(log_path: Path) -> Path:
    write_format_1(log_path, RUNS)
    return log_path


def contents(path: Path, *, read_only: bool = True) -> dict[str, list[ev.Event]]:
    with SqliteEventLog(path, read_only=read_only) as log:
        return {run: [stored.event for stored in log.read(run)] for run in log.runs()}


def format_of(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def files_of(directory: Path) -> list[str]:
    """But for what SQLite keeps beside a database that is open, or was read by somebody who may not write."""
    return sorted(name for name in os.listdir(directory) if not name.endswith(("-wal", "-shm")))


def schema_of(path: Path) -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
    return [(name, " ".join(sql.replace('"', "").split())) for name, sql in rows]


def test_the_first_writer_brings_it_to_the_present_format(old: Path) -> None:
    with SqliteEventLog(old) as log:
        assert log.verify() == sum(map(len, RUNS.values()))
        log.append("restart", [ev.Warned(1.0, "", "one more")])
        log.request("restart", ev.PauseRequested(1.0, "anna"))
    assert format_of(old) == FORMAT
    assert contents(old) == {**RUNS, "restart": [*RUNS["restart"], ev.Warned(1.0, "", "one more")]}


def test_it_is_then_as_one_that_was_made_today(old: Path, tmp_path: Path) -> None:
    SqliteEventLog(old).close()
    SqliteEventLog(tmp_path / "new" / "log.sqlite3").close()
    assert schema_of(old) == schema_of(tmp_path / "new" / "log.sqlite3")
    with contextlib.closing(sqlite3.connect(old)) as db, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute("DELETE FROM event")


def test_the_old_log_is_kept_beside_it(old: Path) -> None:
    SqliteEventLog(old).close()
    assert files_of(old.parent) == ["log.sqlite3", "log.sqlite3.format-1"]
    kept = old.with_name("log.sqlite3.format-1")
    assert format_of(kept) == 1 and contents(kept) == RUNS


def test_a_reader_takes_it_as_it_is(old: Path) -> None:
    before = old.read_bytes()
    with SqliteEventLog(old, read_only=True) as log:
        assert (log.requests("restart"), log.verify()) == ([], sum(map(len, RUNS.values())))
        newest = log.last("conflict")
        assert newest is not None and newest.event == RUNS["conflict"][-1]
        assert [stored.event for stored in log.tail()] == [event for events in RUNS.values() for event in events]
    assert contents(old) == RUNS
    assert old.read_bytes() == before and files_of(old.parent) == ["log.sqlite3"]


def test_an_older_orchestrate_that_still_writes_is_not_disturbed(old: Path) -> None:
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as engine:
        append_format_1(engine, {"live": [ev.Warned(1.0, "", "at work")]})
        with pytest.raises(InUse, match="another process has it open") as e:
            migrate(old, busy_s=0.05)
        append_format_1(engine, {"live": [ev.Warned(2.0, "", "still")]})
    assert format_of(old) == 1
    assert contents(old, read_only=False)["live"] == [ev.Warned(1.0, "", "at work"), ev.Warned(2.0, "", "still")]
    told_so = refusals.in_use(old, str(e.value))
    assert (told_so.code, "fuser" in told_so.hint) == (ExitCode.INCOMPLETE, True)


def test_eight_may_bring_it_there_at_once(old: Path) -> None:
    program = """
        import sys, pathlib
        from orchestrate.core.events import Warned
        from orchestrate.store.log import SqliteEventLog
        sys.stdin.readline()
        with SqliteEventLog(pathlib.Path(sys.argv[1])) as log:
            log.append("new", [Warned(1.0, "a", "x")])
    """
    read_end, write_end = os.pipe()
    writers = [child(program, old, read_end) for _ in range(8)]
    os.close(read_end)
    os.close(write_end)
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0] * 8
    found = contents(old)
    assert len(found.pop("new")) == 8 and found == RUNS
    assert files_of(old.parent) == ["log.sqlite3", "log.sqlite3.format-1"]


def child(program: str, path: Path, stdin: int | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(path)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
    )


DIES_AT_LINE = """
    import os, pathlib, shutil, signal, sys
    from orchestrate.store import artifacts, backups, database, migration
    from orchestrate.store.log import SqliteEventLog

    files = {module.__file__ for module in (artifacts, backups, database, migration)}
    log = pathlib.Path(sys.argv[1])

    def die_at(count):
        def step(frame, what, _):
            nonlocal count
            if frame.f_code.co_filename not in files:
                return None
            if what == "line":
                count -= 1
                if count == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return step
        sys.settrace(step)
        SqliteEventLog(log).close()
        os._exit(0)

    count = 0
    while True:
        count += int(sys.argv[2]) if len(sys.argv) > 2 else 1
        there = log.parent.with_name(f"died-{count}")
        shutil.copytree(log.parent, there)
        if not (child := os.fork()):
            log = there / log.name
            die_at(count)
        if os.waitpid(child, 0)[1] == 0:
            break
    print(count)
"""
"""Brings copies of the log to the new format, and dies in each one line of Python later than in the one before."""


def test_a_crash_at_any_moment_of_it_is_harmless(log_path: Path) -> None:
    runs = {"restart": told("restart")[:3], "conflict": told("conflict")[:2]}
    write_format_1(log_path, runs)
    with child(DIES_AT_LINE, log_path) as process:
        out, _ = process.communicate()
    assert process.returncode == 0
    died = sorted(log_path.parent.parent.glob("died-*"))
    assert len(died) == int(out) > 150, "as many moments as there are lines"
    formats = set()
    for directory in died:
        path = directory / "log.sqlite3"
        formats.add(format_of(path))
        assert contents(path) == runs, directory.name
        assert contents(path, read_only=False) == runs
        with SqliteEventLog(path) as log:
            assert log.verify() == 5
        assert format_of(path) == FORMAT
        assert contents(directory / "log.sqlite3.format-1") == runs
        assert files_of(directory) == ["log.sqlite3", "log.sqlite3.format-1"]
    assert formats == {1, FORMAT}


def test_a_copy_of_an_earlier_state_is_not_overwritten(old: Path) -> None:
    """Somebody went back to the first release for a while, with the log of then."""
    SqliteEventLog(old).close()
    kept = old.with_name("log.sqlite3.format-1")
    shutil.copy(kept, old)
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as db:
        append_format_1(db, {"later": [ev.Warned(1.0, "", "with the first release")]})
    earlier = kept.read_bytes()
    SqliteEventLog(old).close()
    assert kept.read_bytes() == earlier
    assert "later" in contents(old.with_name("log.sqlite3.format-1-2"))


def test_a_damaged_old_log_is_left_as_it_is(old: Path) -> None:
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as db:
        db.execute("DROP TRIGGER event_remains")
        db.execute("DELETE FROM event WHERE seq = 4")
    before = old.read_bytes()
    with pytest.raises(OrchestrateError, match="damaged: event 4 is missing"):
        SqliteEventLog(old)
    assert old.read_bytes() == before
    assert files_of(old.parent) == ["log.sqlite3"]


def test_a_format_of_its_own_that_has_other_tables_is_no_log(old: Path) -> None:
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as db:
        db.execute("PRAGMA user_version = 2")
    with pytest.raises(OrchestrateError, match="not a log of orchestrate"):
        SqliteEventLog(old)
