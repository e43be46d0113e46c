"""Features that a person wants to be tried again are opened again, dependencies first."""

from __future__ import annotations

from orchestrate.core import events as ev
from orchestrate.core.policy import Policy
from orchestrate.core.state import RunState

from .made import NOTHING, Decided


def reopen_features(s: RunState, _p: Policy, now: float) -> Decided:
    for fid in s.reopening:
        return Decided(ev.FeatureReopened(now, fid))
    return NOTHING
