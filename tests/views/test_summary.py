"""A run in a few sentences."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrate.core import events as ev
from orchestrate.views.report_model import NextStep
from orchestrate.views.run import RunView, build_view
from orchestrate.views.summary import (
    elapsed_s,
    facts,
    headline,
    kept_attempts,
    kept_ref,
    next_steps,
    result_document,
    status_document,
    troubles,
    worktrees_at_work,
)
from tests.support.logs import (
    ANNA,
    BRANCH,
    RUN,
    START,
    Scenario,
    cancelled,
    cancelled_and_retried,
    conflict,
    failed_and_skipped,
    happy_diamond,
    just_begun,
    limit,
    restart,
    rework,
    standing_still,
    under_way,
)


def view_of(scenario: Scenario, *more: ev.Event) -> RunView:
    return build_view(scenario.plan, [*scenario.events, *more])


def cut(scenario: Scenario, count: int) -> RunView:
    """As it stood after so many events."""
    return build_view(scenario.plan, scenario.events[:count])


@pytest.mark.parametrize(
    ("view", "is_driven", "said"),
    [
        (view_of(rework()), False, "is done: 1 of 1 feature integrated in 1:28 for ~$0.35"),
        (view_of(limit()), False, "was stopped by a limit (usage limit reached): 0 of 3 features integrated in "),
        (cut(happy_diamond(), 10), True, "is running: 0 of 4 features integrated in "),
        (cut(happy_diamond(), 6), True, "is running: 0 of 4 features integrated in 1:23:20 for $0.01 so far"),
        (cut(happy_diamond(), 6), False, "broke off: 0 of 4 features integrated in 0:03 for $0.01 so far"),
        (cut(happy_diamond(), 10), False, "broke off: 0 of 4 features integrated in "),
        (view_of(conflict()), False, "ended: 1 of 3 features integrated in "),
    ],
)
def test_the_headline(view: RunView, is_driven: bool, said: str) -> None:
    assert headline(view, START + 5000.0, is_driven=is_driven).startswith(f"run {RUN} {said}")


def test_time_counts_only_while_an_engine_is_there() -> None:
    view = view_of(restart())
    assert view.ended_at is not None
    assert elapsed_s(view, 0.0) == view.ended_at - START - view.down_s
    assert view.down_s >= 3600.0
    assert elapsed_s(build_view(view.plan, []), 50.0) == 0.0


def test_troubles_name_each_that_went_wrong_but_not_what_was_skipped_for_it() -> None:
    assert troubles(view_of(failed_and_skipped())) == [("db", "failed", "check tests failed (exit 1): ````")]
    assert troubles(view_of(conflict())) == [
        (
            "web",
            "conflicted",
            "conflicts in app.py and we`ird|.py with api; merge it by hand, or let it depend on api (depends_on)",
        )
    ]
    assert troubles(view_of(cancelled())) == [("api", "cancelled", "cancelled by a person")]
    assert troubles(view_of(happy_diamond())) == []


@pytest.mark.parametrize(
    ("view", "is_driven", "commands"),
    [
        (view_of(happy_diamond()), False, [f"git merge {BRANCH}", "orchestrate cleanup --merged"]),
        (
            view_of(failed_and_skipped()),
            False,
            ["orchestrate logs db", f"git merge {BRANCH}", "orchestrate retry", "orchestrate recover"],
        ),
        (view_of(limit()), False, ["orchestrate resume"]),
        (cut(happy_diamond(), 5), True, ["orchestrate logs db -f"]),
        (cut(happy_diamond(), 2), True, []),
        (cut(happy_diamond(), 5), False, ["orchestrate resume"]),
        (cut(happy_diamond(), 5), None, ["orchestrate status"]),
        (
            view_of(limit(), ev.RunEnded(START + 9999.0, "halted", "not signed in")),
            False,
            ["orchestrate doctor", "orchestrate resume"],
        ),
    ],
)
def test_what_to_type_next(view: RunView, is_driven: bool | None, commands: list[str]) -> None:
    assert [step.command for step in next_steps(view, is_driven=is_driven)] == commands


def test_each_step_says_what_it_is_good_for() -> None:
    assert [step.why for step in next_steps(view_of(conflict()), is_driven=False)] == [
        "see why web was conflicted",
        "take over 1 feature",
        "try again what was not integrated, on the same branch",
        "see what is kept of web",
    ]


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        ("failed", "see why db failed"),
        ("no_changes", "see why db changed nothing"),
        ("cancelled", "see why db was cancelled"),
    ],
)
def test_what_became_of_a_feature_is_said_in_words(outcome: ev.Outcome, why: str) -> None:
    ended = (ev.AttemptStarted(START, "db", 1, 1), ev.AttemptEnded(START, "db", 1, 9, outcome, "so"))
    view = build_view(happy_diamond().plan, [happy_diamond().events[0], *ended, ev.RunEnded(START, "incomplete")])
    assert next_steps(view, is_driven=False)[0] == NextStep("orchestrate logs db", why)


def test_documents_name_every_feature_and_every_cent() -> None:
    view = view_of(failed_and_skipped())
    document = status_document(view, START + 1.0, engine=None)
    assert [feature["id"] for feature in document["features"]] == list(view.plan.features)
    assert document["cost_usd"] == round(sum(feature["cost_usd"] for feature in document["features"]), 6) > 0
    assert sum(document["counts"].values()) == 4
    assert document["live_cost_usd"] == 0
    result = result_document(view, "/r.json")
    assert (result["kind"], result["cost_usd"], result["report"]) == ("result", document["cost_usd"], "/r.json")


def test_what_agents_at_work_have_used_is_told_apart_from_what_is_settled() -> None:
    document = status_document(cut(happy_diamond(), 6), START + 5.0, engine={"pid": 1})
    assert (document["cost_usd"], document["live_cost_usd"], document["live_tokens"]["output"]) == (0.0, 0.01, 200)
    assert next((f["cost_usd"], f["live_cost_usd"]) for f in document["features"]) == (0.0, 0.01)


@pytest.mark.parametrize(
    ("view", "is_driven", "said"),
    [
        (view_of(standing_still()), True, f"stands still (paused by {ANNA}): 1 of 4"),
        (view_of(standing_still()), False, f"broke off (paused by {ANNA}): 1 of 4"),
        (
            view_of(just_begun(), ev.PauseRequested(START, "engine", cause="disk", why="0.1 GB are free")),
            True,
            "stands still (the disk is nearly full: 0.1 GB are free): 0 of 4",
        ),
    ],
)
def test_a_run_that_is_held_says_why(view: RunView, is_driven: bool, said: str) -> None:
    assert headline(view, START + 5000.0, is_driven=is_driven).startswith(f"run {RUN} {said} features integrated")


@pytest.mark.parametrize(
    ("asked", "words", "step"),
    [
        (
            ("drain", "SIGINT", 0),
            "stopped by Ctrl-C: nothing new starts, what runs is finished",
            "orchestrate stop --now",
        ),
        (("drain", ANNA, 4), f"stopped by {ANNA}: nothing new starts, what runs is finished", "orchestrate stop --now"),
        (("cancel", ANNA, 4), f"stopped by {ANNA}: the agents are being ended", "orchestrate logs api -f"),
    ],
)
def test_a_run_that_is_stopping_says_so_and_by_whom(asked: tuple[Any, str, int], words: str, step: str) -> None:
    """Also one that is paused: resuming would not help."""
    scenario = under_way()
    pause, stop = ev.PauseRequested(scenario.end, ANNA, 3), ev.StopRequested(scenario.end, *asked)
    view = view_of(scenario, stop, pause)
    assert headline(view, scenario.end, is_driven=True).startswith(f"run {RUN} is stopping: 0 of 4 features")
    assert facts(view, scenario.end, is_driven=True)[0] == ("stop", words)
    commands = [step.command for step in next_steps(view, is_driven=True)]
    assert commands[0] == step and "orchestrate resume" not in commands
    assert next_steps(view, is_driven=True, named=True)[0].command.count(RUN) == 1
    assert "is stopping" not in headline(view, scenario.end, is_driven=False)


def test_what_ends_a_pause_comes_first() -> None:
    def commands(view: RunView) -> list[str]:
        return [step.command for step in next_steps(view, is_driven=True)]

    assert commands(view_of(standing_still())) == ["orchestrate resume"]
    no_room = ev.PauseRequested(START, "engine", cause="disk")
    assert commands(view_of(just_begun(), no_room)) == ["orchestrate cleanup --merged"]


def test_of_an_older_run_every_command_says_which() -> None:
    for view in (view_of(limit()), view_of(failed_and_skipped())):
        steps = [step.command for step in next_steps(view, is_driven=False, named=True)]
        assert all(RUN in command for command in steps), steps


def test_a_run_that_is_to_go_on_says_what_is_kept_and_where() -> None:
    told = dict(facts(view_of(standing_still()), START + 5000.0, is_driven=False))
    assert told["kept"] == f"api: all work and the agents' sessions, in /home/u/shop.worktrees/{RUN}"
    assert told["held"] == f"paused by {ANNA}; orchestrate resume goes on"
    assert "kept" not in dict(facts(view_of(standing_still()), START + 5000.0, is_driven=True))
    assert facts(view_of(happy_diamond()), START, is_driven=False) == []


def test_of_a_worktree_that_is_gone_it_is_said() -> None:
    view = view_of(standing_still())
    (path,) = worktrees_at_work(view)
    assert [words for name, words in facts(view, START, is_driven=False, gone={path}) if name == "kept"] == [
        "api: what was saved of it; the worktree is gone, and resume makes it again"
    ]


def test_what_held_a_run_that_is_over_is_told_no_more() -> None:
    scenario = happy_diamond()
    pause = ev.PauseRequested(scenario.end, ANNA, 1)
    over = build_view(scenario.plan, [*scenario.events[:-1], pause, scenario.events[-1]])
    assert (over.status, facts(over, scenario.end, is_driven=False)) == ("done", [])
    assert status_document(over, scenario.end, engine=None)["holds"] == []
    stopped = view_of(limit(), ev.PauseRequested(START, ANNA, 1))
    assert facts(stopped, START, is_driven=False)[0][0] == "held", "resuming goes on with it, and ends the pause"


def test_work_that_is_in_no_branch_is_kept_under_its_ref() -> None:
    view = view_of(cancelled_and_retried())
    assert [kept_ref(view, attempt) for attempt in kept_attempts(view)] == []
    first = build_view(view.plan, cancelled_and_retried().events[:12])
    assert [kept_ref(first, attempt) for attempt in kept_attempts(first)] == [f"refs/orchestrate/{RUN}/api/1"]


def test_the_document_says_what_holds_the_run_and_what_was_asked() -> None:
    asked = ev.CancelRequested(START, ANNA, features=("api",))
    document = status_document(view_of(standing_still()), START, engine={"pid": 1}, pending=(asked,))
    (hold,) = document["holds"]
    assert (document["status"], hold["cause"], hold["by"], hold["now"]) == ("running", "operator", ANNA, True)
    assert document["pending"] == [{"at": START, "by": ANNA, "what": f"{ANNA} cancelled api"}]


def test_nobody_is_said_to_be_at_work_when_no_engine_is_there() -> None:
    view = cut(happy_diamond(), 6)
    for engine, cut_off, last in ((None, True, "was: Edit db.py"), ({"pid": 1}, False, "Edit db.py")):
        db = status_document(view, START + 5000.0, engine=engine)["features"][0]
        assert (db["status"], db["cut_off"], db["last"]) == ("working", cut_off, last)
