"""What a model refused → problems in plain words, each with its place and a hint.

Invariant: one problem for each mistake; the value itself is shown short and harmless.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from orchestrate.errors import Problem

from .places import KeyPath, render_path
from .words import described, did_you_mean, nearest, quoted

Locate = Callable[[KeyPath, str, str, bool], Problem]
"""(path, message, hint, whether the key itself is at fault) → a problem with a place."""

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}

_BOUNDS = {
    "greater_than": ("gt", "must be more than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
}


def mistakes(error: ValidationError, model: type[BaseModel], locate: Locate) -> tuple[Problem, ...]:
    """All that is wrong, in the order of the document."""
    details = error.errors(include_url=False)
    guesses = 20  # looking for near names is slow among thousands of mistakes
    problems = []
    for detail in details:
        guesses -= detail["type"] == "extra_forbidden"
        problems.append(_problem(detail, model, locate, may_guess=guesses >= 0))
    return tuple(problems)


def _problem(detail: ErrorDetails, model: type[BaseModel], locate: Locate, *, may_guess: bool) -> Problem:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    is_key = detail["loc"][-1:] == ("[key]",)
    path: KeyPath = detail["loc"][:-1] if is_key else detail["loc"]
    key = str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        known = known_keys(model, path[:-1])
        hint = did_you_mean(key, known) if may_guess else ""
        return locate(path, f"unknown key {quoted(key)}", hint or f"known here: {', '.join(known)}", True)
    about = _about(model, path)
    if kind == "missing":
        return locate(path, f"the key `{key}` is missing", about or f"add `{key}`", True)
    if kind in _EXPECTED:
        expected = "text or a mapping" if kind == "model_type" and _is_step(path) else _EXPECTED[kind]
        message = f"expected {expected}, got {described(value)}"
        return locate(path, message, _type_hint(kind, value) or about, False)
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return locate(path, f"{words} {_figure(context[name])}, not {described(value)[11:]}", about, False)
    if kind == "literal_error":
        return locate(path, *_choice(context["expected"], value), False)
    if kind == "value_error":
        shown = "" if value in ("", None) else f"{described(value)}: " if not is_key else f"{quoted(key)}: "
        return locate(path, f"{shown}{context['error']}", about or "change it", is_key)
    message = {
        "finite_number": "must be a finite number",
        "string_too_short": "must not be empty",
        "too_short": "must not be empty",
    }.get(kind, detail["msg"][:1].lower() + detail["msg"][1:])
    return locate(path, message, about or "change it", is_key)


def _is_step(path: KeyPath) -> bool:
    return len(path) >= 2 and path[-2] in ("verify", "setup")


def _figure(bound: float) -> str:
    return f"{bound:,.0f}" if bound == int(bound) else str(bound)


def _choice(expected: str, value: Any) -> tuple[str, str]:
    """The choices are written as `'a', 'b' or 'c'`."""
    choices = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    guess = nearest(value, choices) if isinstance(value, str) else ""
    hint = f"did you mean {quoted(guess)}?" if guess else f"write one of {', '.join(choices)}"
    return f"expected one of {', '.join(choices)}, got {described(value)}", hint


def _type_hint(kind: str, value: Any) -> str:
    """How to write what was meant, where that is plain."""
    if kind == "string_type" and isinstance(value, int | float):
        return "put it in quotes"
    if kind in ("int_type", "float_type") and isinstance(value, str):
        digits = value.strip().lstrip("$").strip()
        return f"write {digits}, without quotes" if _is_number(digits) else ""
    if kind == "bool_type":
        return "write true or false, without quotes"
    if kind == "list_type" and isinstance(value, str):
        return f"write [{quoted(value)}]"
    return ""


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).removeprefix("-").isdecimal()


# ── what the models know of themselves ───────────────────────────────────────────────────────────────────────────────


def key_of(name: str, info: FieldInfo) -> str:
    """The key as the user writes it."""
    return info.alias or name


def field_at(model: type[BaseModel], key: str) -> FieldInfo | None:
    """The field that a key stands for."""
    for name, info in model.model_fields.items():
        if key_of(name, info) == key:
            return info
    return None


def inner_model(annotation: Any) -> type[BaseModel] | None:
    """The model inside `Model`, `list[Model]`, `Model | None`, `Annotated[…]`; None if there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = inner_model(inner)
        if found:
            return found
    return None


def known_keys(model: type[BaseModel], path: KeyPath) -> tuple[str, ...]:
    """Keys that may stand in the mapping at `path`."""
    here: type[BaseModel] = model
    for part in path:
        if isinstance(part, int):
            continue
        info = field_at(here, part)
        inner = inner_model(info.annotation) if info else None
        if inner is None:
            return ()
        here = inner
    keys = [key_of(name, info) for name, info in here.model_fields.items()]
    return tuple(key for key in keys if key[0] not in "_$")


def _about(model: type[BaseModel], path: KeyPath) -> str:
    """First sentence of what the reference says on the key at `path`."""
    keys = [part for part in path if isinstance(part, str)]
    here = model
    info: FieldInfo | None = None
    for key in keys:
        info = field_at(here, key)
        inner = inner_model(info.annotation) if info else None
        if inner is None:
            break
        here = inner
    if info is None or not info.description:
        return ""
    return f"{render_path((key,))}: {info.description.split('. ')[0].rstrip('.')}"


Kind = Literal["text", "whole number", "number", "true or false", "list", "mapping"]

_KINDS: Mapping[Any, Kind] = {
    str: "text", int: "whole number", float: "number", bool: "true or false", list: "list", dict: "mapping"
}  # fmt: skip


def kind_of(annotation: Any) -> Kind:
    """What a field holds, in one word; None and Annotated are looked through. A choice is text."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    origin = get_origin(annotation)
    if origin is Literal:
        return "text"
    if origin in (Union, types.UnionType):
        return kind_of(next(arg for arg in get_args(annotation) if arg is not type(None)))
    if annotation in _KINDS or origin in _KINDS:
        return _KINDS[annotation if annotation in _KINDS else origin]
    return kind_of(get_args(annotation)[0])


def notes_of(info: FieldInfo) -> list[Any]:
    """Everything that annotates a field, also inside `… | None`: bounds, extras."""
    notes: list[Any] = [info, *info.metadata]
    pending: list[Any] = [info.annotation]
    while pending:
        for inner in get_args(pending.pop()):
            for note in getattr(inner, "__metadata__", ()):
                notes += [note, *getattr(note, "metadata", ())]
            pending.append(inner)
    return notes


def choices_of(info: FieldInfo) -> tuple[str, ...]:
    """The words that a field accepts, if they are listed."""
    if get_origin(info.annotation) is Literal:
        return tuple(get_args(info.annotation))
    for note in notes_of(info):
        extra = getattr(note, "json_schema_extra", None)
        if isinstance(extra, dict) and isinstance(extra.get("enum"), list):
            return tuple(str(choice) for choice in extra["enum"])
    return ()
