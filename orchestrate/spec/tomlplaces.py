"""Where keys and values stand in a TOML text that tomllib has accepted.

Invariant: never decides what the data is; a place that it misses costs a column in a message, nothing else.
"""

from __future__ import annotations

import re

from .places import KeyPath, Offsets

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'",
    re.DOTALL,
)
_PLAIN = re.compile(r"[^,\]}#\n]+")


def toml_index(text: str) -> dict[KeyPath, Offsets]:
    """Places of keys and values, from the text alone. Stops where it does not understand."""
    walk = _Walk(text)
    try:
        walk.run()
    except (_Lost, RecursionError):
        pass  # every place found so far is right
    return walk.index


def deepest_bracket(text: str, depth: int) -> int | None:
    """Offset of the first bracket nested more than `depth` deep on one line, counted outside of strings."""
    level = 0
    at = 0
    while at < len(text):
        character = text[at]
        string = _STRING.match(text, at) if character in "\"'" else None
        if string:
            at = string.end()
            continue
        if character in "[{":
            level += 1
            if level > depth:
                return at
        elif character in "]}":
            level -= 1
        at += 1
    return None


class _Lost(Exception):
    """The scanner met something that it does not know."""


class _Walk:
    """One pass over the text. tables: how many elements each array of tables has so far."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.index: dict[KeyPath, Offsets] = {(): (0, 0)}
        self.tables: dict[KeyPath, int] = {}

    def run(self) -> None:
        here: KeyPath = ()
        while True:
            self._skip(_BLANK)
            if self.at >= len(self.text):
                return
            if self.text[self.at] == "[":
                here = self._header()
            else:
                self._assignment(here)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()

    def _expect(self, mark: str) -> None:
        if not self.text.startswith(mark, self.at):
            raise _Lost
        self.at += len(mark)

    def _header(self) -> KeyPath:
        start = self.at
        repeated = self.text.startswith("[[", start)
        self.at += 2 if repeated else 1
        keys = self._dotted()
        self._expect("]]" if repeated else "]")
        path: KeyPath = ()
        for number, (key, at) in enumerate(keys):
            path = (*path, key)
            self.index.setdefault(path, (at, at))
            if number < len(keys) - 1 and path in self.tables:
                path = (*path, self.tables[path] - 1)
        if repeated:
            count = self.tables.get(path, 0)
            self.tables[path] = count + 1
            path = (*path, count)
            self.index[path] = (start, start)
        return path

    def _dotted(self) -> list[tuple[str, int]]:
        """`a."b".c` → keys, each with its offset."""
        keys = []
        while True:
            self._skip(_SPACE)
            at = self.at
            match = _BARE.match(self.text, at) or _STRING.match(self.text, at)
            if not match:
                raise _Lost
            word = match.group()
            keys.append((word[1:-1] if word[0] in "\"'" else word, at))
            self.at = match.end()
            self._skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return keys
            self.at += 1

    def _assignment(self, here: KeyPath) -> None:
        keys = self._dotted()
        self._expect("=")
        self._skip(_SPACE)
        path = here
        for key, at in keys:
            path = (*path, key)
            self.index.setdefault(path, (at, self.at))
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        opening = self.text[self.at : self.at + 1]
        if opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            match = _STRING.match(self.text, self.at) or _PLAIN.match(self.text, self.at)
            if not match:
                raise _Lost
            self.at = match.end()

    def _array(self, path: KeyPath) -> None:
        self.at += 1
        number = 0
        while True:
            self._skip(_BLANK)
            if self.text.startswith("]", self.at):
                self.at += 1
                return
            item = (*path, number)
            self.index[item] = (self.at, self.at)
            self._value(item)
            number += 1
            self._skip(_BLANK)
            if self.text.startswith(",", self.at):
                self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        while True:
            self._skip(_BLANK)
            if self.text.startswith("}", self.at):
                self.at += 1
                return
            self._assignment(path)
            self._skip(_BLANK)
            if self.text.startswith(",", self.at):
                self.at += 1
