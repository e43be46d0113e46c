"""What people ask of a run, from any terminal: stored first, then told to the engine that drives it, or noted in its log.

Invariant: every request is recorded in the log of its run exactly once, in the order in which they were stored, and only
by who holds the engine lock: the number of the newest one that the log holds says where to go on.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from orchestrate.core import events as ev
from orchestrate.core.state import RunState, evolve, fresh
from orchestrate.engine.lock import Owner, acquire, owner, terminal, this_process
from orchestrate.engine.lock import refusal as held_words
from orchestrate.errors import ExitCode, OrchestrateError
from orchestrate.ports import Clock, Stored
from orchestrate.spec.frozen import parse_plan
from orchestrate.store.artifacts import StateDir
from orchestrate.store.log import SqliteEventLog

POLL_S = 0.25
"""How often an engine looks for new requests, seconds. To look costs one PRAGMA: it is told whether anybody has written."""

ANSWER_S = 3.0
"""How long a command waits for a living engine to take its request in, seconds."""

LOOK_S = 0.02
"""How often it looks meanwhile."""

Request = ev.Control | ev.StopRequested


def person() -> str:
    """Who is asking: `anna@laptop pts/3`, or with the process's id where there is no terminal."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # an id without a name, as in containers
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()} {terminal() or f'pid {os.getpid()}'}"


# ── on the engine's side ─────────────────────────────────────────────────────────────────────────────────────────


class Requests:
    """The requests to one run, for who holds the engine lock. past: what the run's log holds already."""

    def __init__(self, log: SqliteEventLog, run: str, past: Iterable[Stored], clock: Clock) -> None:
        self._log, self._run, self._clock = log, run, clock
        self._heard = max((number_of(stored.event) for stored in past), default=0)

    def due(self) -> list[ev.Event]:
        """Those that came in since, to be recorded by the caller, and a warning for each that cannot be read: whoever can
        write the log must not be able to end a run by it. Each is handed out once."""
        events: list[ev.Event] = []

        def leave_out(number: int, why: str) -> None:
            self._heard = max(self._heard, number)
            words = f"request {number} was left out, as it is not what anybody asked for: {why}"
            events.append(ev.Warned(self._clock.now(), "", words))

        for number, event in self._log.requests(self._run, self._heard, unreadable=leave_out):
            if isinstance(event, Request):
                events.append(replace(event, at=self._clock.now(), control=number))
            else:
                leave_out(number, f"it is {type(event).__name__}, which is no request")
            self._heard = max(self._heard, number)
        return events

    async def listen(self, tell: Callable[[ev.Event], None]) -> None:
        """Tell every request as it comes, until cancelled."""
        seen = -1
        while True:
            changes = self._log.changes()  # before the requests: what comes in between is seen the next time
            if changes != seen:
                seen = changes
                for event in self.due():
                    tell(event)
            await asyncio.sleep(POLL_S)


def number_of(event: ev.Event) -> int:
    """Number of the request that the event records; 0 if it records none that came through the store."""
    return event.control if isinstance(event, Request) else 0


def paused_by(past: Iterable[Stored], due: Iterable[ev.Event] = ()) -> ev.PauseRequested | None:
    """The pause that a person has asked for and nobody has ended. due: requests that are not in the log yet."""
    paused = None
    for event in (*(stored.event for stored in past), *due):
        match event:
            case ev.PauseRequested(cause="operator"):
                paused = event
            case ev.ResumeRequested(cause="operator"):
                paused = None
            case _:
                pass
    return paused


# ── on the side of who asks ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Addressed:
    """A run, as a request finds it. engine: who drives this run right now; None: nobody does. stopping: what that engine
    was asked for, if it is to end. is_newest: nothing has been run since."""

    run: str
    state: RunState
    engine: Owner | None
    started: ev.RunStarted
    stopping: ev.StopRequested | None = None
    is_newest: bool = True

    @property
    def is_over(self) -> bool:
        """It has come to its end, and nothing of it is to be tried again."""
        return self.state.left == 0 and not self.state.reopening


def address(state: StateDir, run: str) -> Addressed:
    """The run as it stands, with the requests that nobody has recorded yet.

    Raises OrchestrateError when the engine that is at work here drives another run.
    """
    engine = owner(state.engine_lock)  # before reading: an engine that ends in between has then written its end
    with SqliteEventLog(state.log, read_only=True) as log:
        past = log.read(run)
        folded, started = fold_run(past)
        due = Requests(log, run, past, _Still(past[-1].event.at)).due()
        for event in due:
            evolve(folded, event)
        is_newest = log.runs()[-1:] == [run]
    driver = _driver(engine, run)
    stopping = _stop_of(driver, [*(stored.event for stored in past), *due]) if driver is not None else None
    return Addressed(run, folded, driver, started, stopping, is_newest)


def _stop_of(engine: Owner, events: Sequence[ev.Event]) -> ev.StopRequested | None:
    """What this very engine was asked for: one that has only begun has not recorded yet that it did."""
    asked = (event for event in reversed(events) if isinstance(event, ev.StopRequested))
    return next((event for event in asked if event.at >= engine.since), None)


@dataclass(frozen=True, slots=True)
class _Still:
    """A clock for what was asked for, but not recorded yet."""

    at: float

    def now(self) -> float:
        return self.at


def fold_run(past: Sequence[Stored]) -> tuple[RunState, ev.RunStarted]:
    """The run's state and its beginning. Raises OrchestrateError when the log lacks that."""
    started = past[0].event if past else None
    if not isinstance(started, ev.RunStarted):
        raise OrchestrateError("the log of this run has no beginning")
    state = fresh(started.run, parse_plan(started.plan), started.base)
    for stored in past:
        evolve(state, stored.event)
    return state, started


def _driver(engine: Owner | None, run: str) -> Owner | None:
    if engine is not None and engine.run not in ("", run):
        raise OrchestrateError(
            f"run {run} cannot be reached: run {engine.run} is being driven by {engine}",
            hint="one run at a time: wait for its end (orchestrate status), or end it (orchestrate stop)",
        )
    return engine


@dataclass(frozen=True, slots=True)
class Delivered:
    """A request that is in the log. state: the run right after it. by_engine: an engine has taken it in, and acts on it."""

    number: int
    stored: Stored
    state: RunState
    by_engine: bool


def deliver(state: StateDir, run: str, request: ev.Event, *, clock: Clock, patience_s: float = ANSWER_S) -> Delivered:
    """Store the request, and see it recorded: by the engine that drives the run, or by ourselves where there is none.

    Raises OrchestrateError when the engine does not answer in time (the request stays stored, and will be heard), or when
    another run is being driven.
    """
    with SqliteEventLog(state.log) as log:
        before = log.last(run)
        number = log.request(run, request)
        find = partial(_recorded, log, run, number, before.seq if before else 0)
        until = time.monotonic() + patience_s
        while True:
            stored = find()
            if stored is not None:
                return Delivered(number, stored, _state_at(log, run, stored), by_engine=True)
            engine = owner(state.engine_lock)
            refusal = None
            if engine is None:
                refusal = _record(state.engine_lock, log, run, clock)
                stored = find()
                if refusal is None and stored is not None:
                    return Delivered(number, stored, _state_at(log, run, stored), by_engine=False)
            else:
                _driver(engine, run)
            if time.monotonic() > until:
                raise refusal or _unanswered(engine, patience_s)
            time.sleep(LOOK_S)


def _unanswered(engine: Owner | None, patience_s: float) -> OrchestrateError:
    words = held_words(engine) if engine else OrchestrateError("who drives the run is not known")
    return OrchestrateError(
        f"the request is stored, but was not heard within {patience_s:g} s: {words.message}",
        hint=words.hint,
        code=ExitCode.INCOMPLETE,
    )


def _recorded(log: SqliteEventLog, run: str, number: int, after: int) -> Stored | None:
    """Where the log holds the request, behind the event that was the newest when it was made."""
    return next((stored for stored in log.read(run, after) if number_of(stored.event) == number), None)


def _state_at(log: SqliteEventLog, run: str, last: Stored) -> RunState:
    folded, _ = fold_run([stored for stored in log.read(run) if stored.seq <= last.seq])
    return folded


def _record(lock: Path, log: SqliteEventLog, run: str, clock: Clock) -> OrchestrateError | None:
    """Record all requests to the run in its log, as nobody drives it; why not, if somebody may by now."""
    try:
        held = acquire(lock, this_process(run=run, command="orchestrate", since=clock.now()))
    except OrchestrateError as refusal:
        return refusal
    with held:
        log.append(run, Requests(log, run, log.read(run), clock).due())
    return None
