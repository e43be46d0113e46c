"""The vocabulary of the log, from core/events.py: every kind with its fields and its docstring.

Invariant: what stands here is read from the source of the classes; nothing is said of an event in a second place.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
from collections.abc import Iterator

from orchestrate.core import events as ev
from orchestrate.store.codec import KINDS

_VALUES = (ev.Tokens, ev.CheckResult)
_VOCABULARIES = ("InvocationEnd", "Outcome", "RunEnd", "Phase")


def render_events() -> str:
    """Events in the order of the source, then the values that they carry, then the words that some fields may hold."""
    parts = ["## Kinds", ""]
    for kind, event in KINDS.items():
        parts += [f"### {kind}", "", *_told(event), *_table(event), ""]
    parts += ["## Values inside of events", ""]
    for value in _VALUES:
        parts += [f"### {value.__name__}", "", *_told(value), *_table(value), ""]
    parts += ["## Words", ""]
    for name, about, words in _vocabularies():
        parts += [f"### {name}", "", about, "", *(f"- {line}" for line in words), ""]
    return "\n".join(parts)


def _told(owner: type) -> list[str]:
    """The class's own docstring; dataclasses without one get a signature, which says nothing new."""
    written = owner.__dict__.get("__doc__") or ""
    return [] if not written or written.startswith(f"{owner.__name__}(") else [_prose(written), ""]


def _table(owner: type) -> list[str]:
    texts = _texts_of_fields(owner)
    rows = []
    for field in dataclasses.fields(owner):
        if field.name == "at":
            continue
        default = "" if field.default is dataclasses.MISSING else f"`{field.default!r}`"
        kind = str(field.type).replace("|", "\\|")
        rows.append(f"| `{field.name}` | `{kind}` | {default} | {texts.get(field.name, '')} |")
    return ["| field | kind | default | |", "|---|---|---|---|", *rows] if rows else []


def _texts_of_fields(owner: type) -> dict[str, str]:
    """The strings that stand below fields in the source, by field; the bases' too."""
    texts: dict[str, str] = {}
    for base in reversed(owner.__mro__[:-1]):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(tree, ast.ClassDef)
        for before, here in itertools.pairwise(tree.body):
            text = _string(here)
            if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and text:
                texts[before.target.id] = _prose(text)
    return texts


def _vocabularies() -> Iterator[tuple[str, str, list[str]]]:
    """(name, what it is, a line a word), from the assignments and their comments."""
    source = inspect.getsource(ev)
    lines = source.splitlines()
    body = ast.parse(source).body
    for node, after in itertools.pairwise(body):
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
            continue
        name = node.targets[0].id
        if name in _VOCABULARIES:
            assert isinstance(node.value, ast.Subscript)
            words = [w for w in ast.walk(node.value.slice) if isinstance(w, ast.Constant)]
            told = [(str(word.value), lines[word.lineno - 1].partition("#")[2].strip()) for word in words]
            yield name, _prose(_string(after)), [f"`{word}`{': ' if text else ''}{text}" for word, text in told]


def _string(node: ast.stmt) -> str:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return str(node.value.value) if is_text and isinstance(node.value.value, str) else ""  # type: ignore[attr-defined]


def _prose(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
