"""Places in TOML, compared with the data that the standard library reads."""

from __future__ import annotations

import tomllib
from typing import Any

from orchestrate.spec.tomlplaces import deepest_bracket, toml_index

TEXT = '''\
# a comment with [brackets] = "and quotes"
top = "x"          # trailing
"quoted key" = 'y'
dotted.inner.deep = 1

[project]
name = "a\\"b"
text = """
[not.a.table]
id = "no"
"""
raw = \'\'\'
x = 1\'\'\'
list = [
  "one", # comment ]
  { run = "two", when = "both" },
  [1, 2],
]

[project.env]
PORT = "1"

[[features]]
id = "first"
verify = ["a", "b"]

[[features.steps]]
run = "x"
[[features.steps]]
run = "y"

[[features]]
id = "second"
date = 2024-01-01T00:00:00Z
'''


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path}.union(*(paths_of(item, (*path, key)) for key, item in inside))


def test_everything_has_its_place() -> None:
    assert set(toml_index(TEXT)) == paths_of(tomllib.loads(TEXT))


def test_places_point_at_what_is_written() -> None:
    index = toml_index(TEXT)

    def lines_of(*path: str | int) -> tuple[str, str]:
        return tuple(TEXT[at:].split("\n", 1)[0] for at in index[path])  # type: ignore[return-value]

    assert lines_of("top") == ('top = "x"          # trailing', '"x"          # trailing')
    assert lines_of("project", "list", 1, "when") == ('when = "both" },', '"both" },')
    assert lines_of("features", 1, "id") == ('id = "second"', '"second"')
    assert lines_of("features", 0, "steps", 1, "run")[1] == '"y"'
    assert lines_of("features", 1)[0] == "[[features]]"


def test_of_a_text_it_does_not_understand_it_keeps_what_it_found() -> None:
    assert ("a",) in toml_index("a = 1\n= nonsense")


def test_brackets_in_strings_are_not_deep() -> None:
    assert deepest_bracket('a = "[[[[" ', 2) is None
    assert deepest_bracket("a = [[[", 2) == 6
