"""The live table keeps to the terminal, shows what is at work first, and says every symbol in words."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.core.plan import Feature, Plan, build_plan
from orchestrate.views.live import (
    DROPPED_FIRST,
    GROUPS,
    LOOKS,
    FrameLine,
    Group,
    LiveTable,
    Row,
    Span,
    Totals,
    columns_for,
    header_line,
)
from orchestrate.views.text import display_width

DIAMOND = build_plan(
    [
        Feature("setup"),
        Feature("auth", depends_on=("setup",)),
        Feature("db", depends_on=("setup",)),
        Feature("dash", depends_on=("auth", "db")),
    ]
)
TOTALS = Totals(
    "20261121-111415-7f3a",
    {"done": 5, "busy": 2, "failed": 1, "skipped": 1, "waiting": 3},
    3,
    5,
    4.21,
    False,
    10.0,
    402.0,
    540.0,
    "from 5 finished",
    2,
    3,
)
FOOTER = (Span("waits: dash for auth, db"), Span("Ctrl-C: finish what runs · twice: end it now"))
ROWS = {
    "setup": Row("setup", "integrated", 1, 3, 60.0, 50_000, 0.31),
    "auth": Row("auth", "working", 1, 3, 97.0, 62_000, 0.48, last="Edit src/auth.py (+84 -3)"),
    "db": Row("db", "failed", 2, 3, 105.0, 65_000, 0.31, estimated=True, last="check tests failed: 2 failed"),
    "dash": Row("dash", "waiting", last="needs auth, db"),
}


def shown(lines: tuple[FrameLine, ...]) -> list[str]:
    return ["".join(span.text for span in line).rstrip() for line in lines]


def table(plan: Plan = DIAMOND, rows: dict[str, Row] | None = None, *, ascii_only: bool = False) -> LiveTable:
    known = rows or ROWS
    return LiveTable(plan, lambda fid: known[fid].standing, lambda fid, _now: known[fid], ascii_only)


def test_the_whole_picture() -> None:
    assert shown(table().frame(TOTALS, FOOTER, 0.0, 118, 30)) == [
        (
            "orchestrate run  20261121-111415-7f3a  wave 3/5  5✓ 2◐ 1✗ 1⊘ 3○  $4.21 / $10.00"
            "  6:42 elapsed, ~9 min left  slots 2/3"
        ),
        "graph    feature  state          try     time  tokens     cost  last",
        "●        setup    ✓ integrated   1/3     1:00     50k    $0.31",
        "├─●      auth     ◐ working      1/3     1:37     62k    $0.48  Edit src/auth.py (+84 -3)",
        "╰─│─●    db       ✗ failed       2/3     1:45     65k   ~$0.31  check tests failed: 2 failed",
        "  ╰─┴─●  dash     ○ waiting                                     needs auth, db",
        "waits: dash for auth, db",
        "Ctrl-C: finish what runs · twice: end it now",
    ]


@given(
    width=st.integers(20, 220),
    height=st.integers(4, 60),
    count=st.integers(1, 80),
    ascii_only=st.booleans(),
    last=st.text(max_size=80),
    standings=st.lists(st.sampled_from(sorted(LOOKS)), min_size=1),
)
def test_a_frame_never_leaves_the_terminal(
    width: int, height: int, count: int, ascii_only: bool, last: str, standings: list[str]
) -> None:
    plan = build_plan(Feature(f"f{n}", depends_on=(f"f{n // 2}",) if n else ()) for n in range(count))
    rows = {f"f{n}": Row(f"f{n}", standings[n % len(standings)], 1, 2, 5.0, 9, 0.5, last=last) for n in range(count)}
    frame = table(plan, rows, ascii_only=ascii_only).frame(TOTALS, FOOTER, 0.0, width, height)
    assert len(frame) == min(height, count + 4) or len(frame) == 5
    assert all(display_width("".join(s.text for s in line)) <= width for line in frame)
    if ascii_only:
        assert all(span.text.isascii() for line in frame for span in line)


def test_what_is_at_work_is_shown_first_when_not_all_fits() -> None:
    plan = build_plan(Feature(f"f{n:02d}") for n in range(40))
    standing = {f"f{n:02d}": "integrated" for n in range(40)} | {
        "f07": "working",
        "f31": "checking",
        "f20": "failed",
        "f39": "waiting",
    }
    lines = shown(
        table(plan, {fid: Row(fid, word) for fid, word in standing.items()}).frame(TOTALS, FOOTER, 0.0, 100, 12)
    )
    assert [line.split()[1] for line in lines[2:9]] == ["f07", "f31", "f20", "f39", "f00", "f01", "f02"]
    assert lines[9] == "… 33 more: 33 done"
    assert lines[1].startswith("wave  feature")


def test_a_feature_moves_between_the_groups_when_marked() -> None:
    rows = dict(ROWS)
    live = LiveTable(DIAMOND, lambda fid: rows[fid].standing, lambda fid, _now: rows[fid])
    assert live.counts() == {"done": 1, "busy": 1, "failed": 1, "skipped": 0, "waiting": 1}
    rows["auth"] = Row("auth", "integrated")
    live.mark("auth")
    live.mark("auth")
    assert live.counts() == {"done": 2, "busy": 0, "failed": 1, "skipped": 0, "waiting": 1}


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
def test_the_header_keeps_counters_and_cost_longest(width: int) -> None:
    text = "".join(span.text for span in header_line(TOTALS, width))
    assert display_width(text) <= width
    assert "$4.21 / $10.00" in text
    assert "6:42" in text
    assert ("5 done" in text) == (width >= 120)


def test_every_group_has_a_place_in_the_header() -> None:
    assert {group for group, *_ in GROUPS} == set(get_args(Group)) == {look.group for look in LOOKS.values()}


def test_hostile_words_are_neutralised() -> None:
    rows = {**ROWS, "auth": Row("auth", "working", 1, 3, 1.0, last="\x1b[2Jgone\u202e\r\n next")}
    assert "\x1b" not in "".join(shown(table(rows=rows).frame(TOTALS, (), 0.0, 120, 20)))
