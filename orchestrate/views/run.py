"""A run as readers see it: where every feature stands and why, and what it has cost. Pure fold of the log, in place.

Invariant: everything here follows from the events and the plan alone, never from the engine's own state; one event
costs the same at any size of the plan (folds touch one feature and its direct dependents).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from orchestrate.core import events as ev
from orchestrate.core.limits import Account
from orchestrate.core.plan import Plan
from orchestrate.views.attempts import NO_TOKENS, AttemptView, Stage, cut_back, enter, fold_attempt, lose
from orchestrate.views.controls import Holds, Request
from orchestrate.views.presence import Gap, Presence, is_from_elsewhere

Status = Literal[
    "waiting",  # for its dependencies, or parked
    "ready",  # may start: waits for a slot, or for the time of its next try
    "preparing",
    "working",
    "checking",
    "verified",  # passed its checks; waits for its turn to be merged
    "merging",
    "paused",  # has begun, and stands still as the run is held
    "integrated",
    "failed",
    "no_changes",
    "conflicted",
    "cancelled",
    "skipped",
]
"""Where a feature stands, in one word."""

STATUSES: tuple[Status, ...] = get_args(Status)
ENDED: frozenset[Status] = frozenset({"integrated", "failed", "no_changes", "conflicted", "cancelled", "skipped"})
ACTIVE: frozenset[Status] = frozenset({"preparing", "working", "checking", "verified", "merging"})
"""An attempt is under way."""

_STATUS_OF_STAGE: dict[Stage, Status] = {
    "setup": "preparing",
    "agent": "working",
    "sealing": "checking",
    "checks": "checking",
    "queued": "verified",
    "merging": "merging",
    "merge_checks": "merging",
}
_STATUS_OF_OUTCOME: dict[ev.Outcome, Status] = {
    "integrated": "integrated",
    "failed": "failed",
    "no_changes": "no_changes",
    "conflicted": "conflicted",
    "cancelled": "cancelled",
    "skipped": "skipped",
    "interrupted": "cancelled",  # and nothing follows: for the reader that is the same
    "postponed": "cancelled",
}
UNCOUNTED: frozenset[ev.Outcome] = frozenset({"interrupted", "postponed"})
"""Outcomes of attempts that use up none of the feature's tries."""

RunStatus = Literal["running"] | ev.RunEnd


@dataclass(slots=True)
class FeatureView:
    """One feature. since: when it came to its status, Unix seconds. Sums are over all attempts, money in US dollars.

    outcome, why: of the last attempt that ended, also while another one follows. tries: attempts that count.
    """

    id: str
    unverified: int
    unintegrated: int
    wave: int
    status: Status = "waiting"
    since: float = 0.0
    attempts: list[AttemptView] = field(default_factory=list)
    tries: int = 0
    outcome: ev.Outcome | None = None
    why: str = ""
    retry_at: float = 0.0
    ended_at: float | None = None
    verified_at: float | None = None
    """When dependents could first start from its work."""
    base_conflict: bool = False
    invocations: int = 0
    reworks: int = 0
    cost_usd: float = 0.0
    cost_estimated: bool = False
    tokens: ev.Tokens = NO_TOKENS
    turns: int = 0

    @property
    def attempt(self) -> AttemptView | None:
        """The current or last one."""
        return self.attempts[-1] if self.attempts else None

    @property
    def started_at(self) -> float | None:
        return self.attempts[0].started_at if self.attempts else None


@dataclass(slots=True)
class RunView:
    """The whole run. counts: features by status. active: features with an attempt under way, in order of start.

    tip: commit of the integration branch. down_s: seconds in which no engine drove the run. last_at: time of the newest
    event that shows an engine at work. stop: `drain` or `cancel`, once asked for. requests: all that people asked for.
    delivered: highest number of a control of the store among them.
    """

    plan: Plan
    features: dict[str, FeatureView]
    counts: dict[Status, int]
    active: dict[str, None] = field(default_factory=dict)
    wave_left: list[int] = field(default_factory=list)
    open_wave: int = 0
    run: str = ""
    project: str = ""
    base: str = ""
    base_branch: str = ""
    integration_branch: str = ""
    tip: str = ""
    version: str = ""
    started_at: float = 0.0
    ended_at: float | None = None
    status: RunStatus = "running"
    why: str = ""
    stop: str = ""
    stopped: ev.StopRequested | None = None
    """The last request to stop, of those that its engine was told."""
    holds: Holds = field(default_factory=Holds)
    requests: list[Request] = field(default_factory=list)
    delivered: int = 0
    account: Account = field(default_factory=Account)
    """What the agents' service said of the account, as the core understands it."""
    engines: list[ev.EngineStarted] = field(default_factory=list)
    warnings: list[ev.Warned] = field(default_factory=list)
    settled: int = 0
    """How many of the warnings were told before the newest engine began: it has settled what they were about, or would say
    it again. What they advise may undo what was done since."""
    squeezed: int = 0
    """Agents that the system ended for want of memory: as many fewer work at once."""
    down_s: float = 0.0
    last_at: float = 0.0
    presence: Presence = field(default_factory=Presence)
    invocations: int = 0
    reworks: int = 0
    cost_usd: float = 0.0
    cost_estimated: bool = False
    tokens: ev.Tokens = NO_TOKENS
    turns: int = 0

    def count(self, *statuses: Status) -> int:
        return sum(self.counts[status] for status in statuses)

    @property
    def open_warnings(self) -> list[ev.Warned]:
        """Those that still hold, oldest first."""
        return self.warnings[self.settled :]

    @property
    def ended_count(self) -> int:
        return self.count(*ENDED)

    @property
    def live_cost_usd(self) -> float:
        """What agents at work say that they have used so far; not part of cost_usd."""
        return sum(self.features[fid].attempts[-1].live_cost_usd for fid in self.active)

    @property
    def live_tokens(self) -> ev.Tokens:
        return sum((self.features[fid].attempts[-1].live_tokens for fid in self.active), start=NO_TOKENS)

    def seen_at(self, now: float, *, is_driven: bool) -> float:
        """Until when the run is known: with nobody at it, time goes on but nothing happens in it."""
        return max(now, self.last_at) if is_driven and self.ended_at is None else self.last_at


def fresh_view(plan: Plan) -> RunView:
    """Before the first event."""
    features = {
        feature.id: FeatureView(feature.id, len(feature.depends_on), len(feature.depends_on), plan.wave_of[feature.id])
        for feature in plan.features.values()
    }
    counts = dict.fromkeys(STATUSES, 0)
    counts["waiting"] = len(features)
    view = RunView(plan, features, counts, wave_left=[len(wave) for wave in plan.waves])
    for feature in features.values():
        _settle_status(view, feature, 0.0)
    return view


def build_view(plan: Plan, events: Iterable[ev.Event]) -> RunView:
    """The view of a log, or of as much of it as there is."""
    view = fresh_view(plan)
    for event in events:
        fold(view, event)
    return view


def fold(view: RunView, event: ev.Event) -> None:
    """Apply one event. Events of one run, in the order of the log."""
    gap = view.presence.see(event)
    view.holds.fold(event, gap)
    match event:
        case ev.AttemptStarted():
            _start(view, event)
        case ev.AttemptEvent():
            _fold_attempt(view, event)
        case ev.FeatureSkipped() | ev.FeatureCancelled():
            outcome: ev.Outcome = "skipped" if isinstance(event, ev.FeatureSkipped) else "cancelled"
            feature = view.features[event.feature]
            feature.outcome, feature.why = outcome, event.why
            _end(view, feature, _STATUS_OF_OUTCOME[outcome], event.at)
        case ev.FeatureReopened():
            _reopen(view, view.features[event.feature], event.at)
        case ev.RunStarted():
            _begin(view, event)
        case ev.EngineStarted():
            _restart(view, event, gap)
        case ev.Control() | ev.StopRequested():
            _ask(view, event)
        case ev.RunEnded():
            view.status, view.why, view.ended_at = event.status, event.why, event.at
        case ev.Warned():
            view.warnings.append(event)
        case _:
            raise AssertionError(f"unknown event {event!r}")
    if not is_from_elsewhere(event):
        view.last_at = max(view.last_at, event.at)


# ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _begin(view: RunView, event: ev.RunStarted) -> None:
    view.run, view.project, view.version = event.run, event.project, event.version
    view.base, view.base_branch, view.tip = event.base, event.base_branch, event.base
    view.integration_branch = event.integration_branch
    view.started_at = event.at
    for feature in view.features.values():
        feature.since = event.at


def _restart(view: RunView, event: ev.EngineStarted, gap: Gap | None) -> None:
    """Nothing is in flight any more, and what was asked of the engine before is over."""
    if gap is not None:
        view.down_s += gap.seconds
        _date_back(view, gap)
        for fid in view.active:
            feature = view.features[fid]
            attempt = feature.attempts[-1]
            lose(attempt, gap.since, event.at, "the engine was stopped")
            attempt.miss(gap.since, gap.seconds)
            attempt.unpark(event.at)
            _settle_status(view, feature, event.at)
    view.engines.append(event)
    view.settled = len(view.warnings)
    view.account = replace(view.account, refused="", unreached=0, probes=0)
    view.status, view.why, view.ended_at, view.stop, view.squeezed = "running", "", None, "", 0
    view.stopped = None


def _date_back(view: RunView, gap: Gap) -> None:
    """What the new engine found out before it said that it is there happened to work that nobody was at."""
    for late in gap.found:
        if isinstance(late, ev.AttemptEvent):
            attempt = view.features[late.feature].attempts[late.attempt - 1]
            cut_back(attempt, gap.since)
            if isinstance(late, ev.AttemptEnded):
                attempt.down_s += gap.seconds


# ── what people ask for, and what the machine forces ─────────────────────────────────────────────────────────────


def _ask(view: RunView, event: Request) -> None:
    view.requests.append(event)
    view.delivered = max(view.delivered, event.control)
    match event:
        case ev.StopRequested():
            view.stop = "cancel" if "cancel" in (event.how, view.stop) else "drain"
            view.stopped = event
        case ev.PauseRequested() | ev.ResumeRequested():
            goes_on = isinstance(event, ev.ResumeRequested) and not (view.holds.is_emptied or view.stop)
            for fid in view.active:
                if goes_on:
                    view.features[fid].attempts[-1].unpark(event.at)
                _settle_status(view, view.features[fid], event.at)
        case ev.RetryRequested():
            for fid in event.features or view.features:
                if fid in view.features:
                    view.features[fid].retry_at = 0.0  # need not wait any longer
        case _:
            pass


def _reopen(view: RunView, feature: FeatureView, at: float) -> None:
    """Earlier tries do not count any more; what was spent does."""
    needs = [view.features[need] for need in dict.fromkeys(view.plan.features[feature.id].depends_on)]
    feature.unverified = sum(need.verified_at is None for need in needs)
    feature.unintegrated = sum(need.status != "integrated" for need in needs)
    dependents = [view.features[dependent] for dependent in view.plan.dependents[feature.id]]
    for dependent in dependents:
        dependent.unverified += feature.verified_at is not None
    feature.tries, feature.retry_at, feature.ended_at, feature.verified_at = 0, 0.0, None, None
    feature.outcome, feature.why, feature.base_conflict = None, "", False
    view.wave_left[feature.wave] += 1
    view.open_wave = min(view.open_wave, feature.wave)
    _set_status(view, feature, "waiting", at)
    for each in (feature, *dependents):
        _settle_status(view, each, at)


# ── features ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _start(view: RunView, event: ev.AttemptStarted) -> None:
    feature = view.features[event.feature]
    view.wave_left[feature.wave] += feature.status in ENDED  # it had ended, and is tried again after all
    attempt = AttemptView(event.feature, event.attempt, event.at, event.parents)
    enter(attempt, "setup", event.at)
    feature.attempts.append(attempt)
    feature.tries += 1
    feature.retry_at = 0.0
    feature.ended_at = None
    view.active[feature.id] = None
    _settle_status(view, feature, event.at)


def _fold_attempt(view: RunView, event: ev.AttemptEvent) -> None:
    feature = view.features[event.feature]
    attempt = feature.attempts[event.attempt - 1]
    fold_attempt(attempt, event)
    match event:
        case ev.InvocationProgressed() | ev.WorkSaved():
            return
        case ev.InvocationStarted():
            feature.invocations += 1
            view.invocations += 1
            feature.reworks += event.phase == "rework"
            view.reworks += event.phase == "rework"
        case ev.InvocationFinished():
            view.account.observe(event)
            view.squeezed += event.oom
            for sums in (feature, view):
                sums.cost_usd += event.cost_usd
                sums.cost_estimated = sums.cost_estimated or event.cost_estimated
                sums.tokens += event.tokens
                sums.turns += event.turns
        case ev.WorktreeFailed(kind="conflict"):
            feature.base_conflict = True
        case ev.AttemptVerified() if feature.verified_at is None:
            feature.verified_at = event.at
            for dependent in view.plan.dependents[feature.id]:
                view.features[dependent].unverified -= 1
                _settle_status(view, view.features[dependent], event.at)
        case ev.MergeFinished(kind="present" | "moved") | ev.Published():
            view.tip = event.commit or view.tip  # also where somebody else moved it to
        case ev.AttemptEnded():
            _end_attempt(view, feature, event)
            return
        case _:
            pass
    _settle_status(view, feature, event.at)


def _end_attempt(view: RunView, feature: FeatureView, event: ev.AttemptEnded) -> None:
    feature.outcome, feature.why = event.outcome, event.why
    feature.tries -= event.outcome in UNCOUNTED
    view.active.pop(feature.id, None)
    if event.retry:
        feature.retry_at = event.retry_at
        _settle_status(view, feature, event.at)
        return
    _end(view, feature, _STATUS_OF_OUTCOME[event.outcome], event.at)
    if event.outcome == "integrated":
        for dependent in view.plan.dependents[feature.id]:
            view.features[dependent].unintegrated -= 1
            _settle_status(view, view.features[dependent], event.at)


def _end(view: RunView, feature: FeatureView, status: Status, at: float) -> None:
    _set_status(view, feature, status, at)
    feature.ended_at = at
    view.wave_left[feature.wave] -= 1
    while view.open_wave < len(view.wave_left) - 1 and view.wave_left[view.open_wave] == 0:
        view.open_wave += 1
        if view.plan.schedule == "waves":
            for fid in view.plan.waves[view.open_wave]:
                _settle_status(view, view.features[fid], at)


def _settle_status(view: RunView, feature: FeatureView, at: float) -> None:
    """Find the word for a feature that has not ended."""
    attempt = feature.attempt
    stage = attempt.stage if attempt else None
    if attempt is None or stage is None:
        if feature.status not in ENDED:
            _set_status(view, feature, "ready" if may_start(view, feature) else "waiting", at)
    elif view.holds and stage != "queued" and (attempt.parked or stage == "paused"):
        _set_status(view, feature, "paused", at)
    elif attempt.parked and stage != "queued":
        _set_status(view, feature, "waiting", at)
    elif stage != "paused":
        _set_status(view, feature, _STATUS_OF_STAGE[stage], at)
    elif feature.status not in ACTIVE:
        _set_status(view, feature, "working", at)


def _set_status(view: RunView, feature: FeatureView, status: Status, at: float) -> None:
    if status == feature.status:
        return
    view.counts[feature.status] -= 1
    view.counts[status] += 1
    feature.status, feature.since = status, at
    if (attempt := feature.attempt) is not None:
        stands = attempt.ended is None and status in ("paused", "waiting")
        (attempt.stand if stands else attempt.stand_no_more)(at)


# ── what it waits for ────────────────────────────────────────────────────────────────────────────────────────────


def may_start(view: RunView, feature: FeatureView) -> bool:
    """As far as its dependencies and the schedule go."""
    if view.plan.schedule == "waves" and feature.wave > view.open_wave:
        return False
    return (feature.unintegrated if _needs_integration(view, feature) else feature.unverified) == 0


def waits_for(view: RunView, fid: str) -> tuple[str, ...]:
    """Direct dependencies that keep the feature from starting, or from being merged when it is verified; plan order."""
    feature = view.features[fid]
    integrated = feature.status == "verified" or _needs_integration(view, feature)
    if feature.status not in ("waiting", "verified"):
        return ()
    needs = view.plan.features[fid].depends_on
    return tuple(
        need
        for need in needs
        if (view.features[need].status != "integrated" if integrated else view.features[need].verified_at is None)
    )


def _needs_integration(view: RunView, feature: FeatureView) -> bool:
    return view.plan.start_on == "integrated" or feature.base_conflict
