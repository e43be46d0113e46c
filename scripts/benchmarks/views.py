"""(g) A second of watching fifty agents, drawn four times, against a hundredth of a core; (g) an event to JSON and back."""

from __future__ import annotations

from collections.abc import Iterator
from time import process_time

from orchestrate.cli.live import LiveProgress
from orchestrate.core import events as ev
from orchestrate.core.plan import Feature, build_plan
from orchestrate.ports import Stored
from orchestrate.store.codec import decode, encode
from tests.support.logs import RUN, START, happy_diamond
from tests.support.terminal import StandingClock, Terminal

from .table import Row

AGENTS, PICTURES = 50, 4
SECOND_S = 1.0


def measure() -> Iterator[Row]:
    """CPU time, the best of ten."""
    plan = build_plan(Feature(f"feature-{n:02d}") for n in range(AGENTS))
    clock = StandingClock(START)
    progress = LiveProgress(Terminal(moving=True, color=True).printer, clock, slots=AGENTS, cap_usd=None)
    follower = progress.follow(RUN, plan)
    for n, fid in enumerate(plan.features):
        for event in (
            ev.AttemptStarted(START - 9, fid, 1, 1, ("b" * 40,)),
            ev.WorktreePrepared(START - 8, fid, 1, "b" * 40, "branch", f"/w/{n}"),
            ev.InvocationStarted(START - 7, fid, 1, 2, 1, "edit", "s", False, 600.0),
        ):
            follower.on_stored(Stored(1, RUN, event))

    def one_second(second: int) -> float:
        begun = process_time()
        for fid in plan.features:
            action = f"Edit src/{fid}.py (+{second} -3)"
            event = ev.InvocationProgressed(START - 6, fid, 1, 1, action, second, ev.Tokens(1000 * second))
            follower.on_stored(Stored(1, RUN, event))
        for picture in range(PICTURES):
            clock.at = START + second + picture / PICTURES
            progress._paint(120, 58)  # noqa: SLF001  what the screen asks of it
        return process_time() - begun

    best = min(one_second(second) for second in range(10))
    yield Row("g", "live view, 50 agents, a second", best * 1e3, "ms", "one core", SECOND_S * 1e3, 0.02)
    yield Row("g", "one event to JSON and back", _there_and_back() * 1e6, "µs", "one core, a second", SECOND_S * 1e6)


def _there_and_back() -> float:
    events, rounds = happy_diamond().events, 40

    def once() -> float:
        begun = process_time()
        for _ in range(rounds):
            for event in events:
                kind, body = encode(event)
                decode(kind, event.at, body)
        return (process_time() - begun) / rounds / len(events)

    return min(once() for _ in range(10))
