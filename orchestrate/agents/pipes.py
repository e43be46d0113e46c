"""Bytes of a child on their way: lines out of chunks, input into a pipe that may be full.

Invariant: memory is bounded by one line of at most LINE_LIMIT bytes, and nothing here ever waits.
"""

from __future__ import annotations

import asyncio
import os

from orchestrate.process import LINE_LIMIT

CHUNK = 256 * 1024
"""Bytes read at once; a pipe holds 64 KiB, or more where it was enlarged."""


class LineSplitter:
    """Chunks → whole lines. A line over the limit is left out; `dropped` counts those."""

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = 0
        self._skipping = False
        self.dropped = 0

    def feed(self, chunk: bytes) -> bytes:
        """All that is complete now: whole lines with their ends, possibly none."""
        head, newline, tail = chunk.rpartition(b"\n")
        if not newline:
            self._hold(chunk)
            return b""
        block = head + newline
        if self._skipping:
            self._skipping = False
            block = block[block.index(b"\n") + 1 :]
        elif self._parts:
            block = b"".join((*self._parts, block))
        self._parts, self._held = [], 0
        if tail:
            self._hold(tail)
        return block

    def rest(self) -> bytes:
        """What came after the last line end, when nothing more will come."""
        rest = b"".join(self._parts)
        self._parts, self._held = [], 0
        return rest

    def _hold(self, part: bytes) -> None:
        if self._skipping:
            return
        self._parts.append(part)
        self._held += len(part)
        if self._held > self._limit:
            self._parts, self._held, self._skipping = [], 0, True
            self.dropped += 1


class PipeWriter:
    """Our end of a child's stdin. Writes what the pipe takes and the rest when it can; a child that is gone is no error."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._pending = bytearray()
        self._closing = False
        self._waiting = False

    @property
    def is_open(self) -> bool:
        return self._fd >= 0 and not self._closing

    def write(self, data: bytes) -> None:
        if self.is_open:
            self._pending += data
            self._flush()

    def close_when_flushed(self) -> None:
        self._closing = True
        if not self._pending:
            self.close()

    def close(self) -> None:
        if self._fd < 0:
            return
        if self._waiting:
            asyncio.get_running_loop().remove_writer(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._pending.clear()

    def _flush(self) -> None:
        try:
            while self._pending:
                del self._pending[: os.write(self._fd, self._pending)]
        except BlockingIOError:
            if not self._waiting:
                self._waiting = True
                asyncio.get_running_loop().add_writer(self._fd, self._flush)
            return
        except OSError:
            self.close()
            return
        if self._waiting:
            self._waiting = False
            asyncio.get_running_loop().remove_writer(self._fd)
        if self._closing:
            self.close()
