"""End what is over: attempts that were asked to stop, could not be prepared, or were integrated or refused there."""

from __future__ import annotations

from orchestrate.core import events as ev
from orchestrate.core import feedback, retry
from orchestrate.core.attempt import IN_FLIGHT, Attempt, Stage
from orchestrate.core.policy import Policy
from orchestrate.core.state import FeatureState, RunState

from .made import NOTHING, Decided


def finish_attempts(s: RunState, p: Policy, now: float) -> Decided:
    for fid in s.stopping:
        a = s.attempt(fid)
        if a.stopping is not None and a.stage not in IN_FLIGHT:
            if _has_landed(a):
                return _end(fid, a, now, "integrated")  # it came to its end all the same
            if s.unsure == fid and a.stopping.outcome != "interrupted":
                continue  # it may have: what git knows of it is asked first, by integrate_next
            if a.stopping.outcome == "skipped" and not _is_groundless(s, fid):
                why = "what it depends on is tried again"
                return Decided(ev.AttemptEnded(now, fid, a.number, a.n + 1, "postponed", why, retry=True))
            if a.stopping.outcome != "interrupted":
                return _end(fid, a, now, a.stopping.outcome, a.stopping.why)
            if not a.parked:
                return Decided(ev.AttemptParked(now, fid, a.number, a.n + 1, a.stopping.why))
    for fid in s.stages[Stage.READY]:
        a = s.attempt(fid)
        if not a.prepared and a.stopping is None:
            return _unprepared(s, p, s.features[fid], a, now)
    for fid in s.stages[Stage.MERGED]:
        a = s.attempt(fid)
        if a.stopping is None and (made := _merged(fid, a, now)).event is not None:
            return made
    return NOTHING


def _has_landed(a: Attempt) -> bool:
    """Its work is in the integration branch."""
    return (a.published is not None and a.published.ok) or (a.merge is not None and a.merge.kind == "present")


def _is_groundless(s: RunState, fid: str) -> bool:
    """Something it depends on will not be integrated."""
    return any(s.features[d].ended not in (None, "integrated") for d in s.plan.features[fid].depends_on)


def _end(fid: str, a: Attempt, now: float, outcome: ev.Outcome, why: str = "") -> Decided:
    return Decided(ev.AttemptEnded(now, fid, a.number, a.n + 1, outcome, why))


def _unprepared(s: RunState, p: Policy, f: FeatureState, a: Attempt, now: float) -> Decided:
    if a.problem is None:
        if a.losses:
            return Decided(failure(s, p, f, a, now, "failed", "its worktree could not be prepared", final=False))
        return Decided(
            ev.AttemptEnded(now, f.id, a.number, a.n + 1, "interrupted", "its worktree was not finished", retry=True)
        )
    if a.problem.kind == "conflict":
        why = f"waits for its dependencies to be integrated: {a.problem.why}"
        return Decided(ev.AttemptEnded(now, f.id, a.number, a.n + 1, "postponed", why, retry=True))
    return Decided(failure(s, p, f, a, now, "failed", a.problem.why, final=a.problem.kind == "setup"))


def failure(
    s: RunState, p: Policy, f: FeatureState, a: Attempt, now: float, outcome: ev.Outcome, why: str, *, final: bool
) -> ev.AttemptEnded:
    """The attempt failed: try again if that may help and tries are left."""
    again = not final and f.tries < s.plan.features[f.id].max_attempts
    retry_at = now + retry.backoff_s(p.retry_backoff_s, f.tries) if again else 0.0
    return ev.AttemptEnded(now, f.id, a.number, a.n + 1, outcome, why, again, retry_at)


def _merged(fid: str, a: Attempt, now: float) -> Decided:
    """Ends of an integration; the ways on are integrate_next's."""
    if _has_landed(a):
        return _end(fid, a, now, "integrated")
    if a.merge is not None and a.merge.kind == "conflict":
        return _end(fid, a, now, "conflicted", a.merge.why or f"conflicts in {', '.join(a.merge.paths[:5])}")
    if a.merge is not None and a.merge.kind == "error":
        return _end(fid, a, now, "failed", f"could not be merged: {a.merge.why}")
    if a.proof is not None and not a.proof.ok:
        names = feedback.failed_names(a.proof.checks)
        return _end(fid, a, now, "failed", a.proof.error or f"checks failed after merging: {names}")
    return NOTHING
