"""Which changed paths lie outside what a feature says that it touches. Pure.

Patterns are those of .gitignore, without negation: `*` and `?` stay inside one name, `**` crosses directories, a
directory covers all that is below it, and a pattern without a slash matches a name at any depth.
https://git-scm.com/docs/gitignore#_pattern_format
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


def out_of_scope(paths: Iterable[str], touches: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the paths (relative to the repository, with `/`) that no pattern covers; none when there is no pattern."""
    if not touches:
        return ()
    allowed = _compiled(touches)
    return tuple(path for path in paths if not allowed.fullmatch(path))


def is_in_scope(path: str, touches: tuple[str, ...]) -> bool:
    return not out_of_scope((path,), touches)


@lru_cache(maxsize=256)
def _compiled(touches: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{_expression(pattern)})" for pattern in touches), re.DOTALL)


def _expression(pattern: str) -> str:
    """One pattern → regular expression of the paths that it covers."""
    body = pattern.removeprefix("./")
    directory_only = body.endswith("/")
    body = body.rstrip("/")
    if body in ("", "."):
        return ".*"
    anchored = "/" in body
    names = body.lstrip("/").split("/")
    parts: list[str] = [] if anchored else ["(?:.*/)?"]
    for number, name in enumerate(names):
        last = number == len(names) - 1
        if name == "**":
            parts.append(".*" if last else "(?:.*/)?")
        else:
            parts.append(_name_expression(name) + ("" if last else "/"))
    below = "/.+" if directory_only else "(?:/.*)?"
    return "".join(parts) + below


def _name_expression(name: str) -> str:
    out, at = [], 0
    while at < len(name):
        character = name[at]
        at += 1
        if character == "*":
            out.append("[^/]*")
        elif character == "?":
            out.append("[^/]")
        elif character == "\\" and at < len(name):
            out.append(re.escape(name[at]))
            at += 1
        elif character == "[" and (end := name.find("]", at + 1)) > 0:
            out.append(_class_expression(name[at:end]))
            at = end + 1
        else:
            out.append(re.escape(character))
    return re.sub(r"(?:\[\^/\]\*){2,}", "[^/]*", "".join(out))


def _class_expression(body: str) -> str:
    """Inside of `[…]` → a class that never matches a slash. A range that makes no sense matches nothing."""
    negated = body[:1] in ("!", "^")
    escaped = re.sub(r"([\\\[\]^&~|])", r"\\\1", body[1:] if negated else body)
    try:
        re.compile(f"[{escaped}]")
    except re.error:
        return "(?!)"
    return f"(?!/)[{'^' if negated else ''}{escaped}]"
