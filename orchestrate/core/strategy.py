"""How an attempt spends its invocations: a pure function of what has happened in it so far.

Success is judged from git and checks, never from the agent's word; every way on is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from . import events as ev
from . import feedback, retry
from .attempt import Attempt, Invoked
from .plan import Feature


@dataclass(frozen=True, slots=True)
class Invoke:
    """Start the agent. fresh: in a new session. not_before: Unix seconds."""

    phase: ev.Phase
    feedback: str = ""
    fresh: bool = False
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class Seal:
    """See what the work amounts to."""


@dataclass(frozen=True, slots=True)
class Check:
    head: str


@dataclass(frozen=True, slots=True)
class Verified:
    head: str
    tree: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """final: another attempt would meet the same end."""

    outcome: ev.Outcome
    why: str
    final: bool = False


Step = Invoke | Seal | Check | Verified | GiveUp

FIRST_WAIT_S = 2.0
"""Wait after the first transient failure."""


def single(f: Feature, a: Attempt) -> Step:
    """One session: work, then rework with feedback until every check passes or the reworks are used up."""
    if not a.past:
        return Invoke("edit", fresh=True)
    if a.checks is not None:
        return _after_checks(f, a, a.checks)
    if a.sealed is not None:
        return _after_seal(f, a, a.sealed)
    return _after_invocation(f, a, a.past[-1])


_TROUBLE: frozenset[ev.InvocationEnd] = frozenset({"transient", "incomplete", "killed", "crashed", "stalled"})


def _after_invocation(f: Feature, a: Attempt, last: Invoked) -> Step:
    if last.end in _TROUBLE and sum(i.end in _TROUBLE and not i.unreached for i in a.past) >= retry.TROUBLE_LIMIT:
        return GiveUp("failed", f"the agent kept going wrong: {last.why or last.end}")
    if last.session_lost:
        # A session that we cut off before it had begun says nothing against the agent.
        if sum(i.session_lost and i.end != "interrupted" for i in a.past) > retry.BREAKDOWN_LIMIT:
            return GiveUp("failed", last.why or "the agent keeps losing its session")
        return Invoke("edit", fresh=True)
    match last.end:
        case "done" | "denied":
            return Seal()
        case "incomplete":
            if sum(i.end == "incomplete" for i in a.past) <= f.max_reworks:
                return Invoke("proceed")
            return GiveUp("failed", last.why or "the agent did not finish within its limits")
        case "transient":
            failures = _in_a_row(a, {"transient"})
            if last.unreached:  # when to go on is then a matter of the run, not of this attempt
                return Invoke("proceed", not_before=last.at + FIRST_WAIT_S)
            if failures > retry.TRANSIENT_LIMIT:
                return GiveUp("failed", f"the agent's service kept failing: {last.why}")
            return Invoke("proceed", not_before=last.at + retry.backoff_s(FIRST_WAIT_S, failures))
        case "limit" | "auth" | "interrupted":
            return Invoke("proceed")  # admission says when, and whether at all
        case "config":
            return GiveUp("failed", last.why or "the agent refused its configuration", final=True)
        case "killed" | "crashed" | "stalled":
            if _in_a_row(a, {"killed", "crashed", "stalled"}) < retry.BREAKDOWN_LIMIT:
                return Invoke("proceed")
            return GiveUp("failed", last.why or f"the agent {last.end}")
        case "timed_out":
            return GiveUp("failed", f"timed out after {f.timeout_s:g} s of work")
        case _:
            assert_never(last.end)


def _in_a_row(a: Attempt, ends: set[ev.InvocationEnd]) -> int:
    count = 0
    for i in reversed(a.past):
        if i.end not in ends:
            break
        count += not i.unreached
    return count


def _after_seal(f: Feature, a: Attempt, sealed: ev.WorkSealed) -> Step:
    if sealed.error:
        return GiveUp("failed", sealed.error)
    if f.expects_changes and sealed.changed == 0:
        denials = a.past[-1].denials
        if denials:
            return GiveUp("failed", f"permission denied: {', '.join(denials[:5])}", final=True)
        return _rework(
            f, a, feedback.after_no_change(denials), GiveUp("no_changes", "the agent changed nothing", final=True)
        )
    if sealed.out_of_scope:
        breach = f"changed files outside of `touches`: {', '.join(sealed.out_of_scope[:5])}"
        return _rework(f, a, feedback.after_breach(sealed.out_of_scope, f.touches), GiveUp("failed", breach))
    if any(c.when != "integration" for c in f.verify):
        return Check(sealed.head)
    return Verified(sealed.head, sealed.tree)


def _after_checks(f: Feature, a: Attempt, checks: ev.ChecksFinished) -> Step:
    if checks.ok and a.sealed is not None:
        return Verified(a.sealed.head, a.sealed.tree)
    if checks.error:
        return GiveUp("failed", f"the checks could not be run: {checks.error}")
    why = f"checks failed: {feedback.failed_names(checks.checks)}"
    return _rework(f, a, feedback.after_checks(checks.checks), GiveUp("failed", why))


def _rework(f: Feature, a: Attempt, text: str, otherwise: GiveUp) -> Step:
    return Invoke("rework", feedback=text) if a.reworks < f.max_reworks else otherwise
