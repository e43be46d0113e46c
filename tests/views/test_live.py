"""The live table keeps to the terminal, shows what is at work first, and says every symbol in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.core import events as ev
from orchestrate.core.plan import Estimate, Feature, Plan, build_plan
from orchestrate.views.forecast import Forecast
from orchestrate.views.live import (
    DROPPED_FIRST,
    FrameLine,
    LiveTable,
    Span,
    Totals,
    columns_for,
    footer_of,
    header_line,
    totals_of,
)
from orchestrate.views.rows import LOOKS
from orchestrate.views.run import RunView, Status, fold, fresh_view
from orchestrate.views.text import display_width

SECONDS = Estimate(1000, 0.0, 100.0, "default")
DIAMOND = build_plan(
    [
        Feature("setup", estimate=SECONDS),
        Feature("auth", depends_on=("setup",), max_attempts=3, estimate=SECONDS),
        Feature("db", depends_on=("setup",), estimate=SECONDS),
        Feature("dash", depends_on=("auth", "db"), estimate=SECONDS),
    ]
)
TOTALS = Totals(
    run="20261121-111415-7f3a",
    counts={"done": 5, "busy": 2, "failed": 1, "skipped": 1, "waiting": 3},
    wave=3,
    waves=5,
    cost_usd=4.21,
    estimated=False,
    cap_usd=10.0,
    elapsed_s=402.0,
    left_s=540.0,
    basis="from 5 finished",
    slots_used=2,
    slots=3,
)
FOOTER = (Span("waits: dash for auth, db"), Span("Ctrl-C: finish what runs · twice: end it now"))
RUN: tuple[ev.Event, ...] = (
    ev.RunStarted(0.0, "20261121-111415-7f3a", "shop", "b" * 40, "main", "orch/r/integration", "{}"),
    ev.EngineStarted(0.0, 1),
    ev.AttemptStarted(0.0, "setup", 1, 1, ("b" * 40,)),
    ev.WorktreePrepared(1.0, "setup", 1, "b" * 40, "branch", "/w"),
    ev.InvocationStarted(1.0, "setup", 1, 2, 1, "edit", "s", False, 60.0),
    ev.InvocationFinished(50.0, "setup", 1, 1, "done", cost_usd=0.31, tokens=ev.Tokens(50_000)),
    ev.SealStarted(51.0, "setup", 1, 3),
    ev.WorkSealed(52.0, "setup", 1, "h", "t", changed=2, insertions=40),
    ev.AttemptVerified(55.0, "setup", 1, 4, "h", "t"),
    ev.AttemptEnded(60.0, "setup", 1, 9, "integrated"),
    ev.AttemptStarted(60.0, "auth", 1, 1, ("h",)),
    ev.WorktreePrepared(61.0, "auth", 1, "h", "branch", "/w"),
    ev.InvocationStarted(62.0, "auth", 1, 2, 1, "edit", "s", False, 60.0),
    ev.InvocationProgressed(90.0, "auth", 1, 1, "Edit src/auth.py (+84 -3)", 9, ev.Tokens(62_000), 0.48),
    ev.AttemptStarted(60.0, "db", 1, 1, ("h",)),
    ev.WorktreeFailed(65.0, "db", 1, "setup", "npm ci: exit 1"),
    ev.AttemptEnded(66.0, "db", 1, 2, "failed", "npm ci: exit 1"),
)


class Shown:
    """A run folded into everything that the picture is made of."""

    def __init__(self, *events: ev.Event, plan: Plan = DIAMOND, ascii_only: bool = False) -> None:
        self.view = fresh_view(plan)
        self.table = LiveTable(self.view, ascii_only)
        self.forecast = Forecast(plan, 3)
        for event in events:
            fold(self.view, event)
            self.table.changed(event)
            self.forecast.fold(event)

    def totals(self, now: float) -> Totals:
        return totals_of(self.table, self.forecast, slots=3, cap_usd=10.0, now=now)

    def lines(self, width: int, height: int, now: float = 100.0) -> list[str]:
        return text_of(self.table.frame(self.totals(now), footer_of(self.table, now), now, width, height))


def text_of(lines: tuple[FrameLine, ...]) -> list[str]:
    return ["".join(span.text for span in line).rstrip() for line in lines]


def test_the_whole_picture() -> None:
    assert Shown(*RUN).lines(110, 30) == [
        "20261121-111415-7f3a  wave 2/3  1✓ 1◐ 1✗ 1○  $0.79 / $10.00  1:40 elapsed, ~3 min left  slots 1/3",
        "graph    feature  state          try     time  tokens     cost  last",
        "●        setup    ✓ integrated   1/2     1:00     50k    $0.31  2 files +40 -0",
        "├─●      auth     ◐ working      1/3     0:40     62k    $0.48  Edit src/auth.py (+84 -3)",
        "╰─│─●    db       ✗ failed       1/2     0:06                   setup failed: npm ci: exit 1",
        "  ╰─┴─●  dash     ○ waiting                                     needs auth, db",
        "waits: dash for auth, db",
        "Ctrl-C: finish what runs, start nothing new · twice: end it now",
    ]


def test_in_ascii_nothing_else_is_shown() -> None:
    lines = Shown(*RUN, ascii_only=True).lines(110, 30)
    assert all(line.isascii() for line in lines)
    assert lines[3].startswith("|-*      auth     o working")


def standing(view: RunView, statuses: list[Status]) -> LiveTable:
    for feature, status in zip(view.features.values(), statuses, strict=True):
        feature.status = status
    return LiveTable(view)


@given(
    width=st.integers(20, 220),
    height=st.integers(4, 60),
    statuses=st.lists(st.sampled_from(sorted(LOOKS)), min_size=1, max_size=80),
    ascii_only=st.booleans(),
    why=st.text(max_size=80),
)
def test_a_frame_never_leaves_the_terminal(
    width: int, height: int, statuses: list[Status], ascii_only: bool, why: str
) -> None:
    count = len(statuses)
    view = fresh_view(build_plan(Feature(f"f{n}", depends_on=(f"f{n // 2}",) if n else ()) for n in range(count)))
    for feature in view.features.values():
        feature.why = why
    table = standing(view, statuses)
    table.ascii_only = ascii_only
    frame = table.frame(TOTALS, FOOTER, 0.0, width, height)
    assert len(frame) == min(height, max(5, count + 4)) or (height < 5 and len(frame) == height)
    assert all(display_width("".join(span.text for span in line)) <= width for line in frame)
    assert not ascii_only or all(span.text.isascii() for line in frame[:2] for span in line)


def test_what_is_at_work_is_shown_first_when_not_all_fits() -> None:
    statuses: dict[int, Status] = {7: "working", 31: "checking", 20: "failed", 39: "waiting"}
    view = fresh_view(build_plan(Feature(f"f{n:02d}") for n in range(40)))
    table = standing(view, [statuses.get(n, "integrated") for n in range(40)])
    lines = text_of(table.frame(TOTALS, FOOTER, 0.0, 100, 12))
    assert lines[1].startswith("wave  feature")
    assert [line.split()[1] for line in lines[2:9]] == ["f07", "f31", "f20", "f39", "f00", "f01", "f02"]
    assert lines[9] == "… 33 more: 33 done"


def test_features_are_counted_as_they_move() -> None:
    shown = Shown(*RUN)
    assert shown.table.counts() == {"done": 1, "busy": 1, "paused": 0, "failed": 1, "skipped": 0, "waiting": 1}
    fold(shown.view, skipped := ev.FeatureSkipped(101.0, "dash", "db failed"))
    shown.table.changed(skipped)
    assert shown.table.counts()["skipped"] == 1
    assert shown.lines(80, 30)[-2] == ""


def test_a_paused_run_says_so_above_and_below() -> None:
    shown = Shown(*RUN, ev.PauseRequested(95.0, "anna@laptop", 1))
    head, *_, held, keys = shown.lines(120, 30)
    assert "PAUSED" in head and "left" not in head
    assert held == "paused by anna@laptop, 0:05 ago · 1 still at work · orchestrate resume goes on"
    assert keys.startswith("Ctrl-C: finish what runs")
    assert "PAUSED" in shown.lines(60, 30)[0], "a narrow terminal leaves out something else"


def test_what_a_pause_has_ended_is_counted_and_goes_on_with_it() -> None:
    parked = (
        ev.PauseRequested(95.0, "anna@laptop", 1, now=True),
        ev.AttemptStopping(95.0, "auth", 1, 3, "interrupted", "paused by anna@laptop"),
        ev.InvocationFinished(96.0, "auth", 1, 1, "interrupted"),
        ev.AttemptParked(96.0, "auth", 1, 4, "paused by anna@laptop"),
    )
    shown = Shown(*RUN, *parked)
    assert (shown.table.counts()["paused"], shown.table.counts()["busy"]) == (1, 0)
    row = next(line for line in shown.lines(110, 30) if "auth " in line)
    assert "‖ paused" in row and row.endswith("paused by anna@laptop")
    for event in (ev.ResumeRequested(99.0, "anna@laptop", 2), ev.FeatureReopened(99.0, "db")):
        fold(shown.view, event)
        shown.table.changed(event)
    assert (shown.table.counts()["paused"], shown.table.counts()["failed"]) == (0, 0)


def test_a_disk_without_room_is_said_with_what_ends_the_wait() -> None:
    shown = Shown(*RUN, ev.PauseRequested(95.0, "engine", cause="disk", now=True, why="0.1 GB are free"))
    head, *_, held, _ = shown.lines(120, 30)
    assert "DISK FULL" in head
    assert held.startswith("the disk is nearly full: 0.1 GB are free, 0:05 ago")
    assert held.endswith("goes on by itself when there is room")


@pytest.mark.parametrize(
    ("width", "names"),
    [
        (200, ["graph", "feature", "state", "try", "time", "tokens", "cost", "last"]),
        (80, ["graph", "feature", "state", "try", "time", "cost", "last"]),
        (70, ["feature", "state", "try", "time", "cost", "last"]),
        (60, ["feature", "state", "time", "last"]),
        (40, ["feature", "state", "time"]),
        (20, ["feature", "state"]),
    ],
)
def test_a_narrow_terminal_drops_what_is_needed_least(width: int, names: list[str]) -> None:
    columns = columns_for(width, feature_width=8, state_width=13, graph_width=7)
    assert [column.name for column in columns] == names


def test_every_droppable_column_exists() -> None:
    drawn = {c.name for c in columns_for(500, feature_width=8, state_width=13, graph_width=7)}
    undrawn = {c.name for c in columns_for(500, feature_width=8, state_width=13, graph_width=0)}
    assert set(DROPPED_FIRST) < drawn | undrawn


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_the_header_keeps_counters_cost_and_time_longest(width: int) -> None:
    text = "".join(span.text for span in header_line(TOTALS, width))
    assert display_width(text) <= width
    assert "$4.21 / $10.00" in text
    assert "6:42" in text
    assert ("5 done" in text) == (width >= 120)


def test_a_run_that_has_ended_guesses_nothing() -> None:
    assert Shown(*RUN, ev.RunEnded(100.0, "incomplete")).totals(500.0).left_s is None
    assert Shown(*RUN, ev.RunEnded(100.0, "incomplete")).totals(500.0).elapsed_s == 100.0


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (ev.StopRequested(99.0, "drain"), "stopping: nothing new starts, what runs is finished"),
        (ev.StopRequested(99.0, "cancel"), "ending the agents; their work is kept"),
        (
            ev.InvocationFinished(99.0, "auth", 1, 1, "limit", resets_at=3700.0),
            "the account's usage limit is reached: goes on by itself in ~1 h",
        ),
    ],
)
def test_the_footer_says_why_nothing_new_starts(event: ev.Event, said: str) -> None:
    assert footer_of(Shown(*RUN, event).table, 100.0)[0].text == said


def test_hostile_words_are_neutralised() -> None:
    hostile = ev.InvocationProgressed(95.0, "auth", 1, 1, "\x1b[2Jgone\u202e\x9b31m next", turns=1)
    text = "".join(Shown(*RUN, hostile).lines(120, 20))
    assert "gone next" in text
    assert not {"\x1b", "\u202e", "\x9b"} & set(text)
