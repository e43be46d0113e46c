"""What people ask for, and what the machine forces, as facts in the state: pauses, cancellations, further tries, answers.

Invariant: a request changes nothing that is under way by itself; rules do, from what is noted here. A name that the plan
does not know is passed over: whoever takes requests in refuses those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import events as ev
from .attempt import IN_FLIGHT, Attempt, Stage
from .queues import is_success, offer, requeue, unverify, why_blocked, withdraw

if TYPE_CHECKING:
    from .state import FeatureState, RunState


SIGNALS = {"SIGHUP": "its terminal was closed (SIGHUP)", "SIGTERM": "ended by SIGTERM"}
"""What an engine is told by signals other than that of the keyboard."""


def stop_words(e: ev.StopRequested) -> str:
    """Why the run is interrupted: `stopped by Ctrl-C`, `stopped by anna@laptop`, `its terminal was closed (SIGHUP)`."""
    if e.control or e.by not in ("SIGINT", *SIGNALS):
        return f"stopped by {' '.join(e.by.split())[:60] or 'a person'}"
    return SIGNALS.get(e.by, "stopped by Ctrl-C")


def hold(state: RunState, e: ev.PauseRequested) -> None:
    """A second pause for one cause may only be the harder one."""
    held = state.holds.get(e.cause)
    if held is None or (e.now and not held.now):
        state.holds[e.cause] = e


def release(state: RunState, cause: ev.HoldCause) -> None:
    """What the pause had ended or parked may go on; whether it does, other reasons decide."""
    state.holds.pop(cause, None)
    for stage, fids in state.stages.items():
        for fid in list(fids):
            f, a = state.features[fid], state.attempt(fid)
            if a.stopping is not None and a.stopping.outcome != "interrupted":
                continue
            if stage in IN_FLIGHT:
                a.released = a.stopping is not None
            elif not state.stop and (a.stopping is not None or a.parked):
                go_on(state, f, a)


def go_on(state: RunState, f: FeatureState, a: Attempt) -> None:
    """Take back that the attempt was interrupted; it decides anew from where it stands."""
    a.released = False
    if a.stopping is not None:
        a.stopping = None
        state.stopping.pop(f.id, None)
    if a.parked:
        a.parked = False
        state.parked -= 1
    if a.stage is Stage.MERGED and not (a.published is not None and a.published.ok):
        requeue(state, f, a)


def cancel(state: RunState, e: ev.CancelRequested) -> None:
    for fid in e.features or state.features:
        f = state.features.get(fid)
        if f is not None and f.ended is None:
            state.cancelled.setdefault(fid, f"cancelled by {e.by}" if e.by else "cancelled")
            state.reopening.pop(fid, None)
            withdraw(state.ready, f.key)


def retry(state: RunState, e: ev.RetryRequested) -> None:
    """Note who is to begin anew: those named, what they need, and what was skipped for their sake. In the plan's order."""
    asked = [fid for fid in e.features if fid in state.features] if e.features else list(state.features)
    wanted: set[str] = set()
    todo = list(asked)
    while todo:
        f = state.features[todo.pop()]
        if f.id not in wanted and _is_lost(f):
            wanted.add(f.id)
            todo += state.plan.features[f.id].depends_on
    todo = [d for fid in wanted for d in state.plan.dependents[fid]]
    while todo:
        f = state.features[todo.pop()]
        if f.id not in wanted and f.ended == "skipped":
            wanted.add(f.id)
            todo += state.plan.dependents[f.id]
    for fid in sorted(wanted, key=lambda fid: (state.features[fid].wave, state.features[fid].key)):
        needs = (state.features[d] for d in state.plan.features[fid].depends_on)
        if all(not _is_lost(d) or d.id in state.reopening for d in needs):
            state.reopening[fid] = None
    for fid in asked:
        _hasten(state, state.features[fid])


def reopen(state: RunState, f: FeatureState) -> None:
    """It has not ended any more, and its earlier tries are forgiven. Its dependencies are integrated, open or reopened."""
    state.reopening.pop(f.id, None)
    f.ended, f.why, f.tries, f.base_conflict = None, "", 0, False
    state.left += 1
    unverify(state, f)
    needs = [state.features[d] for d in dict.fromkeys(state.plan.features[f.id].depends_on)]
    f.unverified = sum(not d.head for d in needs)
    f.unintegrated = sum(d.ended != "integrated" for d in needs)
    for dependent in state.plan.dependents[f.id]:
        if dependent in state.blocked:
            _unblock(state, state.features[dependent])
    _reopen_wave(state, f.wave)
    offer(state, f)


def _is_lost(f: FeatureState) -> bool:
    return f.ended is not None and not is_success(f.ended)


def _hasten(state: RunState, f: FeatureState) -> None:
    """A try that waits for its time need not wait any longer."""
    if any(key == f.key for _, key in state.delayed):
        state.delayed = [entry for entry in state.delayed if entry[1] != f.key]
        offer(state, f)


def _unblock(state: RunState, d: FeatureState) -> None:
    """It may have been blocked by more than one."""
    lost = [n for n in state.plan.features[d.id].depends_on if _is_lost(state.features[n])]
    if lost:
        state.blocked[d.id] = why_blocked(state.features[lost[0]])
    else:
        del state.blocked[d.id]
        offer(state, d)


def _reopen_wave(state: RunState, wave: int) -> None:
    """Under a barrier nothing of a later wave starts until this one is over again."""
    state.wave_left[wave] += 1
    state.open_wave = min(state.open_wave, wave)
    if state.plan.schedule == "waves":
        state.ready = [key for key in state.ready if state.features[key[2]].wave <= state.open_wave]
