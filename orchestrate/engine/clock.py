"""Wall clock that never goes back inside one engine: order in the log is by number, and times must not contradict it."""

from __future__ import annotations

import time


class SystemClock:
    """ports.Clock over the system's clock; while that is set back, time stands still here."""

    def __init__(self) -> None:
        self._last = 0.0

    def now(self) -> float:
        self._last = max(self._last, time.time())  # noqa: TID251 - this is the clock
        return self._last
