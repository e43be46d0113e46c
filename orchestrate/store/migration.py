"""Brings a log of an older format to the present one: by the first process that has to write to it.

Invariant: the old log is copied first, and is replaced in one transaction: whoever dies at whatever moment leaves a log
that opens, in the old format or in the new. Nobody else has the log open meanwhile.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from orchestrate.store.backups import copy
from orchestrate.store.chain import START, link
from orchestrate.store.database import (
    BUSY_S,
    CONTROL_TABLE,
    EVENT_TABLE,
    FORMAT,
    connect,
    format_of,
    made_aside,
    taking_turns,
)
from orchestrate.store.verification import find_damage


class FoundDamage(Exception):
    """The old log is damaged; it was left as it is."""


class InUse(Exception):
    """Another process has the old log open and might write to it in its own way."""


def migrate(path: Path, busy_s: float = BUSY_S) -> Path | None:
    """busy_s: how long to wait for others who have it open, seconds. Returns the copy of the old log; None when the log is of the present format by now.

    Raises FoundDamage, InUse, sqlite3.Error, OSError: the log is then as it was.
    """
    with taking_turns(path.parent), contextlib.closing(connect(path, "mode=rw", busy_s)) as db:
        try:
            # Shuts out everybody who has it open, readers too. https://www.sqlite.org/wal.html#noshm
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            version = format_of(db)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname == "SQLITE_BUSY":
                raise InUse(f"another process has it open (waited {busy_s:g} s)") from None
            raise
        if version != 1:
            return None
        damage = find_damage(db, version)
        if damage:
            raise FoundDamage("; ".join(damage))
        backup = _backed_up(db, path)
        _rebuild(db)
        return backup


def _backed_up(db: sqlite3.Connection, path: Path) -> Path:
    """A copy of exactly this log. One that is there already, of an attempt that was cut off, is kept and used; one of an
    earlier state is kept beside the new one."""
    for leftover in path.parent.glob(f".{path.name}.format-1*"):
        leftover.unlink(missing_ok=True)
    backup = path.with_name(f"{path.name}.format-1")
    number = 1
    while backup.exists():
        if _newest_seq(backup) == db.execute("SELECT max(seq) FROM event").fetchone()[0]:
            return backup  # rows are never changed: as many are the same
        number += 1
        backup = path.with_name(f"{path.name}.format-1-{number}")
    with made_aside(backup) as aside:
        copy(db, aside)
    return backup


def _newest_seq(backup: Path) -> object:
    try:
        with contextlib.closing(connect(backup, "mode=ro&immutable=1")) as db:
            if format_of(db) != 1 or find_damage(db, 1):
                return -1
            return db.execute("SELECT max(seq) FROM event").fetchone()[0]
    except sqlite3.Error:
        return -1


def _rebuild(db: sqlite3.Connection) -> None:
    """The same rows with their sums, in a table of the new shape."""
    db.execute("PRAGMA synchronous = FULL")
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement in (
            "ALTER TABLE event RENAME TO old_event",
            "DROP TRIGGER event_stays",
            "DROP TRIGGER event_remains",
            "DROP INDEX event_of_run",
        ):
            db.execute(statement)
        _execute_each(db, EVENT_TABLE)
        sums: dict[str, bytes] = {}
        for seq, run, at, kind, body in db.execute(
            "SELECT seq, run, at, kind, body FROM old_event ORDER BY seq"
        ).fetchall():
            sums[run] = link(sums.get(run, START), seq, run, at, kind, body)
            db.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", (seq, run, at, kind, body, sums[run]))
        db.execute("DROP TABLE old_event")
        _execute_each(db, CONTROL_TABLE)
        db.execute(f"PRAGMA user_version = {FORMAT}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _execute_each(db: sqlite3.Connection, script: str) -> None:
    """Not by executescript: that would commit what has begun."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""
