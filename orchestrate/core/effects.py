"""Wishes, imperative, never stored: what the shell is asked to do because of a decided event.

An effect's id is `<run>.<feature>.<attempt>.<n>`; submitting the same id twice is one effect.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import events as ev
from .names import AttemptKey


@dataclass(frozen=True, slots=True)
class Effect:
    """key: the attempt it belongs to, and its placement (all effects of one attempt share a worktree)."""

    id: str
    key: AttemptKey


@dataclass(frozen=True, slots=True)
class PrepareWorktree(Effect):
    """Answers WorktreePrepared or WorktreeFailed."""

    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunAgent(Effect):
    """Answers InvocationProgressed*, then InvocationFinished."""

    invocation: int
    phase: ev.Phase
    session: str
    resume: bool
    timeout_s: float
    max_cost_usd: float | None
    feedback: str


@dataclass(frozen=True, slots=True)
class SealWork(Effect):
    """Answers WorkSealed."""


@dataclass(frozen=True, slots=True)
class RunChecks(Effect):
    """In the feature's worktree. Answers ChecksFinished."""

    head: str


@dataclass(frozen=True, slots=True)
class MergeWork(Effect):
    """Merge in memory. Answers MergeFinished."""

    head: str
    onto: str


@dataclass(frozen=True, slots=True)
class RunMergeChecks(Effect):
    """also: ids of further features whose checks are due. Answers MergeChecksFinished."""

    commit: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishMerge(Effect):
    """Compare and swap. Answers Published."""

    commit: str
    onto: str


@dataclass(frozen=True, slots=True)
class StopWork(Effect):
    """End the process tree of whatever the attempt has in flight. Answers nothing itself: what is in flight does."""


@dataclass(frozen=True, slots=True)
class KeepWork(Effect):
    """The attempt is over or parked: save its state under its private ref. Answers nothing; deletes nothing.

    integrated: its work is in the integration branch, and kept by that."""

    integrated: bool = False


AnyEffect = (
    PrepareWorktree | RunAgent | SealWork | RunChecks | MergeWork | RunMergeChecks | PublishMerge | StopWork | KeepWork
)


def effects_of(run: str, event: ev.Event) -> tuple[AnyEffect, ...]:
    """What a decided event asks for; nothing for an observed one."""
    if not isinstance(event, ev.DecidedAttemptEvent):
        return ()
    key = AttemptKey(run, event.feature, event.attempt)
    eid = f"{run}.{event.feature}.{event.attempt}.{event.n}"
    match event:
        case ev.AttemptStarted(parents=parents):
            return (PrepareWorktree(eid, key, parents),)
        case ev.InvocationStarted():
            return (
                RunAgent(
                    eid,
                    key,
                    event.invocation,
                    event.phase,
                    event.session,
                    event.resume,
                    event.timeout_s,
                    event.max_cost_usd,
                    event.feedback,
                ),
            )
        case ev.SealStarted():
            return (SealWork(eid, key),)
        case ev.ChecksStarted(head=head):
            return (RunChecks(eid, key, head),)
        case ev.MergeStarted(head=head, onto=onto):
            return (MergeWork(eid, key, head, onto),)
        case ev.MergeChecksStarted(commit=commit, also=also):
            return (RunMergeChecks(eid, key, commit, also),)
        case ev.PublishStarted(commit=commit, onto=onto):
            return (PublishMerge(eid, key, commit, onto),)
        case ev.AttemptStopping():
            return (StopWork(eid, key),)
        case ev.AttemptEnded(outcome=outcome):
            return (KeepWork(eid, key, outcome == "integrated"),)
        case ev.AttemptParked():
            return (KeepWork(eid, key),)
        case ev.AttemptVerified():
            return ()
        case _:
            raise AssertionError(f"no effect is known for {event!r}")
