"""The event log on disk: one SQLite database a repository, one append-only table.

Invariant: what `append` returned survives `kill -9`, and, unless the batch was chatter only, the loss of power. Rows are
never changed nor removed: triggers refuse it to everybody, not only to us.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import orchestrate
from orchestrate import failpoint
from orchestrate.core.events import CHATTY, EngineStarted, Event, RunStarted
from orchestrate.errors import ExitCode, OrchestrateError
from orchestrate.ports import Stored
from orchestrate.store.codec import UnreadableEventError, decode, encode

FORMAT = 1
"""Version of the tables below, in PRAGMA user_version. Shapes of events have versions of their own (codec)."""

APPLICATION = 0x6F726368
"""`orch`, in PRAGMA application_id: tells our database from any other. https://www.sqlite.org/pragma.html"""

BUSY_S = 10.0
"""How long to wait for another process that is writing, seconds."""

SCHEMA = f"""
CREATE TABLE event (
    seq INTEGER PRIMARY KEY, run TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX event_of_run ON event (run);
CREATE TRIGGER event_stays BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER event_remains BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
"""

_COLUMNS = "SELECT seq, run, at, kind, body FROM event"

_RUNS = """
WITH RECURSIVE known(run) AS (
    SELECT min(run) FROM event
    UNION ALL
    SELECT (SELECT min(run) FROM event WHERE run > known.run) FROM known WHERE known.run IS NOT NULL
)
SELECT run FROM known WHERE run IS NOT NULL ORDER BY (SELECT min(seq) FROM event WHERE event.run = known.run)
"""
"""Hops through the index from run to run: its cost grows with the runs, not with their events."""


class SqliteEventLog:
    """Implements ports.EventLog. Used from the thread that opened it; other processes may read all the while.

    read_only: for commands that only look: creates nothing, works in a directory that cannot be written, and is empty
    as long as there is no log. Every method raises OrchestrateError when the log cannot be used.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._read_only = read_only
        self._synchronous = ""
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._connection: sqlite3.Connection | None = None
        with self._explained():
            self._connection = self._open_to_read() if read_only else self._open_to_write()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None

    # ── ports.EventLog ───────────────────────────────────────────────────────────────────────────────────────────

    def append(self, run: str, events: Sequence[Event]) -> Sequence[Stored]:
        """See ports.EventLog."""
        if not events:
            return []
        if self._read_only or self._connection is None:
            raise OrchestrateError(f"the log {self.path} was opened for reading only")
        encoded = [encode(event) for event in events]
        failpoint.reach("log.*.before", *(kind for kind, _ in encoded))
        chatty = all(type(event) in CHATTY for event in events)
        db = self._connection
        with self._explained(), self._transaction(db, "NORMAL" if chatty else "FULL"):
            (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()
            db.executemany(
                "INSERT INTO event (seq, run, at, kind, body) VALUES (?, ?, ?, ?, ?)",
                [
                    (seq, run, event.at, kind, body)
                    for seq, (event, (kind, body)) in enumerate(zip(events, encoded, strict=True), last + 1)
                ],
            )
        failpoint.reach("log.*.after", *(kind for kind, _ in encoded))
        return [Stored(seq, run, event) for seq, event in enumerate(events, last + 1)]

    def read(self, run: str, after: int = 0) -> Sequence[Stored]:
        """Events of one run with a seq above `after`, in order."""
        return self._select(f"{_COLUMNS} WHERE run = ? AND seq > ? ORDER BY seq", run, after)

    def runs(self) -> Sequence[str]:
        """Ids of all runs, oldest first."""
        return [run for (run,) in self._rows(_RUNS)]

    # ── what commands ask besides ────────────────────────────────────────────────────────────────────────────────

    def tail(self, after: int = 0) -> Sequence[Stored]:
        """Events of all runs with a seq above `after`, in order."""
        return self._select(f"{_COLUMNS} WHERE seq > ? ORDER BY seq", after)

    def first(self, run: str) -> Stored | None:
        """The run's first event, without reading the others."""
        return next(iter(self._select(f"{_COLUMNS} WHERE run = ? ORDER BY seq LIMIT 1", run)), None)

    def last(self, run: str) -> Stored | None:
        """The run's newest event, without reading the others."""
        return next(iter(self._select(f"{_COLUMNS} WHERE run = ? ORDER BY seq DESC LIMIT 1", run)), None)

    def _select(self, sql: str, *arguments: object) -> list[Stored]:
        found = []
        for seq, run, at, kind, body in self._rows(sql, *arguments):
            try:
                found.append(Stored(seq, run, decode(kind, at, body)))
            except UnreadableEventError as error:
                raise self._unreadable(seq, run, error) from None
        return found

    def _rows(self, sql: str, *arguments: object) -> list[Any]:
        with self._explained():
            if self._connection is None and self._read_only:
                self._connection = self._open_to_read()
            if self._connection is None:
                return []
            return self._connection.execute(sql, arguments).fetchall()

    # ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _open_to_write(self) -> sqlite3.Connection:
        if not self.path.exists():
            _create(self.path)
        db = _connect(self.path, "mode=rw")
        try:
            self._check_format(db)
        except BaseException:
            db.close()
            raise
        return db

    def _open_to_read(self) -> sqlite3.Connection | None:
        """None: there is no log yet.

        A WAL database can be read in place only where its -shm file exists or can be made. Elsewhere it is read as it
        lies (when no WAL is left beside it) or from a copy. https://www.sqlite.org/wal.html#read_only_databases
        """
        if not self.path.exists():
            return None
        db = _connect(self.path, "mode=ro")
        try:
            self._check_format(db)
            return db
        except sqlite3.OperationalError as error:
            db.close()
            if _name(error) not in ("SQLITE_CANTOPEN", "SQLITE_READONLY"):
                raise
        except BaseException:
            db.close()
            raise
        db = _connect(*self._snapshot())
        self._check_format(db)
        return db

    def _snapshot(self) -> tuple[Path, str]:
        wal = Path(f"{self.path}-wal")
        if not wal.exists() or wal.stat().st_size == 0:
            return self.path, "immutable=1"
        self._copy = tempfile.TemporaryDirectory(prefix="orchestrate-log-")
        copy = Path(self._copy.name) / self.path.name
        shutil.copyfile(self.path, copy)
        shutil.copyfile(wal, f"{copy}-wal")
        return copy, "mode=rw"

    def _check_format(self, db: sqlite3.Connection) -> None:
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'event'").fetchone()
        if application != APPLICATION or not tables:
            raise OrchestrateError(
                f"{self.path} is a database, but not a log of orchestrate",
                hint=f"move it away: mv {self.path} {self.path}.other",
            )
        if version > FORMAT:
            raise OrchestrateError(
                f"the log {self.path} has format {version}, written by a newer orchestrate; "
                f"{orchestrate.__version__} reads format {FORMAT}",
                hint="use the newer version: pip install --upgrade orchestrate",
            )

    @contextlib.contextmanager
    def _transaction(self, db: sqlite3.Connection, synchronous: str) -> Iterator[None]:
        """All or nothing. A later FULL also makes earlier NORMAL commits durable: it is the same file that is synced."""
        if synchronous != self._synchronous:  # cannot be changed inside a transaction
            db.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    # ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """What SQLite and the file system say → OrchestrateError."""
        try:
            yield
        except sqlite3.Error as error:
            raise _refusal(self.path, _name(error), str(error)) from error
        except OSError as error:
            raise _refusal(self.path, "SQLITE_IOERR", error.strerror or str(error)) from error

    def _unreadable(self, seq: object, run: object, error: UnreadableEventError) -> OrchestrateError:
        if not error.newer:
            return OrchestrateError(f"the log {self.path} is damaged at event {seq}: {error}", hint=_salvage(self.path))
        writer = self._newest_writer(str(run)) or "a newer version"
        return OrchestrateError(
            f"run {run} was written by orchestrate {writer}; {orchestrate.__version__} cannot read it: {error}",
            hint="use the newer version: pip install --upgrade orchestrate",
        )

    def _newest_writer(self, run: str) -> str:
        """Version of the last engine that worked on the run, straight from the bodies, as they cannot all be decoded."""
        kinds = (EngineStarted.__name__, RunStarted.__name__)
        rows = self._rows(
            "SELECT json_extract(body, '$.version') FROM event "
            "WHERE run = ? AND kind IN (?, ?) AND json_valid(body) ORDER BY seq DESC LIMIT 1",
            run,
            *kinds,
        )
        return str(rows[0][0] or "") if rows else ""


def _name(error: sqlite3.Error) -> str:
    """Primary name of the error: SQLITE_READONLY for SQLITE_READONLY_DIRECTORY and its like."""
    name: str = getattr(error, "sqlite_errorname", "") or ""
    return "_".join(name.split("_")[:2])


def _salvage(path: Path) -> str:
    return f"keep it and begin a new log: mv {path} {path}.damaged (branches and worktrees are not affected)"


def _refusal(path: Path, name: str, detail: str) -> OrchestrateError:
    match name:
        case "SQLITE_NOTADB" | "SQLITE_CORRUPT":
            return OrchestrateError(f"the log {path} is damaged: {detail}", hint=_salvage(path))
        case "SQLITE_BUSY" | "SQLITE_LOCKED":
            return OrchestrateError(
                f"the log {path} is held by another process (waited {BUSY_S:g} s)",
                hint=f"see who has it open: fuser {path}",
                code=ExitCode.INCOMPLETE,
            )
        case "SQLITE_FULL":
            return OrchestrateError(
                f"no space left to write the log {path}",
                hint="free some space; the run can then be resumed",
                code=ExitCode.INCOMPLETE,
            )
        case _:
            return OrchestrateError(
                f"the log {path} cannot be used: {detail}", hint=f"check who owns it: ls -l {path.parent}"
            )


def _connect(path: Path, query: str) -> sqlite3.Connection:
    """No implicit transactions: on Python 3.11 that is isolation_level=None."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?{query}", uri=True, timeout=BUSY_S, isolation_level=None)


def _create(path: Path) -> None:
    """Make a complete database aside and move it into place, so that nobody ever sees half of one.

    Creators take turns by a lock on the directory: switching to WAL is not safe against a second process doing it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: the engine's own lock has to do
            fcntl.flock(directory, fcntl.LOCK_EX)
        if path.exists():
            return
        fd, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # 0600; -wal and -shm take after it
        os.close(fd)
        try:
            db = _connect(Path(name), "mode=rw")
            with contextlib.closing(db):
                db.execute("PRAGMA journal_mode = WAL")
                db.executescript(SCHEMA)
            failpoint.reach("log.created.before")
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        os.fsync(directory)
    finally:
        os.close(directory)
