"""Toned spans on the printer's streams, for tables that stay; the live view draws the same spans through rich."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrate.cli.printer import Stream
from orchestrate.views.live import FrameLine
from orchestrate.views.rows import Tone

STYLES: dict[Tone, str] = {
    "strong": "bold",
    "dim": "dim",
    "good": "green",
    "bad": "red",
    "busy": "cyan",
    "caution": "yellow",
}


def render_toned(stream: Stream, text: str, tone: Tone) -> str:
    return stream.paint(text, STYLES[tone]) if tone in STYLES else text


def render_spans(stream: Stream, line: FrameLine) -> str:
    """One line, painted; without the blanks at its end."""
    spans = [span for span in line if span.text]
    return "".join(render_toned(stream, span.text, span.tone) for span in spans).rstrip()


def show_lines(stream: Stream, lines: Iterable[FrameLine]) -> None:
    for line in lines:
        stream.line(render_spans(stream, line))
