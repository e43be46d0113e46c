"""The transition table is the whole truth: every pair is tried, and every entry is told in some playbook."""

from __future__ import annotations

import importlib
import inspect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrate.core import events as ev
from orchestrate.core.attempt import BEFORE, TRANSITIONS, Stage
from orchestrate.core.plan import Feature
from orchestrate.core.state import evolve

from .playbook import ANSWERS, UNIT, Playbook, See, build_playbook, see

ATTEMPT_EVENTS = sorted(
    {c for c in vars(ev).values() if isinstance(c, type) and issubclass(c, ev.AttemptEvent)}
    - {ev.AttemptEvent, ev.DecidedAttemptEvent, ev.AttemptStarted},
    key=lambda c: c.__name__,
)
ALL_EVENTS = {c for c in vars(ev).values() if isinstance(c, type) and issubclass(c, ev.Event)} - {
    ev.Event, ev.Control, ev.AttemptEvent, ev.DecidedAttemptEvent,
}  # fmt: skip

DECIDED: dict[type[ev.Event], dict[str, Any]] = {
    ev.InvocationStarted: {"invocation": 1, "phase": "edit", "session": "s", "resume": False, "timeout_s": 1.0},
    ev.ChecksStarted: {"head": "h"},
    ev.AttemptVerified: {"head": "h", "tree": "t"},
    ev.MergeStarted: {"head": "h", "onto": "o"},
    ev.MergeChecksStarted: {"commit": "c"},
    ev.PublishStarted: {"commit": "c", "onto": "o"},
    ev.AttemptStopping: {"outcome": "interrupted", "why": "w"},
    ev.AttemptParked: {"why": "w"},
    ev.AttemptEnded: {"outcome": "failed"},
}


def standing_in(stage: Stage) -> Playbook:
    book = build_playbook(Feature("a", verify=(UNIT,), max_attempts=1))
    if stage in (Stage.READY, Stage.QUEUED, Stage.MERGED):
        before = {Stage.READY: Stage.PREPARING, Stage.QUEUED: Stage.CHECKING, Stage.MERGED: Stage.MERGING}[stage]
        book.to("a", before)
        book.record(book._observation(See(ANSWERS[before], "a", {})), ">>")
        return book.to("a", stage)
    if stage is Stage.ENDED:
        book.to("a", Stage.INVOKING) >> see(ev.InvocationFinished, "a", end="config")
    return book.to("a", stage)


@pytest.mark.parametrize("stage", Stage, ids=lambda s: s.value)
@pytest.mark.parametrize("cls", ATTEMPT_EVENTS, ids=lambda c: c.__name__)
def test_an_event_comes_only_where_the_table_allows_it(cls: type[ev.AttemptEvent], stage: Stage) -> None:
    book = standing_in(stage)
    attempt = book.state.attempt("a")
    given = DECIDED.get(cls, {}) | ({"n": attempt.n + 1} if issubclass(cls, ev.DecidedAttemptEvent) else {})
    event = book._observation(See(cls, "a", given))
    allowed, after = TRANSITIONS[cls]
    if stage not in allowed:
        with pytest.raises(AssertionError, match="cannot happen"):
            evolve(book.state, event)
        return
    evolve(book.state, event)
    expected = BEFORE[stage] if cls is ev.EffectLost else after or stage
    assert attempt.stage is expected
    assert [s for s in Stage if "a" in book.state.stages[s]] == [s for s in [expected] if s is not Stage.ENDED]


def test_the_table_knows_every_event_of_an_attempt() -> None:
    assert set(TRANSITIONS) == set(ATTEMPT_EVENTS)


def test_the_events_of_another_attempt_or_out_of_step_cannot_be() -> None:
    state = standing_in(Stage.INVOKING).state
    with pytest.raises(AssertionError, match="cannot happen to attempt 1"):
        evolve(state, ev.InvocationProgressed(1.0, "a", 2, 1))
    with pytest.raises(AssertionError, match="is not decision 3"):
        evolve(state, ev.AttemptStopping(1.0, "a", 1, 7, "skipped", "w"))
    with pytest.raises(AssertionError, match="cannot happen"):
        evolve(state, ev.AttemptStarted(1.0, "a", 2, 1))
    with pytest.raises(AssertionError, match="unknown event"):
        evolve(state, ev.Event(1.0))


def playbooks() -> Iterator[tuple[Callable[..., None], dict[str, Any]]]:
    """Every playbook of this folder, with each of its parameters."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path.stem == "test_table":
            continue
        module = importlib.import_module(f"{__package__}.{path.stem}")
        for name, test in inspect.getmembers(module, inspect.isfunction):
            if not name.startswith("test_") or "playbook" not in inspect.signature(test).parameters:
                continue
            marks = [m for m in getattr(test, "pytestmark", []) if m.name == "parametrize"]
            for values in itertools.product(*(m.args[1] for m in marks)):
                given: dict[str, Any] = {}
                for mark, value in zip(marks, values, strict=True):
                    names = [mark.args[0]] if isinstance(mark.args[0], str) else list(mark.args[0])
                    given |= dict(zip(names, [value] if isinstance(mark.args[0], str) else value, strict=True))
                yield test, given


def test_every_transition_and_every_event_is_told_in_a_playbook() -> None:
    told: set[tuple[type[ev.Event], Stage | None]] = set()
    for test, given in playbooks():
        books: list[Playbook] = []

        def build(*args: Any, books: list[Playbook] = books, **kwargs: Any) -> Playbook:
            books.append(build_playbook(*args, **kwargs))
            return books[-1]

        test(playbook=build, **given)
        told |= {transition for book in books for transition in book.transitions}
    table = {(cls, stage) for cls, (allowed, _) in TRANSITIONS.items() for stage in allowed}
    untold = sorted(f"{cls.__name__} in {stage.value}" for cls, stage in table - told)
    assert untold == []
    assert {cls.__name__ for cls in ALL_EVENTS} - {cls.__name__ for cls, _ in told} == set()


def test_a_playbook_shows_what_differs() -> None:
    book = build_playbook(Feature("a"))
    with pytest.raises(AssertionError) as caught:
        book << replace_wanted("b")
    text = str(caught.value)
    assert "expected AttemptStarted(feature='b', attempt=1)" in text
    assert "  feature: expected 'b', got 'a'" in text
    assert ">> EngineStarted(pid=1" in text


def replace_wanted(feature: str) -> Any:
    from .playbook import expect

    return replace(expect(ev.AttemptStarted, feature, attempt=1))


def test_a_playbook_that_stops_short_fails() -> None:
    book = build_playbook(Feature("a"))
    for act in (book.finish, lambda: book.wait(1.0), lambda: book >> see(ev.Warned, "a", message="m")):
        with pytest.raises(
            AssertionError, match=r"this is decided and was not expected:\n  AttemptStarted\(feature='a'"
        ):
            act()
    assert {f.name for f in fields(ev.AttemptStarted)} == {"at", "feature", "attempt", "n", "parents"}
