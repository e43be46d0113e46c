"""The indexes of the state: who is ready, who waits, who can be merged, who has ended. Used by the fold alone.

Invariant: each change of one feature touches that feature and its direct neighbours in the plan, never all of them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

from . import events as ev
from .attempt import Attempt, Stage

if TYPE_CHECKING:
    from .state import FeatureState, Key, RunState


def is_satisfied(state: RunState, f: FeatureState) -> bool:
    if state.plan.schedule == "waves" and f.wave > state.open_wave:
        return False
    if state.plan.start_on == "integrated" or f.base_conflict:
        return f.unintegrated == 0
    return f.unverified == 0


def offer(state: RunState, f: FeatureState) -> None:
    """Put it among the ready ones if it may start."""
    if f.ended is None and not f.active and f.id not in state.blocked and is_satisfied(state, f):
        at = bisect_left(state.ready, f.key)
        if at == len(state.ready) or state.ready[at] != f.key:
            state.ready.insert(at, f.key)


def withdraw(keys: list[Key], key: Key) -> None:
    at = bisect_left(keys, key)
    if at < len(keys) and keys[at] == key:
        del keys[at]


def end_feature(state: RunState, f: FeatureState, outcome: ev.Outcome, why: str) -> None:
    f.ended, f.why = outcome, why
    state.left -= 1
    state.blocked.pop(f.id, None)
    state.cancelled.pop(f.id, None)
    withdraw(state.ready, f.key)
    state.delayed = [entry for entry in state.delayed if entry[1] != f.key] if state.delayed else state.delayed
    if not is_success(outcome):
        for dependent in state.plan.dependents[f.id]:
            d = state.features[dependent]
            if d.ended is None:
                state.blocked.setdefault(dependent, why_blocked(f))
                withdraw(state.ready, d.key)
    state.wave_left[f.wave] -= 1
    while state.open_wave < len(state.wave_left) and state.wave_left[state.open_wave] == 0:
        state.open_wave += 1
        if state.plan.schedule == "waves" and state.open_wave < len(state.plan.waves):
            for fid in state.plan.waves[state.open_wave]:
                offer(state, state.features[fid])


def unverify(state: RunState, f: FeatureState) -> None:
    """Nobody may start from its work any more."""
    if f.head:
        f.head = ""
        for dependent in state.plan.dependents[f.id]:
            d = state.features[dependent]
            d.unverified += 1
            if not is_satisfied(state, d):
                withdraw(state.ready, d.key)


def why_blocked(f: FeatureState) -> str:
    """What is said of the dependents of a feature that ended without being integrated."""
    assert f.ended is not None
    return f"{f.id} {'was ' if f.ended != 'failed' else ''}{PAST[f.ended]}"


PAST: dict[ev.Outcome, str] = {
    "integrated": "integrated",
    "no_changes": "left without a change",
    "failed": "failed",
    "conflicted": "in conflict",
    "cancelled": "cancelled",
    "skipped": "skipped",
    "interrupted": "interrupted",
    "postponed": "postponed",
}


def is_success(outcome: ev.Outcome) -> bool:
    """Only what is in the integration branch counts."""
    return outcome == "integrated"


def move(state: RunState, fid: str, attempt: Attempt, stage: Stage) -> None:
    del state.stages[attempt.stage][fid]
    attempt.stage = stage
    if stage is not Stage.ENDED:
        state.stages[stage][fid] = None


def requeue(state: RunState, f: FeatureState, a: Attempt) -> None:
    """It was being merged, so that all its dependencies are integrated."""
    move(state, f.id, a, Stage.QUEUED)
    insort(state.mergeable, f.key)
