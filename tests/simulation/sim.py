"""Discrete-event simulation of whole runs on the real rules: no asyncio, no sleeping, seeded, with a clock that jumps."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from orchestrate.core import effects as fx
from orchestrate.core import events as ev
from orchestrate.core.attempt import INTEGRATING, Stage
from orchestrate.core.decide import decide
from orchestrate.core.plan import Plan
from orchestrate.core.policy import Policy
from orchestrate.core.state import RunState, evolve, fresh

RUN = "20260102-030405-beef"


class Crash(Exception):
    """The engine dies: everything in flight is lost, the log is not."""


@dataclass
class World:
    """Answers effects: how long each takes, and what is observed then. Seeded, independent of the order of questions."""

    seed: int = 0
    p_trouble: float = 0.0
    duration: Callable[[fx.AnyEffect, random.Random], float] = lambda effect, r: r.uniform(0.1, 30.0)
    published: dict[str, str] = field(default_factory=dict)
    """What the integration branch really holds: attempt key → commit. Survives crashes, as git does."""
    tip: str = "base"
    paid: dict[str, int] = field(default_factory=dict)
    """How often an invocation that came to its end was asked for, by session and number."""

    def answer(self, effect: fx.AnyEffect, now: float) -> tuple[float, ev.Event] | None:
        r = random.Random(f"{self.seed}/{effect.id}")
        at = now + self.duration(effect, r)
        trouble = r.random() < self.p_trouble
        f, n, key = effect.key.feature, effect.key.attempt, str(effect.key)
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
                return at, ev.ChecksFinished(at, f, n, not trouble, (ev.CheckResult("unit", "true", not trouble, int(trouble)),))
            case fx.MergeWork():
                if key in self.published:
                    return at, ev.MergeFinished(at, f, n, "present", self.tip)
                if trouble and r.random() < 0.3:
                    return at, ev.MergeFinished(at, f, n, "conflict", paths=("a.py",), why="conflicts in a.py")
                tree = f"tree-{effect.head}" if r.random() < 0.3 else f"merged-{effect.id}"
                return at, ev.MergeFinished(at, f, n, "merged", f"M({effect.onto},{effect.head})", tree)
            case fx.RunMergeChecks():
                return at, ev.MergeChecksFinished(at, f, n, not trouble)
            case fx.PublishMerge():
                if effect.onto != self.tip:
                    return at, ev.Published(at, f, n, False, self.tip, "moved")
                self.tip = self.published[key] = effect.commit  # in git at once; a crash now loses only the news
                return at, ev.Published(at, f, n, True, effect.commit)
            case fx.StopWork() | fx.KeepWork():
                return None

    def _invoke(self, effect: fx.RunAgent, at: float, r: random.Random, trouble: bool) -> ev.InvocationFinished:
        ends: tuple[ev.InvocationEnd, ...] = (
            "incomplete", "denied", "transient", "limit", "config", "killed", "crashed", "stalled", "timed_out",
        )  # fmt: skip
        end: ev.InvocationEnd = r.choice(ends) if trouble else "done"
        cost = round(r.uniform(0.01, 1.0), 2)
        if effect.max_cost_usd is not None:
            cost = min(cost, effect.max_cost_usd)
        return ev.InvocationFinished(
            at, effect.key.feature, effect.key.attempt, effect.invocation, end, cost_usd=cost,
            resets_at=at + 60 if end == "limit" and r.random() < 0.5 else None,
            duration_s=10.0, session=effect.session, session_lost=end == "crashed" and r.random() < 0.3,
        )  # fmt: skip


@dataclass
class Sim:
    """One run; `crash_at`: numbers of events after which the engine dies and another takes over."""

    plan: Plan
    policy: Policy = field(default_factory=Policy)
    world: World = field(default_factory=World)
    crash_at: frozenset[int] = frozenset()
    stop_at: int = 0
    log: list[ev.Event] = field(default_factory=list)
    now: float = 1_000_000.0
    max_events: int = 20_000

    def __post_init__(self) -> None:
        self.state = fresh(RUN, self.plan, "base")
        self.seq = itertools.count()
        self.queue: list[tuple[float, int, ev.Event]] = []
        self.flying: dict[str, int] = {}

    def run(self) -> RunState:
        self.record(ev.RunStarted(self.now, RUN, "p", "base", "main", "int", ""))
        while True:
            try:
                return self._live()
            except Crash:
                self.queue.clear()
                self.state = replay(self.plan, self.log)

    def record(self, event: ev.Event) -> None:
        self.log.append(event)
        evolve(self.state, event)
        self.check_invariants()
        for effect in fx.effects_of(RUN, event):
            if isinstance(effect, fx.StopWork):
                self._interrupt(effect)
            elif (answer := self.world.answer(effect, self.now)) is not None:
                heapq.heappush(self.queue, (answer[0], next(self.seq), answer[1]))
        if len(self.log) in self.crash_at:
            raise Crash
        if len(self.log) == self.stop_at:
            self.record(ev.StopRequested(self.now, "cancel"))

    def _interrupt(self, effect: fx.StopWork) -> None:
        """A performer that is cancelled reports at once what it has seen."""
        for i, (_, seq, e) in enumerate(self.queue):
            if isinstance(e, ev.AttemptEvent) and e.feature == effect.key.feature:
                cut: ev.Event = e
                if isinstance(e, ev.InvocationFinished):
                    cut = ev.InvocationFinished(self.now, e.feature, e.attempt, e.invocation, "interrupted", cost_usd=e.cost_usd / 2)
                elif isinstance(e, ev.ChecksFinished | ev.MergeChecksFinished):
                    cut = type(e)(self.now, e.feature, e.attempt, False, error="interrupted")
                self.queue[i] = (self.now, seq, cut)
        heapq.heapify(self.queue)

    def _live(self) -> RunState:
        self.record(ev.EngineStarted(self.now, 1))
        while self.state.ended is None:
            assert len(self.log) < self.max_events, "does not end"
            made = decide(self.state, self.policy, self.now)
            if made.event is not None:
                self.record(made.event)
                continue
            next_at = self.queue[0][0] if self.queue else inf
            assert min(made.wake_at, next_at) < inf, f"stuck: {self.state}"
            if next_at <= made.wake_at:
                self.now = max(self.now, next_at)
                self.record(heapq.heappop(self.queue)[2])
            else:
                self.now = max(self.now, made.wake_at)
        return self.state

    def check_invariants(self) -> None:
        s = self.state
        assert s.working() <= self.policy.max_parallel
        assert sum(len(s.stages[stage]) for stage in INTEGRATING) <= 1, "the integration branch has one writer"
        if self.policy.max_cost_usd is not None:
            assert s.ledger.spent_usd + s.ledger.reserved_usd <= self.policy.max_cost_usd + 1e-6
        for stage, fids in s.stages.items():
            for fid in fids:
                a, f = s.attempt(fid), s.features[fid]
                assert a.stage is stage
                if stage in INTEGRATING:
                    assert f.unintegrated == 0, f"{fid} is integrated before its dependencies"
                for d in s.plan.features[fid].depends_on:
                    ready = s.features[d].ended == "integrated" if s.plan.start_on == "integrated" else s.features[d].head
                    assert ready or stage is Stage.ENDED, f"{fid} started before {d}"


def replay(plan: Plan, log: list[ev.Event]) -> RunState:
    """The state that the log alone gives."""
    state = fresh(RUN, plan, "base")
    for event in log:
        evolve(state, event)
    return state
