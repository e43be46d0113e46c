"""One attempt as readers see it: where its time went, what its agents did, what was checked. Pure fold, in place.

Invariant: `spans` follow one another without overlap, and only the last of an attempt that has not ended may be open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from orchestrate.core import events as ev

Stage = Literal["setup", "agent", "sealing", "checks", "queued", "merging", "merge_checks", "paused"]
"""What an attempt spends time on. queued: verified, waits for its turn to be merged. paused: between two steps, because
of a limit, a retry that is not due, or a stop."""

STAGES: tuple[Stage, ...] = get_args(Stage)
IDLE: frozenset[Stage] = frozenset({"queued", "paused"})
"""Stages in which nobody works on the attempt."""
NO_TOKENS = ev.Tokens()
_INTEGRATING: frozenset[Stage] = frozenset({"queued", "merging", "merge_checks"})


@dataclass(slots=True)
class Span:
    """A piece of time in one stage. start, end: Unix seconds; end is None while it lasts."""

    stage: Stage
    start: float
    end: float | None = None

    def seconds(self, now: float) -> float:
        return max(0.0, (now if self.end is None else self.end) - self.start)


@dataclass(slots=True)
class InvocationView:
    """One agent process. finished: None while it runs, or when it was lost (then `lost` says why)."""

    started: ev.InvocationStarted
    finished: ev.InvocationFinished | None = None
    lost: str = ""


@dataclass(frozen=True, slots=True)
class CheckRound:
    """All checks, run once. on_merged: on the merged tree; else in the feature's own worktree. duration_s: wall clock."""

    at: float
    on_merged: bool
    ok: bool
    checks: tuple[ev.CheckResult, ...]
    error: str
    duration_s: float


@dataclass(slots=True)
class AttemptView:
    """One try at one feature.

    head: last commit made of its work. merged: commit in the integration branch. Money in US dollars, sums over its
    invocations; live_*: what the running invocation has used so far, for display only. down_s: seconds since it began in
    which no engine was there; stood_s: others in which it was parked or paused, up to stands_since (Unix seconds), since when
    it is so again. saved: commit of the newest state that was saved while the agent worked.
    """

    feature: str
    number: int
    started_at: float
    parents: tuple[str, ...] = ()
    base: str = ""
    branch: str = ""
    path: str = ""
    port: int = 0
    head: str = ""
    tree: str = ""
    merged: str = ""
    verified_at: float | None = None
    sealed: ev.WorkSealed | None = None
    problem: ev.WorktreeFailed | None = None
    merge: ev.MergeFinished | None = None
    invocations: list[InvocationView] = field(default_factory=list)
    rounds: list[CheckRound] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    reworks: int = 0
    cost_usd: float = 0.0
    cost_estimated: bool = False
    tokens: ev.Tokens = NO_TOKENS
    turns: int = 0
    denials: tuple[str, ...] = ()
    action: str = ""
    live_cost_usd: float = 0.0
    live_tokens: ev.Tokens = NO_TOKENS
    live_turns: int = 0
    down_s: float = 0.0
    stood_s: float = 0.0
    stands_since: float | None = None
    saves: int = 0
    saved: str = ""
    saved_at: float = 0.0
    stopping: str = ""
    parked: str = ""
    ended: ev.AttemptEnded | None = None

    @property
    def stage(self) -> Stage | None:
        """None once it has ended."""
        return self.spans[-1].stage if self.ended is None and self.spans else None

    @property
    def checks(self) -> tuple[ev.CheckResult, ...]:
        """Those of the last round."""
        return self.rounds[-1].checks if self.rounds else ()

    def durations(self, now: float) -> dict[Stage, float]:
        """Seconds by stage; every stage is named."""
        sums: dict[Stage, float] = dict.fromkeys(STAGES, 0.0)
        for span in self.spans:
            sums[span.stage] += span.seconds(now)
        return sums

    def elapsed_s(self, now: float) -> float:
        """Seconds since it began, without those in which it stood still or no engine was there."""
        end = now if self.ended is None else self.ended.at
        end = end if self.stands_since is None else min(end, self.stands_since)
        return max(0.0, end - self.started_at - self.down_s - self.stood_s)

    def stand(self, at: float) -> None:
        """From now on it is parked or paused."""
        self.stands_since = at if self.stands_since is None else self.stands_since

    def stand_no_more(self, at: float) -> None:
        if self.stands_since is not None:
            self.stood_s += max(0.0, at - self.stands_since)
            self.stands_since = None

    def miss(self, since: float, seconds: float) -> None:
        """From `since` (Unix seconds) on no engine was there, for so long."""
        if self.stands_since is not None:
            self.stood_s += max(0.0, since - self.stands_since)
            self.stands_since = since + seconds
        self.down_s += seconds

    def busy_s(self, now: float) -> float:
        """Seconds in which somebody worked on it."""
        return sum(span.seconds(now) for span in self.spans if span.stage not in IDLE)

    @property
    def has_work(self) -> bool:
        """Whether something is kept of it: commits of its own, a state that was saved, or what an agent left that nobody has
        looked at yet."""
        return bool(self.saved) or self.head != self.base or (bool(self.invocations) and self.sealed is None)

    @property
    def newest(self) -> str:
        """Commit of the newest state that the log knows of; empty when there is none but the base."""
        if self.saved and (self.sealed is None or self.saved_at >= self.sealed.at):
            return self.saved
        return self.head if self.head != self.base else ""

    def unpark(self, at: float) -> None:
        """It goes on; one that was being merged takes its turn again."""
        if self.parked:
            self.parked = self.stopping = ""
            if self.stage in _INTEGRATING:
                enter(self, "queued", at)


def enter(attempt: AttemptView, stage: Stage, at: float) -> None:
    """Close the open span and begin another. A stage that lasted no time leaves no span."""
    if attempt.spans and attempt.spans[-1].end is None:
        if attempt.spans[-1].stage == stage:
            return
        close(attempt, at)
    before = attempt.spans[-1].end if attempt.spans else None
    attempt.spans.append(Span(stage, at if before is None else max(at, before)))  # a later engine's clock may be behind


def close(attempt: AttemptView, at: float) -> None:
    if attempt.spans and attempt.spans[-1].end is None:
        last = attempt.spans[-1]
        last.end = max(at, last.start)
        if last.end == last.start:
            attempt.spans.pop()


def cut_back(attempt: AttemptView, last_seen: float) -> None:
    """Time since last_seen (Unix seconds) was nobody's: an end that was found out only later closed the spans too late."""
    while len(attempt.spans) > 1 and attempt.spans[-1].start >= last_seen:
        attempt.spans.pop()
    if attempt.spans:
        last = attempt.spans[-1]
        last.end = last_seen if last.end is None else min(last.end, last_seen)


def lose(attempt: AttemptView, last_seen: float, at: float, why: str) -> None:
    """What was in flight is gone since last_seen (Unix seconds); from `at` on somebody is there again to go on with it."""
    stage = attempt.stage
    if stage is None:
        return
    for invocation in attempt.invocations[-1:]:
        if invocation.finished is None:
            invocation.lost = invocation.lost or why
    _forget_live(attempt)
    close(attempt, min(last_seen, at))  # the new engine's clock may be behind the old one's
    enter(attempt, "queued" if stage in _INTEGRATING else "paused", at)


def fold_attempt(attempt: AttemptView, event: ev.AttemptEvent) -> None:
    """Apply one event of this attempt, other than its AttemptStarted."""
    _move(attempt, event)
    match event:
        case ev.WorktreePrepared():
            attempt.base, attempt.branch, attempt.path, attempt.port = event.base, event.branch, event.path, event.port
            attempt.head = attempt.head or event.base
        case ev.WorktreeFailed():
            attempt.problem = event
        case ev.InvocationStarted():
            attempt.invocations.append(InvocationView(event))
            attempt.reworks += event.phase == "rework"
            attempt.parked = attempt.stopping = ""
        case ev.InvocationProgressed():
            attempt.action = event.action or attempt.action
            attempt.live_cost_usd, attempt.live_tokens = event.cost_usd, event.tokens
            attempt.live_turns = event.turns
        case ev.WorkSaved():
            attempt.saves += 1
            attempt.saved, attempt.saved_at = event.commit, event.at
        case ev.InvocationFinished():
            _settle(attempt, event)
        case ev.WorkSealed():
            attempt.sealed = event
            attempt.head, attempt.tree = event.head or attempt.head, event.tree
        case ev.ChecksFinished() | ev.MergeChecksFinished():
            on_merged = isinstance(event, ev.MergeChecksFinished)
            attempt.rounds.append(
                CheckRound(event.at, on_merged, event.ok, event.checks, event.error, event.duration_s)
            )
        case ev.AttemptVerified():
            attempt.head, attempt.tree, attempt.verified_at = event.head, event.tree, event.at
        case ev.MergeFinished():
            attempt.merge = event
            if event.kind == "present":
                attempt.merged = event.commit
        case ev.Published(ok=True):
            attempt.merged = event.commit
        case ev.AttemptStopping():
            attempt.stopping = event.why
        case ev.AttemptParked():
            attempt.parked = event.why or "the run is stopping"
        case ev.EffectLost():
            attempt.losses.append(event.why)
            lose(attempt, event.at, event.at, event.why)
        case ev.AttemptEnded():
            _forget_live(attempt)
            close(attempt, event.at)
            attempt.ended = event
        case _:
            pass


def _move(attempt: AttemptView, event: ev.AttemptEvent) -> None:
    """Which stage an event leads to."""
    match event:
        case ev.InvocationStarted():
            enter(attempt, "agent", event.at)
        case ev.SealStarted():
            enter(attempt, "sealing", event.at)
        case ev.ChecksStarted():
            enter(attempt, "checks", event.at)
        case ev.AttemptVerified() | ev.Published(ok=False) | ev.MergeFinished(kind="moved"):
            enter(attempt, "queued", event.at)
        case ev.MergeStarted() | ev.MergeChecksFinished():
            enter(attempt, "merging", event.at)
        case ev.MergeChecksStarted():
            enter(attempt, "merge_checks", event.at)
        case ev.WorktreePrepared() | ev.WorktreeFailed() | ev.InvocationFinished() | ev.WorkSealed():
            enter(attempt, "paused", event.at)
        case ev.ChecksFinished():
            enter(attempt, "paused", event.at)
        case _:
            pass


def _settle(attempt: AttemptView, event: ev.InvocationFinished) -> None:
    for invocation in reversed(attempt.invocations):
        if invocation.started.invocation == event.invocation:
            invocation.finished = event
            break
    attempt.cost_usd += event.cost_usd
    attempt.cost_estimated = attempt.cost_estimated or event.cost_estimated
    attempt.tokens += event.tokens
    attempt.turns += event.turns
    attempt.denials += event.denials
    _forget_live(attempt)


def _forget_live(attempt: AttemptView) -> None:
    attempt.live_cost_usd, attempt.live_tokens, attempt.live_turns = 0.0, NO_TOKENS, 0
