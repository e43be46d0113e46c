"""Which way a run is shown while it goes on: a live table, plain lines, JSON lines, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from orchestrate.cli.plain import JsonProgress, PlainProgress, Progress
from orchestrate.cli.printer import Printer
from orchestrate.engine.clock import SystemClock

if TYPE_CHECKING:
    from orchestrate.ports import Clock
    from orchestrate.spec.settings import Settings

Way = Literal["auto", "live", "plain", "json", "none"]

AGENTS = ("CLAUDECODE", "CODEX_SANDBOX", "GEMINI_CLI", "CURSOR_AGENT", "OPENCODE")
"""Set inside a coding agent's shell: what reads us there reads lines."""


def choose_progress(
    printer: Printer, wish: Way, *, settings: Settings, environ: Mapping[str, str], clock: Clock | None = None
) -> Progress:
    """A context manager: follow(run, plan) gives what hears the events, finish(ran) shows how it ended."""
    clock = clock or SystemClock()
    match resolve(printer, wish, environ):
        case "json":
            return JsonProgress(printer, clock)
        case "none":
            return Progress(printer, clock)
        case "live":
            from orchestrate.cli.live import LiveProgress

            cap_usd = settings.limits.max_cost_usd
            return LiveProgress(printer, clock, slots=settings.max_parallel, cap_usd=cap_usd)
        case _:
            return PlainProgress(printer, clock)


def resolve(printer: Printer, wish: Way, environ: Mapping[str, str]) -> Way:
    """What `auto` means here; every other wish is granted, but for a live view where there is no terminal."""
    can_move = printer.err.is_terminal and environ.get("TERM") != "dumb"
    if wish == "auto":
        if printer.verbosity < 0:
            return "none"
        return "live" if can_move and not any(environ.get(name) for name in AGENTS) else "plain"
    return "plain" if wish == "live" and not can_move else wish
