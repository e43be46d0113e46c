"""What a command prints: into a file of bounded size while it comes, and the end of it for people and agents.

Invariant: however much is printed, at most HEAD_BYTES + TAIL_BYTES are kept, and memory holds no more than the latter.
Secrets are taken out before anything reaches the disk.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from orchestrate.redact import LONGEST_LINE, Redactor, Stream
from orchestrate.views.text import clean_block

HEAD_BYTES = 8 * 1024 * 1024
TAIL_BYTES = 8 * 1024 * 1024
SHOWN_BYTES = 8 * 1024
SHOWN_LINES = 100
_BLOCK = 256 * 1024


class Output:
    """Sink of one command's bytes. Close it in the end; `tail` can be read at any time."""

    def __init__(self, path: Path, redactor: Redactor) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._redactor = redactor
        self._stream = Stream(redactor)
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
        else:
            self._write(self._stream.feed(data))

    def close(self) -> None:
        """Write what was held back. Idempotent."""
        if self._file < 0:
            return
        last = b"".join(self._last)
        start = self._leave_gap(last) if self._dropped else 0
        for at in range(start, len(last), _BLOCK):
            self._write(self._stream.feed(last[at : at + _BLOCK]))
        self._write(self._stream.rest())
        os.close(self._file)
        self._file = -1

    @property
    def is_flood(self) -> bool:
        """Closing will take a while: megabytes wait to be searched for secrets."""
        return self._last_bytes > LONGEST_LINE

    @property
    def tail(self) -> str:
        """The last lines, without control sequences and secrets; bounded by SHOWN_BYTES and SHOWN_LINES."""
        text = clean_block(self._redactor.redact(self._shown.decode("utf-8", "replace"))).rstrip()
        kept = "\n".join(text.splitlines()[-SHOWN_LINES:])
        return kept.encode()[-SHOWN_BYTES:].decode("utf-8", "ignore")

    def _leave_gap(self, last: bytes) -> int:
        """End the head, say how much is missing, and find where the rest can begin: not in the middle of a secret."""
        self._write(self._stream.rest())
        self._stream.feed(last[:LONGEST_LINE])
        missing = self._dropped + min(len(last), LONGEST_LINE) - self._stream.held
        self._write(f"\n[… {missing} bytes left out …]\n".encode())
        return LONGEST_LINE

    def _write(self, clean: bytes) -> None:
        self._written += len(clean)
        view = memoryview(clean)
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
