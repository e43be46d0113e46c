"""A run as lines: for a log file, a pipe or another program. Nothing moves, nothing is drawn twice.

Invariant: in JSON nothing but JSON lines goes to stdout, the result last; what an earlier engine did is not told again.
"""

from __future__ import annotations

import json
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from orchestrate.cli.printer import Printer, Stream
from orchestrate.cli.receipt import show_receipt
from orchestrate.cli.spans import render_toned
from orchestrate.core import events as ev
from orchestrate.core.plan import Plan
from orchestrate.ports import Clock, Stored
from orchestrate.store.codec import encode
from orchestrate.views.lines import Line, Narrator
from orchestrate.views.run import RunView, fold, fresh_view
from orchestrate.views.summary import result_document
from orchestrate.views.text import clean

if TYPE_CHECKING:
    from orchestrate.app.running import Ran

WIDEST_FEATURE = 24
"""Columns at most that the names of features are given in a line."""


class Progress:
    """Shows nothing while the run goes on, and the receipt at its end. What the other ways have in common.

    follow() is called once, with the run's id and plan; it returns what hears every event.
    """

    def __init__(self, printer: Printer, clock: Clock) -> None:
        self.printer = printer
        self.clock = clock
        self._since = clock.now()
        self._view: RunView | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def follow(self, _run: str, plan: Plan) -> Self:
        self._view = fresh_view(plan)
        return self

    @property
    def view(self) -> RunView:
        assert self._view is not None, "follow() comes first"
        return self._view

    def is_news(self, stored: Stored) -> bool:
        """Whether it happened since we are here: a resumed run tells its past first."""
        return stored.event.at >= self._since

    def on_stored(self, stored: Stored) -> None:
        fold(self.view, stored.event)

    def say(self, text: str) -> None:
        """A line for the person who is there."""
        self.printer.say(text)

    def leave(self, text: str) -> None:
        """The last line of all: the process ends at once."""
        self.printer.say(text)

    def finish(self, ran: Ran) -> None:
        report = str(ran.report_file.with_suffix(".md"))
        show_receipt(self.printer, self.view, now=self.clock.now(), report=report)


class PlainProgress(Progress):
    """One line an event, on stderr."""

    def follow(self, _run: str, plan: Plan) -> Self:
        self._narrator = Narrator(plan)
        self._width = name_width(plan)
        return super().follow(_run, plan)

    def on_stored(self, stored: Stored) -> None:
        super().on_stored(stored)
        line = self._narrator.tell(stored.event)
        if line is not None and self.is_news(stored) and not _is_said_already(stored.event):
            self.printer.say(render_line(self.printer.err, line, self._width))


def name_width(plan: Plan) -> int:
    """Columns for the names of features."""
    return min(WIDEST_FEATURE, max((len(fid) for fid in plan.features), default=0))


def render_line(stream: Stream, line: Line, width: int) -> str:
    """`07:12:01  api  checks passed  → …`; width: of the names."""
    feature = clean(line.feature).ljust(width)
    follows = stream.paint(f"  → {clean(line.next)}", "dim") if line.next else ""
    at = stream.paint(render_clock(line.at), "dim")
    return f"{at}  {feature}  {render_toned(stream, clean(line.text), line.tone)}{follows}".rstrip()


def _is_said_already(event: ev.Event) -> bool:
    """A signal is answered by say(), at once."""
    return isinstance(event, ev.StopRequested) and event.by.startswith("SIG")


def render_clock(at: float) -> str:
    """Local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(at))


class JsonProgress(Progress):
    """Every event as one JSON object a line, on stdout; `kind` says which, its fields are in `body`."""

    def on_stored(self, stored: Stored) -> None:
        super().on_stored(stored)
        if self.is_news(stored):
            self._write(render_stored(stored))

    def finish(self, ran: Ran) -> None:
        document = result_document(self.view, str(ran.report_file))
        self._write(json.dumps({**document, "exit_code": int(ran.code)}))

    def _write(self, line: str) -> None:
        self.printer.out.file.write(line + "\n")
        self.printer.out.file.flush()


def render_stored(stored: Stored) -> str:
    """One event as a line of JSON (ASCII, so no text in it can reach a terminal as more than text)."""
    kind, body = encode(stored.event)
    head = json.dumps({"seq": stored.seq, "run": stored.run, "at": stored.event.at, "kind": kind})
    return f'{head[:-1]}, "body": {body}}}'
