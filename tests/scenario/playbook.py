"""A run told as a score: `book >> see(…)` is observed, `book << expect(…)` must be the next thing decided.

Invariant: nothing is observed, and no time passes, while a decision is due that the score does not name; a score that
stops short of one fails too (see conftest).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any

from orchestrate.core import events as ev
from orchestrate.core.attempt import Stage
from orchestrate.core.decide import decide
from orchestrate.core.plan import Command, Feature, Schedule, StartOn, build_plan
from orchestrate.core.policy import Policy
from orchestrate.core.state import RunState, evolve, fresh

RUN = "20260102-030405-beef"
UNIT = Command("unit", "pytest -q")
GREEN = ev.CheckResult("unit", "pytest -q", ok=True, exit_code=0)
RED = ev.CheckResult("unit", "pytest -q", ok=False, exit_code=1, tail="assert 1 == 2")


@dataclass(frozen=True)
class See:
    """An observation; what the score does not say is filled in from the state (attempt, invocation, time)."""

    cls: type[ev.Event]
    feature: str
    given: dict[str, Any]


@dataclass(frozen=True)
class Expect:
    """The next decision: its class, and those of its fields that matter here."""

    cls: type[ev.Event]
    wanted: dict[str, Any]


@dataclass(frozen=True)
class Quiet:
    """Nothing is due before `until` (Unix seconds; None: not looked at)."""

    until: float | None = None


def see(cls: type[ev.Event], feature: str = "", **given: Any) -> See:
    return See(cls, feature, given)


def expect(cls: type[ev.Event], feature: str = "", **wanted: Any) -> Expect:
    return Expect(cls, ({"feature": feature} if feature else {}) | wanted)


def quiet(until: float | None = inf) -> Quiet:
    return Quiet(until)


class Misplayed(AssertionError):
    """The rules do not follow the score."""


@dataclass
class Playbook:
    state: RunState
    policy: Policy = field(default_factory=Policy)
    now: float = 1000.0
    told: list[str] = field(default_factory=list)
    transitions: set[tuple[type[ev.Event], Stage | None]] = field(default_factory=set)
    """Every (event, stage before it) of this score."""

    def __rshift__(self, seen: See | tuple[See, ...]) -> Playbook:
        """A tuple comes in one breath: nothing is decided between its members."""
        breath = seen if isinstance(seen, tuple) else (seen,)
        self._assert_quiet(f">> {breath[0].cls.__name__}")
        for one in breath:
            self.record(self._observation(one), ">>")
        return self

    def __lshift__(self, wanted: Expect | Quiet) -> Playbook:
        made = decide(self.state, self.policy, self.now)
        if isinstance(wanted, Quiet):
            self._assert_quiet("<< quiet")
            if wanted.until is not None and made.wake_at != wanted.until:
                raise self._misplayed(f"expected to sleep until {wanted.until}, sleeps until {made.wake_at}")
            return self
        if made.event is None:
            raise self._misplayed(f"expected {wanted.cls.__name__}({_render(wanted.wanted)}), nothing is decided")
        differing = [
            f"  {name}: expected {value!r}, got {getattr(made.event, name, '<no such field>')!r}"
            for name, value in wanted.wanted.items()
            if getattr(made.event, name, None) != value
        ]
        if type(made.event) is not wanted.cls or differing:
            shown = f"expected {wanted.cls.__name__}({_render(wanted.wanted)})\ndecided  {_show(made.event)}"
            raise self._misplayed("\n".join([shown, *differing]))
        self.record(made.event, "<<")
        return self

    def wait(self, seconds: float) -> Playbook:
        """Time passes; nothing may be due before it does."""
        self._assert_quiet(f"wait {seconds:g} s")
        self.now += seconds
        self.told.append(f".. {seconds:g} s")
        return self

    def to(self, feature: str, stage: Stage) -> Playbook:
        """Play the happy path of one feature until it stands there; what is decided on the way is not looked at."""
        for _ in range(60):
            f = self.state.features[feature]
            if f.attempt is not None and f.attempt.stage is stage:
                return self
            made = decide(self.state, self.policy, self.now)
            if made.event is not None:
                self.record(made.event, "<<")
            elif f.attempt is not None and f.attempt.stage in ANSWERS:
                self.record(self._observation(See(ANSWERS[f.attempt.stage], feature, {})), ">>")
            else:
                break
        raise self._misplayed(f"{feature} never comes to stand in {stage.value}")

    def record(self, event: ev.Event, sign: str) -> None:
        before = None
        if isinstance(event, ev.AttemptEvent) and not isinstance(event, ev.AttemptStarted):
            attempt = self.state.features[event.feature].attempt
            before = attempt.stage if attempt else None
        self.told.append(f"{sign} {_show(event)}")
        evolve(self.state, event)
        self.transitions.add((type(event), before))

    def finish(self) -> None:
        """The score is over: nothing that was decided is left unsaid."""
        self._assert_quiet("the end of the score")

    def outcome(self, feature: str) -> tuple[ev.Outcome | None, str]:
        return self.state.features[feature].ended, self.state.features[feature].why

    def _observation(self, seen: See) -> ev.Event:
        names = {f.name for f in fields(seen.cls)}
        known: dict[str, Any] = {"at": self.now}
        if seen.feature:
            known |= {"feature": seen.feature}
        if "attempt" in names:
            known |= {"attempt": self.state.features[seen.feature].number}
            known |= PLAINLY.get(seen.cls, {})
            known |= BY_STATE[seen.cls](self.state, seen.feature) if seen.cls in BY_STATE else {}
        return seen.cls(**(known | seen.given))

    def _assert_quiet(self, where: str) -> None:
        made = decide(self.state, self.policy, self.now)
        if made.event is not None:
            raise self._misplayed(f"before {where}, this is decided and was not expected:\n  {_show(made.event)}")

    def _misplayed(self, message: str) -> Misplayed:
        return Misplayed("\n".join(["", *self.told[-12:], "-" * 40, message]))


ANSWERS: dict[Stage, type[ev.Event]] = {
    Stage.PREPARING: ev.WorktreePrepared,
    Stage.INVOKING: ev.InvocationFinished,
    Stage.SEALING: ev.WorkSealed,
    Stage.CHECKING: ev.ChecksFinished,
    Stage.MERGING: ev.MergeFinished,
    Stage.PROVING: ev.MergeChecksFinished,
    Stage.PUBLISHING: ev.Published,
}
"""What ends each stage that has an effect under way."""


def _merged(s: RunState, fid: str) -> dict[str, Any]:
    return {"kind": "merged", "commit": f"{s.integration_head}+{fid}", "tree": f"tree of {s.integration_head}+{fid}"}


def _published(s: RunState, fid: str) -> dict[str, Any]:
    merge = s.attempt(fid).merge
    return {"ok": True, "commit": merge.commit if merge else ""}


def _next(s: RunState, fid: str) -> int:
    return len(s.attempt(fid).past) + 1


PLAINLY: dict[type[ev.Event], dict[str, Any]] = {
    ev.WorktreeFailed: {"kind": "git", "why": "disk full"},
    ev.ChecksFinished: {"ok": True, "checks": (GREEN,)},
    ev.MergeChecksFinished: {"ok": True, "checks": (GREEN,)},
    ev.EffectLost: {"effect": "its id", "why": "the performer died"},
}
BY_STATE: dict[type[ev.Event], Callable[[RunState, str], dict[str, Any]]] = {
    ev.WorktreePrepared: lambda s, f: {"base": "+".join(s.attempt(f).parents), "branch": f"b/{f}", "path": f"/wt/{f}"},
    ev.InvocationProgressed: lambda s, f: {"invocation": _next(s, f)},
    ev.WorkSaved: lambda s, f: {"commit": f"saved {f}"},
    ev.InvocationFinished: lambda s, f: {"invocation": _next(s, f), "end": "done", "duration_s": 60.0},
    ev.WorkSealed: lambda s, f: {"head": f"{f}{s.attempt(f).n}", "tree": f"tree of {f}{s.attempt(f).n}", "changed": 1},
    ev.MergeFinished: _merged,
    ev.Published: _published,
}
"""A good answer of each kind; a score names what differs."""


def build_playbook(
    *features: Feature, start_on: StartOn = "verified", schedule: Schedule = "ready", **policy: Any
) -> Playbook:
    """The score of a run that an engine has just begun. Extra keywords are the policy's."""
    state = fresh(RUN, build_plan(features, start_on=start_on, schedule=schedule), "base")
    book = Playbook(state, Policy(**policy))
    book.record(ev.RunStarted(book.now, RUN, "project", "base", "main", "integration", "{}"), ">>")
    book.record(ev.EngineStarted(book.now, 1), ">>")
    return book


def _show(event: ev.Event) -> str:
    return (
        f"{type(event).__name__}({_render({f.name: getattr(event, f.name) for f in fields(event) if f.name != 'at'})})"
    )


def _render(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())
