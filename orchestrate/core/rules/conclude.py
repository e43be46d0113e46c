"""The run ends when nothing is under way and nothing more may start."""

from __future__ import annotations

from orchestrate.core import events as ev
from orchestrate.core import limits
from orchestrate.core.attempt import Stage
from orchestrate.core.policy import Policy
from orchestrate.core.state import RunState

from .advance import admission
from .made import NOTHING, Decided


def conclude_run(s: RunState, p: Policy, now: float) -> Decided:
    if s.in_flight() or not all(s.attempt(fid).parked for fid in s.stages[Stage.READY]):
        return NOTHING
    if s.left == 0:
        failed = sum(f.ended != "integrated" for f in s.features.values())
        if not failed:
            return Decided(ev.RunEnded(now, "done"))
        what = "features were" if len(s.features) > 1 else "feature was"
        return Decided(ev.RunEnded(now, "incomplete", f"{failed} of {len(s.features)} {what} not integrated"))
    if s.stop:
        return Decided(ev.RunEnded(now, "interrupted", s.stop_why))
    match admission(s, p, None, now):
        case limits.Never(why):
            return Decided(ev.RunEnded(now, "halted" if s.account.refused or s.account.is_away else "limit", why))
        case _:
            return NOTHING
