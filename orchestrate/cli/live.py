"""The live table in a terminal: rich.Live, inline, one writer, four pictures a second, none while nothing is to be seen.

Invariant: everything runs on the loop's own thread, so a picture never sees half an event; the terminal is given back on
every way out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.segment import Segment
from rich.style import Style

from orchestrate.cli.plain import Progress
from orchestrate.cli.printer import Printer, Stream
from orchestrate.core import events as ev
from orchestrate.core.plan import Plan
from orchestrate.ports import Clock, Stored
from orchestrate.views.forecast import Forecast
from orchestrate.views.live import FrameLine, LiveTable, footer_of, totals_of
from orchestrate.views.rows import Tone
from orchestrate.views.text import clean, wrapped

if TYPE_CHECKING:
    from orchestrate.app.running import Ran

PICTURE_EVERY_S = 0.25
SPARE_LINES = 1
"""Lines of the terminal left free: a picture as high as the terminal would scroll it."""

STYLES: dict[Tone, Style | None] = {
    "plain": None,
    "strong": Style(bold=True),
    "dim": Style(dim=True),
    "good": Style(color="green"),
    "bad": Style(color="red"),
    "busy": Style(color="cyan"),
    "caution": Style(color="yellow"),
}

Paint = Callable[[int, int], tuple[FrameLine, ...]]
"""(width, height) → the picture as it is now."""


class Screen:
    """Shows pictures until it is left. say() prints a line above the picture, where it stays."""

    def __init__(self, stream: Stream, paint: Paint) -> None:
        self._console = build_console(stream)
        self._picture = _Picture(paint)
        self._live = Live(self._picture, console=self._console, auto_refresh=False, transient=True)
        self._timer: asyncio.TimerHandle | None = None
        self._is_open = False

    def __enter__(self) -> Self:
        self._live.start(refresh=False)
        self._is_open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def touch(self) -> None:
        """Something has changed: a picture follows, at once or within PICTURE_EVERY_S; time goes on by itself then."""
        if self._timer is None and self._is_open:
            self._tick()

    def _tick(self) -> None:
        self._timer = None
        if not self._is_open:
            return
        self._live.refresh()
        with contextlib.suppress(RuntimeError):  # no loop runs: whoever calls touch() sets the pace
            self._timer = asyncio.get_running_loop().call_later(PICTURE_EVERY_S, self._tick)

    def say(self, text: str, tone: Tone = "plain") -> None:
        self._console.print(
            _Words(text, STYLES[tone]), crop=False
        )  # a path longer than a line is the terminal's to break

    def close(self) -> None:
        """Take the picture away. A second call does nothing."""
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._live.stop()


def build_console(stream: Stream) -> Console:
    """A console on the printer's stream, coloured as that one is."""
    return Console(
        file=stream.file,
        force_terminal=True,
        color_system="auto" if stream.color else None,
        no_color=not stream.color,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


class _Picture:
    """Hands finished lines to rich: nothing of ours is parsed, wrapped or measured a second time."""

    def __init__(self, paint: Paint) -> None:
        self._paint = paint

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        lines = self._paint(options.max_width, max(2, console.size.height - SPARE_LINES))
        for number, line in enumerate(lines):
            if number:
                yield Segment.line()
            for span in line:
                yield Segment(span.text, STYLES[span.tone])


class _Words:
    def __init__(self, text: str, style: Style | None) -> None:
        self._text, self._style = text, style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for line in wrapped(self._text.split(" "), width=options.max_width, indent=""):
            yield Segment(line, self._style)
            yield Segment.line()


class LiveProgress(Progress):
    """The table while the run goes on; warnings above it, where they stay."""

    def __init__(self, printer: Printer, clock: Clock, *, slots: int, cap_usd: float | None) -> None:
        super().__init__(printer, clock)
        self._slots, self._cap_usd = slots, cap_usd
        self._screen: Screen | None = None

    def follow(self, _run: str, plan: Plan) -> Self:
        super().follow(_run, plan)
        self._table = LiveTable(self.view, ascii_only=self.printer.err.ascii_only)
        self._forecast = Forecast(plan, self._slots)
        return self

    def on_stored(self, stored: Stored) -> None:
        super().on_stored(stored)
        self._table.changed(stored.event)
        self._forecast.fold(stored.event)
        if not self.is_news(stored):
            return
        if self._screen is None:
            self._screen = Screen(self.printer.err, self._paint)
            self._screen.__enter__()
        if isinstance(stored.event, ev.Warned):
            about = f"{stored.event.feature}: " if stored.event.feature else ""
            self._screen.say(clean(f"{about}{stored.event.message}"), "caution")
        self._screen.touch()

    def _paint(self, width: int, height: int) -> tuple[FrameLine, ...]:
        now = self.clock.now()
        totals = totals_of(self._table, self._forecast, slots=self._slots, cap_usd=self._cap_usd, now=now)
        return self._table.frame(totals, footer_of(self._table, now), now, width, height)

    def say(self, text: str) -> None:
        if self._screen is None:
            super().say(text)
        else:
            self._screen.say(text, "caution")

    def leave(self, text: str) -> None:
        self._close()
        super().leave(text)

    def finish(self, ran: Ran) -> None:
        self._close()
        super().finish(ran)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._screen is not None:
            self._screen.close()
            self._screen = None
