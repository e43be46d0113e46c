"""Places in a text: paths, offsets, lines. Shared by the readers of all formats."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

KeyPath = tuple[str | int, ...]
"""Where a value stands: keys and 0-based list positions from the root."""

Offsets = tuple[int, int]
"""Character offsets of a key and of its value; the same twice where there is no key."""

MAX_DEPTH = 100
"""Deeper nesting than any list of features needs. Our own readers would not mind; those that read after them would."""


class SyntaxFault(Exception):
    """The text is not what its format asks for. offset: where, in characters, or None; message and hint: for a person."""

    def __init__(self, message: str, hint: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Lines:
    """Turns offsets into 1-based lines and columns. Lines end with a line feed, in all three formats."""

    text: str
    starts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        starts = [0]
        at = self.text.find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = self.text.find("\n", at + 1)
        object.__setattr__(self, "starts", starts)

    def mark(self, offset: int) -> tuple[int, int]:
        """Line and column of a character."""
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1


def render_path(path: KeyPath) -> str:
    """`features[2].depends_on`: how a place inside a file is shown."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
