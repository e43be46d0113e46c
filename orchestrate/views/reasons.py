"""Why a feature stands where it stands, in words with a remedy: failing services, failed setups, conflicts. Pure.

Invariant: nothing is guessed: a feature is named as the other side of a conflict only if the log leaves it possible.
The text holds words of agents and commands: whoever prints it sanitises it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrate.core import retry
from orchestrate.core.limits import Account
from orchestrate.core.scope import out_of_scope
from orchestrate.core.strategy import FIRST_WAIT_S
from orchestrate.views.attempts import AttemptView, InvocationView
from orchestrate.views.figures import first_line, last_line, render_duration, render_rough_duration, shorten
from orchestrate.views.run import FeatureView, RunView

COMMAND_WIDTH = 80
"""Characters of a command in a reason."""
OUTPUT_WIDTH = 120

_SETUP = re.compile(r"(?P<command>.*?) \((?P<how>exit code \S+|ran out of time)\)(?:\n(?P<output>.*))?", re.DOTALL)
_STATUS = re.compile(r"\b(?:408|409|429|5\d\d)\b")


# ── the agent's service ──────────────────────────────────────────────────────────────────────────────────────────


def failures_in_a_row(invocations: Sequence[InvocationView]) -> int:
    """How many of an attempt's invocations the service failed, up to and with the last one."""
    count = 0
    for invocation in reversed(invocations):
        if invocation.finished is None or invocation.finished.end != "transient":
            break
        count += 1
    return count


def failing_words(why: str) -> str:
    """`service failing (529)`; the number is the service's HTTP status, if it said one."""
    status = _STATUS.search(why)
    return f"service failing ({status[0]})" if status else "service failing"


def again_words(failures: int, waited_s: float = 0.0) -> str:
    """`again in 32 s`, or nothing when it is given up. failures: in a row (1, 2, …)."""
    if failures > retry.TRANSIENT_LIMIT:
        return ""
    left_s = retry.backoff_s(FIRST_WAIT_S, failures) - waited_s
    return f"again in {round(left_s)} s" if left_s < 100 else f"again in {render_duration(left_s)}"


def service_words(attempt: AttemptView, now: float) -> str:
    """What a feature at work waits for when the last invocation was failed by the service; empty otherwise."""
    failures = failures_in_a_row(attempt.invocations)
    last = attempt.invocations[-1].finished if attempt.invocations else None
    if not failures or last is None:
        return ""
    again = again_words(failures, min(now - last.at, retry.backoff_s(FIRST_WAIT_S, failures)))
    return ", ".join(part for part in (failing_words(last.why), again) if part)


def account_words(account: Account, now: float) -> str:
    """Why no agent starts just now, whatever the feature; empty when agents may."""
    if account.closed_until <= now:
        return ""
    wait = render_rough_duration(account.closed_until - now)
    if account.paused_until <= now:
        return f"the agent's service cannot be reached: one agent tries again in {wait}"
    return f"the account's usage limit is reached: goes on by itself in {wait}"


# ── setup ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class SetupFailure:
    """command: with its name, if it has one. how: `exit code 3`; empty when no command is at fault. output: its last lines."""

    command: str
    how: str
    output: str

    @property
    def title(self) -> str:
        """`setup failed: npm ci (exit code 1)`."""
        how = f" ({self.how})" if self.how else ""
        return f"setup failed: {shorten(' '.join(self.command.split()), COMMAND_WIDTH)}{how}"

    @property
    def line(self) -> str:
        """The same with the last line of the output that says something."""
        said = last_line(self.output, OUTPUT_WIDTH)
        return f"{self.title}: {said}" if said else self.title


def parse_setup_failure(why: str) -> SetupFailure:
    """The reason of a WorktreeFailed of kind `setup`: `<command> (<how>)`, then lines of output."""
    found = _SETUP.fullmatch(why)
    if found is None:
        return SetupFailure(why, "", "")
    return SetupFailure(found["command"], found["how"], found["output"] or "")


# ── conflicts ────────────────────────────────────────────────────────────────────────────────────────────────────


def conflicting_features(view: RunView, feature: FeatureView) -> tuple[str, ...]:
    """Integrated features that may be the other side of the feature's conflict, in plan order.

    Those that its base did not hold already, and whose `touches`, where they say any, cover one of the paths.
    """
    attempt = feature.attempt
    if attempt is None or attempt.merge is None or attempt.merge.kind != "conflict":
        return ()
    paths = attempt.merge.paths
    known = _needs_of(view, feature.id)
    from_tip = view.plan.start_on == "integrated" or feature.base_conflict
    return tuple(
        other.id
        for other in view.features.values()
        if other.status == "integrated"
        and other.id not in known
        and not (from_tip and (other.ended_at or 0.0) <= attempt.started_at)
        and len(out_of_scope(paths, view.plan.features[other.id].touches)) < len(paths)
    )


def _needs_of(view: RunView, fid: str) -> frozenset[str]:
    """What a feature builds on, directly or not."""
    found: set[str] = set()
    left = list(view.plan.features[fid].depends_on)
    while left:
        need = left.pop()
        if need not in found:
            found.add(need)
            left += view.plan.features[need].depends_on
    return frozenset(found)


def conflict_words(paths: tuple[str, ...], others: tuple[str, ...], why: str = "") -> str:
    """`conflicts in app.py with api`; why: git's own words, where it named no path."""
    if not paths:
        return first_line(why) or "conflicts"
    return f"conflicts in {_listed(paths, 'and')}" + (f" with {_listed(others, 'or')}" if others else "")


def conflict_reason(view: RunView, feature: FeatureView) -> str:
    """What conflicts, and what to do about it, in one line; empty when the feature's last attempt had no conflict."""
    attempt = feature.attempt
    if attempt is None or attempt.merge is None or attempt.merge.kind != "conflict":
        return ""
    others = conflicting_features(view, feature)
    return f"{conflict_words(attempt.merge.paths, others, attempt.merge.why)}; {remedy_words(others)}"


def remedy_words(others: tuple[str, ...]) -> str:
    """What keeps a conflict from coming again, and what ends this one."""
    need = f" on {others[0]}" if len(others) == 1 else ""
    return f"merge it by hand, or let it depend{need} (depends_on)"


def _listed(names: tuple[str, ...], last: str, most: int = 3) -> str:
    """`a, b and c`; of many the first ones and how many more."""
    if len(names) > most:
        return f"{', '.join(names[:most])} {last} {len(names) - most} more"
    return f" {last} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


# ── standing still ───────────────────────────────────────────────────────────────────────────────────────────────


def parked_words(attempt: AttemptView) -> str:
    """Why it waits for a later engine. A person who stopped it is told what that did, not that it stands still."""
    why = first_line(attempt.parked)
    return f"{why}; its work is kept" if why.startswith(("stopped ", "paused ")) else f"stands still: {why}"
