"""Which files are generated, and from what. A page has a head written by hand, down to a marker; the rest is generated.

Invariant: rendering reads the program and the files in docs/ only, so that the same checkout always gives the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrate.spec.reference import render_reference

from .commands import render_commands
from .events import render_events
from .picture import render_picture

ROOT = Path(__file__).parents[2]

MARKER = "<!-- generated from here on: scripts/render_docs -->"


def _reference_tables() -> str:
    """The reference without its own head, in place of which the page has a longer one."""
    page = render_reference()
    return page[page.index("\n## ") + 1 :]


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/commands.md": render_commands,
    "docs/configuration.md": _reference_tables,
    "docs/events.md": render_events,
}
"""Pages with a head and a generated rest."""

RECORDING = "docs/pictures/run.jsonl"
"""A run of `orchestrate demo`, as `run --json` printed it."""

PICTURE = "docs/pictures/run.svg"


def build_files() -> dict[str, str]:
    """Every generated file, by its path below the checkout, as it should be. Raises ValueError for a page without marker."""
    files = {name: _page(name, render) for name, render in PAGES.items()}
    files[PICTURE] = render_picture((ROOT / RECORDING).read_text(encoding="utf-8").splitlines())
    return files


def _page(name: str, render: Callable[[], str]) -> str:
    head, marker, _ = (ROOT / name).read_text(encoding="utf-8").partition(MARKER)
    if not marker:
        raise ValueError(f"{name}: the line {MARKER} is missing")
    return f"{head}{MARKER}\n\n{render().strip()}\n"


def stale_files() -> dict[str, str]:
    """Those that are not as they should be."""
    return {
        name: text
        for name, text in build_files().items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != text
    }
