"""docs/durability.md names every fail point and both variables."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrate.failpoint import LOG_VARIABLE, VARIABLE
from tests.torture.points import POINTS

PAGE = Path(__file__).parents[2] / "docs" / "durability.md"


def names(word: str) -> list[str]:
    """`a.{b,c}` → a.b, a.c."""
    braces = re.fullmatch(r"(.+)\{(.+)\}", word)
    return [f"{braces[1]}{end}" for end in braces[2].split(",")] if braces else [word]


def test_every_point_and_both_variables_are_named() -> None:
    named = {name for word in re.findall(r"`([^`]*)`", PAGE.read_text("utf-8")) for name in names(word)}
    points = {name for flow in POINTS.values() for listed in flow.values() for name in listed}

    assert points - named == set()
    assert {f"{VARIABLE}=<name>", f"{LOG_VARIABLE}=<file>"} <= named
