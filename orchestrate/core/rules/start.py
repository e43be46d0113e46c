"""The best ready feature starts as soon as a slot is free; never a barrier, unless the plan asks for one."""

from __future__ import annotations

from math import inf
from typing import assert_never

from orchestrate.core import events as ev
from orchestrate.core import limits
from orchestrate.core.policy import Policy
from orchestrate.core.queues import is_satisfied
from orchestrate.core.state import FeatureState, Key, RunState

from .advance import admission
from .made import NOTHING, Decided


def start_attempts(s: RunState, p: Policy, now: float) -> Decided:
    if s.stop or s.holds or s.working() >= s.slots(p.max_parallel):
        return NOTHING
    key, wake_at = _best(s, now)
    if key is None:
        return Decided(None, wake_at)
    admitted = admission(s, p, None, now)
    match admitted:
        case limits.WaitUntil(at, _):
            return Decided(None, at)
        case limits.Never():
            return NOTHING
        case limits.Go():
            f = s.features[key[2]]
            return Decided(ev.AttemptStarted(now, f.id, f.number + 1, 1, parents(s, f)))
        case _:
            assert_never(admitted)


def _best(s: RunState, now: float) -> tuple[Key | None, float]:
    """The feature to start now, else when the next retry is due."""
    first = s.ready[0] if s.ready else None
    if not s.delayed:
        return first, inf
    # Meanwhile an earlier wave, or what it builds on, may have been opened again.
    due = [key for at, key in s.delayed if at <= now and is_satisfied(s, s.features[key[2]])]
    if not due:
        return first, next((at for at, _ in s.delayed if at > now), inf)
    again = min(due)
    return (again, inf) if first is None or again < first else (first, inf)


def parents(s: RunState, f: FeatureState) -> tuple[str, ...]:
    """Commits whose merge is the base: the dependencies' verified heads, or the integration branch."""
    needs = s.plan.features[f.id].depends_on
    if not needs:
        return (s.base,)
    if s.plan.start_on == "integrated" or f.base_conflict:
        return (s.integration_head,)
    return tuple(dict.fromkeys(s.features[d].head for d in needs))
