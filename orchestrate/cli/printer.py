"""The one printer: stdout is the answer, stderr the narration.

Invariant: nothing else writes to the two streams while a command runs (the live view goes through the same Printer's
err stream). Text of agents and users has passed views.text.clean before it comes here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from io import StringIO
from typing import Any, Literal, TextIO

from orchestrate.views.figures import to_ascii

ColorWish = Literal["auto", "always", "never"]

_STYLES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}


class Stream:
    """One of the two streams, and what it can show. width: columns of the terminal, 80 when there is none."""

    __slots__ = ("ascii_only", "color", "file", "is_terminal", "width")

    def __init__(self, file: TextIO, *, color: bool, ascii_only: bool, width: int) -> None:
        self.file = file
        self.is_terminal = file.isatty()
        self.color = color
        self.ascii_only = ascii_only
        self.width = width

    def line(self, text: str = "") -> None:
        """Write one line (or several), at once, so that lines of two streams keep their order."""
        self.file.write((to_ascii(text) if self.ascii_only else text) + "\n")
        self.file.flush()

    def paint(self, text: str, *styles: str) -> str:
        """The text in colour, if this stream shows any. Never the only carrier of a meaning."""
        if not self.color or not text:
            return text
        return f"\x1b[{';'.join(_STYLES[s] for s in styles)}m{text}\x1b[0m"


class Printer:
    """verbosity: -2 errors only … 0 normal … 2 everything."""

    __slots__ = ("err", "out", "verbosity")

    def __init__(self, out: Stream, err: Stream, verbosity: int = 0) -> None:
        self.out = out
        self.err = err
        self.verbosity = verbosity

    def answer(self, text: str = "") -> None:
        """What was asked for."""
        self.out.line(text)

    def document(self, data: Mapping[str, Any]) -> None:
        """The answer as one JSON document."""
        self.out.file.write(json.dumps(data, indent=2, ensure_ascii=self.out.ascii_only) + "\n")
        self.out.file.flush()

    def say(self, text: str) -> None:
        """What goes on, what to do next. Silent under -q."""
        if self.verbosity >= 0:
            self.err.line(text)

    def detail(self, text: str) -> None:
        """What only matters when something is being looked into. Shown under -v."""
        if self.verbosity >= 1:
            self.err.line(self.err.paint(text, "dim"))

    def warn(self, text: str, *, hint: str = "") -> None:
        """Something is not as it should be, yet the command goes on. Silent under -qq."""
        if self.verbosity >= -1:
            self.err.line(f"{self.err.paint('warning:', 'yellow', 'bold')} {text}")
            if hint:
                self.err.line(f"  {self.err.paint('hint:', 'bold')} {hint}")

    def refuse(self, text: str, *, hint: str = "") -> None:
        """The command ends here; shown however quiet."""
        self.err.line(f"{self.err.paint('error:', 'red', 'bold')} {text}")
        if hint:
            self.err.line(f"  {self.err.paint('hint:', 'bold')} {hint}")


def build_printer(
    out: TextIO | None,
    err: TextIO | None,
    *,
    environ: Mapping[str, str],
    color: ColorWish = "auto",
    ascii_only: bool = False,
    verbosity: int = 0,
) -> Printer:
    """A printer for this process's streams; None stands for a stream that is closed."""
    return Printer(_stream(out, environ, color, ascii_only), _stream(err, environ, color, ascii_only), verbosity)


def _stream(file: TextIO | None, environ: Mapping[str, str], color: ColorWish, ascii_only: bool) -> Stream:
    file = StringIO() if file is None else file
    reconfigure = getattr(file, "reconfigure", None)
    if reconfigure is not None:
        # A lone surrogate (a file name, say) must not end the command; in JSON, \udc80 is even a valid escape.
        reconfigure(errors="backslashreplace")
    speaks_unicode = (getattr(file, "encoding", None) or "utf-8").lower().replace("-", "") in ("utf8", "cp65001")
    return Stream(
        file,
        color=is_colored(color, environ, is_terminal=file.isatty()),
        ascii_only=ascii_only or not speaks_unicode,
        width=shutil.get_terminal_size((80, 24)).columns if file.isatty() else _columns(environ),
    )


def _columns(environ: Mapping[str, str]) -> int:
    """Width where there is no terminal: what COLUMNS says, else 80."""
    given = environ.get("COLUMNS", "")
    return int(given) if given.isascii() and given.isdigit() and 0 < int(given[:6]) < 10_000 else 80


def is_colored(wish: ColorWish, environ: Mapping[str, str], *, is_terminal: bool) -> bool:
    """--color, then NO_COLOR, then FORCE_COLOR or CLICOLOR_FORCE, then the terminal. https://no-color.org"""
    if wish != "auto":
        return wish == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in ("", "0") or environ.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    return is_terminal and environ.get("TERM") != "dumb"
