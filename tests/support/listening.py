"""Somebody who drives a run, as far as requests go: in a thread, holding the engine lock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from orchestrate.app.controls import Requests
from orchestrate.core import events as ev
from orchestrate.engine.clock import SystemClock
from orchestrate.engine.lock import acquire, this_process
from orchestrate.store.artifacts import StateDir
from orchestrate.store.log import SqliteEventLog

from .logs import RUN

CLOCK = SystemClock()


@contextmanager
def holding(state: StateDir, run: str) -> Iterator[None]:
    with acquire(state.engine_lock, this_process(run=run, command="test", since=1.0)):
        yield


@dataclass
class Listener:
    """Stands in for an engine in a thread: hears requests and records them, until `is_over` says that its run has ended."""

    state: StateDir
    is_over: Callable[[int], bool]
    listening: threading.Event = field(default_factory=threading.Event)
    told: list[ev.Event] = field(default_factory=list)

    def drive(self) -> None:
        with holding(self.state, RUN), SqliteEventLog(self.state.log) as log:
            asyncio.run(self._listen(log))

    async def _listen(self, log: SqliteEventLog) -> None:
        inbox: list[ev.Event] = []
        requests = Requests(log, RUN, log.read(RUN), CLOCK)
        async with asyncio.TaskGroup() as group:
            hearing = group.create_task(requests.listen(inbox.append))
            self.listening.set()
            turn = 0
            while not self.is_over(turn):
                await asyncio.sleep(0.005)
                turn += 1
                log.append(RUN, inbox)
                self.told += inbox
                inbox.clear()
            hearing.cancel()  # what is in the inbox by now is heard by nobody


@contextmanager
def driven(state: StateDir, is_over: Callable[[int], bool]) -> Iterator[Listener]:
    listener = Listener(state, is_over)
    thread = threading.Thread(target=listener.drive)
    thread.start()
    listener.listening.wait(30)
    try:
        yield listener
    finally:
        thread.join(30)


@contextmanager
def live(state: StateDir) -> Iterator[Listener]:
    """The run is driven until the block is left."""
    over = threading.Event()
    with driven(state, lambda _: over.is_set()) as listener:
        try:
            yield listener
        finally:
            over.set()
