"""Streams that say they are terminals, and a clock that stands where it is put."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

from orchestrate.cli.printer import Printer, Stream


@dataclass
class StandingClock:
    """ports.Clock, set by hand."""

    at: float = 0.0

    def now(self) -> float:
        return self.at


@dataclass
class Terminal:
    """A printer on two text buffers; moving: stderr is a terminal."""

    moving: bool = False
    color: bool = False
    ascii_only: bool = False
    verbosity: int = 0
    out: io.StringIO = field(default_factory=io.StringIO)
    err: io.StringIO = field(default_factory=io.StringIO)

    @property
    def printer(self) -> Printer:
        out = Stream(self.out, color=self.color, ascii_only=self.ascii_only, width=100)
        err = Stream(self.err, color=self.color, ascii_only=self.ascii_only, width=100)
        err.is_terminal = self.moving
        return Printer(out, err, self.verbosity)
