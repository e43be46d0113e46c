"""JSON with comments and trailing commas: a stripper that keeps every position, and a scanner that knows every place.

Invariant: strip(text) has the length of text and the same line breaks, and leaves valid JSON unchanged.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from .places import MAX_DEPTH, KeyPath, Offsets

_STRING = r'"(?:[^"\\]|\\.)*"'
_COMMENT = re.compile(_STRING + r"|//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_COMMA = re.compile(_STRING + r"|,(?=\s*[}\]])", re.DOTALL)
_VISIBLE = re.compile(r"[^\r\n]")
_TOKEN = re.compile(_STRING + r"|[{}\[\],:]|[^\s{}\[\],:\"]+", re.DOTALL)


def strip(text: str) -> str:
    """Comments and trailing commas become spaces; what stands in strings is left alone."""

    def blank(match: re.Match[str]) -> str:
        found = match.group()
        return found if found[0] == '"' else _VISIBLE.sub(" ", found)

    bare = _COMMENT.sub(blank, text)

    def trailing(match: re.Match[str]) -> str:
        found = match.group()
        if found != ",":
            return found
        return found if _character_before(bare, match.start()) in ("", "{", "[", ",", ":") else " "

    return _COMMA.sub(trailing, bare)


def _character_before(text: str, offset: int) -> str:
    """The nearest character before `offset` that is not white space; empty at the beginning."""
    offset -= 1
    while offset >= 0 and text[offset].isspace():
        offset -= 1
    return text[offset] if offset >= 0 else ""


@dataclass(frozen=True, slots=True)
class Scan:
    """Places in a JSON text. duplicates: path of a key that was written before, with both key offsets.

    numbers: offsets of numbers that cannot be used (not finite, or absurdly long). too_deep: offset, or None.
    """

    index: Mapping[KeyPath, Offsets]
    duplicates: tuple[tuple[KeyPath, int, int], ...] = ()
    numbers: tuple[int, ...] = ()
    too_deep: int | None = None


def is_usable_number(token: str) -> bool:
    """Whether a JSON number (or NaN, Infinity) is finite and, if whole, within 64 bits."""
    if token.lstrip("-").isdecimal():
        return len(token) <= 20 and abs(int(token)) < 2**63
    try:
        return math.isfinite(float(token))
    except ValueError:
        return True  # true, false, null


def scan(text: str) -> Scan:
    """Where everything stands in a text that is valid JSON, or valid but for its depth or its numbers.

    Iterative: depth costs no stack. Stops at the first bracket that is nested too deeply.
    """
    index: dict[KeyPath, Offsets] = {}
    duplicates: list[tuple[KeyPath, int, int]] = []
    numbers: list[int] = []
    stack: list[tuple[KeyPath, bool]] = []  # containers around the word: path, and whether it is an object
    slot: KeyPath = ()  # path of the value to come
    key_at: int | None = None  # offset of its key, once read
    wants_key = False
    for match in _TOKEN.finditer(text):
        word, at = match.group(), match.start()
        if word == ":":
            continue
        if word == ",":
            if not stack:
                break
            path, wants_key = stack[-1]
            if not wants_key:
                slot = (*path, int(slot[-1]) + 1)
        elif word in "}]":
            if not stack:
                break
            slot, _ = stack.pop()
            wants_key = False
        elif wants_key:
            slot = (*stack[-1][0], json.loads(word) if "\\" in word else word[1:-1])
            if slot in index:
                duplicates.append((slot, index[slot][0], at))
            key_at, wants_key = at, False
        else:
            index[slot] = (at if key_at is None else key_at, at)
            key_at = None
            if word in "{[":
                if len(stack) == MAX_DEPTH:
                    return Scan(index, tuple(duplicates), tuple(numbers), at)
                wants_key = word == "{"
                stack.append((slot, wants_key))
                if not wants_key:
                    slot = (*slot, 0)
            elif word[0] != '"' and not is_usable_number(word):
                numbers.append(at)
    return Scan(index, tuple(duplicates), tuple(numbers))
