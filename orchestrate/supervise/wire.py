"""How engine, supervisor and reaper talk: values in frames of four bytes of length and marshal's encoding.

Invariant: both ends are the same interpreter, as marshal asks for; nothing in this form is ever kept on a disk.

engine → supervisor: the order (a dict, see child.py), then ("signal", number) or ("kill",).
supervisor → engine: ("started", pid of the reaper, its start time), ("running",) or ("refused", why), then ("ended", record).
reaper → supervisor: ("running",), ("failed", errno, what) or ("refused", why), then ("ended", wait status, survivors, left).
"""

from __future__ import annotations

import marshal
import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes a third of the interpreter's start
    from typing import Any

_LENGTH = 4


def pack(value: tuple[Any, ...]) -> bytes:
    body = marshal.dumps(value)
    return len(body).to_bytes(_LENGTH, "little") + body


def send(fd: int, value: tuple[Any, ...]) -> None:
    """To a blocking descriptor, whole. Raises OSError when nobody reads there any more."""
    view = memoryview(pack(value))
    while view:
        view = view[os.write(fd, view) :]


class Inbox:
    """Frames out of bytes that come cut anywhere."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[tuple[object, ...]]:
        self._held += data
        values = []
        while len(self._held) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._held[:_LENGTH], "little")
            if len(self._held) < end:
                break
            values.append(marshal.loads(self._held[_LENGTH:end]))  # noqa: S302 - from our own child or parent
            self._held = self._held[end:]
        return values
