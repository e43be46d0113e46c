"""The database file itself: its tables, how it is opened, how it comes into being. The one door to SQLite.

Invariant: nobody ever sees half a database: it is made aside, synced, and moved into place.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrate import failpoint
from orchestrate.store.artifacts import backups_of, put_in_place

FORMAT = 2
"""Version of the tables below, in PRAGMA user_version. Shapes of events have versions of their own (codec).

1: `event` without `sum`, no `control`. 2: these."""

APPLICATION = 0x6F726368
"""`orch`, in PRAGMA application_id: tells our database from any other. https://www.sqlite.org/pragma.html"""

BUSY_S = 10.0
"""How long to wait for another process that is writing, seconds."""

EVENT_TABLE = """
CREATE TABLE event (
    seq INTEGER PRIMARY KEY, run TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, sum BLOB NOT NULL
) STRICT;
CREATE INDEX event_of_run ON event (run);
CREATE TRIGGER event_stays BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER event_remains BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
"""

CONTROL_TABLE = """
CREATE TABLE control (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, sum BLOB NOT NULL
) STRICT;
CREATE TRIGGER control_stays BEFORE UPDATE ON control BEGIN SELECT RAISE(ABORT, 'controls are append-only'); END;
CREATE TRIGGER control_remains BEFORE DELETE ON control BEGIN SELECT RAISE(ABORT, 'controls are append-only'); END;
"""

SCHEMA = f"""
{EVENT_TABLE}
{CONTROL_TABLE}
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
"""

COLUMNS: Mapping[int, Mapping[str, tuple[str, ...]]] = {
    1: {"event": ("seq", "run", "at", "kind", "body")},
    2: {
        "event": ("seq", "run", "at", "kind", "body", "sum"),
        "control": ("id", "run", "at", "kind", "body", "sum"),
    },
}
"""Tables of each format that this version reads."""

ROWS = {
    1: "SELECT seq, run, at, kind, body, NULL FROM event",
    2: "SELECT seq, run, at, kind, body, sum FROM event",
}
"""Events of each format, with their sums where there are any."""

REQUESTS = "SELECT id, run, at, kind, body, sum FROM control"


def connect(path: Path, query: str, busy_s: float = BUSY_S) -> sqlite3.Connection:
    """query: of an SQLite URI, such as `mode=ro`. No implicit transactions: on Python 3.11 that is isolation_level=None."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?{query}", uri=True, timeout=busy_s, isolation_level=None)


def format_of(db: sqlite3.Connection) -> int | None:
    """Which format of ours the database has; None when it is none of ours. It may be newer than FORMAT."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION or version < 1:
        return None
    for table, columns in COLUMNS.get(version, {}).items():
        if tuple(row[1] for row in db.execute(f"PRAGMA table_info({table})")) != columns:
            return None
    return int(version)


def create(path: Path) -> None:
    """Make an empty database there, unless somebody has made it by now."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with taking_turns(path.parent):
        if path.exists():
            return
        with made_aside(path) as aside:
            db = connect(aside, "mode=rw")
            with contextlib.closing(db):
                # In this order all of it is in the file that is moved: on a full disk a write-ahead log would stay behind.
                db.executescript(f"BEGIN;{SCHEMA};COMMIT;")
                db.execute("PRAGMA journal_mode = WAL")
            failpoint.reach("log.created.before")


@contextlib.contextmanager
def taking_turns(directory: Path) -> Iterator[None]:
    """Held by whoever makes or moves a database here: switching to WAL is not safe against a second process doing it."""
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: the engine's own lock has to do
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def clear_unfinished(log: Path) -> None:
    """Remove files beside the log, its backups and the runs' reports that a killed process had begun and never given their
    name. With the engine lock held: nobody else writes reports and backups, and databases are made in turns."""
    with taking_turns(log.parent):
        for directory in (log.parent, backups_of(log), *log.parent.glob("runs/*")):
            for unfinished in directory.glob(".*"):
                if unfinished.is_file():
                    with contextlib.suppress(OSError):  # it does no harm where it cannot be removed
                        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def made_aside(path: Path) -> Iterator[Path]:
    """An empty file, mode 0600, to be filled; it then gets the name `path`, durably. On an error nothing is left of it."""
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # -wal and -shm take after its mode
    os.close(fd)
    aside = Path(name)
    try:
        yield aside
        put_in_place(aside, path)
    except BaseException:
        for leftover in (aside, Path(f"{aside}-wal"), Path(f"{aside}-shm"), Path(f"{aside}-journal")):
            leftover.unlink(missing_ok=True)
        raise
