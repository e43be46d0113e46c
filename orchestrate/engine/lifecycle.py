"""How an engine is stopped: by signals.

Invariant: when the shell's prompt is back, nothing is alive that the engine started, however it was stopped.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from orchestrate import process
from orchestrate.core.events import Event, StopRequested
from orchestrate.ports import Clock
from orchestrate.supervise.door import end_all

LAST_S = 2.0
"""For the supervisors, seconds, when there is no time for anything else."""


@dataclass(slots=True)
class Interrupts:
    """What signals came so far. last: number of the last one, 0 if none."""

    count: int = 0
    last: int = 0


@contextmanager
def stop_on_signals(
    run: str,
    tell: Callable[[Event], None],
    clock: Clock,
    say: Callable[[str], None],
    last_words: Callable[[], object],
    ending_s: float,
) -> Iterator[Interrupts]:
    """First Ctrl-C drains, second ends the agents, third kills at once. SIGTERM and a closed terminal act as the second.

    Inside a running loop, in the main thread. say: a line for the person who pressed the keys. last_words: writes the
    report and says how to go on, as nobody will after the third. ending_s: what the ending of an agent may take, seconds.
    """
    seen = Interrupts()
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        seen.count = max(seen.count + 1, 1 if number == signal.SIGINT else 2)
        seen.last = number
        by = signal.Signals(number).name
        if seen.count == 1:
            say("stopping: nothing new is started, running agents may finish; Ctrl-C again ends them now")
            tell(StopRequested(clock.now(), "drain", by))
        elif seen.count == 2:
            say(
                f"ending the running agents, up to {ending_s:.0f} s; Ctrl-C again leaves at once; their work is kept, and "
                "`orchestrate resume` goes on with it"
            )
            tell(StopRequested(clock.now(), "cancel", by))
        else:
            end_all(LAST_S)
            process.sweep(run)
            with suppress(Exception):  # whatever it is, it must not keep us here
                last_words()
            os._exit(128 + number)  # nothing is lost: the log is durable and worktrees stay as they are

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        yield seen
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
