"""YAML 1.2: the core schema, places, anchors."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrate.spec.places import SyntaxFault
from orchestrate.spec.yaml12 import parse_yaml


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e5", 100000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ('"12"', "12"),
        ("'no'", "no"),
        ("! 12", "12"),
        ("!!str 12", "12"),
        ("|\n  a\n  b\n", "a\nb\n"),
        (">\n  a\n  b\n", "a b\n"),
    ],
)
def test_scalars_follow_the_core_schema(written: str, value: Any) -> None:
    data, _ = parse_yaml(f"x: {written}\n")
    assert data == {"x": value}
    assert type(data["x"]) is type(value)


def test_keys_are_text() -> None:
    assert parse_yaml("{1: a, no: b, 1.5: c, null: d}")[0] == {"1": "a", "no": "b", "1.5": "c", "null": "d"}


def test_places_are_offsets_of_key_and_value() -> None:
    text = "a: 1\nb:\n  - c: x\n  - y\n"
    _, index = parse_yaml(text)
    assert {path: (text[key : key + 1], text[value : value + 1]) for path, (key, value) in index.items()} == {
        (): ("a", "a"),
        ("a",): ("a", "1"),
        ("b",): ("b", "-"),
        ("b", 0): ("c", "c"),
        ("b", 0, "c"): ("c", "x"),
        ("b", 1): ("y", "y"),
    }


def test_aliases_and_merge_keys_save_typing() -> None:
    data, _ = parse_yaml("base: &b {agent: claude, tags: [x]}\none: {<<: *b, tags: [y]}\ntwo: *b\n")
    assert data["one"] == {"agent": "claude", "tags": ["y"]}
    assert data["two"] == data["base"]


def test_of_several_merged_mappings_the_first_wins() -> None:
    data, _ = parse_yaml("a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b], z: 3}\n")
    assert data["c"] == {"x": 1, "y": 2, "z": 3}


def test_only_mappings_can_be_merged() -> None:
    with pytest.raises(SyntaxFault, match="merges mappings only"):
        parse_yaml("a: &a [1]\nb: {<<: *a}\n")
