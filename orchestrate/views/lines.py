"""One line of text per noteworthy event: what happened, to which feature, and what comes next.

Invariant: every kind of event is known here (a new one fails the test that walks the vocabulary), every line stands for
itself, and an agent at work adds at most one line per feature in QUIET_S seconds. The text holds agents' words: whoever
prints it sanitises it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from orchestrate.core import events as ev
from orchestrate.core.plan import Plan
from orchestrate.views.controls import Request, request_words
from orchestrate.views.figures import (
    count_of,
    first_line,
    last_line,
    render_duration,
    render_money,
    render_rough_duration,
    render_tokens,
    shorten,
)
from orchestrate.views.presence import Gap, Presence
from orchestrate.views.reasons import again_words, conflict_words, failing_words, parse_setup_failure

QUIET_S = 30.0
"""Seconds between two lines of one feature's progress."""
SETUP_WIDTH = 240
WHY_WIDTH = 160
"""Characters of a reason in one line; the report has it whole."""
WARNING_WIDTH = 600
"""Of a warning: it names files and commands, and half of one is of no use."""

NAME_WIDTH = 40
"""Characters of a check's name: a check without a name is called by its whole command."""

ENGINE_GONE = "the engine was stopped"
"""Why of an agent that nobody ended: its engine had died (agents.salvage)."""

Tone = Literal["plain", "good", "bad", "caution", "dim"]

UNCOUNTED: frozenset[ev.Outcome] = frozenset({"interrupted", "postponed"})
"""Outcomes that do not use up one of the feature's tries."""

SILENT: frozenset[type[ev.Event]] = frozenset(
    {
        ev.WorktreePrepared, ev.WorkSaved, ev.SealStarted, ev.ChecksStarted, ev.MergeStarted, ev.MergeChecksStarted,
        ev.PublishStarted,
    }
)  # fmt: skip
"""Kinds that never make a line: what they lead to is told when it is there."""

_ENDS: dict[ev.InvocationEnd, str] = {
    "done": "agent says it is done",
    "incomplete": "agent stopped at its own limit of turns or money",
    "denied": "agent was not allowed something it needed",
    "transient": "service failing",
    "limit": "the account's usage limit is reached",
    "auth": "the agent is not signed in, or not paid for",
    "config": "the agent refused to start",
    "interrupted": "agent ended by us",
    "killed": "agent was killed from outside",
    "crashed": "agent ended without an answer",
    "stalled": "agent was silent for too long and was ended",
    "timed_out": "agent ran out of time and was ended",
}

_RUN_ENDS: dict[ev.RunEnd, tuple[Tone, str]] = {
    "done": ("good", "run done: everything is integrated"),
    "incomplete": ("bad", "run ended without everything integrated"),
    "limit": ("caution", "run stopped by a limit"),
    "interrupted": ("caution", "run interrupted"),
    "halted": ("bad", "run halted: the account needs a person"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """at: Unix seconds. feature: empty for the run itself. next: what to do or what follows; may be empty."""

    at: float
    feature: str
    text: str
    next: str = ""
    tone: Tone = "plain"


@dataclass(slots=True)
class Narrator:
    """Tells a run line by line. Feed it every event in order, also those from before it was asked to speak."""

    plan: Plan
    _pid: int = 0
    """Of the newest engine."""
    _uncounted: dict[str, int] = field(default_factory=dict)
    """Attempts of each feature that are none of its tries."""
    _made: dict[str, int] = field(default_factory=dict)
    _spoken_at: dict[str, float] = field(default_factory=dict)
    _started_at: dict[str, float] = field(default_factory=dict)
    _cost_usd: dict[str, float] = field(default_factory=dict)
    _estimated: set[str] = field(default_factory=set)
    _sealed: dict[str, ev.WorkSealed] = field(default_factory=dict)
    _reasons: dict[str, str] = field(default_factory=dict)
    """What is better said of an attempt's end than its `why`."""
    _failures: dict[str, int] = field(default_factory=dict)
    """How often in a row the service failed the feature's agent."""
    _at_work: set[str] = field(default_factory=set)
    _down_s: float = 0.0
    _presence: Presence = field(default_factory=Presence)

    def tell(self, event: ev.Event) -> Line | None:
        """The line of this event; None when it is nothing a person waits for."""
        gap = self._presence.see(event)
        if gap is not None:
            self._down_s += gap.seconds
        if isinstance(event, ev.EngineStarted):
            return self._engine_started(event, gap)
        return self._tell(event)

    def _engine_started(self, event: ev.EngineStarted, gap: Gap | None) -> Line | None:
        """Only a later one is news; and what became of the one before, if it left without a word."""
        pid, self._pid = self._pid, event.pid
        if gap is None:
            return None
        for feature in self._at_work:
            self._failures.pop(feature, None)
        self._at_work.clear()
        text = f"engine started again (pid {event.pid})"
        if gap.is_death:
            text += f"; the one before (pid {pid}) had died, and for {render_duration(gap.seconds)} there was none"
        return Line(event.at, "", text, "goes on with what is unfinished", "caution" if gap.is_death else "plain")

    def _tell(self, event: ev.Event) -> Line | None:
        match event:
            case ev.AttemptEvent():
                return self._tell_attempt(event)
            case ev.RunStarted():
                total = count_of(len(self.plan.features), "feature")
                return Line(
                    event.at,
                    "",
                    f"run {event.run}: {total} in {count_of(len(self.plan.waves), 'wave')}"
                    f" from {event.base_branch} {event.base[:10]}",
                    f"integrates into {event.integration_branch}",
                )
            case ev.Control() | ev.StopRequested():
                return _requested(event)
            case ev.RunEnded():
                tone, text = _RUN_ENDS[event.status]
                return Line(event.at, "", _because(text, event.why), "", tone)
            case ev.Warned():
                return Line(event.at, event.feature, shorten(first_line(event.message), WARNING_WIDTH), "", "caution")
            case ev.FeatureSkipped():
                return Line(event.at, event.feature, _because("skipped", event.why), "", "caution")
            case ev.FeatureReopened():
                self._uncounted[event.feature] = self._made.get(event.feature, 0)
                return Line(event.at, event.feature, "is to be tried again")
            case ev.FeatureCancelled():
                return Line(event.at, event.feature, first_line(event.why) or "cancelled", "", "caution")
            case _:
                return None

    def _tell_attempt(self, event: ev.AttemptEvent) -> Line | None:
        at, feature = event.at, event.feature
        match event:
            case ev.AttemptStarted():
                self._made[feature] = event.attempt
                self._started_at[feature] = at - self._down_s
                self._cost_usd[feature] = 0.0
                self._estimated.discard(feature)
                for told in (self._sealed, self._reasons, self._failures):
                    told.pop(feature, None)
                return Line(at, feature, f"starts, try {self._try_number(event)}/{self._tries(feature)}")
            case ev.InvocationStarted():
                self._spoken_at[feature] = at
                self._at_work.add(feature)
                return self._invocation_started(event)
            case ev.InvocationProgressed():
                return self._progress(event)
            case ev.InvocationFinished():
                self._spoken_at.pop(feature, None)
                self._cost_usd[feature] = self._cost_usd.get(feature, 0.0) + event.cost_usd
                if event.cost_estimated:
                    self._estimated.add(feature)
                self._at_work.discard(feature)
                self._failures[feature] = self._failures.get(feature, 0) + 1 if event.end == "transient" else 0
                return _invocation_finished(event, self._failures[feature])
            case ev.WorktreeFailed(kind="setup"):
                self._reasons[feature] = parse_setup_failure(event.why).line
                return Line(at, feature, shorten(self._reasons[feature], SETUP_WIDTH), "", "bad")
            case ev.MergeFinished(kind="conflict"):
                self._reasons[feature] = conflict_words(event.paths, (), event.why)
                remedy = "merge it by hand, or let it depend on the other (depends_on)"
                return Line(at, feature, _because("cannot be merged", self._reasons[feature]), remedy, "caution")
            case ev.EffectLost():
                if feature in self._at_work:
                    self._at_work.discard(feature)
                    self._failures.pop(feature, None)
                return _tell_step(event)
            case ev.WorkSealed():
                self._sealed[feature] = event
                return _sealed(event)
            case ev.AttemptEnded():
                return self._attempt_ended(event)
            case _:
                return _tell_step(event)

    def _try_number(self, event: ev.AttemptEvent) -> int:
        return event.attempt - self._uncounted.get(event.feature, 0)

    def _tries(self, feature: str) -> int:
        known = self.plan.features.get(feature)
        return known.max_attempts if known else 1

    def _invocation_started(self, event: ev.InvocationStarted) -> Line | None:
        if event.phase == "rework":
            told = last_line(event.feedback, WHY_WIDTH)
            return Line(event.at, event.feature, _because("back to the agent", told), "same session", "caution")
        if event.phase == "proceed":
            return Line(event.at, event.feature, "agent goes on where it was cut off")
        known = self.plan.features.get(event.feature)
        who = " ".join(word for word in (known.agent, known.model) if word) if known else "agent"
        return Line(event.at, event.feature, f"{who} at work", f"at most {render_duration(event.timeout_s)}")

    def _progress(self, event: ev.InvocationProgressed) -> Line | None:
        if not event.action or event.at - self._spoken_at.get(event.feature, -QUIET_S) < QUIET_S:
            return None
        self._spoken_at[event.feature] = event.at
        figures = f"{count_of(event.turns, 'turn')}, {render_tokens(event.tokens.total)} tokens"
        return Line(event.at, event.feature, f"… {shorten(first_line(event.action), 80)} ({figures})", "", "dim")

    def _attempt_ended(self, event: ev.AttemptEnded) -> Line:
        feature, outcome = event.feature, event.outcome
        spent = ""
        if feature in self._started_at:
            money = render_money(self._cost_usd.get(feature, 0.0), estimated=feature in self._estimated)
            took = render_duration(event.at - self._down_s - self._started_at[feature])
            spent = f"{took}, {money}"
        if outcome == "integrated":
            sealed = self._sealed.get(feature)
            change = f", {count_of(sealed.changed, 'file')} +{sealed.insertions} -{sealed.deletions}" if sealed else ""
            return Line(event.at, feature, f"integrated ({spent}{change})" if spent else "integrated", "", "good")
        why = self._reasons.get(feature, event.why)
        text = _because(f"{outcome.replace('_', ' ')} ({spent})" if spent else outcome.replace("_", " "), why)
        if outcome in UNCOUNTED:
            self._uncounted[feature] = self._uncounted.get(feature, 0) + 1
            kept = "begins again" if event.retry else "its work is kept"
            follows = "starts again when its dependencies are integrated" if outcome == "postponed" else kept
            return Line(event.at, feature, text, follows, "caution")
        if not event.retry:
            return Line(event.at, feature, text, f"orchestrate logs {feature}", "bad")
        wait = event.retry_at - event.at
        return Line(
            event.at,
            feature,
            text,
            f"tries again in {render_rough_duration(wait)}" if wait > 1 else "tries again",
            "bad",
        )


def tell_all(plan: Plan, events: Iterable[ev.Event]) -> list[Line]:
    """The lines of a whole log."""
    narrator = Narrator(plan)
    return [line for event in events if (line := narrator.tell(event)) is not None]


def _requested(event: Request) -> Line:
    said = request_words(event)
    about = event.feature if isinstance(event, ev.AnswerGiven) else ""
    return Line(event.at, about, said.text, said.next, "plain" if said.is_good else "caution")


def _tell_step(event: ev.AttemptEvent) -> Line | None:
    """Steps between agent and end: silent while they go well, except where a person would wonder why it takes time."""
    at, feature = event.at, event.feature
    match event:
        case ev.WorktreeFailed(kind="conflict"):
            return Line(
                at, feature, _because("its dependencies do not merge with one another", event.why), "", "caution"
            )
        case ev.WorktreeFailed():
            return Line(at, feature, _because("no worktree could be made", event.why), "", "bad")
        case ev.ChecksFinished(ok=True) if event.checks:
            passed = f"{count_of(len(event.checks), 'check')} passed ({render_duration(event.duration_s)})"
            return Line(at, feature, passed)
        case ev.ChecksFinished(ok=False):
            log = f"orchestrate logs {feature} --checks"
            return Line(at, feature, failed_checks(event.checks, event.error), log, "caution")
        case ev.MergeFinished(kind="error"):
            return Line(at, feature, _because("could not be merged", event.why), "", "bad")
        case ev.MergeChecksFinished(ok=False):
            text = f"on the merged tree, {failed_checks(event.checks, event.error)}"
            return Line(event.at, feature, text, f"orchestrate logs {feature} --checks", "caution")
        case ev.Published(ok=False):
            return Line(at, feature, _because("the integration branch has moved", event.why), "merges again", "caution")
        case ev.AttemptVerified():
            return Line(at, feature, f"verified at {event.head[:10]}", "waits to be integrated")
        case ev.AttemptStopping():
            return Line(at, feature, _because("is being ended", event.why), "its work is kept", "caution")
        case ev.AttemptParked():
            said = first_line(event.why)
            text = said if said.startswith(("stopped ", "paused ")) else _because("stands still", said)
            return Line(at, feature, text, "orchestrate resume goes on with it", "caution")
        case ev.EffectLost(blameless=True):
            return Line(at, feature, _because("no room for its next step", event.why), "begins again then", "caution")
        case ev.EffectLost():
            return Line(
                at, feature, _because("a step was lost", event.why), "is begun again, a few times at most", "bad"
            )
        case _:
            return None


def _invocation_finished(event: ev.InvocationFinished, failures: int) -> Line:
    """failures: of the service, in a row."""
    text = failing_words(event.why) if event.end == "transient" else _ENDS[event.end]
    if event.oom:
        text = "the system ran out of memory and ended the agent"
    elif event.end == "interrupted" and event.why == ENGINE_GONE:
        text = "agent ended as its engine was gone"
    elif event.end == "denied" and event.denials:
        text = f"agent was not allowed: {listed(event.denials)}"
    figures = [render_duration(event.duration_s)] if event.duration_s else []
    if event.tokens.total:
        figures.append(f"{render_tokens(event.tokens.total)} tokens")
    if event.cost_usd:
        figures.append(render_money(event.cost_usd, estimated=event.cost_estimated))
    if figures:
        text += f" ({', '.join(figures)})"
    if event.end == "done":
        return Line(event.at, event.feature, text)
    follows = ""
    if event.end == "limit" and event.resets_at:
        follows = f"resets in {render_rough_duration(event.resets_at - event.at)}"
    elif event.end == "transient":
        follows = again_words(failures)
    elif event.oom:
        follows = "from now on one agent fewer at once"
    elif event.end == "auth":
        follows = "orchestrate doctor"
    why = "" if event.end == "interrupted" else event.why  # what ended it was said before
    return Line(event.at, event.feature, _because(text, why), follows, "caution")


def _sealed(event: ev.WorkSealed) -> Line | None:
    if event.error:
        return Line(event.at, event.feature, _because("its work could not be committed", event.error), "", "bad")
    if event.out_of_scope:
        text = f"changed files outside its scope: {listed(event.out_of_scope)}"
        return Line(event.at, event.feature, text, "", "caution")
    return None


def failed_checks(checks: tuple[ev.CheckResult, ...], error: str) -> str:
    """`check tests failed (exit 1): 2 failed, 10 passed`, or why the checks could not be run."""
    failed = [check for check in checks if not check.ok]
    if not failed:
        return _because("checks could not be run", error)
    check = failed[0]
    how = (
        "timed out" if check.timed_out else f"exit {check.exit_code}" if check.exit_code is not None else "no exit code"
    )
    others = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
    return _because(
        f"check {shorten(first_line(check.name), NAME_WIDTH)} failed ({how}){others}", last_line(check.tail)
    )


def listed(names: tuple[str, ...], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _because(text: str, why: str) -> str:
    return f"{text}: {shorten(first_line(why), WHY_WIDTH)}" if why.strip() else text
