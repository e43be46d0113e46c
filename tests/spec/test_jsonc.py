"""Stripper and scanner of JSON with comments."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.spec.jsonc import scan, strip

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(['"', "//", "/*", "*/", ",]", "\\"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.sampled_from([None, 1]))
def test_valid_json_is_left_alone(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    assert strip(text) == text


@given(st.text(alphabet='"\\/*,[]{}: \r\na1'))
def test_whatever_the_text_no_position_moves(text: str) -> None:
    bare = strip(text)
    assert len(bare) == len(text)
    assert [(at, c) for at, c in enumerate(bare) if c in "\r\n"] == [
        (at, c) for at, c in enumerate(text) if c in "\r\n"
    ]


@given(VALUES)
def test_comments_and_trailing_commas_change_nothing(value: Any) -> None:
    text = json.dumps([value, {"k": value}], indent=1)
    commented = "// a\n" + text.replace('"k": ', '/* "b", */ "k": ').rstrip("]").rstrip() + " , // c\n ] /* d */"
    assert json.loads(strip(commented)) == [value, {"k": value}]


@pytest.mark.parametrize("text", ["[,]", "[1,,]", '{"a":,}', "{,}", ","])
def test_a_comma_after_nothing_stays_wrong(text: str) -> None:
    assert strip(text) != text.replace(",", " ")
    with pytest.raises(json.JSONDecodeError):
        json.loads(strip(text))


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path}.union(*(paths_of(item, (*path, key)) for key, item in inside))


@given(VALUES)
def test_everything_has_its_place(value: Any) -> None:
    text = json.dumps(value, indent=1)
    index = scan(text).index
    assert set(index) == paths_of(value)
    for path, (key_at, value_at) in index.items():
        here = value
        for part in path:
            here = here[part]
        assert json.JSONDecoder().raw_decode(text, value_at)[0] == here
        if path and isinstance(path[-1], str):
            assert json.JSONDecoder().raw_decode(text, key_at)[0] == path[-1]


def test_a_key_written_three_times_is_told_twice() -> None:
    assert [second for _, _, second in scan('{"a": 1, "a": 2, "a": 3}').duplicates] == [9, 17]
