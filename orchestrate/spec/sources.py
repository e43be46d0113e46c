"""One file → data and places: JSON with comments, YAML 1.2 or TOML, by the file's extension.

Invariant: whatever the bytes are, the outcome is a Document or InputRefused with the place; never another exception.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from orchestrate.errors import InputRefused, Problem

from . import jsonc
from .places import MAX_DEPTH, KeyPath, Lines, Offsets, SyntaxFault, render_path
from .tomlplaces import deepest_bracket, toml_index
from .words import character_problem, described

MAX_BYTES = 32 * 1024 * 1024
"""Largest file read: ten thousand features with long prompts are a few megabytes."""

FORMATS = (".json", ".jsonc", ".yaml", ".yml", ".toml")


@dataclass(frozen=True)
class Document:
    """A file's content. name: the file as it is shown to the user. Places are only worked out when asked for."""

    name: str
    path: Path
    text: str = field(repr=False)
    data: dict[str, Any] = field(repr=False)
    find_places: Callable[[], Mapping[KeyPath, Offsets]] = field(repr=False)

    @cached_property
    def _places(self) -> Mapping[KeyPath, Offsets]:
        return self.find_places()

    @cached_property
    def _lines(self) -> Lines:
        return Lines(self.text)

    def mark(self, path: KeyPath, *, key: bool = False) -> tuple[int, int]:
        """Line and column of the value (or of its key) at `path`, else of the nearest thing around it."""
        while path and path not in self._places:
            path, key = path[:-1], False
        return self._lines.mark(self._places.get(path, (0, 0))[0 if key else 1])

    def problem(self, path: KeyPath, message: str, hint: str, *, key: bool = False) -> Problem:
        """A problem with the value (or the key) at `path`."""
        line, column = self.mark(path, key=key)
        return Problem(message, hint, self.name, line, column, render_path(path))

    def locate(self, path: KeyPath, message: str, hint: str, is_key: bool) -> Problem:
        """problem(), in the form that mistakes() asks for."""
        return self.problem(path, message, hint, key=is_key)


def load_document(path: Path, name: str) -> Document:
    """Read and parse one file. Raises InputRefused with every syntax problem that can be told apart."""
    if path.suffix.lower() not in FORMATS:
        raise InputRefused((Problem("the file's extension is not known", f"use one of {', '.join(FORMATS)}", name),))
    return parse_document(_decode(_read(path, name), name), path, name)


def parse_document(text: str, path: Path, name: str) -> Document:
    """Text → Document; the format is told by the path's extension. Raises InputRefused."""
    reader = {".toml": _parse_toml, ".yaml": _parse_yaml, ".yml": _parse_yaml}.get(path.suffix.lower(), _parse_json)
    try:
        if not text.strip():
            raise SyntaxFault("the file is empty", "list your `features` in it, or begin with `orchestrate init`", 0)
        data, find_places = reader(text)
        _check_root(data, text)
        _check_characters(data, text, find_places)
    except SyntaxFault as fault:
        raise InputRefused((_problem_of(fault, text, name),)) from None
    except _Several as several:
        raise InputRefused(tuple(_problem_of(fault, text, name) for fault in several.faults)) from None
    return Document(name, path, text, data, find_places)


class _Several(Exception):
    """More than one fault in an otherwise readable text."""

    def __init__(self, faults: tuple[SyntaxFault, ...]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = faults


def _problem_of(fault: SyntaxFault, text: str, name: str) -> Problem:
    line, column = Lines(text).mark(min(fault.offset, len(text))) if fault.offset is not None else (1, 1)
    return Problem(fault.message, fault.hint, name, line, column)


def _read(path: Path, name: str) -> bytes:
    """The bytes of a regular file. A pipe or a device is refused without waiting for it."""

    def refuse(message: str, hint: str) -> InputRefused:
        return InputRefused((Problem(message, hint, name),))

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise refuse("the file does not exist", "check the path, or create one with `orchestrate init`") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise refuse(f"the file cannot be read: {why}", "check the path and its permissions") from None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise refuse("this is not a regular file", "name a file that holds the configuration")
        if status.st_size > MAX_BYTES:
            raise refuse(f"the file has {status.st_size:,} bytes; at most {MAX_BYTES:,} are read", "split the work")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise refuse(f"the file grew past {MAX_BYTES:,} bytes while it was read", "split the work")
    return content


def _decode(content: bytes, name: str) -> str:
    """UTF-8, with or without a byte order mark."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in content[:4]:
        raise InputRefused((Problem("the file is UTF-16 or UTF-32, not UTF-8", "save it as UTF-8", name, 1, 1),))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]  # without the mark: its decoder cut it off
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        message = f"the byte 0x{error.object[error.start]:02x} is not UTF-8; the file looks like Latin-1 (Windows-1252)"
        raise InputRefused((Problem(message, "save it as UTF-8", name, line, column),)) from None


def _check_root(data: Any, text: str) -> None:
    if isinstance(data, dict):
        return
    start = len(text) - len(text.lstrip())
    raise SyntaxFault(
        f"expected a mapping of keys at the top, got {described(data)}", "put the list under the key `features`", start
    )


_SUSPICIOUS = re.compile(r"\x00|\\(?:u0000|U00000000|x00|0)|\\[uU](?:0000)?[dD][89a-fA-F]")
"""What a text must contain, literally or as an escape, to have a value that is refused below."""


def _check_characters(data: Any, text: str, find_places: Callable[[], Mapping[KeyPath, Offsets]]) -> None:
    """No NUL, which no command line, file name or variable can carry, and nothing that UTF-8 cannot."""
    if not _SUSPICIOUS.search(text):
        return
    pending: list[tuple[KeyPath, Any]] = [((), data)]
    seen: set[int] = set()
    while pending:
        path, value = pending.pop()
        if isinstance(value, str) and (problem := character_problem(value)):
            offset = find_places().get(path, (None, None))[1]
            raise SyntaxFault(f"{render_path(path)} {problem}", "remove it", offset)
        if isinstance(value, dict | list) and id(value) not in seen:
            seen.add(id(value))
            items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
            pending.extend(((*path, key), item) for key, item in items)


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


_JSON_HINTS = (
    ("Expecting property name", "a key in double quotes was expected", 'write keys as "name"'),
    (
        "Expecting ',' delimiter",
        "a comma or a closing bracket was expected",
        "look for a missing comma or quote before",
    ),
    ("Expecting ':' delimiter", "a colon was expected after the key", 'write "key": value'),
    ("Expecting value", "a value was expected", "text needs double quotes; check for a missing value or bracket"),
    ("Unterminated string", "the text that begins here is never closed", "add the closing double quote"),
    (
        "Invalid control character",
        "a line break or control character stands inside the text",
        r"write \n for a line break",
    ),
    ("Invalid \\escape", "this backslash begins no known escape", r"write \\ for one backslash"),
    (
        "Invalid \\uXXXX",
        "this is no \\u escape with four hexadecimal digits",
        r"write it as \u00e9, or the letter itself",
    ),
    ("Extra data", "something follows after the end of the document", "remove it, or check the brackets before"),
)


def _parse_json(text: str) -> tuple[Any, Callable[[], Mapping[KeyPath, Offsets]]]:
    """Strict JSON as it stands; only what is not goes through the stripper."""
    bare = text
    try:
        try:
            data, doubtful = _loads(text)
        except json.JSONDecodeError:
            bare = jsonc.strip(text)
            data, doubtful = _loads(bare)
    except json.JSONDecodeError as error:
        raise _json_fault(error, bare) from None
    except RecursionError:
        raise _too_deep(jsonc.scan(bare).too_deep) from None
    if doubtful:
        raise _Several(_json_faults(jsonc.scan(bare)))
    return data, lambda: jsonc.scan(bare).index


def _loads(text: str) -> tuple[Any, bool]:
    """The data, and whether something in it needs a closer look: a key written twice, a number that is none."""
    doubtful = False

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubtful
        mapping = dict(items)
        doubtful = doubtful or len(mapping) != len(items)
        return mapping

    def number(token: str) -> float:
        nonlocal doubtful
        if jsonc.is_usable_number(token):
            return float(token) if any(c in token for c in ".eE") else int(token)
        doubtful = True
        return 0

    data = json.loads(text, object_pairs_hook=pairs, parse_float=number, parse_int=number, parse_constant=number)
    return data, doubtful


def _json_faults(scan: jsonc.Scan) -> tuple[SyntaxFault, ...]:
    faults = [
        SyntaxFault(f"the key `{render_path(path)}` is written twice", "remove one of them", second)
        for path, _, second in scan.duplicates
    ]
    faults += [
        SyntaxFault("this is not a number that can be used here", "write a finite number of usual size", at)
        for at in scan.numbers
    ]
    return tuple(sorted(faults, key=lambda fault: fault.offset or 0))


def _json_fault(error: json.JSONDecodeError, text: str) -> SyntaxFault:
    if text.startswith("/*", error.pos):
        return SyntaxFault("the comment that begins here is never closed", "add `*/`", error.pos)
    if text.startswith("'", error.pos):
        return SyntaxFault("text is written in double quotes in JSON", "replace ' by \"", error.pos)
    for prefix, message, hint in _JSON_HINTS:
        if error.msg.startswith(prefix):
            return SyntaxFault(message, hint, error.pos)
    return SyntaxFault(f"is not JSON: {error.msg}", "check it with a JSON editor", error.pos)


def _too_deep(offset: int | None) -> SyntaxFault:
    return SyntaxFault(f"is nested more than {MAX_DEPTH} levels deep", "check the brackets", offset)


# ── YAML and TOML ────────────────────────────────────────────────────────────────────────────────────────────────────


def _parse_yaml(text: str) -> tuple[Any, Callable[[], Mapping[KeyPath, Offsets]]]:
    from .yaml12 import parse_yaml

    data, index = parse_yaml(text)
    return data, lambda: index


def _parse_toml(text: str) -> tuple[Any, Callable[[], Mapping[KeyPath, Offsets]]]:
    try:
        return tomllib.loads(text), lambda: toml_index(text)
    except RecursionError:
        raise _too_deep(deepest_bracket(text, MAX_DEPTH)) from None
    except tomllib.TOMLDecodeError as error:
        raise _toml_fault(error, text) from None
    except ValueError:  # an integer of more digits than Python converts
        long = re.search(r"\d{300,}", text)
        raise SyntaxFault(
            "this number is too large", "write a smaller number, or quote text", long.start() if long else None
        ) from None


def _toml_fault(error: tomllib.TOMLDecodeError, text: str) -> SyntaxFault:
    """Where it was is part of its message: `… (at line 3, column 7)` or `… (at end of document)`."""
    words = str(error)
    found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", words)
    offset: int | None = None
    if found:
        words = words[: found.start()]
        offset = len(text)
        if found.group(1):
            offset = Lines(text).starts[int(found.group(1)) - 1] + int(found.group(2)) - 1
    if words.startswith(("Cannot overwrite", "Cannot declare")):
        return SyntaxFault("this key or table is written twice", "remove one of them", offset)
    return SyntaxFault(
        f"is not TOML: {words[:1].lower()}{words[1:]}", "text needs quotes; lists and tables, brackets", offset
    )
