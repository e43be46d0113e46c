"""What depends on a feature that will never be integrated is skipped, or stopped if it had begun."""

from __future__ import annotations

from orchestrate.core import events as ev
from orchestrate.core.policy import Policy
from orchestrate.core.state import RunState

from .made import NOTHING, Decided


def escalate_loss(s: RunState, _p: Policy, now: float) -> Decided:
    if s.stop == "cancel":
        for stage, fids in s.stages.items():
            for fid in fids:
                a = s.attempt(fid)
                if a.stopping is None:
                    return Decided(
                        ev.AttemptStopping(now, fid, a.number, a.n + 1, "interrupted", f"stopped while {stage.value}")
                    )
    for fid, why in s.blocked.items():
        f = s.features[fid]
        if not f.active:
            return Decided(ev.FeatureSkipped(now, fid, why))
        a = s.attempt(fid)
        if a.stopping is None or a.stopping.outcome == "interrupted":
            return Decided(ev.AttemptStopping(now, fid, a.number, a.n + 1, "skipped", why))
    return NOTHING
