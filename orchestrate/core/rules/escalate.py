"""What is not to go on is stopped or given up: at a person's wish, for want of room, or because its ground is gone."""

from __future__ import annotations

from orchestrate.core import events as ev
from orchestrate.core.attempt import Stage
from orchestrate.core.policy import Policy
from orchestrate.core.state import RunState

from .made import NOTHING, Decided

EMPTIED = (Stage.PREPARING, Stage.INVOKING, Stage.CHECKING, Stage.PROVING)
"""Stages whose work a pause can end; the others take moments, and leave things in order."""


def escalate_loss(s: RunState, _p: Policy, now: float) -> Decided:
    if s.stop == "cancel":
        for stage, fids in s.stages.items():
            if made := _interrupt(s, fids, now, f"stopped while {stage.value}"):
                return made
    for held in s.holds.values():
        if held.now:
            for stage in EMPTIED:
                if made := _interrupt(s, s.stages[stage], now, held.why or f"paused by {held.by}"):
                    return made
    for fid, why in s.cancelled.items():
        if not s.features[fid].active:
            return Decided(ev.FeatureCancelled(now, fid, why))
        if made := _give_up(s, fid, now, "cancelled", why):
            return made
    for fid, why in s.blocked.items():
        if not s.features[fid].active:
            return Decided(ev.FeatureSkipped(now, fid, why))
        if made := _give_up(s, fid, now, "skipped", why):
            return made
    return NOTHING


def _interrupt(s: RunState, fids: dict[str, None], now: float, why: str) -> Decided | None:
    for fid in fids:
        a = s.attempt(fid)
        if a.stopping is None:
            return Decided(ev.AttemptStopping(now, fid, a.number, a.n + 1, "interrupted", why))
    return None


def _give_up(s: RunState, fid: str, now: float, outcome: ev.Outcome, why: str) -> Decided | None:
    """Stop its attempt for good; None when there is none, or it is being given up already."""
    if not s.features[fid].active:
        return None
    a = s.attempt(fid)
    if a.stopping is not None and a.stopping.outcome != "interrupted":
        return None
    return Decided(ev.AttemptStopping(now, fid, a.number, a.n + 1, outcome, why))
