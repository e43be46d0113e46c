"""(h) What the log costs: writing an event against the bare SQLite insert, its checksum, reading it, and what an engine does
at its start with 100,000 of them."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter, process_time

from orchestrate.core import events as ev
from orchestrate.store.chain import START, link
from orchestrate.store.codec import decode, encode
from orchestrate.store.log import SqliteEventLog

from .table import Row

EVENTS, BATCH = 20_000, 20
MANY = 100_000
START_S = 1.0
"""What an engine's start may take for its log."""


def measure() -> Iterator[Row]:
    """CPU time a step, the best of three; wall time for what an engine waits for."""
    events = [
        ev.Warned(1e9 + n, f"feature-{n % 50}", "words " * 30)
        if n % 20 == 0
        else ev.InvocationProgressed(1e9 + n, f"feature-{n % 50}", 1, n)
        for n in range(EVENTS)
    ]
    encoded = [encode(event) for event in events]

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)

        def append(count: int) -> float:
            with SqliteEventLog(directory / f"{count}.sqlite3") as log:
                return _cpu(lambda: [log.append("r", events[n : n + BATCH]) for n in range(0, EVENTS, BATCH)])

        def insert(count: int) -> float:
            with contextlib.closing(sqlite3.connect(directory / f"{count}.bare", isolation_level=None)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute(
                    "CREATE TABLE event (seq INTEGER PRIMARY KEY, run TEXT, at REAL, kind TEXT, body TEXT) STRICT"
                )

                def write() -> None:
                    for n in range(0, EVENTS, BATCH):
                        db.execute("BEGIN IMMEDIATE")
                        rows = [("r", e.at, *encode(e)) for e in events[n : n + BATCH]]
                        db.executemany("INSERT INTO event (run, at, kind, body) VALUES (?, ?, ?, ?)", rows)
                        db.execute("COMMIT")

                return _cpu(write)

        appended, inserted = _best(append), _best(insert)
        yield Row("h", "one event into the log", appended, "µs", "encoded and inserted, no more", inserted, 2.0)
        one = _best(lambda _: _cpu(lambda: [link(START, n, "r", 1.0, *row) for n, row in enumerate(encoded)]))
        decoded = _best(lambda _: _cpu(lambda: [decode(kind, 1.0, body) for kind, body in encoded]))
        yield Row("h", "its checksum", one, "µs", "decoding it", decoded, 0.5)
        with SqliteEventLog(directory / "0.sqlite3") as log:
            read = _best(lambda _: _cpu(lambda: log.read("r")))
        yield Row("h", "one event read and checked", read, "µs", "decoding it", decoded, 3.0)

        with SqliteEventLog(directory / "many.sqlite3") as log:
            for n in range(MANY // EVENTS):
                log.append(f"run-{n}", events)
            begun = perf_counter()
            log.back_up(1e9)
            yield Row(
                "h", f"{MANY:,} events looked through and copied", perf_counter() - begun, "s", "a second", START_S
            )


def _cpu(work: Callable[[], object]) -> float:
    """Microseconds an event."""
    begun = process_time()
    work()
    return (process_time() - begun) / EVENTS * 1e6


def _best(work: Callable[[int], float]) -> float:
    return min(work(count) for count in range(3))
