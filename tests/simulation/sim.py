"""Discrete-event simulation of whole runs on the real rules: no asyncio, no sleeping, seeded, with a clock that jumps."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Literal, Protocol

from orchestrate.core import effects as fx
from orchestrate.core import events as ev
from orchestrate.core.attempt import IN_FLIGHT, INTEGRATING, WORKING, Stage
from orchestrate.core.decide import decide
from orchestrate.core.plan import Plan
from orchestrate.core.policy import Policy
from orchestrate.core.state import RunState, evolve, fresh

RUN = "20260102-030405-beef"

ENDS: tuple[ev.InvocationEnd, ...] = (
    "incomplete", "denied", "transient", "limit", "auth", "config", "killed", "crashed", "stalled", "timed_out",
)  # fmt: skip


Request = Literal["drain", "cancel", "pause", "pause now", "disk", "resume", "room", "give up", "again", "answer"]
"""What a person, or the machine, does to a run."""


class Log(Protocol):
    """What of ports.EventLog a simulation needs."""

    def append(self, run: str, events: list[ev.Event]) -> object: ...

    def read(self, run: str) -> list[ev.Event]:
        """What is left after a crash."""
        ...


class Crash(Exception):
    """The engine dies: everything in flight is lost, the log is not."""


@dataclass
class World:
    """Answers effects: how long each takes, and what is observed then. Seeded, independent of the order of questions."""

    seed: int = 0
    p_trouble: float = 0.0
    duration: Callable[[fx.AnyEffect, random.Random], float] = lambda _, r: r.uniform(0.1, 30.0)
    published: dict[str, str] = field(default_factory=dict)
    """What the integration branch really holds: attempt key → commit. Survives crashes, as git does."""
    tip: str = "base"

    def answer(self, effect: fx.AnyEffect, now: float) -> tuple[float, ev.Event]:
        r = random.Random(f"{self.seed}/{effect.id}")
        at = now + self.duration(effect, r)
        trouble = r.random() < self.p_trouble
        f, n, key = effect.key.feature, effect.key.attempt, str(effect.key)
        if trouble and r.random() < 0.1 and not isinstance(effect, fx.PublishMerge):
            return at, ev.EffectLost(at, f, n, effect.id, "the performer died")
        match effect:
            case fx.PrepareWorktree():
                kind = r.choice(["conflict", "setup", "git"]) if trouble else ""
                if kind == "conflict" and len(effect.parents) < 2:
                    kind = "git"
                if kind:
                    return at, ev.WorktreeFailed(at, f, n, kind, kind)  # type: ignore[arg-type]
                return at, ev.WorktreePrepared(at, f, n, "+".join(effect.parents), "branch", "/wt")
            case fx.RunAgent():
                return at, self._invoke(effect, at, r, trouble)
            case fx.SealWork():
                changed = 0 if trouble and r.random() < 0.5 else 2
                scope = ("x",) if trouble and r.random() < 0.3 else ()
                head = f"{f}.{n}.{effect.id.rsplit('.', 1)[1]}"
                return at, ev.WorkSealed(at, f, n, head, f"tree-{head}", changed, out_of_scope=scope)
            case fx.RunChecks():
                checks = (ev.CheckResult("unit", "true", not trouble, int(trouble)),)
                return at, ev.ChecksFinished(at, f, n, not trouble, checks)
            case fx.MergeWork():
                return at, self._merge(effect, at, r, trouble)
            case fx.RunMergeChecks():
                return at, ev.MergeChecksFinished(at, f, n, not trouble)
            case fx.PublishMerge():
                if trouble and r.random() < 0.5:
                    self.tip = f"theirs({self.tip})"
                if effect.onto != self.tip:
                    return at, ev.Published(at, f, n, False, self.tip, "moved")
                self.tip = self.published[key] = effect.commit  # in git at once; a crash now loses only the news
                if trouble:
                    return at, ev.EffectLost(at, f, n, effect.id, "the performer died")
                return at, ev.Published(at, f, n, True, effect.commit)
            case _:
                raise AssertionError(f"{effect} has no answer")

    def _merge(self, effect: fx.MergeWork, at: float, r: random.Random, trouble: bool) -> ev.MergeFinished:
        f, n = effect.key.feature, effect.key.attempt
        if str(effect.key) in self.published:
            return ev.MergeFinished(at, f, n, "present", self.tip)
        if effect.onto != self.tip:
            return ev.MergeFinished(at, f, n, "moved", self.tip)
        if trouble and r.random() < 0.3:
            return ev.MergeFinished(at, f, n, "conflict", paths=("a.py",), why="conflicts in a.py")
        tree = f"tree-{effect.head}" if r.random() < 0.3 else f"merged-{effect.id}"
        return ev.MergeFinished(at, f, n, "merged", f"M({effect.onto},{effect.head})", tree)

    def _invoke(self, effect: fx.RunAgent, at: float, r: random.Random, trouble: bool) -> ev.InvocationFinished:
        end: ev.InvocationEnd = r.choice(ENDS) if trouble else "done"
        cost = round(r.uniform(0.01, 1.0), 2)
        if effect.max_cost_usd is not None:
            cost = min(cost, effect.max_cost_usd)
        if end == "transient" and r.random() < 0.5:
            cost = 0.0  # nobody was there
        return ev.InvocationFinished(
            at, effect.key.feature, effect.key.attempt, effect.invocation, end, cost_usd=cost,
            resets_at=at + 60 if end == "limit" and r.random() < 0.5 else None,
            duration_s=10.0, session=effect.session, session_lost=end == "crashed" and r.random() < 0.3,
            oom=end == "killed" and r.random() < 0.3,
        )  # fmt: skip

    def cut_short(self, answer: ev.AttemptEvent, effect: fx.AnyEffect, now: float) -> ev.AttemptEvent:
        """A performer that is cancelled reports at once: what it had all but done, that it was interrupted, or nothing."""
        r = random.Random(f"{self.seed}/{effect.id}/stop")
        if isinstance(effect, fx.PublishMerge) or r.random() < 0.2:
            return answer
        f, n = answer.feature, answer.attempt
        if isinstance(answer, ev.InvocationFinished):
            return ev.InvocationFinished(now, f, n, answer.invocation, "interrupted", cost_usd=answer.cost_usd / 2)
        if r.random() < 0.4:
            return ev.EffectLost(now, f, n, effect.id, "stopped")
        match answer:
            case ev.WorktreePrepared() | ev.WorktreeFailed():
                return ev.WorktreeFailed(now, f, n, "setup", "interrupted")
            case ev.WorkSealed():
                return ev.WorkSealed(now, f, n, "", "", error="interrupted")
            case ev.ChecksFinished() | ev.MergeChecksFinished():
                return type(answer)(now, f, n, False, error="interrupted")
            case ev.MergeFinished():
                return ev.MergeFinished(now, f, n, "error", why="interrupted")
            case _:
                return answer


@dataclass
class Sim:
    """One run, from engine to engine until it has ended for good.

    crash_at: numbers of events after which the engine dies. ask_at: numbers after which something is asked of the run.
    check: whether the invariants are looked at after each event. store: where a log is kept that survives a crash; by
    default it is the list itself.
    """

    plan: Plan
    policy: Policy = field(default_factory=Policy)
    world: World = field(default_factory=World)
    crash_at: frozenset[int] = frozenset()
    ask_at: Mapping[int, Request] = field(default_factory=dict)
    check: bool = True
    store: Log | None = None
    log: list[ev.Event] = field(default_factory=list)
    now: float = 1_000_000.0
    max_events: int = 20_000

    def __post_init__(self) -> None:
        self.state = fresh(RUN, self.plan, "base")
        self.seq = itertools.count()
        self.queue: list[tuple[float, int, ev.AttemptEvent]] = []
        self.flying: dict[tuple[str, int], fx.AnyEffect] = {}
        """What each attempt has under way in this engine."""
        self.submitted: set[str] = set()
        self.paused_until = 0.0
        self.given_up: set[str] = set()
        """Features that nobody wants any more, as far as they had not ended."""

    def run(self) -> RunState:
        """Engine after engine: after a crash, after a stop, after a person has signed in again."""
        self.record(ev.RunStarted(self.now, RUN, "p", "base", "main", "int", ""))
        while True:
            try:
                self._live()
            except Crash:
                self.queue.clear()
                self.flying.clear()
                self.state = replay(self.plan, self.log if self.store is None else self.store.read(RUN))
                continue
            assert self.state.ended is not None
            if self.state.ended.status not in ("interrupted", "halted"):
                return self.state

    def record(self, event: ev.Event) -> None:
        self.log.append(event)
        if self.store is not None:
            self.store.append(RUN, [event])
        if isinstance(event, ev.AttemptEvent) and not isinstance(event, ev.DecidedAttemptEvent):
            del self.flying[event.feature, event.attempt]
        if self.check:
            self.check_decision(event)
        evolve(self.state, event)
        for effect in fx.effects_of(RUN, event):
            self._submit(effect)
        if self.check:
            self.check_state()
        if len(self.log) in self.crash_at:
            raise Crash
        if len(self.log) in self.ask_at and self.state.ended is None:
            self.record(self._asked(self.ask_at[len(self.log)]))

    def _asked(self, request: Request) -> ev.Event:
        r = random.Random(f"{self.world.seed}/{len(self.log)}")
        some = tuple(r.sample(list(self.plan.features), k=min(2, len(self.plan.features)))) if r.random() < 0.8 else ()
        match request:
            case "drain" | "cancel":
                return ev.StopRequested(self.now, request)
            case "pause" | "pause now":
                return ev.PauseRequested(self.now, now=request == "pause now")
            case "disk":
                return ev.PauseRequested(self.now, cause="disk", now=True)
            case "resume":
                return ev.ResumeRequested(self.now)
            case "room":
                return ev.ResumeRequested(self.now, cause="disk")
            case "give up":
                return ev.CancelRequested(self.now, features=some[:1] or some)
            case "again":
                return ev.RetryRequested(self.now, features=some)
            case "answer":
                return ev.AnswerGiven(self.now, feature=r.choice(list(self.plan.features)), text="yes")

    def _submit(self, effect: fx.AnyEffect) -> None:
        assert effect.id not in self.submitted, f"{effect.id} was asked for twice"
        self.submitted.add(effect.id)
        attempt = (effect.key.feature, effect.key.attempt)
        if isinstance(effect, fx.StopWork):
            self._interrupt(attempt)
        elif not isinstance(effect, fx.KeepWork):
            assert attempt not in self.flying, f"{effect} while {self.flying[attempt]} is under way"
            self.flying[attempt] = effect
            at, answer = self.world.answer(effect, self.now)
            assert isinstance(answer, ev.AttemptEvent)
            heapq.heappush(self.queue, (at, next(self.seq), answer))

    def _interrupt(self, attempt: tuple[str, int]) -> None:
        for i, (_, seq, answer) in enumerate(self.queue):
            if (answer.feature, answer.attempt) == attempt:
                self.queue[i] = (self.now, seq, self.world.cut_short(answer, self.flying[attempt], self.now))
        heapq.heapify(self.queue)

    def _live(self) -> None:
        self.record(ev.EngineStarted(self.now, 1))
        while self.state.ended is None:
            assert len(self.log) < self.max_events, "does not end"
            made = decide(self.state, self.policy, self.now)
            if made.event is not None:
                self.record(made.event)
                continue
            if self.check:
                self.check_rest()
            next_at = self.queue[0][0] if self.queue else inf
            if min(made.wake_at, next_at) == inf and self.state.holds:
                self.record(ev.ResumeRequested(self.now, cause=next(iter(self.state.holds))))
                continue
            assert min(made.wake_at, next_at) < inf, f"stuck after {self.log[-8:]}"
            if next_at <= made.wake_at:
                self.now = max(self.now, next_at)
                self.record(heapq.heappop(self.queue)[2])
            else:
                self.now = max(self.now, made.wake_at)

    # ── what must hold ───────────────────────────────────────────────────────────────────────────────────────────

    def check_decision(self, event: ev.Event) -> None:
        """Before the fold: what is decided now may be decided now."""
        s = self.state
        match event:
            case ev.CancelRequested(features=features):
                self.given_up |= {fid for fid in features or s.features if s.features[fid].ended is None}
            case ev.AttemptEnded(feature=fid, outcome="skipped") | ev.FeatureSkipped(feature=fid):
                lost = [s.features[d].ended not in (None, "integrated") for d in s.plan.features[fid].depends_on]
                assert any(lost), f"{fid} is skipped, and stands on good ground"
            case ev.AttemptStarted(feature=fid, parents=parents):
                assert fid not in self.given_up, f"{fid} was cancelled, and is begun"
                needs = s.plan.features[fid].depends_on
                landed = s.plan.start_on == "integrated" or s.features[fid].base_conflict
                for d in needs:
                    ground = s.features[d].ended == "integrated" if landed else s.features[d].head
                    assert ground, f"{fid} started before {d}"
                heads = (s.integration_head,) if landed else tuple(dict.fromkeys(s.features[d].head for d in needs))
                assert parents == (heads if needs else (s.base,))
                assert not s.stop and not s.holds, "nothing new starts in a run that is to stop or stand still"
                if s.plan.schedule == "waves":
                    earlier = [e for wave in s.plan.waves[: s.features[fid].wave] for e in wave]
                    assert all(s.features[e].ended for e in earlier), f"{fid} started before its wave"
            case ev.InvocationStarted():
                assert not s.stop and not s.holds and not s.account.refused
                assert event.feature not in self.given_up, "an agent was started for what is given up"
                assert self.now >= self.paused_until, "an agent was started during a usage limit"
            case ev.InvocationFinished(end="limit"):
                if event.resets_at is not None:
                    self.paused_until = max(self.paused_until, event.resets_at)
                elif self.now >= self.paused_until:  # else it is the limit that is being waited for
                    self.paused_until = self.now + 900.0
            case ev.FeatureReopened(feature=fid):
                assert any(isinstance(e, ev.RetryRequested) for e in self.log), "nobody asked for it"
                self.given_up.discard(fid)
                needs = [s.features[d] for d in s.plan.features[fid].depends_on]
                assert all(d.ended in (None, "integrated") for d in needs), f"{fid} is opened on lost ground"
            case ev.PublishStarted(feature=fid):
                assert "disk" not in s.holds
                a, checks = s.attempt(fid), s.plan.features[fid].verify
                assert a.merge is not None
                proven = a.proof.ok if a.proof else a.merge.tree == a.tree
                assert proven or not checks, f"{fid} is published unproven"
            case ev.MergeStarted(feature=fid):
                could = [
                    f.key
                    for f in s.features.values()
                    if f.active and f.unintegrated == 0 and self._stage(f.id) is Stage.QUEUED
                ]
                assert "disk" not in s.holds
                assert fid == (s.unsure if s.unsure and s.features[s.unsure].active else min(could)[2]), (
                    f"{fid} is merged out of turn"
                )
            case _:
                pass

    def _stage(self, fid: str) -> Stage:
        return self.state.attempt(fid).stage

    def check_state(self) -> None:
        """After the fold: the indexes tell the truth, and no limit is passed."""
        s = self.state
        active = [f for f in s.features.values() if f.active]
        assert s.working() == sum(self._stage(f.id) in WORKING for f in active) <= self.policy.max_parallel
        assert {f.id for f in active if self._stage(f.id) in IN_FLIGHT} == {fid for fid, _ in self.flying}
        assert sum(self._stage(f.id) in INTEGRATING for f in active) <= 1, "the integration branch has one writer"
        assert s.left == sum(f.ended is None for f in s.features.values())
        assert s.parked == sum(s.attempt(f.id).parked for f in active)
        queued = [f for f in active if self._stage(f.id) is Stage.QUEUED]
        assert s.mergeable == sorted(f.key for f in queued if f.unintegrated == 0)
        assert s.ready == sorted(set(s.ready))
        reserved = sum(s.attempt(f.id).reserved_usd for f in active if self._stage(f.id) is Stage.INVOKING)
        assert abs(s.ledger.reserved_usd - reserved) < 1e-9, "reserved money is forgotten"
        if self.policy.max_cost_usd is not None:
            assert s.ledger.spent_usd + s.ledger.reserved_usd <= self.policy.max_cost_usd + 1e-6
        for f in s.features.values():
            if f.ended is not None:
                continue
            needs = [s.features[d] for d in s.plan.features[f.id].depends_on]
            assert f.unintegrated == sum(d.ended != "integrated" for d in needs)
            assert f.unverified == sum(not d.head for d in needs)
            if f.active and self._stage(f.id) in INTEGRATING:
                assert f.unintegrated == 0, f"{f.id} is integrated before its dependencies"

    def check_rest(self) -> None:
        """Nothing is decided: then no slot is free that a ready feature could have."""
        s = self.state
        limited = (
            s.stop
            or s.holds
            or s.account.is_away
            or s.account.refused
            or s.account.paused_until > self.now
            or self.policy.max_cost_usd is not None
        )
        if s.working() < s.slots(self.policy.max_parallel) and not limited:
            waiting = {key[2] for at, key in s.delayed if at > self.now}
            for f in s.features.values():
                needs = [s.features[d] for d in s.plan.features[f.id].depends_on]
                landed = s.plan.start_on == "integrated" or f.base_conflict
                may = all(d.ended == "integrated" if landed else d.head for d in needs)
                if s.plan.schedule == "waves":
                    earlier = [s.features[e] for wave in s.plan.waves[: f.wave] for e in wave]
                    may = may and all(e.ended is not None for e in earlier)
                assert f.ended or f.active or f.id in waiting or not may, f"{f.id} could start, and a slot is free"


def replay(plan: Plan, log: list[ev.Event]) -> RunState:
    """The state that the log alone gives."""
    state = fresh(RUN, plan, "base")
    for event in log:
        evolve(state, event)
    return state
