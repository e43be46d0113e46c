"""The live table as data: lines of toned spans, cut to the terminal. Who draws it decides how a tone looks.

Invariant: a frame is never wider than `width` nor higher than `height`, and its height depends on these and the plan
alone, so that the terminal never scrolls. Features at work are shown first when not all fit. Every symbol has its word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from orchestrate.core.plan import Plan
from orchestrate.views.figures import render_duration, render_money, render_rough_duration, render_tokens, to_ascii
from orchestrate.views.lanes import lanes
from orchestrate.views.text import clean, clip, display_width, pad

Tone = Literal["plain", "strong", "dim", "good", "bad", "busy", "caution"]
Group = Literal["done", "busy", "failed", "skipped", "waiting"]


@dataclass(frozen=True, slots=True)
class Span:
    text: str
    tone: Tone = "plain"


FrameLine = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """How a standing is shown."""

    word: str
    group: Group
    tone: Tone
    symbol: str


_BUSY, _VERIFIED, _DONE, _BAD, _OUT, _WAIT = "◐●✓✗⊘○"

LOOKS: Mapping[str, Look] = {
    "waiting": Look("waiting", "waiting", "dim", _WAIT),
    "ready": Look("ready", "waiting", "plain", _WAIT),
    "preparing": Look("preparing", "busy", "busy", _BUSY),
    "working": Look("working", "busy", "busy", _BUSY),
    "sealing": Look("sealing", "busy", "busy", _BUSY),
    "checking": Look("checking", "busy", "busy", _BUSY),
    "verified": Look("verified", "busy", "good", _VERIFIED),
    "merging": Look("merging", "busy", "good", _VERIFIED),
    "parked": Look("parked", "waiting", "caution", _WAIT),
    "integrated": Look("integrated", "done", "good", _DONE),
    "failed": Look("failed", "failed", "bad", _BAD),
    "conflicted": Look("conflicted", "failed", "bad", _BAD),
    "no_changes": Look("no changes", "failed", "bad", _BAD),
    "cancelled": Look("cancelled", "skipped", "caution", _OUT),
    "interrupted": Look("interrupted", "skipped", "caution", _OUT),
    "postponed": Look("postponed", "waiting", "caution", _WAIT),
    "skipped": Look("skipped", "skipped", "caution", _OUT),
}
"""By status word of the run view."""

GROUPS: tuple[tuple[Group, str, str, Tone], ...] = (
    ("done", "done", _DONE, "good"),
    ("busy", "running", _BUSY, "busy"),
    ("failed", "failed", _BAD, "bad"),
    ("skipped", "skipped", _OUT, "caution"),
    ("waiting", "waiting", _WAIT, "dim"),
)
"""In the order of the header's counters."""


@dataclass(frozen=True, slots=True)
class Row:
    """One feature as the table shows it. try_number: 0 before the first. elapsed_s: of the current or last attempt."""

    feature: str
    standing: str
    try_number: int = 0
    tries: int = 1
    elapsed_s: float | None = None
    tokens: int = 0
    cost_usd: float = 0.0
    estimated: bool = False
    last: str = ""


@dataclass(frozen=True, slots=True)
class Totals:
    """The header's figures. cap_usd: most the run may cost; left_s and basis: guess of what is left, and what it rests on."""

    run: str
    counts: Mapping[Group, int]
    wave: int
    waves: int
    cost_usd: float
    estimated: bool
    cap_usd: float | None
    elapsed_s: float
    left_s: float | None
    basis: str
    slots_used: int
    slots: int


# ── columns ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Column:
    """width: fixed, in columns of the terminal; 0: takes what is left (the last one)."""

    name: str
    width: int
    right: bool = False


DROPPED_FIRST = ("tokens", "graph", "wave", "try", "cost", "last", "time")
"""What a narrow terminal does without, in this order; feature and state always stay."""
_LEAST_LAST = 18
_GAP = 2


def columns_for(width: int, *, feature_width: int, state_width: int, graph_width: int) -> tuple[Column, ...]:
    """The columns that fit. graph_width 0: there is no drawing, the wave's number stands there instead."""
    wanted = {
        "graph": Column("graph" if graph_width else "wave", max(graph_width, 5) if graph_width else 4),
        "feature": Column("feature", feature_width),
        "state": Column("state", state_width),
        "try": Column("try", 3, right=True),
        "time": Column("time", 7, right=True),
        "tokens": Column("tokens", 6, right=True),
        "cost": Column("cost", 7, right=True),
        "last": Column("last", 0),
    }
    for name in (None, *DROPPED_FIRST):
        wanted.pop(name or "", None)
        if sum((c.width or _LEAST_LAST) + _GAP for c in wanted.values()) - _GAP <= width:
            break
    return tuple(wanted.values())


def table_line(columns: Sequence[Column], cells: Mapping[str, Span], width: int) -> FrameLine:
    """Cells by column name → one padded line; what is too wide is cut."""
    spans: list[Span] = []
    used = 0
    for number, column in enumerate(columns):
        gap = _GAP if number else 0
        room = min(column.width or width, width - used - gap)
        if room <= 0:
            break
        cell = cells.get(column.name, Span(""))
        text = clip(cell.text, room)
        if column.width and number < len(columns) - 1:
            text = pad(text, room, right=column.right)
        spans.append(Span(" " * gap + text if gap else text, cell.tone))
        used += gap + display_width(text)
    return tuple(spans)


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class LiveTable:
    """What of the picture does not change from frame to frame, and which features are in which group.

    standing_of and row_of ask the run view; mark(feature) must be called when an event of that feature came in, so that
    a frame costs what its visible rows cost and not what the plan is long.
    """

    plan: Plan
    standing_of: Callable[[str], str]
    row_of: Callable[[str, float], Row]
    ascii_only: bool = False
    _groups: dict[Group, dict[str, None]] = field(default_factory=dict)
    _group_of: dict[str, Group] = field(default_factory=dict)
    _position: dict[str, int] = field(default_factory=dict)
    _drawing: dict[str, str] = field(default_factory=dict)
    _feature_width: int = 0

    def __post_init__(self) -> None:
        order = tuple(self.plan.features)
        self._position = {fid: number for number, fid in enumerate(order)}
        self._groups = {group: {} for group, *_ in GROUPS}
        needs = {fid: feature.depends_on for fid, feature in self.plan.features.items()}
        drawing = lanes(order, needs, ascii_only=self.ascii_only) if len(order) <= _MOST_DRAWN else None
        self._drawing = dict(zip(order, drawing, strict=True)) if drawing else {}
        self._feature_width = max(7, *(len(fid) for fid in order))
        for fid in order:
            self.mark(fid)

    def mark(self, feature: str) -> None:
        """The feature may stand elsewhere now."""
        group = LOOKS[self.standing_of(feature)].group
        before = self._group_of.get(feature)
        if before == group:
            return
        if before is not None:
            del self._groups[before][feature]
        self._groups[group][feature] = None
        self._group_of[feature] = group

    def counts(self) -> dict[Group, int]:
        return {group: len(members) for group, members in self._groups.items()}

    def frame(
        self, totals: Totals, footer: Sequence[Span], now: float, width: int, height: int
    ) -> tuple[FrameLine, ...]:
        """The whole picture: header, column heads, rows, what is hidden, footer."""
        room = max(1, height - 2 - len(footer))
        everything = len(self._position)
        is_cut = everything > room
        shown = self._most_telling(room - 1) if is_cut else list(self._position)
        graph_width = 0 if is_cut else max((len(line) for line in self._drawing.values()), default=0)
        columns = columns_for(
            width,
            feature_width=min(self._feature_width, max(10, width // 4)),
            state_width=12 + 1,
            graph_width=graph_width,
        )
        lines = [header_line(totals, width)]
        lines.append(table_line(columns, {c.name: Span(c.name, "dim") for c in columns}, width))
        lines += [table_line(columns, self._cells(self.row_of(fid, now)), width) for fid in shown]
        if is_cut:
            lines.append(self._hidden_line(shown, width))
        lines += [(Span(clip(clean(span.text), width), span.tone),) for span in footer]
        frame = tuple(lines[:height])
        if self.ascii_only:
            return tuple(tuple(Span(to_ascii(span.text), span.tone) for span in line) for line in frame)
        return frame

    def _most_telling(self, room: int) -> list[str]:
        """At work first, then what went wrong, what may start next, what is done; each in plan order."""
        chosen: list[str] = []
        for group in ("busy", "failed", "waiting", "skipped", "done"):
            left = room - len(chosen)
            if left <= 0:
                break
            members = self._groups[group]
            if len(members) <= left or group in ("busy", "failed"):
                chosen += sorted(members, key=self._position.__getitem__)[:left]
            else:
                chosen += [fid for fid, _ in zip(members, range(left), strict=False)]
        return chosen

    def _hidden_line(self, shown: Sequence[str], width: int) -> FrameLine:
        hidden = self.counts()
        for fid in shown:
            hidden[self._group_of[fid]] -= 1
        kinds = ", ".join(f"{hidden[group]} {word}" for group, word, *_ in GROUPS if hidden[group])
        text = f"… {sum(hidden.values())} more: {kinds}"
        return (Span(clip(text, width), "dim"),)

    def _cells(self, row: Row) -> dict[str, Span]:
        look = LOOKS[row.standing]
        quiet: Tone = "dim" if look.group == "waiting" else "plain"
        has_begun = row.try_number > 0
        return {
            "graph": Span(self._drawing.get(row.feature, ""), "dim"),
            "wave": Span(str(self.plan.wave_of[row.feature] + 1), "dim"),
            "feature": Span(row.feature, quiet),
            "state": Span(f"{look.symbol} {look.word}", look.tone),
            "try": Span(f"{row.try_number}/{row.tries}" if has_begun else "", quiet),
            "time": Span(render_duration(row.elapsed_s) if row.elapsed_s is not None else "", quiet),
            "tokens": Span(render_tokens(row.tokens) if row.tokens else "", quiet),
            "cost": Span(render_money(row.cost_usd, estimated=row.estimated) if row.cost_usd else "", quiet),
            "last": Span(clean(row.last[:400]), look.tone if look.group in ("failed", "skipped") else "dim"),
        }


_MOST_DRAWN = 200
"""Features beyond which no terminal shows the whole graph at once."""


def header_line(totals: Totals, width: int) -> FrameLine:
    """One line; when it does not fit, the least needed part goes first, and what the run costs last."""
    counters: list[Span] = []
    for group, word, symbol, tone in GROUPS:
        if count := totals.counts.get(group, 0):
            long = f"{count} {word}" if width >= 120 else ""
            counters.append(Span(long or f"{count}{symbol}", tone))
    money = render_money(totals.cost_usd, estimated=totals.estimated)
    cap = f" / {render_money(totals.cap_usd)}" if totals.cap_usd is not None else ""
    left = f", {render_rough_duration(totals.left_s)} left" if totals.left_s is not None else ""
    parts: dict[str, list[Span]] = {
        "name": [Span("orchestrate run", "strong")],
        "run": [Span(totals.run, "dim")],
        "wave": [Span(f"wave {totals.wave}/{totals.waves}")],
        "counters": _joined(counters, ", " if width >= 120 else " "),
        "cost": [Span(money, "strong"), Span(cap)],
        "time": [Span(render_duration(totals.elapsed_s), "strong"), Span(" elapsed"), Span(left)],
        "basis": [Span(f"({totals.basis})", "dim")] if left else [],
        "slots": [Span(f"slots {totals.slots_used}/{totals.slots}")],
    }
    gap = "  "
    for dropped in (None, "basis", "name", "run", "slots", "wave", "time"):
        parts.pop(dropped or "", None)
        if sum(display_width(s.text) for p in parts.values() for s in p) + len(gap) * (len(parts) - 1) <= width:
            break
    return _clipped(_joined_parts([p for p in parts.values() if p], gap), width)


def _joined(spans: Sequence[Span], gap: str) -> list[Span]:
    return [Span(f"{gap if number else ''}{span.text}", span.tone) for number, span in enumerate(spans)]


def _joined_parts(parts: Sequence[Sequence[Span]], gap: str) -> list[Span]:
    line: list[Span] = []
    for number, part in enumerate(parts):
        line += [Span(gap)] if number else []
        line += part
    return line


def _clipped(spans: Sequence[Span], width: int) -> FrameLine:
    line: list[Span] = []
    for span in spans:
        room = width - sum(display_width(s.text) for s in line)
        if room <= 0:
            break
        line.append(Span(clip(span.text, room), span.tone))
    return tuple(line)
