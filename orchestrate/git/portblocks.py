"""Blocks of TCP ports, one an attempt, so that servers under test do not meet.

Invariant: no two attempts that hold a block at the same time hold the same one.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from orchestrate.core.names import AttemptKey


def first_port(slot: int, *, first: int, count: int) -> int:
    """First port of block number `slot`, counted from 0."""
    return first + slot * count


class PortBlocks:
    """Gives the lowest free block; ports that some other program listens on are passed over."""

    def __init__(self, first: int, count: int, held: Mapping[AttemptKey, int] | None = None) -> None:
        """held: blocks of attempts under way, by their first port, as the log knows them."""
        self._first, self._count = first, count
        self._held = dict(held or {})

    def take(self, key: AttemptKey) -> int:
        """First port of the attempt's block, the same when asked again; 0 when there is none to give."""
        if key in self._held:
            return self._held[key]
        taken = set(self._held.values())
        slots = (65_536 - self._first) // self._count if self._count else 0
        for slot in range(slots):
            port = first_port(slot, first=self._first, count=self._count)
            if port not in taken and all(_is_free(port + offset) for offset in range(self._count)):
                self._held[key] = port
                return port
        return 0

    def held_by(self, key: AttemptKey) -> int:
        return self._held.get(key, 0)

    def release(self, key: AttemptKey) -> None:
        self._held.pop(key, None)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
