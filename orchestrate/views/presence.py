"""When an engine was there, from the events alone: what ends each gap, and what was found out after it. Pure.

Invariant: what a new engine reads from the files of dead agents is told before its EngineStarted, and is no sign of life;
neither is what people ask for through the store, which reaches the log also while no engine is there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrate.core import events as ev


def is_from_elsewhere(event: ev.Event) -> bool:
    """Whether it came through the store, from any terminal, and so proves no engine."""
    return isinstance(event, ev.Control | ev.StopRequested) and event.control > 0


@dataclass(frozen=True, slots=True)
class Gap:
    """Nobody was there from `since` (Unix seconds), for seconds. salvaged: ends of agents that were read afterwards."""

    since: float
    seconds: float
    salvaged: tuple[ev.InvocationFinished, ...]


@dataclass(slots=True)
class Presence:
    """Feed it every event in order. alive_at: until when an engine is known to have been there, Unix seconds."""

    alive_at: float = 0.0
    _engines: int = 0
    _last: list[ev.InvocationFinished] = field(default_factory=list)
    """The newest events, as long as they are ends of agents: seen by an engine, or salvaged by the next one."""

    def see(self, event: ev.Event) -> Gap | None:
        """The gap that the event ends, if it is the start of another engine."""
        if isinstance(event, ev.InvocationFinished):
            self._last.append(event)
            return None
        if is_from_elsewhere(event):
            return None
        gap = None
        # An engine notes the time at which it starts before it looks at what the one before it has left.
        is_engine = isinstance(event, ev.EngineStarted)
        salvaged = tuple(end for end in self._last if is_engine and end.at >= event.at)
        self.alive_at = max([self.alive_at, *(end.at for end in self._last if end not in salvaged)])
        if is_engine:
            self._engines += 1
            if self._engines > 1:
                gap = Gap(self.alive_at, max(0.0, event.at - self.alive_at), salvaged)
        self._last.clear()
        self.alive_at = max(self.alive_at, event.at)
        return gap
