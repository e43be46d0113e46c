"""The event log on disk: one SQLite database a repository, one append-only table of events and one of requests.

Invariant: what `append` returned survives `kill -9`, and, unless the batch was chatter only, the loss of power. Rows are
never changed nor removed: triggers refuse it to everybody, not only to us. What is read is what was written, up to
some event: every row is checked against its sum, and against the row before it of the same run.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import orchestrate
from orchestrate import failpoint
from orchestrate.core.events import CHATTY, EngineStarted, Event, RunStarted
from orchestrate.errors import OrchestrateError
from orchestrate.ports import Stored
from orchestrate.store import backups, refusals
from orchestrate.store.artifacts import backups_of, ballast_of
from orchestrate.store.ballast import drop_ballast
from orchestrate.store.chain import START, is_intact, link
from orchestrate.store.codec import UnreadableEventError, decode, encode
from orchestrate.store.database import FORMAT, REQUESTS, ROWS, connect, create, format_of
from orchestrate.store.migration import FoundDamage, InUse, migrate
from orchestrate.store.verification import changed, find_broken_pages, find_damage

_RUNS = """
WITH RECURSIVE known(run) AS (
    SELECT min(run) FROM event
    UNION ALL
    SELECT (SELECT min(run) FROM event WHERE run > known.run) FROM known WHERE known.run IS NOT NULL
)
SELECT run FROM known WHERE run IS NOT NULL ORDER BY (SELECT min(seq) FROM event WHERE event.run = known.run)
"""
"""Hops through the index from run to run: its cost grows with the runs, not with their events."""

_INSERT = "INSERT INTO event (seq, run, at, kind, body, sum) VALUES (?, ?, ?, ?, ?, ?)"

_NEWEST = "SELECT seq, run, sum FROM event ORDER BY seq DESC LIMIT 1"

_NEWEST_OF_RUN = "SELECT seq FROM event WHERE run = ? AND seq > ? ORDER BY seq DESC LIMIT 1"

_SUM_BEFORE = "SELECT sum FROM event WHERE run = ? AND seq < ? ORDER BY seq DESC LIMIT 1"

_REQUEST_BEFORE = "SELECT sum FROM control WHERE run = ? AND id < ? ORDER BY id DESC LIMIT 1"


CHECKPOINT_PAGES = 100
"""How much of the log may lie in the write-ahead log alone, in pages of 4 KiB: a person may take that for a leftover, once
its engine was killed. SQLite's own 1000 are a whole run; the smaller number costs an append nothing that can be measured."""


class SqliteEventLog:
    """Implements ports.EventLog. Used from the thread that opened it; other processes may read all the while, and may
    put requests into it.

    read_only: for commands that only look: creates nothing, works in a directory that cannot be written, leaves a log of
    an older format as it is, and is empty as long as there is no log. Opening to write brings an older format to the
    present one. Every method raises OrchestrateError when the log cannot be used.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._read_only = read_only
        self._synchronous = ""
        self._format = FORMAT
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._opened: dict[Path, tuple[int, int] | None] = {}
        self._connection: sqlite3.Connection | None = None
        with self._explained():
            if read_only:
                self._connection = self._open_to_read()
            else:
                self._connection = self._open_to_write()
                self._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
                # The write-ahead log was made by the first look into the database.
                self._opened = {path: refusals.file_id(path) for path in (path, self._wal)}

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
        encoded = [encode(event) for event in events]
        chatty = all(type(event) in CHATTY for event in events)
        with self._explained():
            try:
                last = self._append(run, events, encoded, "NORMAL" if chatty else "FULL")
            except sqlite3.OperationalError as error:
                if not (refusals.is_no_room(error) and drop_ballast(ballast_of(self.path))):
                    raise
                last = self._append(run, events, encoded, "FULL")
        if any(isinstance(event, RunStarted) for event in events):
            self._keep_beginning()
        return [Stored(seq, run, event) for seq, event in enumerate(events, last + 1)]

    def _keep_beginning(self) -> None:
        """Bring the beginning of a run into the database itself at once: should the write-ahead log be removed after this
        process was killed, the run is still known. Where it cannot be now, it is with the next pages."""
        with contextlib.suppress(sqlite3.Error):
            self._writable().execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _append(self, run: str, events: Sequence[Event], encoded: Sequence[tuple[str, str]], synchronous: str) -> int:
        """Returns the last seq before these."""
        failpoint.reach("log.*.before", *(kind for kind, _ in encoded))
        with self._transaction(synchronous) as db:
            last, of, sum_ = db.execute(_NEWEST).fetchone() or (0, run, START)
            if of != run:
                (sum_,) = db.execute(_SUM_BEFORE, (run, last + 1)).fetchone() or (START,)
            rows = []
            for seq, (event, (kind, body)) in enumerate(zip(events, encoded, strict=True), last + 1):
                sum_ = link(sum_, seq, run, event.at, kind, body)
                rows.append((seq, run, event.at, kind, body, sum_))
            db.executemany(_INSERT, rows)
        failpoint.reach("log.*.after", *(kind for kind, _ in encoded))
        return int(last)

    def read(self, run: str, after: int = 0) -> Sequence[Stored]:
        """Events of one run with a seq above `after`, in order."""
        newest = self._rows(_NEWEST_OF_RUN, run, after)  # asked first: others may append meanwhile
        found = self._select("WHERE run = ? AND seq > ? ORDER BY seq", run, after, of=run)
        if newest and (not found or found[-1].seq < newest[0][0]):  # a damaged index is cut short in one direction
            raise refusals.damaged(self.path, f"events of run {run} up to {newest[0][0]} cannot be found")
        return found

    def runs(self) -> Sequence[str]:
        """Ids of all runs, oldest first."""
        found = [run for (run,) in self._rows(_RUNS)]
        if self._format > 1:
            for run in found:  # as the index names them: is there such a run?
                first = self._rows(f"{ROWS[self._format]} WHERE run = ? ORDER BY seq LIMIT 1", run)
                if not first or first[0][1] != run or not is_intact(START, first[0][:5], first[0][5]):
                    raise refusals.damaged(self.path, f"the first event of run {run} is not what was written")
        return found

    # ── what people ask for ──────────────────────────────────────────────────────────────────────────────────────

    def request(self, run: str, event: Event) -> int:
        """Leave a request for the run's engine; its number. Durable. From any process, also while an engine writes."""
        kind, body = encode(event)
        with self._explained():
            try:
                return self._request(run, event.at, kind, body)
            except sqlite3.OperationalError as error:
                if not (refusals.is_no_room(error) and drop_ballast(ballast_of(self.path))):
                    raise
                return self._request(run, event.at, kind, body)

    def _request(self, run: str, at: float, kind: str, body: str) -> int:
        failpoint.reach("control.*.before", kind)
        with self._transaction("FULL") as db:
            (number,) = db.execute("SELECT coalesce(max(id), 0) + 1 FROM control").fetchone()
            (before,) = db.execute(_REQUEST_BEFORE, (run, number)).fetchone() or (START,)
            row = (number, run, at, kind, body)
            db.execute(
                "INSERT INTO control (id, run, at, kind, body, sum) VALUES (?, ?, ?, ?, ?, ?)",
                (*row, link(before, *row)),
            )
        failpoint.reach("control.*.after", kind)
        return int(number)

    def requests(
        self, run: str, after: int = 0, *, unreadable: Callable[[int, str], None] | None = None
    ) -> Sequence[tuple[int, Event]]:
        """The run's requests with a number above `after`, in order.

        unreadable: told of each that is not what was written, with its number and what is wrong, and goes on; without it,
        the first is an OrchestrateError.
        """
        if self._format == 1:
            return []
        found = []
        before = None
        for number, of, at, kind, body, sum_ in self._rows(
            f"{REQUESTS} WHERE run = ? AND id > ? ORDER BY id", run, after
        ):
            if before is None:
                before = next((each for (each,) in self._rows(_REQUEST_BEFORE, run, number)), START)
            try:
                if not is_intact(before, (number, of, at, kind, body), sum_):
                    raise refusals.damaged(self.path, changed("request", number, run))
                try:
                    found.append((number, decode(kind, at, body)))
                except UnreadableEventError as error:
                    raise self._unreadable(f"request {number}", run, error) from None
            except OrchestrateError as error:
                if unreadable is None:
                    raise
                unreadable(number, error.message)
            before = sum_
        return found

    def changes(self) -> int:
        """Another number whenever another process has written since; cheap enough to be asked all the time (some 5 µs).

        https://www.sqlite.org/pragma.html#pragma_data_version
        """
        rows = self._rows("PRAGMA data_version")
        return int(rows[0][0]) if rows else 0

    # ── what commands ask besides ────────────────────────────────────────────────────────────────────────────────

    def tail(self, after: int = 0) -> Sequence[Stored]:
        """Events of all runs with a seq above `after`, in order."""
        return self._select("WHERE seq > ? ORDER BY seq", after)

    def first(self, run: str) -> Stored | None:
        """The run's first event, without reading the others."""
        return next(iter(self._select("WHERE run = ? ORDER BY seq LIMIT 1", run, of=run)), None)

    def last(self, run: str) -> Stored | None:
        """The run's newest event, without reading the others."""
        return next(iter(self._select("WHERE run = ? ORDER BY seq DESC LIMIT 1", run, of=run)), None)

    def verify(self) -> int:
        """Look through all of it. Returns how many events there are; raises OrchestrateError, with the way back to a
        backup, when anything is damaged."""
        with self._explained():
            if self._connection is None:
                return 0
            self._require_none(find_damage(self._connection, self._format))
            (events,) = self._connection.execute("SELECT count(*) FROM event").fetchone()
            return int(events)

    def back_up(self, now: float) -> Path | None:
        """When an engine starts, with the engine lock held: look for damage, then keep a copy if the log has grown.

        now: Unix seconds. Returns the new copy. Raises OrchestrateError as `verify` does. Half a second for 100,000
        events; one that is larger still is looked through and copied once a day, and only its structure is each time.
        Raises refusals.NoBackup when nothing is wrong with the log but the copy cannot be made: it can be done without.
        """
        db = self._writable()
        with self._explained():
            if backups.is_rested(self.path, now):
                self._require_none(find_broken_pages(db))
                return None
            self._require_none(find_damage(db, self._format))
        try:
            return backups.back_up(db, self.path)
        except (OSError, sqlite3.Error, OrchestrateError) as error:
            raise refusals.no_backup(backups_of(self.path), error) from error

    def _require_none(self, damage: Sequence[str]) -> None:
        if damage:
            raise refusals.damaged(self.path, "; ".join(damage))

    def _select(self, where: str, *arguments: object, of: str = "") -> list[Stored]:
        """of: the run that was asked for; the index might lead to another's."""
        has_sums = self._format > 1
        found = []
        sums: dict[str, bytes] = {}
        for seq, run, at, kind, body, sum_ in self._rows(f"{ROWS[self._format]} {where}", *arguments):
            if has_sums:
                previous = sums.get(run)
                if previous is None:
                    previous = next((before for (before,) in self._rows(_SUM_BEFORE, run, seq)), START)
                if run != (of or run) or not is_intact(previous, (seq, run, at, kind, body), sum_):
                    raise refusals.damaged(self.path, changed("event", seq, run))
                sums[run] = sum_
            try:
                found.append(Stored(seq, run, decode(kind, at, body)))
            except UnreadableEventError as error:
                raise self._unreadable(f"event {seq}", run, error) from None
        return found

    def _rows(self, sql: str, *arguments: object) -> list[Any]:
        with self._explained():
            if self._connection is None and self._read_only:
                self._connection = self._open_to_read()
            if self._connection is None:
                return []
            self._require_in_place()
            return self._connection.execute(sql, arguments).fetchall()

    # ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _open_to_write(self) -> sqlite3.Connection:
        if not self._is_there():
            create(self.path)
        db = self._checked(connect(self.path, "mode=rw"))
        if self._format == FORMAT:
            return db
        db.close()  # whoever migrates wants it for himself
        migrate(self.path)
        return self._checked(connect(self.path, "mode=rw"))

    def _is_there(self) -> bool:
        wal = self._wal
        for path in (self.path, wal, Path(f"{self.path}-shm")):
            refusals.require_file(path)
        if self.path.exists():
            return True
        if wal.exists() and wal.stat().st_size and not self.path.exists():
            raise refusals.is_missing(self.path)
        return False

    @property
    def _wal(self) -> Path:
        return Path(f"{self.path}-wal")

    def _open_to_read(self) -> sqlite3.Connection | None:
        """None: there is no log yet.

        A WAL database can be read in place only where its -shm file exists or can be made. Elsewhere it is read as it
        lies (when no WAL is left beside it) or from a copy. https://www.sqlite.org/wal.html#read_only_databases
        """
        if not self._is_there():
            return None
        try:
            return self._checked(connect(self.path, "mode=ro"))
        except sqlite3.OperationalError as error:
            in_place = refusals.name_of(error) not in ("SQLITE_CANTOPEN", "SQLITE_READONLY")
            if in_place and not refusals.is_no_room(error):
                raise
        return self._checked(connect(*self._snapshot()))

    def _snapshot(self) -> tuple[Path, str]:
        if not self._wal.exists() or self._wal.stat().st_size == 0:
            return self.path, "immutable=1"
        self._copy = tempfile.TemporaryDirectory(prefix="orchestrate-log-")
        copy = Path(self._copy.name) / self.path.name
        shutil.copyfile(self.path, copy)
        shutil.copyfile(self._wal, f"{copy}-wal")
        return copy, "mode=rw"

    def _checked(self, db: sqlite3.Connection) -> sqlite3.Connection:
        """The connection, if it is to a log that this version reads; closed otherwise."""
        try:
            version = format_of(db)
            if version is None:
                raise refusals.foreign(self.path)
            if version > FORMAT:
                raise refusals.newer_format(self.path, version)
            self._format = version
        except BaseException:
            db.close()
            raise
        return db

    def _writable(self) -> sqlite3.Connection:
        if self._read_only or self._connection is None:
            raise OrchestrateError(f"the log {self.path} was opened for reading only")
        self._require_in_place()
        return self._connection

    def _require_in_place(self) -> None:
        """What is written to a file that was removed is lost to all: look each time whether ours is still the one that
        others find (some 2 µs)."""
        for path, opened in self._opened.items():
            if opened is not None and refusals.file_id(path) != opened:
                raise refusals.replaced(path)

    @contextlib.contextmanager
    def _transaction(self, synchronous: str) -> Iterator[sqlite3.Connection]:
        """All or nothing. A later FULL also makes earlier NORMAL commits durable: it is the same file that is synced."""
        db = self._writable()
        if synchronous != self._synchronous:  # cannot be changed inside a transaction
            db.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
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
            raise refusals.from_sqlite(self.path, error) from error
        except UnicodeDecodeError as error:  # a name of ours, or a message about it
            raise refusals.damaged(self.path, f"a name in it is no text: {error.reason}") from error
        except OSError as error:
            raise refusals.from_system(self.path, error) from error
        except FoundDamage as found:
            raise refusals.damaged(self.path, str(found)) from None
        except InUse as found:
            raise refusals.in_use(self.path, str(found)) from None

    def _unreadable(self, what: str, run: str, error: UnreadableEventError) -> OrchestrateError:
        if not error.newer:
            return refusals.damaged(self.path, f"{what} cannot be read: {error}")
        writer = self._newest_writer(run) or "a newer version"
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
