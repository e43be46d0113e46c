"""What a rule answers."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from orchestrate.core import events as ev


@dataclass(frozen=True, slots=True)
class Decided:
    """event: to be recorded now; None: nothing is due, and time alone changes that at wake_at (Unix seconds) at the earliest."""

    event: ev.Event | None = None
    wake_at: float = inf


NOTHING = Decided()
