"""What is known of a run. evolve() is a dumb fold: it applies facts in place and takes no decision, so that old logs
stay readable under new rules.

Invariant: every index below is implied by the features and attempts, and the cost of one event does not grow with the
number of features (ADR 3: why the fold works in place).
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field, replace

from . import events as ev
from . import requests
from .attempt import BEFORE, IN_FLIGHT, TRANSITIONS, WORKING, Attempt, Invoked, Stage
from .limits import Account, Ledger, is_unreached
from .names import AttemptKey
from .plan import Plan
from .queues import end_feature, move, offer, requeue, unverify, withdraw

Key = tuple[float, int, str]
"""Order among features: (-rank, priority, id); the smallest goes first."""


@dataclass(slots=True)
class FeatureState:
    """One feature of the run."""

    id: str
    key: Key
    unverified: int
    """Direct dependencies that are not verified yet."""
    unintegrated: int
    """Direct dependencies that are not in the integration branch yet."""
    wave: int
    attempt: Attempt | None = None
    number: int = 0
    tries: int = 0
    """Attempts that count against max_attempts."""
    spent_usd: float = 0.0
    head: str = ""
    """Commit that dependents start from; empty until verified."""
    base_conflict: bool = False
    """Its dependencies' heads do not merge: waits until all are integrated."""
    ended: ev.Outcome | None = None
    why: str = ""
    answers: list[str] = field(default_factory=list)
    """What people have to say to its agent, which has not been told yet."""

    @property
    def active(self) -> bool:
        return self.attempt is not None and self.attempt.stage is not Stage.ENDED


@dataclass(slots=True)
class RunState:
    """Everything the rules look at. Built by `fresh`, changed by `evolve` alone."""

    run: str
    plan: Plan
    base: str
    integration_head: str
    features: dict[str, FeatureState]
    ledger: Ledger = field(default_factory=Ledger)
    account: Account = field(default_factory=Account)
    ready: list[Key] = field(default_factory=list)
    """Features that may start as far as their dependencies go, best first."""
    delayed: list[tuple[float, Key]] = field(default_factory=list)
    """Features that may start again from a time on, earliest first."""
    mergeable: list[Key] = field(default_factory=list)
    """Queued attempts whose dependencies are all integrated, best first."""
    stages: dict[Stage, dict[str, None]] = field(default_factory=lambda: {s: {} for s in Stage})
    """Features of the active attempts by stage, in order of arrival."""
    blocked: dict[str, str] = field(default_factory=dict)
    """Features with a dependency that will never be integrated, and why; not yet skipped or stopped."""
    stopping: dict[str, None] = field(default_factory=dict)
    """Active attempts that are to end."""
    wave_left: list[int] = field(default_factory=list)
    """Features of each wave that have not ended."""
    standing: dict[tuple[str, str], str] = field(default_factory=dict)
    """Checks (name, command) that the integration branch must go on passing → the first feature there that has it."""
    unsure: str = ""
    """The feature whose publication may or may not have happened; it is merged next, as git knows."""
    open_wave: int = 0
    left: int = 0
    """Features that have not ended."""
    parked: int = 0
    stop: str = ""
    """`drain` or `cancel`, once asked for."""
    stop_why: str = ""
    """By whom it was asked last."""
    holds: dict[ev.HoldCause, ev.PauseRequested] = field(default_factory=dict)
    """Why nothing new may start, by cause."""
    cancelled: dict[str, str] = field(default_factory=dict)
    """Features to be given up at a person's wish, and the reason to be told; no rule has acted on it yet."""
    reopening: dict[str, None] = field(default_factory=dict)
    """Features that ended and are to be tried again, dependencies first; no rule has acted on it yet."""
    squeezed: int = 0
    """Agents that the system ended for want of memory: as many fewer work at once."""
    ended: ev.RunEnded | None = None

    def working(self) -> int:
        """Slots in use."""
        return sum(len(self.stages[s]) for s in WORKING)

    def in_flight(self) -> int:
        """Effects under way."""
        return sum(len(self.stages[s]) for s in IN_FLIGHT)

    def slots(self, most: int) -> int:
        """How many attempts may work at once, of the `most` that the operator allows."""
        return max(min(1, most), most - self.squeezed)

    def attempt(self, fid: str) -> Attempt:
        attempt = self.features[fid].attempt
        assert attempt is not None, fid
        return attempt

    def key(self, fid: str) -> AttemptKey:
        return AttemptKey(self.run, fid, self.features[fid].number)


def fresh(run: str, plan: Plan, base: str) -> RunState:
    """State before the first event of a run."""
    features = {
        f.id: FeatureState(
            f.id,
            (-plan.rank[f.id], f.priority, f.id),
            unverified=len(set(f.depends_on)),
            unintegrated=len(set(f.depends_on)),
            wave=plan.wave_of[f.id],
        )
        for f in plan.features.values()
    }
    state = RunState(run, plan, base, base, features, left=len(features), wave_left=[len(w) for w in plan.waves])
    for f in features.values():
        offer(state, f)
    return state


def evolve(state: RunState, event: ev.Event) -> None:
    """Apply one fact. Raises AssertionError on a fact that cannot be."""
    match event:
        case ev.AttemptStarted():
            _start(state, event)
        case ev.AttemptEvent():
            _evolve_attempt(state, event)
        case ev.FeatureSkipped():
            end_feature(state, state.features[event.feature], "skipped", event.why)
        case ev.EngineStarted():
            _restart(state)
        case ev.StopRequested():
            state.stop = "cancel" if event.how == "cancel" or state.stop == "cancel" else "drain"
            state.stop_why = requests.stop_words(event)
        case ev.PauseRequested():
            requests.hold(state, event)
        case ev.ResumeRequested():
            requests.release(state, event.cause)
        case ev.CancelRequested():
            requests.cancel(state, event)
        case ev.RetryRequested():
            requests.retry(state, event)
        case ev.AnswerGiven() if event.feature in state.features:
            state.features[event.feature].answers.append(event.text)
        case ev.FeatureCancelled():
            end_feature(state, state.features[event.feature], "cancelled", event.why)
        case ev.FeatureReopened():
            requests.reopen(state, state.features[event.feature])
        case ev.RunEnded():
            state.ended = event
        case ev.RunStarted() | ev.Warned() | ev.AnswerGiven():
            pass
        case _:
            raise AssertionError(f"unknown event {event!r}")


# ── attempts ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _start(state: RunState, e: ev.AttemptStarted) -> None:
    f = state.features[e.feature]
    assert not f.active and f.ended is None and e.attempt == f.number + 1, f"{e!r} cannot happen"
    withdraw(state.ready, f.key)
    state.delayed = [entry for entry in state.delayed if entry[1] != f.key] if state.delayed else state.delayed
    f.number = e.attempt
    f.tries += 1
    f.attempt = Attempt(e.attempt, e.at, e.parents, n=1)
    state.stages[Stage.PREPARING][f.id] = None


def _evolve_attempt(state: RunState, e: ev.AttemptEvent) -> None:
    """A failure that is seen after we ended the work ourselves says nothing of the work, and is not kept."""
    f = state.features[e.feature]
    a = state.attempt(e.feature)
    allowed, after = TRANSITIONS[type(e)]
    if e.attempt != a.number or a.stage not in allowed:
        raise AssertionError(f"{e!r} cannot happen to attempt {a.number} in stage {a.stage.value}")
    if isinstance(e, ev.DecidedAttemptEvent):
        assert e.n == a.n + 1, f"{e!r} is not decision {a.n + 1}"
        a.n = e.n
    if after is not None:
        move(state, f.id, a, after)
    match e:
        case ev.InvocationProgressed():
            state.account.hear(e)
        case ev.WorkSaved() | ev.SealStarted() | ev.ChecksStarted() | ev.MergeChecksStarted() | ev.PublishStarted():
            pass
        case ev.WorktreePrepared():
            a.prepared = True
        case ev.WorktreeFailed():
            a.problem = e if a.stopping is None else None
            f.base_conflict = f.base_conflict or e.kind == "conflict"
        case ev.InvocationStarted():
            _invoke(state, f, a, e)
        case ev.InvocationFinished():
            _settle(state, f, a, e)
        case ev.WorkSealed():
            a.sealed = e if a.stopping is None or not e.error else None
        case ev.ChecksFinished():
            a.checks = e if a.stopping is None or e.ok else None
        case ev.AttemptVerified():
            _verify(state, f, a, e)
        case ev.MergeStarted():
            withdraw(state.mergeable, f.key)
            a.merge, a.proof, a.published = None, None, None
        case ev.MergeFinished():
            a.merge = e
            state.unsure = ""
            if e.kind == "moved":
                a.overtaken += 1
                state.integration_head = e.commit
                requeue(state, f, a)
        case ev.MergeChecksFinished():
            a.proof = e
        case ev.Published():
            a.published = e
            if not e.ok:
                a.overtaken += a.stopping is None
                state.integration_head = e.commit or state.integration_head
                requeue(state, f, a)
        case ev.AttemptStopping():
            a.stopping, a.released = e, False
            state.stopping[f.id] = None
            if e.outcome != "interrupted":  # that one goes on, and may still be blocked or unwanted then
                state.blocked.pop(f.id, None)
                state.cancelled.pop(f.id, None)
        case ev.AttemptParked():
            a.parked = True
            state.parked += 1
        case ev.EffectLost():
            a.losses += a.stopping is None and not e.blameless
            _lose(state, f, a, e.at, e.why)
        case ev.AttemptEnded():
            _end_attempt(state, f, a, e)
        case _:  # pragma: no cover (TRANSITIONS knows no other)
            raise AssertionError(f"unknown event {e!r}")
    if a.released and a.stage not in IN_FLIGHT and not state.stop:
        requests.go_on(state, f, a)


def _invoke(state: RunState, f: FeatureState, a: Attempt, e: ev.InvocationStarted) -> None:
    f.answers = []
    a.phase, a.invoking_since = e.phase, e.at
    a.sealed, a.checks = None, None
    a.reserved_usd = e.max_cost_usd or 0.0
    state.ledger.reserve(a.reserved_usd)


def _settle(state: RunState, f: FeatureState, a: Attempt, e: ev.InvocationFinished) -> None:
    unreached = is_unreached(e)
    a.past.append(
        Invoked(
            a.phase, e.end, e.at, e.why, e.denials, e.duration_s, e.session_lost, a.phase == "rework", unreached
        )
    )  # fmt: skip
    a.session_number += e.session_lost
    state.ledger.settle(a.reserved_usd, e.cost_usd)
    a.reserved_usd = 0.0
    f.spent_usd += e.cost_usd
    state.account.observe(e)
    state.squeezed += e.oom


def _verify(state: RunState, f: FeatureState, a: Attempt, e: ev.AttemptVerified) -> None:
    a.head, a.tree = e.head, e.tree
    first = not f.head
    f.head = e.head
    if f.unintegrated == 0:
        insort(state.mergeable, f.key)
    if first:
        for dependent in state.plan.dependents[f.id]:
            d = state.features[dependent]
            d.unverified -= 1
            offer(state, d)


def _end_attempt(state: RunState, f: FeatureState, a: Attempt, e: ev.AttemptEnded) -> None:
    a.outcome, a.why = e.outcome, e.why
    state.stopping.pop(f.id, None)
    state.unsure = "" if state.unsure == f.id else state.unsure
    withdraw(state.mergeable, f.key)
    if a.parked:
        a.parked = False
        state.parked -= 1
    if e.outcome in ("interrupted", "postponed"):
        f.tries -= 1
    if e.outcome == "integrated":
        commit = a.published.commit if a.published else a.merge.commit if a.merge else ""
        state.integration_head = commit or state.integration_head
        for check in state.plan.features[f.id].verify:
            if check.when != "feature":
                state.standing.setdefault((check.name, check.run), f.id)
        end_feature(state, f, e.outcome, e.why)
        for dependent in state.plan.dependents[f.id]:
            d = state.features[dependent]
            d.unintegrated -= 1
            if d.active and state.attempt(dependent).stage is Stage.QUEUED and d.unintegrated == 0:
                insort(state.mergeable, d.key)
            offer(state, d)
    elif e.retry:
        unverify(state, f)
        if e.retry_at > e.at:
            insort(state.delayed, (e.retry_at, f.key))
        else:
            offer(state, f)
    else:
        end_feature(state, f, e.outcome, e.why)


# ── what is lost ─────────────────────────────────────────────────────────────────────────────────────────────────


def _lose(state: RunState, f: FeatureState, a: Attempt, at: float, why: str) -> None:
    """What the attempt had in flight is gone; it stands where it stood before."""
    stage = a.stage
    if stage is Stage.INVOKING:
        a.past.append(Invoked(a.phase, "interrupted", at, why, duration_s=0.0))
        state.ledger.settle(a.reserved_usd, 0.0)
        a.reserved_usd = 0.0
    if stage is Stage.PUBLISHING:
        state.unsure = f.id
    if BEFORE.get(stage) is Stage.QUEUED:
        requeue(state, f, a)
    elif stage in BEFORE:
        move(state, f.id, a, BEFORE[stage])


def _restart(state: RunState) -> None:
    """A new engine: nothing is in flight, and what was asked of the old one is over."""
    state.stop, state.stop_why, state.ended = "", "", None
    state.squeezed = 0
    state.holds = {cause: held for cause, held in state.holds.items() if cause == "operator"}
    state.account = replace(state.account, refused="", unreached=0, probes=0)
    active = [fid for stage, fids in state.stages.items() if stage is not Stage.ENDED for fid in fids]
    for fid in active:
        f, a = state.features[fid], state.attempt(fid)
        _lose(state, f, a, a.invoking_since, "the engine was stopped")
        a.released = False
        if a.stopping is not None and a.stopping.outcome == "interrupted":
            a.stopping = None
            state.stopping.pop(fid, None)
        if a.parked:
            a.parked = False
            state.parked -= 1
