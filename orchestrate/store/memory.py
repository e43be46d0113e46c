"""The event log in memory: for tests and simulations. Same contract as the one on disk."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrate.core.events import Event
from orchestrate.ports import Stored


class MemoryEventLog:
    """Implements ports.EventLog and the questions that commands ask of SqliteEventLog."""

    def __init__(self) -> None:
        self._all: list[Stored] = []
        self._by_run: dict[str, list[Stored]] = {}
        self._requests: list[tuple[int, str, Event]] = []

    def append(self, run: str, events: Sequence[Event]) -> Sequence[Stored]:
        start = len(self._all) + 1
        stored = [Stored(seq, run, event) for seq, event in enumerate(events, start)]
        self._all.extend(stored)
        if stored:
            self._by_run.setdefault(run, []).extend(stored)
        return stored

    def read(self, run: str, after: int = 0) -> Sequence[Stored]:
        return [stored for stored in self._by_run.get(run, ()) if stored.seq > after]

    def request(self, run: str, event: Event) -> int:
        number = len(self._requests) + 1
        self._requests.append((number, run, event))
        return number

    def requests(self, run: str, after: int = 0) -> Sequence[tuple[int, Event]]:
        return [(number, event) for number, of, event in self._requests if of == run and number > after]

    def changes(self) -> int:
        """Whoever leaves requests here is another process, as far as the engine can tell."""
        return len(self._requests)

    def tail(self, after: int = 0) -> Sequence[Stored]:
        return self._all[max(0, after) :]

    def runs(self) -> Sequence[str]:
        return list(self._by_run)

    def first(self, run: str) -> Stored | None:
        events = self._by_run.get(run)
        return events[0] if events else None

    def last(self, run: str) -> Stored | None:
        events = self._by_run.get(run)
        return events[-1] if events else None

    def close(self) -> None:
        """Nothing to give back."""
