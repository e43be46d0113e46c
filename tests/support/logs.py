"""Believable logs: whole runs as sequences of events, told in a few words each.

Every sequence here is one that the rules could have written: a test folds them all into the core's own state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from orchestrate.core import events as ev
from orchestrate.core import names
from orchestrate.core.plan import Command, Estimate, Feature, Plan, Schedule, StartOn, build_plan

RUN = "20261121-111415-7f3a"
START = 1_795_000_000.0
BRANCH = f"orch/{RUN}/integration"
ANNA = "anna@laptop"
TESTS = Command("tests", "pytest -q")


def commit(text: str) -> str:
    """A commit id that is always the same for the same words."""
    return hashlib.sha1(text.encode()).hexdigest()


BASE = commit("base")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A plan and the log of a run of it."""

    plan: Plan
    events: tuple[ev.Event, ...]

    @property
    def end(self) -> float:
        return self.events[-1].at


def a_plan(*edges: tuple[str, ...], start_on: StartOn = "verified", schedule: Schedule = "ready") -> Plan:
    """`("api", "db")`: api depends on db."""
    return build_plan([a_feature(*edge) for edge in edges], start_on=start_on, schedule=schedule)


def a_feature(fid: str, *needs: str) -> Feature:
    return Feature(
        fid,
        name=f"The {fid} part",
        prompt=f"Build {fid}.",
        depends_on=needs,
        model="opus",
        verify=(TESTS,),
        estimate=Estimate(40_000, 0.5, 60.0, "feature list"),
    )


DIAMOND = (("db",), ("api", "db"), ("web", "db"), ("dash", "api", "web"))


@dataclass
class Teller:
    """Tells a run step by step. Time passes only where a step takes some."""

    plan: Plan
    now: float = START
    events: list[ev.Event] = field(default_factory=list)
    tip: str = BASE
    _number: dict[str, int] = field(default_factory=dict)
    _n: dict[str, int] = field(default_factory=dict)
    _invocation: dict[str, int] = field(default_factory=dict)
    _head: dict[str, str] = field(default_factory=dict)

    def scenario(self) -> Scenario:
        return Scenario(self.plan, tuple(self.events))

    def tell(self, event: ev.Event) -> None:
        self.events.append(event)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    # ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, plan_text: str = "{}") -> None:
        self.tell(
            ev.RunStarted(
                self.now, RUN, "shop", BASE, "main", BRANCH, plan_text, version="0.1.0", inputs=commit("inputs")
            )
        )
        self.engine(pid=100)

    def engine(self, pid: int = 200) -> None:
        self.tell(ev.EngineStarted(self.now, pid, "laptop", "0.1.0"))

    def end(self, status: ev.RunEnd, why: str = "") -> None:
        self.tell(ev.RunEnded(self.now, status, why))

    # ── what people ask for, and what the machine forces ─────────────────────────────────────────────────────────

    def pause(self, by: str = ANNA, *, now: bool = False, control: int = 0) -> None:
        self.tell(ev.PauseRequested(self.now, by, control, now=now))

    def resume(self, by: str = ANNA, *, control: int = 0) -> None:
        self.tell(ev.ResumeRequested(self.now, by, control))

    def run_out_of_room(self, cause: ev.HoldCause = "disk", why: str = "0.1 GB are free") -> None:
        self.tell(ev.PauseRequested(self.now, "engine", cause=cause, now=cause == "disk", why=why))

    def have_room(self, cause: ev.HoldCause = "disk") -> None:
        self.tell(ev.ResumeRequested(self.now, "engine", cause=cause))

    def cancel(self, *features: str, by: str = ANNA, control: int = 0) -> None:
        self.tell(ev.CancelRequested(self.now, by, control, features))

    def ask_again(self, *features: str, by: str = ANNA, control: int = 0) -> None:
        self.tell(ev.RetryRequested(self.now, by, control, features))

    def reopen(self, *features: str) -> None:
        for fid in features:
            self.tell(ev.FeatureReopened(self.now, fid))

    # ── steps of an attempt ──────────────────────────────────────────────────────────────────────────────────────

    def _decided(self, fid: str) -> tuple[float, str, int, int]:
        """at, feature, attempt, n: what every decided event begins with."""
        self._n[fid] += 1
        return self.now, fid, self._number[fid], self._n[fid]

    def _seen(self, fid: str) -> tuple[float, str, int]:
        return self.now, fid, self._number[fid]

    def start(self, fid: str) -> None:
        self._number[fid] = self._number.get(fid, 0) + 1
        self._n[fid] = self._invocation[fid] = 0
        needs = self.plan.features[fid].depends_on
        self.tell(ev.AttemptStarted(*self._decided(fid), tuple(self._head[need] for need in needs) or (BASE,)))

    def prepare(self, fid: str, takes: float = 2.0) -> None:
        self.wait(takes)
        key = names.AttemptKey(RUN, fid, self._number[fid])
        base = commit(f"base of {key}") if self.plan.features[fid].depends_on else BASE
        path = f"/home/u/shop.worktrees/{names.worktree_dir(key)}"
        self.tell(ev.WorktreePrepared(*self._seen(fid), base, names.attempt_branch(key), path, 41000, takes))

    def invoke(self, fid: str, phase: ev.Phase = "edit", feedback: str = "") -> None:
        self._invocation[fid] += 1
        session = names.session_id(names.AttemptKey(RUN, fid, self._number[fid]), 1)
        self.tell(
            ev.InvocationStarted(
                *self._decided(fid), self._invocation[fid], phase, session, phase != "edit", 1800.0, feedback=feedback
            )
        )

    def progress(self, fid: str, action: str, takes: float = 1.0, cost: float = 0.01) -> None:
        self.wait(takes)
        self.tell(
            ev.InvocationProgressed(
                *self._seen(fid), self._invocation[fid], action, 2, ev.Tokens(10, 200, 3000, 40), cost
            )
        )

    def finish(
        self,
        fid: str,
        end: ev.InvocationEnd = "done",
        *,
        why: str = "",
        takes: float = 50.0,
        cost: float = 0.25,
        estimated: bool = False,
        said: str = "I have done it.",
        denials: tuple[str, ...] = (),
        resets_at: float | None = None,
    ) -> None:
        self.wait(takes)
        number = self._invocation[fid]
        self.tell(
            ev.InvocationFinished(
                *self._seen(fid), number, end, why, said, cost, estimated, ev.Tokens(1000, 2000, 30_000, 4000), 7,
                denials, resets_at, 0 if end == "done" else 1, takes,
                session=names.session_id(names.AttemptKey(RUN, fid, self._number[fid]), 1),
                model="claude-opus-4-1", artifact=f"{fid}/{self._number[fid]}/agent-{number}.jsonl",
            )
        )  # fmt: skip

    def save(self, fid: str, takes: float = 60.0) -> None:
        """The state of its worktree, while the agent works."""
        self.wait(takes)
        self.tell(ev.WorkSaved(*self._seen(fid), commit(f"{fid} at {self.now}")))

    def break_off(self, fid: str, why: str, *, takes: float = 1.0, cost: float = 0.05) -> None:
        """The agent is ended by us, and the attempt parked."""
        self.stop(fid, "interrupted", why)
        self.finish(fid, "interrupted", takes=takes, cost=cost)
        self.park(fid, why)

    def seal(self, fid: str, changed: int = 3) -> None:
        self.tell(ev.SealStarted(*self._decided(fid)))
        self.wait(0.5)
        head = commit(f"{fid} {self._number[fid]} {self._invocation[fid]}")
        self._head[fid] = head
        self.tell(ev.WorkSealed(*self._seen(fid), head, commit(f"tree {head}"), changed, 40, 2, 1, duration_s=0.5))

    def check(self, fid: str, *, tail: str = "", takes: float = 5.0) -> None:
        """Passes, unless a tail says what was wrong."""
        self.tell(ev.ChecksStarted(*self._decided(fid), self._head[fid]))
        self.wait(takes)
        self.tell(ev.ChecksFinished(*self._seen(fid), not tail, (_result(tail, takes),), duration_s=takes))

    def verify(self, fid: str) -> None:
        head = self._head[fid]
        self.tell(ev.AttemptVerified(*self._decided(fid), head, commit(f"tree {head}")))

    def merge(self, fid: str, *conflicts: str, takes: float = 0.5) -> None:
        self.tell(ev.MergeStarted(*self._decided(fid), self._head[fid], self.tip))
        self.wait(takes)
        if conflicts:
            why = f"conflicts in {', '.join(conflicts)}"
            self.tell(ev.MergeFinished(*self._seen(fid), "conflict", paths=conflicts, why=why, duration_s=takes))
            return
        merged = commit(f"merge {self._head[fid]} into {self.tip}")
        self.tell(ev.MergeFinished(*self._seen(fid), "merged", merged, commit(f"tree {merged}"), duration_s=takes))

    def prove(self, fid: str, *, tail: str = "", takes: float = 5.0) -> None:
        """Checks on the merged tree."""
        self.tell(ev.MergeChecksStarted(*self._decided(fid), self._merged(fid)))
        self.wait(takes)
        self.tell(ev.MergeChecksFinished(*self._seen(fid), not tail, (_result(tail, takes),), duration_s=takes))

    def publish(self, fid: str) -> None:
        merged = self._merged(fid)
        self.tell(ev.PublishStarted(*self._decided(fid), merged, self.tip))
        self.wait(0.1)
        self.tip = merged
        self.tell(ev.Published(*self._seen(fid), True, merged))

    def _merged(self, fid: str) -> str:
        return commit(f"merge {self._head[fid]} into {self.tip}")

    def stop(self, fid: str, outcome: ev.Outcome, why: str) -> None:
        self.tell(ev.AttemptStopping(*self._decided(fid), outcome, why))

    def park(self, fid: str, why: str) -> None:
        self.tell(ev.AttemptParked(*self._decided(fid), why))

    def conclude(self, fid: str, outcome: ev.Outcome, why: str = "", *, retry_in: float | None = None) -> None:
        retry_at = 0.0 if retry_in is None else self.now + retry_in
        self.tell(ev.AttemptEnded(*self._decided(fid), outcome, why, retry_in is not None, retry_at))

    def lose(self, fid: str, why: str) -> None:
        effect = f"{RUN}.{fid}.{self._number[fid]}.{self._n[fid]}"
        self.tell(ev.EffectLost(*self._seen(fid), effect, why))

    def skip(self, fid: str, why: str) -> None:
        self.tell(ev.FeatureSkipped(self.now, fid, why))

    def give_up(self, fid: str, why: str) -> None:
        self.tell(ev.FeatureCancelled(self.now, fid, why))

    # ── longer steps ─────────────────────────────────────────────────────────────────────────────────────────────

    def work(self, fid: str, takes: float = 50.0, cost: float = 0.25) -> None:
        """From the start to verified."""
        self.start(fid)
        self.prepare(fid)
        self.invoke(fid)
        self.progress(fid, f"Edit {fid}.py")
        self.finish(fid, takes=takes, cost=cost)
        self.seal(fid)
        self.check(fid)
        self.verify(fid)

    def go_on(self, fid: str, takes: float = 50.0, cost: float = 0.25) -> None:
        """From where its agent was cut off to verified."""
        self.invoke(fid, "proceed")
        self.finish(fid, takes=takes, cost=cost)
        self.seal(fid)
        self.check(fid)
        self.verify(fid)

    def integrate(self, fid: str) -> None:
        self.merge(fid)
        self.prove(fid)
        self.publish(fid)
        self.conclude(fid, "integrated")


def _result(tail: str, takes: float) -> ev.CheckResult:
    return ev.CheckResult(
        TESTS.name, TESTS.run, not tail, 1 if tail else 0, False, takes, tail or "3 passed", "checks.log"
    )


# ── whole runs ───────────────────────────────────────────────────────────────────────────────────────────────────

FAILURE = "E   AssertionError: 2 != 3\nFAILED tests/test_api.py::test_sum\n1 failed, 2 passed"


def happy_diamond() -> Scenario:
    """Four features, two of them side by side; all integrated."""
    t = Teller(a_plan(*DIAMOND))
    t.begin()
    t.work("db")
    t.start("api")
    t.start("web")
    t.integrate("db")
    t.prepare("api", 0.0)
    t.prepare("web", 1.0)
    t.invoke("api")
    t.invoke("web")
    t.finish("api", takes=30.0)
    t.seal("api")
    t.check("api")
    t.verify("api")
    t.finish("web", takes=20.0, cost=0.75)
    t.seal("web")
    t.check("web")
    t.verify("web")
    t.start("dash")
    t.integrate("api")
    t.integrate("web")
    t.prepare("dash")
    t.invoke("dash")
    t.finish("dash", takes=40.0)
    t.seal("dash")
    t.check("dash")
    t.verify("dash")
    t.integrate("dash")
    t.end("done")
    return t.scenario()


def rework() -> Scenario:
    """The check fails once; the same session mends it. The agent's figures are estimates the second time."""
    t = Teller(a_plan(("api",)))
    t.begin()
    t.start("api")
    t.prepare("api")
    t.invoke("api")
    t.finish("api", denials=("Bash(curl example.org)",))
    t.seal("api")
    t.check("api", tail=FAILURE)
    t.invoke("api", "rework", feedback=FAILURE)
    t.finish("api", takes=20.0, cost=0.10, estimated=True)
    t.seal("api")
    t.check("api")
    t.verify("api")
    t.integrate("api")
    t.end("done")
    return t.scenario()


def retry() -> Scenario:
    """The first attempt ends without a change and is tried again, after a pause."""
    t = Teller(a_plan(("api",), ("web", "api")))
    t.begin()
    t.start("api")
    t.prepare("api")
    t.invoke("api")
    t.finish("api", "crashed", why="it ended without an answer", said="")
    t.conclude("api", "failed", "it ended without an answer", retry_in=10.0)
    t.wait(10.0)
    t.work("api")
    t.start("web")
    t.integrate("api")
    t.prepare("web")
    t.invoke("web")
    t.finish("web")
    t.seal("web")
    t.check("web")
    t.verify("web")
    t.integrate("web")
    t.end("done")
    return t.scenario()


def conflict() -> Scenario:
    """Two features change the same line; the second cannot be merged, a third depends on it."""
    t = Teller(a_plan(("api",), ("web",), ("dash", "web")))
    t.begin()
    t.work("api")
    t.work("web")
    t.integrate("api")
    t.merge("web", "app.py", "we`ird|.py")
    t.conclude("web", "conflicted", "conflicts in app.py, we`ird|.py")
    t.skip("dash", "web was in conflict")
    t.end("incomplete", "2 of 3 features were not integrated")
    return t.scenario()


def failed_and_skipped() -> Scenario:
    """The check fails for good; what depends on it is skipped, what does not is integrated."""
    t = Teller(a_plan(("db",), ("api", "db"), ("dash", "api"), ("docs",)))
    t.begin()
    t.start("db")
    t.prepare("db")
    phases: tuple[ev.Phase, ...] = ("edit", "rework", "rework")
    for phase in phases:
        t.invoke("db", phase, feedback=FAILURE if phase == "rework" else "")
        t.finish("db", said="```\n# All is well\n```\n<script>alert(1)</script> | [x](http://evil) \x1b[31mred")
        t.seal("db")
        t.check("db", tail=f"```\n</pre>\n{FAILURE}\n````")
    t.conclude("db", "failed", "checks failed: tests")
    t.skip("api", "db failed")
    t.skip("dash", "api was skipped")
    t.work("docs")
    t.integrate("docs")
    t.end("incomplete", "3 of 4 features were not integrated")
    return t.scenario()


def merged_checks_fail() -> Scenario:
    """Green alone, red when merged."""
    t = Teller(a_plan(("api",), ("web",)))
    t.begin()
    t.work("api")
    t.work("web")
    t.integrate("api")
    t.merge("web")
    t.prove("web", tail=FAILURE)
    t.conclude("web", "failed", "checks failed after merging: tests")
    t.end("incomplete", "1 of 2 features were not integrated")
    return t.scenario()


def cancelled() -> Scenario:
    """An operator stops one feature; the agent is ended while it works."""
    t = Teller(a_plan(("api",), ("web", "api")))
    t.begin()
    t.start("api")
    t.prepare("api")
    t.invoke("api")
    t.progress("api", "Bash sleep")
    t.stop("api", "cancelled", "cancelled by a person")
    t.finish("api", "interrupted", takes=1.0, cost=0.02, estimated=True)
    t.conclude("api", "cancelled", "cancelled by a person")
    t.skip("web", "api was cancelled")
    t.end("incomplete", "2 of 2 features were not integrated")
    return t.scenario()


def limit() -> Scenario:
    """The account's usage limit: the attempt is parked with its session, the rest never starts."""
    t = Teller(a_plan(("db",), ("api", "db"), ("web",)))
    t.begin()
    t.start("db")
    t.prepare("db")
    t.invoke("db")
    t.finish("db", "limit", why="usage limit reached", resets_at=START + 7200.0)
    t.park("db", "usage limit reached")
    t.end("limit", "usage limit reached")
    return t.scenario()


def restart() -> Scenario:
    """The engine is killed while an agent works and another feature waits to be merged; a new one goes on."""
    t = Teller(a_plan(("db",), ("api",)))
    t.begin()
    t.work("db")
    t.start("api")
    t.prepare("api")
    t.invoke("api")
    t.progress("api", "Read api.py", takes=10.0)
    t.wait(3600.0)
    t.engine()
    t.integrate("db")
    t.invoke("api", "proceed")
    t.finish("api")
    t.seal("api")
    t.check("api")
    t.verify("api")
    t.integrate("api")
    t.end("done")
    return t.scenario()


def interrupted() -> Scenario:
    """Ctrl-C twice: the agent is ended and its attempt parked, one feature never started."""
    t = Teller(a_plan(("api",), ("web", "api")))
    t.begin()
    t.start("api")
    t.prepare("api")
    t.invoke("api")
    t.progress("api", "Edit api.py")
    t.tell(ev.StopRequested(t.now, "drain", "SIGINT"))
    t.wait(1.0)
    t.tell(ev.StopRequested(t.now, "cancel", "SIGINT"))
    t.stop("api", "interrupted", "stopped while working")
    t.finish("api", "interrupted", takes=0.5, cost=0.05)
    t.park("api", "stopped while working")
    t.end("interrupted", "stopped by Ctrl-C")
    return t.scenario()


def postponed() -> Scenario:
    """The heads of two dependencies do not merge with one another: the dependent waits for the integration of both."""
    t = Teller(a_plan(("api",), ("web",), ("dash", "api", "web")))
    t.begin()
    t.work("api")
    t.work("web")
    t.start("dash")
    t.integrate("api")
    t.wait(1.0)
    t.tell(ev.WorktreeFailed(*t._seen("dash"), "conflict", "app.py", 1.0))
    t.conclude("dash", "postponed", "waits for its dependencies to be integrated: app.py", retry_in=0.0)
    t.integrate("web")
    t.work("dash")
    t.integrate("dash")
    t.tell(ev.Warned(t.now, "dash", "the disk is nearly full"))
    t.end("done")
    return t.scenario()


def lost_step() -> Scenario:
    """A performer dies without an answer while the checks run; they are run again."""
    t = Teller(a_plan(("api",)))
    t.begin()
    t.start("api")
    t.prepare("api")
    t.invoke("api")
    t.finish("api")
    t.seal("api")
    t.tell(ev.ChecksStarted(*t._decided("api"), t._head["api"]))
    t.wait(3.0)
    t.lose("api", "the performer of RunChecks died")
    t.check("api")
    t.verify("api")
    t.integrate("api")
    t.end("done")
    return t.scenario()


def under_way() -> Scenario:
    """A run in the middle: one merging, one working, one waiting for a slot, one for its dependencies."""
    t = Teller(a_plan(("db",), ("api", "db"), ("web", "db"), ("dash", "api", "web")))
    t.begin()
    t.work("db")
    t.start("api")
    t.merge("db")
    t.prepare("api")
    t.invoke("api")
    t.progress("api", "Edit \x1b[2J api.py")
    return t.scenario()


def just_begun() -> Scenario:
    """Nothing but the first two events."""
    t = Teller(a_plan(*DIAMOND))
    t.begin()
    return t.scenario()


def paused() -> Scenario:
    """A person pauses: what runs is finished and merged, the next feature waits an hour until another person resumes."""
    t = Teller(a_plan(("api",), ("web",)))
    t.begin()
    t.start("api")
    t.prepare("api")
    t.invoke("api")
    t.progress("api", "Edit api.py")
    t.pause(control=1)
    t.finish("api")
    t.seal("api")
    t.check("api")
    t.verify("api")
    t.integrate("api")
    t.wait(3600.0)
    t.resume("bob@desk", control=2)
    t.work("web")
    t.integrate("web")
    t.end("done")
    return t.scenario()


def standing_still() -> Scenario:
    """Paused at once and not resumed yet: one agent was ended, one feature is merged, one has not begun."""
    t = Teller(a_plan(("db",), ("api",), ("web",), ("dash", "web")))
    t.begin()
    t.work("db")
    t.start("api")
    t.prepare("api")
    t.invoke("api")
    t.save("api")
    t.pause(now=True, control=1)
    t.break_off("api", f"paused by {ANNA}")
    t.integrate("db")
    return t.scenario()


def cancelled_and_retried() -> Scenario:
    """One feature is cancelled at work, one before it began; the run ends, and one of them is tried again the next day."""
    t = Teller(a_plan(("api",), ("web", "api"), ("docs",), ("faq", "docs")))
    t.begin()
    t.start("api")
    t.prepare("api")
    t.invoke("api")
    t.save("api")
    t.cancel("api", "faq", control=1)
    t.stop("api", "cancelled", f"cancelled by {ANNA}")
    t.give_up("faq", f"cancelled by {ANNA}")
    t.finish("api", "interrupted", takes=1.0, cost=0.02)
    t.conclude("api", "cancelled", f"cancelled by {ANNA}")
    t.skip("web", "api was cancelled")
    t.work("docs")
    t.integrate("docs")
    t.end("incomplete", "3 of 4 features were not integrated")
    t.wait(86_400.0)
    t.ask_again("api", control=2)
    t.engine()
    t.reopen("api", "web")
    t.work("api")
    t.integrate("api")
    t.work("web")
    t.integrate("web")
    t.end("incomplete", "1 of 4 features were not integrated")
    return t.scenario()


def disk_full() -> Scenario:
    """The disk fills while an agent works: it is ended with its work saved, and goes on by itself when there is room."""
    t = Teller(a_plan(("api",)))
    t.begin()
    t.start("api")
    t.prepare("api")
    t.invoke("api")
    t.save("api")
    t.run_out_of_room()
    t.break_off("api", "0.1 GB are free")
    t.wait(600.0)
    t.have_room()
    t.go_on("api")
    t.integrate("api")
    t.end("done")
    return t.scenario()


def killed_and_resumed() -> Scenario:
    """The engine is killed while it is paused and one agent still works; the pause outlives it and is ended first."""
    t = Teller(a_plan(("api",), ("web",)))
    t.begin()
    t.start("api")
    t.prepare("api")
    t.invoke("api")
    t.save("api")
    t.pause(control=1)
    t.save("api")
    t.wait(28_800.0)
    t.resume(control=2)
    t.engine()
    t.go_on("api")
    t.integrate("api")
    t.work("web")
    t.integrate("web")
    t.end("done")
    return t.scenario()


SCENARIOS: dict[str, Callable[[], Scenario]] = {
    made.__name__: made
    for made in (
        happy_diamond, rework, retry, conflict, failed_and_skipped, merged_checks_fail, cancelled, limit, restart,
        interrupted, postponed, lost_step, under_way, just_begun,
        paused, standing_still, cancelled_and_retried, disk_full, killed_and_resumed,
    )
}  # fmt: skip
