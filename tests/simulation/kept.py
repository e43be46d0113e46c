"""The real log on disk under a simulated run: what is read after a crash is what was written there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Self

from orchestrate.core import events as ev
from orchestrate.store.log import SqliteEventLog

IN_MEMORY = Path("/dev/shm")
"""A file system without a disk below it, where there is one: a simulation is not about power."""


class KeptOnDisk:
    """sim.Log over a store of its own, which is gone in the end."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None)
        self._path = Path(self._directory.name) / "log.sqlite3"
        self._log = SqliteEventLog(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()
        self._directory.cleanup()

    def append(self, run: str, events: list[ev.Event]) -> object:
        return self._log.append(run, events)

    def read(self, run: str) -> list[ev.Event]:
        """As an engine finds it that begins: opened anew."""
        self._log.close()
        self._log = SqliteEventLog(self._path)
        return [stored.event for stored in self._log.read(run)]
