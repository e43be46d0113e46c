"""Given what is known and the time: what is decided next? Level-triggered: called again until it has nothing to say."""

from __future__ import annotations

from .policy import Policy
from .rules import RULES, Decided
from .state import RunState


def decide(state: RunState, policy: Policy, now: float) -> Decided:
    """The first rule with something to say decides; else, when time alone may change the answer (`wake_at`)."""
    wake_at = float("inf")
    if state.ended is None:
        for rule in RULES:
            made = rule(state, policy, now)
            if made.event is not None:
                return made
            wake_at = min(wake_at, made.wake_at)
    return Decided(None, wake_at)
