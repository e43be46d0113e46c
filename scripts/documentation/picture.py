"""The live table of a recorded run, as an SVG: drawn by the same code that draws it in a terminal.

Invariant: nothing is loaded from elsewhere when it is looked at; the same recording gives the same file.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from orchestrate.cli.live import STYLES
from orchestrate.core import events as ev
from orchestrate.spec.frozen import parse_plan
from orchestrate.store.codec import decode
from orchestrate.views.forecast import Forecast
from orchestrate.views.live import FrameLine, LiveTable, footer_of, totals_of
from orchestrate.views.run import fold, fresh_view

WIDTH, HEIGHT = 110, 12

_SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img"
 aria-label="The live table of orchestrate run">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
 font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""As rich.console.CONSOLE_SVG_FORMAT, with fonts that the reader has instead of fonts from the network."""


def render_picture(recording: Sequence[str]) -> str:
    """The table at the moment when the rework shows. recording: the lines of `run --json`."""
    events = [decode(line["kind"], line["at"], json.dumps(line["body"])) for line in map(json.loads, recording)]
    console = Console(record=True, width=WIDTH, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    for line in _frame_at_rework(events):
        text = Text(no_wrap=True)
        for span in line:
            text.append(span.text, STYLES[span.tone])
        console.print(text, highlight=False)
    svg = console.export_svg(title="orchestrate run", code_format=_SVG, unique_id="run")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def _frame_at_rework(events: Sequence[ev.Event]) -> tuple[FrameLine, ...]:
    begun, engine = events[:2]
    assert isinstance(begun, ev.RunStarted) and isinstance(engine, ev.EngineStarted), "no beginning of a run"
    plan = parse_plan(begun.plan)
    view = fresh_view(plan)
    table, forecast = LiveTable(view), Forecast(plan, engine.parallel)
    rework = ""
    for event in events:
        fold(view, event)
        table.changed(event)
        forecast.fold(event)
        if isinstance(event, ev.InvocationStarted) and event.phase == "rework":
            rework = event.feature
        if isinstance(event, ev.InvocationProgressed) and event.feature == rework and event.turns > 1:
            totals = totals_of(table, forecast, slots=engine.parallel, cap_usd=None, now=event.at)
            return table.frame(totals, footer_of(table, event.at), event.at, WIDTH, HEIGHT)
    raise ValueError("nothing is reworked in the recording")
