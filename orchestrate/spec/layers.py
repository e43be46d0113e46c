"""Settings in layers: defaults, the user's file, the feature list, orchestrate.toml, environment, flags. Later wins.

Invariant: every value knows where it came from, and each layer is checked by itself, so that a mistake is reported
where it was made, also when a later layer overrides it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrate.errors import Problem

from .places import KeyPath
from .sources import Document
from .words import character_problem, nearest, quoted

if TYPE_CHECKING:
    from pydantic import BaseModel

PREFIX = "ORCHESTRATE_"

TABLES = ("limits", "prompts", "ports", "claude", "scripted", "containment", "checkpoints", "disk", "env")
"""Settings that are merged key by key; every other one is replaced as a whole."""

OWN_VARIABLES = frozenset(
    f"{PREFIX}{name}"
    for name in (
        "RUN",
        "EFFECT",
        "FEATURE",
        "ATTEMPT",
        "INVOCATION",
        "CONFIG",
        "DEBUG",
        "PORT",
        "SCRIPTED_STATE",
        "FAILPOINT",
        "FAILPOINTS_LOG",
    )
)
"""Variables of the program that are no settings: what agents and checks are told, and switches of the command line."""

TEST_PREFIX = f"{PREFIX}TEST_"
"""Variables of the program's own tests."""


@dataclass(frozen=True)
class Origin:
    """Where a value came from. source: `default`, a file, `environment ORCHESTRATE_X` or `--flag`."""

    source: str
    document: Document | None = None
    path: KeyPath = ()

    def __str__(self) -> str:
        if self.document is None:
            return self.source
        return f"{self.source}:{self.document.mark(self.path, key=True)[0]}"

    def problem(self, message: str, hint: str) -> Problem:
        """A problem that this value is to blame for."""
        if self.document is None:
            return Problem(message, hint, "" if self.source == "default" else self.source)
        return self.document.problem(self.path, message, hint)


DEFAULT = Origin("default")


@dataclass(frozen=True, slots=True)
class Value:
    value: Any
    origin: Origin


Layer = Mapping[KeyPath, Value]
"""Settings by path: `("max_parallel",)`, `("limits", "max_cost_usd")`, `("env", "PORT")`."""


def layer_of_document(document: Document, root: KeyPath = ()) -> Layer:
    """The settings that stand in the mapping at `root` of a file, sound or not."""
    from .mistakes import known_keys
    from .models import Common

    data: Any = document.data
    for part in root:
        data = data.get(part)
    layer: dict[KeyPath, Value] = {}
    for name in known_keys(Common, ()) if isinstance(data, dict) else ():
        if name not in data:
            continue
        inside = data[name]
        if name in TABLES and isinstance(inside, dict):
            for key, value in inside.items():
                if key != "_comment":
                    layer[(name, key)] = Value(value, Origin(document.name, document, (*root, name, key)))
        else:
            layer[(name,)] = Value(inside, Origin(document.name, document, (*root, name)))
    return layer


def sound_part(layer: Layer) -> Layer:
    """The layer without the values that its model refuses."""
    if not check(layer):
        return layer
    return {path: value for path, value in layer.items() if not check({path: value})}


def given_twice(document: Document) -> tuple[Problem, ...]:
    """Settings that one file has both at its top and in its `project`."""
    top, project = layer_of_document(document), layer_of_document(document, ("project",))
    return tuple(
        document.problem(
            ("project", *path),
            f"`{'.'.join(map(str, path))}` stands here and at the top of the file",
            "remove one",
            key=True,
        )
        for path in project
        if path in top
    )


def merge(layers: Iterable[Layer]) -> Layer:
    """Later wins."""
    merged: dict[KeyPath, Value] = {}
    for layer in layers:
        merged.update(layer)
    return merged


def nest(layer: Layer) -> dict[str, Any]:
    """Settings by path → the mapping that a model reads."""
    nested: dict[str, Any] = {}
    for path, value in layer.items():
        here = nested
        for part in path[:-1]:
            here = here.setdefault(str(part), {})
        here[str(path[-1])] = value.value
    return nested


def check(layer: Layer) -> tuple[Problem, ...]:
    """What is wrong with the values of a layer that is no file, each named by its origin."""
    from pydantic import ValidationError

    from .mistakes import mistakes
    from .models import Common

    def locate(path: KeyPath, message: str, hint: str, is_key: bool) -> Problem:  # noqa: ARG001  # no place in a variable
        around = path
        while around not in layer and around:
            around = around[:-1]
        return (layer[around].origin if around else Origin("")).problem(message, hint)

    try:
        Common.model_validate(nest(layer))
    except ValidationError as error:
        return mistakes(error, Common, locate)
    return tuple(
        value.origin.problem(problem, "write it in UTF-8")
        for value in layer.values()
        if isinstance(value.value, str) and (problem := character_problem(value.value))
    )


# ── environment ──────────────────────────────────────────────────────────────────────────────────────────────────────


def layer_of_environment(environ: Mapping[str, str]) -> tuple[Layer, tuple[Problem, ...]]:
    """`ORCHESTRATE_MAX_PARALLEL=3`, `ORCHESTRATE_LIMITS__MAX_COST_USD=5`, lists as JSON. An empty one counts as unset."""
    from .mistakes import field_at, inner_model, kind_of
    from .models import Common

    layer: dict[KeyPath, Value] = {}
    problems: list[Problem] = []
    for name in sorted(environ):
        text = environ[name]
        if not name.startswith(PREFIX) or name in OWN_VARIABLES or name.startswith(TEST_PREFIX) or not text:
            continue
        path = _path_of_variable(name)
        origin = Origin(f"environment {name}")
        if path[0] == "env" and len(path) == 2:
            layer[path] = Value(text, origin)
            continue
        model: type[BaseModel] | None = Common
        info = None
        for part in path:
            info = field_at(model, part) if model else None
            model = inner_model(info.annotation) if info and str(part) in TABLES else None
        if info is None or path[-1] in TABLES or path[-1][0] in "_$":
            near = nearest(name.removeprefix(PREFIX), [variable_of(known)[len(PREFIX) :] for known in setting_paths()])
            hint = f"did you mean {quoted(PREFIX + near)}?" if near else "`orchestrate config show` lists the settings"
            problems.append(origin.problem("no setting has this name", hint))
            continue
        try:
            layer[path] = Value(_value_of_text(text, kind_of(info.annotation)), origin)
        except ValueError as error:
            problems.append(origin.problem(f"expected {error}, got {quoted(text)}", f"set {name} anew, or unset it"))
    return layer, (*problems, *check(layer))


def _path_of_variable(name: str) -> tuple[str, ...]:
    parts = name.removeprefix(PREFIX).split("__", 1)
    if parts[0] == "ENV" and len(parts) == 2:
        return ("env", parts[1])
    return tuple(part.lower() for part in parts)


def setting_paths() -> tuple[KeyPath, ...]:
    """Every setting, but for the variables in `env`."""
    from .mistakes import known_keys
    from .models import Common

    paths: list[KeyPath] = []
    for key in known_keys(Common, ()):
        if key == "env":
            continue
        paths += [(key, inner) for inner in known_keys(Common, (key,))] if key in TABLES else [(key,)]
    return tuple(paths)


def variable_of(path: KeyPath) -> str:
    """`ORCHESTRATE_LIMITS__MAX_COST_USD`."""
    return PREFIX + "__".join(str(part).upper() for part in path)


def _value_of_text(text: str, kind: str) -> Any:
    """The text of a variable → a value of that kind. Raises ValueError with what was expected."""
    if kind == "whole number":
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()):
            raise ValueError("a whole number")
        return int(text)
    if kind == "number":
        try:
            return float(text)
        except ValueError:
            raise ValueError("a number") from None
    if kind == "list":
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, list):
            raise ValueError('a list as JSON, such as ["a", "b"]')
        return value
    return text


# ── flags ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def layer_of_flags(flags: Mapping[str, object]) -> tuple[Layer, tuple[Problem, ...]]:
    """Flags by setting (`max_parallel`, `limits.max_cost_usd`); None means not given. Raises KeyError for no setting."""
    known = set(setting_paths())
    layer: dict[KeyPath, Value] = {}
    for name, value in flags.items():
        path: KeyPath = tuple(name.split(".", 1))
        if path not in known and path[0] != "env":
            raise KeyError(name)
        if value is not None:
            given = list(value) if isinstance(value, tuple) else value
            layer[path] = Value(given, Origin(f"--{str(path[-1]).replace('_', '-')}"))
    return layer, check(layer)
