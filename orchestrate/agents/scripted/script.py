"""What a script says: loading, checking, and picking the play of one invocation.

Invariant: a play that is returned has only known steps with fields of the right kind; everything else is a ScriptError
that names the place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Play = list[tuple[str, dict[str, Any]]]
"""Steps: name and fields."""

NUMBER = (int, float)
_ANY = object

# step: (field that a bare value stands for, {field: type}, required fields)
STEPS: Mapping[str, tuple[str, Mapping[str, Any], tuple[str, ...]]] = {
    "say": ("text", {"text": str}, ("text",)),
    "write": ("", {"path": str, "text": str, "mode": str}, ("path", "text")),
    "append": ("", {"path": str, "text": str}, ("path", "text")),
    "edit": ("", {"path": str, "find": str, "replace": str}, ("path", "find", "replace")),
    "delete": ("path", {"path": str}, ("path",)),
    "run": ("command", {"command": str}, ("command",)),
    "commit": ("message", {"message": str}, ("message",)),
    "tool": ("name", {"name": str, "input": dict, "output": str, "error": bool}, ("name",)),
    "deny": ("tool", {"tool": str}, ("tool",)),
    "wait": ("seconds", {"seconds": NUMBER}, ("seconds",)),
    "wait_for": ("path", {"path": str, "seconds": NUMBER}, ("path",)),
    "hang": ("seconds", {"seconds": NUMBER, "during_tool": bool}, ()),
    "usage": (
        "",
        {"input": int, "output": int, "cache_read": int, "cache_write": int, "cost": NUMBER},
        (),
    ),
    "retry": ("seconds", {"seconds": NUMBER, "status": int, "wait": bool}, ("seconds",)),
    "rate_limit": (
        "resets_in",
        {"resets_in": NUMBER, "status": str, "kind": str, "utilization": NUMBER},
        (),
    ),
    "result": ("text", {"text": str, "fields": dict}, ()),
    "fail": ("class", {"class": str, "resets_in": NUMBER}, ("class",)),
    "garbage": ("text", {"text": str, "hex": str, "times": int}, ()),
    "line": ("bytes", {"bytes": int}, ("bytes",)),
    "flood": ("mb", {"mb": NUMBER, "to": str}, ("mb",)),
    "ignore_signals": ("", {}, ()),
    "close_output": ("", {}, ()),
    "daemon": ("seconds", {"seconds": NUMBER, "pid_file": str, "hold_output": bool}, ()),
    "exit": ("code", {"code": int}, ("code",)),
    "signal": ("name", {"name": str}, ("name",)),
    "expect": ("prompt", {"prompt": str}, ("prompt",)),
    "save_prompt": ("path", {"path": str}, ("path",)),
}


class ScriptError(Exception):
    """Something in the script cannot be played; the message names the place."""


def load_play(path: str, feature: str, attempt: int, invocation: int) -> Play:
    """The steps for this invocation of this feature, `@FEATURE@`, `@ATTEMPT@` and `@INVOCATION@` filled in."""
    try:
        with open(path, encoding="utf-8") as f:
            script = json.load(f)
    except OSError as error:
        raise ScriptError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ScriptError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(script, dict) or not isinstance(script.get("features"), dict):
        raise ScriptError(f'{path}: expected an object with "features"')
    unknown = sorted(set(script) - {"features", "version", "_comment", "$schema"})
    if unknown:
        raise ScriptError(f"{path}: unknown key {unknown[0]!r}; known are features, version")
    features = script["features"]
    key = feature if feature in features else "*"
    if key not in features:
        raise ScriptError(f'{path}: features has no entry for {feature!r}, and none for "*"')
    where = f"{path}: features[{key!r}]"
    steps, where = _pick(features[key], where, attempt, invocation)
    names = {"@FEATURE@": feature, "@ATTEMPT@": str(attempt), "@INVOCATION@": str(invocation)}
    return [_step(_filled(step, names), f"{where}[{n}]") for n, step in enumerate(steps)]


def _pick(entry: Any, where: str, attempt: int, invocation: int) -> tuple[list[Any], str]:
    """Plays by attempt (an object: the highest number up to this one, else `*`) and by invocation (the last repeats)."""
    if isinstance(entry, dict):
        numbers = sorted((int(k) for k in entry if k.isdigit() and int(k) <= attempt), reverse=True)
        key = str(numbers[0]) if numbers else "*"
        if key not in entry:
            raise ScriptError(f'{where}: no plays for attempt {attempt}; expected keys such as "1" or "*"')
        entry, where = entry[key], f"{where}[{key!r}]"
    if not isinstance(entry, list) or not entry or not all(isinstance(play, list) for play in entry):
        raise ScriptError(f"{where}: expected a list of plays, each a list of steps")
    number = min(max(invocation, 1), len(entry)) - 1
    return entry[number], f"{where}[{number}]"


def _step(step: Any, where: str) -> tuple[str, dict[str, Any]]:
    if isinstance(step, str):
        step = {step: {}}
    if not isinstance(step, dict) or len(step) != 1:
        raise ScriptError(f'{where}: a step is an object with one key, such as {{"say": "hello"}}')
    name, value = next(iter(step.items()))
    if name not in STEPS:
        raise ScriptError(f"{where}: unknown step {name!r}; known are {', '.join(sorted(STEPS))}")
    bare, types, required = STEPS[name]
    fields = value if isinstance(value, dict) else {bare: value} if bare else None
    if fields is None:
        raise ScriptError(f"{where}.{name}: expected an object with {', '.join(types) or 'no fields'}")
    for field, content in fields.items():
        if field not in types:
            raise ScriptError(f"{where}.{name}: unknown field {field!r}; known are {', '.join(types) or 'none'}")
        if not isinstance(content, types[field]) or (isinstance(content, bool) and types[field] is not bool):
            kind = "a number" if types[field] in (NUMBER, int) else types[field].__name__
            raise ScriptError(f"{where}.{name}.{field}: expected {kind}, got {json.dumps(content)[:60]}")
    for field in required:
        if field not in fields:
            raise ScriptError(f"{where}.{name}: {field!r} is missing")
    return name, fields


def _filled(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(name, text)
        return value
    if isinstance(value, list):
        return [_filled(v, names) for v in value]
    if isinstance(value, dict):
        return {k: _filled(v, names) for k, v in value.items()}
    return value
