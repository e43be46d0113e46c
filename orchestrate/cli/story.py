"""What happened in a run, line by line: the same lines that are shown while it goes on, from its log.

Invariant: every line is told once, in the order of the log; a day that begins is named.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from orchestrate.cli.plain import name_width, render_line
from orchestrate.cli.printer import Printer
from orchestrate.cli.recorded import Recorded, plan_of
from orchestrate.engine.lock import owner
from orchestrate.views.lines import Line, Narrator
from orchestrate.views.run import RunView, fold, fresh_view
from orchestrate.views.summary import end_line

LOOK_EVERY_S = 0.25
"""How often a live log is looked at, seconds."""


def show_story(printer: Printer, recorded: Recorded, run: str, *, follow: bool) -> None:
    """follow: stay as long as an engine is at the run."""
    story = _Story(printer, recorded, run)
    while True:
        # Ask before looking: what an engine wrote before it went is then still seen.
        driver = owner(recorded.state.engine_lock)
        is_live = driver is not None and driver.run in ("", run)
        moved = story.tell_news()
        if not (is_live and follow):
            break
        if not moved:
            time.sleep(LOOK_EVERY_S)
    if is_live:
        printer.say(f"\nstill under way; stay with it: orchestrate logs -f --run {run}")
    elif story.view.status == "running":
        printer.say(f"\n{end_line(story.view, named=not recorded.is_newest(run))}")


@dataclass(slots=True)
class _Story:
    printer: Printer
    recorded: Recorded
    run: str
    view: RunView = field(init=False)
    _narrator: Narrator = field(init=False)
    _width: int = field(init=False)
    _seq: int = 0
    _day: str = ""

    def __post_init__(self) -> None:
        plan = plan_of(self.recorded.events(self.run))
        self.view, self._narrator, self._width = fresh_view(plan), Narrator(plan), name_width(plan)

    def tell_news(self) -> bool:
        """Whether there was anything new."""
        news = self.recorded.log.read(self.run, self._seq)
        for stored in news:
            self._seq = stored.seq
            fold(self.view, stored.event)
            line = self._narrator.tell(stored.event)
            if line is not None:
                self._show(line)
        return bool(news)

    def _show(self, line: Line) -> None:
        out = self.printer.out
        day = time.strftime("%Y-%m-%d", time.localtime(line.at))
        if day != self._day:
            self._day = day
            out.line(out.paint(day, "bold"))
        out.line(render_line(out, line, self._width))
