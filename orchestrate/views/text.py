"""Words and widths for a terminal: neutralises text of agents and users, measures, clips, lines up columns.

Invariant: what clean() returns holds no character that moves a cursor, changes a colour, reorders or hides text.
Every text that this program did not write itself passes through it before it is shown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_STRING_BODY = r"[^\x07\x18\x1a\x1b\x9c\n]*(?:\x07|\x18|\x1a|\x1b\\|\x9c)?"
"""Payload of OSC, DCS, APC, PM and SOS. It ends at the line's end at the latest, so that nothing hides the next line."""

_SEQUENCE = re.compile(
    r"\x1b[\]PX^_]"
    + _STRING_BODY  # 7-bit control strings
    + r"|[\x90\x98\x9d\x9e\x9f]"
    + _STRING_BODY  # the same as C1
    + r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # control sequences: colours, cursor
    + r"|\x1b[ -/]*[0-~]?"  # other escapes: charsets, reset, keypad
    + r"|\r\n?"
    + r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"  # C0, DEL and C1, but for tab and newline
    + r"|[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]"
    + r"|[\u2028\u2029]"
    + r"|[\ufe00-\ufe0d]|[\U0001bca0-\U0001bca3]|[\U0001d173-\U0001d17a]|[\U000e0000-\U000e0fff]"  # invisible writing
    + r"|[\ud800-\udfff]"
)
"""ECMA-48 (5th edition, §5.3–5.6) with the characters that Unicode adds to the same end. Linear: no part can backtrack."""

_BLANKS = re.compile(r"[ \t\n]+")


def clean(text: str) -> str:
    """One harmless line: sequences are dropped, lone surrogates replaced, runs of blanks and newlines become a space."""
    if text.isascii() and text.isprintable():
        return _BLANKS.sub(" ", text).strip()
    return _BLANKS.sub(" ", _SEQUENCE.sub(_replacement, text)).strip()


def clean_block(text: str) -> str:
    """The same for several lines: newlines and indentation stay, a lone carriage return starts a new line."""
    return _SEQUENCE.sub(_replacement, text).expandtabs(8)


def _replacement(found: re.Match[str]) -> str:
    first = found[0][0]
    if first in "\r\u2028\u2029\x85":
        return "\n"
    if "\ud800" <= first <= "\udfff":
        return "\ufffd"
    return ""


# ── widths ───────────────────────────────────────────────────────────────────────────────────────────────────────


def display_width(text: str) -> int:
    """Columns that the text takes in a terminal: wide characters count two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_character_width(c) for c in text)


def _character_width(c: str) -> int:
    if unicodedata.combining(c) or c in "\ufe0e\ufe0f":
        return 0
    return 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1


def clip(text: str, width: int, *, ellipsis: str = "…") -> str:
    """The text, cut to so many columns; the cut is shown."""
    if display_width(text) <= width:
        return text
    room = width - display_width(ellipsis)
    if room < 0:
        return ellipsis[:width]
    taken, used = [], 0
    for c in text:
        used += _character_width(c)
        if used > room:
            break
        taken.append(c)
    return "".join(taken).rstrip() + ellipsis


def pad(text: str, width: int, *, right: bool = False) -> str:
    """The text, filled with spaces to so many columns; right: flush right."""
    fill = " " * max(0, width - display_width(text))
    return fill + text if right else text + fill


def columns(rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), gap: str = "  ") -> list[str]:
    """Rows of cells → lines with the cells lined up. right: numbers of the columns that are flush right.

    The cells are shown as they are: clean() them first when they are not ours.
    """
    if not rows:
        return []
    count = max(len(row) for row in rows)
    widths = [max((display_width(row[i]) for row in rows if i < len(row)), default=0) for i in range(count)]
    return [gap.join(pad(cell, widths[i], right=i in right) for i, cell in enumerate(row)).rstrip() for row in rows]


def wrapped(words: Sequence[str], *, width: int, indent: str, separator: str = " ") -> list[str]:
    """Words → lines of at most `width` columns, each beginning with the indent. A word is never cut."""
    lines: list[str] = []
    line = indent
    empty = True
    for word in words:
        addition = word if empty else separator + word
        if not empty and display_width(line) + display_width(addition) > width:
            lines.append(line.rstrip())
            line, addition = indent, word
        line += addition
        empty = False
    return lines if empty else [*lines, line]


def titled(title: str, text: str, *, width: int, indent: int) -> list[str]:
    """`title   text that may be long`, wrapped under itself, `indent` columns from the left."""
    lines = wrapped(text.split(" "), width=width, indent=" " * indent) or [""]
    return [pad(title, indent) + lines[0][indent:], *lines[1:]]
