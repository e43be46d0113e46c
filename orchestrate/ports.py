"""Every seam between the engine and the world, on one page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from orchestrate.core.effects import AnyEffect
from orchestrate.core.events import Event


class Clock(Protocol):
    """now: Unix seconds, never going backwards inside one engine."""

    def now(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """An event with its place in the log: seq counts up over all runs of the repository."""

    seq: int
    run: str
    event: Event


class EventLog(Protocol):
    """Append-only, durable. One writer; any number of readers."""

    def append(self, run: str, events: Sequence[Event]) -> Sequence[Stored]:
        """All or none, durable on return (a batch of chatty events only: durable against a crash of ours, not of power)."""
        ...

    def read(self, run: str, after: int = 0) -> Sequence[Stored]: ...

    def runs(self) -> Sequence[str]:
        """Ids of all runs, oldest first."""
        ...


Emit = Callable[[Event], None]
"""How a performer reports an observed event. May be called any number of times before perform() returns."""


class Performer(Protocol):
    """Does one kind of effect. A bad outcome is an event; an exception is a defect.

    When cancelled, it ends what it started, emits what it observed, and lets CancelledError through only if it has
    nothing to report.
    """

    def perform(self, effect: AnyEffect, emit: Emit) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class EffectEnd:
    how: Literal["succeeded", "failed", "cancelled", "lost"]
    why: str = ""


class Dispatcher(Protocol):
    """Carries effects to performers, wherever those are."""

    def submit(self, effect: AnyEffect) -> None:
        """Idempotent by effect id. Never retries by itself."""
        ...

    def watch(self, effect_id: str, after: int = 0) -> AsyncIterator[Event | EffectEnd]:
        """Events from that number on, then exactly one EffectEnd."""
        ...

    def cancel(self, effect_id: str, why: str) -> None:
        """Ends the whole process tree; the performer still reports what it saw."""
        ...

    def running(self) -> frozenset[str]: ...

    def hosts(self) -> dict[str, int]:
        """Slots by host name."""
        ...
