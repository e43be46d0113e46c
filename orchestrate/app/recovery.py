"""What an engine that goes on with a run does first: hold the log against the repository, and tell what it found.

Invariant: what is told folds: an attempt stands where the event may come, whatever it had in flight when its engine died.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrate.core import events as ev
from orchestrate.core.attempt import IN_FLIGHT, WORKING, Attempt, Stage
from orchestrate.core.names import AttemptKey
from orchestrate.core.state import RunState
from orchestrate.git.perform import GitPerformer
from orchestrate.git.scene import Finding, Record, Standing


def build_record(state: RunState, base_of: Callable[[AttemptKey], str]) -> Record:
    """What of the run git is asked about. base_of: commit id that an attempt started from."""
    active = [fid for stage, fids in state.stages.items() if stage is not Stage.ENDED for fid in fids]
    made = tuple(
        AttemptKey(state.run, f.id, number) for f in state.features.values() for number in range(1, f.number + 1)
    )
    standing = tuple(_standing(state, fid, base_of) for fid in active if _goes_on(state.attempt(fid)))
    return Record(state.run, state.base, state.integration_head, standing, made)


def _goes_on(a: Attempt) -> bool:
    ends = a.stopping is not None and a.stopping.outcome != "interrupted"
    return a.prepared and not ends


def _standing(state: RunState, fid: str, base_of: Callable[[AttemptKey], str]) -> Standing:
    a, feature, key = state.attempt(fid), state.plan.features[fid], state.key(fid)
    sealed = a.sealed if a.sealed is not None and not a.sealed.error else None
    works = a.stage in WORKING
    return Standing(
        key,
        base_of(key),
        a.head if not works else sealed.head if sealed else "",
        feature.name or fid,
        feature.touches,
        works,
        works and sealed is not None and sealed.changed > 0 and not sealed.out_of_scope and a.checks is None,
    )


@dataclass(frozen=True, slots=True)
class Found:
    """settled: events to be recorded before EngineStarted, and after those that say how agents ended. open: what was left
    for a person to settle; to be recorded after EngineStarted, as readers take what comes before for settled."""

    settled: Sequence[ev.Event] = ()
    open: Sequence[ev.Event] = ()


async def reconcile(
    git: GitPerformer, state: RunState, base_of: Callable[[AttemptKey], str], now: Callable[[], float]
) -> Found:
    """state: of the log so far.

    Raises CannotGoOn, before anything was changed, where only a person can settle what differs.
    """
    found = await git.reconcile(build_record(state, base_of))
    return Found(
        [event for finding in found if not finding.is_open for event in _told(state, finding, now)],
        [event for finding in found if finding.is_open for event in _told(state, finding, now)],
    )


def _told(state: RunState, finding: Finding, now: Callable[[], float]) -> Sequence[ev.Event]:
    told: list[ev.Event] = [ev.Warned(now(), finding.feature, finding.words)]
    if finding.then == "go on":
        return told
    a, fid = state.attempt(finding.feature), finding.feature
    if a.stage in IN_FLIGHT and a.stage is not Stage.INVOKING:  # of an agent, its own end is told before
        told.append(ev.EffectLost(now(), fid, a.number, "", "the engine was stopped", blameless=True))
    if finding.then == "anew":
        told.append(ev.AttemptEnded(now(), fid, a.number, a.n + 1, "interrupted", finding.words, retry=True))
        return told
    sealed = finding.sealed
    assert sealed is not None, finding
    diff = sealed.diff
    told.append(ev.SealStarted(now(), fid, a.number, a.n + 1))
    told.append(
        ev.WorkSealed(
            now(), fid, a.number, sealed.head, sealed.tree, len(diff.paths), diff.insertions, diff.deletions,
            sealed.commits, sealed.committed, sealed.out_of_scope, beyond=sealed.beyond,
        )
    )  # fmt: skip
    return told
