"""The time of one engine: follows the wall clock forward, and never goes back.

Invariant: waits that were set by this clock end neither late nor early because somebody set the wall clock back: while
that is behind, time goes on here at its true pace. Set forward (a wrong clock was put right), time follows at once:
what the service promised for a given hour is then due at that hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from orchestrate.core import events as ev
from orchestrate.core.effects import AnyEffect
from orchestrate.ports import Emit, Performer

STEP_BACK_S = 5.0
"""A wall clock that is behind by less is waited for; by more, it was set back."""

Read = Callable[[], float]
"""Seconds, from whatever beginning."""


def elapsed() -> float:
    """Seconds since some beginning, at a steady pace, with the time the machine was asleep where the system counts it."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def wall() -> float:
    """Unix seconds, as the system believes at this moment."""
    return time.time()  # noqa: TID251 - this is the clock


class SystemClock:
    """ports.Clock over the system's clocks. not_before: the newest time in the log of the run, where an engine goes on."""

    def __init__(self, not_before: float = 0.0, *, wall: Read = wall, elapsed: Read = elapsed) -> None:
        self._wall, self._elapsed = wall, elapsed
        self._last, self._tick = not_before, elapsed()

    def now(self) -> float:
        tick, said = self._elapsed(), self._wall()
        steady = self._last + max(0.0, tick - self._tick)
        self._last = max(self._last, said) if said >= steady - STEP_BACK_S else steady
        self._tick = tick
        return self._last

    def ahead_s(self) -> float:
        """By how much this clock is ahead of the wall clock, which was set back. A time that somebody else has named, such
        as the reset of a usage limit, lies that much later here."""
        return max(0.0, self.now() - self._wall())


class TimelyPerformer:
    """ports.Performer around the agents' one: when a usage limit ends is told by the service's clock, and put onto ours."""

    def __init__(self, inner: Performer, clock: SystemClock) -> None:
        self._inner, self._clock = inner, clock

    async def perform(self, effect: AnyEffect, emit: Emit) -> None:
        def put_right(event: ev.Event) -> None:
            if isinstance(event, ev.InvocationFinished) and event.resets_at is not None:
                event = replace(event, resets_at=event.resets_at + self._clock.ahead_s())
            emit(event)

        await self._inner.perform(effect, put_right)
