"""Reasons with their remedy, and no feature named that the log rules out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrate.core.plan import Feature, StartOn, build_plan
from orchestrate.core.retry import LONGEST_S, TRANSIENT_LIMIT, backoff_s
from orchestrate.views.reasons import (
    SetupFailure,
    again_words,
    conflict_reason,
    conflict_words,
    conflicting_features,
    failing_words,
    parse_setup_failure,
)
from orchestrate.views.run import RunView, build_view
from tests.support.logs import Teller, a_feature, conflict


def conflicted(*others: Feature, needs: tuple[str, ...] = (), start_on: StartOn = "verified") -> RunView:
    """All others are integrated, then `late` conflicts in src/app.py. With start_on `integrated` it starts last."""
    t = Teller(build_plan([*others, a_feature("late", *needs)], start_on=start_on))
    t.begin()
    for other in others:
        t.work(other.id)
    if start_on == "integrated":
        for other in others[:-1]:
            t.integrate(other.id)
    t.work("late")
    for other in others if start_on == "verified" else others[-1:]:
        t.integrate(other.id)
    t.merge("late", "src/app.py")
    t.conclude("late", "conflicted", "CONFLICT (content): Merge conflict in src/app.py")
    return build_view(t.plan, t.events)


def suspects(view: RunView) -> tuple[str, ...]:
    return conflicting_features(view, view.features["late"])


def test_every_integrated_feature_may_be_the_other_side() -> None:
    view = conflicted(a_feature("api"), a_feature("web"))
    assert suspects(view) == ("api", "web")
    assert conflict_reason(view, view.features["late"]) == (
        "conflicts in src/app.py with api or web; merge it by hand, or let it depend (depends_on)"
    )


def test_what_it_builds_on_is_none() -> None:
    assert suspects(conflicted(a_feature("db"), a_feature("api", "db"), a_feature("web"), needs=("api",))) == ("web",)


def test_a_feature_whose_scope_leaves_the_paths_out_is_none() -> None:
    elsewhere, here = replace(a_feature("docs"), touches=("docs/**",)), replace(a_feature("api"), touches=("src/**",))
    assert suspects(conflicted(elsewhere, here)) == ("api",)


def test_what_was_integrated_when_it_began_from_there_is_none() -> None:
    assert suspects(conflicted(a_feature("api"), a_feature("web"), start_on="integrated")) == ("web",)


def test_a_feature_without_a_conflict_has_no_other_side() -> None:
    scenario = conflict()
    view = build_view(scenario.plan, scenario.events)
    assert conflicting_features(view, view.features["api"]) == ()
    assert conflict_reason(view, view.features["dash"]) == ""


def test_many_paths_are_counted() -> None:
    assert conflict_words(("a", "b", "c", "d", "e"), ()) == "conflicts in a, b, c and 2 more"
    assert conflict_words((), (), "CONFLICT (submodule)\nmore") == "CONFLICT (submodule)"


@pytest.mark.parametrize(
    ("why", "expected", "line"),
    [
        (
            "packages: npm ci (exit code 1)\nnot found\nbye\n",
            SetupFailure("packages: npm ci", "exit code 1", "not found\nbye\n"),
            "setup failed: packages: npm ci (exit code 1): bye",
        ),
        (
            "set -e\nmake (exit code 2)",
            SetupFailure("set -e\nmake", "exit code 2", ""),
            "setup failed: set -e make (exit code 2)",
        ),
        (
            "sleep 9 (ran out of time)",
            SetupFailure("sleep 9", "ran out of time", ""),
            "setup failed: sleep 9 (ran out of time)",
        ),
        ("the run is stopping", SetupFailure("the run is stopping", "", ""), "setup failed: the run is stopping"),
    ],
)
def test_a_failed_setup_is_taken_apart(why: str, expected: SetupFailure, line: str) -> None:
    assert parse_setup_failure(why) == expected
    assert expected.line == line


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("API Error: 529 Overloaded", "service failing (529)"),
        ("port 5290 is closed", "service failing"),
        ("", "service failing"),
    ],
)
def test_the_status_of_a_failing_service(why: str, words: str) -> None:
    assert failing_words(why) == words


def test_waits_are_those_of_the_rules() -> None:
    assert [again_words(n) for n in range(1, TRANSIENT_LIMIT + 2)] == [
        *(f"again in {s} s" for s in (2, 4, 8, 16, 32, 64)),
        "",
    ]
    assert backoff_s(2.0, TRANSIENT_LIMIT) < LONGEST_S
    assert again_words(5, waited_s=30.0) == "again in 2 s"
