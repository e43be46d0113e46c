"""All runs, newest first; one that cannot be read does not hide the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrate.cli.history import Past, render_table
from orchestrate.core import events as ev
from tests.support.logs import RUN, SCENARIOS, failed_and_skipped, happy_diamond, limit
from tests.support.statedir import Recording

OTHER = "20261120-080000-00aa"


def test_the_table(recording: Recording) -> None:
    recording.store_scenario(failed_and_skipped(), OTHER)
    recording.store_scenario(happy_diamond())
    head, newest, oldest = recording.ask("history").out.splitlines()
    assert head.split() == ["run", "started", "status", "features", "cost", "time", "next", "kept"]
    assert newest.split()[0] == RUN
    assert newest.split()[3:6] == ["✓", "done", "4/4"]
    assert oldest.split()[:1] + oldest.split()[3:6] == [OTHER, "✗", "incomplete", "1/4"]


def test_the_document(recording: Recording) -> None:
    recording.store_scenario(happy_diamond())
    document = recording.ask("history", "--json").json
    (run,) = document["runs"]
    assert document["schema"] == "orchestrate/history/v1"
    assert (run["run"], run["status"], run["integrated"], run["features"]) == (RUN, "done", 4, 4)
    assert run["started"].endswith("+00:00")
    assert run["cost_usd"] == 1.5


def test_only_so_many(recording: Recording) -> None:
    recording.store_scenario(limit(), OTHER)
    recording.store_scenario(happy_diamond())
    answer = recording.ask("history", "-n", "1")
    assert OTHER not in answer.out
    assert "1 older" in answer.err


def test_a_run_that_cannot_be_read_is_listed_all_the_same(recording: Recording) -> None:
    scenario = happy_diamond()
    recording.store(scenario.plan, [event for event in scenario.events if not isinstance(event, ev.RunStarted)], OTHER)
    recording.store_scenario(scenario)
    assert "? unreadable" in recording.ask("history").out.splitlines()[2]


def test_nothing_was_run(recording: Recording) -> None:
    answer = recording.ask("history")
    assert (answer.code, answer.out) == (0, "")
    assert "nothing has been run" in answer.err
    assert recording.ask("history", "--json").json["runs"] == []


def test_a_run_that_broke_off_is_no_running_one(recording: Recording) -> None:
    scenario = happy_diamond()
    recording.store_scenario(replace(scenario, events=scenario.events[:10]))
    assert "broken off" in recording.ask("history").out


@pytest.mark.parametrize(
    ("width", "head"),
    [
        (None, ["run", "started", "status", "features", "cost", "time", "next", "kept"]),
        (96, ["run", "started", "status", "features", "cost", "time", "next", "kept"]),
        (80, ["run", "status", "features", "cost", "time", "next", "kept"]),
        (75, ["run", "status", "features", "cost", "next", "kept"]),
        (60, ["run", "status", "features", "cost", "next"]),
        (52, ["run", "status", "features", "next"]),
        (20, ["run", "status"]),
    ],
)
def test_a_narrow_terminal_does_without_columns_rather_than_breaking_figures(
    width: int | None, head: list[str]
) -> None:
    past = [
        Past(RUN, "incomplete", 1_795_000_000.0, 2, 4, 1.5, wall_s=402.0, way_on="retry", worktrees=5),
        Past(OTHER, "unreadable"),
    ]
    lines = render_table(past, width=width)
    assert lines[0].split() == head
    assert lines[1].startswith(f"{RUN}  ")


def test_it_costs_what_status_says(recording: Recording) -> None:
    """Also what an agent had used that nobody saw the end of."""
    recording.store_scenario(SCENARIOS["under_way"]())
    (run,) = recording.ask("history", "--json").json["runs"]
    status = recording.ask("status", "--json").json
    assert (run["cost_usd"], run["live_cost_usd"]) == (status["cost_usd"], status["live_cost_usd"]) == (0.25, 0.01)
    assert "$0.26" in recording.ask("history").out and "$0.26 so far" in recording.ask("status").out


def test_what_was_saved_is_told_beside_the_branches() -> None:
    past = Past("20261121", "incomplete", branches=1, saved=2)
    assert (past.kept, replace(past, saved=0).kept) == ("1 branch, recoverable", "1 branch")
    assert (replace(past, branches=0).kept, replace(past, worktrees=2).kept) == ("recoverable", "2 worktrees")
