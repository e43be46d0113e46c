"""Checksums of rows: each event's covers the one before it of the same run, so that a gap shows as well as a change. Pure.

They find damage. They do not keep out anybody who can write the file: whoever changes a row can compute the rest anew.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Any

START = b""
"""What the first event of a run is chained to."""

_FIXED = struct.Struct("<qd").pack


def link(previous: bytes, seq: int, run: str, at: float, kind: str, body: str) -> bytes:
    """Sum of one row, 8 bytes, given that of the run's row before it."""
    # Adding 0.0 makes -0.0 what SQLite gives back for it.
    text = b"%b%b%b\0%b\0%b" % (previous, _FIXED(seq, at + 0.0), run.encode(), kind.encode(), body.encode())
    return hashlib.blake2b(text, digest_size=8).digest()


def is_intact(previous: bytes, row: Sequence[Any], written: object) -> bool:
    """Whether the row (all that `link` takes) still is what was written. False too for values that no row of ours holds."""
    try:
        return link(previous, *row) == written
    except (TypeError, ValueError, AttributeError, struct.error):
        return False
