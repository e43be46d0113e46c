"""What code costs, told without a clock that others on the machine can turn."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

HANG_S = 60.0
"""Seconds of our own processor time after which something that takes milliseconds is held to hang."""


@contextlib.contextmanager
def ends(cpu_s: float = HANG_S) -> Iterator[None]:
    """Fail when the block would, for all practical purposes, never come to its end."""

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"not at its end after {cpu_s:g} s of processor time")

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def calls(block: Callable[[], object]) -> int:
    """Calls of functions, Python's and C's, that the block makes: the same on every machine."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        block()
    finally:
        sys.setprofile(before)
    return count
