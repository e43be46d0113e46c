"""YAML 1.2 to plain data with places, from the event stream of ruamel.yaml: no recursion, no tags, no bombs.

Invariant: a plain scalar is what the core schema of YAML 1.2 says (§10.3.2), so `id: no` and `12:30` are text.
Keys are always text. Aliases may repeat what was written, but not blow it up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from .places import MAX_DEPTH, KeyPath, Offsets, SyntaxFault

ALIAS_BUDGET = 200_000
"""How many values aliases may add to those that were written."""

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_CORE_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map")}


@dataclass(slots=True)
class _Open:
    """A collection under construction. merges: what `<<` brings in; anchor: its own name, if it has one."""

    data: dict[str, Any] | list[Any]
    path: KeyPath
    anchor: str | None
    weight: int = 1
    key: str | None = None
    key_at: int = 0
    is_merge: bool = False
    merges: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Anchored:
    value: Any
    weight: int


def parse_yaml(text: str) -> tuple[Any, dict[KeyPath, Offsets]]:
    """One document → data and places. Raises SyntaxFault."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    builder = _Builder()
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _fault_of(error, text, mark.index if mark else None) from None
    except ReaderError as error:
        raise SyntaxFault(
            f"the character U+{error.character:04X} is not allowed in YAML", "remove it", error.position
        ) from None
    except YAMLError as error:
        raise SyntaxFault(f"is not YAML: {error}", "check it with a YAML editor") from None
    return builder.root, builder.index


def _fault_of(error: Any, text: str, offset: int | None) -> SyntaxFault:
    """The reader's own words, and a hint for the mistakes that people make."""
    what = str(error.problem)
    if offset is not None and text[offset : offset + 1] == "\t":
        return SyntaxFault("a tab cannot be used for indentation", "indent with spaces", offset)
    hint = "check the indentation, and quote text that contains `: ` or ` #`"
    if "cannot start any token" in what:
        hint = "put text that begins with this character in quotes"
    elif "<stream end>" in what or "end of stream" in what:
        hint = "a quote or bracket that is opened before this point is never closed"
    context = f" ({error.context})" if error.context else ""
    return SyntaxFault(f"is not YAML: {what}{context}", hint, offset)


class _Builder:
    """Events in, data out. One per document."""

    def __init__(self) -> None:
        self.root: Any = None
        self.index: dict[KeyPath, Offsets] = {}
        self._documents = 0
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Anchored] = {}
        self._borrowed = 0

    def take(self, event: Any) -> None:
        at = event.start_mark.index
        match type(event).__name__:
            case "ScalarEvent":
                if self._takes_key():
                    self._key(event, at)
                else:
                    self._put(_scalar(event, at), 1, at, event.anchor)
            case "MappingStartEvent" | "SequenceStartEvent":
                self._open(event, at)
            case "MappingEndEvent" | "SequenceEndEvent":
                self._close()
            case "AliasEvent":
                self._alias(event.anchor, at)
            case "DocumentStartEvent":
                self._documents += 1
                if self._documents > 1:
                    raise SyntaxFault("holds more than one YAML document", "keep only one; remove the `---`", at)

    def _takes_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].data, dict) and self._stack[-1].key is None

    def _key(self, event: Any, at: int) -> None:
        parent = self._stack[-1]
        parent.key, parent.key_at = event.value, at
        parent.is_merge = event.value == "<<" and event.style is None
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(event.value, 1)
        path = (*parent.path, event.value)
        if path in self.index and not parent.is_merge:
            raise SyntaxFault(f"the key `{event.value}` is written twice", "remove one of them", at)

    def _open(self, event: Any, at: int) -> None:
        if self._takes_key():
            raise SyntaxFault("a key must be text, not a list or a mapping", "write a plain key", at)
        if event.tag is not None and event.tag not in _CORE_TAGS:
            raise SyntaxFault(f"the tag {event.tag} is not allowed", "remove the tag", at)
        if len(self._stack) == MAX_DEPTH:
            raise SyntaxFault(f"is nested more than {MAX_DEPTH} levels deep", "check the brackets", at)
        path = self._place(at)
        data: dict[str, Any] | list[Any] = {} if type(event).__name__ == "MappingStartEvent" else []
        self._stack.append(_Open(data, path, event.anchor))

    def _close(self) -> None:
        done = self._stack.pop()
        value: Any = done.data
        if done.merges and isinstance(value, dict):
            for merged in done.merges:
                for key, inherited in merged.items():
                    value.setdefault(key, inherited)
        self._put(value, done.weight, None, done.anchor)

    def _alias(self, name: str, at: int) -> None:
        if self._takes_key():
            raise SyntaxFault("an alias cannot be a key", "write the key itself", at)
        anchored = self._anchors.get(name)
        if anchored is None:
            inside = any(level.anchor == name for level in self._stack)
            what = "refers to itself" if inside else "refers to nothing that stands before it"
            raise SyntaxFault(f"the alias *{name} {what}", f"write &{name} before a value that ends before this", at)
        self._borrowed += anchored.weight
        if self._borrowed > ALIAS_BUDGET:
            raise SyntaxFault(
                f"aliases repeat more than {ALIAS_BUDGET:,} values", "write out what is needed instead of aliases", at
            )
        self._put(anchored.value, anchored.weight, at, None)

    def _place(self, at: int) -> KeyPath:
        """Path of the value that begins here; remembers its place."""
        if not self._stack:
            path: KeyPath = ()
            self.index[path] = (at, at)
            return path
        parent = self._stack[-1]
        if isinstance(parent.data, list):
            path = (*parent.path, len(parent.data))
            self.index[path] = (at, at)
        else:
            path = (*parent.path, parent.key or "")
            self.index[path] = (parent.key_at, at)
        return path

    def _put(self, value: Any, weight: int, at: int | None, anchor: str | None) -> None:
        """A complete value: into its parent. at: None for a collection, which was placed when it began."""
        if at is not None:
            self._place(at)
        if anchor:
            self._anchors[anchor] = _Anchored(value, weight)
        if not self._stack:
            self.root = value
            return
        parent = self._stack[-1]
        parent.weight += weight
        if isinstance(parent.data, list):
            parent.data.append(value)
        elif parent.is_merge:
            self._merge(parent, value)
        else:
            parent.data[parent.key or ""] = value
        parent.key = None

    def _merge(self, parent: _Open, value: Any) -> None:
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            raise SyntaxFault(
                "`<<` merges mappings only", "name a mapping by its alias, as in `<<: *base`", parent.key_at
            )
        parent.merges.extend(sources)


def _scalar(event: Any, at: int) -> Any:
    """Value of a scalar under the core schema; quoted ones are text."""
    value, tag = event.value, event.tag
    if tag is not None and tag != "!" and tag not in _CORE_TAGS:
        raise SyntaxFault(f"the tag {tag} is not allowed", "remove the tag", at)
    if event.style is not None or (tag is not None and tag in ("!", "tag:yaml.org,2002:str")):
        return value
    if value in _WORDS:
        return _WORDS[value]
    if _INT.fullmatch(value):
        if len(value) > 20:
            raise SyntaxFault(f"the number {value[:12]}… is too large", "write a smaller number, or quote text", at)
        return int(value, 8) if value.startswith("0o") else int(value, 16 if value.startswith("0x") else 10)
    if _FLOAT.fullmatch(value):
        number = float(value)
        if number in (float("inf"), float("-inf")):
            raise SyntaxFault(f"the number {value[:24]} is too large", "write a smaller number, or quote text", at)
        return number
    if _INFINITE.fullmatch(value):
        raise SyntaxFault(f"{value} is not a number that can be used here", "write a finite number", at)
    return value
