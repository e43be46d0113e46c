"""Where the time of a run went: spans for a chart, how many features were worked on at once, and the chain of features
that made the run as long as it was. Pure.

Invariant: wall time is never below the bound, up to the clock's own errors; sequential time is the sum of the busy spans.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from orchestrate.views.attempts import IDLE, Stage
from orchestrate.views.run import FeatureView, RunView


@dataclass(frozen=True, slots=True)
class TimelineSpan:
    """start, end: seconds since the run started. open: it goes on."""

    feature: str
    attempt: int
    stage: Stage
    start: float
    end: float
    open: bool = False

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Step:
    """From `at` (seconds since the run started) on, `count` attempts were worked on at once."""

    at: float
    count: int


@dataclass(frozen=True, slots=True)
class Link:
    """One feature of the critical path as it happened. Seconds since the run started.

    due: when its last dependency was there (0 for the first link); start: its first attempt since; ready: when the next link
    could start from it, or when it ended, for the last.
    """

    feature: str
    due: float
    start: float
    ready: float

    @property
    def waited_s(self) -> float:
        return max(0.0, self.start - self.due)


@dataclass(frozen=True, slots=True)
class Timeline:
    """All in seconds.

    wall_s: from start to end, by the clock; down_s: part of it in which no engine drove the run.
    sequential_s: what one worker would have needed for the same. parallel: slots, or the peak where those are unknown.
    bound_s: what no order could have beaten: max(longest chain of busy times, sequential_s ÷ parallel).
    """

    spans: tuple[TimelineSpan, ...]
    concurrency: tuple[Step, ...]
    critical_path: tuple[Link, ...]
    wall_s: float
    down_s: float
    sequential_s: float
    bound_s: float
    parallel: int
    peak: int

    @property
    def active_s(self) -> float:
        """Wall time in which an engine was there."""
        return max(0.0, self.wall_s - self.down_s)

    @property
    def speedup(self) -> float:
        """Sequential over active time; 0 when nothing happened yet."""
        return self.sequential_s / self.active_s if self.active_s > 0 else 0.0


def build_timeline(view: RunView, *, now: float, parallel: int | None = None) -> Timeline:
    """now: Unix seconds, the end of what is still going on. parallel: slots of the run, if known."""
    end = view.ended_at if view.ended_at is not None else max(now, view.last_at)
    start = view.started_at or end
    spans = tuple(_spans(view, start, end))
    steps = tuple(_concurrency(spans))
    peak = max((step.count for step in steps), default=0)
    slots = parallel or max(1, peak)
    sequential = sum(span.seconds for span in spans if span.stage not in IDLE)
    return Timeline(
        spans=spans,
        concurrency=steps,
        critical_path=_critical_path(view, start, end),
        wall_s=end - start,
        down_s=view.down_s,
        sequential_s=sequential,
        bound_s=max(_longest_chain(view, end), sequential / slots),
        parallel=slots,
        peak=peak,
    )


def _spans(view: RunView, start: float, end: float) -> Iterable[TimelineSpan]:
    """In plan order, then by attempt and time."""
    for feature in view.features.values():
        for attempt in feature.attempts:
            for span in attempt.spans:
                yield TimelineSpan(
                    feature.id,
                    attempt.number,
                    span.stage,
                    max(0.0, span.start - start),
                    max(0.0, (end if span.end is None else span.end) - start),
                    open=span.end is None,
                )


def _concurrency(spans: Iterable[TimelineSpan]) -> Iterable[Step]:
    """One step for each moment at which the number changed. Spans that touch do not overlap."""
    changes: list[tuple[float, int]] = []
    for span in spans:
        if span.stage not in IDLE:
            changes += [(span.start, 1), (span.end, -1)]
    changes.sort()
    count = said = 0
    for at, group in groupby(changes, key=lambda change: change[0]):
        count += sum(change for _, change in group)
        if count != said:
            said = count
            yield Step(at, count)


def _longest_chain(view: RunView, end: float) -> float:
    """Heaviest path through the plan, each feature weighing the work it really took.

    A dependent could start from verified work already; what came after (merging, mostly) then weighs at the chain's end
    only. Features are in topological order.
    """
    chain: dict[str, float] = {}
    longest = 0.0
    for fid, planned in view.plan.features.items():
        feature = view.features[fid]
        before = max((chain[need] for need in planned.depends_on), default=0.0)
        whole = before + _busy(feature, end, until=end)
        handed_on = end if view.plan.start_on == "integrated" else feature.verified_at
        chain[fid] = whole if handed_on is None else before + _busy(feature, end, until=handed_on)
        longest = max(longest, whole)
    return longest


def _busy(feature: FeatureView, end: float, *, until: float) -> float:
    """Seconds of work on the feature before `until`."""
    return sum(
        max(0.0, min(end if span.end is None else span.end, until) - span.start)
        for attempt in feature.attempts
        for span in attempt.spans
        if span.stage not in IDLE
    )


def _critical_path(view: RunView, start: float, end: float) -> tuple[Link, ...]:
    """From the feature that ended last, back along the dependency that was ready last, to one that had none."""
    begun = [feature for feature in view.features.values() if feature.attempts]
    if not begun:
        return ()
    here = max(begun, key=lambda feature: (_ended(feature, end), feature.id))
    ready = _ended(here, end)
    links: list[Link] = []
    while True:
        needs = [view.features[need] for need in view.plan.features[here.id].depends_on]
        integrated = view.plan.start_on == "integrated" or here.base_conflict
        moments = [(_ready(need, end, integrated=integrated), need.id) for need in needs]
        due, before = max(moments, default=(start, ""))
        begun_at = next((a.started_at for a in here.attempts if a.started_at >= due), due)
        links.append(Link(here.id, max(0.0, due - start), max(0.0, begun_at - start), max(0.0, ready - start)))
        if not before:
            return tuple(reversed(links))
        here, ready = view.features[before], due


def _ready(feature: FeatureView, end: float, *, integrated: bool) -> float:
    """When its dependents could start."""
    at = feature.ended_at if integrated else feature.verified_at
    return end if at is None else at


def _ended(feature: FeatureView, end: float) -> float:
    return end if feature.ended_at is None else feature.ended_at
