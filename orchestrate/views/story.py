"""What happened in each attempt at one feature, in order: its invocations, its rounds of checks, its end.

Invariant: follows from the log alone; a log that breaks off in the middle gives a story that has not ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from orchestrate.core import events as ev


@dataclass(slots=True)
class Invocation:
    """One agent process. finished: None while it runs, or when its engine died."""

    number: int
    phase: ev.Phase
    started_at: float
    finished: ev.InvocationFinished | None = None


@dataclass(frozen=True, slots=True)
class CheckRound:
    """on_merged: on the merged tree, before it went into the integration branch."""

    at: float
    on_merged: bool
    ok: bool
    checks: tuple[ev.CheckResult, ...]
    error: str
    duration_s: float


@dataclass(slots=True)
class Story:
    """One attempt. head: the last commit that was made of its work; base, branch and path as its worktree was prepared."""

    feature: str
    attempt: int
    started_at: float
    base: str = ""
    branch: str = ""
    path: str = ""
    head: str = ""
    steps: list[Invocation | CheckRound] = field(default_factory=list)
    ended: ev.AttemptEnded | None = None
    problem: str = ""
    """Why its worktree could not be prepared."""

    @property
    def invocations(self) -> list[Invocation]:
        return [step for step in self.steps if isinstance(step, Invocation)]

    @property
    def rounds(self) -> list[CheckRound]:
        return [step for step in self.steps if isinstance(step, CheckRound)]

    def fold(self, event: ev.AttemptEvent) -> None:
        match event:
            case ev.WorktreePrepared():
                self.base, self.branch, self.path, self.head = event.base, event.branch, event.path, event.base
            case ev.WorktreeFailed():
                self.problem = event.why
            case ev.InvocationStarted():
                self.steps.append(Invocation(event.invocation, event.phase, event.at))
            case ev.InvocationFinished():
                for invocation in self.invocations:
                    if invocation.number == event.invocation:
                        invocation.finished = event
            case ev.WorkSealed(error=""):
                self.head = event.head
            case ev.ChecksFinished() | ev.MergeChecksFinished():
                on_merged = isinstance(event, ev.MergeChecksFinished)
                self.steps.append(
                    CheckRound(event.at, on_merged, event.ok, event.checks, event.error, event.duration_s)
                )
            case ev.AttemptEnded():
                self.ended = event
            case _:
                pass


def stories(events: Iterable[ev.Event], feature: str) -> list[Story]:
    """All attempts at the feature, in order."""
    found: dict[int, Story] = {}
    for event in events:
        if not isinstance(event, ev.AttemptEvent) or event.feature != feature:
            continue
        if isinstance(event, ev.AttemptStarted):
            found[event.attempt] = Story(feature, event.attempt, event.at)
        elif event.attempt in found:
            found[event.attempt].fold(event)
    return list(found.values())
