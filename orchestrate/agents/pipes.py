"""Bytes of a child on their way: lines out of chunks, output into a bounded file, input into a pipe that may be full.

Invariant: memory is bounded by one line of at most LINE_LIMIT bytes, and nothing here ever waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from orchestrate.process import LINE_LIMIT

CHUNK = 256 * 1024
"""Bytes read at once; a pipe holds 64 KiB, or more where it was enlarged."""
FILE_LIMIT = 64 * 1024 * 1024
"""Bytes kept of one output: the first half, and the last part of the rest."""


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


class CappedFile:
    """A file that only its owner may read, with the head and the tail of what is written to it. It is made by the first
    write, which may be empty: most agents have nothing to say on stderr.

    Past half the limit, output goes round in two part files of a quarter each; close() appends what they hold. A disk
    that is full, or any other fault of the file, ends the writing and nothing else; `problem` says so.
    """

    def __init__(self, path: Path, limit: int = FILE_LIMIT) -> None:
        self.path = path
        self.problem = ""
        self._limit = limit
        self._size = 0
        self._written = 0
        self._fd = -1
        self._parts = (path.with_name(f"{path.name}.part0"), path.with_name(f"{path.name}.part1"))
        self._part = -1
        self._is_made = False

    def write(self, data: bytes) -> None:
        self._written += len(data)
        view = memoryview(data)
        try:
            if not self._is_made:
                self._make()
            while view and self._fd >= 0:
                room = (self._limit // 2 if self._part < 0 else self._limit // 4) - self._size
                if room <= 0:
                    self._turn()
                    continue
                _write_all(self._fd, view[:room])
                self._size += min(room, len(view))
                view = view[room:]
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        if self._fd < 0:
            return
        try:
            os.close(self._fd)
            self._fd = -1
            if self._part >= 0:
                self._join()
        except OSError as error:
            self._fail(error)

    def _make(self) -> None:
        self._is_made = True
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._fd = _open(self.path)

    def _turn(self) -> None:
        """Go on in the other part file, from its start."""
        os.close(self._fd)
        self._fd = -1
        self._part += 1
        self._fd = _open(self._parts[self._part % 2])
        self._size = 0

    def _join(self) -> None:
        """Head, a line that says what is missing, then the parts, older first."""
        order = [self._parts[(self._part + 1) % 2], self._parts[self._part % 2]]
        parts = [part for part in order if part.exists()]
        kept = sum(part.stat().st_size for part in parts) + self.path.stat().st_size
        with open(self.path, "ab") as whole:
            if missing := self._written - kept:
                whole.write(b'\n{"type":"orchestrate","left_out_bytes":%d}\n' % missing)
            for part in parts:
                with open(part, "rb") as source:
                    while block := source.read(1 << 20):
                        whole.write(block)
                part.unlink()

    def _fail(self, error: OSError) -> None:
        self.problem = f"{self.path}: {error.strerror or error}"
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
        self._fd = -1


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _write_all(fd: int, view: memoryview) -> None:
    """A full disk may take a part without complaint; the rest then says why."""
    while view:
        view = view[os.write(fd, view) :]


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
