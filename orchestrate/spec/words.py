"""Plain words for values, and the nearest name to a mistaken one. Pure."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Collection
from typing import Any

_LONGEST = 40


def quoted(text: str) -> str:
    """Text in double quotes, shortened, with everything escaped that a terminal might act on."""
    shown = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return '"' + "".join(c if c.isprintable() and c != '"' else ascii(c)[1:-1].replace('"', '\\"') for c in shown) + '"'


def described(value: Any) -> str:
    """What a value is, as a person would call it: `text "3"`, `the number 3`, `a list`."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        digits = repr(value) if isinstance(value, float) or abs(value) < 10**20 else "of more than 20 digits"
        return f"the number {digits}"
    if isinstance(value, str):
        return f"text {quoted(value)}"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, dt.date | dt.time):
        return f"the date or time {value.isoformat()}"
    return f"a {type(value).__name__}"


def character_problem(text: str) -> str:
    """Why a text cannot be handed on to files and programs; empty if it can."""
    if "\x00" in text:
        return "contains a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "contains half a character (a lone surrogate), which UTF-8 cannot hold"
    return ""


def nearest(word: str, known: Collection[str]) -> str:
    """The known name most like `word`; empty if none is."""
    folded = {name.casefold().replace("-", "_"): name for name in known}
    exact = folded.get(word.casefold().replace("-", "_"))
    if exact is not None:
        return exact
    found = difflib.get_close_matches(word[:200], known, n=1, cutoff=0.6)
    return found[0] if found else ""


def did_you_mean(word: str, known: Collection[str]) -> str:
    """`did you mean "auth"?`; empty when nothing comes near."""
    found = nearest(word, known)
    return f"did you mean {quoted(found)}?" if found else ""
