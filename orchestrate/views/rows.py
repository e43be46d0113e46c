"""One feature as a row of a table: its sign, its word, its figures, and what it does, waits for or came to.

Invariant: every status of the run view has a look, and no look is told apart by colour or sign alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from orchestrate.views.attempts import AttemptView
from orchestrate.views.controls import hold_words
from orchestrate.views.figures import count_of, first_line, render_duration
from orchestrate.views.lines import failed_checks
from orchestrate.views.reasons import account_words, conflict_reason, parked_words, parse_setup_failure, service_words
from orchestrate.views.run import FeatureView, RunView, Status, waits_for

Tone = Literal["plain", "strong", "dim", "good", "bad", "busy", "caution"]
Group = Literal["done", "busy", "paused", "failed", "skipped", "waiting"]


@dataclass(frozen=True, slots=True)
class Look:
    """How a standing is shown."""

    word: str
    group: Group
    tone: Tone
    symbol: str


_BUSY, _VERIFIED, _DONE, _BAD, _OUT, _WAIT, _PAUSED = "◐●✓✗⊘○‖"

LOOKS: Mapping[Status, Look] = {
    "waiting": Look("waiting", "waiting", "dim", _WAIT),
    "ready": Look("ready", "waiting", "plain", _WAIT),
    "preparing": Look("preparing", "busy", "busy", _BUSY),
    "working": Look("working", "busy", "busy", _BUSY),
    "checking": Look("checking", "busy", "busy", _BUSY),
    "verified": Look("verified", "busy", "good", _VERIFIED),
    "merging": Look("merging", "busy", "good", _VERIFIED),
    "paused": Look("paused", "paused", "caution", _PAUSED),
    "integrated": Look("integrated", "done", "good", _DONE),
    "failed": Look("failed", "failed", "bad", _BAD),
    "conflicted": Look("conflicted", "failed", "bad", _BAD),
    "no_changes": Look("no changes", "failed", "bad", _BAD),
    "cancelled": Look("cancelled", "skipped", "caution", _OUT),
    "skipped": Look("skipped", "skipped", "caution", _OUT),
}

CUT_OFF = Look("cut off", "skipped", "caution", _OUT)
"""Of a feature that was at work when its engine died."""
PARKED = Look("parked", "waiting", "caution", _PAUSED)
"""Of a feature that has begun and waits for a later engine, with its work and its session."""
_AT_WORK: frozenset[Status] = frozenset({"preparing", "working", "checking", "merging"})

GROUPS: tuple[tuple[Group, str, str, Tone], ...] = (
    ("done", "done", _DONE, "good"),
    ("busy", "running", _BUSY, "busy"),
    ("paused", "paused", _PAUSED, "caution"),
    ("failed", "failed", _BAD, "bad"),
    ("skipped", "skipped", _OUT, "caution"),
    ("waiting", "waiting", _WAIT, "dim"),
)
"""In the order of the header's counters."""


@dataclass(frozen=True, slots=True)
class Row:
    """One feature as the table shows it. try_number: 0 before the first. elapsed_s: of the current or last attempt."""

    feature: str
    status: Status
    try_number: int = 0
    tries: int = 1
    elapsed_s: float | None = None
    tokens: int = 0
    cost_usd: float = 0.0
    estimated: bool = False
    last: str = ""
    is_cut_off: bool = False
    is_parked: bool = False

    @property
    def look(self) -> Look:
        if self.is_cut_off:
            return CUT_OFF
        return PARKED if self.is_parked else LOOKS[self.status]


def row_of(view: RunView, fid: str, now: float, *, is_driven: bool = True) -> Row:
    """One feature as it stands at `now`. is_driven: an engine is at the run."""
    feature = view.features[fid]
    attempt = feature.attempt
    elapsed_s = None
    if attempt is not None:
        elapsed_s = attempt.elapsed_s(view.seen_at(now, is_driven=is_driven))
    return Row(
        fid,
        feature.status,
        feature.tries,
        view.plan.features[fid].max_attempts,
        elapsed_s,
        feature.tokens.total + (attempt.live_tokens.total if attempt else 0),
        feature.cost_usd + (attempt.live_cost_usd if attempt else 0.0),
        feature.cost_estimated,
        last_words(view, feature, now, is_driven=is_driven),
        is_cut_off(view, feature, is_driven=is_driven),
        feature.status == "waiting" and attempt is not None and bool(attempt.parked),
    )


def _is_stopped(view: RunView, feature: FeatureView) -> bool:
    """Whether what holds the run keeps the feature from its next step: merges go on, unless there is no room for them."""
    return feature.status == "ready" or any(pause.cause == "disk" for pause in view.holds.open)


def is_cut_off(view: RunView, feature: FeatureView, *, is_driven: bool) -> bool:
    """Whether somebody was at work on it when the engine died."""
    return feature.status in _AT_WORK and view.status == "running" and not is_driven


def last_words(view: RunView, feature: FeatureView, now: float, *, is_driven: bool = True) -> str:
    """What it does, waits for, or came to, in a few words; may hold words of agents."""
    attempt = feature.attempt
    match feature.status:
        case "waiting" | "verified" if needs := waits_for(view, feature.id):
            return f"{'waits for' if feature.status == 'verified' else 'needs'} {', '.join(needs)}"
        case "waiting" if attempt is not None and attempt.parked:
            return parked_words(attempt)
        case "paused":
            return hold_words(view.holds)
        case "ready" | "verified" if view.holds and _is_stopped(view, feature):
            return hold_words(view.holds)
        case "ready" if is_driven and (away := account_words(view.account, now)):
            return away
        case "ready" if feature.retry_at > now and is_driven:
            return f"tries again in {render_duration(feature.retry_at - now)}: {reason_of(view, feature)}"
        case "ready" if feature.outcome is not None:
            return f"tries again: {reason_of(view, feature)}"
        case "working" | "preparing" | "checking" | "merging" | "verified" if attempt is not None:
            if is_cut_off(view, feature, is_driven=is_driven):
                doing = _work_words(attempt, view.last_at).removeprefix("goes on: ")
                return f"was: {doing}" if doing else "its engine died"
            return _work_words(attempt, now)
        case "integrated" if attempt is not None and attempt.sealed is not None:
            sealed = attempt.sealed
            return f"{count_of(sealed.changed, 'file')} +{sealed.insertions} -{sealed.deletions}"
        case "failed" | "conflicted" | "no_changes" | "cancelled" | "skipped":
            return reason_of(view, feature)
        case _:
            return ""


def reason_of(view: RunView, feature: FeatureView) -> str:
    """Why its last attempt ended, in one line: with the last thing that failed commands said, and what a conflict needs."""
    attempt = feature.attempt
    if feature.status == "conflicted" and (conflict := conflict_reason(view, feature)):
        return conflict
    if attempt is not None and attempt.problem is not None and attempt.problem.kind == "setup":
        return parse_setup_failure(attempt.problem.why).line
    if attempt is not None and attempt.rounds and feature.outcome == "failed":
        last = attempt.rounds[-1]
        if not last.ok and all(last.at >= invocation.started.at for invocation in attempt.invocations):
            return ("on the merged tree, " if last.on_merged else "") + failed_checks(last.checks, last.error)
    return first_line(feature.why)


def _work_words(attempt: AttemptView, now: float) -> str:
    if attempt.stopping:
        return f"is being ended: {first_line(attempt.stopping)}"
    match attempt.stage:
        case "setup":
            return "makes its worktree"
        case "agent":
            phase = attempt.invocations[-1].started.phase if attempt.invocations else "edit"
            told = {"edit": "", "rework": "rework: ", "proceed": "goes on: "}[phase]
            is_new = not (attempt.live_turns or attempt.live_tokens.total)
            return told + ("agent starts" if is_new else first_line(attempt.action) or "at work")
        case "sealing":
            return "commits its work"
        case "checks":
            return "checks its work"
        case "queued":
            return "waits for its turn to be merged"
        case "merging":
            return "is merged"
        case "merge_checks":
            return "checks the merged tree"
        case _:
            return service_words(attempt, now)
