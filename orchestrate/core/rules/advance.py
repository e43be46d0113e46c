"""Attempts that stand ready go on as their strategy says, if the limits admit it."""

from __future__ import annotations

from math import inf
from typing import assert_never

from orchestrate.core import events as ev
from orchestrate.core import feedback, limits, retry
from orchestrate.core.attempt import Attempt, Stage
from orchestrate.core.names import session_id
from orchestrate.core.policy import Policy
from orchestrate.core.state import FeatureState, RunState
from orchestrate.core.strategy import Check, GiveUp, Invoke, Seal, Verified, single

from .finish import failure
from .made import NOTHING, Decided


def advance_attempts(s: RunState, p: Policy, now: float) -> Decided:
    wake_at = inf
    for fid in s.stages[Stage.READY]:
        f, a = s.features[fid], s.attempt(fid)
        if a.stopping is not None or a.parked or not a.prepared:
            continue
        made = _advance(s, p, f, a, now)
        if made.event is not None:
            return made
        wake_at = min(wake_at, made.wake_at)
    return Decided(None, wake_at)


def _advance(s: RunState, p: Policy, f: FeatureState, a: Attempt, now: float) -> Decided:
    if a.losses > retry.LOSS_LIMIT:
        return Decided(failure(s, p, f, a, now, "failed", "its work was lost again and again", final=False))
    step = single(s.plan.features[f.id], a)
    match step:
        case Seal() | Check() if "disk" in s.holds:
            return _stand_still(s, f, a, now)
        case Seal():
            return Decided(ev.SealStarted(now, f.id, a.number, a.n + 1))
        case Check(head):
            return Decided(ev.ChecksStarted(now, f.id, a.number, a.n + 1, head))
        case Verified(head, tree):
            return Decided(ev.AttemptVerified(now, f.id, a.number, a.n + 1, head, tree))
        case GiveUp(outcome, why, final):
            return Decided(failure(s, p, f, a, now, outcome, why, final=final))
        case Invoke():
            return _invoke(s, p, f, a, step, now)
        case _:
            assert_never(step)


def _stand_still(s: RunState, f: FeatureState, a: Attempt, now: float) -> Decided:
    """Until what holds the run is over, or for a later engine."""
    if s.stop:
        return Decided(ev.AttemptParked(now, f.id, a.number, a.n + 1, "the run is stopping"))
    return NOTHING


def _invoke(s: RunState, p: Policy, f: FeatureState, a: Attempt, step: Invoke, now: float) -> Decided:
    if s.stop or s.holds:
        return _stand_still(s, f, a, now)
    feature = s.plan.features[f.id]
    left_s = feature.timeout_s - a.worked_s
    if left_s <= 0:
        return Decided(
            failure(s, p, f, a, now, "failed", f"timed out after {feature.timeout_s:g} s of work", final=False)
        )
    if step.not_before > now:
        return Decided(None, step.not_before)
    left_usd = None if feature.max_cost_usd is None else feature.max_cost_usd - f.spent_usd
    if left_usd is not None and left_usd < limits.CENT:
        why = f"the feature's cost limit of ${feature.max_cost_usd:.2f} is spent (${f.spent_usd:.2f})"
        return Decided(failure(s, p, f, a, now, "failed", why, final=True))
    admitted = admission(s, p, left_usd, now)
    match admitted:
        case limits.WaitUntil(at, _):
            return Decided(None, at)
        case limits.Never(why):
            return Decided(ev.AttemptParked(now, f.id, a.number, a.n + 1, why))
        case limits.Go(allowance_usd):
            return Decided(
                ev.InvocationStarted(
                    now, f.id, a.number, a.n + 1,
                    invocation=len(a.past) + 1,
                    phase=step.phase,
                    session=session_id(s.key(f.id), a.session_number),
                    resume=not step.fresh,
                    timeout_s=left_s,
                    max_cost_usd=allowance_usd,
                    feedback=feedback.with_answers(step.feedback, f.answers),
                )
            )  # fmt: skip
        case _:
            assert_never(admitted)


def admission(s: RunState, p: Policy, feature_left_usd: float | None, now: float) -> limits.Admission:
    """The joint answer of the limits to one more invocation."""
    return limits.admit(
        s.ledger,
        s.account,
        now=now,
        run_cap_usd=p.max_cost_usd,
        feature_left_usd=feature_left_usd,
        running=len(s.stages[Stage.INVOKING]),
        slots=s.slots(p.max_parallel),
    )
