"""The rules: one decision each. Their order is precedence."""

from __future__ import annotations

from collections.abc import Callable

from orchestrate.core.policy import Policy
from orchestrate.core.state import RunState

from .advance import advance_attempts
from .conclude import conclude_run
from .escalate import escalate_loss
from .finish import finish_attempts
from .integrate import integrate_next
from .made import Decided
from .reopen import reopen_features
from .start import start_attempts

Rule = Callable[[RunState, Policy, float], Decided]

RULES: tuple[Rule, ...] = (
    reopen_features,  # before anything is concluded from how they ended
    finish_attempts,  # what is over frees its slot before anything else is weighed
    escalate_loss,  # nothing is paid for work whose ground is gone
    integrate_next,  # verified work lands before new work starts: dependents may wait for it
    advance_attempts,  # what is under way goes on before something new begins
    start_attempts,
    conclude_run,  # last: only when no other rule has anything to say
)

__all__ = ["RULES", "Decided", "Rule"]
