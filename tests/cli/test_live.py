"""The live view in a terminal: drawn from the events, taken away at the end, cheap while fifty agents talk."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from orchestrate.app.running import Ran
from orchestrate.cli.live import LiveProgress, Screen
from orchestrate.core import events as ev
from orchestrate.core.plan import Feature, build_plan
from orchestrate.errors import ExitCode
from orchestrate.ports import Stored
from orchestrate.views.live import FrameLine, Span
from orchestrate.views.report import build_report
from tests.support.logs import RUN, START, happy_diamond
from tests.support.terminal import StandingClock, Terminal

SHOW_CURSOR = "\x1b[?25h"


def words(text: str) -> str:
    """What is written, without the sequences that move and colour."""
    return re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", text)


def live(terminal: Terminal, clock: StandingClock) -> LiveProgress:
    return LiveProgress(terminal.printer, clock, slots=3, cap_usd=10.0)


async def test_a_run_from_its_first_picture_to_its_receipt() -> None:
    terminal, clock, scenario = Terminal(moving=True, color=True), StandingClock(START), happy_diamond()
    report = build_report(scenario.events, scenario.plan, now=scenario.end)
    with live(terminal, clock) as progress:
        follower = progress.follow(RUN, scenario.plan)
        for seq, event in enumerate(scenario.events, start=1):
            clock.at = event.at
            follower.on_stored(Stored(seq, RUN, event))
        pictures = terminal.err.getvalue()
        assert SHOW_CURSOR not in pictures
        progress.finish(Ran(RUN, "done", "", report, Path("/state/report.json"), ExitCode.DONE))
    assert "╰─┴─●  dash" in words(pictures)
    assert terminal.err.getvalue().count(SHOW_CURSOR) == 1
    assert f"run {RUN} is done: 4 of 4 features integrated" in terminal.out.getvalue()


async def test_pictures_go_on_by_themselves_while_time_passes() -> None:
    terminal, painted = Terminal(moving=True), asyncio.Event()
    count = 0

    def paint(_width: int, _height: int) -> tuple[FrameLine, ...]:
        nonlocal count
        count += 1
        if count == 3:
            painted.set()
        return ((Span(f"picture {count}"),),)

    with Screen(terminal.printer.err, paint) as screen:
        screen.touch()
        screen.touch()
        assert count == 1, "what changes right after a picture waits for the next one"
        await asyncio.wait_for(painted.wait(), 10)
    drawn = count
    screen.touch()
    assert count == drawn, "nothing is drawn any more once the screen is closed"


def test_the_terminal_is_given_back_when_the_run_breaks() -> None:
    terminal, scenario = Terminal(moving=True), happy_diamond()

    def break_down() -> None:
        with live(terminal, StandingClock(START)) as progress:
            progress.follow(RUN, scenario.plan).on_stored(Stored(1, RUN, scenario.events[0]))
            assert SHOW_CURSOR not in terminal.err.getvalue()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_down()
    assert terminal.err.getvalue().count(SHOW_CURSOR) == 1


def test_warnings_stay_above_the_picture_and_are_harmless() -> None:
    terminal, scenario = Terminal(moving=True), happy_diamond()
    with live(terminal, StandingClock(START)) as progress:
        follower = progress.follow(RUN, scenario.plan)
        follower.say("before the first picture")
        follower.on_stored(Stored(1, RUN, scenario.events[0]))
        follower.on_stored(Stored(2, RUN, ev.Warned(START, "api", "disk \x1b]0;owned\x07is filling up")))
        follower.say("stopping")
    text = terminal.err.getvalue()
    assert text.startswith("before the first picture\n")
    assert "api: disk is filling up\n" in words(text)
    assert "stopping\n" in words(text)
    assert "owned" not in text


def test_a_long_warning_goes_on_below_itself() -> None:
    terminal, scenario = Terminal(moving=True), happy_diamond()
    path = "/a-long-way" * 30
    with live(terminal, StandingClock(START)) as progress:
        follower = progress.follow(RUN, scenario.plan)
        follower.on_stored(Stored(1, RUN, scenario.events[0]))
        message = (
            f"its worktree was gone; it is made again, with what its private ref holds of it, at {path} to the end"
        )
        follower.on_stored(Stored(2, RUN, ev.Warned(START, "api", message)))
    text = words(terminal.err.getvalue())
    assert path in text and message in " ".join(text.split())
    assert message not in text, "it is broken between words"


def test_the_past_of_a_resumed_run_draws_nothing() -> None:
    terminal, scenario = Terminal(moving=True), happy_diamond()
    with live(terminal, StandingClock(scenario.end + 1)) as progress:
        follower = progress.follow(RUN, scenario.plan)
        for seq, event in enumerate(scenario.events, start=1):
            follower.on_stored(Stored(seq, RUN, event))
    assert terminal.err.getvalue() == ""


def test_fifty_agents_in_a_tall_terminal() -> None:
    """A second of such a run: fifty reports of progress, four pictures that show them all. (Its cost: scripts/bench.)"""
    plan = build_plan(
        Feature(f"feature-{n:02d}", depends_on=(f"feature-{n // 3:02d}",) if n else ()) for n in range(50)
    )
    terminal, clock = Terminal(moving=True, color=True), StandingClock(START)
    progress = live(terminal, clock)
    follower = progress.follow(RUN, plan)
    for n, fid in enumerate(plan.features):
        for event in (
            ev.AttemptStarted(START - 9, fid, 1, 1, ("b" * 40,)),
            ev.WorktreePrepared(START - 8, fid, 1, "b" * 40, "branch", f"/w/{n}"),
            ev.InvocationStarted(START - 7, fid, 1, 2, 1, "edit", "s", False, 600.0),
        ):
            follower.on_stored(Stored(1, RUN, event))

    for second in range(3):
        for fid in plan.features:
            action = f"Edit src/{fid}.py (+{second} -3)"
            event = ev.InvocationProgressed(START - 6, fid, 1, 1, action, second, ev.Tokens(1000 * second))
            follower.on_stored(Stored(1, RUN, event))
        for picture in range(4):
            clock.at = START + second + picture / 4
            lines = progress._paint(120, 58)
            assert len(lines) == 54
            assert sum(any("feature-" in span.text for span in line) for line in lines) == 50
