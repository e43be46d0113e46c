"""What people asked of a run, and why it stands still: pauses as spans of time, every request in words. Pure.

Invariant: a pause of an operator holds until somebody ends it, also over the end of an engine; one that the machine forced
ends with its engine. The text holds words of people: whoever prints it sanitises it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrate.core import events as ev
from orchestrate.core.requests import SIGNALS, stop_words
from orchestrate.views.figures import first_line, shorten
from orchestrate.views.presence import Gap

BY_WIDTH = 60
"""Characters of who asked."""
TEXT_WIDTH = 120
"""Characters of an answer, or of a reason, in a line."""

Request = ev.Control | ev.StopRequested

REQUESTS: tuple[type[ev.Event], ...] = (ev.Control, ev.StopRequested)
"""Kinds of events that somebody asked for."""


# ── pauses ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Pause:
    """One pause. since, until: Unix seconds; until is None while it holds. ended_by: who ended it. now: running agents were
    ended too."""

    cause: ev.HoldCause
    by: str
    since: float
    now: bool
    why: str
    until: float | None = None
    ended_by: str = ""


@dataclass(slots=True)
class Holds:
    """All pauses of a run, oldest first. Feed it every event in order."""

    pauses: list[Pause] = field(default_factory=list)
    _open: dict[ev.HoldCause, Pause] = field(default_factory=dict)
    _gaps: list[tuple[float, float]] = field(default_factory=list)
    """Times without an engine."""

    def __bool__(self) -> bool:
        return bool(self._open)

    @property
    def is_emptied(self) -> bool:
        """Whether running agents are ended too."""
        return any(pause.now for pause in self._open.values())

    @property
    def open(self) -> Sequence[Pause]:
        """Those that hold, oldest first."""
        return tuple(self._open.values())

    def fold(self, event: ev.Event, gap: Gap | None) -> None:
        """gap: the time without an engine that the event ends, if it does."""
        match event:
            case ev.PauseRequested():
                self._pause(event)
            case ev.ResumeRequested():
                self._end(event.cause, event.at, event.by)
            case ev.EngineStarted() if gap is not None:
                self._gaps.append((gap.since, event.at))
                for cause in [cause for cause in self._open if cause != "operator"]:
                    self._end(cause, gap.since, "engine")
            case _:
                pass

    def seconds(self, end: float) -> float:
        """Seconds until `end` (Unix seconds) in which an engine was there and at least one pause held."""
        held, until = 0.0, 0.0
        for pause in sorted(self.pauses, key=lambda pause: pause.since):
            start, stop = max(pause.since, until), min(end if pause.until is None else pause.until, end)
            if stop > start:
                dead = sum(max(0.0, min(stop, back) - max(start, gone)) for gone, back in self._gaps)
                held, until = held + stop - start - dead, stop
        return max(0.0, held)

    def _pause(self, event: ev.PauseRequested) -> None:
        already = self._open.get(event.cause)
        if already is None:
            already = Pause(event.cause, event.by, event.at, event.now, event.why)
            self.pauses.append(already)
            self._open[event.cause] = already
        already.now = already.now or event.now
        already.why = already.why or event.why

    def _end(self, cause: ev.HoldCause, at: float, by: str) -> None:
        pause = self._open.pop(cause, None)
        if pause is not None:
            pause.until, pause.ended_by = at, by


_CAUSES: Mapping[ev.HoldCause, str] = {
    "operator": "paused",
    "disk": "the disk is nearly full",
    "machine": "the machine has no room",
}


def pause_words(pause: Pause, *, whole: bool = False) -> str:
    """`paused by anna@laptop` · `the disk is nearly full: 0.1 GB are free`. whole: also from which terminal."""
    if pause.cause == "operator":
        by = by_words(pause.by)
        return f"paused by {by if whole else by.partition(' ')[0]}" + _because(pause.why)
    return _CAUSES[pause.cause] + _because(pause.why)


def hold_words(holds: Holds) -> str:
    """Why nothing new starts; empty when nothing holds the run."""
    return "; ".join(pause_words(pause) for pause in holds.open)


def on_words(pause: Pause) -> str:
    """What ends the pause."""
    return "orchestrate resume goes on" if pause.cause == "operator" else "goes on by itself when there is room"


# ── requests in words ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Said:
    """text: who asked for what. next: what follows or can be done. is_good: it lets work go on."""

    text: str
    next: str = ""
    is_good: bool = False


def by_words(by: str) -> str:
    """Who asked; somebody, where the log does not say."""
    return shorten(first_line(by), BY_WIDTH) or "somebody"


def request_words(event: Request) -> Said:
    """Every kind of request in one line."""
    who = by_words(event.by)
    match event:
        case ev.PauseRequested(cause="operator"):
            done = "running agents are ended, their work is kept" if event.now else "running agents finish"
            return Said(f"{who} paused the run; {done}" + _because(event.why), "orchestrate resume goes on")
        case ev.PauseRequested():
            done = "running agents are ended, their work is kept" if event.now else "nothing new starts"
            return Said(f"{_CAUSES[event.cause]}{_because(event.why)}", f"{done}; goes on by itself when there is room")
        case ev.ResumeRequested(cause="operator"):
            return Said(f"{who} resumed the run", is_good=True)
        case ev.ResumeRequested():
            room = "there is room on the disk again" if event.cause == "disk" else "the machine has room again"
            return Said(f"{room}; the run goes on", is_good=True)
        case ev.CancelRequested():
            kept = "their work is kept" if len(event.features) != 1 else "its work is kept"
            return Said(f"{who} cancelled {_named(event.features, 'everything that has not ended')}", kept)
        case ev.RetryRequested():
            what = _named(event.features, "everything that was not integrated")
            return Said(f"{who} asked for another try at {what}", is_good=True)
        case ev.AnswerGiven():
            return Said(
                f"{who} answered: {shorten(first_line(event.text), TEXT_WIDTH)}",
                "the agent gets it with its next invocation",
                is_good=True,
            )
        case ev.StopRequested():
            return _stop_words(event)
        case _:
            raise AssertionError(f"unknown request {event!r}")


def _stop_words(event: ev.StopRequested) -> Said:
    """By a signal nobody is named: it was the terminal of the run itself."""
    if not event.control:
        if event.how == "drain":
            return Said("stopping: nothing new starts, running features finish", "again: ends the agents now")
        told = f"{SIGNALS[event.by]}: " if event.by in SIGNALS else ""
        return Said(f"{told}ending the agents now", "their work is kept")
    who = by_words(event.by)
    if event.how == "drain":
        return Said(f"{who} stops the run; running features finish", "orchestrate stop --now ends the agents")
    return Said(f"{who} stops the run now; running agents are ended", "their work is kept")


def stopping_words(event: ev.StopRequested, how: str) -> str:
    """What a run does that was asked to stop. how: of all such requests, the one that asks for most."""
    does = "the agents are being ended" if how == "cancel" else "nothing new starts, what runs is finished"
    return f"{first_line(stop_words(event))}: {does}"


def _named(features: Sequence[str], everything: str) -> str:
    return ", ".join(features[:6]) + (f" and {len(features) - 6} more" if len(features) > 6 else "") or everything


def _because(why: str) -> str:
    return f": {shorten(first_line(why), TEXT_WIDTH)}" if why.strip() else ""
