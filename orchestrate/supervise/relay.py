"""One output of an agent on its way: into its file, without the secrets that we know, and then to the engine.

Invariant: a line is in the file before the engine hears of it; memory is bounded, however slow the engine reads and however
long a line is; and nothing here ever waits.
"""

from __future__ import annotations

import os

from .files import CappedFile

CHUNK = 256 * 1024
"""Bytes read at once; a pipe holds 64 KiB, or more where it was enlarged."""
AHEAD = 512 * 1024
"""Bytes that may wait for the engine before we read no more."""
LONGEST_PART = 1024 * 1024
"""Bytes; a longer line is passed on in parts."""
_PLACEHOLDER = b"[REDACTED:value]"


class Relay:
    """source: what the agent writes to; sink: what the engine reads from, -1: nobody; both are ours to close."""

    def __init__(self, source: int, sink: int, file: CappedFile, secrets: tuple[bytes, ...]) -> None:
        self.source, self.sink, self.file = source, sink, file
        self._secrets = secrets
        self._overlap = max(map(len, secrets), default=1) - 1
        self._held = b""
        self._pending: list[bytes] = []
        self._waiting = 0
        for fd in (source, sink):
            os.set_blocking(fd, False)

    @property
    def wants_input(self) -> bool:
        return self.source >= 0 and self._waiting < AHEAD

    @property
    def wants_output(self) -> bool:
        return bool(self._pending)

    def pull(self) -> None:
        """Take what is there now; at the end of the source, its rest."""
        try:
            chunk = os.read(self.source, CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self.end_source()
            return
        self._held += chunk
        cut = self._held.rfind(b"\n") + 1
        if not cut and len(self._held) > LONGEST_PART:
            cut = self._cut_line()
        if cut:
            block, self._held = self._held[:cut], self._held[cut:]
            self._pass_on(block)

    def end_source(self) -> None:
        """Nothing more is read: what was held back is passed on."""
        if self.source >= 0:
            os.close(self.source)
            self.source = -1
            rest, self._held = self._held, b""
            if rest:
                self._pass_on(rest)
            self.file.close()
            self._close_when_told()

    def push(self) -> None:
        """Give the engine what it takes now."""
        try:
            while self._pending:
                written = os.write(self.sink, self._pending[0])
                self._waiting -= written
                if written == len(self._pending[0]):
                    self._pending.pop(0)
                else:
                    self._pending[0] = self._pending[0][written:]
        except BlockingIOError:
            return
        except OSError:
            self.drop_sink()
        self._close_when_told()

    def _close_when_told(self) -> None:
        """The end of the output is something that the engine wants to know at once."""
        if self.source < 0 and not self._pending:
            self.drop_sink()

    def drop_sink(self) -> None:
        """The engine has all, or is gone."""
        if self.sink >= 0:
            os.close(self.sink)
            self.sink = -1
        self._pending.clear()
        self._waiting = 0

    def _pass_on(self, block: bytes) -> None:
        self.file.write(self._scrubbed(block))
        if self.sink >= 0:
            self._pending.append(block)
            self._waiting += len(block)
            self.push()

    def _scrubbed(self, data: bytes) -> bytes:
        for secret in self._secrets:
            if secret in data:
                data = data.replace(secret, _PLACEHOLDER)
        return data

    def _cut_line(self) -> int:
        """A place near the end of the held line where no secret is cut in two."""
        cut = max(0, len(self._held) - self._overlap)
        moved = True
        while moved:
            moved = False
            for secret in self._secrets:
                at = self._held.find(secret, max(0, cut - len(secret) + 1), cut + len(secret) - 1)
                if 0 <= at < cut:
                    cut, moved = at, True
        return cut
