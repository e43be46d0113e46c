"""When an engine was there, from the events alone: what ends each gap, and what was found out after it. Pure.

Invariant: a new engine notes the time at which it begins before it looks at what the one before it has left, and records
that before its EngineStarted: what comes there and is not older is its own, and no sign of life of the one before; neither
is what people ask for through the store, which reaches the log also while no engine is there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrate.core import events as ev

_FOUND = (ev.InvocationFinished, ev.Warned, ev.EffectLost, ev.SealStarted, ev.WorkSealed, ev.AttemptEnded)
"""Kinds that a new engine records before it says that it has started: ends of agents, and what the repository had."""


def is_from_elsewhere(event: ev.Event) -> bool:
    """Whether it came through the store, from any terminal, and so proves no engine."""
    return isinstance(event, ev.Control | ev.StopRequested) and event.control > 0


@dataclass(frozen=True, slots=True)
class Gap:
    """Nobody was there from `since` (Unix seconds), for seconds. is_death: the engine before had not come to an end.
    found: what the new engine found out, before it said that it has started."""

    since: float
    seconds: float
    is_death: bool
    found: tuple[ev.Event, ...]


@dataclass(slots=True)
class Presence:
    """Feed it every event in order. alive_at: until when an engine is known to have been there, Unix seconds."""

    alive_at: float = 0.0
    _engines: int = 0
    _has_ended: bool = False
    _last: list[ev.Event] = field(default_factory=list)
    """The newest events, as long as a new engine may have found them out."""

    def see(self, event: ev.Event) -> Gap | None:
        """The gap that the event ends, if it is the start of another engine."""
        if is_from_elsewhere(event):
            return None
        if isinstance(event, _FOUND):
            self._last.append(event)
            return None
        gap = None
        is_engine = isinstance(event, ev.EngineStarted)
        found = tuple(late for late in self._last if is_engine and late.at >= event.at)
        self.alive_at = max([self.alive_at, *(seen.at for seen in self._last if seen not in found)])
        if is_engine:
            self._engines += 1
            if self._engines > 1:
                seconds = max(0.0, event.at - self.alive_at)
                gap = Gap(self.alive_at, seconds, not self._has_ended, found)
        self._has_ended = isinstance(event, ev.RunEnded)
        self._last.clear()
        self.alive_at = max(self.alive_at, event.at)
        return gap
