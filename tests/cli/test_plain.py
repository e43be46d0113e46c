"""A run as plain lines and as JSON lines; which way is chosen where."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrate.app.running import Ran
from orchestrate.cli.plain import JsonProgress, PlainProgress, Progress
from orchestrate.cli.printer import Printer, Stream
from orchestrate.cli.progress import Way, resolve
from orchestrate.cli.receipt import show_receipt
from orchestrate.core import events as ev
from orchestrate.errors import ExitCode
from orchestrate.ports import Stored
from orchestrate.views.report import build_report
from orchestrate.views.run import build_view
from tests.support.logs import BASE, BRANCH, RUN, START, Scenario, conflict, failed_and_skipped, happy_diamond, rework
from tests.support.terminal import StandingClock, Terminal


def play(progress: Progress, scenario: Scenario) -> None:
    """The whole run, as the engine tells it."""
    end = scenario.events[-1]
    assert isinstance(end, ev.RunEnded)
    code = ExitCode.DONE if end.status == "done" else ExitCode.INCOMPLETE
    report = build_report(scenario.events, scenario.plan, now=scenario.end)
    with progress as shown:
        follower = shown.follow(RUN, scenario.plan)
        for seq, event in enumerate(scenario.events, start=1):
            follower.on_stored(Stored(seq, RUN, event))
        shown.finish(Ran(RUN, end.status, end.why, report, Path("/state/report.json"), code))


def test_one_line_an_event_with_local_time_and_feature() -> None:
    terminal = Terminal()
    play(PlainProgress(terminal.printer, StandingClock(START)), rework())
    lines = terminal.err.getvalue().splitlines()
    assert lines[1].split("  ")[1:] == ["api", "starts, try 1/2"]
    assert any("check tests failed (exit 1): 1 failed, 2 passed  → orchestrate logs api --checks" in it for it in lines)
    assert lines[-1].endswith("run done: everything is integrated")
    assert all(line[2] == line[5] == ":" for line in lines)


def test_the_receipt_is_the_answer() -> None:
    terminal = Terminal()
    play(PlainProgress(terminal.printer, StandingClock(START)), failed_and_skipped())
    lines = terminal.out.getvalue().splitlines()
    assert lines[0].startswith(f"run {RUN} ended: 1 of 4 features integrated in ")
    assert "✗ db failed: check tests failed (exit 1): ````" in lines
    assert f"branch  {BRANCH} at " in terminal.out.getvalue()
    assert lines[-5:] == [
        "report  /state/report.md",
        "next    orchestrate logs db",
        f"        git merge {BRANCH}",
        "        orchestrate retry",
        "        orchestrate recover",
    ]


def test_quiet_still_answers() -> None:
    terminal = Terminal()
    play(Progress(terminal.printer, StandingClock(START)), happy_diamond())
    assert terminal.err.getvalue() == ""
    assert terminal.out.getvalue().startswith(f"run {RUN} is done: 4 of 4")


def test_a_resumed_run_does_not_tell_its_past_again() -> None:
    terminal = Terminal()
    scenario = happy_diamond()
    play(PlainProgress(terminal.printer, StandingClock(scenario.end)), scenario)
    told = terminal.err.getvalue().splitlines()
    assert len(told) == 2
    assert told[0].split("  ")[1] == "dash"
    assert told[1].endswith("run done: everything is integrated")


def test_a_stop_by_signal_is_said_once() -> None:
    terminal = Terminal()
    progress = PlainProgress(terminal.printer, StandingClock(START))
    follower = progress.follow(RUN, happy_diamond().plan)
    follower.say("stopping: as you wish")
    follower.on_stored(Stored(1, RUN, ev.StopRequested(START, "drain", "SIGINT")))
    assert terminal.err.getvalue() == "stopping: as you wish\n"
    follower.on_stored(Stored(2, RUN, ev.StopRequested(START, "cancel", "the dashboard")))
    assert "ending the agents now" in terminal.err.getvalue()


def json_lines(scenario: Scenario, since: float = START) -> list[dict[str, Any]]:
    terminal = Terminal()
    play(JsonProgress(terminal.printer, StandingClock(since)), scenario)
    assert terminal.err.getvalue() == ""
    assert terminal.out.getvalue().isascii()
    return [json.loads(line) for line in terminal.out.getvalue().splitlines()]


def test_json_is_every_event_and_then_the_result() -> None:
    scenario = failed_and_skipped()
    *events, result = json_lines(scenario)
    assert [e["seq"] for e in events] == list(range(1, len(scenario.events) + 1))
    assert [e["kind"] for e in events] == [type(event).__name__ for event in scenario.events]
    assert events[2].keys() == {"seq", "run", "at", "kind", "body"}
    assert events[2]["body"] == {"feature": "db", "attempt": 1, "n": 1, "parents": [BASE]}
    assert (result["kind"], result["run"], result["status"]) == ("result", RUN, "incomplete")
    assert result["features"] == {"db": "failed", "docs": "integrated", "api": "skipped", "dash": "skipped"}
    assert (result["report"], result["exit_code"]) == ("/state/report.json", 1)


def test_json_of_a_resumed_run_begins_where_it_goes_on() -> None:
    scenario = happy_diamond()
    news = [type(event).__name__ for event in scenario.events if event.at >= scenario.end]
    assert [line["kind"] for line in json_lines(scenario, scenario.end)] == [*news, "result"]
    assert 0 < len(news) < len(scenario.events)


@pytest.mark.parametrize(
    ("wish", "moving", "verbosity", "environ", "way"),
    [
        ("auto", True, 0, {}, "live"),
        ("auto", False, 0, {}, "plain"),
        ("auto", True, 0, {"TERM": "dumb"}, "plain"),
        ("auto", True, 0, {"CLAUDECODE": "1"}, "plain"),
        ("auto", True, -1, {}, "none"),
        ("live", True, 0, {"CLAUDECODE": "1"}, "live"),
        ("live", False, 0, {}, "plain"),
        ("json", True, 0, {}, "json"),
        ("none", True, 0, {}, "none"),
        ("plain", True, -1, {}, "plain"),
    ],
)
def test_which_way(wish: Way, moving: bool, verbosity: int, environ: dict[str, str], way: Way) -> None:
    assert resolve(Terminal(moving=moving, verbosity=verbosity).printer, wish, environ) == way


def test_a_reason_goes_on_below_itself_on_a_narrow_terminal_and_nowhere_else() -> None:
    scenario = conflict()
    view = build_view(scenario.plan, scenario.events)
    shown = {}
    for is_terminal in (True, False):
        out = Stream(io.StringIO(), color=False, ascii_only=False, width=60)
        out.is_terminal = is_terminal
        show_receipt(Printer(out, out), view, now=scenario.end)
        assert isinstance(out.file, io.StringIO)
        shown[is_terminal] = out.file.getvalue().splitlines()
    at = next(n for n, line in enumerate(shown[True]) if line.startswith("✗ web"))
    assert shown[True][at : at + 3] == [
        "✗ web conflicted: conflicts in app.py and we`ird|.py with",
        "  api; merge it by hand, or let it depend on api",
        "  (depends_on)",
    ]
    assert " ".join(line.strip() for line in shown[True][at : at + 3]) in shown[False]
    assert max(map(len, shown[True])) <= 60
