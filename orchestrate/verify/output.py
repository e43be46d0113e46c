"""What a command prints: into a file of bounded size while it comes, and the end of it for people and agents.

Invariant: however much is printed, at most HEAD_BYTES + TAIL_BYTES are kept, and memory holds no more than the latter.
Secrets are taken out before anything reaches the disk.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrate.views.text import clean_block

HEAD_BYTES = 8 * 1024 * 1024
TAIL_BYTES = 8 * 1024 * 1024
SHOWN_BYTES = 8 * 1024
SHOWN_LINES = 100
LONGEST_LINE = 64 * 1024
"""A line longer than this is written, and searched for secrets, in parts."""

Redact = Callable[[str], str]


class Output:
    """Sink of one command's bytes. Close it in the end; `tail` can be read at any time."""

    def __init__(self, path: Path, redact: Redact) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._redact = redact
        self._open_line = b""
        self._written = 0
        self._last: deque[bytes] = deque()
        self._last_bytes = 0
        self._dropped = 0
        self._shown = b""

    def feed(self, data: bytes) -> None:
        """Take what was read from the command, any bytes."""
        self._shown = (self._shown + data)[-2 * SHOWN_BYTES :]
        if self._written >= HEAD_BYTES:
            self._remember(data)
            return
        data = self._open_line + data
        end = data.rfind(b"\n") + 1
        if not end and len(data) < LONGEST_LINE:
            self._open_line = data
            return
        end = end or len(data)
        self._open_line = data[end:]
        self._write(data[:end])
        if self._written >= HEAD_BYTES:
            self._remember(self._open_line)
            self._open_line = b""

    def close(self) -> None:
        """Write what was held back. Idempotent."""
        if self._file < 0:
            return
        self._write(self._open_line)
        if self._dropped:
            self._write(f"\n[… {self._dropped} bytes left out …]\n".encode())
        for part in _pieces(b"".join(self._last)):
            self._write(part)
        os.close(self._file)
        self._file = -1

    @property
    def is_flood(self) -> bool:
        """Closing will take a while: megabytes wait to be searched for secrets."""
        return self._last_bytes > LONGEST_LINE

    @property
    def tail(self) -> str:
        """The last lines, without control sequences and secrets; bounded by SHOWN_BYTES and SHOWN_LINES."""
        text = clean_block(self._redact(self._shown.decode("utf-8", "replace"))).rstrip()
        kept = "\n".join(text.splitlines()[-SHOWN_LINES:])
        return kept.encode()[-SHOWN_BYTES:].decode("utf-8", "ignore")

    def _write(self, data: bytes) -> None:
        if data:
            data = self._redact(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
            self._written += len(data)
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]

    def _remember(self, data: bytes) -> None:
        """Keep the newest TAIL_BYTES, in parts as they came."""
        self._last.append(data)
        self._last_bytes += len(data)
        while self._last_bytes - len(self._last[0]) >= TAIL_BYTES:
            gone = len(self._last.popleft())
            self._last_bytes -= gone
            self._dropped += gone


def _pieces(data: bytes) -> Iterator[bytes]:
    """Cut at line ends, so that no secret is cut in two, unless a line is very long."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + LONGEST_LINE) + 1 or len(data)
        yield data[start:end]
        start = end
