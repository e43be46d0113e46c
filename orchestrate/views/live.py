"""The live table as data: lines of toned spans, cut to the terminal. Who draws it decides how a tone looks.

Invariant: a frame is never wider than `width` nor higher than `height`, and its height depends on these and the plan
alone, so that the terminal never scrolls. Features at work are shown first when not all fit. Every symbol has its word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrate.core import events as ev
from orchestrate.views.controls import hold_words, on_words
from orchestrate.views.figures import (
    render_duration,
    render_money,
    render_rough_duration,
    render_tokens,
    to_ascii,
)
from orchestrate.views.forecast import Forecast
from orchestrate.views.lanes import lanes
from orchestrate.views.reasons import account_words
from orchestrate.views.rows import GROUPS, LOOKS, Group, Row, Tone, row_of
from orchestrate.views.run import RunView, waits_for
from orchestrate.views.text import clean, clip, display_width, pad


@dataclass(frozen=True, slots=True)
class Span:
    text: str
    tone: Tone = "plain"


FrameLine = tuple[Span, ...]


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
    held: str = ""
    """Why nothing new starts, in a word; empty when nothing holds the run."""


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
_STATE_WIDTH = 13
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

    changed(event) must be called with every event after the view has folded it, so that a frame costs what its visible
    rows cost and not what the plan is long.
    """

    view: RunView
    ascii_only: bool = False
    is_driven: bool = True
    """Whether an engine is at the run."""
    _groups: dict[Group, dict[str, None]] = field(default_factory=dict)
    _group_of: dict[str, Group] = field(default_factory=dict)
    _position: dict[str, int] = field(default_factory=dict)
    _drawing: dict[str, str] = field(default_factory=dict)
    _feature_width: int = 0

    def __post_init__(self) -> None:
        features = self.view.plan.features
        order = tuple(features)
        self._position = {fid: number for number, fid in enumerate(order)}
        self._groups = {group: {} for group, *_ in GROUPS}
        needs = {fid: feature.depends_on for fid, feature in features.items()}
        drawing = lanes(order, needs, ascii_only=self.ascii_only) if len(order) <= _MOST_DRAWN else None
        self._drawing = dict(zip(order, drawing, strict=True)) if drawing else {}
        self._feature_width = max(7, *(len(fid) for fid in order))
        for fid in order:
            self._place(fid)

    def changed(self, event: ev.Event) -> None:
        match event:
            case ev.AttemptEvent() | ev.FeatureSkipped() | ev.FeatureCancelled() | ev.FeatureReopened():
                self._place(event.feature)
            case ev.EngineStarted():
                for fid in self.view.active:
                    self._place(fid)
            case ev.Control():
                for fid in self._position:
                    self._place(fid)
            case _:
                pass

    def _place(self, fid: str) -> None:
        group = LOOKS[self.view.features[fid].status].group
        before = self._group_of.get(fid)
        if before == group:
            return
        if before is not None:
            del self._groups[before][fid]
        self._groups[group][fid] = None
        self._group_of[fid] = group

    def waiting(self) -> Iterable[str]:
        """Features that have not begun, roughly in plan order."""
        return self._groups["waiting"]

    def counts(self) -> dict[Group, int]:
        return {group: len(members) for group, members in self._groups.items()}

    def frame(
        self, totals: Totals, footer: Sequence[Span], now: float, width: int, height: int
    ) -> tuple[FrameLine, ...]:
        """The whole picture: header, column heads, rows, what is hidden, footer."""
        lines = [header_line(totals, width)]
        lines += self.rows(now, width, max(2, height - 1 - len(footer)))
        lines += [(Span(clip(clean(span.text), width), span.tone),) for span in footer]
        return self._in_reach(lines[:height])

    def rows(self, now: float, width: int, height: int) -> tuple[FrameLine, ...]:
        """Column heads and features, and a line that counts those for which there is no room."""
        room = height - 1
        is_cut = len(self._position) > room
        shown = self._most_telling(room - 1) if is_cut else list(self._position)
        columns = columns_for(
            width,
            feature_width=min(self._feature_width, max(10, width // 4)),
            state_width=_STATE_WIDTH,
            graph_width=0 if is_cut else max((len(line) for line in self._drawing.values()), default=0),
        )
        lines = [table_line(columns, {c.name: Span(c.name, "dim") for c in columns}, width)]
        lines += [
            table_line(columns, self._cells(row_of(self.view, fid, now, is_driven=self.is_driven)), width)
            for fid in shown
        ]
        if is_cut:
            lines.append(self._hidden_line(shown, width))
        return self._in_reach(lines)

    def _in_reach(self, lines: Sequence[FrameLine]) -> tuple[FrameLine, ...]:
        """With characters that the terminal can show."""
        if not self.ascii_only:
            return tuple(lines)
        return tuple(tuple(Span(to_ascii(span.text), span.tone) for span in line) for line in lines)

    def _most_telling(self, room: int) -> list[str]:
        """At work first, then what went wrong, what may start next, what is done; each in plan order."""
        chosen: list[str] = []
        for group in ("busy", "paused", "failed", "waiting", "skipped", "done"):
            left = room - len(chosen)
            if left <= 0:
                break
            members = self._groups[group]
            if len(members) <= left or group in ("busy", "paused", "failed"):
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
        look = row.look
        quiet: Tone = "dim" if look.group == "waiting" else "plain"
        has_begun = row.try_number > 0
        return {
            "graph": Span(self._drawing.get(row.feature, ""), "dim"),
            "wave": Span(str(self.view.plan.wave_of[row.feature] + 1), "dim"),
            "feature": Span(row.feature, quiet),
            "state": Span(f"{look.symbol} {look.word}", look.tone),
            "try": Span(f"{row.try_number}/{row.tries}" if has_begun else "", quiet),
            "time": Span(render_duration(row.elapsed_s) if row.elapsed_s is not None else "", quiet),
            "tokens": Span(render_tokens(row.tokens) if row.tokens else "", quiet),
            "cost": Span(render_money(row.cost_usd, estimated=row.estimated) if row.cost_usd else "", quiet),
            "last": Span(clean(row.last[:400]), look.tone if look.group in ("failed", "skipped", "paused") else "dim"),
        }


_MOST_DRAWN = 200
"""Features beyond which no terminal shows the whole graph at once."""


def totals_of(table: LiveTable, forecast: Forecast, *, slots: int, cap_usd: float | None, now: float) -> Totals:
    """The header's figures at `now`. Money includes what running agents say that they have used so far."""
    view = table.view
    elapsed_s = (now if view.ended_at is None else view.ended_at) - view.started_at - view.down_s
    is_running = view.ended_at is None and not view.holds
    return Totals(
        view.run,
        table.counts(),
        min(view.open_wave + 1, len(view.plan.waves)),
        len(view.plan.waves),
        view.cost_usd + view.live_cost_usd,
        view.cost_estimated,
        cap_usd,
        elapsed_s if view.run else 0.0,
        forecast.left_s(now) if is_running else None,
        forecast.basis,
        view.count("preparing", "working", "checking"),
        max(1, slots - view.squeezed),
        held_word(view),
    )


def held_word(view: RunView) -> str:
    """`PAUSED`, `DISK FULL`, `STOPPING`: for a header."""
    if view.ended_at is not None:
        return ""
    if view.stop:
        return "STOPPING"
    causes = {pause.cause for pause in view.holds.open}
    words: dict[ev.HoldCause, str] = {"operator": "PAUSED", "disk": "DISK FULL", "machine": "NO ROOM"}
    return next((word for cause, word in words.items() if cause in causes), "")


MOST_WAITING = 6
"""Waiting features that the footer names."""


def footer_of(table: LiveTable, now: float) -> tuple[Span, ...]:
    """Two lines: what is waited for, and what the keys do."""
    view = table.view
    again = Span("Ctrl-C: end the agents now, their work is kept", "dim")
    if view.stop == "cancel":
        return Span("ending the agents; their work is kept", "caution"), Span(
            "Ctrl-C: leave at once, nothing is lost", "dim"
        )
    if view.stop:
        return Span("stopping: nothing new starts, what runs is finished", "caution"), again
    keys = Span("Ctrl-C: finish what runs, start nothing new · twice: end it now", "dim")
    if view.holds:
        return Span(held_line(view, now), "caution"), keys
    if away := account_words(view.account, now):
        return Span(away, "caution"), keys
    waits = []
    for fid in table.waiting():
        if needs := waits_for(view, fid):
            waits.append(f"{fid} for {', '.join(needs)}")
            if len(waits) == MOST_WAITING:
                break
    return Span(f"waits: {' · '.join(waits)}" if waits else "", "dim"), keys


def held_line(view: RunView, now: float) -> str:
    """Who or what holds the run since when, what still goes on, and what ends it."""
    first = view.holds.open[0]
    busy, waiting = view.count("preparing", "working", "checking", "merging"), view.count("ready", "paused")
    going_on = [f"{busy} still at work"] if busy else []
    going_on += [f"{waiting} could go on"] if waiting else []
    since = f"{hold_words(view.holds)}, {render_duration(now - first.since)} ago"
    return " · ".join([since, *going_on, on_words(first)])


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
        "held": [Span(totals.held, "caution")] if totals.held else [],
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
        shown = [part for part in parts.values() if part]
        if sum(display_width(s.text) for part in shown for s in part) + len(gap) * (len(shown) - 1) <= width:
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
